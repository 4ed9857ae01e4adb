import HTTPTypes
import Hummingbird
import NIOCore
import Primitives
import Text

/// `/api/v1/chaos`: breaks links and the disk of this node on purpose, where its settings allow that.
struct ChaosRoutes: Sendable {
    private static let bodyBytes = 64 << 10

    let node: NodeID
    /// Nil on a node that was not started for it.
    let control: ChaosControl?
    /// Nodes that something can be sent to; empty while none is known.
    let peers: @Sendable () -> [NodeID]

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.get("chaos") { _, _ in Response.json(try allowed().value) }
        router.post("chaos/links") { request, _ in
            let chaos = try allowed()
            let wanted = try ChaosReading.links(try await value(request), node: node, peers: peers())
            chaos.set(wanted)
            return Response.json(chaos.value)
        }
        router.delete("chaos/links") { request, _ in
            let chaos = try allowed()
            try heal(request.uri.queryParameters["to"].map(String.init), chaos)
            return Response.json(chaos.value)
        }
        router.post("chaos/disk") { request, _ in
            let chaos = try allowed()
            chaos.set(try ChaosReading.disk(try await value(request)))
            return Response.json(chaos.value)
        }
        router.delete("chaos/disk") { _, _ in
            let chaos = try allowed()
            chaos.healDisk()
            return Response.json(chaos.value)
        }
    }

    private func allowed() throws(Problem) -> ChaosControl {
        guard let control else {
            throw Problem(
                status: .forbidden, type: "chaos_not_allowed", title: "Nothing is broken on purpose here",
                detail:
                    "node \(node) was not started for chaos: start it with 'distric node --allow-chaos', or with allow = true under [chaos] in its settings"
            )
        }
        return control
    }

    private func value(_ request: Request) async throws -> Value {
        let body = try await request.body(upTo: Self.bodyBytes, "a fault")
        do { return try JSONScanner.parse(Array(body.readableBytesView)) } catch { throw Problem.badRequest("invalid_json", "\(error)") }
    }

    private func heal(_ to: String?, _ chaos: ChaosControl) throws(Problem) {
        let node = try to.map { text throws(Problem) in try ChaosReading.node(text, at: "") }
        do throws(ChaosControl.NoFault) { try chaos.heal(node) } catch {
            let faulty = error.faulty.isEmpty ? "no link has one" : "links to \(ChaosReading.names(error.faulty)) have"
            throw .notFound("the link to \(to ?? "") has no fault; \(faulty)")
        }
    }
}

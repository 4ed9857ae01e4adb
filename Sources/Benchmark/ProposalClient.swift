import Foundation
import NIOCore
import NIOPosix
import Observability
import Primitives
import Synchronization
import Text
import Transport
import Wire

/// Sends messages as one program does: to the node that took the last one, after a failure to the next, or to the leader that the answer
/// names. A leader that did not answer, and who cannot be reached, is left alone for a second.
final class ProposalClient: Sendable {
    /// Messages, and what they set off.
    enum Kind: String, Sendable {
        /// A rule matches, and only observes: the message is kept, and is all that the log gets.
        case observed
        /// A rule starts a run that waits for a day.
        case held
    }

    static let definitions: Value = [
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "waits"],
            "tasks": ["wait": ["use": "wait@1", "with": ["duration": "24h"]]],
        ],
        [
            "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "bench"],
            "rules": [
                ["id": "observe", "when": ["field": "type", "operator": "equals", "value": "observed"]],
                ["id": "hold", "when": ["field": "type", "operator": "equals", "value": "held"], "actions": [["workflow": "waits"]]],
            ],
        ],
    ]

    private struct Route {
        var place: Int
        /// Who took the last one.
        var leader: Int?
        /// Until when each is left alone.
        var shunned: [Double]
    }

    private let members: [RaftCluster.Member]
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let client: RPCClient
    private let route: Mutex<Route>
    /// Ids of two clients differ, also on one cluster.
    private let name = String(UInt32.random(in: 0...UInt32.max), radix: 36)
    private let number = Atomic<Int>(0)

    init(_ cluster: RaftCluster) throws {
        members = cluster.members
        var settings = RPCClient.Settings()
        // Where to go instead, and when to come back, is decided here.
        settings.breakerLimit = .max
        settings.attempts = 1
        client = RPCClient(hello: Hello(), settings: settings, group: group, telemetry: .quiet(node: try NodeID("bench")))
        let leader = cluster.leader().flatMap { found in cluster.members.firstIndex { $0.id == found.member.id } }
        route = Mutex(Route(place: leader ?? 0, shunned: [Double](repeating: 0, count: cluster.members.count)))
    }

    /// A message of so many bytes with an id of its own.
    func message(_ kind: Kind = .observed, bytes: Int = 256) -> [UInt8] { registered(kind, bytes: bytes).bytes }

    private static let pad = [UInt8](repeating: UInt8(ascii: "x"), count: 512)
    private static let end = Array("\"}}".utf8)

    /// The same, with what it is in a history.
    func registered(_ kind: Kind = .observed, bytes: Int = 256) -> (bytes: [UInt8], register: RaftHistory.Register) {
        let own = number.add(1, ordering: .relaxed).newValue
        let register = RaftHistory.Register(key: "\(name)-\(own)", value: own)
        let head = #"{"id":"\#(register.key)","source":"/bench","type":"\#(kind.rawValue)","data":{"pad":""#
        let pad = max(0, bytes - head.utf8.count - 3)
        // Made once: what a client spends on its own text is not what is measured.
        var text = Array(head.utf8)
        text += Self.pad.prefix(pad)
        text += [UInt8](repeating: UInt8(ascii: "x"), count: max(0, pad - Self.pad.count))
        return (text + Self.end, register)
    }

    /// The number of a message that some node has, which first learns what was acknowledged before; nil where there is none.
    func find(_ id: String) async throws(CallError) -> Int? {
        let port = members[Int.random(in: members.indices)].rpc
        let reply: ClientResponse
        do throws(CallError) {
            let query = ClientQuery(path: "messages/\(id)?consistency=linearizable")
            reply = try await client.call(query, to: .tcp(host: "127.0.0.1", port: port), timeout: .seconds(1))
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
        guard let found = (try? JSONScanner.parse(reply.body ?? []))?["id"]?.string, found == id, let dash = found.lastIndex(of: "-"),
            let number = Int(found[found.index(after: dash)...])
        else { throw CallError(.internal, "what was found is not message \(id)") }
        return number
    }

    /// One try; returns once the message is durable.
    func propose(_ message: [UInt8], timeout: Duration) async throws(CallError) {
        let place = route.withLock { $0.place }
        do throws(CallError) {
            let reply = try await client.call(
                ClientSubmit(messages: [message]), to: .tcp(host: "127.0.0.1", port: members[place].rpc), timeout: timeout)
            guard let result = reply.results.first, result.status == 202 else {
                let detail = reply.results.first.map { "status \($0.status) \($0.detail ?? "")" } ?? "no result"
                throw CallError(
                    reply.results.first?.status == 503 ? .busy : .invalid, detail, isUncertain: reply.results.first?.code == "uncertain")
            }
            route.withLock { $0.leader = place }
        } catch {
            turn(from: place, after: error)
            throw error
        }
    }

    private func turn(from place: Int, after error: CallError) {
        let now = LoadClient.now()
        let leader = error.leader.flatMap { leader in members.firstIndex { $0.id == leader.text } }
        route.withLock { route in
            // One that does not lead may have been about to say so.
            if error.code == .unavailable || error.code == .deadlineExceeded && route.leader == place { route.shunned[place] = now + 1 }
            // Another call that failed there may have turned already.
            guard route.place == place else { return }
            let next = (1...members.count).map { (place + $0) % members.count }
            let open = next.filter { route.shunned[$0] <= now }
            if let leader, leader != place, open.contains(leader) { return route.place = leader }
            route.place = open.first ?? next[0]
        }
    }

    func close() async {
        client.close()
        try? await group.shutdownGracefully()
    }
}

import Coordinator
import HTTPTypes
import Hummingbird
import Observability
import Primitives

/// `POST /api/v1/cluster:freeze` and `cluster:thaw`: no message is taken, or no task is given out, until an operator says otherwise.
struct FreezeRoutes: Sendable {
    let info: NodeInfo

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.post("cluster:freeze") { request, _ in try await change(request, isFrozen: true) }
        router.post("cluster:thaw") { request, _ in try await change(request, isFrozen: false) }
    }

    /// `{"part": "intake" | "dispatch", "reason": "..."}`; to thaw takes no reason.
    private func change(_ request: Request, isFrozen: Bool) async throws -> Response {
        let body = try await request.jsonFields(isFrozen ? ["part", "reason"] : ["part"])
        guard let part = body["part"]?.string.flatMap({ Freeze.Part(rawValue: $0) }) else {
            throw Problem.badRequest("invalid_request", "part is intake or dispatch", pointer: "/part")
        }
        guard let reason = (body["reason"] ?? "").string, reason.utf8.count <= FreezeChange.reasonBytes else {
            throw Problem.badRequest("invalid_request", "reason is a text of at most \(FreezeChange.reasonBytes) bytes", pointer: "/reason")
        }
        let before = info.coordinator.loop.current.state.frozen[part] != nil
        switch await info.coordinator.loop.ask([.freeze(FreezeChange(part, isFrozen: isFrozen, reason: reason))])[0] {
        case .done:
            if before != isFrozen { tell(part, isFrozen: isFrozen, reason) }
            return .json(["changed": .bool(before != isFrozen), "frozen": info.coordinator.loop.current.state.frozen.value])
        case .conflict(let what): throw Problem.conflict("feature_level", what, title: "Nothing was changed")
        case .busy(let why): throw Problem.busy(why)
        case .uncertain(let why): throw Problem.uncertain(why)
        case .notFound, .full, .started, .accepted, .activated, .rematch: throw Problem.busy("unexpected answer")
        }
    }

    private func tell(_ part: Freeze.Part, isFrozen: Bool, _ reason: String) {
        let what = part == .intake ? "messages are" : "tasks are"
        let more = reason.isEmpty ? "" : ": \(reason)"
        info.noteAction(
            isFrozen ? "cluster.frozen" : "cluster.thawed", subject: part.rawValue,
            isFrozen
                ? "an operator froze \(part): no \(what.split(separator: " ")[0]) are \(part == .intake ? "taken" : "given to workers")\(more)"
                : "an operator thawed \(part): \(what) \(part == .intake ? "taken" : "given to workers") again")
    }
}

extension Freeze {
    /// `{intake: {since, reason} | null, dispatch: ...}`.
    var value: Value {
        func part(_ stop: Stop?) -> Value { stop.map { ["since": .string($0.since.rfc3339), "reason": .string($0.reason)] } ?? .null }
        return ["intake": part(intake), "dispatch": part(dispatch)]
    }
}

extension NodeInfo {
    /// Before anything else is looked at: whoever sends is to come back much later.
    func checkIntake() throws(Problem) {
        guard let why = coordinator.loop.current.state.frozen.intakeRefusal else { return }
        throw Problem(
            status: .serviceUnavailable, type: "intake_frozen", title: "No messages are taken", detail: why, retryAfterSeconds: 30)
    }
}

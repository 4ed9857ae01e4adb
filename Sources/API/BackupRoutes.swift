import Coordinator
import HTTPTypes
import Hummingbird
import NIOCore
import Observability
import Primitives
import Synchronization

/// `GET /api/v1/backup`: the state as of one index, and with `?history=true` what has ended; `POST /api/v1/cluster:resume`: timers go
/// again.
struct BackupRoutes: Sendable {
    let info: NodeInfo
    private let gate = Gate()

    init(info: NodeInfo) { self.info = info }

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.get("backup") { request, _ in try backup(request) }
        router.post("cluster:resume") { _, _ in try resume() }
    }

    // MARK: Backups

    /// One at a time: each has a state to itself, which is not let go before it ends.
    private final class Gate: Sendable {
        private let isTaken = Atomic<Bool>(false)

        /// Open until it is let go, or closed.
        final class Ticket: Sendable {
            private let gate: Gate
            private let isOpen = Atomic<Bool>(true)

            fileprivate init(_ gate: Gate) { self.gate = gate }
            deinit { close() }
            func close() { if isOpen.exchange(false, ordering: .relaxed) { gate.isTaken.store(false, ordering: .relaxed) } }
        }

        func ticket() -> Ticket? { isTaken.exchange(true, ordering: .relaxed) ? nil : Ticket(self) }
    }

    private func backup(_ request: Request) throws -> Response {
        let wanted = request.uri.queryParameters["history"].map(String.init) ?? "false"
        guard let wantsHistory = Bool(wanted) else { throw Problem.badRequest("invalid_flag", "history is true or false") }
        let state = info.coordinator.loop.current.state
        guard state.applied > .zero else {
            throw Problem.busy("the node has nothing of its cluster yet; ask another one, or wait until it is ready")
        }
        guard let ticket = gate.ticket() else {
            throw Problem.busy("another backup is being made by this node; ask again when it has ended")
        }
        // What is still in memory of it: on a full disk the rest is taken all the same.
        try? info.coordinator.history.flush()
        let history = wantsHistory ? info.coordinator.history.files : nil
        return Response(
            status: .ok,
            headers: [
                .contentType: "application/octet-stream", .cacheControl: "no-store", .appliedIndex: state.applied.description,
                .contentDisposition: "attachment; filename=\"distric-\(info.cluster)-\(state.applied).backup\"",
            ],
            body: .init { [info] writer in
                defer { ticket.close() }
                let source = BackupSource(of: state, history: history, node: info.node, time: info.telemetry.clock.wall)
                defer { source.close() }
                var bytes = 0
                do {
                    while let piece = try await source.next() {
                        bytes += piece.count
                        try await writer.write(ByteBuffer(bytes: piece))
                    }
                } catch {
                    info.telemetry.events.emit(
                        "backup.failed", subject: info.node.text, severity: .warning, "a backup broke off after \(bytes) bytes: \(error)")
                    throw error
                }
                try await writer.finish(nil)
                info.noteAction("backup.made", subject: info.node.text, "a backup of index \(state.applied) was taken: \(bytes) bytes")
            })
    }

    // MARK: Timers

    private func resume() throws -> Response {
        let wereHeld = try info.coordinator.resumeTimers()
        if wereHeld { info.noteAction("cluster.resumed", subject: info.cluster.description, "timers go again, as an operator said") }
        return .json(["resumed": .bool(wereHeld)])
    }
}

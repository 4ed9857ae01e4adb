package import Cluster
package import Observability
package import Primitives
import Storage
import Synchronization
package import Transport
import Wire

/// Answers other coordinators that lack a part of the history: a file at a time is read, on a thread of its own, and as fast as whoever asked
/// reads it.
package final class HistoryServing: Sendable {
    /// Each holds one file of the history in memory; one more is told to come later.
    package static let streamsAtOnce = 2

    private let history: HistoryStore
    private let raft: RaftDriver
    private let directory: PeerDirectory
    /// Up to where the history is written.
    private let applied: @Sendable () -> LogIndex
    private let streams = Mutex(0)
    private let sentBytes: Counter
    private let sentRecords: Counter
    private let unreadable: Counter
    private let events: EventRing

    package init(
        history: HistoryStore, raft: RaftDriver, directory: PeerDirectory, telemetry: Telemetry, applied: @escaping @Sendable () -> LogIndex
    ) {
        (self.history, self.raft, self.directory, self.applied) = (history, raft, directory, applied)
        events = telemetry.events
        let metrics = telemetry.metrics
        sentBytes = metrics.counter("distric_history_sent_bytes_total", "Bytes of the history sent to coordinators that lacked them.")
        sentRecords = metrics.counter(
            "distric_history_sent_records_total", "Messages and runs sent to coordinators whose history lacked them.")
        unreadable = metrics.counter(
            "distric_history_unreadable_bytes_total", "Bytes of the history that did not read back when another coordinator asked for them."
        )
    }

    package func add(to handlers: inout RPCHandlers) {
        handlers.stream(HistoryRead.self) { [self] call, context, writer async throws(CallError) in
            try await answer(call, context, writer)
        }
    }

    func answer(
        _ call: HistoryRead, _ context: RPCContext, _ writer: RPCStreamWriter
    ) async throws(CallError) -> HistoryReadReply {
        try check(context)
        guard call.group == 0, call.after < call.through, call.limitBytes > 0 else {
            throw CallError(
                .invalid,
                "no history of group \(call.group) lies after entry \(call.after) and up to \(call.through), \(call.limitBytes) bytes")
        }
        guard enter() else {
            throw CallError(
                .busy, "\(Self.streamsAtOnce) coordinators are sent what their history lacks, as many as may be", retryAfter: .seconds(1))
        }
        defer { streams.withLock { $0 -= 1 } }
        let work = DiskWork("history-send")
        defer { work.close() }
        let sent: Result<HistoryReadReply, CallError>
        do throws(StorageError) { sent = try await send(call, work, writer) } catch {
            throw CallError(.unavailable, "the history of node \(raft.node) cannot be read: \(error)")
        }
        return try sent.get()
    }

    /// Who asks must be one of the cluster's coordinators.
    private func check(_ context: RPCContext) throws(CallError) {
        guard let node = context.node else { throw CallError(.denied, "history is sent to coordinators alone") }
        if let refusal = directory.refusal(of: node, folder: context.peer.hello.folder) { throw CallError(.denied, refusal) }
        let status = raft.status
        guard (status.voters + status.learners + status.outgoing).contains(node) else {
            throw CallError(.denied, "node '\(node)' is no coordinator of this cluster, as far as node '\(raft.node)' knows")
        }
    }

    private func enter() -> Bool {
        streams.withLock { streams in
            guard streams < Self.streamsAtOnce else { return false }
            streams += 1
            return true
        }
    }

    private func send(
        _ call: HistoryRead, _ work: DiskWork, _ writer: RPCStreamWriter
    ) async throws(StorageError) -> Result<HistoryReadReply, CallError> {
        let (history, applied) = (history, applied())
        let span = try await work.run { () throws(StorageError) in try history.span(call, applied: applied) }
        while let piece = try await work.run({ () throws(StorageError) in try span.next() }) {
            // A record may be larger than a piece of a stream.
            for start in stride(from: 0, to: piece.count, by: RPCStreamWriter.pieceLimit) {
                let part = Array(piece[start..<min(start + RPCStreamWriter.pieceLimit, piece.count)])
                do throws(CallError) { try await writer.send(part) } catch { return .failure(error) }
            }
            sentBytes.increment(by: piece.count)
        }
        let reply = span.reply
        sentRecords.increment(by: Int(clamping: reply.records))
        note(reply)
        return .success(reply)
    }

    private func note(_ reply: HistoryReadReply) {
        guard reply.unreadableBytes > 0 else { return }
        unreadable.increment(by: Int(clamping: reply.unreadableBytes))
        events.emit(
            "history.damaged", subject: raft.node.text, severity: .error,
            "\(reply.unreadableBytes) bytes of the history before entry \(reply.reached) cannot be read; a node that asked for them goes without"
        )
    }
}

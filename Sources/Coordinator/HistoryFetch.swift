package import Cluster
package import Observability
import Primitives
import Storage
package import Transport
import Wire

/// Fills the gaps of this node's history in the background: asks the leader, then others, for a file after the other, no faster than a
/// limit, until all is here or nobody has it.
package final class HistoryFetch: Sendable {
    /// How fast, and how patient.
    package struct Settings: Equatable, Sendable {
        /// The node has other things to do.
        package var bytesPerSecond = 8 << 20
        /// Of records that are asked for at once: they become a file.
        package var fileBytes = 16 << 20
        /// For those, which come in two seconds at the limit.
        package var timeout = Duration.seconds(120)
        /// Between two rounds in which nobody helped; twice as long each time.
        package var pause = Duration.seconds(1)..<(.seconds(30))
        package init() {}
    }

    /// Why a file did not come.
    enum Trouble: Error, Equatable, CustomStringConvertible {
        case call(CallError)
        case incoming(IncomingHistory.Problem)
        case noNumbers

        var description: String {
            switch self {
            case .call(let error): error.description
            case .incoming(.wrong(let what)): "it sent \(what)"
            case .incoming(.storage(let error)): "\(error)"
            case .noNumbers: "\(HistoryGap.fileCount) files of it are here, and there are no numbers for more"
            }
        }
    }

    /// What has come of one gap since the node started.
    struct Tally: Sendable {
        var records = 0
        var bytes = 0
        var unreadableBytes: UInt64 = 0
        var nodes: [NodeID] = []
        /// Of whoever was asked last, the entry of the oldest record that it keeps.
        var oldest: LogIndex?
    }

    private enum Outcome {
        case ended
        /// Nobody helps now; whether something came all the same.
        case later(hasMoved: Bool)
    }

    let history: HistoryStore
    private let raft: RaftDriver
    let directory: PeerDirectory
    let telemetry: Telemetry
    let settings: Settings
    private let refusing: @Sendable () -> String?
    let records: Counter
    let bytes: Counter
    private let failures: Counter

    /// - Parameter refusing: why nothing that can wait is written now; nil while it may be.
    package init(
        history: HistoryStore, raft: RaftDriver, directory: PeerDirectory, telemetry: Telemetry, settings: Settings,
        refusing: @escaping @Sendable () -> String?
    ) {
        (self.history, self.raft, self.directory, self.telemetry) = (history, raft, directory, telemetry)
        (self.settings, self.refusing) = (settings, refusing)
        let metrics = telemetry.metrics
        records = metrics.counter(
            "distric_history_fetched_records_total", "Messages and runs that came from other nodes into a history that lacked them.")
        bytes = metrics.counter("distric_history_fetched_bytes_total", "Bytes of the history that came from other nodes.")
        failures = metrics.counter("distric_history_fetch_failures_total", "Tries to get what the history lacks that failed.")
        let clock = telemetry.clock
        metrics.computed(.gauge, "distric_history_gap_age_seconds", "For how long the history has lacked something; 0 when it does not.") {
            [weak history] in
            history?.gaps.map(\.since).min().map { Double(max(0, clock.wall.duration(since: $0).milliseconds)) / 1000 } ?? 0
        }
        metrics.computed(.gauge, "distric_history_gap_entries", "Log entries of which the history still lacks what they gave.") {
            [weak history] in
            guard let history else { return 0 }
            return history.gaps.reduce(0) { $0 + Double($1.through.number - min($1.through.number, history.reached($1).number)) }
        }
    }

    /// Until the task is cancelled.
    @concurrent
    package func run(through client: RPCClient) async {
        let (gaps, found) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        history.whenGap { found.yield() }
        found.yield()
        let work = DiskWork("history-fetch")
        for await _ in gaps { await fillAll(client, work) }
        work.close()
    }

    private func fillAll(_ client: RPCClient, _ work: DiskWork) async {
        var pause = settings.pause.lowerBound
        var (current, tally) = (nil as HistoryGap?, Tally())
        while let gap = history.gaps.first, !Task.isCancelled {
            if current != gap { (current, tally, pause) = (gap, Tally(), settings.pause.lowerBound) }
            guard case .later(let hasMoved) = await fill(gap, &tally, client, work) else { continue }
            if hasMoved { pause = settings.pause.lowerBound }
            guard (try? await Task.sleep(for: pause)) != nil else { return }
            pause = min(pause * 2, settings.pause.upperBound)
        }
    }

    // MARK: One gap

    /// One round: whoever may have it is asked, until all of it is here.
    private func fill(_ gap: HistoryGap, _ tally: inout Tally, _ client: RPCClient, _ work: DiskWork) async -> Outcome {
        let start = history.reached(gap)
        var reached = start
        var (lacking, reasons): (Set<NodeID>, [String]) = ([], [])
        let (others, isKnown) = others()
        for node in others {
            do throws(Trouble) {
                while reached < gap.through {
                    guard history.hasRoom(for: gap) else { return end(gap, tally, "what is younger takes all the room there is") }
                    if let why = refusing() { return wait(gap, [why], hasMoved: reached > start) }
                    let reply = try await file(of: gap, after: reached, from: node, &tally, client, work)
                    if reply.lacks { lacking.insert(node) }
                    guard reply.reached > reached else { break }
                    reached = reply.reached
                    if reply.lacks { break }
                }
            } catch {
                if case .noNumbers = error { return lose(gap, error.description) }
                failures.increment()
                reasons.append("\(node): \(error)")
                reached = max(reached, history.reached(gap))
            }
            if reached >= gap.through { return end(gap, tally, nil) }
            if Task.isCancelled { return .later(hasMoved: true) }
        }
        guard !isKnown || !others.allSatisfy(lacking.contains) else {
            return lose(gap, others.isEmpty ? "there is no other coordinator" : "the others lack it too")
        }
        return wait(gap, reasons, hasMoved: reached > start)
    }

    /// The leader first, then voters, then learners; and whether it is known who there is.
    private func others() -> (nodes: [NodeID], isKnown: Bool) {
        let status = raft.status
        let all = (status.leader.map { [$0] } ?? []) + status.voters + status.outgoing + status.learners
        var nodes: [NodeID] = []
        for node in all where node != raft.node && !nodes.contains(node) { nodes.append(node) }
        return (nodes, !status.voters.isEmpty)
    }

    private func end(_ gap: HistoryGap, _ tally: Tally, _ why: String?) -> Outcome {
        guard close(gap) else { return .later(hasMoved: false) }
        var text =
            "what ended after entry \(gap.after) and up to entry \(gap.through) is in this node's history now, as far as it is kept: \(tally.records) records, \(tally.bytes) bytes"
        if !tally.nodes.isEmpty { text += " from \(tally.nodes.map(\.text).joined(separator: ", "))" }
        let took = max(0, telemetry.clock.wall.duration(since: gap.since).milliseconds)
        text += ", \(took) ms after it was found to be missing"
        if let oldest = tally.oldest, oldest > gap.after.next { text += "; of what is older than entry \(oldest) nothing is kept there" }
        if tally.unreadableBytes > 0 { text += "; \(tally.unreadableBytes) bytes could not be read there" }
        if let why { text += "; the rest was not fetched: \(why)" }
        telemetry.events.emit(
            "history.filled", subject: telemetry.node.text, text,
            data: .object([
                "after": Value(gap.after.number), "through": Value(gap.through.number), "records": Value(tally.records),
                "bytes": Value(tally.bytes), "durationMs": .int(took), "unreadableBytes": Value(tally.unreadableBytes),
            ]))
        return .ended
    }

    private func lose(_ gap: HistoryGap, _ why: String) -> Outcome {
        guard close(gap) else { return .later(hasMoved: false) }
        history.announceLost(gap, why)
        return .ended
    }

    /// False when that cannot be written down: it is tried again.
    private func close(_ gap: HistoryGap) -> Bool {
        do throws(StorageError) { try history.closeGap(gap) } catch {
            failures.increment()
            telemetry.warn("history", "a gap that is filled cannot be taken off the list: \(error)")
            return false
        }
        return true
    }

    private func wait(_ gap: HistoryGap, _ reasons: [String], hasMoved: Bool) -> Outcome {
        telemetry.warn(
            "history", "what the history lacks after entry \(gap.after) cannot be fetched now, and is tried again",
            ["reason": reasons.isEmpty ? "no coordinator has applied so much" : reasons.joined(separator: "; ")])
        return .later(hasMoved: hasMoved)
    }
}

import Observability
package import Primitives

/// The one thread that writes the log and the vote: it takes all that is queued, writes it at once, syncs once, and reports once.
package final class LogThread: Sendable {
    /// What the thread tells; called on the thread itself.
    package struct Observer: Sendable {
        package var durable: @Sendable (LogIndex) -> Void
        /// Final: after a failed write or sync nothing more is written, and nothing that waited was acknowledged.
        package var failed: @Sendable (StorageError) -> Void
        /// One group: entries, bytes, time of write and sync together.
        package var wrote: @Sendable (_ entries: Int, _ bytes: Int, _ took: Duration) -> Void
        /// Everything up to this ticket is durable.
        package var stored: @Sendable (UInt64) -> Void

        package init(
            durable: @escaping @Sendable (LogIndex) -> Void, failed: @escaping @Sendable (StorageError) -> Void,
            wrote: @escaping @Sendable (Int, Int, Duration) -> Void, stored: @escaping @Sendable (UInt64) -> Void = { _ in }
        ) {
            self.durable = durable
            self.failed = failed
            self.wrote = wrote
            self.stored = stored
        }

        /// Tells nobody.
        package static let silent = Observer(durable: { _ in }, failed: { _ in }, wrote: { _, _, _ in })
    }

    /// One change of what is on disk.
    package enum Operation: Equatable, Sendable {
        case append([LogEntry])
        case truncate(after: LogIndex)
        /// A snapshot that was installed takes the place of the log.
        case reset(to: SegmentedLog.Position)
        /// Of those that wait together only the newest is written, and before any entry.
        case hardState(HardState)
        /// Done once all before it is reported; need not be durable.
        case compact(through: LogIndex)
        /// What was lost has been made good: forgotten once the entries that made it good are durable.
        case didRepair
    }

    /// Something else that is done on this thread, with the same folder; when it fails the disk is not to be trusted any more.
    package typealias Job = @Sendable () throws(StorageError) -> Void

    enum Work: Sendable {
        /// - ticket: 0 has none.
        /// - first: done before anything that waits together is written.
        case write([Operation], ticket: UInt64, first: Job?)
        case read(first: LogIndex, last: LogIndex, maxBytes: Int, answer: @Sendable (Result<[LogEntry], StorageError>) -> Void)
    }

    private let work: Mailbox<Work>
    private let thread: NamedThread
    private let busy = BusySince()

    /// Takes over a log and a vote file that have been opened; the caller must not touch them again.
    /// - Parameter votes: nil when hard states are written elsewhere.
    package init(log: SegmentedLog, votes: HardStateFile? = nil, clock: any NodeClock, observer: Observer) {
        // What waits is bounded by what the proposer admits; the limit here is a second line.
        let work = Mailbox<Work>(limit: 65_536)
        self.work = work
        let (writer, busy) = (LogWriter(log, votes, clock: clock, observer: observer), busy)
        thread = NamedThread("raft-log") { writer.run(busy: busy) { work.take(timeout: $0) } }
    }

    /// Queues changes that belong together, done in this order. Once they and all before them are durable, `stored` tells the ticket, or a
    /// later one.
    /// - Parameters:
    ///   - ticket: rises from group to group.
    ///   - first: done before.
    /// - Returns: false when the thread has stopped.
    @discardableResult
    package func write(_ operations: [Operation], ticket: UInt64, first: Job? = nil) -> Bool {
        work.force(.write(operations, ticket: ticket, first: first))
    }

    /// Does something on the thread, in order with what others want done first, and before what waits together with it is written.
    @discardableResult
    package func perform(_ job: @escaping Job) -> Bool { work.force(.write([], ticket: 0, first: job)) }

    /// False when the thread has stopped.
    package func append(_ entries: [LogEntry]) -> Bool { work.force(.write([.append(entries)], ticket: 0, first: nil)) }
    package func compact(through index: LogIndex) { work.force(.write([.compact(through: index)], ticket: 0, first: nil)) }

    /// Reads entries as `SegmentedLog.entries` does, behind all that is queued; `answer` is called on the thread.
    /// - Returns: false when the thread has stopped: there will be no answer.
    package func read(
        from first: LogIndex, through last: LogIndex, maxBytes: Int, answer: @escaping @Sendable (Result<[LogEntry], StorageError>) -> Void
    ) -> Bool {
        work.force(.read(first: first, last: last, maxBytes: maxBytes, answer: answer))
    }

    /// Since when it has been at the group that it writes; nil while nothing is to be written.
    package var busySince: Instant? { busy.instant }

    /// Writes what is queued, then ends the thread.
    package func close() {
        work.close()
        thread.join()
    }
}

import Observability
package import Primitives

/// The one thread that writes the log: it takes all that is queued, writes it at once, syncs once, and reports once.
package final class LogThread: Sendable {
    /// What the thread tells; called on the thread itself.
    package struct Observer: Sendable {
        package var durable: @Sendable (LogIndex) -> Void
        /// Final: after a failed write or sync nothing more is written, and nothing that waited was acknowledged.
        package var failed: @Sendable (StorageError) -> Void
        /// One group: entries, bytes, time of write and sync together.
        package var wrote: @Sendable (_ entries: Int, _ bytes: Int, _ took: Duration) -> Void

        package init(
            durable: @escaping @Sendable (LogIndex) -> Void, failed: @escaping @Sendable (StorageError) -> Void,
            wrote: @escaping @Sendable (Int, Int, Duration) -> Void
        ) {
            self.durable = durable
            self.failed = failed
            self.wrote = wrote
        }
    }

    private enum Work: Sendable {
        case append([LogEntry])
        case compact(LogIndex)
    }

    private let work: Mailbox<Work>
    private let thread: NamedThread
    private let busy = BusySince()

    /// Takes over a log that has been opened; the caller must not touch it again.
    package init(log: SegmentedLog, clock: any NodeClock, observer: Observer) {
        // What waits is bounded by what the proposer admits; the limit here is a second line.
        let work = Mailbox<Work>(limit: 65_536)
        self.work = work
        let (holder, busy) = (LogHolder(log), busy)
        thread = NamedThread("raft-log") { holder.run(work: { work.take(timeout: $0) }, clock: clock, busy: busy, observer: observer) }
    }

    /// False when the thread has stopped.
    package func append(_ entries: [LogEntry]) -> Bool { work.force(.append(entries)) }
    package func compact(through index: LogIndex) { work.force(.compact(index)) }

    /// Since when it has been at the group that it writes; nil while nothing is to be written.
    package var busySince: Instant? { busy.instant }

    /// Writes what is queued, then ends the thread.
    package func close() {
        work.close()
        thread.join()
    }

    /// Owns the log on the thread; nobody else has a reference.
    private final class LogHolder: @unchecked Sendable {
        private let log: SegmentedLog
        private var hasFailed = false

        init(_ log: SegmentedLog) { self.log = log }

        func run(work: (Duration?) -> [Work]?, clock: any NodeClock, busy: BusySince, observer: Observer) {
            var isMarked = true
            while let batch = work(isMarked ? nil : .seconds(1)) {
                guard !hasFailed else { continue }
                busy.begin(clock.now)
                defer { busy.end() }
                do throws(StorageError) {
                    if batch.isEmpty { try log.mark() } else { try perform(batch, clock, observer) }
                    isMarked = batch.isEmpty
                } catch {
                    hasFailed = true
                    observer.failed(error)
                }
            }
            if !hasFailed { try? log.mark() }
            log.close()
        }

        private func perform(_ batch: [Work], _ clock: any NodeClock, _ observer: Observer) throws(StorageError) {
            let start = clock.now
            var entries = 0
            var bytes = 0
            for work in batch {
                guard case .append(let group) = work else { continue }
                try log.append(group)
                entries += group.count
                bytes += group.reduce(0) { $0 + $1.payload.count }
            }
            if entries > 0 {
                try log.sync()
                observer.wrote(entries, bytes, clock.now.duration(since: start))
                observer.durable(log.durable)
            }
            for case .compact(let index) in batch { try log.compact(through: index) }
            try log.prepareAhead()
        }
    }
}

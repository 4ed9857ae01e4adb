import Observability
package import Primitives

/// Owns the log and the vote file on the log's thread; nobody else has a reference. A simulator calls `perform` itself.
package final class LogWriter: @unchecked Sendable {
    private let log: SegmentedLog
    private let votes: HardStateFile?
    private let clock: any NodeClock
    private let observer: LogThread.Observer
    /// Once set, nothing more is written.
    private var failure: StorageError?
    private var lastTicket: UInt64 = 0
    /// Entries of the batch in hand that are not written yet: they go to the file together.
    private var pending: [LogEntry] = []
    /// How many items of the batch in hand are done.
    private var done = 0

    package init(_ log: SegmentedLog, _ votes: HardStateFile?, clock: any NodeClock, observer: LogThread.Observer) {
        self.log = log
        self.votes = votes
        self.clock = clock
        self.observer = observer
    }

    func run(busy: BusySince, take: (Duration?) -> [LogThread.Work]?) {
        var isMarked = true
        while let batch = take(isMarked ? nil : .seconds(1)) {
            done = 0
            if failure == nil {
                busy.begin(clock.now)
                defer { busy.end() }
                do throws(StorageError) {
                    if batch.isEmpty { try log.mark() } else { try perform(batch) }
                    isMarked = batch.isEmpty
                } catch {
                    failure = error
                    observer.failed(error)
                }
            }
            if let failure { refuseReads(batch[done...], failure) }
        }
        if failure == nil { try? log.mark() }
        log.close()
        votes?.close()
    }

    /// Does groups that wait together: one write and one sync of each file. Throws once; after that the disk is not to be trusted.
    package func perform(_ groups: [(ticket: UInt64, operations: [LogThread.Operation])]) throws(StorageError) {
        done = 0
        try perform(groups.map { .write($0.operations, ticket: $0.ticket, first: nil) })
    }

    private func perform(_ batch: [LogThread.Work]) throws(StorageError) {
        let start = clock.now
        let ticket = newestTicket(batch)
        for case .write(_, _, let first?) in batch { try first() }
        try persistNewest(batch)
        var (entries, bytes) = (0, 0)
        for work in batch {
            switch work {
            case .write(let operations, _, _):
                for operation in operations {
                    if case .append(let group) = operation {
                        entries += group.count
                        bytes += group.reduce(0) { $0 + $1.payload.count }
                    }
                    try perform(operation)
                }
            case .read(let first, let last, let maxBytes, let answer):
                try flush()
                answer(read(first, last, maxBytes))
            }
            done += 1
        }
        try flush()
        if log.durable < log.last.index { try log.sync() }
        if batch.contains(where: \.saysRepaired) { try log.didRepair() }
        if entries > 0 {
            observer.wrote(entries, bytes, clock.now.duration(since: start))
            observer.durable(log.durable)
        }
        if ticket > lastTicket {
            lastTicket = ticket
            observer.stored(ticket)
        }
        for case .write(let operations, _, _) in batch {
            for case .compact(let index) in operations { try log.compact(through: index) }
        }
        try log.prepareAhead()
    }

    private func newestTicket(_ batch: [LogThread.Work]) -> UInt64 {
        var newest = lastTicket
        for case .write(_, let ticket, _) in batch where ticket > 0 {
            precondition(ticket > newest, "ticket \(ticket) after \(newest)")
            newest = ticket
        }
        return newest
    }

    /// Term and vote come before the entries of that term; those between were never told of.
    private func persistNewest(_ batch: [LogThread.Work]) throws(StorageError) {
        var newest: HardState?
        for case .write(let operations, _, _) in batch {
            for case .hardState(let state) in operations { newest = state }
        }
        guard let newest else { return }
        guard let votes else { preconditionFailure("a hard state, and no file for it") }
        try votes.persist(newest)
    }

    private func perform(_ operation: LogThread.Operation) throws(StorageError) {
        switch operation {
        case .append(let entries): pending += entries
        case .truncate(let index):
            try flush()
            try log.truncate(after: index)
        case .reset(let position):
            try flush()
            try log.reset(to: position)
        case .hardState, .compact, .didRepair: break
        }
    }

    private func flush() throws(StorageError) {
        guard !pending.isEmpty else { return }
        try log.append(pending)
        pending.removeAll()
    }

    private func read(_ first: LogIndex, _ last: LogIndex, _ maxBytes: Int) -> Result<[LogEntry], StorageError> {
        do throws(StorageError) {
            return .success(try log.entries(from: first, through: last, maxBytes: maxBytes))
        } catch {
            return .failure(error)
        }
    }

    private func refuseReads(_ batch: ArraySlice<LogThread.Work>, _ failure: StorageError) {
        for case .read(_, _, _, let answer) in batch { answer(.failure(failure)) }
    }
}

extension LogThread.Work {
    fileprivate var saysRepaired: Bool {
        if case .write(let operations, _, _) = self { operations.contains(.didRepair) } else { false }
    }
}

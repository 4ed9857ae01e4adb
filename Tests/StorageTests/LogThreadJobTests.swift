import Primitives
import Synchronization
import Testing

@testable import Storage

/// What else is done on the log's thread: before a group is written, or by itself (LogThread.swift).
struct LogThreadJobTests {
    /// What happened on the thread and on the disk, in order.
    private enum Step: Equatable, Sendable {
        case job(Int)
        /// The log's file was written to.
        case write
        case stored(UInt64)
    }

    private static let error = StorageError.io(operation: "take", path: "a chunk", errno: 5)

    private let temporary: TemporaryFolder
    private let reports = LogThreadReports()
    private let steps = Steps()
    private var folder: String { temporary.path + "/log" }

    /// Steps, and a place at which the thread can be held up.
    private final class Steps: Sendable {
        private let taken = Mutex<[Step]>([])
        private let isHolding = Atomic(false)
        private let arrived = Mailbox<Void>(limit: 1)
        private let gate = Mailbox<Void>(limit: 1)

        var all: [Step] { taken.withLock { $0 } }
        func add(_ step: Step) { taken.withLock { $0.append(step) } }

        /// The next write waits until it is let go.
        func hold() { isHolding.store(true, ordering: .sequentiallyConsistent) }
        func letGo() { gate.close() }
        func untilHeld() -> Bool { arrived.take(timeout: .seconds(60))?.isEmpty == false }

        func passWrite() {
            if isHolding.exchange(false, ordering: .sequentiallyConsistent) {
                _ = arrived.put(())
                _ = gate.take(timeout: .seconds(60))
            }
            add(.write)
        }
    }

    init() throws { temporary = try TemporaryFolder() }

    private func thread() throws -> LogThread {
        let (steps, reports) = (steps, reports)
        let disk = HookedDisk { change throws(StorageError) in
            if case .write(let path, _) = change, path.hasSuffix(".log") { steps.passWrite() }
        }
        let log = try openedLog(folder, disk: disk)
        var observer = reports.observer
        let tell = observer.stored
        observer.stored = { ticket in
            steps.add(.stored(ticket))
            tell(ticket)
        }
        return LogThread(log: log, clock: StoppedClock(), observer: observer)
    }

    private func job(_ number: Int) -> LogThread.Job {
        { [steps] () throws(StorageError) in steps.add(.job(number)) }
    }

    /// Holds the thread up in its first write, lets all of it gather, and ends it.
    private func gather(_ use: (LogThread) -> Void) throws {
        let thread = try thread()
        steps.hold()
        thread.write([.append([entry(1)])], ticket: 1)
        #expect(steps.untilHeld())
        use(thread)
        steps.letGo()
        thread.close()
    }

    // MARK: Order

    @Test func `what is to be done first is done before anything that waits together is written`() throws {
        try gather { thread in
            thread.write([.append([entry(2)])], ticket: 2)
            thread.write([.append([entry(3)])], ticket: 3, first: job(3))
            thread.write([], ticket: 4, first: job(4))
        }
        #expect(steps.all == [.write, .stored(1), .job(3), .job(4), .write, .stored(4)])
        #expect(reports.failures.isEmpty)
        let (served, _) = try readLog(folder)
        #expect(served == entries(1...3))
    }

    @Test func `jobs are done one after the other, and each before the write that brings it is told as stored`() throws {
        try gather { thread in
            for number in 2...40 {
                if number % 3 == 0 {
                    #expect(thread.perform(job(number)))
                } else {
                    thread.write([.append([entry(UInt64(number - number / 3))])], ticket: UInt64(number), first: job(number))
                }
            }
        }
        #expect(steps.all.filter { if case .job = $0 { true } else { false } } == (2...40).map { .job($0) })
        #expect(steps.all.last == .stored(40))
        let (served, _) = try readLog(folder)
        #expect(served == entries(1...27))
    }

    @Test func `a job comes after all that was written before it was asked for`() throws {
        let thread = try thread()
        for number in 1...10 as ClosedRange<UInt64> {
            thread.write([.append([entry(number)])], ticket: number)
            let asked = Mailbox<Void>(limit: 1)
            let steps = steps
            // Read behind what is queued: the write is done when it is answered.
            let isRead = thread.read(from: LogIndex(number), through: LogIndex(number), maxBytes: 1) { _ in asked.force(()) }
            #expect(isRead)
            #expect(asked.take(timeout: .seconds(60))?.count == 1)
            #expect(thread.perform { () throws(StorageError) in steps.add(.job(Int(number))) })
        }
        thread.close()
        let writes = steps.all.filter { $0 == .write }
        #expect(writes.count == 10)
        for number in 1...10 {
            let place = try #require(steps.all.firstIndex(of: .job(number)))
            #expect(steps.all[..<place].count { $0 == .write } >= number)
        }
    }

    // MARK: Failure

    @Test func `a job that fails is final: nothing that waits with it is written, and nothing after it`() throws {
        try gather { thread in
            thread.write([.append([entry(2)])], ticket: 2)
            thread.write([.append([entry(3)])], ticket: 3) { () throws(StorageError) in throw Self.error }
            thread.write([.append([entry(4)])], ticket: 4, first: job(4))
            _ = thread.read(from: LogIndex(1), through: LogIndex(1), maxBytes: 1, answer: reports.answer)
        }
        #expect(reports.failures == [Self.error])
        #expect(steps.all == [.write, .stored(1)])
        #expect(reports.stored == [1])
        #expect(reports.read == [.failure(Self.error)])
        let (served, _) = try readLog(folder)
        #expect(served == entries(1...1))
    }

    @Test func `a job by itself that fails is final too, and no job is done after it`() throws {
        try gather { thread in
            #expect(thread.perform { () throws(StorageError) in throw Self.error })
            #expect(thread.perform(job(2)))
            thread.write([.append([entry(2)])], ticket: 2)
        }
        #expect(reports.failures == [Self.error])
        #expect(steps.all == [.write, .stored(1)])
    }

    @Test func `after a failed write no job is done`() throws {
        let disk = FaultyDisk()
        let log = try openedLog(folder, disk: disk)
        let thread = LogThread(log: log, clock: StoppedClock(), observer: reports.observer)
        disk.fail()
        thread.write([.append([entry(1)])], ticket: 1)
        let asked = Mailbox<Void>(limit: 1)
        _ = thread.read(from: LogIndex(1), through: LogIndex(1), maxBytes: 1) { _ in asked.force(()) }
        #expect(asked.take(timeout: .seconds(60))?.count == 1)
        #expect(thread.perform(job(1)))
        thread.close()
        #expect(reports.failures == [FaultyDisk.error])
        #expect(steps.all.isEmpty)
    }

    @Test func `a closed thread does nothing more`() throws {
        let thread = try thread()
        thread.close()
        #expect(!thread.perform(job(1)))
        #expect(steps.all.isEmpty)
    }
}

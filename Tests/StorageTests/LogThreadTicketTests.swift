import Primitives
import Synchronization
import Testing

@testable import Storage

/// What is written together is told by ticket, in order, and only when all of it is durable (LogThread.swift; Raft figure 2).
struct LogThreadTicketTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }
    private var votePath: String { temporary.path + "/vote" }

    init() throws { temporary = try TemporaryFolder() }

    private func state(_ term: UInt64) throws -> HardState { HardState(term: Term(term), vote: try NodeID("n\(term)")) }

    /// Runs a thread on a log and a vote file of their own, and ends it.
    private func run(disk: any Disk = FileDisk(), _ use: (LogThread) throws -> Void) throws -> LogThreadReports {
        let reports = LogThreadReports()
        let votes = try HardStateFile(disk: disk, path: votePath)
        let log = try openedLog(folder, disk: disk)
        let thread = LogThread(log: log, votes: votes, clock: StoppedClock(), observer: reports.observer)
        try use(thread)
        thread.close()
        return reports
    }

    private func vote() throws -> HardState {
        let file = try HardStateFile(disk: FileDisk(), path: votePath)
        defer { file.close() }
        return file.state
    }

    @Test func `the last ticket is told, each batch once, and everything is there`() throws {
        let reports = try run { thread in
            for term in UInt64(1)...50 {
                let isTaken = thread.write([.hardState(try state(term)), .append([entry(term, term: term)])], ticket: term * 10)
                #expect(isTaken)
            }
        }
        #expect(reports.stored.last == UInt64(500))
        #expect(reports.stored == reports.stored.sorted())
        #expect(Set(reports.stored).count == reports.stored.count)
        #expect(reports.failures.isEmpty)
        let (served, _) = try readLog(folder)
        #expect(served == (UInt64(1)...50).map { entry($0, term: $0) })
        let last = try vote()
        #expect(last == (try state(50)))
    }

    @Test func `truncation, reset and entries are done in the order in which they came`() throws {
        let base = SegmentedLog.Position(index: LogIndex(200), term: Term(4), chain: 9)
        let reports = try run { thread in
            thread.write([.append(entries(1...60, bytes: 200))], ticket: 1)
            thread.write([.truncate(after: LogIndex(20)), .append([entry(21, term: 2), entry(22, term: 2)])], ticket: 2)
            _ = thread.read(from: LogIndex(19), through: LogIndex(99), maxBytes: .max, answer: reports0.answer)
            thread.write([.truncate(after: LogIndex(21))], ticket: 3)
            _ = thread.read(from: LogIndex(1), through: LogIndex(99), maxBytes: 1, answer: reports0.answer)
            thread.write([.reset(to: base), .append([entry(201, term: 4)])], ticket: 4)
            _ = thread.read(from: LogIndex(21), through: LogIndex(99), maxBytes: .max, answer: reports0.answer)
            _ = thread.read(from: LogIndex(201), through: LogIndex(201), maxBytes: .max, answer: reports0.answer)
        }
        #expect(reports.stored.last == UInt64(4))
        #expect(reports.failures.isEmpty)
        let before = entries(1...60, bytes: 200)
        #expect(
            reports0.read == [
                .success(Array(before[18..<20]) + [entry(21, term: 2), entry(22, term: 2)]), .success([before[0]]),
                .failure(.gap(path: folder, expected: LogIndex(21), found: LogIndex(201))), .success([entry(201, term: 4)]),
            ])
        let (served, _) = try readLog(folder, from: base)
        #expect(served == [entry(201, term: 4)])
    }

    /// Who answers.
    private let reports0 = LogThreadReports()

    @Test func `a hard state is durable before any byte of the entries that came with it`() throws {
        let changes = Mutex<[HookedDisk.Change]>([])
        let disk = HookedDisk { change throws(StorageError) in changes.withLock { $0.append(change) } }
        let reports = try run(disk: disk) { thread in
            changes.withLock { $0.removeAll() }
            thread.write([.append([entry(1)]), .hardState(try state(3))], ticket: 1)
        }
        #expect(reports.stored == [1])
        let log = folder + "/00000000000000000001.log"
        let made = changes.withLock { $0 }.prefix(5)
        #expect(
            Array(made) == [
                .write(votePath, bytes: 128), .write(votePath, bytes: 128), .sync(votePath), .write(log, bytes: 64), .sync(log),
            ])
    }

    @Test func `what waits together is written with one write and one sync a file`() throws {
        let changes = Mutex<[HookedDisk.Change]>([])
        let gate = Mailbox<Void>(limit: 1)
        let disk = HookedDisk { change throws(StorageError) in
            // Holds the first group up until all that follows it waits.
            if case .write(_, bytes: 128) = change { _ = gate.take(timeout: .seconds(60)) }
            changes.withLock { $0.append(change) }
        }
        let reports = try run(disk: disk) { thread in
            thread.write([.hardState(try state(1))], ticket: 1)
            for index in UInt64(1)...20 {
                thread.write([.hardState(try state(index)), .append([entry(index, term: index)])], ticket: index + 1)
            }
            gate.close()
        }
        #expect(reports.stored.last == UInt64(21))
        let log = folder + "/00000000000000000001.log"
        let made = changes.withLock { $0 }
        // One group may have been taken before the rest had come.
        #expect(made.filter { $0 == .sync(votePath) }.count <= 4)
        #expect(made.filter { if case .write(log, _) = $0 { true } else { false } }.count <= 2)
    }

    @Test func `when the vote file cannot be synced no entry is written, and nothing is told as stored`() throws {
        let isFailing = Atomic<Bool>(false)
        let path = votePath
        let disk = HookedDisk { change throws(StorageError) in
            if change == .sync(path), isFailing.load(ordering: .relaxed) { throw FaultyDisk.error }
        }
        let reports = try run(disk: disk) { thread in
            isFailing.store(true, ordering: .relaxed)
            thread.write([.append([entry(1)]), .hardState(try state(3))], ticket: 1)
            thread.write([.append([entry(2)])], ticket: 2)
        }
        #expect(reports.failures == [FaultyDisk.error])
        #expect(reports.stored.isEmpty)
        #expect(reports.durable.isEmpty)
        let (served, _) = try readLog(folder)
        #expect(served.isEmpty)
    }

    @Test func `after a failed sync nothing more is stored, and readers are told why`() throws {
        let disk = FaultyDisk()
        let reports = try run(disk: disk) { thread in
            disk.fail()
            thread.write([.append([entry(1)])], ticket: 1)
            _ = thread.read(from: LogIndex(1), through: LogIndex(1), maxBytes: 1, answer: { _ in })
            for ticket in UInt64(2)...9 { thread.write([.append([entry(ticket)])], ticket: ticket) }
            thread.write([.truncate(after: .zero)], ticket: 10)
            _ = thread.read(from: LogIndex(1), through: LogIndex(1), maxBytes: 1, answer: reports0.answer)
        }
        #expect(reports.failures == [FaultyDisk.error])
        #expect(reports.stored.isEmpty)
        #expect(reports0.read.count == 1)
    }

    @Test func `a closed thread takes no work and promises no answer`() throws {
        let log = try openedLog(folder, disk: FileDisk())
        let reports = LogThreadReports()
        let thread = LogThread(log: log, clock: StoppedClock(), observer: reports.observer)
        thread.close()
        let isTaken = thread.write([.append([entry(1)])], ticket: 1)
        #expect(!isTaken)
        let isRead = thread.read(from: LogIndex(1), through: LogIndex(1), maxBytes: 1, answer: reports.answer)
        #expect(!isRead)
        #expect(reports.read.isEmpty)
    }

    @Test func `damage is forgotten when it is made good, with the entries that did it`() throws {
        try SampleLog.write(to: folder)
        var bytes = try readFile(folder + "/00000000000000000033.log")
        bytes[100] ^= 1
        try writeFile(folder + "/00000000000000000033.log", bytes)
        let (_, found) = try readLog(folder, repairing: true)
        #expect(found.damage != nil)
        let reports = try run { thread in
            thread.write([.append((UInt64(33)...60).map { entry($0, term: 2) })], ticket: 1)
            thread.write([.didRepair], ticket: 2)
        }
        #expect(reports.stored.last == UInt64(2))
        let (served, recovery) = try readLog(folder)
        #expect(served.count == 60)
        #expect(recovery.damage == nil)
    }
}

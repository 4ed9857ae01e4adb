import Primitives
import Testing

@testable import Storage

/// One thread writes the log in groups and reports what is durable (LogThread.swift).
struct LogThreadTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }

    init() throws { temporary = try TemporaryFolder() }

    @Test func `all that was appended is durable, told once a group, and there after closing`() throws {
        let reports = LogThreadReports()
        let log = try openedLog(folder, disk: FileDisk())
        let thread = LogThread(log: log, clock: StoppedClock(), observer: reports.observer)
        var next: UInt64 = 1
        let counts: [UInt64] = [1, 5, 2, 40, 1, 1, 50]
        for count in counts {
            let taken = thread.append(entries(next...(next + count - 1)))
            #expect(taken)
            next += count
        }
        thread.close()
        #expect(reports.durable.last == UInt64(100))
        #expect(reports.durable == reports.durable.sorted())
        #expect(reports.groups.count == reports.durable.count)
        #expect(reports.groups.count <= 7)
        #expect(reports.groups.reduce(0, +) == 100)
        #expect(reports.bytes.reduce(0, +) == 1600)
        #expect(reports.failures.isEmpty)
        let (served, recovery) = try readLog(folder)
        #expect(served == entries(1...100))
        #expect(recovery.cut?.offset == nil)
    }

    @Test func `a thread goes on where the one before it ended`() throws {
        for part in UInt64(0)..<5 {
            let reports = LogThreadReports()
            let log = try openedLog(folder, disk: FileDisk())
            let thread = LogThread(log: log, clock: StoppedClock(), observer: reports.observer)
            let taken = thread.append(entries((part * 20 + 1)...(part * 20 + 20)))
            #expect(taken)
            thread.close()
            #expect(reports.durable == [part * 20 + 20])
        }
        let (served, _) = try readLog(folder)
        #expect(served == entries(1...100))
    }

    @Test func `a closed thread takes nothing more`() throws {
        let log = try openedLog(folder, disk: FileDisk())
        let reports = LogThreadReports()
        let thread = LogThread(log: log, clock: StoppedClock(), observer: reports.observer)
        thread.close()
        let taken = thread.append([entry(1)])
        #expect(!taken)
        #expect(reports.durable.isEmpty)
    }

    @Test func `compaction follows the entries that were queued before it`() throws {
        let log = try openedLog(folder, disk: FileDisk())
        let reports = LogThreadReports()
        let thread = LogThread(log: log, clock: StoppedClock(), observer: reports.observer)
        for index in UInt64(1)...100 { _ = thread.append([entry(index, bytes: 200)]) }
        thread.compact(through: LogIndex(60))
        thread.close()
        #expect(reports.durable.last == UInt64(100))
        #expect(reports.failures.isEmpty)
        let firsts = try FileDisk().list(folder).filter { $0.hasSuffix(".log") }.compactMap { UInt64($0.dropLast(4)) }
        #expect(firsts == [49, 65, 81, 97])
    }

    @Test func `after a failed sync nothing is called durable, and the failure is told once`() throws {
        let disk = FaultyDisk()
        let log = try openedLog(folder, disk: disk)
        let reports = LogThreadReports()
        let thread = LogThread(log: log, clock: StoppedClock(), observer: reports.observer)
        disk.fail()
        for index in UInt64(1)...5 { _ = thread.append([entry(index)]) }
        thread.close()
        #expect(reports.failures == [FaultyDisk.error])
        #expect(reports.durable.isEmpty)
        #expect(reports.groups.isEmpty)
    }
}

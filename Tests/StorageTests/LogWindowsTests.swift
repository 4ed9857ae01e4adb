import Primitives
import Testing

@testable import Storage

/// A log is read beside the one that writes it (LogWindows.swift).
struct LogWindowsTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }
    private let all = SampleLog.entries

    init() throws { temporary = try TemporaryFolder() }

    private var windows: LogWindows { LogWindows(disk: ReadOnlyDisk(), folder: folder) }

    private func read(
        _ windows: LogWindows, from first: UInt64, count: Int = 1000, through last: UInt64 = 60, maxBytes: Int = .max
    ) throws -> (first: UInt64, entries: [LogEntry]) {
        let window = try windows.read(from: LogIndex(first), count: count, through: LogIndex(last), maxBytes: maxBytes)
        return (window.first.number, window.records.map(\.entry))
    }

    @Test func `every stretch reads as it was written, over files too, and again`() throws {
        try SampleLog.write(to: folder)
        let windows = windows
        for _ in 0..<2 {
            for first in 1...60 {
                for count in [1, 7, 60] {
                    let (_, entries) = try read(windows, from: UInt64(first), count: count)
                    #expect(entries == Array(all[(first - 1)..<min(60, first - 1 + count)]), "\(count) from \(first)")
                }
            }
        }
    }

    @Test func `nothing beyond what is said to be durable is read`() throws {
        try SampleLog.write(to: folder)
        #expect(try read(windows, from: 50, through: 55).entries.map(\.index.number) == [50, 51, 52, 53, 54, 55])
        #expect(try read(windows, from: 56, through: 55).entries.isEmpty)
        #expect(try read(windows, from: 3, count: 0).entries.isEmpty)
    }

    @Test func `one entry comes whatever it has, then as many as fit`() throws {
        try SampleLog.write(to: folder)
        let size = Record.size(payload: 200)
        for (maxBytes, count) in [(0, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2), (5 * size, 5)] {
            #expect(try read(windows, from: 10, maxBytes: maxBytes).entries == Array(all[9..<9 + count]), "\(maxBytes) bytes")
        }
    }

    @Test func `the chain of each record is the log's own`() throws {
        try SampleLog.write(to: folder)
        let window = try windows.read(from: LogIndex(20), count: 1, through: LogIndex(60), maxBytes: .max)
        #expect(window.records.first?.chain == position(after: all.prefix(20)).chain)
    }

    @Test func `of a log that was compacted the first that is kept is told, and reading begins there`() throws {
        try SampleLog.write(to: folder)
        let windows = windows
        #expect(try read(windows, from: 1).first == 1)
        try withLog(folder) { log in
            try log.compact(through: LogIndex(40))
            let first = log.firstIndex.number
            #expect(first > 1)
            let (kept, entries) = try read(windows, from: 1)
            #expect(kept == first && entries == Array(all[(Int(first) - 1)...]))
        }
    }

    @Test func `where there is no log there is nothing, and the next entry is the first`() throws {
        let window = try windows.read(from: LogIndex(1), count: 10, through: LogIndex(7), maxBytes: .max)
        #expect(window == .init(first: LogIndex(8)))
    }

    /// What was noted of a file holds only for that file: after a cut the entries are others.
    @Test func `entries that took the place of others are read, while the log is written`() throws {
        try SampleLog.write(to: folder)
        let windows = windows
        try withLog(folder) { log in
            #expect(try read(windows, from: 41).entries == Array(all[40...]))
            try log.truncate(after: LogIndex(50))
            let others = (51...58 as ClosedRange<UInt64>).map { entry($0, term: 9, bytes: 40) }
            try log.append(others)
            try log.sync()
            #expect(try read(windows, from: 41, through: 58).entries == Array(all[40..<50]) + others)
            #expect(try read(windows, from: 55, count: 2, through: 58).entries == Array(others[4..<6]))
        }
    }

    @Test func `a file that goes while it is read is no failure`() throws {
        try SampleLog.write(to: folder)
        let disk = VanishingDisk(path: folder)
        let windows = LogWindows(disk: disk, folder: folder)
        #expect(try read(windows, from: 60).entries.map(\.index.number) == [60])
        #expect(disk.failures == 0)
    }

    @Test func `damage is told with its place`() throws {
        try SampleLog.write(to: folder)
        let name = try #require(try logFiles(folder).first)
        let file = try FileDisk().open(folder + "/" + name, create: false)
        try file.write([0xFF], at: SegmentedLog.headBytes + 60)
        file.close()
        let error = storageError { _ = try read(windows, from: 1) }
        guard case .damaged(let path, let offset, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(path == folder + "/" + name && offset == SegmentedLog.headBytes)
    }
}

/// Says once of a log's file that it is gone, though it was listed.
private final class VanishingDisk: Disk, @unchecked Sendable {
    private let real = ReadOnlyDisk()
    private let path: String
    private(set) var failures = 1
    private var opened: [String: Int] = [:]

    init(path: String) { self.path = path }

    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        opened[path, default: 0] += 1
        // First its head is read, then its records.
        if failures > 0, opened[path] == 2 {
            failures -= 1
            throw .io(operation: "open", path: path, errno: 2)
        }
        return try real.open(path, create: create)
    }

    func list(_ folder: String) throws(StorageError) -> [String] { try real.list(folder) }
    func exists(_ path: String) -> Bool { real.exists(path) }
    func makeFolder(_ path: String) throws(StorageError) { try real.makeFolder(path) }
    func rename(_ path: String, to newPath: String) throws(StorageError) { try real.rename(path, to: newPath) }
    func remove(_ path: String) throws(StorageError) { try real.remove(path) }
    func syncFolder(_ path: String) throws(StorageError) { try real.syncFolder(path) }
    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { real.space(at: path) }
}

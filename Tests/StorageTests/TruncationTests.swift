import Primitives
import Synchronization
import Testing

@testable import Storage

/// A follower drops what conflicts with a new leader's log (Raft section 5.3; SegmentedLog+Truncation.swift).
struct TruncationTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }
    private let before = SampleLog.entries

    init() throws { temporary = try TemporaryFolder() }

    private func later(_ range: ClosedRange<UInt64>, term: UInt64 = 2) -> [LogEntry] {
        range.map { entry($0, term: term, bytes: 200, mark: UInt8(term)) }
    }

    @Test(arguments: [UInt64(0), 1, 8, 15, 16, 17, 31, 32, 33, 48, 49, 59])
    func `what is above goes, what follows is new, and both are there after reopening`(index: UInt64) throws {
        try SampleLog.write(to: folder)
        let kept = Array(before.prefix(Int(index)))
        let new = later(index + 1...index + 30)
        try withLog(folder) { log in
            try log.truncate(after: LogIndex(index))
            #expect(log.last == position(after: kept))
            #expect(log.durable == LogIndex(index))
            let (cut, _) = try readLog(folder)
            #expect(cut == kept)
            try log.append(new)
            try log.sync()
        }
        let (served, recovery) = try readLog(folder)
        #expect(served == kept + new)
        #expect(recovery.last == position(after: kept + new))
        #expect(recovery.cut?.offset == nil)
        #expect(recovery.damage == nil)
    }

    @Test func `at or above the end nothing is dropped, and no file changes`() throws {
        try SampleLog.write(to: folder)
        let files = try contents(folder)
        try withLog(folder) { log in
            try log.truncate(after: LogIndex(60))
            try log.truncate(after: LogIndex(99))
            #expect(log.last == position(after: before))
        }
        let after = try contents(folder)
        #expect(after == files)
    }

    @Test func `truncated over several files, those that hold nothing are gone, and no byte of the rest has changed`() throws {
        try SampleLog.write(to: folder)
        let first = "00000000000000000001.log"
        let bytes = try readFile(folder + "/" + first)
        try withLog(folder) { log in try log.truncate(after: LogIndex(10)) }
        let names = try logFiles(folder)
        #expect(names == [first, "00000000000000000011.log"])
        let after = try readFile(folder + "/" + first)
        #expect(after == bytes)
    }

    @Test func `truncated to nothing, the file that begins anew has a name of its own`() throws {
        try SampleLog.write(to: folder)
        try withLog(folder) { log in
            try log.truncate(after: .zero)
            #expect(log.last == SegmentedLog.Position.start)
            try log.append(later(1...3))
            try log.sync()
        }
        let names = try logFiles(folder)
        #expect(names == ["00000000000000000001.4.log"])
        let (served, _) = try readLog(folder)
        #expect(served == later(1...3))
    }

    @Test func `three truncations in a row, up and down, each with entries after it`() throws {
        try SampleLog.write(to: folder)
        var model = before
        try withLog(folder) { log in
            for (term, cut) in [(UInt64(2), 40), (3, 20), (4, 25)] {
                model = Array(model.prefix(cut))
                try log.truncate(after: LogIndex(UInt64(cut)))
                let new = later(UInt64(cut) + 1...UInt64(cut) + 20, term: term)
                try log.append(new)
                try log.sync()
                model += new
                let (served, _) = try readLog(folder)
                #expect(served == model, "term \(term)")
            }
        }
        let (served, recovery) = try readLog(folder)
        #expect(served == model)
        #expect(recovery.last.index == LogIndex(45))
    }

    @Test func `what was appended and not synced is durable as far as it stays`() throws {
        try withLog(folder) { log in
            try log.append(Array(before.prefix(5)))
            try log.sync()
            try log.append(Array(before[5..<9]))
            #expect(log.durable == LogIndex(5))
            try log.truncate(after: LogIndex(7))
            #expect(log.durable == LogIndex(7))
        }
        let (served, _) = try readLog(folder)
        #expect(served == Array(before.prefix(7)))
    }

    @Test func `below what the mark calls durable the mark is lowered first`() throws {
        try SampleLog.write(to: folder)
        try withLog(folder) { log in
            try log.mark()
            try log.truncate(after: LogIndex(30))
        }
        let (served, _) = try readLog(folder)
        #expect(served == Array(before.prefix(30)))
        let mark = try readFile(folder + "/durable")
        #expect(mark[0] == 30)
    }

    @Test func `a mark that the disk has no room for is written later, and the log goes on`() throws {
        let path = folder + "/durable"
        let isFull = Mutex(true)
        let disk = HookedDisk { change throws(StorageError) in
            guard case .write(let file, _) = change, file.hasPrefix(path), isFull.withLock({ $0 }) else { return }
            throw .full(path: file)
        }
        try withLog(folder, disk: disk) { log in
            try log.append(Array(before.prefix(3)))
            try log.sync()
            try log.mark()
            #expect(!disk.exists(path))
            try log.append(Array(before[3..<5]))
            try log.sync()
            isFull.withLock { $0 = false }
            try log.mark()
            #expect(try readFile(path)[0] == 5)
        }
        let (served, _) = try readLog(folder)
        #expect(served == Array(before.prefix(5)))
        let failing = HookedDisk { change throws(StorageError) in
            if case .write(let file, _) = change, file.hasPrefix(path) { throw Crash.error }
        }
        try withLog(folder, disk: failing) { log in
            try log.append([before[5]])
            try log.sync()
            #expect(storageError { () throws(StorageError) in try log.mark() } == Crash.error)
        }
    }

    @Test func `damage to entries that were dropped is of no interest`() throws {
        try SampleLog.write(to: folder)
        try withLog(folder) { log in try log.truncate(after: LogIndex(10)) }
        let path = folder + "/00000000000000000001.log"
        var bytes = try readFile(path)
        for place in SegmentedLog.headBytes + 10 * Record.size(payload: 200)..<bytes.count { bytes[place] = 0xA5 }
        try writeFile(path, bytes)
        let (served, recovery) = try readLog(folder)
        #expect(served == Array(before.prefix(10)))
        #expect(recovery.cut?.offset == nil)
    }

    @Test func `a torn tail behind a truncation is cut like any other`() throws {
        try SampleLog.write(to: folder)
        try withLog(folder) { log in
            try log.truncate(after: LogIndex(20))
            try log.append(later(21...22))
            try log.sync()
        }
        let path = folder + "/00000000000000000021.log"
        var bytes = try readFile(path)
        bytes[SegmentedLog.headBytes + Record.size(payload: 200) + 60] ^= 1
        try writeFile(path, bytes)
        let (served, recovery) = try readLog(folder)
        #expect(served == Array(before.prefix(20)) + later(21...21))
        #expect(recovery.cut?.path == path)
    }

    @Test func `compaction goes on over truncated files`() throws {
        try SampleLog.write(to: folder)
        var base = SegmentedLog.Position.start
        try withLog(folder) { log in
            try log.truncate(after: LogIndex(40))
            try log.append(later(41...80))
            try log.sync()
            base = try #require(try log.position(at: LogIndex(50)))
            try log.compact(through: LogIndex(50))
            #expect(log.firstIndex == LogIndex(41))
        }
        let (served, _) = try readLog(folder, from: base)
        #expect(served == later(51...80))
    }

    @Test func `any mix of appends, truncations and restarts reads as its model`() throws {
        for seed in UInt64(1)...25 {
            let place = folder + "-\(seed)"
            var generator = SeededGenerator(seed: seed)
            var model: [LogEntry] = []
            var log = try openedLog(place, disk: FileDisk())
            for term in UInt64(1)...40 {
                switch Int.random(in: 0..<10, using: &generator) {
                case 0..<6:
                    let count = UInt64.random(in: 1...20, using: &generator)
                    let new = (1...count).map {
                        entry(UInt64(model.count) + $0, term: term, bytes: Int.random(in: 0...600, using: &generator), mark: UInt8(term))
                    }
                    try log.append(new)
                    model += new
                case 6..<9:
                    let cut = Int.random(in: 0...model.count, using: &generator)
                    try log.truncate(after: LogIndex(UInt64(cut)))
                    model = Array(model.prefix(cut))
                default:
                    try log.sync()
                    try log.mark()
                    log.close()
                    log = try openedLog(place, disk: FileDisk())
                }
                #expect(log.last == position(after: model), "seed \(seed), term \(term)")
                let read = try log.entries(from: LogIndex(1), through: LogIndex(.max), maxBytes: .max)
                #expect(read == model, "seed \(seed), term \(term)")
            }
            try log.sync()
            log.close()
            let (served, _) = try readLog(place)
            #expect(served == model, "seed \(seed)")
        }
    }
}

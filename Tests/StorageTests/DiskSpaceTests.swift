import Synchronization
import Testing

@testable import Storage

/// How full the disk is, and the file that is given back when it is (DiskWatermarks.swift, Ballast.swift).
struct DiskSpaceTests {
    private let temporary: TemporaryFolder
    private var path: String { temporary.path + "/ballast" }

    init() throws { temporary = try TemporaryFolder() }

    private func levels(_ percents: [Double]) -> [DiskWatermarks.Level] {
        var marks = DiskWatermarks()
        return percents.map { marks.classify(freeBytes: UInt64($0 * 10_000), totalBytes: 1_000_000) }
    }

    @Test func `below 10 percent is low, below 5 critical`() {
        #expect(levels([100, 10, 9.99]) == [.ok, .ok, .low])
        #expect(levels([4.99]) == [.critical])
        #expect(levels([0]) == [.critical])
        #expect(levels([5]) == [.low])
    }

    @Test func `a level is left one point above where it is entered`() {
        #expect(levels([9.9, 10, 10.9, 10.99, 11, 10, 9.9]) == [.low, .low, .low, .low, .ok, .ok, .low])
        #expect(levels([4.9, 5, 5.99, 6, 5, 4.9]) == [.critical, .critical, .critical, .low, .low, .critical])
        #expect(levels([4.9, 10.5, 11]) == [.critical, .low, .ok])
        #expect(levels([4.9, 50]) == [.critical, .ok])
    }

    @Test func `a disk that does not tell its size keeps its level, and the largest overflows nothing`() {
        var marks = DiskWatermarks(level: .low)
        #expect(marks.classify(freeBytes: 0, totalBytes: 0) == .low)
        #expect(marks.classify(freeBytes: .max, totalBytes: .max) == .ok)
        #expect(marks.classify(freeBytes: .max / 20 - 1, totalBytes: .max) == .critical)
        #expect(marks.classify(freeBytes: 7, totalBytes: 99) == .low)
        #expect(marks.level == .low)
    }

    @Test func `limits are as they are set, and one of 0 is never reached`() {
        var marks = DiskWatermarks(limits: .init(lowPercent: 50, criticalPercent: 20))
        let found = [60, 50, 49, 50, 51, 19, 20, 21].map { marks.classify(freeBytes: $0, totalBytes: 100) }
        #expect(found == [.ok, .ok, .low, .low, .ok, .critical, .critical, .low])
        var none = DiskWatermarks(limits: .init(lowPercent: 0, criticalPercent: 0))
        let never = none.classify(freeBytes: 0, totalBytes: 100)
        #expect(never == .ok)
        var all = DiskWatermarks(limits: .init(lowPercent: 100))
        let always = [99, 100].map { all.classify(freeBytes: $0, totalBytes: 100) }
        #expect(always == [.low, .ok])
    }

    @Test func `ballast takes its room once, and gives it back`() throws {
        let ballast = Ballast(disk: HookedDisk(), path: path, bytes: 3 << 20 | 5)
        #expect(!ballast.isHeld)
        for _ in 0..<2 {
            let isHeld = try ballast.take()
            #expect(isHeld)
            #expect(ballast.isHeld)
            let file = try readFile(path)
            #expect(file.count == 3 << 20 | 5)
        }
        let names = try FileDisk().list(temporary.path)
        #expect(names == ["ballast"])
        for _ in 0..<2 {
            try ballast.giveBack()
            #expect(!ballast.isHeld)
        }
    }

    @Test func `ballast takes its room step by step, each of them durable, and goes on where it was`() throws {
        let synced = Mutex<[Int]>([])
        let disk = HookedDisk { change throws(StorageError) in
            guard case .sync(let file) = change else { return }
            let bytes = try FileDisk().open(file, create: false).size()
            synced.withLock { $0.append(bytes) }
        }
        var progress: [Ballast.Progress] = []
        for _ in 0..<4 {
            let ballast = Ballast(disk: disk, path: path, bytes: 1000)
            let step = try ballast.take(upTo: 400)
            progress.append(step)
            let taken = try ballast.takenBytes()
            #expect(taken == min(1000, progress.count * 400))
        }
        #expect(progress == [.partly, .partly, .held, .held])
        #expect(synced.withLock { $0 } == [400, 800, 1000])
        let names = try FileDisk().list(temporary.path)
        #expect(names == ["ballast"])
        let smaller = try Ballast(disk: disk, path: path, bytes: 700).take(upTo: 400)
        #expect(smaller == .partly)
        let smallest = try Ballast(disk: disk, path: path, bytes: 300).take(upTo: 400)
        #expect(smallest == .held)
        let file = try readFile(path)
        #expect(file.count == 300)
    }

    @Test func `what was taken is given back when the disk comes to its low mark meanwhile`() throws {
        _ = try Ballast(disk: HookedDisk(), path: path, bytes: 1000).take(upTo: 400)
        let full = Ballast(disk: HookedDisk(freeBytes: 100_000, totalBytes: 1_000_000), path: path, bytes: 1000)
        let step = try full.take(upTo: 400)
        #expect(step == .refused)
        let names = try FileDisk().list(temporary.path)
        #expect(names.isEmpty)
        let limits = DiskWatermarks.Limits(lowPercent: 5)
        let lower = Ballast(disk: HookedDisk(freeBytes: 100_000, totalBytes: 1_000_000), path: path, bytes: 1000, limits: limits)
        let isHeld = try lower.take()
        #expect(isHeld)
    }

    @Test func `none is none, and one of another size is made anew`() throws {
        try Ballast(disk: HookedDisk(), path: path, bytes: 100).take()
        let larger = try Ballast(disk: HookedDisk(), path: path, bytes: 300).take()
        #expect(larger)
        let file = try readFile(path)
        #expect(file.count == 300)
        let none = Ballast(disk: HookedDisk(), path: path, bytes: 0)
        let isHeld = try none.take()
        #expect(!isHeld)
        #expect(!FileDisk().exists(path))
    }

    @Test func `room is taken only where the disk stays above its low mark`() throws {
        for (free, expected) in [(UInt64(109_999), false), (110_000 + 999, false), (111_000, true), (900, false)] {
            let ballast = Ballast(disk: HookedDisk(freeBytes: free, totalBytes: 1_000_000), path: path, bytes: 1000)
            let isHeld = try ballast.take()
            #expect(isHeld == expected, "\(free) bytes free")
            try ballast.giveBack()
        }
    }

    @Test func `a disk that is full after all is no error, and nothing is left`() throws {
        let full = StorageError.full(path: "it")
        let disk = HookedDisk() { change throws(StorageError) in if case .write = change { throw full } }
        let ballast = Ballast(disk: disk, path: path, bytes: 1000)
        let isHeld = try ballast.take()
        #expect(!isHeld)
        let names = try FileDisk().list(temporary.path)
        #expect(names.isEmpty)
        let failing = Ballast(disk: HookedDisk() { _ throws(StorageError) in throw Crash.error }, path: path, bytes: 1000)
        let error = storageError { try failing.take() }
        #expect(error == Crash.error)
    }

    @Test func `a crash while it is made leaves none or all of it`() throws {
        try Crash.atEveryChange(
            prepare: { folder in try FileDisk().makeFolder(folder) },
            act: { disk, folder in try Ballast(disk: disk, path: folder + "/ballast", bytes: 5000).take() },
            check: { crash in
                let ballast = Ballast(disk: HookedDisk(), path: crash.folder + "/ballast", bytes: 5000)
                let file = try FileDisk().contents(of: crash.folder + "/ballast")
                #expect(file == nil || file?.count == 5000, "at change \(crash.point)")
                let isHeld = try ballast.take()
                #expect(isHeld)
                let names = try FileDisk().list(crash.folder)
                #expect(names == ["ballast"], "at change \(crash.point)")
            })
    }
}

import Primitives
import Storage
import Testing

@testable import Simulation

/// A disk whose folder `/n` is durable.
private func freshDisk(_ seed: UInt64 = 1, capacityBytes: Int = 1 << 40) throws -> SimulatedDisk {
    let disk = SimulatedDisk(seed: seed, capacityBytes: capacityBytes)
    try disk.makeFolder("/n")
    try disk.syncFolder("/")
    return disk
}

extension SimulatedDisk {
    /// Opens a file and writes its beginning; `sync` covers the bytes and the name.
    @discardableResult
    fileprivate func put(_ path: String, _ bytes: [UInt8], sync: Bool = true) throws -> any DiskFile {
        let file = try open(path, create: true)
        try file.write(bytes, at: 0)
        if sync { try file.sync() }
        if sync { try syncFolder(parentFolder(of: path)) }
        return file
    }
}

private func storageError(_ body: () throws -> Void) -> StorageError? {
    do { try body() } catch { return error as? StorageError }
    return nil
}

private func fill(_ byte: UInt8, _ count: Int) -> [UInt8] { [UInt8](repeating: byte, count: count) }

/// Storage faults F1 to F10 of the design, each on the bare disk.
struct SimulatedDiskTests {
    /// What the power cuts of 300 seeds leave of a synced file that was changed.
    private func leftovers(of synced: [UInt8], _ change: (any DiskFile) throws -> Void) throws -> [[UInt8]] {
        try (UInt64(1)...300).map { seed in
            let disk = try freshDisk(seed)
            try change(try disk.put("/n/a", synced))
            disk.crash(.power)
            return try #require(try disk.contents(of: "/n/a"))
        }
    }

    @Test func `what is written is read back before its sync and after it`() throws {
        let disk = try freshDisk()
        let file = try disk.put("/n/a", [1, 2, 3, 4])
        try file.write([9], at: 1)
        try file.write([8, 8], at: 6)
        #expect(try file.read(at: 0, count: .max) == [1, 9, 3, 4, 0, 0, 8, 8])
        try file.truncate(to: 2)
        try file.truncate(to: 3)
        #expect(try disk.contents(of: "/n/a") == [1, 9, 0] && file.read(at: 1, count: 9) == [9, 0] && file.read(at: 3, count: 1) == [])
        try file.sync()
        #expect(try disk.contents(of: "/n/a") == [1, 9, 0] && file.size() == 3)
        file.close()
        #expect(storageError { try file.sync() } == .closed)
    }

    @Test func `names, folders and their errors are those of a file system`() throws {
        let disk = SimulatedDisk(seed: 1)
        #expect(storageError { try disk.put("/n/a", []) } == .io(operation: "open", path: "/n/a", errno: 2))
        try disk.makeFolder("/n/deep/er")
        for name in ["b", "a", "deep/c"] { try disk.put("/n/" + name, Array(name.utf8)) }
        #expect(try disk.list("/n") == ["a", "b", "deep"] && disk.list("/") == ["n"] && disk.list("/none") == [])
        #expect(storageError { _ = try disk.open("/n/c", create: false) } == .io(operation: "open", path: "/n/c", errno: 2))
        #expect(storageError { try disk.put("/n/deep", []) } == .io(operation: "open", path: "/n/deep", errno: 21))
        #expect(storageError { try disk.makeFolder("/n/a") } == .io(operation: "use as a folder", path: "/n/a", errno: 20))
        #expect(storageError { try disk.rename("/n/c", to: "/n/d") } == .io(operation: "rename", path: "/n/c", errno: 2))
        try disk.rename("/n/a", to: "/n/b")
        #expect(storageError { try disk.remove("/n/none") } == nil)
        #expect(try disk.contents(of: "/n/b") == Array("a".utf8) && !disk.exists("/n/a") && disk.exists("/n/deep"))
    }

    @Test func `a kill loses nothing and ends every handle; a power cut may take names of files, and a folder with all in it`() throws {
        let left = try (UInt64(1)...60).map { seed in
            let disk = try freshDisk(seed)
            let file = try disk.put("/n/a", [1, 2], sync: false)
            disk.crash(.kill)
            #expect(storageError { try file.write([1], at: 0) } == .closed && storageError { _ = try file.size() } == .closed)
            #expect(try disk.contents(of: "/n/a") == [1, 2])
            try disk.makeFolder("/n/late")
            try disk.put("/n/late/a", [3])
            disk.crash(.power)
            return try ["/n/a", "/n/late", "/n/late/a"].map { path in disk.isFolder(path) ? [0] : try disk.contents(of: path) }
        }
        #expect(Set(left.map { $0[0] }) == [nil, [], [0, 0], [1, 2]] && Set(left.map { Array($0[1...]) }) == [[nil, nil], [[0], [3]]])
    }

    @Test func `of a long write a power cut leaves whole sectors: none, all, a beginning, an end, a middle, scattered ones`() throws {
        var shapes: Set<String> = []
        for bytes in try leftovers(of: fill(1, 4096), { try $0.write(fill(2, 4096 - 100), at: 50) }) {
            #expect(bytes.count == 4096 && bytes[..<50] == fill(1, 50)[...] && Array(bytes[4046...]) == fill(1, 50))
            let sectors = (0..<8).map { Set(bytes[max(50, $0 * 512)..<min(4046, $0 * 512 + 512)]) }
            #expect(sectors.allSatisfy { $0.count == 1 })
            let kept = sectors.map { $0 == [2] ? "x" : " " }.joined()
            let (runs, begins, ends) = (kept.split(separator: " ").count, kept.hasPrefix("x"), kept.hasSuffix("x"))
            shapes.insert(runs == 0 ? "none" : runs > 1 ? "scattered" : begins ? ends ? "all" : "beginning" : ends ? "end" : "middle")
        }
        #expect(shapes == ["none", "all", "beginning", "end", "middle", "scattered"])
    }

    @Test func `writes to two sectors reach the medium in either order, writes to one in theirs, and a size apart from its bytes`() throws {
        let left = try leftovers(of: fill(0, 2048)) { file in
            for (byte, offset) in [(UInt8(1), 0), (1, 1024), (2, 1025)] { try file.write([byte], at: offset) }
        }
        #expect(Set(left.map { [$0[0], $0[1024]] }) == [[0, 0], [0, 1], [1, 0], [1, 1]])
        #expect(Set(left.map { [$0[1024], $0[1025]] }) == [[0, 0], [1, 0], [1, 2]])
        let resized = try leftovers(of: fill(1, 1000)) { file in
            try file.truncate(to: 10)
            try file.write([2], at: 5000)
        }
        #expect(Set(resized.map(\.count)) == [10, 1000, 5001])
        #expect(resized.allSatisfy { $0.starts(with: fill(1, 10)) && $0.dropFirst(1000).dropLast().allSatisfy { $0 == 0 } })
    }

    @Test func `names that were not synced are kept or lost one by one, and a rename is never half`() throws {
        var seen: Set<[String]> = []
        for seed in UInt64(1)...200 {
            let disk = try freshDisk(seed)
            for name in ["gone", "old", "target"] { try disk.put("/n/" + name, Array(name.utf8)) }
            try disk.put("/n/new", [], sync: false).sync()
            try disk.remove("/n/gone")
            try disk.rename("/n/old", to: "/n/target")
            disk.crash(.power)
            let names = try disk.list("/n")
            seen.insert(names)
            let text = try disk.contents(of: "/n/target")
            #expect(text == Array((names.contains("old") ? "target" : "old").utf8), "seed \(seed): \(names)")
        }
        #expect(seen.count == 8 && seen.allSatisfy { $0.contains("target") })
    }

    @Test(arguments: [false, true])
    func `a failed sync drops what it covered, and no later one brings it back`(forgets: Bool) throws {
        let disk = try freshDisk()
        disk.faults.forgetsSyncErrors = forgets
        let file = try disk.put("/n/a", [1, 1])
        disk.faults.strike(.syncError, on: "/a", after: 1)
        try file.sync()
        try file.write([2, 2, 2], at: 0)
        #expect(storageError { try file.sync() } == .io(operation: "sync", path: "/n/a", errno: 5))
        #expect(try file.read(at: 0, count: 9) == [1, 1] && (storageError { try file.sync() } == nil) == forgets)
        disk.faults.strike(.syncError, on: "/n")
        #expect(storageError { try disk.put("/n/b", [1]) } == .io(operation: "sync", path: "/n", errno: 5))
        #expect((storageError { try disk.syncFolder("/n") } == nil) == forgets && disk.exists("/n/b"))
        disk.crash(.power)
        #expect(try disk.contents(of: "/n/a") == [1, 1] && !disk.exists("/n/b") && disk.counters[.syncError] == 2)
    }

    @Test func `a full disk takes the beginning of a write, tells its space, and gives back what is removed`() throws {
        let disk = try freshDisk(capacityBytes: 100)
        let file = try disk.put("/n/a", fill(1, 60))
        #expect(storageError { try file.write(fill(2, 60), at: 50) } == .full(path: "/n/a"))
        #expect(try file.read(at: 0, count: 200) == fill(1, 50) + fill(2, 50) && disk.space(at: "/n") == (0, 100))
        #expect(storageError { try file.write([3], at: 0) } == nil && storageError { try file.truncate(to: 101) } == .full(path: "/n/a"))
        try disk.remove("/n/a")
        #expect(disk.space(at: "/n").freeBytes == 0)
        file.close()
        #expect(disk.space(at: "/n").freeBytes == 100 && disk.counters[.full] == 2)
    }

    @Test func `reads, writes and mounts fail on request`() throws {
        let disk = try freshDisk()
        let file = try disk.put("/n/a", fill(1, 9))
        let faults = [DiskFault.readError, .writeError, .shortWrite, .readOnly]
        for fault in faults { disk.faults.strike(fault, on: "a") }
        #expect(storageError { _ = try disk.contents(of: "/n/a") } == .io(operation: "read", path: "/n/a", errno: 5))
        #expect(storageError { try file.write(fill(2, 9), at: 0) } == .io(operation: "write", path: "/n/a", errno: 30))
        #expect(storageError { _ = try disk.open("/n/a", create: false) } == .io(operation: "open", path: "/n/a", errno: 30))
        disk.isReadOnly = false
        #expect(storageError { try file.write(fill(2, 9), at: 0) } == .io(operation: "write", path: "/n/a", errno: 5))
        #expect(storageError { try file.write(fill(3, 9), at: 0) } == .full(path: "/n/a"))
        let bytes = try file.read(at: 0, count: 9)
        #expect(bytes.last == 1 && bytes == bytes.sorted(by: >) && !bytes.contains(2) && faults.allSatisfy { disk.counters[$0] == 1 })
    }

    @Test(arguments: [(DiskFault.lostWrite, 0...0), (.staleSector, 512...512), (.misdirectedWrite, 512...1536)])
    func `the medium loses a write, leaves a sector stale, or writes elsewhere`(fault: DiskFault, arrived: ClosedRange<Int>) throws {
        let disk = try freshDisk(3)
        try disk.put("/n/b", fill(5, 2048))
        let file = try disk.put("/n/a", fill(1, 2048))
        disk.faults.strike(fault, on: "/a")
        try file.write(fill(2, 1024), at: 512)
        #expect(try file.read(at: 512, count: 1024) == fill(2, 1024))
        try file.sync()
        disk.crash(.power)
        let bytes = try ["/n/a", "/n/b"].flatMap { try #require(try disk.contents(of: $0)) }
        #expect(arrived.contains(bytes.count { $0 == 2 }) && bytes.count == 4096 && disk.counters[fault] == 1)
    }

    @Test func `bits, tails, lengths and whole files are damaged on request`() throws {
        var generator = SeededGenerator(seed: 4)
        let disk = try freshDisk()
        try disk.put("/n/a", [0, 4, 0, 0])
        #expect(disk.flipBit(path: "/n/a", offset: 1, bit: 2) && !disk.flipBit(path: "/n/a", offset: 4, bit: 0))
        #expect(try disk.contents(of: "/n/a") == [0, 0, 0, 0] && disk.flipBit(path: "/n/a", offset: 1, bit: 7))
        let flipped = try #require(disk.flipRandomBit(where: { $0.hasSuffix("a") }, using: &generator))
        #expect(flipped.path == "/n/a" && flipped.bit < 16 && disk.flipRandomBit(where: { _ in false }, using: &generator) == nil)
        #expect(disk.appendGarbage("/n/a", count: 5, using: &generator) && disk.truncateFile("/n/a", to: 8))
        #expect(try disk.contents(of: "/n/a")?.count == 8 && disk.loseFile("/n/a") && !disk.truncateFile("/n/a", to: 1))
        #expect(try disk.image() == freshDisk().image() && [.bitFlip, .garbageTail, .missingFile].map { disk.counters[$0] } == [3, 1, 1])
    }

    @Test func `operations cost what the settings say, a stall 1 ms to 10 s, and a stuck disk for ever`() throws {
        let disk = try freshDisk()
        (disk.faults.writeNanoseconds, disk.faults.syncNanoseconds) = (5, 700)
        let file = try disk.put("/n/a", [1])
        #expect(disk.takeCost() == 1405 && disk.takeCost() == 0)
        disk.faults[.stall] = 1_000_000
        let stalls = try (0..<200).map { _ in
            try file.sync()
            return disk.takeCost() - 700
        }
        #expect(stalls.allSatisfy { (1_000_000...10_000_000_000).contains($0) } && disk.counters[.stall] == 200)
        #expect(stalls.contains { $0 < 10_000_000 } && stalls.contains { $0 > 1_000_000_000 })
        disk.faults.strike(.stuck)
        try file.sync()
        #expect(disk.takeCost() == .max && disk.isStuck)
    }

    @Test func `a drive is wiped, exchanged or put back to an old image, and handles end`() throws {
        let (disk, other) = (try freshDisk(), try freshDisk(2))
        let file = try disk.put("/n/a", [1])
        let image = disk.image()
        try file.write([2, 2], at: 0)
        #expect(disk.image() == image)
        disk.swap(with: other)
        #expect(try other.contents(of: "/n/a") == [2, 2] && !disk.exists("/n/a") && storageError { try file.sync() } == .closed)
        other.wipe()
        #expect(!other.exists("/n") && other.image() != image)
        other.restore(image)
        #expect(try other.contents(of: "/n/a") == [1] && other.image() == image && other.space(at: "/").freeBytes == (1 << 40) - 1)
        #expect([.swapped, .wiped, .restored].map { other.counters[$0] } == [1, 1, 1])
    }

    @Test func `the same seed leaves the same bytes`() throws {
        func run(_ seed: UInt64) throws -> (DiskImage, DiskCounters, Int64) {
            let disk = try freshDisk(seed)
            for fault in DiskFault.byChance where fault != .readOnly { disk.faults[fault] = 60_000 }
            var generator = SeededGenerator(seed: 9)
            for step in 0..<400 {
                let (path, isSynced) = ("/n/\(generator.next() % 7)", generator.next() % 3 == 0)
                _ = storageError { try disk.put(path, fill(UInt8(step % 251), 1 + step * 7), sync: isSynced) }
                _ = storageError { try disk.rename(path, to: path + "x") }
                if step % 40 == 39 { disk.crash(.power) }
            }
            return (disk.image(), disk.counters, disk.takeCost())
        }
        let (first, again, other) = (try run(1), try run(1), try run(2))
        #expect(first == again && first.0 != other.0)
        #expect([.tornWrite, .lostName, .lostSize, .syncError, .misdirectedWrite].allSatisfy { first.1[$0] > 0 })
    }
}

/// The real files of Storage on a disk that dies (F1, F2, F4, F6).
struct StorageOnSimulatedDiskTests {
    private func entry(_ index: UInt64, bytes: Int = 16) -> LogEntry {
        LogEntry(index: LogIndex(index), term: Term(1), kind: .commands, payload: fill(UInt8(index % 255) | 1, bytes))
    }

    private func openLog(_ disk: SimulatedDisk) throws -> (log: SegmentedLog, served: [LogEntry]) {
        let log = SegmentedLog(disk: disk, folder: "/n", segmentBytes: 4096)
        var served: [LogEntry] = []
        _ = try log.open(from: .start) { served.append($0.entry) }
        return (log, served)
    }

    private func writeSnapshot(_ index: UInt64, on disk: SimulatedDisk) throws {
        var pieces = [fill(UInt8(index), 700), fill(UInt8(index + 1), 700)][...]
        let position = SegmentedLog.Position(index: LogIndex(index), term: Term(1), chain: 1)
        let manifest = SnapshotStore.Manifest(position: position, digest: StateDigest(), featureLevel: 1)
        _ = try SnapshotStore(disk: disk, folder: "/n").write(manifest) { pieces.popFirst() }
    }

    /// Dies at every boundary between two disk operations of `body`, once by a kill, and looks at what is left; `isDone`: after the last one.
    private func atEveryCrashPoint(
        _ prepare: (SimulatedDisk) throws -> Void, _ body: (SimulatedDisk) throws -> Void,
        check: (_ disk: SimulatedDisk, _ isDone: Bool, _ place: Comment) throws -> Void
    ) throws {
        for seed in UInt64(0)...40 {
            for point in 0... {
                let disk = try freshDisk(seed)
                try prepare(disk)
                let before = disk.operations
                disk.setFuse(after: point)
                let error = storageError { try body(disk) }
                let isDead = disk.mustCrash && storageError { _ = try disk.list("/n") } == .closed
                #expect(error == nil || error == .closed && isDead && disk.operations == before + point)
                disk.crash(seed == 0 ? .kill : .power)
                try check(disk, error == nil, "after \(point) operations, seed \(seed)")
                if error == nil { break }
            }
        }
    }

    @Test func `after a power cut the log has all that was synced and of the rest a beginning`() throws {
        for seed in UInt64(1)...500 {
            let disk = try freshDisk(seed)
            var generator = SeededGenerator(seed: seed)
            var written: [LogEntry] = []
            for life in 1...3 {
                let (log, served) = try openLog(disk)
                #expect(served == written)
                for _ in 0..<Int.random(in: 1...20, using: &generator) {
                    let next = UInt64(written.count + 1)
                    let group = (next...next + generator.next() % 8).map { entry($0, bytes: Int(generator.next() % 900)) }
                    try log.append(group)
                    written += group
                    if generator.next() % 2 == 0 { try log.sync() }
                    if generator.next() % 4 == 0 { try log.prepareAhead() }
                }
                let durable = Int(log.durable.number)
                disk.crash(.power, using: &generator)
                let found = try openLog(disk).served
                #expect(found.count >= durable && found == Array(written.prefix(found.count)), "seed \(seed), life \(life)")
                written = found
            }
        }
    }

    @Test func `a log that dies between any two operations opens, with all that was synced`() throws {
        var durable = 0
        try atEveryCrashPoint({ _ in durable = 0 }) { disk in
            let log = try openLog(disk).log
            for first in stride(from: UInt64(1), to: 120, by: 20) {
                try log.append((first..<first + 20).map { entry($0) })
                try log.sync()
                durable = Int(log.durable.number)
                try log.prepareAhead()
            }
            try log.mark()
        } check: { disk, isDone, place in
            let served = try openLog(disk).served
            #expect(served.count >= (isDone ? 120 : durable) && served == (0..<served.count).map { entry(UInt64($0 + 1)) }, place)
        }
    }

    @Test(arguments: [0, 4]) func `a vote that dies between any two operations is the old or the new`(oldTerm: UInt64) throws {
        let (old, new) = (HardState(term: Term(oldTerm), vote: nil), HardState(term: Term(5), vote: try NodeID("b")))
        func persist(_ state: HardState, _ disk: SimulatedDisk) throws { try HardStateFile(disk: disk, path: "/n/vote").persist(state) }
        try atEveryCrashPoint({ if oldTerm > 0 { try persist(old, $0) } }, { try persist(new, $0) }) { disk, isDone, place in
            let state = try HardStateFile(disk: disk, path: "/n/vote").state
            #expect(state == new || !isDone && state == old, place)
        }
    }

    @Test(arguments: [nil, 7]) func `a snapshot that dies between any two operations is the old or the new`(old: UInt64?) throws {
        try atEveryCrashPoint({ if let old { try writeSnapshot(old, on: $0) } }, { try writeSnapshot(19, on: $0) }) { disk, isDone, place in
            let newest = try SnapshotStore(disk: disk, folder: "/n").newest()
            let index = newest?.0.position.index.number
            #expect(index == 19 || !isDone && index == old, place)
            #expect(newest?.1 == index.map { fill(UInt8($0), 700) + fill(UInt8($0 + 1), 700) }, place)
        }
    }

    @Test func `a file that is replaced and dies between any two operations is the old or the new`() throws {
        let (old, new) = (fill(1, 3000), fill(2, 2000))
        try atEveryCrashPoint({ try $0.replace("/n/a", with: old) }, { try $0.replace("/n/a", with: new) }) { disk, isDone, place in
            let bytes = try disk.contents(of: "/n/a")
            #expect(bytes == new || !isDone && bytes == old, place)
        }
    }

    @Test(arguments: [false, true]) func `a sync that failed claims nothing`(forgets: Bool) throws {
        let disk = try freshDisk()
        disk.faults.forgetsSyncErrors = forgets
        let log = try openLog(disk).log
        try log.append([entry(1)])
        try log.sync()
        try log.append([entry(2)])
        let votes = try HardStateFile(disk: disk, path: "/n/vote")
        for ending in [".log", "/vote"] { disk.faults.strike(.syncError, on: ending) }
        #expect(storageError { try log.sync() } != nil && log.durable == LogIndex(1))
        #expect(storageError { try votes.persist(HardState(term: Term(3), vote: nil)) } != nil && votes.state.term == Term(0))
        disk.crash(.kill)
        #expect(try openLog(disk).served == [entry(1)] && HardStateFile(disk: disk, path: "/n/vote").state.term == Term(0))
    }

    @Test func `a flipped bit where all was acknowledged is found`() throws {
        for seed in UInt64(1)...300 {
            let disk = try freshDisk(seed)
            let log = try openLog(disk).log
            try log.append((1...150).map { entry($0) })
            try log.sync()
            try log.mark()
            var generator = SeededGenerator(seed: seed)
            let flipped = try #require(disk.flipRandomBit(where: { $0.hasSuffix(".log") }, using: &generator))
            switch storageError({ _ = try openLog(disk) }) {
            case .damaged, .gap: break
            case let other: Issue.record("seed \(seed), \(flipped): \(String(describing: other))")
            }
        }
    }
}

import Primitives
import Testing

@testable import Storage

/// A node whose term and vote are lost must not vote before it knows a term above all that it may have voted in (HardStateFile.swift).
struct HardStateOpeningTests {
    private let temporary: TemporaryFolder
    private var path: String { temporary.path + "/vote" }

    init() throws { temporary = try TemporaryFolder() }

    private func state(_ term: UInt64, _ vote: String? = nil) throws -> HardState {
        HardState(term: Term(term), vote: try vote.map { try NodeID($0) })
    }

    /// What opening says; with `then`, a state is persisted after it.
    private func opening(
        hasLog: Bool = false, hasEntries: Bool = false, disk: any Disk = FileDisk(), then next: HardState? = nil
    ) throws -> HardStateFile.Opening {
        let (file, opening) = try HardStateFile.open(disk: disk, path: path, hasLog: hasLog, hasEntries: hasEntries)
        defer { file.close() }
        if let next { try file.persist(next) }
        return opening
    }

    private func isLost(_ opening: HardStateFile.Opening) -> Bool { if case .lost = opening { true } else { false } }

    @Test func `a new file is fresh until a state is written, then it is intact`() throws {
        let first = try opening()
        #expect(first == .fresh)
        let second = try opening(hasLog: true, then: try state(3, "a"))
        #expect(second == .fresh)
        let third = try opening(hasLog: true, hasEntries: true)
        #expect(third == .intact(try state(3, "a")))
    }

    @Test func `a missing file beside a log is lost, stays lost, and is intact once a state is persisted`() throws {
        for (hasLog, hasEntries) in [(true, false), (true, true), (false, true)] {
            for _ in 0..<2 {
                let found = try opening(hasLog: hasLog, hasEntries: hasEntries)
                #expect(isLost(found))
                #expect(!FileDisk().exists(path))
            }
            _ = try opening(hasLog: hasLog, hasEntries: hasEntries, then: try state(9))
            let after = try opening(hasLog: hasLog, hasEntries: hasEntries)
            #expect(after == .intact(try state(9)))
            try FileDisk().remove(path)
        }
    }

    @Test func `a file of zeros is fresh, unless there are entries, whose term it must have held`() throws {
        for count in [0, 100, 256, 4352] {
            try writeFile(path, [UInt8](repeating: 0, count: count))
            let beside = try opening(hasLog: true, hasEntries: true)
            #expect(beside == .lost(reason: "it holds nothing, though there are entries of some term"), "\(count) bytes")
            let alone = try opening(hasLog: true)
            #expect(alone == .fresh, "\(count) bytes")
        }
    }

    @Test func `a first state whose write was cut off was told to nobody`() throws {
        _ = try opening(then: try state(5, "a"))
        var bytes = try readFile(path)
        // Half of the slot is there, and nothing of its copy.
        for place in 200..<bytes.count { bytes[place] = 0 }
        try writeFile(path, bytes)
        let beside = try opening(hasLog: true, hasEntries: true)
        #expect(isLost(beside))
        let alone = try opening(hasLog: true)
        #expect(alone == .fresh)
        _ = try opening(hasLog: true, then: try state(6))
        let after = try opening(hasLog: true, hasEntries: true)
        #expect(after == .intact(try state(6)))
    }

    @Test func `a file without a readable slot is lost and unchanged, and the next state makes it whole`() throws {
        _ = try opening(then: try state(5, "a"))
        var bytes = try readFile(path)
        for place in [130, 4096 + 130] { bytes[place] ^= 1 }
        try writeFile(path, bytes)
        let lost = try opening()
        #expect(lost == .lost(reason: "neither copy of term and vote can be read"))
        let unchanged = try readFile(path)
        #expect(unchanged == bytes)
        _ = try opening(then: try state(12))
        let after = try opening(hasLog: true, hasEntries: true)
        #expect(after == .intact(try state(12)))
    }

    @Test func `a file cut short is lost, even when an older slot is still there`() throws {
        for term in UInt64(1)...3 { _ = try opening(then: try state(term, "a")) }
        let bytes = try readFile(path)
        for count in [1, 100, 128, 200, 255] {
            try writeFile(path, Array(bytes[..<count]))
            let found = try opening()
            #expect(isLost(found), "\(count) bytes")
        }
        // The copies alone gone: as it was written before there were copies.
        try writeFile(path, Array(bytes[..<256]))
        let old = try opening(then: try state(4, "b"))
        #expect(old == .intact(try state(3, "a")))
        let new = try opening()
        #expect(new == .intact(try state(4, "b")))
    }

    @Test func `a slot of a newer version is refused by name, and a vote that is no name is no slot`() throws {
        _ = try opening(then: try state(5, "a"))
        let whole = try readFile(path)
        func changed(_ place: Int, _ byte: UInt8) -> [UInt8] {
            var bytes = whole
            for start in [128, 4224] {
                bytes[start + place] = byte
                var seal: [UInt8] = []
                put(checksum(Array(bytes[start..<start + 124])), &seal)
                bytes.replaceSubrange(start + 124..<start + 128, with: seal)
            }
            return bytes
        }
        try writeFile(path, changed(88, 1))
        let newer = storageError { _ = try opening() }
        #expect(newer == StorageError.newerFormat(path: path, found: "version 1", supported: 0))
        for (place, byte) in [(25, UInt8(ascii: "A")), (24, 64), (24, 255)] {
            try writeFile(path, changed(place, byte))
            let found = try opening()
            #expect(isLost(found), "byte \(place) is \(byte)")
        }
    }

    @Test func `a crash at any change leaves the state before or after it`() throws {
        let states = [try state(1, "a"), try state(1, "a"), try state(2), try state(2, "b"), try state(7, "c")]
        var done = 0
        try Crash.atEveryChange(
            prepare: { folder in try FileDisk().makeFolder(folder) },
            act: { disk, folder in
                done = 0
                let (file, _) = try HardStateFile.open(disk: disk, path: folder + "/vote", hasLog: false, hasEntries: false)
                defer { file.close() }
                for state in states {
                    try file.persist(state)
                    done += 1
                }
            },
            check: { crash in
                let (file, opening) = try HardStateFile.open(
                    disk: FileDisk(), path: crash.folder + "/vote", hasLog: false, hasEntries: false)
                file.close()
                let allowed = states[max(0, done - 1)...min(done, states.count - 1)].map { HardStateFile.Opening.intact($0) }
                #expect(allowed.contains(opening) || done == 0 && opening == .fresh, "at change \(crash.point)")
            })
    }

    @Test func `a crash while a lost file is made anew leaves it lost or whole`() throws {
        let next = try state(9)
        try Crash.atEveryChange(
            prepare: { folder in try FileDisk().makeFolder(folder) },
            act: { disk, folder in
                let (file, _) = try HardStateFile.open(disk: disk, path: folder + "/vote", hasLog: true, hasEntries: false)
                defer { file.close() }
                try file.persist(next)
            },
            check: { crash in
                let (file, opening) = try HardStateFile.open(
                    disk: FileDisk(), path: crash.folder + "/vote", hasLog: true, hasEntries: false)
                file.close()
                #expect(isLost(opening) && !crash.isOver || opening == .intact(next), "at change \(crash.point)")
            })
    }
}

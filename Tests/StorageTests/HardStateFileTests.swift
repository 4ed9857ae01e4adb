import Primitives
import Testing

@testable import Storage

/// Raft figure 2: term and vote are on stable storage before a server answers.
struct HardStateFileTests {
    private let temporary: TemporaryFolder
    private var path: String { temporary.path + "/vote" }

    init() throws { temporary = try TemporaryFolder() }

    private func persist(_ states: [HardState]) throws {
        let file = try HardStateFile(disk: FileDisk(), path: path)
        defer { file.close() }
        for state in states { try file.persist(state) }
    }

    private func reopened() throws -> HardState {
        let file = try HardStateFile(disk: FileDisk(), path: path)
        defer { file.close() }
        return file.state
    }

    private func state(_ term: UInt64, _ vote: String? = nil) throws -> HardState {
        HardState(term: Term(term), vote: try vote.map { try NodeID($0) })
    }

    @Test func `a new file is term 0 and no vote, and stays so`() throws {
        let first = try reopened()
        let second = try reopened()
        let expected = try state(0)
        #expect(first == expected)
        #expect(second == expected)
    }

    @Test func `an empty file is as good as none`() throws {
        try writeFile(path, [])
        try persist([try state(1, "a")])
        let read = try reopened()
        let expected = try state(1, "a")
        #expect(read == expected)
    }

    @Test func `the newest state is read, whatever the count of writes`() throws {
        for count in 1...6 {
            let newest = try state(UInt64(count) * 3, count % 2 == 0 ? "node-\(count)" : nil)
            try persist([newest])
            let read = try reopened()
            #expect(read == newest)
        }
        let longest = try state(.max, String(repeating: "n", count: 63))
        try persist([try state(20, "a"), try state(20, "b"), longest])
        let read = try reopened()
        #expect(read == longest)
    }

    @Test func `the golden bytes of a slot stay`() throws {
        try persist([try state(3, "a")])
        let file = try readFile(path)
        #expect(file.count == 4352)
        #expect(file[..<128].allSatisfy { $0 == 0 })
        let golden = bytes(
            hex: "44535452564f5445 0100000000000000 0300000000000000 01 61" + String(repeating: "00", count: 98) + "9f93d856")
        #expect(Array(file[128..<256]) == golden)
        #expect(Array(file[4224...]) == golden)
        #expect(file[256..<4224].allSatisfy { $0 == 0 })
    }

    @Test func `writes alternate between two slots`() throws {
        var before = [UInt8](repeating: 0, count: 4352)
        for term in UInt64(1)...6 {
            try persist([try state(term, "a")])
            let after = try readFile(path)
            let written = term % 2 == 1 ? 128..<256 : 0..<128
            let other = term % 2 == 1 ? 0..<128 : 128..<256
            #expect(after[written] != before[written], "term \(term)")
            #expect(after[other] == before[other], "term \(term)")
            #expect(after[4096...].elementsEqual(after[..<256]), "term \(term)")
            before = after
        }
    }

    @Test func `a torn slot leaves the state before it, and is written next`() throws {
        try persist([try state(1, "a"), try state(2, "b")])
        let whole = try readFile(path)
        let (older, newest) = (try state(1, "a"), try state(3, "c"))
        for bit in 0..<128 * 8 {
            var torn = whole
            torn[bit / 8] ^= 1 << UInt8(bit % 8)
            torn[4096 + bit / 8] ^= 1 << UInt8(bit % 8)
            try writeFile(path, torn)
            let read = try reopened()
            #expect(read == older, "bit \(bit)")
        }
        try persist([newest])
        let read = try reopened()
        #expect(read == newest)
        let after = try readFile(path)
        #expect(after[128..<256] == whole[128..<256])
    }

    /// Taken for a torn write, the vote before it would be given once more.
    @Test func `damage to one copy of the newest state is seen past, wherever it lies`() throws {
        try persist([try state(1, "a"), try state(2, "b")])
        let whole = try readFile(path)
        let newest = try state(2, "b")
        for start in [0, 4096] {
            for bit in 0..<128 * 8 {
                var changed = whole
                changed[start + bit / 8] ^= 1 << UInt8(bit % 8)
                try writeFile(path, changed)
                let read = try reopened()
                #expect(read == newest, "bit \(bit) from byte \(start)")
            }
            var changed = whole
            for place in start..<start + 256 { changed[place] = 0xA5 }
            try writeFile(path, changed)
            let read = try reopened()
            #expect(read == newest, "all of the copy at byte \(start)")
        }
    }

    @Test func `with both slots damaged there is no answer, and nothing is changed`() throws {
        try persist([try state(1, "a"), try state(2, "b")])
        var file = try readFile(path)
        for place in [20, 150, 4096 + 20, 4096 + 150] { file[place] ^= 1 }
        try writeFile(path, file)
        let error = storageError { _ = try reopened() }
        #expect(error == StorageError.damaged(path: path, offset: 0, reason: "neither copy of term and vote can be read"))
        let after = try readFile(path)
        #expect(after == file)
    }

    @Test func `a file cut short after its first write is damage`() throws {
        try persist([try state(1, "a")])
        let file = try readFile(path)
        try writeFile(path, Array(file[..<200]))
        let error = storageError { _ = try reopened() }
        #expect(error == StorageError.damaged(path: path, offset: 0, reason: "neither copy of term and vote can be read"))
    }
}

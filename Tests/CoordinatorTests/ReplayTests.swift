import Primitives
import Storage
import Testing

@testable import Coordinator

/// A log that is applied while it is read (Replay.swift) gives what one gives that is applied entry by entry.
struct ReplayTests {
    private func applier() -> ReplicaApplier { ReplicaApplier(cluster: Rig.cluster, dedup: DedupWindow(), history: nil) }

    private func entries(_ count: Int) throws -> [LogEntry] {
        var limits = Planner.Limits()
        limits.digestEvery = 100
        var rig = try Rig(limits: limits)
        var number = 0
        while rig.log.count < count {
            number += 1
            let assignment = try rig.begin("note", number)
            rig.end(assignment, .succeeded(["n": Value(number)]))
        }
        return rig.log.prefix(count).map { LogEntry(index: $0.index, term: Term(1), kind: .commands, payload: $0.payload) }
    }

    private func failure(_ body: () throws(StorageError) -> Void) -> StorageError? {
        do throws(StorageError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    @Test func `at every length the state is the same, byte by byte`() throws {
        let entries = try entries(3000)
        let plain = applier()
        var expected: [Int: [UInt8]] = [0: StateCodec.encode(plain.state)]
        let lengths = [0, 1, 127, 128, 129, 256, 1500, 3000]
        for (place, entry) in entries.enumerated() {
            try plain.apply(entry)
            if lengths.contains(place + 1) { expected[place + 1] = StateCodec.encode(plain.state) }
        }
        for length in lengths {
            let replica = applier()
            let replay = Replay(replica)
            for entry in entries.prefix(length) { try replay.apply(entry) }
            try replay.finish()
            #expect(StateCodec.encode(replica.state) == expected[length], "\(length)")
            try replay.finish()
        }
    }

    @Test(arguments: [0, 300, 2999])
    func `an entry that cannot be read stops it, before that entry`(place: Int) throws {
        var entries = try entries(3000)
        entries[place].payload = [1, 2, 3]
        let replica = applier()
        let replay = Replay(replica)
        let error = failure { () throws(StorageError) in
            for entry in entries { try replay.apply(entry) }
            try replay.finish()
        }
        let again = failure { () throws(StorageError) in try replay.finish() }
        #expect(error == again)
        guard case .unreadable(let index, _) = try #require(error) else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(index == entries[place].index)
        #expect(replica.state.applied.number == index.number - 1)
        #expect(replica.standstill != nil)
    }

    @Test func `one that is given up ends its thread`() throws {
        let replica = applier()
        do {
            let replay = Replay(replica)
            for entry in try entries(600) { try replay.apply(entry) }
        }
        #expect(replica.state.applied.number % 128 == 0)
    }
}

/// What surely was never there is told without looking (KeyFilter.swift).
struct KeyFilterTests {
    @Test(arguments: [1, 100, 4096, 100_000])
    func `whatever was inserted may be there, and of what was not nearly nothing`(count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        func key() -> StateDigest { StateDigest(high: generator.next(), low: generator.next()) }
        let filter = KeyFilter(keys: count)
        let keys = (0..<count).map { _ in key() }
        for key in keys { filter.insert(key) }
        #expect(keys.allSatisfy { filter.mayContain($0) })
        let others = 20_000
        let taken = (0..<others).count { _ in filter.mayContain(key()) }
        // One in 100 at most.
        #expect(taken < others / 100, "\(taken)")
    }

    @Test func `an empty one has nothing, and one for no keys works`() {
        #expect(!KeyFilter(keys: 10).mayContain(StateDigest(high: 1, low: 2)))
        let tiny = KeyFilter(keys: 0)
        for number in 0..<1000 as Range<UInt64> {
            tiny.insert(StateDigest(high: number << 7, low: number))
            #expect(tiny.mayContain(StateDigest(high: number << 7, low: number)))
        }
    }
}

import HashTreeCollections
import Primitives
import Testing
import Wire
import Workflows

@testable import Coordinator

/// A state as the bytes of a snapshot (StateCodec.swift).
struct StateCodecTests {
    /// Open runs, pins to an old definition, an upload that waits, and messages of several generations.
    private func state() throws -> CoordinatorState {
        var rig = try Rig(slots: 1)
        let pay = try rig.begin("order", 1)
        rig.submit("order", 2)
        rig.submit("pause", 3)
        rig.end(pay, .succeeded(["receipt": 5, "é": [nil, 0.5]]))
        rig.pass(.seconds(70))
        rig.submit("fragile", 4)
        try rig.activate([workflowText("order", #"{"only": {"use": "transform", "with": {"value": "new"}}}"#)])
        rig.submit("note", 5)
        var state = rig.planner.state
        state.begin(state.applied.next, term: Term(4), time: rig.wall)
        var applied = Applied()
        try state.apply(.stage(Stage(upload: UUIDv7(high: 3, low: 3), offset: 0, bytes: [1, 2, 3])), into: &applied)
        #expect(!state.pins.isEmpty)
        #expect(state.dedup.generations.count > 1)
        #expect(state.runs.count > 2)
        return state
    }

    @Test func `a state reads back equal`() throws {
        let state = try state()
        let read = try StateCodec.decode(StateCodec.encode(state), dedup: DedupWindow())
        #expect(read.digest == state.digest)
        #expect(read.cluster == state.cluster)
        #expect(read.applied == state.applied)
        #expect(read.appliedTerm == Term(4))
        #expect(read.time == state.time)
        #expect(read.catalogVersion == 2)
        #expect(read.assignments == state.assignments)
        #expect(read.totals == state.totals)
        #expect(read.dedup.count == state.dedup.count)
        #expect(read.dedup.generations.map(\.since) == state.dedup.generations.map(\.since))
        #expect(read.uploads.keys.sorted() == state.uploads.keys.sorted())
        #expect(read.uploads[UUIDv7(high: 3, low: 3)]?.bytes == [1, 2, 3])
        #expect(Set(read.runs.keys) == Set(state.runs.keys))
        for (id, open) in state.runs {
            #expect(read.runs[id]?.run == open.run)
            #expect(read.definition(of: open.run) == state.definition(of: open.run))
        }
    }

    @Test func `equal states give equal bytes`() throws {
        let state = try state()
        let bytes = StateCodec.encode(state)
        #expect(StateCodec.encode(state) == bytes)
        let read = try StateCodec.decode(bytes, dedup: DedupWindow())
        #expect(StateCodec.encode(read) == bytes)
    }

    @Test func `an empty state reads back equal`() throws {
        let state = CoordinatorState(cluster: UUIDv7(high: 1, low: 2))
        let read = try StateCodec.decode(StateCodec.encode(state), dedup: DedupWindow())
        #expect(read.digest == state.digest)
        #expect(read.cluster == state.cluster)
        #expect(read.runs.isEmpty)
    }

    @Test func `pieces together are the whole`() throws {
        var replica = Replica()
        for number in UInt64(1)...3 {
            try replica.apply(.stage(Stage(upload: UUIDv7(high: number, low: 0), offset: 0, bytes: [UInt8](repeating: 7, count: 200_000))))
        }
        let next = StateCodec.pieces(of: replica.state)
        var pieces: [[UInt8]] = []
        while let piece = next() { pieces.append(piece) }
        #expect(pieces.count > 1)
        #expect(Array(pieces.joined()) == StateCodec.encode(replica.state))
    }

    @Test func `a state goes on from its snapshot as it would have without`() throws {
        let state = try state()
        var plain = state
        var read = try StateCodec.decode(StateCodec.encode(state), dedup: DedupWindow())
        let orders = state.runs.values.map(\.run).filter { $0.workflow == "order" }
        let open = try #require(orders.first)
        let command = Command.settle(Settle(from: open, to: cancelled(open)))
        var outputs = (Applied(), Applied())
        plain.begin(plain.applied.next, term: Term(5), time: plain.time)
        read.begin(read.applied.next, term: Term(5), time: read.time)
        try plain.apply(command, into: &outputs.0)
        try read.apply(command, into: &outputs.1)
        #expect(outputs.0.outcomes == [.done])
        #expect(outputs.0.history == outputs.1.history)
        #expect(read.digest == plain.digest)
        #expect(StateCodec.encode(read) == StateCodec.encode(plain))
    }

    private func cancelled(_ run: WorkflowRun) -> WorkflowRun {
        var next = run
        next.state = .cancelled
        next.revision += 1
        next.error = TaskError(type: "cancelled", message: "x")
        return next
    }

    // MARK: Refusals

    private func refusal(_ bytes: [UInt8]) -> WireError? {
        do throws(WireError) {
            _ = try StateCodec.decode(bytes, dedup: DedupWindow())
            return nil
        } catch {
            return error
        }
    }

    @Test func `a snapshot of another version is refused`() {
        var writer = TLVWriter()
        writer.message(1) { $0.u16(1, 2) }
        guard case .badValue(_, let reason, _)? = refusal(writer.bytes) else {
            Issue.record("a newer snapshot was read")
            return
        }
        #expect(reason == "snapshot version 2; this program reads 1")
    }

    @Test func `a snapshot without head or end is refused`() throws {
        #expect(refusal([]) == .missingField(tag: 1, of: "snapshot"))
        let whole = StateCodec.encode(try state())
        var reader = TLVReader(whole[...], repeating: ~0)
        var ends: [Int] = []
        while let field = try reader.next() { ends.append(field.offset + field.value.count) }
        for end in ends.dropLast() {
            let error = refusal(Array(whole[..<end]))
            #expect(error == .missingField(tag: 8, of: "snapshot"), "cut at \(end)")
        }
    }

    @Test func `a snapshot that lacks a record is refused by its digest`() throws {
        let whole = StateCodec.encode(try state())
        var reader = TLVReader(whole[...], repeating: ~0)
        var places: [(tag: UInt16, range: Range<Int>)] = []
        while let field = try reader.next() {
            places.append((tag: field.tag, range: (field.offset - 7)..<(field.offset + field.value.count)))
        }
        for (tag, range) in places where [2, 5, 7].contains(tag) {
            var cut = whole
            cut.removeSubrange(range)
            guard case .badValue? = refusal(cut) else {
                Issue.record("read without a record of tag \(tag) at \(range)")
                continue
            }
        }
    }

    @Test func `a key before its generation is refused`() throws {
        let state = CoordinatorState(cluster: UUIDv7(high: 1, low: 2))
        var bytes = StateCodec.encode(state)
        var key = TLVWriter()
        key.message(7) { $0.u64(1, 1) }
        var reader = TLVReader(bytes[...], repeating: ~0)
        let found = try reader.next()
        let head = try #require(found)
        bytes.insert(contentsOf: key.bytes, at: head.offset + head.value.count)
        guard case .badValue(_, let reason, _)? = refusal(bytes) else {
            Issue.record("a key without a generation was read")
            return
        }
        #expect(reason == "a key before its generation")
    }

    // MARK: Chance

    @Test func `a snapshot with any bytes changed is refused, or is of the same digest`() throws {
        let state = try state()
        let whole = StateCodec.encode(state)
        let seed: UInt64 = 32
        var generator = SeededGenerator(seed: seed)
        var refused = 0
        for _ in 0..<3000 {
            var mutated = whole
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: mutated.indices, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: mutated[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                case 1: mutated[place] = UInt8.random(in: 0...255, using: &generator)
                case 2: mutated.insert(UInt8.random(in: 0...20, using: &generator), at: place)
                default: mutated.remove(at: place)
                }
            }
            if Int.random(in: 0..<20, using: &generator) == 0 { mutated.removeLast(Int.random(in: 0...mutated.count, using: &generator)) }
            guard let read = try? StateCodec.decode(mutated, dedup: DedupWindow()) else {
                refused += 1
                continue
            }
            #expect(read.digest == state.digest, "seed \(seed)")
        }
        #expect(refused > 2400, "seed \(seed)")
    }
}

import Testing

@testable import Primitives

/// Replicas that hold the same records agree, whatever order they met them in (StateDigest.swift).
struct StateDigestTests {
    private func digests(_ count: Int, using generator: inout SeededGenerator) -> [StateDigest] {
        (0..<count).map { _ in StateDigest(high: generator.next(), low: generator.next()) }
    }

    private func sum(_ digests: [StateDigest]) -> StateDigest { digests.reduce(into: StateDigest()) { $0 += $1 } }

    @Test func `a sum is free of order`() {
        let seed: UInt64 = 21
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let parts = digests(20, using: &generator)
            let shuffled = parts.shuffled(using: &generator)
            #expect(sum(parts) == sum(shuffled), "seed \(seed)")
        }
    }

    @Test func `what was added can be taken away again, in any order`() {
        let seed: UInt64 = 22
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let (kept, gone) = (digests(5, using: &generator), digests(5, using: &generator))
            var total = sum(kept + gone)
            for digest in gone.shuffled(using: &generator) { total -= digest }
            #expect(total == sum(kept), "seed \(seed)")
            for digest in kept { total -= digest }
            #expect(total == StateDigest(), "seed \(seed)")
        }
    }

    @Test func `carry and borrow cross the words`() {
        var digest = StateDigest(high: 1, low: .max)
        digest += StateDigest(high: 0, low: 1)
        #expect(digest == StateDigest(high: 2, low: 0))
        digest -= StateDigest(high: 0, low: 1)
        #expect(digest == StateDigest(high: 1, low: .max))
        var wrapped = StateDigest()
        wrapped -= StateDigest(high: 0, low: 1)
        #expect(wrapped == StateDigest(high: .max, low: .max))
        #expect(StateDigest(high: 0x1F, low: 2).description == "000000000000001f0000000000000002")
    }
}

/// The hash beneath the digest: golden values were computed by a separate program from the description in StateDigest.swift.
struct StableHasherTests {
    private func hash(key: UInt64 = 0, _ body: (inout StableHasher) -> Void) -> StateDigest {
        var hasher = StableHasher(key: key)
        body(&hasher)
        return hasher.finish()
    }

    private func hash(of text: String, key: UInt64 = 0) -> StateDigest { hash(key: key) { $0.combine(text) } }
    private func hash(of bytes: [UInt8]) -> StateDigest { hash { $0.combine(bytes) } }

    @Test func `the golden values stay`() {
        let keyed = hash(key: 7) { hasher in
            hasher.combine(1 as UInt64)
            hasher.combine(2 as UInt64)
        }
        let empty = hash { _ in }
        #expect(empty.description == "858c7f7c3ef436581e45098276e5b05d")
        #expect(hash(of: "DistriC").description == "273baff815473a9f13f43b51dda0b786")
        #expect(hash(of: "12345678ab").description == "0aed9c0f5abf201944c3e77ea56d7b6a")
        #expect(keyed.description == "cfd251ab16cebb6d58353802fe9de1be")
    }

    @Test func `the same input gives the same answer, as text or as bytes`() {
        let text = "some text of more than eight bytes, é"
        #expect(hash(of: text) == hash(of: text))
        #expect(hash(of: text) == hash(of: Array(text.utf8)))
    }

    @Test func `different splits of the same bytes differ`() {
        let splits = [["abc"], ["ab", "c"], ["a", "bc"], ["", "abc"], ["abc", ""], ["a", "b", "c"]]
        let hashes = splits.map { pieces in hash { hasher in for piece in pieces { hasher.combine(piece) } } }
        #expect(Set(hashes).count == splits.count)
    }

    @Test func `length, order and key matter`() {
        #expect(hash(of: [0]) != hash(of: [0, 0]))
        #expect(hash(of: [1, 2]) != hash(of: [2, 1]))
        #expect(hash(of: "a", key: 1) != hash(of: "a", key: 2))
    }

    @Test func `one flipped bit anywhere changes the hash`() {
        let seed: UInt64 = 77
        var generator = SeededGenerator(seed: seed)
        let bytes = (0..<37).map { _ in UInt8.random(in: 0...255, using: &generator) }
        var seen: Set<StateDigest> = [hash(of: bytes)]
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            let isNew = seen.insert(hash(of: flipped)).inserted
            #expect(isNew, "seed \(seed), bit \(bit)")
        }
    }

    @Test func `values of different shapes differ`() {
        let values: [Value] = [
            .null, .bool(false), .bool(true), .int(0), .int(1), .uint(1 << 63), .double(0), .double(1), .string(""), .string("0"),
            .list([]),
            .list([.list([])]), .list([.int(1)]), .list([.int(1), .null]), .map(Fields()), .map(Fields([.init("a", .int(1))])),
            .map(Fields([.init("a", .null), .init("b", .null)])), .map(Fields([.init("b", .null), .init("a", .null)])),
        ]
        var hashes: Set<StateDigest> = [hash { $0.combine(optional: Value?.none) }]
        for value in values {
            let digest = hash { $0.combine(value: value) }
            let optional = hash { $0.combine(optional: value) }
            let isNew = hashes.insert(digest).inserted
            #expect(digest == optional)
            #expect(isNew, "\(value)")
        }
    }
}

import NIOCore
import Testing

@testable import Transport

/// Keys that datagrams are sealed with (KeyRing.swift).
struct KeyRingTests {
    private func key(_ id: UInt8, _ byte: UInt8? = nil) throws -> KeyRing.Key {
        try KeyRing.Key(id: id, bytes: [UInt8](repeating: byte ?? id, count: 32))
    }

    private func bytes(_ buffer: ByteBuffer?) -> [UInt8]? { buffer.map { Array($0.readableBytesView) } }

    private func refusal(_ work: () throws -> Void) -> TransportError? {
        do {
            try work()
            return nil
        } catch {
            return error as? TransportError
        }
    }

    private func isBadKey(_ error: TransportError?, _ words: String) -> Bool {
        guard case .badKey(let reason) = error else { return false }
        return reason.contains(words)
    }

    private let plain = ByteBuffer(bytes: (0..<60).map { UInt8($0) })

    @Test func `what is sealed is opened, by whoever has the key`() throws {
        let (one, other) = (KeyRing(try key(1)), KeyRing(try key(1)))
        let sealed = try #require(one.seal(plain))
        #expect(sealed.readableBytes == plain.readableBytes + KeyRing.overhead)
        let head = bytes(sealed)?.prefix(2) ?? []
        #expect(Array(head) == [KeyRing.mark, 1])
        let opened = other.open(sealed)
        #expect(bytes(opened) == bytes(plain))
    }

    @Test func `the same frame is never sealed the same way twice`() throws {
        let ring = KeyRing(try key(1))
        var seen: Set<[UInt8]> = []
        for _ in 0..<200 {
            let sealed = try #require(bytes(ring.seal(plain)))
            #expect(seen.insert(sealed).inserted)
        }
        for sealed in seen {
            let isReadable = sealed.indices.dropLast(8).contains { Array(sealed[$0..<$0 + 8]) == [8, 9, 10, 11, 12, 13, 14, 15] }
            #expect(!isReadable)
        }
    }

    @Test func `a sealed datagram of which any bit is another is refused`() throws {
        let ring = KeyRing(try key(1))
        // The neighbour of id 1 is there too, with another key.
        try ring.install(try key(0))
        try ring.install(try key(3))
        let sealed = try #require(bytes(ring.seal(plain)))
        var taken: [Int] = []
        for bit in 0..<sealed.count * 8 {
            var changed = sealed
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            if ring.open(ByteBuffer(bytes: changed)) != nil { taken.append(bit) }
        }
        #expect(taken.isEmpty)
        let whole = ring.open(ByteBuffer(bytes: sealed))
        #expect(whole != nil)
    }

    @Test func `a sealed datagram that is cut or has something after it is refused`() throws {
        let ring = KeyRing(try key(1))
        let sealed = try #require(bytes(ring.seal(plain)))
        for count in 0..<sealed.count {
            let opened = ring.open(ByteBuffer(bytes: sealed.prefix(count)))
            #expect(opened == nil, "\(count) bytes")
        }
        let longer = ring.open(ByteBuffer(bytes: sealed + [0]))
        #expect(longer == nil)
    }

    @Test func `what was sealed with a key that the ring has not is refused`() throws {
        let (ring, unknown, impostor) = (KeyRing(try key(1)), KeyRing(try key(2)), KeyRing(try key(1, 99)))
        let other = ring.open(try #require(unknown.seal(plain)))
        #expect(other == nil)
        let forged = ring.open(try #require(impostor.seal(plain)))
        #expect(forged == nil)
        let unsealed = ring.open(plain)
        #expect(unsealed == nil)
    }

    @Test func `a slice of a larger buffer is opened as well`() throws {
        let ring = KeyRing(try key(1))
        var around = ByteBuffer(bytes: [1, 2, 3])
        around.writeImmutableBuffer(try #require(ring.seal(plain)))
        around.moveReaderIndex(forwardBy: 3)
        let opened = ring.open(around)
        #expect(bytes(opened) == bytes(plain))
        let slice = try #require(plain.getSlice(at: 10, length: 20))
        let again = ring.open(try #require(ring.seal(slice)))
        #expect(bytes(again) == bytes(slice))
    }

    @Test func `keys change while all understand all`() throws {
        let (one, other) = (KeyRing(try key(1)), KeyRing(try key(1)))
        func talk() throws -> Bool {
            let (there, back) = (other.open(try #require(one.seal(plain))), one.open(try #require(other.seal(plain))))
            return bytes(there) == bytes(plain) && bytes(back) == bytes(plain)
        }
        var understood: [Bool] = [try talk()]
        for ring in [one, other] {
            try ring.install(try key(2))
            understood.append(try talk())
        }
        #expect(one.ids == [1, 2])
        #expect(one.usedID == 1)
        for ring in [one, other] {
            try ring.use(2)
            understood.append(try talk())
        }
        #expect(one.usedID == 2)
        let old = try #require(KeyRing(try key(1)).seal(plain))
        let before = one.open(old)
        #expect(before != nil)
        for ring in [one, other] {
            try ring.remove(1)
            understood.append(try talk())
        }
        #expect(understood == [Bool](repeating: true, count: 7))
        #expect(one.ids == [2])
        let after = one.open(old)
        #expect(after == nil)
    }

    @Test func `what makes no sense of keys is refused`() throws {
        for count in [0, 16, 31, 33] {
            let error = refusal { _ = try KeyRing.Key(id: 1, bytes: [UInt8](repeating: 1, count: count)) }
            #expect(isBadKey(error, "32 bytes, this one \(count)"))
        }
        let ring = KeyRing(try key(1))
        let missing = refusal { try ring.use(2) }
        #expect(isBadKey(missing, "no key 2"))
        let used = refusal { try ring.remove(1) }
        #expect(isBadKey(used, "in use"))
        let other = try key(1, 7)
        let clash = refusal { try ring.install(other) }
        #expect(isBadKey(clash, "another one"))
        // The same one again, and the removal of none, change nothing.
        try ring.install(try key(1))
        try ring.remove(200)
        #expect(ring.ids == [1])
        for id in 2...UInt8(KeyRing.keyLimit) { try ring.install(try key(id)) }
        let last = try key(100)
        let full = refusal { try ring.install(last) }
        #expect(isBadKey(full, "\(KeyRing.keyLimit) keys"))
        #expect(ring.ids.count == KeyRing.keyLimit)
        try ring.remove(2)
        try ring.install(last)
        #expect(ring.ids.contains(100))
    }
}

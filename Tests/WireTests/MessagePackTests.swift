import Primitives
import Testing

@testable import Wire

/// MessagePack, specification of 2017-08-09 (MessagePack.swift).
struct MessagePackTests {
    /// `==` calls 1 and 1.0 the same, and NaN unlike itself; here the form counts, and the order of keys.
    private func same(_ left: Value, _ right: Value) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.uint(let a), .uint(let b)): a == b
        case (.double(let a), .double(let b)): a.bitPattern == b.bitPattern
        case (.string(let a), .string(let b)): sameBytes(a, b)
        case (.list(let a), .list(let b)): a.count == b.count && zip(a, b).allSatisfy { same($0, $1) }
        case (.map(let a), .map(let b)):
            a.count == b.count && zip(a.members, b.members).allSatisfy { sameBytes($0.key, $1.key) && same($0.value, $1.value) }
        default: false
        }
    }

    private func failure(_ input: [UInt8]) -> MessagePack.Failure? {
        do throws(MessagePack.Failure) {
            _ = try MessagePack.read(input)
            return nil
        } catch {
            return error
        }
    }

    private func failure(_ hex: String) -> MessagePack.Failure? { failure(bytes(hex: hex)) }

    /// Writes a value and reads it; the bytes that it took.
    private func roundTrip(_ value: Value, _ comment: String = "") throws -> Int {
        let written = MessagePack.bytes(value)
        let read = try MessagePack.read(written)
        #expect(same(read, value), "\(comment)")
        #expect(MessagePack.count(value) == written.count, "\(comment)")
        return written.count
    }

    // MARK: Vectors

    /// From the specification's tables of formats; the last is the example of msgpack.org.
    private let vectors: [(String, Value)] = [
        ("c0", .null), ("c2", .bool(false)), ("c3", .bool(true)),
        ("00", .int(0)), ("7f", .int(127)), ("cc80", .int(128)), ("ccff", .int(255)), ("cd0100", .int(256)), ("cdffff", .int(65_535)),
        ("ce00010000", .int(65_536)), ("ceffffffff", .int(4_294_967_295)), ("cfffffffffffffffff", .uint(UInt64.max)),
        ("cf8000000000000000", .uint(1 << 63)), ("ff", .int(-1)), ("e0", .int(-32)), ("d0df", .int(-33)), ("d080", .int(-128)),
        ("d1ff7f", .int(-129)), ("d18000", .int(-32_768)), ("d2ffff7fff", .int(-32_769)), ("d280000000", .int(-2_147_483_648)),
        ("d3ffffffff7fffffff", .int(-2_147_483_649)), ("d38000000000000000", .int(Int64.min)), ("d37fffffffffffffff", .int(Int64.max)),
        ("cb3ff8000000000000", .double(1.5)), ("cb8000000000000000", .double(-0.0)), ("cb7ff0000000000000", .double(.infinity)),
        ("a0", .string("")), ("a161", .string("a")), ("a2c3a9", .string("é")), ("90", .list([])), ("93010203", .list([1, 2, 3])),
        ("80", .map(Fields())), ("81a16191c0", .map(Fields([Fields.Member("a", .list([.null]))]))),
        (
            "82a7636f6d70616374c3a6736368656d6100",
            .map(Fields([Fields.Member("compact", .bool(true)), Fields.Member("schema", .int(0))]))
        ),
    ]

    @Test func `the known bytes are read and written`() throws {
        for (hex, value) in vectors {
            let read = try MessagePack.read(bytes(hex: hex))
            #expect(same(read, value), "\(hex)")
            let written = MessagePack.bytes(value)
            #expect(written == bytes(hex: hex), "\(hex)")
        }
    }

    @Test func `longer forms than needed are read`() throws {
        let longer: [(String, Value)] = [
            ("cc01", .int(1)), ("cd0001", .int(1)), ("ce00000001", .int(1)), ("cf0000000000000001", .int(1)),
            ("cf7fffffffffffffff", .int(Int64.max)), ("d001", .int(1)), ("d1ffff", .int(-1)), ("d2ffffffff", .int(-1)),
            ("d3ffffffffffffffff", .int(-1)), ("d90161", .string("a")), ("da000161", .string("a")), ("db0000000161", .string("a")),
            ("dc000101", .list([1])), ("dd0000000101", .list([1])), ("de0001a16101", ["a": 1]), ("df00000001a16101", ["a": 1]),
            ("ca3fc00000", .double(1.5)), ("ca7f800000", .double(.infinity)), ("ca00000001", .double(Double(Float.leastNonzeroMagnitude))),
        ]
        for (hex, value) in longer {
            let read = try MessagePack.read(bytes(hex: hex))
            #expect(same(read, value), "\(hex)")
        }
    }

    // MARK: Round trips

    @Test func `every integer takes what its size needs`() throws {
        let sizes: [(Int64, Int)] = [
            (0, 1), (127, 1), (128, 2), (255, 2), (256, 3), (65_535, 3), (65_536, 5), (4_294_967_295, 5), (4_294_967_296, 9),
            (Int64.max, 9), (-1, 1), (-32, 1), (-33, 2), (-128, 2), (-129, 3), (-32_768, 3), (-32_769, 5), (-2_147_483_648, 5),
            (-2_147_483_649, 9), (Int64.min, 9),
        ]
        for (number, size) in sizes {
            let taken = try roundTrip(.int(number), "\(number)")
            #expect(taken == size, "\(number)")
        }
        for number in [UInt64(1) << 63, UInt64.max - 1, UInt64.max] {
            let taken = try roundTrip(.uint(number), "\(number)")
            #expect(taken == 9)
        }
        // What fits Int64 comes back as one.
        let small = try MessagePack.read(MessagePack.bytes(.uint(5)))
        #expect(same(small, .int(5)))
    }

    @Test func `every double reads back bit for bit`() throws {
        let numbers: [Double] = [
            0, -0.0, 0.1, 1, .infinity, -.infinity, .nan, .signalingNaN, .leastNonzeroMagnitude, .greatestFiniteMagnitude, -1e300,
        ]
        for number in numbers {
            let taken = try roundTrip(.double(number), "\(number)")
            #expect(taken == 9)
        }
    }

    @Test func `strings of every length class read back`() throws {
        let heads = [0: 1, 1: 1, 31: 1, 32: 2, 255: 2, 256: 3, 65_535: 3, 65_536: 5]
        for (length, head) in heads {
            let taken = try roundTrip(.string(String(repeating: "x", count: length)), "\(length)")
            #expect(taken == head + length, "\(length)")
        }
        for text in ["é", "e\u{301}", "😀\u{0}", String(repeating: "é", count: 16)] { _ = try roundTrip(.string(text)) }
    }

    @Test func `lists and maps of every length class read back`() throws {
        let heads = [0: 1, 15: 1, 16: 3, 65_535: 3, 65_536: 5]
        for (length, head) in heads {
            let list = try roundTrip(.list([Value](repeating: .null, count: length)), "\(length)")
            #expect(list == head + length, "\(length)")
            let members = (0..<length).map { Fields.Member("k\($0)", .bool(true)) }
            let keys = members.reduce(0) { $0 + $1.key.utf8.count + 1 }
            let map = try roundTrip(.map(Fields(members)), "\(length)")
            #expect(map == head + keys + length, "\(length)")
        }
    }

    @Test func `keys differ by their bytes, and keep their order`() throws {
        let fields = Fields([Fields.Member("e\u{301}", .int(1)), Fields.Member("é", .int(2)), Fields.Member("", .int(3))])
        _ = try roundTrip(.map(fields))
    }

    @Test func `any value reads back`() throws {
        let seed: UInt64 = 301
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let value = anything(&generator, depth: 4)
            _ = try roundTrip(value, "seed \(seed)")
        }
    }

    private func anything(_ generator: inout SeededGenerator, depth: Int) -> Value {
        let word: UInt64 = generator.next()
        let shift = UInt64.random(in: 0..<64, using: &generator)
        let count = Int.random(in: 0...(depth > 2 ? 20 : 4), using: &generator)
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &generator) {
        case 0: return .null
        case 1: return .bool(word & 1 == 1)
        case 2: return .int(Int64(bitPattern: word) >> Int64(shift))
        case 3: return .uint(word | 1 << 63)
        case 4: return .double(Double(bitPattern: word))
        case 5: return .string(String(repeating: "aé😀", count: Int(word % 30)))
        case 6: return .list((0..<count).map { _ in anything(&generator, depth: depth - 1) })
        default: return .map(Fields((0..<count).map { Fields.Member("k\($0)", anything(&generator, depth: depth - 1)) }))
        }
    }

    // MARK: Refusals

    @Test func `what is cut anywhere is refused`() {
        for (hex, _) in vectors {
            let whole = bytes(hex: hex)
            for count in whole.indices {
                guard case .truncated(let at)? = failure(Array(whole.prefix(count))) else {
                    Issue.record("\(hex), \(count) bytes")
                    continue
                }
                #expect(at <= count, "\(hex)")
            }
        }
        let value: Value = ["list": [1, 1000, -70_000, 1.5, "text", nil], "map": ["k": true, "u": .uint(UInt64.max)]]
        let whole = MessagePack.bytes(value)
        for count in whole.indices {
            guard case .truncated? = failure(Array(whole.prefix(count))) else {
                Issue.record("\(count) bytes")
                continue
            }
        }
    }

    @Test func `a count that cannot be there is refused`() {
        for (hex, at) in [("ddffffffff", 5), ("dfffffffff", 5), ("dbffffffff", 5), ("dcffff00", 3), ("deffff00", 3), ("81a0", 1)] {
            let error = failure(hex)
            #expect(error == MessagePack.Failure.truncated(at: at), "\(hex)")
        }
    }

    @Test func `binary, extensions and what is never used are refused`() {
        let marks: [UInt8] = [0xC1, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8]
        for mark in marks {
            let error = failure([mark] + [UInt8](repeating: 0, count: 20))
            #expect(error == MessagePack.Failure.unsupported(byte: mark, at: 0))
            let inside = failure([0x92, 0x01, mark])
            #expect(inside == MessagePack.Failure.unsupported(byte: mark, at: 2))
        }
    }

    @Test func `text that is no text, keys that are none or come twice, and more than a value are refused`() {
        let refused: [(String, MessagePack.Failure)] = [
            ("a1ff", .badText(at: 1)), ("d902c328", .badText(at: 2)), ("9101c0", .trailing(at: 2)), ("c0c0", .trailing(at: 1)),
            ("810102", .keyIsNoText(at: 1)), ("8190c0", .keyIsNoText(at: 1)), ("82a16101a16102", .duplicateKey("a", at: 4)),
            ("81a1ff01", .badText(at: 2)),
        ]
        for (hex, expected) in refused {
            let error = failure(hex)
            #expect(error == expected, "\(hex)")
        }
    }

    @Test func `values may nest 64 deep and no deeper`() throws {
        func lists(_ depth: Int) -> [UInt8] { [UInt8](repeating: 0x91, count: depth) + [0x01] }
        func maps(_ depth: Int) -> [UInt8] { Array([[UInt8]](repeating: [0x81, 0xA0], count: depth).joined()) + [0x01] }
        _ = try MessagePack.read(lists(MessagePack.depthLimit))
        _ = try MessagePack.read(maps(MessagePack.depthLimit))
        let list = failure(lists(MessagePack.depthLimit + 1))
        #expect(list == MessagePack.Failure.tooDeep(at: MessagePack.depthLimit + 1))
        let map = failure(maps(MessagePack.depthLimit + 1))
        // The key of the innermost is the first that is too deep.
        #expect(map == MessagePack.Failure.tooDeep(at: MessagePack.depthLimit * 2 + 1))
        let far = failure(lists(1_000_000))
        #expect(far == MessagePack.Failure.tooDeep(at: MessagePack.depthLimit + 1))
        #expect(MessagePack.depthLimit == 64)
    }

    @Test func `every failure says something of its own`() {
        let failures: [MessagePack.Failure] = [
            .truncated(at: 1), .unsupported(byte: 0xC1, at: 1), .badText(at: 1), .keyIsNoText(at: 1), .duplicateKey("k", at: 1),
            .tooDeep(at: 1), .trailing(at: 1),
        ]
        #expect(Set(failures.map(\.description)).count == failures.count)
    }

    // MARK: Chance

    @Test func `random bytes are read or refused, and never trap`() throws {
        let seed: UInt64 = 302
        var generator = SeededGenerator(seed: seed)
        var read = 0
        for _ in 0..<20_000 {
            let input = (0..<Int.random(in: 0...24, using: &generator)).map { _ in
                // Heads of small groups come often, so that some are whole.
                Bool.random(using: &generator)
                    ? UInt8.random(in: 0x80...0xA2, using: &generator) : UInt8.random(in: 0...255, using: &generator)
            }
            guard let value = try? MessagePack.read(input) else { continue }
            read += 1
            let again = try MessagePack.read(MessagePack.bytes(value))
            #expect(same(again, value), "seed \(seed)")
        }
        #expect(read > 0, "seed \(seed)")
    }

    @Test func `a value with any bytes changed is read or refused, and never traps`() {
        let seed: UInt64 = 303
        var generator = SeededGenerator(seed: seed)
        let whole = MessagePack.bytes(["list": [1, 1000, -70_000, 1.5, "text", nil], "map": ["k": true, "u": .uint(UInt64.max)]])
        var read = 0
        for _ in 0..<20_000 {
            var mutated = whole
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                mutated[Int.random(in: mutated.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if (try? MessagePack.read(mutated)) != nil { read += 1 }
        }
        #expect(read > 0, "seed \(seed)")
    }
}

import Primitives
import Testing

@testable import Wire

/// Fields are `{tag u16, type u8, length u32, value}`, big-endian (TLV.swift).
struct TLVTests {
    private func written(_ body: (inout TLVWriter) -> Void) -> [UInt8] {
        var writer = TLVWriter()
        body(&writer)
        let bytes: [UInt8] = writer.bytes
        return bytes
    }

    /// The only field in bytes, however often its tag may come.
    private func field(_ bytes: [UInt8]) throws -> TLVField {
        var reader = TLVReader(bytes[...])
        let first = try reader.next()
        return try #require(first)
    }

    private func single(_ body: (inout TLVWriter) -> Void) throws -> TLVField { try field(written(body)) }

    private func failure<T>(_ body: () throws -> T) -> WireError? {
        do {
            _ = try body()
            return nil
        } catch {
            return error as? WireError
        }
    }

    @Test func `the bytes of each type are these for ever`() {
        let all = written { writer in
            writer.u8(0x0001, 0xFE)
            writer.u16(0x0102, 0xABCD)
            writer.u32(3, 0x0102_0304)
            writer.u64(4, 0x0102_0304_0506_0708)
            writer.i64(5, -2)
            writer.double(6, 1.5)
            writer.bool(7, true)
            writer.string(8, "é")
            writer.bytes(9, [0, 255])
            writer.message(0xFFFF) { $0.u8(1, 2) }
        }
        let golden = bytes(
            hex: """
                0001 01 00000001 fe
                0102 02 00000002 abcd
                0003 03 00000004 01020304
                0004 04 00000008 0102030405060708
                0005 05 00000008 fffffffffffffffe
                0006 06 00000008 3ff8000000000000
                0007 07 00000001 01
                0008 08 00000002 c3a9
                0009 09 00000002 00ff
                ffff 0c 00000008 0001 01 00000001 02
                """)
        #expect(all == golden)
    }

    @Test func `the numbers of the types are these for ever`() {
        let names = TLVType.allCases.map { "\($0) \($0.rawValue)" }
        let expected = [
            "u8 1", "u16 2", "u32 3", "u64 4", "i64 5", "double 6", "bool 7", "string 8", "bytes 9", "list 10", "map 11", "message 12",
        ]
        #expect(names == expected)
    }

    @Test func `every integer reads back`() throws {
        for number in [UInt64.min, 1, 0x7F, 0x80, 0xFFFF_FFFF, 1 << 63, UInt64.max] {
            let unsigned = try single { $0.u64(1, number) }.u64()
            let signed = try single { $0.i64(1, Int64(bitPattern: number)) }.i64()
            let middle = try single { $0.u32(1, UInt32(truncatingIfNeeded: number)) }.u32()
            let short = try single { $0.u16(1, UInt16(truncatingIfNeeded: number)) }.u16()
            let byte = try single { $0.u8(1, UInt8(truncatingIfNeeded: number)) }.u8()
            #expect(unsigned == number)
            #expect(signed == Int64(bitPattern: number))
            #expect(middle == UInt32(truncatingIfNeeded: number))
            #expect(short == UInt16(truncatingIfNeeded: number))
            #expect(byte == UInt8(truncatingIfNeeded: number))
        }
    }

    @Test func `every double reads back bit for bit`() throws {
        for number in [0.0, -0.0, 0.1, -Double.infinity, Double.nan, Double.leastNonzeroMagnitude, Double.greatestFiniteMagnitude] {
            let read = try single { $0.double(1, number) }.double()
            #expect(read.bitPattern == number.bitPattern)
        }
    }

    @Test func `booleans, text and bytes read back`() throws {
        for flag in [true, false] {
            let read = try single { $0.bool(1, flag) }.bool()
            #expect(read == flag)
        }
        for text in ["", "a", "e\u{301}😀\u{0}", String(repeating: "x", count: 70_000)] {
            let read = try single { $0.string(1, text) }.string()
            #expect(sameBytes(read, text))
        }
        let contents: [[UInt8]] = [[], [0], [UInt8](repeating: 7, count: 70_000)]
        for content in contents {
            let field = try single { $0.bytes(1, content) }
            let copied = try field.bytes()
            let sliced = try field.rawBytes()
            #expect(copied == content)
            #expect(Array(sliced) == content)
        }
    }

    @Test func `messages nest, and their fields know their place`() throws {
        let all = written { writer in
            writer.u8(1, 10)
            writer.message(2) { inner in
                inner.string(1, "x")
                inner.message(2) { $0.bool(1, true) }
                inner.message(3) { _ in }
            }
            writer.u8(3, 30)
        }
        var reader = TLVReader(all[...])
        let fields = try drain(&reader)
        #expect(fields.map(\.tag) == [1, 2, 3])
        #expect(fields.map(\.offset) == [7, 15, all.count - 1])
        var inner = try fields[1].message()
        let innerFields = try drain(&inner)
        #expect(innerFields.map(\.tag) == [1, 2, 3])
        #expect(innerFields[0].offset == 22)
        let text = try innerFields[0].string()
        #expect(text == "x")
        var innermost = try innerFields[1].message()
        let flags = try drain(&innermost)
        let flag = try flags[0].bool()
        #expect(flag)
        var empty = try innerFields[2].message()
        let none = try drain(&empty)
        #expect(none.isEmpty)
    }

    @Test func `bytes outside any field go out as they are`() {
        let all = written { writer in
            writer.fixed(0x0102 as UInt16)
            writer.fixed([9, 8] as [UInt8])
            writer.fixed("z".utf8)
        }
        #expect(all == [1, 2, 9, 8, 0x7A])
    }

    @Test func `a field cut anywhere is refused`() {
        let whole = written { $0.u32(5, 7) }
        for count in 1..<whole.count {
            let error = failure { try field(Array(whole.prefix(count))) }
            let expected: WireError = count < 7 ? .truncated(at: 0) : .badLength(tag: 5, length: 4, at: 0)
            #expect(error == expected, "\(count) bytes")
        }
        var reader = TLVReader([])
        let first = failure { try reader.next() }
        #expect(first == nil)
    }

    @Test func `a length beyond the end is refused, however large`() {
        let error = failure { try field(bytes(hex: "0005 09 ffffffff 00")) }
        #expect(error == WireError.badLength(tag: 5, length: 0xFFFF_FFFF, at: 0))
    }

    @Test func `a field of another type is refused by every reader`() throws {
        let number = try single { $0.u8(4, 1) }
        let text = try single { $0.string(4, "x") }
        func wrong(_ expected: TLVType, _ found: TLVType) -> WireError {
            .wrongType(tag: 4, expected: expected, found: found.rawValue, at: 7)
        }
        let refused: [(WireError?, WireError)] = [
            (failure { try text.u8() }, wrong(.u8, .string)), (failure { try text.u16() }, wrong(.u16, .string)),
            (failure { try text.u32() }, wrong(.u32, .string)), (failure { try text.u64() }, wrong(.u64, .string)),
            (failure { try text.i64() }, wrong(.i64, .string)), (failure { try text.double() }, wrong(.double, .string)),
            (failure { try text.bool() }, wrong(.bool, .string)), (failure { try number.string() }, wrong(.string, .u8)),
            (failure { try number.bytes() }, wrong(.bytes, .u8)), (failure { try number.rawBytes() }, wrong(.bytes, .u8)),
            (failure { try number.message() }, wrong(.message, .u8)),
        ]
        for (error, expected) in refused { #expect(error == expected) }
    }

    @Test func `an integer of another width, a boolean of another value and text that is no text are refused`() throws {
        let wide = try field(bytes(hex: "0004 03 00000005 0000000001"))
        let widthError = failure { try wide.u32() }
        #expect(widthError == WireError.badLength(tag: 4, length: 5, at: 7))
        let empty = try field(bytes(hex: "0004 01 00000000"))
        let emptyError = failure { try empty.u8() }
        #expect(emptyError == WireError.badLength(tag: 4, length: 0, at: 7))
        let flag = try field(bytes(hex: "0004 07 00000001 02"))
        let flagError = failure { try flag.bool() }
        #expect(flagError == WireError.badValue(tag: 4, reason: "a boolean that is neither 0 nor 1", at: 7))
        let text = try field(bytes(hex: "0004 08 00000002 c328"))
        let textError = failure { try text.string() }
        #expect(textError == WireError.badText(tag: 4, at: 7))
        #expect(text.bad("no") == WireError.badValue(tag: 4, reason: "no", at: 7))
        #expect(text.unknown == WireError.unknownField(tag: 4, at: 7))
    }

    @Test func `a field that comes twice is refused, unless it may repeat or has a high tag`() throws {
        let twice = written { writer in
            writer.u8(5, 1)
            writer.u8(5, 2)
        }
        var strict = TLVReader(twice[...])
        let error = failure { try drain(&strict) }
        #expect(error == WireError.duplicateField(tag: 5, at: 8))
        var repeating = TLVReader(twice[...], repeating: 1 << 5)
        let fields = try drain(&repeating)
        #expect(fields.count == 2)
        let nested = written { $0.message(1) { $0.fixed(twice) } }
        var inner = try field(nested).message(repeating: 1 << 5)
        let innerFields = try drain(&inner)
        #expect(innerFields.count == 2)
        let high = written { writer in
            writer.u8(64, 1)
            writer.u8(64, 2)
        }
        var free = TLVReader(high[...])
        let highFields = try drain(&free)
        #expect(highFields.count == 2)
    }

    @Test func `messages may nest 8 deep and no deeper`() throws {
        func nested(_ depth: Int) -> [UInt8] { depth == 0 ? [] : written { $0.message(1) { $0.fixed(nested(depth - 1)) } } }
        func descend(_ bytes: [UInt8]) throws -> Int {
            var reader = TLVReader(bytes[...])
            var depth = 0
            while let field = try reader.next() {
                reader = try field.message()
                depth += 1
            }
            return depth
        }
        let deepest = try descend(nested(8))
        #expect(deepest == 8)
        let error = failure { try descend(nested(9)) }
        #expect(error == WireError.tooDeep(limit: 8, at: 63))
    }

    @Test func `more fields than the limit are refused`() {
        let empty = bytes(hex: "0040 09 00000000")
        var all: [UInt8] = []
        for _ in 0...100 { all.append(contentsOf: empty) }
        var (strict, loose) = (TLVReader(all[...], limit: 100), TLVReader(all[...], limit: 101))
        var count = 0
        let error = failure { while try strict.next() != nil { count += 1 } }
        #expect(count == 100)
        #expect(error == WireError.tooManyFields(limit: 100, at: 100 * empty.count))
        let none = failure { while try loose.next() != nil { count += 1 } }
        #expect(none == nil)
        #expect(count == 201)
        #expect(TLVReader.fieldLimit == 1 << 20)
    }

    @Test func `every error says something of its own`() {
        let errors: [WireError] = [
            .truncated(at: 1), .wrongType(tag: 1, expected: .u8, found: 2, at: 3), .badLength(tag: 1, length: 2, at: 3),
            .badText(tag: 1, at: 2), .badValue(tag: 1, reason: "r", at: 2), .duplicateField(tag: 1, at: 2), .unknownField(tag: 1, at: 2),
            .missingField(tag: 1, of: "x"), .tooManyFields(limit: 1, at: 2), .tooDeep(limit: 1, at: 2), .unsupportedEnvelope(version: 9),
            .unsupportedFeatureLevel(9, supported: 1), .unknownCommand(kind: 7),
        ]
        #expect(Set(errors.map(\.description)).count == errors.count)
    }

    // MARK: Chance

    @Test func `random bytes are read or refused, and never trap`() {
        let seed: UInt64 = 101
        var generator = SeededGenerator(seed: seed)
        var fields = 0
        for _ in 0..<20_000 {
            var input: [UInt8] = []
            for _ in 0..<Int.random(in: 0...48, using: &generator) {
                let limits: [UInt8] = [0, 0, 0, 0, 12, 12, 12, 255]
                let limit = limits[Int.random(in: limits.indices, using: &generator)]
                input.append(UInt8.random(in: 0...limit, using: &generator))
            }
            fields += walk(TLVReader(input[...], repeating: UInt64.max))
        }
        #expect(fields > 0, "seed \(seed)")
    }

    @Test func `a message with any bytes changed is read or refused, and never traps`() {
        let whole = written { writer in
            writer.u8(1, 1)
            writer.u16(2, 2)
            writer.u32(3, 3)
            writer.u64(4, 4)
            writer.message(5) { inner in
                inner.i64(1, -1)
                inner.double(2, 0.5)
                inner.message(3) { $0.bool(1, true) }
                inner.string(4, "é")
            }
            writer.bytes(6, [1, 2, 3])
        }
        let seed: UInt64 = 102
        var generator = SeededGenerator(seed: seed)
        let intact = walk(TLVReader(whole[...]))
        #expect(intact == 11)
        var fields = 0
        for _ in 0..<20_000 {
            var mutated = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: mutated.indices, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: mutated[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                case 1: mutated[place] = UInt8.random(in: 0...255, using: &generator)
                default: mutated.insert(UInt8.random(in: 0...12, using: &generator), at: place)
                }
            }
            if Bool.random(using: &generator) { mutated.removeLast(Int.random(in: 0...mutated.count, using: &generator)) }
            fields += walk(TLVReader(mutated[...], repeating: Bool.random(using: &generator) ? UInt64.max : 0))
        }
        #expect(fields > 0, "seed \(seed)")
    }

    /// Reads all that can be read by every reader; the count of fields.
    private func walk(_ start: TLVReader) -> Int {
        var reader = start
        var count = 0
        while let field = try? reader.next() {
            count += 1
            _ = try? field.u8()
            _ = try? field.u16()
            _ = try? field.u32()
            _ = try? field.u64()
            _ = try? field.i64()
            _ = try? field.double()
            _ = try? field.bool()
            _ = try? field.string()
            _ = try? field.bytes()
            if let nested = try? field.message(repeating: UInt64.max) { count += walk(nested) }
        }
        return count
    }

    private func drain(_ reader: inout TLVReader) throws -> [TLVField] {
        var fields: [TLVField] = []
        while let field = try reader.next() { fields.append(field) }
        return fields
    }
}

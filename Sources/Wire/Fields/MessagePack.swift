package import Primitives

/// `Value` in MessagePack (specification of 2017-08-09), without its extension types and its binary type.
package enum MessagePack {
    package static let depthLimit = 64
    /// Elements for which space is taken on the word of a count alone.
    private static let reserved = 1024

    /// What cannot be read, and at which byte of it.
    package enum Failure: Error, Equatable, CustomStringConvertible {
        case truncated(at: Int)
        case unsupported(byte: UInt8, at: Int)
        case badText(at: Int)
        case keyIsNoText(at: Int)
        case duplicateKey(String, at: Int)
        case tooDeep(at: Int)
        case trailing(at: Int)

        package var description: String {
            switch self {
            case .truncated(let at): "MessagePack ends early, at byte \(at)"
            case .unsupported(let byte, let at): "MessagePack type 0x\(hexadecimal(UInt64(byte), digits: 2)) at byte \(at) is not taken"
            case .badText(let at): "MessagePack text at byte \(at) is not UTF-8"
            case .keyIsNoText(let at): "a key at byte \(at) is no text"
            case .duplicateKey(let key, let at): "key '\(key.prefix(80))' comes a second time, at byte \(at)"
            case .tooDeep(let at): "nested deeper than \(depthLimit), at byte \(at)"
            case .trailing(let at): "more bytes after the value, at byte \(at)"
            }
        }
    }

    package static func bytes(_ value: Value) -> [UInt8] {
        let length = count(value)
        return [UInt8](unsafeUninitializedCapacity: length) { buffer, written in
            if let base = buffer.baseAddress { write(value, to: UnsafeMutableRawPointer(base)) }
            written = length
        }
    }

    // MARK: Writing

    static func count(_ value: Value) -> Int {
        switch value {
        case .null, .bool: 1
        case .int(let number): count(number)
        case .uint, .double: 9
        case .string(let text): textHead(text.utf8.count) + text.utf8.count
        case .list(let items): items.reduce(groupHead(items.count)) { $0 + count($1) }
        case .map(let fields):
            fields.members.reduce(groupHead(fields.count)) { $0 + textHead($1.key.utf8.count) + $1.key.utf8.count + count($1.value) }
        }
    }

    private static func count(_ number: Int64) -> Int {
        switch number {
        case -32...127: 1
        case -128...255: 2
        case -32_768...65_535: 3
        case -2_147_483_648...4_294_967_295: 5
        default: 9
        }
    }

    private static func textHead(_ count: Int) -> Int { count < 32 ? 1 : count < 256 ? 2 : count < 65_536 ? 3 : 5 }
    private static func groupHead(_ count: Int) -> Int { count < 16 ? 1 : count < 65_536 ? 3 : 5 }

    @discardableResult
    static func write(_ value: Value, to bytes: UnsafeMutableRawPointer) -> Int {
        var place = bytes
        put(value, &place)
        return bytes.distance(to: place)
    }

    private static func put(_ value: Value, _ place: inout UnsafeMutableRawPointer) {
        switch value {
        case .null: put(byte: 0xC0, &place)
        case .bool(let flag): put(byte: flag ? 0xC3 : 0xC2, &place)
        case .int(let number): put(number, &place)
        case .uint(let number): put(0xCF, number, &place)
        case .double(let number): put(0xCB, number.bitPattern, &place)
        case .string(let text): put(text, &place)
        case .list(let items):
            putHead(items.count, 0x90, 0xDC, &place)
            for item in items { put(item, &place) }
        case .map(let fields):
            putHead(fields.count, 0x80, 0xDE, &place)
            for member in fields.members {
                put(member.key, &place)
                put(member.value, &place)
            }
        }
    }

    private static func put(byte: UInt8, _ place: inout UnsafeMutableRawPointer) {
        place.storeBytes(of: byte, as: UInt8.self)
        place += 1
    }

    private static func put<T: FixedWidthInteger>(_ mark: UInt8, _ number: T, _ place: inout UnsafeMutableRawPointer) {
        put(byte: mark, &place)
        place.storeBytes(of: number.bigEndian, as: T.self)
        place += T.bitWidth / 8
    }

    private static func put(_ number: Int64, _ place: inout UnsafeMutableRawPointer) {
        switch number {
        case -32...127: put(byte: UInt8(truncatingIfNeeded: number), &place)
        case 128...255: put(0xCC, UInt8(number), &place)
        case 256...65_535: put(0xCD, UInt16(number), &place)
        case 65_536...4_294_967_295: put(0xCE, UInt32(number), &place)
        case 4_294_967_296...: put(0xD3, number, &place)
        case -128...(-33): put(0xD0, Int8(number), &place)
        case -32_768...(-129): put(0xD1, Int16(number), &place)
        case -2_147_483_648...(-32_769): put(0xD2, Int32(number), &place)
        default: put(0xD3, number, &place)
        }
    }

    private static func put(_ text: String, _ place: inout UnsafeMutableRawPointer) {
        switch text.utf8.count {
        case ..<32: put(byte: 0xA0 | UInt8(text.utf8.count), &place)
        case ..<256: put(0xD9, UInt8(text.utf8.count), &place)
        case ..<65_536: put(0xDA, UInt16(text.utf8.count), &place)
        default: put(0xDB, UInt32(text.utf8.count), &place)
        }
        text.write(to: place)
        place += text.utf8.count
    }

    private static func putHead(_ count: Int, _ short: UInt8, _ long: UInt8, _ place: inout UnsafeMutableRawPointer) {
        switch count {
        case ..<16: put(byte: short | UInt8(count), &place)
        case ..<65_536: put(long, UInt16(count), &place)
        default: put(long + 1, UInt32(count), &place)
        }
    }

    // MARK: Reading

    package static func read(_ bytes: [UInt8]) throws(Failure) -> Value {
        var result: Result<Value, Failure> = .failure(.truncated(at: 0))
        bytes.withUnsafeBytes { raw in
            do throws(Failure) { result = .success(try read(raw)) } catch { result = .failure(error) }
        }
        return try result.get()
    }

    static func read(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> Value {
        var position = 0
        let value = try value(bytes, &position, depth: 0)
        guard position == bytes.count else { throw .trailing(at: position) }
        return value
    }

    private static func value(_ bytes: UnsafeRawBufferPointer, _ position: inout Int, depth: Int) throws(Failure) -> Value {
        guard depth <= depthLimit else { throw .tooDeep(at: position) }
        let start = position
        let mark = try integer(bytes, &position) as UInt8
        switch mark {
        case 0x00...0x7F: return .int(Int64(mark))
        case 0xE0...0xFF: return .int(Int64(Int8(bitPattern: mark)))
        case 0x80...0x8F: return try map(bytes, &position, Int(mark & 0x0F), depth)
        case 0x90...0x9F: return try list(bytes, &position, Int(mark & 0x0F), depth)
        case 0xA0...0xBF: return .string(try text(bytes, &position, Int(mark & 0x1F)))
        case 0xC0: return .null
        case 0xC2: return .bool(false)
        case 0xC3: return .bool(true)
        case 0xCA: return .double(Double(Float(bitPattern: try integer(bytes, &position))))
        case 0xCB: return .double(Double(bitPattern: try integer(bytes, &position)))
        case 0xCC: return .int(Int64(try integer(bytes, &position) as UInt8))
        case 0xCD: return .int(Int64(try integer(bytes, &position) as UInt16))
        case 0xCE: return .int(Int64(try integer(bytes, &position) as UInt32))
        case 0xCF:
            let number: UInt64 = try integer(bytes, &position)
            return Int64(exactly: number).map(Value.int) ?? .uint(number)
        case 0xD0: return .int(Int64(try integer(bytes, &position) as Int8))
        case 0xD1: return .int(Int64(try integer(bytes, &position) as Int16))
        case 0xD2: return .int(Int64(try integer(bytes, &position) as Int32))
        case 0xD3: return .int(try integer(bytes, &position))
        case 0xD9: return .string(try text(bytes, &position, Int(try integer(bytes, &position) as UInt8)))
        case 0xDA: return .string(try text(bytes, &position, Int(try integer(bytes, &position) as UInt16)))
        case 0xDB: return .string(try text(bytes, &position, Int(try integer(bytes, &position) as UInt32)))
        case 0xDC: return try list(bytes, &position, Int(try integer(bytes, &position) as UInt16), depth)
        case 0xDD: return try list(bytes, &position, Int(try integer(bytes, &position) as UInt32), depth)
        case 0xDE: return try map(bytes, &position, Int(try integer(bytes, &position) as UInt16), depth)
        case 0xDF: return try map(bytes, &position, Int(try integer(bytes, &position) as UInt32), depth)
        default: throw .unsupported(byte: mark, at: start)
        }
    }

    private static func integer<T: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) throws(Failure) -> T {
        guard bytes.count - position >= T.bitWidth / 8 else { throw .truncated(at: position) }
        defer { position += T.bitWidth / 8 }
        return bytes.integer(at: position)
    }

    private static func text(_ bytes: UnsafeRawBufferPointer, _ position: inout Int, _ count: Int) throws(Failure) -> String {
        guard count <= bytes.count - position else { throw .truncated(at: position) }
        let part = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
        guard let text = String(validating: part, as: UTF8.self) else { throw .badText(at: position) }
        position += count
        return text
    }

    private static func list(_ bytes: UnsafeRawBufferPointer, _ position: inout Int, _ count: Int, _ depth: Int) throws(Failure) -> Value {
        // Each element takes a byte at least.
        guard count <= bytes.count - position else { throw .truncated(at: position) }
        var items: [Value] = []
        items.reserveCapacity(min(count, reserved))
        for _ in 0..<count { items.append(try value(bytes, &position, depth: depth + 1)) }
        return .list(items)
    }

    private static func map(_ bytes: UnsafeRawBufferPointer, _ position: inout Int, _ count: Int, _ depth: Int) throws(Failure) -> Value {
        guard count <= (bytes.count - position) / 2 else { throw .truncated(at: position) }
        var members: [Fields.Member] = []
        members.reserveCapacity(min(count, reserved))
        var keys = Set<[UInt8]>()
        for _ in 0..<count {
            let at = position
            guard case .string(let key) = try value(bytes, &position, depth: depth + 1) else { throw .keyIsNoText(at: at) }
            guard keys.insert(Array(key.utf8)).inserted else { throw .duplicateKey(key, at: at) }
            members.append(Fields.Member(key, try value(bytes, &position, depth: depth + 1)))
        }
        return .map(Fields(members))
    }

    /// For people: as JSON would have it, nearly.
    static func text(_ value: Value) -> String {
        switch value {
        case .null: "null"
        case .bool(let flag): flag ? "true" : "false"
        case .int(let number): String(number)
        case .uint(let number): String(number)
        case .double(let number): String(number)
        case .string(let text): text.debugDescription
        case .list(let items): "[" + items.map { text($0) }.joined(separator: ", ") + "]"
        case .map(let fields): "{" + fields.members.map { "\($0.key.debugDescription): \(text($0.value))" }.joined(separator: ", ") + "}"
        }
    }
}

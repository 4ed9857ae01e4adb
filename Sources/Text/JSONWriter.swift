package import Primitives

/// Writes JSON (RFC 8259) as UTF-8 bytes. What it writes, `JSONScanner` reads back equal.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []

    package init(reserving capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// One value on one line.
    package static func bytes(_ value: Value) -> [UInt8] {
        var writer = JSONWriter(reserving: 256)
        writer.write(value)
        return writer.bytes
    }

    package static func text(_ value: Value) -> String { String(decoding: bytes(value), as: UTF8.self) }

    /// Two spaces a level, for people.
    package static func pretty(_ value: Value) -> String {
        var writer = JSONWriter(reserving: 1024)
        writer.writePretty(value, indent: 0)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    package mutating func raw(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    package mutating func raw(_ text: some Sequence<UInt8>) { bytes.append(contentsOf: text) }

    package mutating func write(_ value: Value) {
        switch value {
        case .null: raw("null")
        case .bool(let flag): flag ? raw("true") : raw("false")
        case .int(let number): raw(String(number).utf8)
        case .uint(let number): raw(String(number).utf8)
        case .double(let number): write(number)
        case .string(let text): write(text)
        case .list(let items): writeList(items)
        case .map(let fields): writeMap(fields)
        }
    }

    /// The shortest text that reads back as the same number; what JSON cannot say (NaN, infinity) is null.
    package mutating func write(_ number: Double) {
        guard number.isFinite else { return raw("null") }
        raw(number.description.utf8)
    }

    /// A string in double quotes; control characters are escaped.
    package mutating func write(_ text: String) {
        bytes.append(0x22)
        var copy = text
        copy.withUTF8 { buffer in
            var start = 0
            for (position, byte) in buffer.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x7F {
                bytes.append(contentsOf: buffer[start..<position])
                writeEscape(byte)
                start = position + 1
            }
            bytes.append(contentsOf: buffer[start...])
        }
        bytes.append(0x22)
    }

    private mutating func writeEscape(_ byte: UInt8) {
        switch byte {
        case 0x22: raw("\\\"")
        case 0x5C: raw("\\\\")
        case 0x0A: raw("\\n")
        case 0x0D: raw("\\r")
        case 0x09: raw("\\t")
        default:
            raw("\\u00")
            bytes.append(hexCharacter(byte >> 4))
            bytes.append(hexCharacter(byte & 0xF))
        }
    }

    private mutating func writeList(_ items: [Value]) {
        bytes.append(UInt8(ascii: "["))
        for (position, item) in items.enumerated() {
            if position > 0 { bytes.append(UInt8(ascii: ",")) }
            write(item)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    private mutating func writeMap(_ fields: Fields) {
        bytes.append(UInt8(ascii: "{"))
        for (position, member) in fields.members.enumerated() {
            if position > 0 { bytes.append(UInt8(ascii: ",")) }
            write(member.key)
            bytes.append(UInt8(ascii: ":"))
            write(member.value)
        }
        bytes.append(UInt8(ascii: "}"))
    }

    private mutating func writePretty(_ value: Value, indent: Int) {
        switch value {
        case .list(let items) where !items.isEmpty:
            bytes.append(UInt8(ascii: "["))
            for (position, item) in items.enumerated() {
                newLine(after: position, indent: indent + 1)
                writePretty(item, indent: indent + 1)
            }
            newLine(after: 0, indent: indent)
            bytes.append(UInt8(ascii: "]"))
        case .map(let fields) where !fields.isEmpty:
            bytes.append(UInt8(ascii: "{"))
            for (position, member) in fields.members.enumerated() {
                newLine(after: position, indent: indent + 1)
                write(member.key)
                raw(": ")
                writePretty(member.value, indent: indent + 1)
            }
            newLine(after: 0, indent: indent)
            bytes.append(UInt8(ascii: "}"))
        default: write(value)
        }
    }

    private mutating func newLine(after position: Int, indent: Int) {
        if position > 0 { bytes.append(UInt8(ascii: ",")) }
        bytes.append(0x0A)
        bytes.append(contentsOf: repeatElement(0x20, count: indent * 2))
    }
}

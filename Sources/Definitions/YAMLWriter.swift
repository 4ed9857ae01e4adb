package import Primitives
import Text

/// Writes a value as YAML that reads back equal by the 1.2 core schema.
package enum YAMLWriter {
    package static func text(_ value: Value) -> String {
        switch value {
        case .map(let fields) where !fields.isEmpty: block(value, indent: 0)
        case .list(let items) where !items.isEmpty: block(value, indent: 0)
        default: scalar(value) + "\n"
        }
    }

    private static func block(_ value: Value, indent: Int) -> String {
        let space = String(repeating: "  ", count: indent)
        switch value {
        case .map(let fields) where !fields.isEmpty:
            return fields.members.map { space + key($0.key) + ":" + after($0.value, indent: indent) }.joined()
        case .list(let items) where !items.isEmpty:
            return items.map { item in
                guard isBlock(item) else { return "\(space)- \(scalar(item))\n" }
                return space + "- " + block(item, indent: indent + 1).dropFirst((indent + 1) * 2)
            }.joined()
        default: return space + scalar(value) + "\n"
        }
    }

    private static func after(_ value: Value, indent: Int) -> String {
        isBlock(value) ? "\n" + block(value, indent: indent + 1) : " \(scalar(value))\n"
    }

    private static func isBlock(_ value: Value) -> Bool {
        switch value {
        case .map(let fields): !fields.isEmpty
        case .list(let items): !items.isEmpty
        default: false
        }
    }

    private static func key(_ key: String) -> String { isPlain(key) ? key : JSONWriter.text(.string(key)) }

    private static func scalar(_ value: Value) -> String {
        guard case .string(let text) = value else { return JSONWriter.text(value) }
        return isPlain(text) ? text : JSONWriter.text(value)
    }

    /// Text that YAML takes for nothing but text.
    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 200 else { return false }
        let letters = (UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"))
        guard letters.0.contains(first) || letters.1.contains(first) || first == UInt8(ascii: "/") else { return false }
        guard !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(text.lowercased()) else { return false }
        return text.utf8.allSatisfy { byte in
            letters.0.contains(byte) || letters.1.contains(byte) || (48...57).contains(byte) || "_-./@+".utf8.contains(byte)
        }
    }
}

import Primitives

/// Lines of a name, a space and a value under a checksum: a small file that people can read and that no damage passes.
struct SealedText {
    let lines: [(name: String, value: String)]

    init(_ lines: [(String, String)]) { self.lines = lines.map { (name: $0.0, value: $0.1) } }

    /// - Parameter seal: the name of the last line, which bears the checksum of all before it.
    init(reading bytes: [UInt8], seal: String, path: String) throws(StorageError) {
        let newline = UInt8(ascii: "\n")
        let body = bytes.last == newline ? bytes.dropLast() : bytes[...]
        let start = body.lastIndex(of: newline).map { $0 + 1 } ?? 0
        let last = Array(body[start...])
        let name = Array((seal + " ").utf8)
        guard last.starts(with: name) else { throw .damaged(path: path, offset: 0, reason: "it has no checksum") }
        let expected = Array(hexadecimal(UInt64(checksum(Array(bytes[..<start]))), digits: 8).utf8)
        guard Array(last[name.count...]) == expected else { throw .damaged(path: path, offset: 0, reason: "its checksum differs") }
        lines = bytes[..<start].split(separator: newline).map { line in
            let space = line.firstIndex(of: UInt8(ascii: " ")) ?? line.endIndex
            return (
                name: String(decoding: line[..<space], as: UTF8.self), value: String(decoding: line[space...].dropFirst(), as: UTF8.self)
            )
        }
    }

    subscript(name: String) -> String? { lines.last { $0.name == name }?.value }

    func bytes(seal: String) -> [UInt8] {
        // A value of two lines would be read as another's.
        let text = lines.map { line in "\(line.name) \(line.value.split(whereSeparator: \.isNewline).joined(separator: " "))\n" }.joined()
        let bytes = Array(text.utf8)
        return bytes + Array("\(seal) \(hexadecimal(UInt64(checksum(bytes)), digits: 8))\n".utf8)
    }
}

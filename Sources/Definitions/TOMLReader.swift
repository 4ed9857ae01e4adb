package import Primitives
import TOMLKit
import Text

/// Where keys stand in a TOML file: the parser keeps no positions.
package struct TOMLLines: Sendable {
    private let lines: [Substring]

    package init(_ bytes: [UInt8]) {
        lines = String(decoding: bytes, as: UTF8.self).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    }

    /// The line of a key within a table (nil: anywhere), or of a table's own head; the first line when neither is found.
    package func position(of key: String, in table: String? = nil) -> SourcePosition {
        var here = ""
        var found: Int?
        for (number, line) in lines.enumerated() {
            let bare = line.drop { $0 == " " || $0 == "\t" }
            if bare.first == "[" {
                here = String(bare.drop { $0 == "[" || $0 == " " }.prefix { $0 != "]" && $0 != " " })
                if here == key || here == table { found = found ?? number }
            } else if table == nil || here == table {
                let name = bare.drop { $0 == "\"" }
                guard name.hasPrefix(key), let next = name.dropFirst(key.count).first, "\" =\t.".contains(next) else { continue }
                return SourcePosition(line: number + 1, column: 1)
            }
        }
        return SourcePosition(line: (found ?? 0) + 1, column: 1)
    }
}

/// Reads TOML into a value.
package enum TOMLReader {
    package static func read(_ bytes: [UInt8], file: String) throws(Diagnostic) -> Value {
        guard bytes.count <= 1 << 20 else {
            throw Diagnostic(file: file, position: nil, message: "\(bytes.count) bytes; settings may have 1 MiB")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Diagnostic(file: file, position: nil, message: "bytes that are not UTF-8")
        }
        do {
            let json = try TOMLTable(string: text).convert(to: .json)
            return try JSONScanner.parse(json)
        } catch let error as TOMLParseError {
            let begin = error.source.begin
            throw Diagnostic(
                file: file, position: SourcePosition(line: Int(begin.line), column: Int(begin.column)),
                message: "not TOML: \(error.description)")
        } catch {
            throw Diagnostic(file: file, position: nil, message: "not TOML: \(error)")
        }
    }
}

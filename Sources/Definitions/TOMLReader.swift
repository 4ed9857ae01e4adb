package import Primitives
import TOMLKit
import Text

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

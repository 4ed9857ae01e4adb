import Primitives

/// Why an expression cannot be read, or has no value.
package struct CELError: Error, Equatable, CustomStringConvertible {
    package enum Reason: Equatable, Sendable {
        case unexpected(String, expected: String)
        case unsupported(String)
        case badLiteral(String)
        case unknownName(String, known: [String])
        case tooDeep(limit: Int)
        case tooLong(limit: Int)
        case noSuchField(String)
        case noSuchOverload(String)
        case indexOutOfRange(Int, count: Int)
        case unterminatedTemplate
        case notText(String)
    }

    package let reason: Reason
    /// Bytes from the start of the text that holds the expression.
    package let offset: Int

    package init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    package var description: String { "\(reasonText) (at character \(offset + 1))" }

    private var reasonText: String {
        switch reason {
        case .unexpected(let found, let expected): "found \(found) where \(expected) should be"
        case .unsupported(let what): "\(what) is not supported here yet; paths, literals, == != < <= > >= && || ! and parentheses are"
        case .badLiteral(let text): "malformed literal \(text)"
        case .unknownName(let name, let known):
            "unknown name '\(name)'\(suggestion(for: name, among: known).map { "; did you mean '\($0)'?" } ?? "; known here: \(known.joined(separator: ", "))")"
        case .tooDeep(let limit): "nested deeper than \(limit)"
        case .tooLong(let limit): "longer than \(limit) bytes"
        case .noSuchField(let path): "no such field: \(path)"
        case .noSuchOverload(let what): "no such operation: \(what)"
        case .indexOutOfRange(let index, let count): "index \(index) is outside a list of \(count)"
        case .unterminatedTemplate: "'${{' without '}}'"
        case .notText(let kind): "a \(kind) cannot stand inside text"
        }
    }
}

import Primitives
import Text
import Yams

/// Reads YAML by the 1.2 core schema (section 10.3): `NO` and `on` are text, duplicate keys are errors, aliases are capped. JSON is read as the
/// subset that it is.
package enum YAMLReader {
    package static let byteLimit = 32 << 20
    package static let depthLimit = 64
    /// How much aliases may add to what is written.
    private static let aliasAllowance = 10_000

    /// Every document of a file.
    package static func read(_ bytes: [UInt8], file: String) throws(Diagnostic) -> [SourceDocument] {
        guard bytes.count <= byteLimit else {
            throw Diagnostic(file: file, position: nil, message: "\(bytes.count) bytes; definitions may have \(byteLimit)")
        }
        let bytes = Array(bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...])
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Diagnostic(
                file: file, position: SourcePosition(ofByte: firstBadByte(bytes), in: bytes), message: "bytes that are not UTF-8")
        }
        if let first = bytes.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }),
            first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
        {
            try checkJSON(bytes, file: file)
        }
        var documents: [SourceDocument] = []
        for node in try roots(text, file: file) {
            var conversion = Conversion(file: file, allowance: bytes.count + aliasAllowance)
            let value = try conversion.value(node, depth: 0)
            documents += expand(SourceDocument(file: file, value: value) { pointer in position(of: pointer, in: node) })
        }
        guard !documents.isEmpty else { throw Diagnostic(file: file, position: nil, message: "no definition in the file") }
        return documents
    }

    /// A file that looks like JSON gets JSON's errors.
    private static func checkJSON(_ bytes: [UInt8], file: String) throws(Diagnostic) {
        do throws(JSONError) { _ = try JSONScanner.parse(bytes, maximumDepth: depthLimit) } catch {
            throw Diagnostic(file: file, position: SourcePosition(ofByte: error.offset, in: bytes), message: "not JSON: \(error)")
        }
    }

    /// A list at the top is several definitions.
    private static func expand(_ document: SourceDocument) -> [SourceDocument] {
        guard let items = document.value.list else { return [document] }
        return items.enumerated().map { place, item in
            SourceDocument(file: document.file, value: item) { pointer in
                document.diagnostic(pointer: "/\(place)\(pointer)", message: "").position
            }
        }
    }

    /// The first byte that begins no UTF-8 character.
    private static func firstBadByte(_ bytes: [UInt8]) -> Int {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var offset = 0
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): offset += String(scalar).utf8.count
            case .emptyInput, .error: return offset
            }
        }
    }

    private static func roots(_ text: String, file: String) throws(Diagnostic) -> [Node] {
        do {
            let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
            var nodes: [Node] = []
            while let node = try parser.nextRoot() { nodes.append(node) }
            return nodes
        } catch let error as YamlError {
            throw diagnostic(error, file: file)
        } catch {
            throw Diagnostic(file: file, position: nil, message: "\(error)")
        }
    }

    private static func diagnostic(_ error: YamlError, file: String) -> Diagnostic {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            return Diagnostic(file: file, position: SourcePosition(line: mark.line, column: mark.column), message: "not YAML: \(problem)")
        case .reader(let problem, _, _, _): return Diagnostic(file: file, position: nil, message: "not YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let position = SourcePosition(line: context.mark.line, column: context.mark.column)
            return Diagnostic(
                file: file, position: position, message: "duplicate key \(duplicates.map { "'\($0)'" }.joined(separator: ", "))")
        default: return Diagnostic(file: file, position: nil, message: "not YAML: \(error)")
        }
    }

    /// Where the node at a JSON Pointer stands; for a member of a map, where its key does.
    private static func position(of pointer: String, in root: Node) -> SourcePosition? {
        var node = root
        var mark = root.mark
        for step in pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            switch node {
            case .mapping(let mapping):
                guard let pair = mapping.first(where: { escapedPointer($0.key.string ?? "") == step }) else { return nil }
                (node, mark) = (pair.value, pair.key.mark)
            case .sequence(let sequence):
                guard let place = Int(step), sequence.indices.contains(place) else { return nil }
                (node, mark) = (sequence[place], sequence[place].mark)
            default: return nil
            }
        }
        return mark.map { SourcePosition(line: $0.line, column: $0.column) }
    }
}

/// Turns nodes into values, counting them: what aliases repeat counts each time.
private struct Conversion {
    let file: String
    let allowance: Int
    private var count = 0

    init(file: String, allowance: Int) {
        self.file = file
        self.allowance = allowance
    }

    mutating func value(_ node: Node, depth: Int) throws(Diagnostic) -> Value {
        count += 1
        guard count <= allowance else { throw failure("aliases make it too large", node) }
        guard depth <= YAMLReader.depthLimit else { throw failure("nested deeper than \(YAMLReader.depthLimit) levels", node) }
        switch node {
        case .scalar(let scalar): return try value(scalar, node)
        case .sequence(let sequence):
            var items: [Value] = []
            for item in sequence { items.append(try value(item, depth: depth + 1)) }
            return .list(items)
        case .mapping(let mapping):
            var members: [Fields.Member] = []
            for (key, item) in mapping {
                guard let name = key.string else { throw failure("a key that is no text", key) }
                guard name != "<<" else { throw failure("merge keys are not part of YAML 1.2", key) }
                members.append(.init(name, try value(item, depth: depth + 1)))
            }
            return .map(Fields(members))
        case .alias: throw failure("an alias to nothing", node)
        }
    }

    private func failure(_ message: String, _ node: Node) -> Diagnostic {
        Diagnostic(file: file, position: node.mark.map { SourcePosition(line: $0.line, column: $0.column) }, message: message)
    }

    private func value(_ scalar: Node.Scalar, _ node: Node) throws(Diagnostic) -> Value {
        guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
        let text = scalar.string
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        if let number = CoreSchema.number(text) { return number }
        if CoreSchema.isUnspeakable(text) { throw failure("'\(text)' cannot be said in JSON", node) }
        return .string(text)
    }
}

/// Numbers as the core schema writes them.
enum CoreSchema {
    static func number(_ text: String) -> Value? {
        if let octal = prefixed(text, "0o", radix: 8) ?? prefixed(text, "0x", radix: 16) { return Value(octal) }
        let bytes = Array(text.utf8)
        guard let first = bytes.first, bytes.count <= 64, (48...57).contains(first) || [0x2B, 0x2D, 0x2E].contains(first) else {
            return nil
        }
        let digits = bytes.drop { $0 == 0x2B || $0 == 0x2D }
        guard bytes.count - digits.count <= 1, !digits.isEmpty else { return nil }
        if digits.allSatisfy({ (48...57).contains($0) }) {
            if let number = Int64(text) { return .int(number) }
            if let number = UInt64(text) { return Value(number) }
            return Double(text).map { .double($0) }
        }
        guard digits.allSatisfy({ (48...57).contains($0) || [0x2E, 0x65, 0x45, 0x2B, 0x2D].contains($0) }),
            digits.contains(where: { (48...57).contains($0) })
        else { return nil }
        return Double(text).flatMap { $0.isFinite ? .double($0) : nil }
    }

    static func isUnspeakable(_ text: String) -> Bool {
        [".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN"].contains(text)
    }

    private static func prefixed(_ text: String, _ prefix: String, radix: Int) -> UInt64? {
        text.hasPrefix(prefix) ? UInt64(text.dropFirst(2), radix: radix) : nil
    }
}

package import Primitives
import Text

/// A value with `${{ }}` in its strings. A string that is one expression and nothing else takes the expression's value and type;
/// otherwise values are put into the text: strings as they are, numbers and booleans as JSON.
package struct Template: Equatable, Sendable {
    indirect enum Node: Equatable, Sendable {
        case constant(Value)
        case expression(Expression)
        case text([Piece])
        case list([Node])
        case map([(key: String, value: Node)])

        static func == (left: Node, right: Node) -> Bool {
            switch (left, right) {
            case (.constant(let a), .constant(let b)): a == b
            case (.expression(let a), .expression(let b)): a == b
            case (.text(let a), .text(let b)): a == b
            case (.list(let a), .list(let b)): a == b
            case (.map(let a), .map(let b)): a.elementsEqual(b) { $0.key == $1.key && $0.value == $1.value }
            default: false
            }
        }
    }

    enum Piece: Equatable, Sendable {
        case literal(String)
        case expression(Expression)
    }

    /// Where in the value, as a JSON Pointer (RFC 6901), and what is wrong there.
    package struct Problem: Error, Equatable {
        package let pointer: String
        package let error: CELError
    }

    let root: Node

    package init(_ value: Value, names: [String]) throws(Problem) { root = try Self.compile(value, names, "") }

    /// Whether anything in it has to be evaluated.
    package var isConstant: Bool { if case .constant = root { true } else { false } }

    package func resolve(in scope: some CELScope) throws(Problem) -> Value { try Self.resolve(root, scope, "") }

    /// All paths that its expressions read.
    package var paths: [[String]] {
        var found: [[String]] = []
        Self.collect(root, &found)
        return found
    }

    private static func collect(_ node: Node, _ found: inout [[String]]) {
        switch node {
        case .constant: break
        case .expression(let expression): found += expression.paths
        case .text(let pieces): for case .expression(let expression) in pieces { found += expression.paths }
        case .list(let items): for item in items { collect(item, &found) }
        case .map(let members): for member in members { collect(member.value, &found) }
        }
    }

    private static func compile(_ value: Value, _ names: [String], _ pointer: String) throws(Problem) -> Node {
        switch value {
        case .null, .bool, .int, .uint, .double: return .constant(value)
        case .string(let text): return try compile(text, names, pointer)
        case .list(let items):
            var nodes: [Node] = []
            for (position, item) in items.enumerated() { nodes.append(try compile(item, names, "\(pointer)/\(position)")) }
            return nodes.allSatisfy(isConstant) ? .constant(value) : .list(nodes)
        case .map(let fields):
            var nodes: [(key: String, value: Node)] = []
            for member in fields.members {
                nodes.append((member.key, try compile(member.value, names, pointer + "/" + escapedPointer(member.key))))
            }
            return nodes.allSatisfy({ isConstant($0.value) }) ? .constant(value) : .map(nodes)
        }
    }

    private static func isConstant(_ node: Node) -> Bool { if case .constant = node { true } else { false } }

    private static func compile(_ text: String, _ names: [String], _ pointer: String) throws(Problem) -> Node {
        let bytes = Array(text.utf8)
        var pieces: [Piece] = []
        var position = 0
        while let open = find("${{", in: bytes, from: position) {
            if open > position { pieces.append(.literal(String(decoding: bytes[position..<open], as: UTF8.self))) }
            guard let close = end(of: bytes, from: open + 3) else {
                throw Problem(pointer: pointer, error: CELError(.unterminatedTemplate, at: open))
            }
            do throws(CELError) {
                pieces.append(
                    .expression(try Expression(String(decoding: bytes[open + 3..<close], as: UTF8.self), base: open + 3, names: names)))
            } catch {
                throw Problem(pointer: pointer, error: error)
            }
            position = close + 2
        }
        if pieces.isEmpty { return .constant(.string(text)) }
        if position < bytes.count { pieces.append(.literal(String(decoding: bytes[position...], as: UTF8.self))) }
        if pieces.count == 1, case .expression(let expression) = pieces[0] { return .expression(expression) }
        return .text(pieces)
    }

    private static func find(_ pattern: String, in bytes: [UInt8], from start: Int) -> Int? {
        let wanted = Array(pattern.utf8)
        guard bytes.count >= wanted.count else { return nil }
        return (start..<max(start, bytes.count - wanted.count + 1)).first { bytes[$0] == wanted[0] && bytes[$0...].starts(with: wanted) }
    }

    /// The `}}` that closes an expression: one that stands in no string literal.
    private static func end(of bytes: [UInt8], from start: Int) -> Int? {
        var position = start
        var quote: UInt8?
        while position + 1 < bytes.count {
            let byte = bytes[position]
            if let open = quote {
                if byte == UInt8(ascii: "\\") { position += 1 } else if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: "}"), bytes[position + 1] == UInt8(ascii: "}") {
                return position
            }
            position += 1
        }
        return nil
    }

    private static func resolve(_ node: Node, _ scope: some CELScope, _ pointer: String) throws(Problem) -> Value {
        switch node {
        case .constant(let value): return value
        case .expression(let expression): return try evaluate(expression, scope, pointer)
        case .text(let pieces):
            var text = ""
            for piece in pieces {
                switch piece {
                case .literal(let literal): text += literal
                case .expression(let expression): text += try inText(try evaluate(expression, scope, pointer), pointer)
                }
            }
            return .string(text)
        case .list(let items):
            var values: [Value] = []
            for (position, item) in items.enumerated() { values.append(try resolve(item, scope, "\(pointer)/\(position)")) }
            return .list(values)
        case .map(let members):
            var fields: [Fields.Member] = []
            for member in members {
                fields.append(.init(member.key, try resolve(member.value, scope, pointer + "/" + escapedPointer(member.key))))
            }
            return .map(Fields(fields))
        }
    }

    private static func evaluate(_ expression: Expression, _ scope: some CELScope, _ pointer: String) throws(Problem) -> Value {
        do throws(CELError) { return try expression.evaluate(in: scope) } catch { throw Problem(pointer: pointer, error: error) }
    }

    private static func inText(_ value: Value, _ pointer: String) throws(Problem) -> String {
        switch value {
        case .string(let text): return text
        case .bool, .int, .uint, .double: return JSONWriter.text(value)
        case .list, .map: return JSONWriter.text(value)
        case .null: throw Problem(pointer: pointer, error: CELError(.notText("null"), at: 0))
        }
    }
}

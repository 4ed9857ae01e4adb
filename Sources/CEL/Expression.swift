package import Primitives

/// What names stand for while an expression is evaluated.
package protocol CELScope {
    /// The value of a top-level name; nil when it has none.
    func value(of name: String) -> Value?
}

/// A compiled expression: paths, literals, comparison and logic, with CEL's grammar and precedence.
package struct Expression: Equatable, Sendable {
    indirect enum Node: Equatable, Sendable {
        case literal(Value)
        case name(String, at: Int)
        case field(Node, String, at: Int)
        case index(Node, Node, at: Int)
        case not(Node, at: Int)
        case negate(Node, at: Int)
        case compare(Comparison, Node, Node, at: Int)
        case and(Node, Node, at: Int)
        case or(Node, Node, at: Int)
    }

    enum Comparison: String, Sendable {
        case equal = "==", notEqual = "!=", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="
    }

    let root: Node

    /// - Parameters:
    ///   - base: where the expression starts in the text that errors are counted from.
    ///   - names: the top-level names that exist here.
    package init(_ text: some StringProtocol, base: Int = 0, names: [String]) throws(CELError) {
        var parser = try Parser(text.utf8, base: base, names: names)
        root = try parser.expression()
    }

    /// The value, or the error that the evaluation met.
    package func evaluate(in scope: some CELScope) throws(CELError) -> Value { try Self.evaluate(root, scope) }

    private static func evaluate(_ node: Node, _ scope: some CELScope) throws(CELError) -> Value {
        switch node {
        case .literal(let value): return value
        case .name(let name, let at):
            guard let value = scope.value(of: name) else { throw CELError(.noSuchField(name), at: at) }
            return value
        case .field(let base, let key, let at):
            return try member(key, of: try evaluate(base, scope), path: node, at: at)
        case .index(let base, let index, let at):
            return try element(try evaluate(index, scope), of: try evaluate(base, scope), path: node, at: at)
        case .not(let operand, let at):
            guard let flag = try evaluate(operand, scope).bool else { throw CELError(.noSuchOverload("'!' of what is no boolean"), at: at) }
            return .bool(!flag)
        case .negate(let operand, let at): return try negated(try evaluate(operand, scope), at: at)
        case .compare(let comparison, let left, let right, let at):
            return .bool(try holds(comparison, try evaluate(left, scope), try evaluate(right, scope), at: at))
        case .and(let left, let right, let at): return .bool(try logic(left, right, absorbing: false, scope, at: at))
        case .or(let left, let right, let at): return .bool(try logic(left, right, absorbing: true, scope, at: at))
        }
    }

    /// `&&` and `||` are commutative in CEL: one side that decides makes an error on the other side no error.
    private static func logic(_ left: Node, _ right: Node, absorbing: Bool, _ scope: some CELScope, at: Int) throws(CELError) -> Bool {
        let first = Result { () throws(CELError) in try flag(left, scope, at: at) }
        if case .success(absorbing) = first { return absorbing }
        let second = try flag(right, scope, at: at)
        if second == absorbing { return absorbing }
        return try first.get() || second
    }

    private static func flag(_ node: Node, _ scope: some CELScope, at: Int) throws(CELError) -> Bool {
        let value = try evaluate(node, scope)
        guard let flag = value.bool else { throw CELError(.noSuchOverload("'&&' or '||' of a \(value.kind)"), at: at) }
        return flag
    }

    private static func member(_ key: String, of base: Value, path: Node, at: Int) throws(CELError) -> Value {
        guard let fields = base.map else { throw CELError(.noSuchOverload("field '\(key)' of a \(base.kind)"), at: at) }
        guard let value = fields[key] else { throw CELError(.noSuchField(describe(path)), at: at) }
        return value
    }

    private static func element(_ index: Value, of base: Value, path: Node, at: Int) throws(CELError) -> Value {
        switch (base, index) {
        case (.map, .string(let key)): return try member(key, of: base, path: path, at: at)
        case (.list(let items), .int(let position)):
            guard items.indices.contains(Int(position)) else { throw CELError(.indexOutOfRange(Int(position), count: items.count), at: at) }
            return items[Int(position)]
        default: throw CELError(.noSuchOverload("a \(base.kind) indexed by a \(index.kind)"), at: at)
        }
    }

    private static func negated(_ value: Value, at: Int) throws(CELError) -> Value {
        switch value {
        case .int(let number) where number != .min: return .int(-number)
        case .uint(let number) where number == UInt64(Int64.max) + 1: return .int(.min)
        case .double(let number): return .double(-number)
        default: throw CELError(.noSuchOverload("'-' of a \(value.kind)"), at: at)
        }
    }

    /// Equality holds between any two values; order between two numbers, two strings (by code point) or two booleans.
    private static func holds(_ comparison: Comparison, _ left: Value, _ right: Value, at: Int) throws(CELError) -> Bool {
        switch comparison {
        case .equal: return left == right
        case .notEqual: return left != right
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard let order = order(left, right) else {
                throw CELError(.noSuchOverload("'\(comparison.rawValue)' between a \(left.kind) and a \(right.kind)"), at: at)
            }
            switch comparison {
            case .less: return order == .less
            case .lessOrEqual: return order == .less || order == .equal
            case .greater: return order == .greater
            case .greaterOrEqual: return order == .greater || order == .equal
            case .equal, .notEqual: return false
            }
        }
    }

    private static func order(_ left: Value, _ right: Value) -> Ordering? {
        switch (left, right) {
        case (.string(let a), .string(let b)): bytesPrecede(a, b) ? .less : sameBytes(a, b) ? .equal : .greater
        case (.bool(let a), .bool(let b)): a == b ? .equal : a ? .greater : .less
        default: Value.compareNumbers(left, right)
        }
    }

    private static func describe(_ node: Node) -> String {
        switch node {
        case .name(let name, _): name
        case .field(let base, let key, _): "\(describe(base)).\(key)"
        case .index(let base, .literal(.string(let key)), _): "\(describe(base))[\"\(key)\"]"
        case .index(let base, .literal(.int(let position)), _): "\(describe(base))[\(position)]"
        default: "(...)"
        }
    }

    /// The paths that the expression reads: top-level name, then keys, as far as they are literal.
    package var paths: [[String]] {
        var found: [[String]] = []
        Self.collect(root, &found)
        return found
    }

    private static func collect(_ node: Node, _ found: inout [[String]]) {
        if let path = path(node) { return found.append(path) }
        switch node {
        case .literal, .name: break
        case .field(let base, _, _): collect(base, &found)
        case .index(let base, let index, _):
            collect(base, &found)
            collect(index, &found)
        case .not(let operand, _), .negate(let operand, _): collect(operand, &found)
        case .compare(_, let left, let right, _), .and(let left, let right, _), .or(let left, let right, _):
            collect(left, &found)
            collect(right, &found)
        }
    }

    private static func path(_ node: Node) -> [String]? {
        switch node {
        case .name(let name, _): [name]
        case .field(let base, let key, _): path(base).map { $0 + [key] }
        case .index(let base, .literal(.string(let key)), _): path(base).map { $0 + [key] }
        default: nil
        }
    }
}

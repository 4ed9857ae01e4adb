import Primitives

/// Recursive descent over CEL's grammar: `||`, `&&`, relations, unary, member, primary. What stands in the grammar but not yet
/// here is refused by name.
struct Parser {
    static let depthLimit = 32
    static let byteLimit = 16 << 10
    /// Operators of one expression; also bounds how deep its evaluation goes.
    static let operationLimit = 256

    private var lexer: Lexer
    private var token: Token
    private var offset: Int
    private let names: [String]
    private var depth = 0
    private var operations = 0

    init(_ text: some Collection<UInt8>, base: Int, names: [String]) throws(CELError) {
        guard text.count <= Self.byteLimit else { throw CELError(.tooLong(limit: Self.byteLimit), at: base) }
        self.names = names
        lexer = Lexer(text, base: base)
        (token, offset) = try lexer.next()
    }

    mutating func expression() throws(CELError) -> Expression.Node {
        let node = try disjunction()
        guard token == .end else { throw refusal(expected: "an operator or the end") }
        return node
    }

    private mutating func advance() throws(CELError) {
        if case .symbol = token {
            operations += 1
            guard operations <= Self.operationLimit else { throw CELError(.tooLong(limit: Self.byteLimit), at: offset) }
        }
        (token, offset) = try lexer.next()
    }

    /// An operator of CEL that is not here yet says so; anything else is a syntax error.
    private func refusal(expected: String) -> CELError {
        if case .symbol(let symbol) = token, ["+", "-", "*", "/", "%", "?", "{", "("].contains(symbol) {
            let hint =
                symbol == "-"
                ? "the operator '-' (a name with '-' is written [\"my-name\"])" : symbol == "(" ? "a function call" : "'\(symbol)'"
            return CELError(.unsupported(hint), at: offset)
        }
        return CELError(.unexpected(token.text, expected: expected), at: offset)
    }

    private mutating func nested<T>(_ body: (inout Parser) throws(CELError) -> T) throws(CELError) -> T {
        guard depth < Self.depthLimit else { throw CELError(.tooDeep(limit: Self.depthLimit), at: offset) }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    private mutating func disjunction() throws(CELError) -> Expression.Node {
        var left = try conjunction()
        while token == .symbol("||") {
            let at = offset
            try advance()
            left = .or(left, try conjunction(), at: at)
        }
        return left
    }

    private mutating func conjunction() throws(CELError) -> Expression.Node {
        var left = try relation()
        while token == .symbol("&&") {
            let at = offset
            try advance()
            left = .and(left, try relation(), at: at)
        }
        return left
    }

    private mutating func relation() throws(CELError) -> Expression.Node {
        var left = try unary()
        while case .symbol(let symbol) = token, let comparison = Expression.Comparison(rawValue: symbol) {
            let at = offset
            try advance()
            left = .compare(comparison, left, try unary(), at: at)
        }
        return left
    }

    private mutating func unary() throws(CELError) -> Expression.Node {
        guard case .symbol(let symbol) = token, symbol == "!" || symbol == "-" else { return try member() }
        let at = offset
        try advance()
        let operand = try nested { parser throws(CELError) in try parser.unary() }
        guard symbol == "-" else { return .not(operand, at: at) }
        if case .literal(let value) = operand, let number = negatedLiteral(value) { return .literal(number) }
        return .negate(operand, at: at)
    }

    private func negatedLiteral(_ value: Value) -> Value? {
        switch value {
        case .int(let number) where number != .min: .int(-number)
        case .uint(let number) where number == UInt64(Int64.max) + 1: .int(.min)
        case .double(let number): .double(-number)
        default: nil
        }
    }

    private mutating func member() throws(CELError) -> Expression.Node {
        var node = try primary()
        while case .symbol(let symbol) = token, symbol == "." || symbol == "[" {
            let at = offset
            try advance()
            if symbol == "." {
                guard case .identifier(let key) = token else {
                    throw CELError(.unexpected(token.text, expected: "a field name"), at: offset)
                }
                try advance()
                guard token != .symbol("(") else { throw CELError(.unsupported("the function '\(key)'"), at: at) }
                node = .field(node, key, at: at)
            } else {
                let index = try nested { parser throws(CELError) in try parser.disjunction() }
                try expect("]")
                node = .index(node, index, at: at)
            }
            guard depth(of: node) <= Self.depthLimit else { throw CELError(.tooDeep(limit: Self.depthLimit), at: at) }
        }
        return node
    }

    private func depth(of node: Expression.Node) -> Int {
        switch node {
        case .field(let base, _, _), .index(let base, _, _): depth(of: base) + 1
        default: 0
        }
    }

    private mutating func primary() throws(CELError) -> Expression.Node {
        let at = offset
        switch token {
        case .literal(let value):
            try advance()
            return .literal(value)
        case .identifier(let name):
            try advance()
            guard token != .symbol("(") else { throw CELError(.unsupported("the function '\(name)'"), at: at) }
            guard names.contains(name) else { throw CELError(.unknownName(name, known: names), at: at) }
            return .name(name, at: at)
        case .symbol("("):
            try advance()
            let node = try nested { parser throws(CELError) in try parser.disjunction() }
            try expect(")")
            return node
        case .symbol("["): throw CELError(.unsupported("a list literal"), at: at)
        case .symbol, .end: throw refusal(expected: "a name, a literal or '('")
        }
    }

    private mutating func expect(_ symbol: String) throws(CELError) {
        guard token == .symbol(symbol) else { throw refusal(expected: "'\(symbol)'") }
        try advance()
    }
}

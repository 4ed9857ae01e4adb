import Primitives

/// The tokens of the part of CEL (Common Expression Language specification, "Syntax") that stands today.
enum Token: Equatable {
    case identifier(String)
    case literal(Value)
    case symbol(String)
    case end

    var text: String {
        switch self {
        case .identifier(let name): "'\(name)'"
        case .literal: "a literal"
        case .symbol(let symbol): "'\(symbol)'"
        case .end: "the end"
        }
    }
}

struct Lexer {
    private let bytes: [UInt8]
    private let base: Int
    private var position = 0

    /// - Parameter base: where the expression starts in the text that errors are counted from.
    init(_ text: some Sequence<UInt8>, base: Int) {
        bytes = Array(text)
        self.base = base
    }

    mutating func next() throws(CELError) -> (Token, offset: Int) {
        skipSpace()
        let start = position
        guard position < bytes.count else { return (.end, base + start) }
        let byte = bytes[position]
        if isIdentifierStart(byte) { return (try word(), base + start) }
        if isDigit(byte) || (byte == UInt8(ascii: ".") && position + 1 < bytes.count && isDigit(bytes[position + 1])) {
            return (.literal(try number()), base + start)
        }
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { return (.literal(.string(try string(isRaw: false))), base + start) }
        return (try symbol(), base + start)
    }

    private func fail(_ reason: CELError.Reason, at offset: Int) -> CELError { CELError(reason, at: base + offset) }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D, 0x0C: position += 1
            case UInt8(ascii: "/") where position + 1 < bytes.count && bytes[position + 1] == UInt8(ascii: "/"):
                while position < bytes.count, bytes[position] != 0x0A { position += 1 }
            default: return
            }
        }
    }

    private mutating func symbol() throws(CELError) -> Token {
        for symbol in ["==", "!=", "<=", ">=", "&&", "||"] where bytes[position...].starts(with: symbol.utf8) {
            position += 2
            return .symbol(symbol)
        }
        let byte = bytes[position]
        guard byte < 0x80, "<>!()[].,-+*/%?:{}".utf8.contains(byte) else {
            let rest = String(decoding: bytes[position...].prefix(8), as: UTF8.self).prefix(1)
            throw fail(.unexpected("'\(rest)'", expected: "an operator, a name or a literal"), at: position)
        }
        position += 1
        return .symbol(String(UnicodeScalar(byte)))
    }

    private mutating func word() throws(CELError) -> Token {
        let start = position
        while position < bytes.count, isIdentifierStart(bytes[position]) || isDigit(bytes[position]) { position += 1 }
        let name = String(decoding: bytes[start..<position], as: UTF8.self)
        if position < bytes.count, bytes[position] == UInt8(ascii: "\"") || bytes[position] == UInt8(ascii: "'") {
            if name == "r" || name == "R" { return .literal(.string(try string(isRaw: true))) }
            throw fail(.unsupported("a literal with prefix '\(name)'"), at: start)
        }
        switch name {
        case "true": return .literal(.bool(true))
        case "false": return .literal(.bool(false))
        case "null": return .literal(.null)
        case "in": throw fail(.unsupported("the operator 'in'"), at: start)
        default: return .identifier(name)
        }
    }

    // MARK: Numbers

    private mutating func number() throws(CELError) -> Value {
        let start = position
        if bytes[position] == UInt8(ascii: "0"), position + 1 < bytes.count, bytes[position + 1] | 0x20 == UInt8(ascii: "x") {
            position += 2
            let digits = take { hexDigit($0) != nil }
            guard let number = UInt64(digits, radix: 16) else { throw badNumber(from: start) }
            return try integer(number, from: start)
        }
        let whole = take(isDigit)
        var isDouble = false
        if position + 1 < bytes.count, bytes[position] == UInt8(ascii: "."), isDigit(bytes[position + 1]) {
            isDouble = true
            position += 1
            _ = take(isDigit)
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            isDouble = true
            position += 1
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") { position += 1 }
            guard !take(isDigit).isEmpty else { throw badNumber(from: start) }
        }
        if isDouble {
            guard let number = Double(String(decoding: bytes[start..<position], as: UTF8.self)), number.isFinite else {
                throw badNumber(from: start)
            }
            return .double(number)
        }
        guard let number = UInt64(whole) else { throw badNumber(from: start) }
        return try integer(number, from: start)
    }

    /// `5` must fit Int64 (a minus sign before the smallest is the parser's matter), `5u` UInt64.
    private mutating func integer(_ number: UInt64, from start: Int) throws(CELError) -> Value {
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "u") {
            position += 1
            return Value(number)
        }
        guard number <= UInt64(Int64.max) + 1 else { throw badNumber(from: start) }
        return Value(number)
    }

    private func badNumber(from start: Int) -> CELError {
        fail(.badLiteral(String(decoding: bytes[start..<position], as: UTF8.self)), at: start)
    }

    private mutating func take(_ belongs: (UInt8) -> Bool) -> String {
        let start = position
        while position < bytes.count, belongs(bytes[position]) { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    // MARK: Strings

    private mutating func string(isRaw: Bool) throws(CELError) -> String {
        let start = position
        let quote = bytes[position]
        let isTriple = bytes[position...].starts(with: [quote, quote, quote])
        position += isTriple ? 3 : 1
        var text: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            if byte == quote, !isTriple || bytes[position...].starts(with: [quote, quote, quote]) {
                position += isTriple ? 3 : 1
                return String(decoding: text, as: UTF8.self)
            }
            if byte == UInt8(ascii: "\\"), !isRaw {
                try escape(to: &text)
            } else if byte == 0x0A || byte == 0x0D, !isTriple {
                break
            } else {
                text.append(byte)
                position += 1
            }
        }
        throw fail(.badLiteral("string without its closing quote"), at: start)
    }

    private mutating func escape(to text: inout [UInt8]) throws(CELError) {
        let start = position
        guard position + 1 < bytes.count else { throw fail(.badLiteral("escape"), at: start) }
        let kind = bytes[position + 1]
        position += 2
        let plain: [UInt8: UInt8] = [
            UInt8(ascii: "a"): 7, UInt8(ascii: "b"): 8, UInt8(ascii: "f"): 12, UInt8(ascii: "n"): 10, UInt8(ascii: "r"): 13,
            UInt8(ascii: "t"): 9, UInt8(ascii: "v"): 11, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "?"): 0x3F, UInt8(ascii: "\""): 0x22,
            UInt8(ascii: "'"): 0x27, UInt8(ascii: "`"): 0x60,
        ]
        if let byte = plain[kind] { return text.append(byte) }
        let width: Int
        switch kind {
        case UInt8(ascii: "x"), UInt8(ascii: "X"): width = 2
        case UInt8(ascii: "u"): width = 4
        case UInt8(ascii: "U"): width = 8
        default: throw fail(.badLiteral("escape '\\\(String(decoding: [kind], as: UTF8.self))'"), at: start)
        }
        guard position + width <= bytes.count, bytes[position..<position + width].allSatisfy({ hexDigit($0) != nil }),
            let code = UInt32(String(decoding: bytes[position..<position + width], as: UTF8.self), radix: 16),
            let scalar = Unicode.Scalar(code)
        else { throw fail(.badLiteral("escape"), at: start) }
        position += width
        text.append(contentsOf: Array(String(Character(scalar)).utf8))
    }
}

private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

private func isIdentifierStart(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
}

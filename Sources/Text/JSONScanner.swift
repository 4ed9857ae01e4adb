package import Primitives

/// Why bytes are not the JSON asked for, and where.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    package enum Reason: Equatable, Sendable {
        case expected(String)
        case badEscape
        case controlCharacter(UInt8)
        case badUTF8
        case badNumber
        case loneSurrogate
        case duplicateKey(String)
        case tooDeep(limit: Int)
        case trailingBytes
        case empty
    }

    package let reason: Reason
    /// Bytes from the start of the text.
    package let offset: Int

    package var description: String { "\(reasonText) at byte \(offset)" }

    private var reasonText: String {
        switch reason {
        case .expected(let what): "expected \(what)"
        case .badEscape: "unknown escape in a string"
        case .controlCharacter(let byte):
            "control character 0x\(hexadecimal(UInt64(byte), digits: 2)) in a string; write it as \\u00\(hexadecimal(UInt64(byte), digits: 2))"
        case .badUTF8: "bytes that are not UTF-8"
        case .badNumber: "a malformed or out-of-range number"
        case .loneSurrogate: "half of a surrogate pair"
        case .duplicateKey(let key): "duplicate key \"\(key.prefix(60))\""
        case .tooDeep(let limit): "nested deeper than \(limit) levels"
        case .trailingBytes: "more text after the end of the value"
        case .empty: "no JSON at all"
        }
    }
}

/// Reads one JSON text (RFC 8259), strictly: UTF-8 checked, no duplicate keys (RFC 7493), bounded depth, numbers kept exact
/// while they fit 64 bits. It never recurses deeper than `maximumDepth` and allocates in proportion to the text.
package struct JSONScanner {
    /// Objects and lists within each other; what a message may have.
    package static let depthLimit = 64

    private let bytes: UnsafeRawBufferPointer
    private let maximumDepth: Int
    private var position = 0

    package static func parse(_ bytes: some Collection<UInt8>, maximumDepth: Int = depthLimit) throws(JSONError) -> Value {
        let answer: Result<Value, JSONError>? = bytes.withContiguousStorageIfAvailable { scan(UnsafeRawBufferPointer($0), maximumDepth) }
        if let answer { return try answer.get() }
        return try Array(bytes).withUnsafeBytes { scan($0, maximumDepth) }.get()
    }

    package static func parse(_ text: String, maximumDepth: Int = depthLimit) throws(JSONError) -> Value {
        try parse(text.utf8, maximumDepth: maximumDepth)
    }

    package static func parse(_ bytes: UnsafeRawBufferPointer, maximumDepth: Int = depthLimit) throws(JSONError) -> Value {
        try scan(bytes, maximumDepth).get()
    }

    private static func scan(_ bytes: UnsafeRawBufferPointer, _ maximumDepth: Int) -> Result<Value, JSONError> {
        var scanner = JSONScanner(bytes: bytes, maximumDepth: maximumDepth)
        return Result { () throws(JSONError) in try scanner.document() }
    }

    private init(bytes: UnsafeRawBufferPointer, maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    private mutating func document() throws(JSONError) -> Value {
        skipSpace()
        guard position < bytes.count else { throw error(.empty) }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { throw error(.expected("JSON without a byte order mark")) }
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw error(.trailingBytes) }
        return value
    }

    private func error(_ reason: JSONError.Reason, at offset: Int? = nil) -> JSONError {
        JSONError(reason: reason, offset: offset ?? position)
    }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func value(depth: Int) throws(JSONError) -> Value {
        guard position < bytes.count else { throw error(.expected("a value")) }
        switch bytes[position] {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try list(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw error(.expected("a value"))
        }
    }

    private mutating func literal(_ word: StaticString, _ value: Value) throws(JSONError) -> Value {
        let count = word.utf8CodeUnitCount
        guard position + count <= bytes.count else { throw error(.expected("'\(word)'")) }
        for offset in 0..<count where bytes[position + offset] != word.utf8Start[offset] { throw error(.expected("'\(word)'")) }
        position += count
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> Value {
        guard depth <= maximumDepth else { throw error(.tooDeep(limit: maximumDepth)) }
        position += 1
        var members: [Fields.Member] = []
        var offsets: [Int] = []
        skipSpace()
        if position < bytes.count, bytes[position] == UInt8(ascii: "}") {
            position += 1
            return .map(Fields())
        }
        while true {
            skipSpace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { throw error(.expected("a key in double quotes")) }
            // The first stands for itself.
            if !members.isEmpty { offsets.append(position) }
            let key = try string()
            skipSpace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: ":") else { throw error(.expected("':'")) }
            position += 1
            skipSpace()
            members.append(Fields.Member(key, try value(depth: depth)))
            skipSpace()
            guard position < bytes.count else { throw error(.expected("',' or '}'")) }
            let next = bytes[position]
            guard next == UInt8(ascii: ",") || next == UInt8(ascii: "}") else { throw error(.expected("',' or '}'")) }
            position += 1
            if next == UInt8(ascii: "}") { break }
        }
        if let second = duplicate(in: members) { throw error(.duplicateKey(members[second].key), at: offsets[second - 1]) }
        return .map(Fields(members))
    }

    /// The place of a key that stood before; quadratic only while that is cheaper than sorting.
    private func duplicate(in members: [Fields.Member]) -> Int? {
        if members.count <= 12 {
            for later in members.indices.dropFirst() {
                for earlier in 0..<later where sameBytes(members[earlier].key, members[later].key) { return later }
            }
            return nil
        }
        let order = members.indices.sorted { bytesPrecede(members[$0].key, members[$1].key) }
        for (a, b) in zip(order, order.dropFirst()) where sameBytes(members[a].key, members[b].key) { return max(a, b) }
        return nil
    }

    private mutating func list(depth: Int) throws(JSONError) -> Value {
        guard depth <= maximumDepth else { throw error(.tooDeep(limit: maximumDepth)) }
        position += 1
        var items: [Value] = []
        skipSpace()
        if position < bytes.count, bytes[position] == UInt8(ascii: "]") {
            position += 1
            return .list([])
        }
        while true {
            skipSpace()
            items.append(try value(depth: depth))
            skipSpace()
            guard position < bytes.count else { throw error(.expected("',' or ']'")) }
            let next = bytes[position]
            guard next == UInt8(ascii: ",") || next == UInt8(ascii: "]") else { throw error(.expected("',' or ']'")) }
            position += 1
            if next == UInt8(ascii: "]") { return .list(items) }
        }
    }

    // MARK: Numbers

    private mutating func number() throws(JSONError) -> Value {
        let start = position
        let isNegative = bytes[position] == UInt8(ascii: "-")
        if isNegative { position += 1 }
        let whole = skipDigits()
        let startsWithZero = whole > 0 && bytes[position - whole] == UInt8(ascii: "0")
        guard whole > 0, !(startsWithZero && whole > 1) else { throw error(.badNumber, at: start) }
        var isInteger = true
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            isInteger = false
            guard skipDigits() > 0 else { throw error(.badNumber, at: start) }
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            isInteger = false
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") { position += 1 }
            guard skipDigits() > 0 else { throw error(.badNumber, at: start) }
        }
        if isInteger, let value = integer(from: start, isNegative: isNegative) { return value }
        let text = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        guard let double = Double(text), double.isFinite else { throw error(.badNumber, at: start) }
        return .double(double)
    }

    private mutating func skipDigits() -> Int {
        let start = position
        while position < bytes.count, bytes[position] &- 48 < 10 { position += 1 }
        return position - start
    }

    /// Nil when 64 bits do not hold it: then it becomes a double.
    private func integer(from start: Int, isNegative: Bool) -> Value? {
        var magnitude: UInt64 = 0
        for offset in (isNegative ? start + 1 : start)..<position {
            let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, sumOverflow) = product.addingReportingOverflow(UInt64(bytes[offset] - 48))
            guard !overflow, !sumOverflow else { return nil }
            magnitude = sum
        }
        guard isNegative else { return Value(magnitude) }
        guard magnitude <= UInt64(Int64.max) + 1 else { return nil }
        return magnitude == 0 ? .double(-0.0) : .int(Int64(truncatingIfNeeded: 0 &- magnitude))
    }

    // MARK: Strings

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        var isASCII = true
        skipPlainText()
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<position])
                position += 1
                return try text(slice, isASCII: isASCII, at: start)
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            guard byte >= 0x20 else { throw error(.controlCharacter(byte)) }
            if byte >= 0x80 { isASCII = false }
            position += 1
        }
        throw error(.expected("the closing '\"'"))
    }

    /// Goes over ASCII that stands for itself, eight bytes at a time; what is left of it is looked at one by one.
    private mutating func skipPlainText() {
        let (ones, tops) = (0x0101_0101_0101_0101 as UInt64, 0x8080_8080_8080_8080 as UInt64)
        while position + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let (quotes, backslashes) = (word ^ (ones &* 0x22), word ^ (ones &* 0x5C))
            // The top bit of a byte is set where one is zero, below a space, or no ASCII; the lowest that is set is so rightly.
            let found = (quotes &- ones) & ~quotes | (backslashes &- ones) & ~backslashes | (word &- ones &* 0x20) & ~word | word
            guard found & tops == 0 else { return }
            position += 8
        }
    }

    private func text(_ slice: UnsafeRawBufferPointer, isASCII: Bool, at start: Int) throws(JSONError) -> String {
        if isASCII { return String(decoding: slice, as: UTF8.self) }
        guard let text = String(validating: slice, as: UTF8.self) else { throw error(.badUTF8, at: start) }
        return text
    }

    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        var unescaped = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                guard let text = String(validating: unescaped, as: UTF8.self) else { throw error(.badUTF8, at: start) }
                return text
            case UInt8(ascii: "\\"):
                try appendEscape(to: &unescaped)
            case 0..<0x20:
                throw error(.controlCharacter(byte))
            default:
                unescaped.append(byte)
                position += 1
            }
        }
        throw error(.expected("the closing '\"'"))
    }

    private mutating func appendEscape(to text: inout [UInt8]) throws(JSONError) {
        guard position + 1 < bytes.count else { throw error(.badEscape) }
        switch bytes[position + 1] {
        case UInt8(ascii: "\""): text.append(0x22)
        case UInt8(ascii: "\\"): text.append(0x5C)
        case UInt8(ascii: "/"): text.append(0x2F)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            try appendUnicodeEscape(to: &text)
            return
        default: throw error(.badEscape)
        }
        position += 2
    }

    private mutating func appendUnicodeEscape(to text: inout [UInt8]) throws(JSONError) {
        let start = position
        var code = try codeUnit()
        if (0xD800..<0xDC00).contains(code) {
            guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u") else {
                throw error(.loneSurrogate, at: start)
            }
            let low = try codeUnit()
            guard (0xDC00..<0xE000).contains(low) else { throw error(.loneSurrogate, at: start) }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw error(.loneSurrogate, at: start) }
        text.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
    }

    private mutating func codeUnit() throws(JSONError) -> UInt32 {
        guard position + 6 <= bytes.count else { throw error(.badEscape) }
        var code: UInt32 = 0
        for offset in 2..<6 {
            guard let digit = hexDigit(bytes[position + offset]) else { throw error(.badEscape) }
            code = code << 4 | UInt32(digit)
        }
        position += 6
        return code
    }
}

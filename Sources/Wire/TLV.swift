/// Writes fields `{tag u16, type u8, length u32, value}`, big-endian.
package struct TLVWriter: Sendable {
    package private(set) var bytes: [UInt8]

    package init(reserving capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package mutating func u8(_ tag: UInt16, _ value: UInt8) {
        header(tag, .u8, 1)
        bytes.append(value)
    }

    package mutating func u16(_ tag: UInt16, _ value: UInt16) { integer(tag, .u16, value) }
    package mutating func u32(_ tag: UInt16, _ value: UInt32) { integer(tag, .u32, value) }
    package mutating func u64(_ tag: UInt16, _ value: UInt64) { integer(tag, .u64, value) }
    package mutating func i64(_ tag: UInt16, _ value: Int64) { integer(tag, .i64, value) }
    package mutating func double(_ tag: UInt16, _ value: Double) { integer(tag, .double, value.bitPattern) }

    package mutating func bool(_ tag: UInt16, _ value: Bool) {
        header(tag, .bool, 1)
        bytes.append(value ? 1 : 0)
    }

    package mutating func string(_ tag: UInt16, _ value: String) {
        var copy = value
        copy.withUTF8 { text in
            header(tag, .string, text.count)
            bytes.append(contentsOf: text)
        }
    }

    package mutating func bytes(_ tag: UInt16, _ value: [UInt8]) {
        header(tag, .bytes, value.count)
        bytes.append(contentsOf: value)
    }

    /// A nested message; its length is put in afterwards.
    package mutating func message(_ tag: UInt16, _ body: (inout TLVWriter) -> Void) {
        header(tag, .message, 0)
        let start = bytes.count
        body(&self)
        let length = UInt32(bytes.count - start)
        for offset in 0..<4 { bytes[start - 4 + offset] = UInt8(truncatingIfNeeded: length >> UInt32((3 - offset) * 8)) }
    }

    /// Bytes outside any field: the fixed part of an envelope.
    package mutating func fixed(_ value: some FixedWidthInteger) { append(value) }
    package mutating func fixed(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }

    private mutating func integer(_ tag: UInt16, _ type: TLVType, _ value: some FixedWidthInteger) {
        header(tag, type, value.bitWidth / 8)
        append(value)
    }

    private mutating func header(_ tag: UInt16, _ type: TLVType, _ length: Int) {
        let word = UInt64(tag) << 40 | UInt64(type.rawValue) << 32 | UInt64(UInt32(length))
        withUnsafeBytes(of: (word << 8).bigEndian) { bytes.append(contentsOf: $0.prefix(7)) }
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}

/// One field as read.
package struct TLVField: Sendable {
    package let tag: UInt16
    package let type: UInt8
    /// Where its value starts, from the start of what was given to the outermost reader.
    package let offset: Int
    package let value: ArraySlice<UInt8>
    fileprivate let depth: Int

    package func u8() throws(WireError) -> UInt8 { try integer(.u8) }
    package func u16() throws(WireError) -> UInt16 { try integer(.u16) }
    package func u32() throws(WireError) -> UInt32 { try integer(.u32) }
    package func u64() throws(WireError) -> UInt64 { try integer(.u64) }
    package func i64() throws(WireError) -> Int64 { try integer(.i64) }
    package func double() throws(WireError) -> Double { Double(bitPattern: try integer(.double)) }

    package func bool() throws(WireError) -> Bool {
        switch try integer(.bool) as UInt8 {
        case 0: return false
        case 1: return true
        default: throw .badValue(tag: tag, reason: "a boolean that is neither 0 nor 1", at: offset)
        }
    }

    package func string() throws(WireError) -> String {
        try require(.string)
        guard let text = String(validating: value, as: UTF8.self) else { throw .badText(tag: tag, at: offset) }
        return text
    }

    package func bytes() throws(WireError) -> [UInt8] { Array(try byteSlice()) }

    package func byteSlice() throws(WireError) -> ArraySlice<UInt8> {
        try require(.bytes)
        return value
    }

    /// A reader over a nested message.
    package func message(repeating repeated: UInt64 = 0) throws(WireError) -> TLVReader {
        try require(.message)
        guard depth < TLVReader.depthLimit else { throw .tooDeep(limit: TLVReader.depthLimit, at: offset) }
        return TLVReader(value, repeating: repeated, depth: depth + 1)
    }

    package func bad(_ reason: String) -> WireError { .badValue(tag: tag, reason: reason, at: offset) }
    package var unknown: WireError { .unknownField(tag: tag, at: offset) }

    private func require(_ expected: TLVType) throws(WireError) {
        guard type == expected.rawValue else { throw .wrongType(tag: tag, expected: expected, found: type, at: offset) }
    }

    private func integer<T: FixedWidthInteger>(_ expected: TLVType) throws(WireError) -> T {
        try require(expected)
        guard value.count == T.bitWidth / 8 else { throw .badLength(tag: tag, length: value.count, at: offset) }
        return bigEndian(value, at: value.startIndex)
    }
}

/// Reads fields one after the other; refuses what is malformed, never traps.
package struct TLVReader: Sendable {
    package static let depthLimit = 8
    package static let fieldLimit = 1 << 20

    private let bytes: ArraySlice<UInt8>
    private let repeated: UInt64
    private let depth: Int
    private let limit: Int
    private var position: Int
    private var seen: UInt64 = 0
    private var count = 0

    /// - Parameters:
    ///   - repeated: bit n set when tag n (below 64) may come more than once.
    ///   - limit: how many fields may come at most.
    package init(_ bytes: ArraySlice<UInt8>, repeating repeated: UInt64 = 0, limit: Int = fieldLimit) {
        self.init(bytes, repeating: repeated, depth: 0, limit: limit)
    }

    fileprivate init(_ bytes: ArraySlice<UInt8>, repeating repeated: UInt64, depth: Int, limit: Int = fieldLimit) {
        self.limit = limit
        self.bytes = bytes
        self.repeated = repeated
        self.depth = depth
        position = bytes.startIndex
    }

    /// The next field, or nil at the end.
    package mutating func next() throws(WireError) -> TLVField? {
        guard position < bytes.endIndex else { return nil }
        guard position + 7 <= bytes.endIndex else { throw .truncated(at: position) }
        let tag: UInt16 = bigEndian(bytes, at: position)
        let type = bytes[position + 2]
        let length = Int(bigEndian(bytes, at: position + 3) as UInt32)
        let start = position + 7
        guard length <= bytes.endIndex - start else { throw .badLength(tag: tag, length: length, at: position) }
        try note(tag)
        position = start + length
        return TLVField(tag: tag, type: type, offset: start, value: bytes[start..<position], depth: depth)
    }

    private mutating func note(_ tag: UInt16) throws(WireError) {
        count += 1
        guard count <= limit else { throw .tooManyFields(limit: limit, at: position) }
        guard tag < 64 else { return }
        let bit: UInt64 = 1 << UInt64(tag)
        guard seen & bit == 0 || repeated & bit != 0 else { throw .duplicateField(tag: tag, at: position) }
        seen |= bit
    }
}

/// A big-endian integer at an index that the caller has checked.
package func bigEndian<T: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, at index: Int) -> T {
    bytes.withUnsafeBytes { T(bigEndian: $0.loadUnaligned(fromByteOffset: index - bytes.startIndex, as: T.self)) }
}

extension Optional {
    /// The field's value, or the error that names what lacks it.
    package func required(_ tag: UInt16, of what: String) throws(WireError) -> Wrapped {
        guard let self else { throw .missingField(tag: tag, of: what) }
        return self
    }
}

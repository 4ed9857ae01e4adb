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

    package mutating func bytes(_ tag: UInt16, _ value: UnsafeRawBufferPointer) {
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

    private mutating func integer<Integer: FixedWidthInteger>(_ tag: UInt16, _ type: TLVType, _ value: Integer) {
        let length = Integer.bitWidth / 8
        // The head has 7 bytes; the value follows at once.
        let bits = UInt64(truncatingIfNeeded: value) << UInt64(64 - Integer.bitWidth)
        append(Self.head(tag, type, length) | bits >> 56, bits << 8, count: 7 + length)
    }

    private mutating func header(_ tag: UInt16, _ type: TLVType, _ length: Int) { append(Self.head(tag, type, length), 0, count: 7) }

    private static func head(_ tag: UInt16, _ type: TLVType, _ length: Int) -> UInt64 {
        UInt64(tag) << 48 | UInt64(type.rawValue) << 40 | UInt64(UInt32(length)) << 8
    }

    /// The first bytes of two words, in one piece: nearly all that is written is a few bytes long.
    private mutating func append(_ first: UInt64, _ second: UInt64, count: Int) {
        withUnsafeBytes(of: (first.bigEndian, second.bigEndian)) {
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0[..<count]))
        }
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}

/// One field as read. Valid only while the bytes are that it was read from: it holds on to nothing, for there are some forty in an entry of the log.
package struct TLVField {
    package let tag: UInt16
    package let type: UInt8
    fileprivate let depth: UInt8
    /// Where its value starts, from the start of what was given to the outermost reader.
    package let offset: Int
    package let value: UnsafeRawBufferPointer

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
        guard let text = textOf(value) else { throw .badText(tag: tag, at: offset) }
        return text
    }

    package func bytes() throws(WireError) -> [UInt8] { Array(try rawBytes()) }

    /// Valid as long as the field is.
    package func rawBytes() throws(WireError) -> UnsafeRawBufferPointer {
        try require(.bytes)
        return value
    }

    /// A reader over a nested message.
    package func message(repeating repeated: UInt64 = 0) throws(WireError) -> TLVReader {
        try require(.message)
        guard depth < TLVReader.depthLimit else { throw .tooDeep(limit: TLVReader.depthLimit, at: offset) }
        return TLVReader(value, offset: offset, repeating: repeated, depth: depth + 1)
    }

    package func bad(_ reason: String) -> WireError { .badValue(tag: tag, reason: reason, at: offset) }
    package var unknown: WireError { .unknownField(tag: tag, at: offset) }

    @inline(__always)
    private func require(_ expected: TLVType) throws(WireError) {
        guard type == expected.rawValue else { throw .wrongType(tag: tag, expected: expected, found: type, at: offset) }
    }

    @inline(__always)
    private func integer<T: FixedWidthInteger>(_ expected: TLVType) throws(WireError) -> T {
        try require(expected)
        guard value.count == T.bitWidth / 8 else { throw .badLength(tag: tag, length: value.count, at: offset) }
        return value.integer(at: 0)
    }
}

/// Reads fields one after the other; refuses what is malformed, never traps. Valid only while the bytes are that it reads.
package struct TLVReader {
    package static let depthLimit = 8
    package static let fieldLimit = 1 << 20

    private let bytes: UnsafeRawBufferPointer
    /// Of the first of them, from the start of what was given to the outermost reader.
    private let origin: Int
    private let repeated: UInt64
    private let depth: UInt8
    private let limit: Int
    private var position = 0
    private var seen: UInt64 = 0
    private var count = 0

    /// - Parameters:
    ///   - offset: what errors count from, where the bytes are a part of more.
    ///   - repeated: bit n set when tag n (below 64) may come more than once.
    ///   - limit: how many fields may come at most.
    package init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0, repeating repeated: UInt64 = 0, limit: Int = fieldLimit) {
        self.init(bytes, offset: offset, repeating: repeated, depth: 0, limit: limit)
    }

    fileprivate init(_ bytes: UnsafeRawBufferPointer, offset: Int, repeating repeated: UInt64, depth: UInt8, limit: Int = fieldLimit) {
        self.limit = limit
        self.bytes = bytes
        self.repeated = repeated
        self.depth = depth
        origin = offset
    }

    /// The next field, or nil at the end.
    package mutating func next() throws(WireError) -> TLVField? {
        guard position < bytes.count else { return nil }
        guard position + 7 <= bytes.count else { throw .truncated(at: origin + position) }
        let tag: UInt16 = bytes.integer(at: position)
        let type = bytes[position + 2]
        let length = Int(bytes.integer(at: position + 3) as UInt32)
        let start = position + 7
        guard length <= bytes.count - start else { throw .badLength(tag: tag, length: length, at: origin + position) }
        try note(tag)
        position = start + length
        let value = UnsafeRawBufferPointer(rebasing: bytes[start..<position])
        return TLVField(tag: tag, type: type, depth: depth, offset: origin + start, value: value)
    }

    @inline(__always)
    private mutating func note(_ tag: UInt16) throws(WireError) {
        count += 1
        guard count <= limit else { throw .tooManyFields(limit: limit, at: origin + position) }
        guard tag < 64 else { return }
        let bit: UInt64 = 1 << UInt64(tag)
        guard seen & bit == 0 || repeated & bit != 0 else { throw .duplicateField(tag: tag, at: origin + position) }
        seen |= bit
    }
}

extension Array where Element == UInt8 {
    /// Lends the bytes to a reader of them; nothing of it may be kept but what it has copied.
    package func lent<Result>(_ read: (UnsafeRawBufferPointer) throws(WireError) -> Result) throws(WireError) -> Result {
        try withUnsafeBufferPointer { bytes throws(WireError) in try read(UnsafeRawBufferPointer(bytes)) }
    }
}

/// A big-endian integer at an index that the caller has checked.
package func bigEndian<T: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, at index: Int) -> T {
    bytes.withUnsafeBytes { T(bigEndian: $0.loadUnaligned(fromByteOffset: index - bytes.startIndex, as: T.self)) }
}

/// Bytes as text; nil when they are no UTF-8. Nearly all text is ASCII, which needs only one look at eight of them at a time.
func textOf(_ bytes: UnsafeRawBufferPointer) -> String? {
    let text = String(decoding: bytes.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
    if isASCII(bytes) { return text }
    // Where something was put in place of what is no text, they differ.
    let isSame = text.utf8.withContiguousStorageIfAvailable { $0.elementsEqual(bytes) } ?? text.utf8.elementsEqual(bytes)
    return isSame ? text : nil
}

private func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var (position, found) = (0, 0 as UInt64)
    while position + 8 <= bytes.count {
        found |= bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        position += 8
    }
    while position < bytes.count {
        found |= UInt64(bytes[position])
        position += 1
    }
    return found & 0x8080_8080_8080_8080 == 0
}

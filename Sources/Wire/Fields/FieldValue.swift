package import NIOCore
package import Primitives

/// What a field can hold: how it is spelled, and how it is read back.
package protocol FieldValue {
    static var fieldType: TLVType { get }
    /// Bytes of the value alone.
    var fieldBytes: Int { get }
    /// Writes exactly `fieldBytes`, and says how many those are.
    @discardableResult func write(to bytes: UnsafeMutableRawPointer) -> Int
    init(_ source: FieldSource) throws(WireError)
    /// For people who read a captured stream.
    var fieldText: String { get }
}

/// The bytes of one field's value, and where they are. Valid only while the payload that is read is.
package struct FieldSource {
    package let bytes: UnsafeRawBufferPointer
    package let tag: UInt16
    /// From the start of the payload.
    package let offset: Int
    let depth: Int

    /// The one integer that the value is.
    @inline(__always)
    func integer<T: FixedWidthInteger>(as type: T.Type = T.self) throws(WireError) -> T {
        guard bytes.count == T.bitWidth / 8 else { throw .badLength(tag: tag, length: bytes.count, at: offset) }
        return bytes.integer(at: 0)
    }

    func bad(_ reason: String) -> WireError { .badValue(tag: tag, reason: reason, at: offset) }

    func text() throws(WireError) -> String {
        guard let text = textOf(bytes) else { throw .badText(tag: tag, at: offset) }
        return text
    }

    /// A part that the caller knows to be there.
    @inline(__always)
    func part(_ start: Int, _ length: Int, tag: UInt16, deeper: Bool) throws(WireError) -> FieldSource {
        guard !deeper || depth < TLVReader.depthLimit else { throw .tooDeep(limit: TLVReader.depthLimit, at: offset + start) }
        return FieldSource(
            bytes: UnsafeRawBufferPointer(start: bytes.baseAddress.map { $0 + start }, count: length), tag: tag, offset: offset + start,
            depth: deeper ? depth + 1 : depth)
    }
}

/// A value that is one big-endian integer.
package protocol IntegerFieldValue: FieldValue {
    associatedtype Word: FixedWidthInteger
    var word: Word { get }
    init(word: Word)
}

extension IntegerFieldValue {
    @inline(__always) package var fieldBytes: Int { Word.bitWidth / 8 }
    @inline(__always) @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        bytes.storeBytes(of: word.bigEndian, as: Word.self)
        return Word.bitWidth / 8
    }
    @inline(__always) package init(_ source: FieldSource) throws(WireError) { self.init(word: try source.integer()) }
    package var fieldText: String { String(word) }
}

extension IntegerFieldValue where Word == Self {
    @inline(__always) package var word: Self { self }
    @inline(__always) package init(word: Self) { self = word }
}

extension UInt8: IntegerFieldValue {
    package static var fieldType: TLVType { .u8 }
}

extension UInt16: IntegerFieldValue {
    package static var fieldType: TLVType { .u16 }
}

extension UInt32: IntegerFieldValue {
    package static var fieldType: TLVType { .u32 }
}

extension UInt64: IntegerFieldValue {
    package static var fieldType: TLVType { .u64 }
}

extension Int64: IntegerFieldValue {
    package static var fieldType: TLVType { .i64 }
}

extension Double: IntegerFieldValue {
    package static var fieldType: TLVType { .double }
    package var word: UInt64 { bitPattern }
    package init(word: UInt64) { self.init(bitPattern: word) }
    package var fieldText: String { description }
}

extension Term: IntegerFieldValue {
    package static var fieldType: TLVType { .u64 }
    package var word: UInt64 { number }
    package init(word: UInt64) { self.init(word) }
}

extension LogIndex: IntegerFieldValue {
    package static var fieldType: TLVType { .u64 }
    package var word: UInt64 { number }
    package init(word: UInt64) { self.init(word) }
}

extension ClusterTime: IntegerFieldValue {
    package static var fieldType: TLVType { .u64 }
    package var word: UInt64 { milliseconds }
    package init(word: UInt64) { self.init(milliseconds: word) }
    package var fieldText: String { "\(milliseconds) (\(rfc3339))" }
}

extension WireVersion: IntegerFieldValue {
    package static var fieldType: TLVType { .u16 }
    package var word: UInt16 { number }
    package init(word: UInt16) { self.init(number: word) }
    package var fieldText: String { description }
}

extension MessageType: IntegerFieldValue {
    package static var fieldType: TLVType { .u16 }
    package var word: UInt16 { number }
    package init(word: UInt16) { self.init(number: word) }
    package var fieldText: String { description }
}

/// One of some cases that are numbered for ever.
package protocol NumberedFieldValue: FieldValue, RawRepresentable where RawValue == UInt8 {
    /// What is said of a number that no case has.
    static var kindName: String { get }
}

extension NumberedFieldValue {
    package static var fieldType: TLVType { .u8 }
    package var fieldBytes: Int { 1 }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int { rawValue.write(to: bytes) }
    package init(_ source: FieldSource) throws(WireError) {
        let number: UInt8 = try source.integer()
        guard let known = Self(rawValue: number) else { throw source.bad("\(Self.kindName) \(number) is unknown to this program") }
        self = known
    }
    package var fieldText: String { "\(self)" }
}

extension Bool: FieldValue {
    package static var fieldType: TLVType { .bool }
    package var fieldBytes: Int { 1 }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        bytes.storeBytes(of: self ? 1 : 0, as: UInt8.self)
        return 1
    }
    package init(_ source: FieldSource) throws(WireError) {
        switch try source.integer(as: UInt8.self) {
        case 0: self = false
        case 1: self = true
        default: throw source.bad("a boolean that is neither 0 nor 1")
        }
    }
    package var fieldText: String { self ? "true" : "false" }
}

extension String: FieldValue {
    package static var fieldType: TLVType { .string }
    package var fieldBytes: Int { utf8.count }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        var copy = self
        return copy.withUTF8 { text in
            if let base = text.baseAddress { bytes.copyMemory(from: base, byteCount: text.count) }
            return text.count
        }
    }
    package init(_ source: FieldSource) throws(WireError) { self = try source.text() }
    package var fieldText: String { "\"\(self)\"" }
}

extension NodeID: FieldValue {
    package static var fieldType: TLVType { .string }
    package var fieldBytes: Int { text.utf8.count }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int { text.write(to: bytes) }
    package init(_ source: FieldSource) throws(WireError) {
        do throws(IdentifierError) { try self.init(utf8: source.bytes) } catch { throw source.bad("\(error)") }
    }
    package var fieldText: String { text }
}

extension Namespace: FieldValue {
    package static var fieldType: TLVType { .string }
    package var fieldBytes: Int { text.utf8.count }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int { text.write(to: bytes) }
    package init(_ source: FieldSource) throws(WireError) {
        do throws(IdentifierError) { try self.init(utf8: source.bytes) } catch { throw source.bad("\(error)") }
    }
    package var fieldText: String { text }
}

extension [UInt8]: FieldValue {
    package static var fieldType: TLVType { .bytes }
    package var fieldBytes: Int { count }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        withUnsafeBytes { own in if let base = own.baseAddress { bytes.copyMemory(from: base, byteCount: own.count) } }
        return count
    }
    package init(_ source: FieldSource) throws(WireError) { self.init(source.bytes) }
    package var fieldText: String { Self.shown(self) }

    /// As text where it is text, else in hexadecimal; the first bytes of it.
    static func shown(_ bytes: some Collection<UInt8>) -> String {
        let head = bytes.prefix(64)
        let rest = bytes.count > 64 ? " ... (\(bytes.count) bytes)" : ""
        if head.allSatisfy({ (0x20..<0x7F).contains($0) }) { return "\"\(String(decoding: head, as: UTF8.self))\"\(rest)" }
        return head.map { hexadecimal(UInt64($0), digits: 2) }.joined() + rest
    }
}

extension UUIDv7: FieldValue {
    package static var fieldType: TLVType { .bytes }
    package var fieldBytes: Int { 16 }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
        bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        return 16
    }
    package init(_ source: FieldSource) throws(WireError) {
        guard source.bytes.count == 16 else { throw source.bad("an id of \(source.bytes.count) bytes") }
        self.init(high: source.bytes.integer(at: 0), low: source.bytes.integer(at: 8))
    }
    package var fieldText: String { description }
}

/// Term u64, then count u64.
extension Fence: FieldValue {
    package static var fieldType: TLVType { .bytes }
    package var fieldBytes: Int { 16 }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        bytes.storeBytes(of: term.number.bigEndian, as: UInt64.self)
        bytes.storeBytes(of: assignment.bigEndian, toByteOffset: 8, as: UInt64.self)
        return 16
    }
    package init(_ source: FieldSource) throws(WireError) {
        guard source.bytes.count == 16 else { throw source.bad("a fence of \(source.bytes.count) bytes") }
        self.init(term: Term(source.bytes.integer(at: 0)), assignment: source.bytes.integer(at: 8))
    }
    package var fieldText: String { description }
}

/// Bytes as transports have them.
extension ByteBuffer: FieldValue {
    package static var fieldType: TLVType { .bytes }
    package var fieldBytes: Int { readableBytes }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        withUnsafeReadableBytes { own in if let base = own.baseAddress { bytes.copyMemory(from: base, byteCount: own.count) } }
        return readableBytes
    }
    package init(_ source: FieldSource) throws(WireError) { self.init(bytes: source.bytes) }
    package var fieldText: String { [UInt8].shown(readableBytesView) }
}

/// Anything that JSON can say, as MessagePack.
extension Value: FieldValue {
    package static var fieldType: TLVType { .bytes }
    package var fieldBytes: Int { MessagePack.count(self) }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int { MessagePack.write(self, to: bytes) }
    package init(_ source: FieldSource) throws(WireError) {
        do throws(MessagePack.Failure) { self = try MessagePack.read(source.bytes) } catch { throw source.bad("\(error)") }
    }
    package var fieldText: String { MessagePack.text(self) }
}

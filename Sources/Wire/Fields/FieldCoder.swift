package import NIOCore

/// Goes over the fields of a record, one after the other: to count their bytes, write them, read them or show them. A record names each of its
/// fields once (`WireRecord.visit`), so that what is written, read and shown cannot differ.
package protocol FieldCoder {
    /// A field that must be there.
    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) throws(WireError)
    /// A field that came with a later version: a record without it keeps what it began with.
    mutating func later<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) throws(WireError)
    /// A field that may be left out.
    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V?) throws(WireError)
    /// Any number of values; left out when there are none.
    mutating func list<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ values: inout [V]) throws(WireError)
}

/// A value made of fields. Tags are 1 to 63, are never given twice, and never mean something else.
package protocol WireRecord: FieldValue, Equatable, Sendable {
    /// What the fields are before any is read.
    init()
    mutating func visit(_ coder: inout some FieldCoder) throws(WireError)
    /// Takes bytes that are laid out just as this program writes them; false, and nothing taken, when they are not: then they are visited.
    /// For the few records that must be fast: they are filled where they stand, since a record of many fields is copied when it is returned.
    mutating func readInOrder(_ bytes: UnsafeRawBufferPointer) -> Bool
}

extension WireRecord {
    package static var fieldType: TLVType { .message }
    @inline(__always) package mutating func readInOrder(_ bytes: UnsafeRawBufferPointer) -> Bool { false }

    package var fieldBytes: Int {
        var (copy, sizer) = (self, FieldSizer())
        try? copy.visit(&sizer)
        return sizer.bytes
    }

    @discardableResult
    package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        var (copy, writer) = (self, FieldWriter(bytes))
        try? copy.visit(&writer)
        return bytes.distance(to: writer.place)
    }

    package init(_ source: FieldSource) throws(WireError) {
        self.init()
        if readInOrder(source.bytes) { return }
        try FieldReader.read(&self, from: source)
    }

    /// Reads one that is all of some bytes.
    package static func decode(_ bytes: ByteBuffer) throws(WireError) -> Self {
        var record = Self()
        var failure: WireError?
        bytes.withUnsafeReadableBytes { raw in
            if record.readInOrder(raw) { return }
            do throws(WireError) { try FieldReader.read(&record, from: FieldSource(bytes: raw, tag: 0, offset: 0, depth: 0)) } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return consume record
    }

    package var fieldText: String {
        var (copy, lines) = (self, FieldLines())
        try? copy.visit(&lines)
        return "{" + lines.lines.map { "\($0.name): \($0.text)" }.joined(separator: ", ") + "}"
    }
}

/// Counts the bytes that a record takes.
struct FieldSizer: FieldCoder {
    private(set) var bytes = 0

    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) { bytes += TLV.head + value.fieldBytes }
    mutating func later<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) { bytes += TLV.head + value.fieldBytes }
    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V?) {
        if let value { bytes += TLV.head + value.fieldBytes }
    }
    mutating func list<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ values: inout [V]) {
        guard !values.isEmpty else { return }
        bytes += TLV.head + TLV.listHead
        for value in values { bytes += TLV.itemHead + value.fieldBytes }
    }
}

/// Writes fields into memory that holds what `FieldSizer` counted.
struct FieldWriter: FieldCoder {
    private(set) var place: UnsafeMutableRawPointer

    init(_ place: UnsafeMutableRawPointer) { self.place = place }

    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) { field(tag, value) }
    mutating func later<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) { field(tag, value) }
    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V?) { if let value { field(tag, value) } }
    mutating func list<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ values: inout [V]) { list(tag, values) }

    mutating func list<V: FieldValue>(_ tag: UInt16, _ values: [V]) {
        guard !values.isEmpty else { return }
        let head = place
        place += TLV.head
        place.storeBytes(of: V.fieldType.rawValue, as: UInt8.self)
        place.storeBytes(of: UInt32(values.count).bigEndian, toByteOffset: 1, as: UInt32.self)
        place += TLV.listHead
        for value in values {
            let count = value.write(to: place + TLV.itemHead)
            place.storeBytes(of: UInt32(count).bigEndian, as: UInt32.self)
            place += TLV.itemHead + count
        }
        TLV.writeHead(tag, .list, head.distance(to: place) - TLV.head, to: head)
    }

    @inline(__always)
    mutating func field<V: FieldValue>(_ tag: UInt16, _ value: V) {
        let count = value.write(to: place + TLV.head)
        TLV.writeHead(tag, V.fieldType, count, to: place)
        place += TLV.head + count
    }
}

/// The parts of a field that are not its value.
enum TLV {
    /// Tag u16, type u8, length u32.
    static let head = 7
    /// Type of the elements u8, how many u32.
    static let listHead = 5
    /// Length u32 of each element.
    static let itemHead = 4

    @inline(__always)
    static func writeHead(_ tag: UInt16, _ type: TLVType, _ length: Int, to place: UnsafeMutableRawPointer) {
        place.storeBytes(of: tag.bigEndian, as: UInt16.self)
        place.storeBytes(of: type.rawValue, toByteOffset: 2, as: UInt8.self)
        place.storeBytes(of: UInt32(truncatingIfNeeded: length).bigEndian, toByteOffset: 3, as: UInt32.self)
    }
}

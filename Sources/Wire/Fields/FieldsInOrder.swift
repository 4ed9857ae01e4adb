/// Goes over fields that are laid out as they were written by this program: whatever is otherwise stops it, and is then visited by
/// `FieldReader`, which says what is wrong with it.
struct FieldsInOrder {
    private let bytes: UnsafeRawBufferPointer
    private var place = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { place == bytes.count }

    /// Goes past the head of a field that has this tag, type and length, and all of its bytes.
    @inline(__always)
    mutating func take(_ tag: UInt16, _ type: TLVType, _ length: Int) -> Bool {
        guard place + TLV.head + length <= bytes.count,
            bytes.integer(at: place, as: UInt32.self) == UInt32(tag) << 16 | UInt32(type.rawValue) << 8 | UInt32(length) >> 24,
            bytes.integer(at: place + 3, as: UInt32.self) == UInt32(length)
        else { return false }
        place += TLV.head
        return true
    }

    // What `take` has found to be there.

    @inline(__always)
    mutating func byte() -> UInt8? {
        defer { place += 1 }
        return bytes[place]
    }

    @inline(__always)
    mutating func half() -> UInt32? {
        defer { place += 4 }
        return bytes.integer(at: place)
    }

    @inline(__always)
    mutating func word() -> UInt64? {
        defer { place += 8 }
        return bytes.integer(at: place)
    }

    /// A field of any length.
    @inline(__always)
    mutating func value(_ tag: UInt16, _ type: TLVType) -> UnsafeRawBufferPointer? {
        guard place + TLV.head <= bytes.count else { return nil }
        let length = Int(bytes.integer(at: place + 3, as: UInt32.self))
        guard take(tag, type, length) else { return nil }
        defer { place += length }
        return UnsafeRawBufferPointer(start: bytes.baseAddress.map { $0 + place }, count: length)
    }

    /// A field that is all of what is left.
    @inline(__always)
    mutating func rest(_ tag: UInt16, _ type: TLVType) -> UnsafeRawBufferPointer? {
        guard let value = value(tag, type), isAtEnd else { return nil }
        return value
    }

    /// Records, each of which can be read in order; none when the next field is another one.
    mutating func list<R: WireRecord>(_ tag: UInt16) -> [R]? {
        guard place + TLV.head <= bytes.count, bytes.integer(at: place, as: UInt16.self) == tag else { return [] }
        guard let list = value(tag, .list), list.count >= TLV.listHead, list[0] == TLVType.message.rawValue else { return nil }
        let count = Int(list.integer(at: 1, as: UInt32.self))
        guard count > 0, count <= list.count / (TLV.itemHead + TLV.head), let base = list.baseAddress else { return nil }
        var offset = TLV.listHead
        var records: [R] = []
        while records.count < count {
            guard offset + TLV.itemHead <= list.count else { return nil }
            let length = Int(list.integer(at: offset, as: UInt32.self))
            offset += TLV.itemHead
            var record = R()
            guard length <= list.count - offset, record.readInOrder(UnsafeRawBufferPointer(start: base + offset, count: length)) else {
                return nil
            }
            offset += length
            // One is what comes mostly: it needs no space for more.
            if count == 1 { return offset == list.count ? [record] : nil }
            if records.isEmpty { records.reserveCapacity(count) }
            records.append(record)
        }
        return offset == list.count ? records : nil
    }
}

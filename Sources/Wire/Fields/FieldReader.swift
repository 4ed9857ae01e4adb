/// Reads the fields of a record. It stands at one field, and whoever is visited takes it by its tag: fields that come in the order in which the
/// record names them are read in one visit; others, and those that it does not know, take more of them. What is malformed is refused with its place.
struct FieldReader: FieldCoder {
    /// Fields of one record at most, known or not.
    static let fieldLimit = 64

    private let source: FieldSource
    private var tag: UInt16 = 0
    private var type: UInt8 = 0
    private var start = 0
    private var length = 0
    private var seen: UInt64 = 0
    private var required: UInt64 = 0
    private var taken = 0
    private var count = 0
    /// Looking only for the name of what is missing.
    private var isFinished = false
    private(set) var isAtEnd = false

    /// Stands at the first field.
    init(_ source: FieldSource) throws(WireError) {
        self.source = source
        try next()
    }

    /// Reads all fields into a record.
    static func read(_ record: inout some WireRecord, from source: FieldSource) throws(WireError) {
        var reader = try FieldReader(source)
        try record.visit(&reader)
        while !reader.isAtEnd {
            let before = reader.taken
            try record.visit(&reader)
            // Nobody knows it.
            if reader.taken == before { try reader.next() }
        }
        guard reader.required & ~reader.seen != 0 else { return }
        reader.isFinished = true
        try record.visit(&reader)
    }

    /// Goes to the next field.
    @inline(__always)
    private mutating func next() throws(WireError) {
        let bytes = source.bytes
        let position = start + length
        let left = bytes.count - position
        guard left > 0 else {
            isAtEnd = true
            return tag = 0
        }
        guard left >= TLV.head else { throw .truncated(at: source.offset + position) }
        tag = bytes.integer(at: position)
        type = bytes[position + 2]
        length = Int(bytes.integer(at: position + 3, as: UInt32.self))
        start = position + TLV.head
        count += 1
        let bit: UInt64 = tag < 64 ? 1 << UInt64(tag) : 0
        guard length <= left - TLV.head, count <= Self.fieldLimit, seen & bit == 0 else { throw refusal(at: position, bit) }
        seen |= bit
    }

    @inline(never)
    private func refusal(at position: Int, _ bit: UInt64) -> WireError {
        let place = source.offset + position
        if length > source.bytes.count - start { return .badLength(tag: tag, length: length, at: place) }
        return count > Self.fieldLimit ? .tooManyFields(limit: Self.fieldLimit, at: place) : .duplicateField(tag: tag, at: place)
    }

    @inline(__always)
    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) throws(WireError) {
        required |= 1 << UInt64(tag)
        if tag == self.tag {
            value = try V(try content(V.fieldType))
            try took()
        } else if isFinished, seen & (1 << UInt64(tag)) == 0 {
            throw .missingField(tag: tag, of: "\(name)")
        }
    }

    @inline(__always)
    private mutating func took() throws(WireError) {
        taken += 1
        try next()
    }

    @inline(__always)
    mutating func later<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) throws(WireError) {
        guard tag == self.tag else { return }
        value = try V(try content(V.fieldType))
        try took()
    }

    @inline(__always)
    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V?) throws(WireError) {
        guard tag == self.tag else { return }
        value = try V(try content(V.fieldType))
        try took()
    }

    mutating func list<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ values: inout [V]) throws(WireError) {
        guard tag == self.tag else { return }
        let list = try content(.list)
        guard list.bytes.count >= TLV.listHead else { throw .badLength(tag: tag, length: list.bytes.count, at: list.offset) }
        guard list.bytes[0] == V.fieldType.rawValue else {
            throw .wrongType(tag: tag, expected: V.fieldType, found: list.bytes[0], at: list.offset)
        }
        let items = Int(list.bytes.integer(at: 1, as: UInt32.self))
        // What a count promises must at least fit: nothing is reserved for what cannot be there.
        guard items <= (list.bytes.count - TLV.listHead) / TLV.itemHead else { throw list.bad("\(items) elements cannot be there") }
        values = []
        values.reserveCapacity(min(items, 1024))
        var place = TLV.listHead
        for _ in 0..<items {
            guard list.bytes.count - place >= TLV.itemHead else { throw .truncated(at: list.offset + place) }
            let length = Int(list.bytes.integer(at: place, as: UInt32.self))
            place += TLV.itemHead
            guard length <= list.bytes.count - place else { throw .badLength(tag: tag, length: length, at: list.offset + place) }
            values.append(try V(try list.part(place, length, tag: tag, deeper: V.fieldType == .message)))
            place += length
        }
        guard place == list.bytes.count else { throw list.bad("\(list.bytes.count - place) bytes after the last element") }
        try took()
    }

    @inline(__always)
    private func content(_ expected: TLVType) throws(WireError) -> FieldSource {
        guard type == expected.rawValue else {
            throw .wrongType(tag: tag, expected: expected, found: type, at: source.offset + start)
        }
        return try source.part(start, length, tag: tag, deeper: expected == .message)
    }
}

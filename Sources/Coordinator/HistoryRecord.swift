package import Primitives
import Storage
import Wire
import Workflows

/// One item of the history as bytes, little-endian: a head of 48, then TLV fields.
///
///     0  payload length u32    8  log index u64     24 key high u64     40 CRC-32C u32 of head (but these 8 bytes) and payload
///     4  kind u8, version u8   16 cluster time u64  32 key low u64      44 zero u32
package struct HistoryRecord: Equatable, Sendable {
    package enum Kind: UInt8, Sendable { case message = 1, run = 2 }

    static let headBytes = 48
    static let version: UInt8 = 1
    static let payloadLimit = 16 << 20

    package var kind: Kind
    package var index: LogIndex
    package var time: ClusterTime
    /// Of a run its id; of a message a hash of namespace and id.
    package var key: UUIDv7
    package var payload: [UInt8]

    package init(_ item: HistoryItem, index: LogIndex, time: ClusterTime) {
        self.index = index
        self.time = time
        key = Self.key(of: item)
        var writer = TLVWriter(reserving: 512)
        switch item {
        case .message(let accepted):
            kind = .message
            accepted.encode(into: &writer)
        case .run(let run):
            kind = .run
            writer.run(1, run)
        }
        payload = writer.bytes
    }

    static func key(of item: HistoryItem) -> UUIDv7 {
        switch item {
        case .message(let accepted): key(messageID: accepted.message.id, namespace: accepted.message.namespace)
        case .run(let run): run.id
        }
    }

    static func key(messageID: String, namespace: Namespace) -> UUIDv7 {
        var hasher = StableHasher(key: 0x4D53)
        hasher.combine(namespace.text)
        hasher.combine(messageID)
        let digest = hasher.finish()
        return UUIDv7(high: digest.high, low: digest.low)
    }

    func append(to bytes: inout [UInt8]) {
        let start = bytes.count
        func put(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
        let first = UInt64(UInt32(payload.count)) | UInt64(kind.rawValue) << 32 | UInt64(Self.version) << 40
        let words = (
            first.littleEndian, index.number.littleEndian, time.milliseconds.littleEndian, key.high.littleEndian, key.low.littleEndian
        )
        withUnsafeBytes(of: words) { bytes.append(contentsOf: $0) }
        let head = bytes.withUnsafeBytes { checksum(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        put(checksum(payload, seed: head))
        put(0 as UInt32)
        bytes += payload
    }

    /// How long the payload is of the record that begins there, by its head, which is not checked; nil when the head is not all there.
    static func payloadBytes(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int? {
        guard offset + headBytes <= bytes.count else { return nil }
        return Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }

    /// Of which entry the first record is, by its head, which is not checked; nil when the head is not all there.
    static func index(_ bytes: UnsafeRawBufferPointer) -> LogIndex? {
        guard bytes.count >= headBytes else { return nil }
        return LogIndex(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    /// Nil when no whole record stands there.
    static func read(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> HistoryRecord? {
        guard offset + headBytes <= bytes.count else { return nil }
        func get<T: FixedWidthInteger>(_ place: Int) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + place, as: T.self))
        }
        let length = Int(get(0) as UInt32)
        guard length <= payloadLimit, offset + headBytes + length <= bytes.count, let kind = Kind(rawValue: bytes[offset + 4]),
            bytes[offset + 5] == version
        else { return nil }
        let head = checksum(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + 40]))
        let payload = UnsafeRawBufferPointer(rebasing: bytes[offset + headBytes..<offset + headBytes + length])
        guard checksum(payload, seed: head) == get(40) as UInt32 else { return nil }
        return HistoryRecord(
            kind: kind, index: LogIndex(get(8)), time: ClusterTime(milliseconds: get(16)), key: UUIDv7(high: get(24), low: get(32)),
            payload: Array(payload))
    }

    private init(kind: Kind, index: LogIndex, time: ClusterTime, key: UUIDv7, payload: [UInt8]) {
        self.kind = kind
        self.index = index
        self.time = time
        self.key = key
        self.payload = payload
    }

    package var item: HistoryItem {
        get throws(WireError) {
            switch kind {
            case .message: return .message(try payload.lent { bytes throws(WireError) in try AcceptedMessage(bytes) })
            case .run:
                return try payload.lent { bytes throws(WireError) in
                    var reader = TLVReader(bytes)
                    guard let field = try reader.next(), field.tag == 1 else { throw .missingField(tag: 1, of: "history record") }
                    return .run(try field.run())
                }
            }
        }
    }
}

extension AcceptedMessage {
    fileprivate func encode(into writer: inout TLVWriter) {
        writer.message(1, message)
        writer.u64(2, catalogVersion)
        for rule in matched { writer.string(3, rule) }
        for run in runs { writer.id(4, run) }
        writer.time(5, acceptedAt)
    }

    fileprivate init(_ payload: UnsafeRawBufferPointer) throws(WireError) {
        var reader = TLVReader(payload, repeating: 1 << 3 | 1 << 4)
        var message: Message?
        (catalogVersion, matched, runs, acceptedAt) = (0, [], [], .zero)
        while let field = try reader.next() {
            switch field.tag {
            case 1: message = try field.storedMessage()
            case 2: catalogVersion = try field.u64()
            case 3: matched.append(try field.string())
            case 4: runs.append(try field.id())
            case 5: acceptedAt = try field.time()
            default: throw field.unknown
            }
        }
        self.message = try message.required(1, of: "accepted message")
    }
}

/// A version of the protocol: another major one is refused, a later minor one only adds fields and message types.
package struct WireVersion: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var number: UInt16
    package init(number: UInt16) { self.number = number }
    package init(major: UInt8, minor: UInt8) { number = UInt16(major) << 8 | UInt16(minor) }

    package var major: UInt8 { UInt8(truncatingIfNeeded: number >> 8) }
    package var minor: UInt8 { UInt8(truncatingIfNeeded: number) }
    package var description: String { "\(major).\(minor)" }

    /// What this program speaks.
    package static let current = WireVersion(major: 1, minor: 0)
    package static func < (left: WireVersion, right: WireVersion) -> Bool { left.number < right.number }
}

/// What a frame is, beside its type.
package struct FrameFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let reserved = FrameFlags(rawValue: 0x03)
    /// Goes before what waits.
    package static let urgent = FrameFlags(rawValue: 0x04)
    /// Was sent before, under the same key.
    package static let retry = FrameFlags(rawValue: 0x08)
    /// Answers the call whose id it bears.
    package static let response = FrameFlags(rawValue: 0x10)
    /// An answer that is an `ErrorReply`.
    package static let error = FrameFlags(rawValue: 0x20)
    /// Nobody waits for an answer.
    package static let oneWay = FrameFlags(rawValue: 0x40)
    /// More frames of this id follow.
    package static let more = FrameFlags(rawValue: 0x80)

    package static let names: [(FrameFlags, String)] = [
        (.urgent, "urgent"), (.retry, "retry"), (.response, "response"), (.error, "error"), (.oneWay, "one-way"), (.more, "more"),
    ]
}

/// The 32 bytes in front of every payload, big-endian: magic u32, version u16, type u16, flags u16, extension length u16, payload length u32
/// (extension included), message id u64, milliseconds left u32 (0: no limit), CRC-32C u32 over these bytes (itself as 0) and the payload.
package struct FrameHeader: Equatable, Sendable {
    /// `DIST`.
    package static let magic: UInt32 = 0x4449_5354
    package static let bytes = 32
    static let checksumOffset = 28

    package var version: WireVersion
    package var type: MessageType
    package var flags: FrameFlags
    /// Bytes of the `FrameExtension` before the message.
    package var extensionBytes: Int
    /// Extension and message.
    package var payloadBytes: Int
    /// Chosen by the caller, echoed by the answer.
    package var id: UInt64
    /// What was left of the call's time when it was sent; 0 has no limit. Relative, so that clocks need not agree.
    package var millisecondsLeft: UInt32
    package var checksum: UInt32

    package init(
        type: MessageType, flags: FrameFlags = [], id: UInt64 = 0, millisecondsLeft: UInt32 = 0, extensionBytes: Int = 0,
        payloadBytes: Int = 0, checksum: UInt32 = 0, version: WireVersion = .current
    ) {
        self.version = version
        self.type = type
        self.flags = flags
        self.extensionBytes = extensionBytes
        self.payloadBytes = payloadBytes
        self.id = id
        self.millisecondsLeft = millisecondsLeft
        self.checksum = checksum
    }

    /// Writes all but the checksum, which is left 0.
    func write(to bytes: UnsafeMutableRawPointer) {
        bytes.storeBytes(of: Self.magic.bigEndian, as: UInt32.self)
        bytes.storeBytes(of: version.number.bigEndian, toByteOffset: 4, as: UInt16.self)
        bytes.storeBytes(of: type.number.bigEndian, toByteOffset: 6, as: UInt16.self)
        bytes.storeBytes(of: flags.rawValue.bigEndian, toByteOffset: 8, as: UInt16.self)
        bytes.storeBytes(of: UInt16(extensionBytes).bigEndian, toByteOffset: 10, as: UInt16.self)
        bytes.storeBytes(of: UInt32(payloadBytes).bigEndian, toByteOffset: 12, as: UInt32.self)
        bytes.storeBytes(of: id.bigEndian, toByteOffset: 16, as: UInt64.self)
        bytes.storeBytes(of: millisecondsLeft.bigEndian, toByteOffset: 24, as: UInt32.self)
        bytes.storeBytes(of: 0, toByteOffset: Self.checksumOffset, as: UInt32.self)
    }

    /// Reads and checks everything but the checksum, which needs the payload.
    ///
    /// - Parameter limit: payloads beyond it are refused, whatever their type may have.
    init(_ bytes: UnsafeRawBufferPointer, limit: Int) throws(WireError) {
        let magic = bytes.integer(at: 0, as: UInt32.self)
        guard magic == Self.magic else { throw .notAFrame(magic: magic) }
        version = WireVersion(number: bytes.integer(at: 4))
        guard version.major == WireVersion.current.major else { throw .unsupportedVersion(version, supported: .current) }
        type = MessageType(number: bytes.integer(at: 6))
        flags = FrameFlags(rawValue: bytes.integer(at: 8))
        guard flags.isDisjoint(with: .reserved) else { throw .reservedFlags(flags.rawValue) }
        extensionBytes = Int(bytes.integer(at: 10, as: UInt16.self))
        payloadBytes = Int(bytes.integer(at: 12, as: UInt32.self))
        let cap = min(limit, type.payloadLimit)
        guard payloadBytes <= cap else { throw .payloadTooLarge(type: type, bytes: payloadBytes, limit: cap) }
        guard extensionBytes <= payloadBytes else { throw .extensionTooLong(bytes: extensionBytes, payload: payloadBytes) }
        id = bytes.integer(at: 16)
        millisecondsLeft = bytes.integer(at: 24)
        checksum = bytes.integer(at: Self.checksumOffset)
    }
}

extension UnsafeRawBufferPointer {
    /// A big-endian integer that the caller knows to be there.
    @inline(__always)
    func integer<T: FixedWidthInteger>(at offset: Int, as type: T.Type = T.self) -> T {
        T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}

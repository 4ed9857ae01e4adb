import Primitives

/// What is wrong with bytes that should follow the wire format, and where they go wrong.
package enum WireError: Error, Equatable, CustomStringConvertible {
    // Frames
    case notAFrame(magic: UInt32)
    case unsupportedVersion(WireVersion, supported: WireVersion)
    case reservedFlags(UInt16)
    case payloadTooLarge(type: MessageType, bytes: Int, limit: Int)
    case extensionTooLong(bytes: Int, payload: Int)
    case checksumMismatch(expected: UInt32, found: UInt32)
    case trailingBytes(Int)
    // Fields
    case truncated(at: Int)
    case wrongType(tag: UInt16, expected: TLVType, found: UInt8, at: Int)
    case badLength(tag: UInt16, length: Int, at: Int)
    case badText(tag: UInt16, at: Int)
    case badValue(tag: UInt16, reason: String, at: Int)
    case duplicateField(tag: UInt16, at: Int)
    case unknownField(tag: UInt16, at: Int)
    case missingField(tag: UInt16, of: String)
    case tooManyFields(limit: Int, at: Int)
    case tooDeep(limit: Int, at: Int)
    case unsupportedEnvelope(version: UInt8)
    case unsupportedFeatureLevel(UInt16, supported: UInt16)
    case unknownCommand(kind: UInt16)

    package var description: String {
        switch self {
        case .notAFrame(let magic):
            "no frame: it begins with 0x\(hexadecimal(UInt64(magic), digits: 8)), not with 'DIST'"
        case .unsupportedVersion(let found, let supported):
            "protocol version \(found); this program speaks \(supported)"
        case .reservedFlags(let flags): "reserved flags are set: 0x\(hexadecimal(UInt64(flags), digits: 4))"
        case .payloadTooLarge(let type, let bytes, let limit): "a payload of \(bytes) bytes for \(type); at most \(limit) are taken"
        case .extensionTooLong(let bytes, let payload): "an extension of \(bytes) bytes in a payload of \(payload)"
        case .checksumMismatch(let expected, let found):
            "checksum 0x\(hexadecimal(UInt64(found), digits: 8)), the frame says 0x\(hexadecimal(UInt64(expected), digits: 8))"
        case .trailingBytes(let count): "\(count) bytes after the frame"
        case .truncated(let at): "ends in the middle of a field at byte \(at)"
        case .wrongType(let tag, let expected, let found, let at): "field \(tag) at byte \(at) has type \(found), expected \(expected)"
        case .badLength(let tag, let length, let at): "field \(tag) at byte \(at) has impossible length \(length)"
        case .badText(let tag, let at): "field \(tag) at byte \(at) is not UTF-8"
        case .badValue(let tag, let reason, let at): "field \(tag) at byte \(at): \(reason)"
        case .duplicateField(let tag, let at): "field \(tag) appears a second time at byte \(at)"
        case .unknownField(let tag, let at): "unknown field \(tag) at byte \(at): written by a newer version"
        case .missingField(let tag, let of): "\(of) lacks field \(tag)"
        case .tooManyFields(let limit, let at): "more than \(limit) fields, at byte \(at)"
        case .tooDeep(let limit, let at): "messages nested deeper than \(limit), at byte \(at)"
        case .unsupportedEnvelope(let version): "log envelope version \(version); this program reads version \(LogEnvelope.version)"
        case .unsupportedFeatureLevel(let level, let supported): "needs feature level \(level); this program has \(supported)"
        case .unknownCommand(let kind): "command kind \(kind) is unknown to this program; a newer version wrote it"
        }
    }
}

/// The type byte of a field.
package enum TLVType: UInt8, Sendable, CaseIterable {
    case u8 = 1
    case u16, u32, u64, i64, double, bool, string, bytes, list, map, message
}

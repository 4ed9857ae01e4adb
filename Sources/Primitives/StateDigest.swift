/// An order-free digest of a replicated state: the sum, modulo 2^128, of one fixed-key hash for each record. Records come and
/// go by addition and subtraction, so replicas that hold the same records agree whatever order they met them in.
package struct StateDigest: Hashable, Sendable, CustomStringConvertible {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64 = 0, low: UInt64 = 0) {
        self.high = high
        self.low = low
    }

    package static func += (left: inout StateDigest, right: StateDigest) {
        let (low, carry) = left.low.addingReportingOverflow(right.low)
        left.low = low
        left.high = left.high &+ right.high &+ (carry ? 1 : 0)
    }

    package static func -= (left: inout StateDigest, right: StateDigest) {
        let (low, borrow) = left.low.subtractingReportingOverflow(right.low)
        left.low = low
        left.high = left.high &- right.high &- (borrow ? 1 : 0)
    }

    package var description: String { hexadecimal(high) + hexadecimal(low) }
}

/// The hash beneath `StateDigest`: two lanes of multiply-and-fold over 8-byte words with fixed keys. The same bytes give the
/// same answer in every process, on every machine and in every version: golden values are tested.
package struct StableHasher: Sendable {
    private var first: UInt64
    private var second: UInt64

    package init(key: UInt64 = 0) {
        first = 0x6C62_272E_07BB_0142 ^ key
        second = 0x62B8_2175_6295_C58D &+ key
    }

    package mutating func combine(_ word: UInt64) {
        first = Self.fold(first ^ word, 0x9E37_79B9_7F4A_7C15)
        second = Self.fold(second ^ (word &+ 0xD6E8_FEB8_6659_FD93), 0xA076_1D64_78BD_642F)
    }

    /// The bytes and their count, so that "ab", "c" and "a", "bc" differ.
    package mutating func combine(_ text: String) {
        var copy = text
        copy.withUTF8 { combine(UnsafeRawBufferPointer($0)) }
    }

    package mutating func combine(_ bytes: [UInt8]) { bytes.withUnsafeBytes { combine($0) } }

    package mutating func combine(_ bytes: UnsafeRawBufferPointer) {
        combine(UInt64(bytes.count))
        var offset = 0
        while offset + 8 <= bytes.count {
            combine(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        guard offset < bytes.count else { return }
        var tail: UInt64 = 0
        for position in offset..<bytes.count { tail = tail << 8 | UInt64(bytes[position]) }
        combine(tail)
    }

    package consuming func finish() -> StateDigest {
        combine(0x2545_F491_4F6C_DD1D)
        return StateDigest(high: first ^ (second << 32 | second >> 32), low: second &+ first)
    }

    private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = (a ^ 0x8BB8_4B93_962E_ACC9).multipliedFullWidth(by: b)
        return product.high ^ product.low
    }
}

extension StableHasher {
    package mutating func combine(value: Value) {
        switch value {
        case .null: combine(1)
        case .bool(let flag): combine(flag ? 3 : 2)
        case .int(let number):
            combine(4)
            combine(UInt64(bitPattern: number))
        case .uint(let number):
            combine(5)
            combine(number)
        case .double(let number):
            combine(6)
            combine(number.bitPattern)
        case .string(let text):
            combine(7)
            combine(text)
        case .list(let items):
            combine(8)
            combine(UInt64(items.count))
            for item in items { combine(value: item) }
        case .map(let fields):
            combine(9)
            combine(UInt64(fields.count))
            for member in fields.members {
                combine(member.key)
                combine(value: member.value)
            }
        }
    }

    package mutating func combine(optional value: Value?) {
        guard let value else { return combine(0) }
        combine(value: value)
    }
}

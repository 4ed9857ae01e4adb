/// A 128-bit identifier in the layout of UUID version 7 (RFC 9562 section 5.7): 48 bits of milliseconds, then randomness,
/// so that ids sort by time.
package struct UUIDv7: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package init(at time: ClusterTime, using generator: inout some RandomNumberGenerator) {
        let random: UInt64 = generator.next()
        high = (time.milliseconds << 16) | 0x7000 | (random & 0x0FFF)
        low = (generator.next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
    }

    /// Reads `018f3b1e-7c2a-7000-8000-0123456789ab`, of any version; nil when it is not 36 characters of that form.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 36 else { return nil }
        var numbers: (UInt64, UInt64) = (0, 0)
        var digits = 0
        for (position, byte) in bytes.enumerated() {
            if [8, 13, 18, 23].contains(position) {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = hexDigit(byte) else { return nil }
            if digits < 16 { numbers.0 = numbers.0 << 4 | UInt64(digit) } else { numbers.1 = numbers.1 << 4 | UInt64(digit) }
            digits += 1
        }
        (high, low) = numbers
    }

    /// The milliseconds since 1970 in its first 48 bits.
    package var time: ClusterTime { ClusterTime(milliseconds: high >> 16) }

    package var description: String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            var position = 0
            for nibble in 0..<32 {
                if [8, 12, 16, 20].contains(nibble) {
                    buffer[position] = UInt8(ascii: "-")
                    position += 1
                }
                let word = nibble < 16 ? high : low
                buffer[position] = hexCharacter(UInt8(truncatingIfNeeded: word >> UInt64((15 - nibble % 16) * 4)) & 0xF)
                position += 1
            }
            return position
        }
    }

    package static func < (left: UUIDv7, right: UUIDv7) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

/// A run's identity.
package typealias RunID = UUIDv7

package func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}

package func hexCharacter(_ nibble: UInt8) -> UInt8 { nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10 }

/// Lower-case hexadecimal of a number, `digits` wide.
package func hexadecimal(_ number: UInt64, digits: Int = 16) -> String {
    String(unsafeUninitializedCapacity: digits) { buffer in
        for position in 0..<digits {
            buffer[position] = hexCharacter(UInt8(truncatingIfNeeded: number >> UInt64((digits - 1 - position) * 4)) & 0xF)
        }
        return digits
    }
}

/// xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64: the only source of chance inside the cores.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    package init(seed: UInt64) {
        var mixer = seed
        func word() -> UInt64 {
            mixer &+= 0x9E37_79B9_7F4A_7C15
            var z = mixer
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        state = (word(), word(), word(), word())
    }

    package mutating func next() -> UInt64 {
        func rotated(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
        let result = rotated(state.1 &* 5, 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = rotated(state.3, 45)
        return result
    }
}

/// W3C trace context (Recommendation of 2021-11-23): which trace, which parent span, whether it is sampled.
package struct TraceContext: Hashable, Sendable {
    package var traceHigh: UInt64
    package var traceLow: UInt64
    package var span: UInt64
    package var isSampled: Bool
    /// The vendor list of the `tracestate` header, passed on as it came; empty when it broke the grammar.
    package var state: String

    package init(traceHigh: UInt64, traceLow: UInt64, span: UInt64, isSampled: Bool, state: String = "") {
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.span = span
        self.isSampled = isSampled
        self.state = state
    }

    /// A new trace.
    package init(using generator: inout some RandomNumberGenerator) {
        self.init(traceHigh: generator.next(), traceLow: generator.next() | 1, span: generator.next() | 1, isSampled: true)
    }

    /// Reads a `traceparent` header; nil when it breaks the grammar, has version ff, or zero ids.
    package init?(traceparent: String, state: String = "") {
        let bytes = Array(traceparent.utf8)
        guard bytes.count >= 55, [2, 35, 52].allSatisfy({ bytes[$0] == UInt8(ascii: "-") }),
            let version = Self.number(bytes[0..<2]), version != 0xFF, version != 0 || bytes.count == 55,
            bytes.count == 55 || bytes[55] == UInt8(ascii: "-"),
            let high = Self.number(bytes[3..<19]), let low = Self.number(bytes[19..<35]), high | low != 0,
            let span = Self.number(bytes[36..<52]), span != 0, let flags = Self.number(bytes[53..<55])
        else { return nil }
        self.init(traceHigh: high, traceLow: low, span: span, isSampled: flags & 1 == 1, state: TraceState.passedOn(state))
    }

    package var traceID: String { hexadecimal(traceHigh) + hexadecimal(traceLow) }
    package var spanID: String { hexadecimal(span) }
    package var traceparent: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }

    /// The same trace under another span.
    package func child(span: UInt64) -> TraceContext {
        TraceContext(traceHigh: traceHigh, traceLow: traceLow, span: span, isSampled: isSampled, state: state)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for byte in bytes {
            guard let digit = hexDigit(byte), !(UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte) else { return nil }
            number = number << 4 | UInt64(digit)
        }
        return number
    }
}

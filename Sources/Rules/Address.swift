import Primitives

/// An IPv4 or IPv6 address; IPv4 lies in `::ffff:0:0/96` (RFC 4291 section 2.5.5.2), so that both compare as 16 bytes.
struct Address: Equatable, Sendable {
    let bytes: [UInt8]
    let isIPv4: Bool

    init?(_ text: String) {
        if let four = Self.four(text) {
            bytes = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + four
            isIPv4 = true
        } else if let sixteen = Self.sixteen(text) {
            bytes = sixteen
            isIPv4 = false
        } else {
            return nil
        }
    }

    private static func four(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        let numbers = parts.compactMap { part -> UInt8? in
            guard part.utf8.allSatisfy({ (48...57).contains($0) }), part.count == 1 || part.first != "0" else { return nil }
            return UInt8(part)
        }
        return numbers.count == 4 ? numbers : nil
    }

    private static func sixteen(_ text: String) -> [UInt8]? {
        guard text.utf8.count <= 45 else { return nil }
        let doubled = text.utf8.indices.dropLast().filter { text.utf8[$0] == 0x3A && text.utf8[text.utf8.index(after: $0)] == 0x3A }
        guard doubled.count <= 1 else { return nil }
        guard let gap = doubled.first else {
            let all = groups(text[...])
            return all?.count == 16 ? all : nil
        }
        guard let head = groups(text[..<gap]), let tail = groups(text[text.utf8.index(gap, offsetBy: 2)...]), head.count + tail.count <= 14
        else {
            return nil
        }
        return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private static func groups(_ text: Substring) -> [UInt8]? {
        guard !text.isEmpty else { return [] }
        var bytes: [UInt8] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (position, part) in parts.enumerated() {
            if position == parts.count - 1, part.contains("."), let last = four(String(part)) {
                bytes += last
                continue
            }
            guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ hexDigit($0) != nil }), let number = UInt16(part, radix: 16)
            else {
                return nil
            }
            bytes += [UInt8(number >> 8), UInt8(number & 0xFF)]
        }
        return bytes
    }
}

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
package struct AddressBlock: Equatable, Sendable {
    private let base: [UInt8]
    private let bits: Int

    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = Address(String(parts[0])) else { return nil }
        let width = address.isIPv4 ? 32 : 128
        var length = width
        if parts.count == 2 {
            guard let given = Int(parts[1]), (0...width).contains(given), parts[1].utf8.allSatisfy({ (48...57).contains($0) }) else {
                return nil
            }
            length = given
        }
        base = address.bytes
        bits = length + (128 - width)
    }

    func contains(_ address: Address) -> Bool {
        let whole = bits / 8
        guard base[..<whole] == address.bytes[..<whole] else { return false }
        guard bits % 8 != 0 else { return true }
        let mask = UInt8(truncatingIfNeeded: 0xFF00 >> (bits % 8))
        return base[whole] & mask == address.bytes[whole] & mask
    }
}

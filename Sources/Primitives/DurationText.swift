extension Duration {
    /// Reads a length of time as definitions and flags write it: `250ms`, `30s`, `1h30m`, `2d`, ISO 8601 (`PT1M30S`, `P1DT2H`),
    /// or a bare number of seconds (`10`, `0.5`). Nil when it is none of them, is negative, or exceeds 100 years.
    package init?(text: String) {
        let bytes = Array(text.utf8)
        guard let first = bytes.first else { return nil }
        let seconds = first == UInt8(ascii: "P") ? isoSeconds(bytes.dropFirst()) : unitSeconds(bytes[...])
        guard let seconds, seconds <= 100 * 366 * 86_400 else { return nil }
        self = .nanoseconds(Int64((seconds * 1e9).rounded()))
    }

    /// The shortest form that `init(text:)` reads back: `1h30m`, `250ms`, `0s`.
    package var text: String {
        var rest = nanoseconds
        guard rest > 0 else { return "0s" }
        var text = ""
        for (unit, size) in [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)] {
            let count = rest / Int64(size)
            if count > 0 { text += "\(count)\(unit)" }
            rest %= Int64(size)
        }
        for (unit, size) in [("ms", 1_000_000), ("us", 1000), ("ns", 1)] where rest > 0 {
            let count = rest / Int64(size)
            if count > 0 { text += "\(count)\(unit)" }
            rest %= Int64(size)
        }
        return text
    }
}

private func number(_ bytes: inout ArraySlice<UInt8>) -> Double? {
    let digits = bytes.prefix { (48...57).contains($0) || $0 == UInt8(ascii: ".") }
    guard !digits.isEmpty, digits.count <= 18 else { return nil }
    bytes = bytes.dropFirst(digits.count)
    return Double(String(decoding: digits, as: UTF8.self))
}

private func unitSeconds(_ text: ArraySlice<UInt8>) -> Double? {
    var rest = text
    var total = 0.0
    var isFirst = true
    while !rest.isEmpty {
        defer { isFirst = false }
        guard let count = number(&rest) else { return nil }
        let unit = rest.prefix { !(48...57).contains($0) && $0 != UInt8(ascii: ".") }
        rest = rest.dropFirst(unit.count)
        switch String(decoding: unit, as: UTF8.self) {
        case "ns": total += count / 1e9
        case "us": total += count / 1e6
        case "ms": total += count / 1e3
        case "s": total += count
        case "m": total += count * 60
        case "h": total += count * 3600
        case "d": total += count * 86_400
        case "" where isFirst: return count
        default: return nil
        }
    }
    return total
}

private func isoSeconds(_ text: ArraySlice<UInt8>) -> Double? {
    var rest = text
    var total = 0.0
    var inTime = false
    guard !rest.isEmpty, rest.last != UInt8(ascii: "T") else { return nil }
    while let first = rest.first {
        if first == UInt8(ascii: "T") {
            guard !inTime else { return nil }
            inTime = true
            rest = rest.dropFirst()
            continue
        }
        guard let count = number(&rest), let unit = rest.popFirst() else { return nil }
        switch (unit, inTime) {
        case (UInt8(ascii: "W"), false): total += count * 604_800
        case (UInt8(ascii: "D"), false): total += count * 86_400
        case (UInt8(ascii: "H"), true): total += count * 3600
        case (UInt8(ascii: "M"), true): total += count * 60
        case (UInt8(ascii: "S"), true): total += count
        default: return nil
        }
    }
    return total
}

/// What a terminal can show: the rungs of the ladder for characters.
package enum GlyphLevel: String, Sendable, CaseIterable {
    case ascii, block, braille
}

/// Characters for those who have only ASCII, and small charts.
package enum Glyphs {
    package static func ascii(_ scalar: UInt32) -> UInt32 {
        switch scalar {
        case 0x20..<0x7F: return scalar
        case 0x2500, 0x2501, 0x2504, 0x2508, 0x2550, 0x2574, 0x2576, 0x2014, 0x2013: return 0x2D  // -
        case 0x2502, 0x2503, 0x2506, 0x2551, 0x2575, 0x2577, 0x258F: return 0x7C  // |
        case 0x250C...0x254B, 0x256D...0x2570: return 0x2B  // +
        case 0x2581...0x2588: return [0x5F, 0x2E, 0x2E, 0x3A, 0x3A, 0x7C, 0x23, 0x23][Int(scalar - 0x2581)]
        case 0x2800...0x28FF: return [0x20, 0x2E, 0x2E, 0x3A, 0x3A, 0x2B, 0x2B, 0x2A, 0x23][(scalar - 0x2800).nonzeroBitCount]
        case 0x25B6, 0x25BA, 0x2192, 0x203A, 0x276F, 0x25B8: return 0x3E  // >
        case 0x2190, 0x2039: return 0x3C  // <
        case 0x2191, 0x25B2, 0x25B4: return 0x5E  // ^
        case 0x2193, 0x25BC, 0x25BE: return 0x76  // v
        case 0x2026: return 0x7E  // ~
        case 0x25CF, 0x2022, 0x2605: return 0x2A  // *
        case 0x00D7, 0x2717, 0x2718, 0x2715: return 0x78  // x
        case 0x2713, 0x2714: return 0x2B  // +
        case 0x00B7, 0x25CB, 0x25CC, 0x25E6: return 0x2E  // .
        default: return 0x3F
        }
    }

    private static let blocks: [UInt32] = [0x20, 0x2581, 0x2582, 0x2583, 0x2584, 0x2585, 0x2586, 0x2587, 0x2588]
    private static let bars = Array(" _.:-=+*#".unicodeScalars.map(\.value))

    /// One row of marks, newest on the right; `values` from 0 to 1. Two values share a cell in braille.
    package static func sparkline(_ values: [Double], width: Int, level: GlyphLevel) -> [UInt32] {
        guard width > 0 else { return [] }
        switch level {
        case .braille: return chart(values, width: width, height: 1, level: level)[0]
        case .block, .ascii:
            let tail = values.suffix(width)
            let marks = level == .block ? blocks : bars
            let drawn = tail.map { value in marks[min(8, max(value > 0 ? 1 : 0, Int((clamped(value) * 8).rounded())))] }
            return Array(repeating: 0x20, count: width - drawn.count) + drawn
        }
    }

    /// A line of values over `height` rows; 2 by 4 dots a cell in braille.
    package static func chart(_ values: [Double], width: Int, height: Int, level: GlyphLevel) -> [[UInt32]] {
        guard width > 0, height > 0 else { return [] }
        guard level == .braille else { return columns(values, width: width, height: height, level: level) }
        var rows = Array(repeating: Array(repeating: UInt32(0x2800), count: width), count: height)
        let (left, right): ([UInt32], [UInt32]) = ([0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08])
        let (dotsWide, dotsHigh) = (width * 2, height * 4)
        let tail = Array(values.suffix(dotsWide))
        var last: Int?
        for (place, value) in tail.enumerated() {
            let x = dotsWide - tail.count + place
            let y = min(dotsHigh - 1, Int(clamped(value) * Double(dotsHigh - 1) + 0.5))
            let from = last.map { $0 < y ? min($0 + 1, y) : ($0 > y ? max($0 - 1, y) : y) } ?? y
            for dot in min(from, y)...max(from, y) { rows[height - 1 - dot / 4][x / 2] |= (x % 2 == 0 ? left : right)[dot % 4] }
            last = y
        }
        return rows.map { $0.map { $0 == 0x2800 ? 0x20 : $0 } }
    }

    private static func columns(_ values: [Double], width: Int, height: Int, level: GlyphLevel) -> [[UInt32]] {
        var rows = Array(repeating: Array(repeating: UInt32(0x20), count: width), count: height)
        let tail = Array(values.suffix(width))
        let marks = level == .block ? blocks : bars
        for (place, value) in tail.enumerated() {
            let eighths = Int((clamped(value) * Double(height * 8)).rounded())
            for row in 0..<height where eighths > row * 8 {
                rows[height - 1 - row][width - tail.count + place] = marks[min(8, eighths - row * 8)]
            }
        }
        return rows
    }

    private static func clamped(_ value: Double) -> Double { value.isFinite ? min(1, max(0, value)) : 0 }
}

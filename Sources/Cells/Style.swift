/// A terminal colour as themes speak of it; the terminal's side maps it down to what there is.
package struct Color: Hashable, Sendable {
    /// 0 the terminal's own, `0x01_rrggbb` a colour, `0x02_0000nn` one of the terminal's palette.
    private let bits: UInt32
    private init(bits: UInt32) { self.bits = bits }

    package static let standard = Color(bits: 0)
    package static func rgb(_ hex: UInt32) -> Color { Color(bits: 0x0100_0000 | hex & 0xFF_FFFF) }
    package static func index(_ number: UInt8) -> Color { Color(bits: 0x0200_0000 | UInt32(number)) }

    package enum Form: Equatable, Sendable {
        case standard
        case rgb(UInt32)
        case index(UInt8)
    }

    package var form: Form {
        switch bits >> 24 {
        case 1: .rgb(bits & 0xFF_FFFF)
        case 2: .index(UInt8(truncatingIfNeeded: bits))
        default: .standard
        }
    }

    /// Red, green and blue as a terminal usually shows the colour; nil for the terminal's own.
    package var shown: UInt32? {
        switch form {
        case .standard: nil
        case .rgb(let hex): hex
        case .index(let number): Palette.rgb(number)
        }
    }
}

/// The 256 colours of xterm.
package enum Palette {
    private static let first: [UInt32] = [
        0x000000, 0xCD0000, 0x00CD00, 0xCDCD00, 0x0000EE, 0xCD00CD, 0x00CDCD, 0xE5E5E5, 0x7F7F7F, 0xFF0000, 0x00FF00, 0xFFFF00, 0x5C5CFF,
        0xFF00FF, 0x00FFFF, 0xFFFFFF,
    ]
    private static let levels: [UInt32] = [0, 95, 135, 175, 215, 255]

    package static func rgb(_ number: UInt8) -> UInt32 {
        let place = Int(number)
        switch place {
        case 0..<16: return first[place]
        case 16..<232:
            let cube = place - 16
            return levels[cube / 36] << 16 | levels[cube / 6 % 6] << 8 | levels[cube % 6]
        default:
            let grey = UInt32(8 + 10 * (place - 232))
            return grey << 16 | grey << 8 | grey
        }
    }

    /// The nearest of the colours from 16 on.
    package static func nearest256(_ hex: UInt32) -> UInt8 {
        let wanted = parts(hex)
        func step(_ level: Int) -> Int { level < 48 ? 0 : level < 115 ? 1 : (level - 35) / 40 }
        let cube = 16 + 36 * step(wanted.0) + 6 * step(wanted.1) + step(wanted.2)
        let grey = 232 + min(23, max(0, (2 * wanted.0 + 3 * wanted.2 + 4 * wanted.1 - 27) / 90))
        return UInt8(distance(wanted, UInt8(grey)) < distance(wanted, UInt8(cube)) ? grey : cube)
    }

    /// The nearest of the first sixteen.
    package static func nearest16(_ hex: UInt32) -> UInt8 {
        let wanted = parts(hex)
        return (0..<16).min { distance(wanted, UInt8($0)) < distance(wanted, UInt8($1)) }.map { UInt8($0) } ?? 7
    }

    private static func parts(_ hex: UInt32) -> (Int, Int, Int) { (Int(hex >> 16 & 255), Int(hex >> 8 & 255), Int(hex & 255)) }

    private static func distance(_ wanted: (Int, Int, Int), _ number: UInt8) -> Int {
        let found = parts(rgb(number))
        let (red, green, blue) = (wanted.0 - found.0, wanted.1 - found.1, wanted.2 - found.2)
        return 2 * red * red + 4 * green * green + 3 * blue * blue
    }

    /// Contrast ratio of two colours, 1 to 21 (WCAG 2.1, relative luminance).
    package static func contrast(_ one: UInt32, _ other: UInt32) -> Double {
        let (a, b) = (luminance(one), luminance(other))
        return (max(a, b) + 0.05) / (min(a, b) + 0.05)
    }

    private static func luminance(_ hex: UInt32) -> Double {
        func linear(_ level: Int) -> Double {
            let share = Double(level) / 255
            return share <= 0.04045 ? share / 12.92 : power((share + 0.055) / 1.055)
        }
        let (red, green, blue) = parts(hex)
        return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    /// x to the power 2.4 for x in 0...1, by Newton's fifth root: the room imports no mathematics.
    private static func power(_ x: Double) -> Double {
        guard x > 0 else { return 0 }
        var root = 1.0
        for _ in 0..<60 { root -= (root * root * root * root * root - x) / (5 * root * root * root * root) }
        return x * x * root * root
    }
}

/// How characters are drawn besides their colour.
package struct Attributes: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let bold = Self(rawValue: 1)
    package static let dim = Self(rawValue: 2)
    package static let italic = Self(rawValue: 4)
    package static let underline = Self(rawValue: 8)
    package static let reverse = Self(rawValue: 16)
}

/// Colours and attributes of a cell.
package struct Style: Hashable, Sendable {
    package var foreground: Color
    package var background: Color
    package var attributes: Attributes

    package init(_ foreground: Color = .standard, on background: Color = .standard, _ attributes: Attributes = []) {
        self.foreground = foreground
        self.background = background
        self.attributes = attributes
    }
}

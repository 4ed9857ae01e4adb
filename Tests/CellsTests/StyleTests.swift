import Primitives
import Testing

@testable import Cells

enum ColorTables {
    /// Two colours and their contrast, as WCAG's formula gives it.
    struct Contrast: Sendable, CustomTestStringConvertible {
        let one: UInt32
        let other: UInt32
        let ratio: Double
        var testDescription: String { "\(String(one, radix: 16)) \(String(other, radix: 16))" }

        init(_ one: UInt32, _ other: UInt32, _ ratio: Double) {
            self.one = one
            self.other = other
            self.ratio = ratio
        }
    }

    static let contrasts: [Contrast] = [
        Contrast(0x000000, 0xFFFFFF, 21), Contrast(0xFFFFFF, 0xFFFFFF, 1), Contrast(0x123456, 0x123456, 1),
        Contrast(0x777777, 0xFFFFFF, 4.478_089_453_577_214), Contrast(0x767676, 0xFFFFFF, 4.542_224_959_605_253),
        Contrast(0x595959, 0xFFFFFF, 7.004_729_208_035_935), Contrast(0xFF0000, 0xFFFFFF, 3.998_476_770_753_998_5),
        Contrast(0x0000FF, 0xFFFFFF, 8.592_471_358_428_805), Contrast(0x00FF00, 0x000000, 15.304),
        Contrast(0xFFFF00, 0xFFFFFF, 1.073_839_230_926_57), Contrast(0x0A0A0A, 0x000000, 1.060_705_396_709_767_5),
    ]

    static let nearest256: [(UInt32, UInt8)] = [
        (0x000000, 16), (0xFFFFFF, 231), (0xFF0000, 196), (0x00FF00, 46), (0x0000FF, 21), (0xFE0102, 196), (0x5F8700, 64),
        (0x808080, 244), (0x1A1B26, 234), (0x7AA2F7, 111), (0x030303, 16), (0xFAFAFA, 231), (0x080808, 232), (0xEEEEEE, 255),
        (0x753959, 239),
    ]

    static let nearest16: [(UInt32, UInt8)] = [
        (0x000000, 0), (0xCD0000, 1), (0x00CD00, 2), (0xCDCD00, 3), (0x0000EE, 4), (0xCD00CD, 5), (0x00CDCD, 6), (0xE5E5E5, 7),
        (0x7F7F7F, 8), (0xFF0000, 9), (0x00FF00, 10), (0xFFFF00, 11), (0x5C5CFF, 12), (0xFF00FF, 13), (0x00FFFF, 14), (0xFFFFFF, 15),
        (0xFE0102, 9), (0xF0F0F0, 7), (0x808080, 8), (0x010101, 0), (0x1A1B26, 0), (0x7AA2F7, 12),
    ]
}

/// Colours, the palette of xterm, and contrast by WCAG 2.1 (Style.swift).
struct StyleTests {
    @Test func `a colour keeps what it was made of`() {
        #expect(Color.standard.form == .standard)
        #expect(Color.rgb(0x123456).form == .rgb(0x123456))
        #expect(Color.rgb(0).form == .rgb(0))
        #expect(Color.rgb(0xFFFF_FFFF).form == .rgb(0xFFFFFF))
        for number in UInt8.min...UInt8.max { #expect(Color.index(number).form == .index(number)) }
        #expect(Set([Color.standard, .rgb(0), .index(0), .rgb(1), .index(1)]).count == 5)
    }

    @Test func `a colour is shown as the palette has it, and the terminal's own is not known`() {
        #expect(Color.standard.shown == nil)
        #expect(Color.rgb(0x123456).shown == 0x123456)
        #expect(Color.index(9).shown == 0xFF0000)
        #expect(Color.index(244).shown == 0x808080)
    }

    @Test func `a style begins plain, and attributes add up`() {
        #expect(Style() == Style(.standard, on: .standard, []))
        let style = Style(.index(1), on: .rgb(2), [.bold, .reverse])
        #expect(style.attributes.contains(.bold))
        #expect(!style.attributes.contains(.dim))
        let all: [Attributes] = [.bold, .dim, .italic, .underline, .reverse]
        let together = all.reduce(into: Attributes()) { $0.formUnion($1) }
        #expect(together.rawValue == 31)
        #expect(Set(all.map(\.rawValue)).count == all.count)
    }

    // MARK: The palette

    @Test func `the palette is xterm's`() {
        for (number, hex) in [
            (0, 0x000000), (15, 0xFFFFFF), (16, 0x000000), (17, 0x00005F), (21, 0x0000FF), (22, 0x005F00), (52, 0x5F0000), (67, 0x5F87AF),
            (196, 0xFF0000), (231, 0xFFFFFF), (232, 0x080808), (244, 0x808080), (255, 0xEEEEEE),
        ] as [(UInt8, UInt32)] {
            #expect(Palette.rgb(number) == hex, "\(number)")
        }
    }

    @Test(arguments: ColorTables.nearest256)
    func `the nearest of 256`(hex: UInt32, number: UInt8) {
        #expect(Palette.nearest256(hex) == number)
    }

    @Test(arguments: ColorTables.nearest16)
    func `the nearest of 16`(hex: UInt32, number: UInt8) {
        #expect(Palette.nearest16(hex) == number)
    }

    @Test func `a colour of the palette is its own nearest`() {
        for number in UInt8(16)...255 {
            #expect(Palette.rgb(Palette.nearest256(Palette.rgb(number))) == Palette.rgb(number), "\(number)")
        }
        for number in UInt8(0)..<16 { #expect(Palette.nearest16(Palette.rgb(number)) == number) }
    }

    @Test func `none of 256 is nearer than the nearest`() {
        func distance(_ one: UInt32, _ other: UInt32) -> Int {
            zip([16, 8, 0], [2, 4, 3]).reduce(0) { sum, part in
                let difference = Int(one >> UInt32(part.0) & 255) - Int(other >> UInt32(part.0) & 255)
                return sum + part.1 * difference * difference
            }
        }
        let seed: UInt64 = 256
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let hex = UInt32.random(in: 0...0xFF_FFFF, using: &generator)
            let found = Palette.nearest256(hex)
            let least = (UInt8(16)...255).map { distance(hex, Palette.rgb($0)) }.min()
            if found < 16 || distance(hex, Palette.rgb(found)) != least {
                Issue.record("seed \(seed): \(String(hex, radix: 16)) is \(found)")
            }
        }
    }

    // MARK: Contrast

    @Test(arguments: ColorTables.contrasts)
    func `contrast is WCAG's`(contrast: ColorTables.Contrast) {
        let found = Palette.contrast(contrast.one, contrast.other)
        #expect(abs(found - contrast.ratio) < 1e-9)
        #expect(Palette.contrast(contrast.other, contrast.one) == found)
    }

    @Test func `contrast is between 1 and 21, and grows with the distance of greys`() {
        var last = 0.0
        for level in UInt32(0)...255 {
            let ratio = Palette.contrast(level << 16 | level << 8 | level, 0)
            #expect(ratio > last, "\(level)")
            #expect((1...21.000_001).contains(ratio), "\(level)")
            last = ratio
        }
    }
}

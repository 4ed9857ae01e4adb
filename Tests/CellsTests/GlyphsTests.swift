import Primitives
import Testing

@testable import Cells

enum GlyphTables {
    /// What console screens draw, and what stands for it in ASCII.
    static let ascii: [(Unicode.Scalar, Unicode.Scalar)] = [
        ("a", "a"), (" ", " "), ("~", "~"), ("─", "-"), ("━", "-"), ("═", "-"), ("—", "-"), ("–", "-"), ("│", "|"), ("┃", "|"),
        ("║", "|"), ("┌", "+"), ("┘", "+"), ("┼", "+"), ("╭", "+"), ("╮", "+"), ("╯", "+"), ("╰", "+"), ("▁", "_"), ("█", "#"),
        ("\u{2800}", " "), ("⣿", "#"), ("▶", ">"), ("→", ">"), ("❯", ">"), ("←", "<"), ("↑", "^"), ("▲", "^"), ("↓", "v"), ("▼", "v"),
        ("…", "~"), ("●", "*"), ("✗", "x"), ("✓", "+"), ("·", "."), ("○", "."), ("é", "?"), ("中", "?"), ("😀", "?"), ("\u{0}", "?"),
        ("\u{1B}", "?"), ("\u{7F}", "?"),
    ]

    static let strange: [[Double]] = [
        [], [.nan], [.infinity], [-.infinity], [.nan, 0.5, .nan], [-1, 2, 0.5], [.greatestFiniteMagnitude, -.greatestFiniteMagnitude],
        [.leastNonzeroMagnitude, -0.0], [.infinity, .nan, -.infinity, 1, 0, 1e300, -1e300, 0.3], Array(repeating: 0.7, count: 100),
    ]

    static func allowed(_ level: GlyphLevel) -> Set<UInt32> {
        switch level {
        case .ascii: Set(0x20..<0x7F)
        case .block: Set(0x2581...0x2588).union([0x20])
        case .braille: Set(0x2801...0x28FF).union([0x20])
        }
    }
}

/// Characters for every rung of the ladder, and small charts (Glyphs.swift).
struct GlyphsTests {
    private func text(_ scalars: [UInt32]) -> String {
        var view = String.UnicodeScalarView()
        for value in scalars { view.append(Unicode.Scalar(value) ?? "?") }
        return String(view)
    }

    private func text(_ rows: [[UInt32]]) -> [String] { rows.map { row in text(row) } }

    @Test(arguments: GlyphTables.ascii)
    func `a character stands for another in ASCII`(scalar: Unicode.Scalar, plain: Unicode.Scalar) {
        #expect(Glyphs.ascii(scalar.value) == plain.value)
    }

    @Test func `every number becomes a printable character of ASCII`() {
        for value in UInt32(0)...0x3_0000 where !(0x20..<0x7F).contains(Glyphs.ascii(value)) {
            Issue.record("U+\(String(value, radix: 16)) becomes \(Glyphs.ascii(value))")
        }
        #expect(Glyphs.ascii(.max) == 0x3F)
    }

    @Test(arguments: GlyphLevel.allCases)
    func `a chart has its size and its level's characters, whatever the values`(level: GlyphLevel) {
        let allowed = GlyphTables.allowed(level)
        for values in GlyphTables.strange {
            for width in [-1, 0, 1, 2, 3, 7] {
                let line = Glyphs.sparkline(values, width: width, level: level)
                #expect(line.count == max(0, width), "\(values), \(width)")
                #expect(allowed.isSuperset(of: line), "\(values), \(width)")
                for height in [-1, 0, 1, 2, 5] {
                    let rows = Glyphs.chart(values, width: width, height: height, level: level)
                    #expect(rows.count == (width > 0 ? max(0, height) : 0), "\(values), \(width) by \(height)")
                    #expect(rows.allSatisfy { $0.count == width && allowed.isSuperset(of: $0) }, "\(values), \(width) by \(height)")
                }
            }
        }
    }

    @Test(arguments: GlyphLevel.allCases)
    func `the newest value is on the right, and older ones fall off on the left`(level: GlyphLevel) {
        let perCell = level == .braille ? 2 : 1
        let values = (0..<40).map { Double($0 * 7 % 11) / 10 }
        let blank = Glyphs.sparkline([], width: 3, level: level)
        let padded = Glyphs.sparkline(Array(values.suffix(2 * perCell)), width: 5, level: level)
        #expect(Array(padded.prefix(3)) == blank)
        if level != .braille { #expect(padded.last == Glyphs.sparkline(values, width: 1, level: level).last) }
        let kept = Array(values.suffix(4 * perCell))
        #expect(Glyphs.sparkline(values, width: 4, level: level) == Glyphs.sparkline(kept, width: 4, level: level))
        #expect(Glyphs.chart(values, width: 4, height: 3, level: level) == Glyphs.chart(kept, width: 4, height: 3, level: level))
    }

    @Test func `blocks rise by eighths, and what is above nothing is seen`() {
        let eighths = (0...8).map { Double($0) / 8 }
        #expect(text(Glyphs.sparkline(eighths, width: 9, level: .block)) == " ▁▂▃▄▅▆▇█")
        #expect(text(Glyphs.sparkline([0, 0.5, 1], width: 5, level: .block)) == "   ▄█")
        #expect(text(Glyphs.sparkline([0.001, -5, 7, .nan], width: 4, level: .block)) == "▁ █ ")
        #expect(text(Glyphs.chart([0, 0.25, 0.5, 0.75, 1], width: 5, height: 2, level: .block)) == ["   ▄█", " ▄███"])
    }

    @Test func `in ASCII a mark is seen where there is one in blocks`() {
        #expect(text(Glyphs.sparkline([0, 1], width: 2, level: .ascii)) == " #")
        let levels = (0...8).map { Double($0) / 8 }
        let marks = Glyphs.sparkline(levels, width: 9, level: .ascii)
        #expect(marks[0] == 0x20)
        #expect(!marks.dropFirst().contains(0x20))
        #expect(text(Glyphs.chart([0, 1, 0.5], width: 3, height: 2, level: .ascii)) == [" # ", " ##"])
    }

    @Test func `braille joins two values a cell and four dots a row into a line`() {
        for (values, width, cells) in [
            ([1], 1, [0x2808]), ([0, 1], 1, [0x2878]), ([1, 0], 1, [0x28B1]), ([1, 1], 1, [0x2809]),
            ([0, 0, 0, 0], 3, [0x20, 0x28C0, 0x28C0]), ([0.5], 2, [0x20, 0x2810]),
        ] as [([Double], Int, [UInt32])] {
            #expect(Glyphs.sparkline(values, width: width, level: .braille) == cells, "\(values)")
        }
        #expect(Glyphs.chart([0, 0, 1, 1], width: 2, height: 2, level: .braille) == [[0x20, 0x284F], [0x28C0, 0x2807]])
    }

    @Test(arguments: GlyphLevel.allCases)
    func `a chart stands no lower for a higher value`(level: GlyphLevel) {
        let seed: UInt64 = 3
        var generator = SeededGenerator(seed: seed)
        /// The highest row with anything in it, and how much that is.
        func height(_ value: Double) -> Int {
            let rows = Glyphs.chart([value, value], width: 2, height: 4, level: level)
            let blank: Set<UInt32> = [0x20, 0x2800]
            return rows.firstIndex { row in row.contains { !blank.contains($0) } }.map { rows.count - $0 } ?? 0
        }
        for _ in 0..<300 {
            let (one, other) = (Double.random(in: 0...1, using: &generator), Double.random(in: 0...1, using: &generator))
            if height(min(one, other)) > height(max(one, other)) { Issue.record("seed \(seed): \(one) and \(other)") }
        }
        #expect(height(1) == 4)
    }
}

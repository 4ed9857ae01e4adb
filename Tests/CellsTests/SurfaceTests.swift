import Primitives
import Testing

@testable import Cells

/// A frame on which nothing outside of it, and nothing that is half, can be drawn (Surface.swift).
struct SurfaceTests {
    private func drawn(_ text: String, width: Int, at x: Int = 0, limit: Int = .max) -> Surface {
        var surface = Surface(width: width, height: 1)
        surface.put(text, x, 0, limit: limit)
        return surface
    }

    private func scalars(_ surface: Surface) -> [UInt32] { surface.cells.map(\.scalar) }

    @Test func `a new surface is blank, and none is of negative size`() {
        let style = Style(.index(1), on: .index(2), .bold)
        let surface = Surface(width: 3, height: 2, style: style)
        #expect(surface.cells == Array(repeating: Cell(0x20, style), count: 6))
        #expect(surface.bounds == Rect(0, 0, 3, 2))
        #expect(surface.plain == "\n\n")
        for (width, height) in [(-3, 2), (2, -3), (-1, -1), (0, 0)] {
            var none = Surface(width: width, height: height)
            none.put("a中", 0, 0)
            none.fill(Rect(0, 0, 3, 3), style)
            none.restyle(Rect(0, 0, 3, 3)) { $0 = style }
            none.box(Rect(0, 0, 3, 3), style)
            none.lay(surface, at: Point(0, 0))
            none[0, 0] = Cell(0x61)
            #expect(none.cells.isEmpty)
            #expect(none.ascii == none)
            #expect(none.isFaithful)
        }
    }

    @Test func `outside of it there are blanks, and writing there does nothing`() {
        var surface = Surface(width: 2, height: 2)
        let untouched = surface
        for (x, y) in [(-1, 0), (0, -1), (2, 0), (0, 2), (-1, -1), (2, 2), (Int.min, 0), (0, Int.max)] {
            #expect(surface[x, y] == Cell())
            surface[x, y] = Cell(0x61)
            #expect(surface == untouched)
        }
        surface[1, 1] = Cell(0x61)
        #expect(surface[1, 1] == Cell(0x61))
        #expect(surface.plain == "\n a\n")
    }

    // MARK: Text

    @Test func `text is cut at the edges and at its limit`() {
        for (text, x, limit, row, used) in [
            ("hello", 0, Int.max, "hello", 5), ("hello world", 0, .max, "hello", 5), ("hello", 3, .max, "   he", 2),
            ("hello", 5, .max, "", 0), ("hello", 9, .max, "", 0), ("hello", 0, 3, "hel", 3), ("hello", 3, 3, "   he", 2),
            ("hello", 1, 5, " hell", 4), ("hello", 0, 0, "", 0), ("hello", 0, -1, "", 0), ("hello", -2, .max, "llo", 5),
            ("hello", -2, 3, "l", 3), ("hello", -9, .max, "", 5), ("", 0, .max, "", 0),
        ] as [(String, Int, Int, String, Int)] {
            var surface = Surface(width: 5, height: 1)
            let columns = surface.put(text, x, 0, limit: limit)
            #expect(columns == used, "'\(text)' at \(x), limit \(limit)")
            #expect(surface.text(row: 0) == row, "'\(text)' at \(x), limit \(limit)")
        }
        for y in [-1, 1, Int.min, Int.max] {
            var surface = Surface(width: 5, height: 1)
            let columns = surface.put("hello", 0, y)
            #expect(columns == 0)
            #expect(surface == Surface(width: 5, height: 1))
        }
    }

    /// A limit wider than the surface is a limit still.
    @Test func `a limit counts from where the text begins, also left of the surface`() {
        var surface = Surface(width: 10, height: 1)
        let columns = surface.put("abcdefghijklmnopqrst", -5, 0, limit: 12)
        #expect(columns == 12)
        #expect(surface.text(row: 0) == "fghijkl")
    }

    @Test func `text takes the style that it is given and leaves the rest as it was`() {
        let (ground, ink) = (Style(on: .index(4)), Style(.rgb(0x112233), .underline))
        var surface = Surface(width: 4, height: 1, style: ground)
        surface.put("a中", 0, 0, ink)
        #expect(surface.cells == [Cell(0x61, ink), Cell(0x4E2D, ink), Cell(0, ink), Cell(0x20, ground)])
    }

    // MARK: Wide characters

    @Test func `a wide character is drawn whole or not at all`() {
        #expect(scalars(drawn("中文", width: 4)) == [0x4E2D, 0, 0x6587, 0])
        #expect(scalars(drawn("中文", width: 3)) == [0x4E2D, 0, 0x20])
        #expect(scalars(drawn("中", width: 1)) == [0x20])
        #expect(scalars(drawn("中文", width: 4, limit: 3)) == [0x4E2D, 0, 0x20, 0x20])
        #expect(scalars(drawn("中", width: 4, limit: 1)) == [0x20, 0x20, 0x20, 0x20])
        #expect(scalars(drawn("a中", width: 4, at: 1)) == [0x20, 0x61, 0x4E2D, 0])
        #expect(scalars(drawn("a中", width: 4, at: 2)) == [0x20, 0x20, 0x61, 0x20])
        #expect(scalars(drawn("中文", width: 4, at: -2)) == [0x6587, 0, 0x20, 0x20])
    }

    @Test func `a wide character that begins left of the surface leaves a blank, not its right half`() {
        #expect(scalars(drawn("中文", width: 4, at: -1)) == [0x20, 0x6587, 0, 0x20])
        #expect(drawn("中", width: 2, at: -1).halves.isEmpty)
    }

    @Test func `a wide character that is half written over goes as a whole`() {
        for (text, x, row) in [
            ("a", 0, "a 文"), ("a", 1, " a文"), ("a", 2, "中a"), ("a", 3, "中 a"), ("字", 0, "字文"), ("字", 1, " 字"), ("字", 2, "中字"),
            ("ab", 1, " ab"), ("a", -1, "中文"), ("ab", -1, "b 文"), ("字", 3, "中文"),
        ] {
            var surface = drawn("中文", width: 4)
            surface.put(text, x, 0)
            #expect(surface.text(row: 0) == row, "'\(text)' at \(x)")
            #expect(surface.halves.isEmpty, "'\(text)' at \(x)")
        }
    }

    @Test func `marks go with the wide character that they stood on`() {
        var surface = drawn("中\u{301}", width: 3)
        #expect(surface[0, 0].mark1 == 0x301)
        surface.put("a", 1, 0)
        #expect(scalars(surface) == [0x20, 0x61, 0x20])
        #expect(surface.cells.allSatisfy { $0.mark1 == 0 && $0.mark2 == 0 })
    }

    @Test(arguments: 0...3)
    func `a filled part halves nothing beside it`(x: Int) {
        for width in 0...3 {
            var surface = drawn("中文", width: 4)
            surface.fill(Rect(x, 0, width, 1), Style(on: .index(1)))
            #expect(surface.halves.isEmpty, "\(width) from \(x)")
        }
    }

    @Test(arguments: 0...3)
    func `a box halves nothing that it crosses`(x: Int) {
        for width in 2...4 {
            var surface = Surface(width: 6, height: 3)
            for y in 0..<3 { surface.put("中文字", 0, y) }
            surface.box(Rect(x, 0, width, 3), Style())
            #expect(surface.halves.isEmpty, "\(width) from \(x)")
        }
    }

    @Test(arguments: -3...4)
    func `a surface that is laid halves nothing, neither of its own nor below`(x: Int) {
        for text in ["a", "ab", "字", "字a", "a字"] {
            var surface = drawn("中文", width: 4)
            surface.lay(drawn(text, width: CharacterWidth.of(text)), at: Point(x, 0))
            #expect(surface.halves.isEmpty, "'\(text)' at \(x)")
        }
    }

    // MARK: What may not come out

    @Test(arguments: [
        ("\u{1B}[31mred\u{1B}[0m", "·[31mred·[0m"), ("\u{9B}31m", "·31m"), ("\u{1B}]0;title\u{7}", "·]0;title·"), ("\u{90}q\u{9C}", "·q·"),
        ("a\nb", "a·b"), ("a\r\nb", "a·b"), ("a\rb", "a·b"), ("a\tb", "a b"), ("\u{0}", "·"), ("\u{7F}\u{85}", "··"), ("\n\u{301}", "·"),
        ("\u{8}\u{C}\u{E}", "···"),
    ])
    func `control characters become points, and no sequence comes out`(text: String, row: String) {
        let surface = drawn(text, width: 20)
        #expect(surface.text(row: 0) == row)
        #expect(surface.isFaithful)
        #expect(surface.strays.isEmpty)
        #expect(!surface.plain.unicodeScalars.contains("\u{1B}"))
    }

    @Test func `what turns the direction of text or takes no column is left out`() {
        let left: [Unicode.Scalar] = [
            "\u{61C}", "\u{200B}", "\u{200E}", "\u{200F}", "\u{202A}", "\u{202B}", "\u{202C}", "\u{202D}", "\u{202E}", "\u{2028}",
            "\u{2029}", "\u{2060}", "\u{2066}", "\u{2067}", "\u{2068}", "\u{2069}", "\u{FEFF}", "\u{FFF9}", "\u{FFFB}",
        ]
        for scalar in left {
            var surface = Surface(width: 5, height: 1)
            let columns = surface.put("a\(scalar)b", 0, 0)
            #expect(columns == 2, "U+\(String(scalar.value, radix: 16))")
            #expect(Array(surface.text(row: 0).unicodeScalars) == ["a", "b"], "U+\(String(scalar.value, radix: 16))")
        }
    }

    @Test func `marks share the cell of their character, two at most`() {
        for (text, marks) in [
            ("e\u{301}", [0x301, 0]), ("e\u{302}\u{323}", [0x302, 0x323]), ("e\u{301}\u{302}\u{303}", [0x301, 0x302]),
            ("中\u{301}", [0x301, 0]), ("\u{301}e", [0, 0]),
        ] as [(String, [UInt32])] {
            var surface = Surface(width: 4, height: 1)
            let columns = surface.put(text, 0, 0)
            #expect(columns == CharacterWidth.of(text), "\(text)")
            #expect([surface[0, 0].mark1, surface[0, 0].mark2] == marks, "\(text)")
            #expect(surface[1, 0].mark1 == 0)
        }
        #expect(drawn("e\u{301}x", width: 4).text(row: 0) == "e\u{301}x")
        #expect(drawn("e\u{301}x", width: 4)[1, 0].scalar == 0x78)
    }

    /// They are of East Asian width W, and combine all the same.
    @Test func `voicing marks and Korean vowels stay with their character`() {
        let kana = drawn("か\u{3099}x", width: 4)
        #expect(scalars(kana) == [0x304B, 0, 0x78, 0x20])
        #expect(kana[0, 0].mark1 == 0x3099)
        let hangul = drawn("\u{1112}\u{1161}\u{11AB}x", width: 4)
        #expect(scalars(hangul) == [0x1112, 0, 0x78, 0x20])
        #expect(hangul.text(row: 0) == "한x")
    }

    @Test func `an emoji of several is its first, without joiners and selectors`() {
        for (text, scalar, width) in [
            ("👩\u{200D}💻", 0x1F469, 2), ("❤\u{FE0F}", 0x2764, 1), ("👍🏽", 0x1F44D, 2), ("1\u{FE0F}\u{20E3}", 0x31, 1),
            ("☔\u{FE0E}", 0x2614, 2),
        ] as [(String, UInt32, Int)] {
            var surface = Surface(width: 4, height: 1)
            let columns = surface.put(text, 0, 0)
            #expect(columns == width, "\(text)")
            #expect(surface[0, 0] == Cell(scalar), "\(text)")
            #expect(surface.strays.isEmpty)
            #expect(surface.halves.isEmpty)
        }
    }

    /// U+0600 joins the digits after it to one character (UAX 29, Prepend); the digits are what people read.
    @Test func `a format character hides nothing that follows it`() {
        let surface = drawn("a\u{600}5b", width: 5)
        #expect(surface.text(row: 0).unicodeScalars.filter(\.isASCII).map(\.value) == [0x61, 0x35, 0x62])
        #expect(surface.strays.isEmpty)
    }

    // MARK: Chance

    @Test func `texts at any place leave a sound surface`() {
        for seed in UInt64(0)..<300 {
            var generator = SeededGenerator(seed: seed)
            var surface = Surface(width: Int.random(in: 0...12, using: &generator), height: Int.random(in: 0...4, using: &generator))
            for _ in 0..<12 {
                let text = Scraps.draw(6, &generator)
                let (x, y) = (Int.random(in: -6...14, using: &generator), Int.random(in: -1...4, using: &generator))
                let limit = Bool.random(using: &generator) ? Int.max : Int.random(in: -1...16, using: &generator)
                let used = surface.put(text, x, y, Style(.index(UInt8.random(in: 0...255, using: &generator))), limit: limit)
                let isMeasured = (0...max(0, min(limit, CharacterWidth.of(text)))).contains(used)
                guard isMeasured, surface.halves.isEmpty, surface.strays.isEmpty, surface.isFaithful, surface.ascii.isASCII else {
                    Issue.record("seed \(seed): \(Array(text.unicodeScalars)) at \(x), \(y), limit \(limit), used \(used)")
                    return
                }
            }
        }
    }

    @Test func `a text on a surface that is wide enough takes the columns that it is said to take`() {
        let seed: UInt64 = 11
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<1000 {
            let text = Scraps.draw(8, &generator)
            var surface = Surface(width: 100, height: 1)
            let columns = surface.put(text, 0, 0)
            if columns != CharacterWidth.of(text) { Issue.record("seed \(seed): \(Array(text.unicodeScalars))") }
        }
    }

    @Test func `parts filled, framed, laid and written over each other leave a sound surface`() {
        for seed in UInt64(0)..<300 {
            var generator = SeededGenerator(seed: seed)
            var surface = Surface(width: 9, height: 4)
            for _ in 0..<12 {
                let (x, y) = (Int.random(in: -4...10, using: &generator), Int.random(in: -2...5, using: &generator))
                let rect = Rect(x, y, Int.random(in: -1...6, using: &generator), Int.random(in: -1...4, using: &generator))
                let operation = Int.random(in: 0..<5, using: &generator)
                switch operation {
                case 0: surface.fill(rect, Style(on: .index(3)))
                case 1: surface.restyle(rect) { $0.attributes.insert(.reverse) }
                case 2: surface.box(rect, Style())
                case 3:
                    var other = Surface(width: rect.width, height: rect.height)
                    other.put(Scraps.draw(4, &generator), 0, 0)
                    surface.lay(other, at: Point(x, y))
                default: surface.put(Scraps.draw(6, &generator), x, y)
                }
                guard surface.halves.isEmpty, surface.strays.isEmpty, surface.isFaithful, surface.ascii.isASCII else {
                    Issue.record("seed \(seed): operation \(operation) with \(rect)")
                    return
                }
            }
        }
    }
}

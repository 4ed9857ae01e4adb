import Primitives
import Testing

@testable import Cells

enum WidthTables {
    static let scalars: [(Unicode.Scalar, Int)] = [
        // control
        ("\u{0}", -1), ("\t", -1), ("\n", -1), ("\u{1B}", -1), ("\u{1F}", -1), ("\u{7F}", -1), ("\u{80}", -1), ("\u{9B}", -1),
        ("\u{9F}", -1),
        // one column; ambiguous characters too
        (" ", 1), ("a", 1), ("~", 1), ("\u{A0}", 1), ("é", 1), ("ÿ", 1), ("Ω", 1), ("я", 1), ("─", 1), ("│", 1), ("█", 1), ("⣿", 1),
        ("…", 1), ("→", 1), ("●", 1), ("✓", 1), ("❤", 1), ("\u{303F}", 1), ("\u{FF61}", 1), ("\u{FF8A}", 1), ("\u{E000}", 1),
        ("\u{93F}", 1), ("\u{10FFFF}", 1), ("\u{FFFD}", 1),
        // two
        ("\u{1100}", 2), ("\u{115F}", 2), ("⌚", 2), ("☔", 2), ("✅", 2), ("中", 2), ("あ", 2), ("ア", 2), ("한", 2), ("\u{3000}", 2), ("Ａ", 2),
        ("￥", 2), ("😀", 2), ("🚀", 2), ("🤖", 2), ("🫠", 2), ("\u{20000}", 2), ("\u{3FFFD}", 2),
        // none
        ("\u{300}", 0), ("\u{301}", 0), ("\u{36F}", 0), ("\u{483}", 0), ("\u{61C}", 0), ("\u{200B}", 0), ("\u{200D}", 0), ("\u{200E}", 0),
        ("\u{202E}", 0), ("\u{2028}", 0), ("\u{2029}", 0), ("\u{2060}", 0), ("\u{2066}", 0), ("\u{20DD}", 0), ("\u{20E3}", 0),
        ("\u{FE0F}", 0), ("\u{FEFF}", 0), ("\u{E0041}", 0), ("\u{E0100}", 0),
    ]

    /// Combining marks that East Asian Width calls wide, and the vowels and finals of a Korean syllable.
    static let combining: [Unicode.Scalar] = [
        "\u{302A}", "\u{302D}", "\u{3099}", "\u{309A}", "\u{1160}", "\u{1161}", "\u{11AB}", "\u{11FF}",
    ]

    static let texts: [(String, Int)] = [
        ("", 0), ("hello", 5), ("e\u{301}", 1), ("\u{301}", 0), ("中文", 4), ("a中b", 4), ("👩\u{200D}💻", 2), ("❤\u{FE0F}", 1), ("👍🏽", 2),
        ("a\tb", 3), ("a\r\nb", 3), ("\u{1B}[0m", 4), ("a\u{202E}b", 2), ("か\u{3099}", 2), ("\u{1112}\u{1161}\u{11AB}", 2),
    ]

    /// A text, columns, and what is left of it.
    static let cuts: [Int: [(String, String)]] = [
        -1: [("", ""), ("a", "")],
        0: [("", ""), ("a", ""), ("中", "")],
        1: [("a", "a"), ("ab", "…"), ("中", "…"), ("e\u{301}", "e\u{301}")],
        2: [("ab", "ab"), ("abc", "a…"), ("中", "中"), ("中a", "…"), ("a中", "a…"), ("👩\u{200D}💻", "👩\u{200D}💻"), ("👩\u{200D}💻x", "…")],
        3: [("中文", "中…"), ("中a", "中a"), ("abcd", "ab…"), ("éé\u{301}éx", "éé\u{301}…")],
        4: [("中文", "中文"), ("中文字", "中…"), ("a中文", "a中…"), ("abcd", "abcd"), ("a\tbcd", "a\tb…")],
        5: [("", ""), ("abc", "abc"), ("中文字", "中文…"), ("hello world", "hell…")],
    ]
}

/// Columns by UAX 11, as a terminal draws them (CharacterWidth.swift).
struct CharacterWidthTests {
    @Test(arguments: WidthTables.scalars)
    func `a character takes these columns`(scalar: Unicode.Scalar, columns: Int) {
        #expect(CharacterWidth.of(scalar) == columns)
    }

    @Test(arguments: WidthTables.combining)
    func `a character that joins the one before it takes none`(scalar: Unicode.Scalar) {
        #expect(CharacterWidth.of(scalar) == 0)
    }

    @Test func `every character takes -1 to 2 columns, and only control characters are not drawn`() {
        for value in UInt32(0)...0x1_FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let columns = CharacterWidth.of(scalar)
            let isControl = value < 0x20 || (0x7F...0x9F).contains(value)
            if !(-1...2).contains(columns) || (columns == -1) != isControl { Issue.record("U+\(String(value, radix: 16)): \(columns)") }
        }
    }

    @Test(arguments: WidthTables.texts)
    func `a text takes the columns of its characters`(text: String, columns: Int) {
        #expect(CharacterWidth.of(text) == columns)
        #expect(CharacterWidth.of(text[...]) == columns)
    }

    @Test func `a text is cut to its columns, with a mark when something is missing`() {
        for (columns, cuts) in WidthTables.cuts {
            for (text, left) in cuts { #expect(CharacterWidth.cut(text, to: columns) == left, "'\(text)' to \(columns)") }
        }
    }

    @Test func `any text is cut to any columns, from its beginning`() {
        let seed: UInt64 = 5
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2000 {
            let (text, columns) = (Scraps.draw(8, &generator), Int.random(in: -1...12, using: &generator))
            let cut = CharacterWidth.cut(text, to: columns)
            let scalars = Array(text.unicodeScalars)
            var rest = Array(cut.unicodeScalars)
            if rest != scalars, rest.last == "…" { rest.removeLast() }
            let isWhole = CharacterWidth.of(text) <= max(0, columns)
            let isSound =
                CharacterWidth.of(cut) <= max(0, columns) && scalars.starts(with: rest)
                && (isWhole && columns >= 0 ? Array(cut.unicodeScalars) == scalars : columns <= 0 || cut.unicodeScalars.last == "…")
            if !isSound { Issue.record("seed \(seed): \(scalars) to \(columns) is \(Array(cut.unicodeScalars))") }
        }
    }
}

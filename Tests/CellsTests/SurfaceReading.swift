import Primitives

@testable import Cells

/// What tests look for on a surface.
extension Surface {
    /// Cells where a wide character lacks its right half, or a right half its character.
    var halves: [Point] {
        var found: [Point] = []
        for y in 0..<height {
            for x in 0..<width {
                let isRight = self[x, y].scalar == 0
                let isAwaited = x > 0 && Surface.isWide(self[x - 1, y].scalar)
                if isRight != isAwaited { found.append(Point(x, y)) }
            }
            if width > 0, Surface.isWide(self[width - 1, y].scalar) { found.append(Point(width - 1, y)) }
        }
        return found
    }

    private static func isWide(_ value: UInt32) -> Bool {
        guard let scalar = Unicode.Scalar(value) else { return false }
        return CharacterWidth.of(scalar) == 2
    }

    /// Cells whose character takes no column of its own, or whose marks take one.
    var strays: [Point] {
        func width(_ value: UInt32) -> Int { Unicode.Scalar(value).map { scalar in CharacterWidth.of(scalar) } ?? -1 }
        func isMark(_ value: UInt32) -> Bool { value == 0 || width(value) == 0 && value != 0x200D && !(0xFE00...0xFE0F).contains(value) }
        var found: [Point] = []
        for y in 0..<height {
            for x in 0..<self.width {
                let cell = self[x, y]
                let isSound = cell.scalar == 0 || width(cell.scalar) > 0
                if !isSound || !isMark(cell.mark1) || !isMark(cell.mark2) { found.append(Point(x, y)) }
            }
        }
        return found
    }

    /// Whether `ansi` holds nothing but its own sequences and what `plain` says.
    var isFaithful: Bool {
        guard let shown = Surface.withoutSequences(ansi) else { return false }
        return Surface.lines(shown) == Surface.lines(plain)
    }

    /// Whether every cell is one printable character of ASCII.
    var isASCII: Bool { cells.allSatisfy { (0x20..<0x7F).contains($0.scalar) && $0.mark1 == 0 && $0.mark2 == 0 } }

    private static func withoutSequences(_ ansi: String) -> String? {
        var out = String.UnicodeScalarView()
        var rest = Substring(ansi).unicodeScalars
        while let scalar = rest.popFirst() {
            guard scalar.value == 0x1B else {
                guard scalar.value == 0x0A || CharacterWidth.of(scalar) >= 0 else { return nil }
                out.append(scalar)
                continue
            }
            guard let bracket = rest.popFirst(), bracket == "[" else { return nil }
            var isClosed = false
            while !isClosed {
                guard let code = rest.popFirst(), code == "m" || code == ";" || ("0"..."9").contains(code) else { return nil }
                isClosed = code == "m"
            }
        }
        return String(out)
    }

    private static func lines(_ text: String) -> [String] {
        text.split(separator: Character("\n"), omittingEmptySubsequences: false).map { line in
            var line = line
            while line.last == " " { line.removeLast() }
            return String(line)
        }
    }
}

/// Bits of text that something may go wrong with.
enum Scraps {
    static let pieces = [
        "a", "Z", "0", " ", "é", "e\u{301}", "o\u{302}\u{323}", "中", "文", "한", "ア", "か\u{3099}", "😀", "👩\u{200D}💻", "❤\u{FE0F}", "👍🏽",
        "\u{301}", "\u{200D}", "\u{FE0F}", "\u{202E}", "\u{2066}", "\u{200B}", "\u{FEFF}", "\u{1B}[31m", "\u{1B}]0;x\u{7}", "\u{9B}2J",
        "\n", "\t", "\r\n", "\u{0}", "\u{7F}", "\u{85}", "\u{600}", "\u{600}5", "\u{1112}\u{1161}\u{11AB}", "🇫🇷", "─", "…", "\u{E0041}",
        "\u{2028}", "\u{AD}", "中\u{301}", "\u{10FFFF}", "Ａ", "ﾊﾞ",
    ]

    static func draw(_ limit: Int, _ generator: inout SeededGenerator) -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0...limit, using: &generator) { text += pieces[Int.random(in: pieces.indices, using: &generator)] }
        return text
    }
}

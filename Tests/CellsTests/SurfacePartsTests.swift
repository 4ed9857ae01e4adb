import Primitives
import Testing

@testable import Cells

/// Parts of a surface: filled, framed, laid on each other, and written out (Surface.swift).
struct SurfacePartsTests {
    private let ground = Style(on: .index(4))

    /// Rectangles within, across and outside of a surface of 4 by 3.
    private var rects: [Rect] {
        var rects: [Rect] = []
        for x in [-9, -2, -1, 0, 1, 3, 4, 9] {
            for y in [-9, -1, 0, 2, 3, 9] {
                for width in [-2, 0, 1, 2, 4, 20] { for height in [-2, 0, 1, 3, 20] { rects.append(Rect(x, y, width, height)) } }
            }
        }
        return rects
    }

    /// Four by three letters from `a` on.
    private var letters: Surface {
        var surface = Surface(width: 4, height: 3)
        for (y, row) in ["abcd", "efgh", "ijkl"].enumerated() { surface.put(row, 0, y) }
        return surface
    }

    private func expectCells(_ surface: Surface, _ rect: Rect, inside: (Int, Int) -> Cell, outside: Surface) {
        for y in 0..<surface.height {
            for x in 0..<surface.width {
                let wanted = rect.contains(Point(x, y)) ? inside(x, y) : outside[x, y]
                guard surface[x, y] == wanted else {
                    Issue.record("\(rect): \(surface[x, y]) at \(x), \(y)")
                    return
                }
            }
        }
    }

    @Test func `a part is filled, and nothing beside it`() {
        for rect in rects {
            var surface = letters
            surface.fill(rect, ground, 0x2E)
            expectCells(surface, rect, inside: { _, _ in Cell(0x2E, ground) }, outside: letters)
        }
        var surface = letters
        surface.fill(surface.bounds, ground)
        #expect(surface == Surface(width: 4, height: 3, style: ground))
    }

    @Test func `a part is given another style, and its text stays`() {
        let before = letters
        for rect in rects {
            var surface = before
            surface.restyle(rect) { $0.background = .index(4) }
            expectCells(surface, rect, inside: { x, y in Cell(before[x, y].scalar, ground) }, outside: before)
            #expect(surface.plain == before.plain)
        }
    }

    @Test func `a surface is laid on another as far as they overlap`() {
        for rect in rects {
            var surface = letters
            let other = Surface(width: rect.width, height: rect.height, style: ground)
            surface.lay(other, at: Point(rect.x, rect.y))
            expectCells(surface, rect, inside: { _, _ in Cell(0x20, ground) }, outside: letters)
        }
        var surface = letters
        var other = Surface(width: 2, height: 2)
        other.put("12", 0, 0)
        other.put("34", 0, 1)
        surface.lay(other, at: Point(3, -1))
        #expect(surface.plain == "abc3\nefgh\nijkl\n")
        surface.lay(other, at: Point(1, 1))
        #expect(surface.plain == "abc3\ne12h\ni34l\n")
        surface.lay(other, at: Point(-1, 2))
        #expect(surface.plain == "abc3\ne12h\n234l\n")
    }

    // MARK: Boxes

    @Test func `boxes of every small size`() {
        for (width, height, drawn) in [
            (0, 0, "\n\n\n\n"), (0, 3, "\n\n\n\n"), (1, 1, "\n\n\n\n"), (1, 3, "\n\n\n\n"), (3, 1, "\n\n\n\n"), (2, 2, "╭╮\n╰╯\n\n\n"),
            (2, 3, "╭╮\n││\n╰╯\n\n"), (3, 2, "╭─╮\n╰─╯\n\n\n"), (3, 3, "╭─╮\n│ │\n╰─╯\n\n"), (4, 4, "╭──╮\n│  │\n│  │\n╰──╯\n"),
        ] {
            var surface = Surface(width: 4, height: 4)
            surface.box(Rect(0, 0, width, height), ground)
            #expect(surface.plain == drawn, "\(width) by \(height)")
            #expect(surface.ascii.isASCII)
        }
    }

    @Test func `a box is drawn as far as it is within, and keeps what it frames`() {
        let before = letters
        for rect in rects {
            var surface = before
            surface.box(rect, ground)
            var whole = Surface(width: 60, height: 60)
            whole.box(Rect(rect.x + 20, rect.y + 20, rect.width, rect.height), ground)
            for y in 0..<3 {
                for x in 0..<4 {
                    let framed = whole[x + 20, y + 20]
                    let wanted = framed == Cell() ? before[x, y] : framed
                    if surface[x, y] != wanted { Issue.record("\(rect): \(surface[x, y]) at \(x), \(y)") }
                }
            }
        }
        var surface = letters
        surface.box(Rect(-1, -1, 3, 3), ground)
        #expect(surface.plain == "a│cd\n─╯gh\nijkl\n")
    }

    // MARK: As text

    @Test func `in ASCII every character is one`() {
        var surface = Surface(width: 6, height: 4)
        surface.box(Rect(0, 0, 6, 3), ground)
        surface.put("中e\u{301}…", 1, 1)
        surface.put("a→é●😀", 0, 3)
        #expect(surface.plain == "╭────╮\n│中e\u{301}…│\n╰────╯\na→é●😀\n")
        #expect(surface.ascii.plain == "+----+\n|? e~|\n+----+\na>?*?\n")
        #expect(surface.ascii.isASCII)
        #expect(surface.ascii.ascii == surface.ascii)
        #expect(zip(surface.cells, surface.ascii.cells).allSatisfy { $0.style == $1.style })
    }

    @Test func `a wide character at the end of a row takes nothing from the next`() {
        var surface = Surface(width: 3, height: 2)
        surface.put("a中", 0, 0)
        surface.put("bcd", 0, 1)
        #expect(surface.ascii.plain == "a?\nbcd\n")
    }

    @Test func `text is written without its trailing blanks`() {
        var surface = Surface(width: 6, height: 3)
        surface.put(" a b", 0, 0)
        surface.put("中", 0, 1)
        #expect(surface.plain == " a b\n中\n\n")
        #expect(surface.text(row: 0) == " a b")
        #expect(surface.text(row: 2) == "")
        #expect(surface.text(row: -1) == "")
        #expect(surface.text(row: 3) == "")
    }

    @Test func `colours and attributes are written as sequences`() {
        var surface = Surface(width: 3, height: 1)
        surface.put("ab", 0, 0, Style(.rgb(0xFF8000), on: .index(17), [.bold, .underline]))
        #expect(surface.ansi == "\u{1B}[0;1;4;38;2;255;128;0;48;5;17mab\u{1B}[0m \u{1B}[0m\n")
        surface.put("abc", 0, 0, Style(.index(9), on: .rgb(0x010203), [.dim, .italic, .reverse]))
        #expect(surface.ansi == "\u{1B}[0;2;3;7;38;5;9;48;2;1;2;3mabc\u{1B}[0m\n")
        #expect(Surface(width: 1, height: 2).ansi == "\u{1B}[0m \u{1B}[0m\n\u{1B}[0m \u{1B}[0m\n")
        #expect(Surface(width: 0, height: 1).ansi == "\u{1B}[0m\n")
        #expect(surface.isFaithful)
        #expect(letters.isFaithful)
    }

    @Test func `rows are compared cell by cell`() {
        var other = letters
        other.put("x", 3, 1)
        #expect(letters.rowEquals(0, other))
        #expect(!letters.rowEquals(1, other))
        #expect(letters.rowEquals(2, other))
        #expect(!letters.rowEquals(3, other))
        #expect(!letters.rowEquals(0, Surface(width: 5, height: 3)))
        other.restyle(Rect(0, 2, 1, 1)) { $0.attributes.insert(.bold) }
        #expect(!letters.rowEquals(2, other))
        let shorter = Surface(width: 4, height: 1)
        #expect(!letters.rowEquals(1, shorter))
        #expect(!shorter.rowEquals(1, letters))
    }

    // MARK: Rectangles

    @Test func `a rectangle is of no negative size and knows its parts`() {
        #expect(Rect(1, 2, -3, -4) == Rect(1, 2, 0, 0))
        #expect(Rect(0, 0, 0, 5).isEmpty)
        #expect(Rect(0, 0, 5, 0).isEmpty)
        #expect(!Rect(0, 0, 1, 1).isEmpty)
        #expect(Rect(2, 3, 6, 5).inner == Rect(3, 4, 4, 3))
        #expect(Rect(2, 3, 1, 1).inner.isEmpty)
        #expect(Rect(0, 0, 0, 0).inner.isEmpty)
    }

    @Test func `a rectangle is split in two that make it up`() {
        let rect = Rect(2, 3, 6, 5)
        for (rows, upper, lower) in [
            (-1, Rect(2, 3, 6, 0), rect), (0, Rect(2, 3, 6, 0), rect), (2, Rect(2, 3, 6, 2), Rect(2, 5, 6, 3)), (5, rect, Rect(2, 8, 6, 0)),
            (9, rect, Rect(2, 8, 6, 0)),
        ] {
            let parts = rect.split(top: rows)
            #expect(parts.0 == upper, "\(rows)")
            #expect(parts.1 == lower, "\(rows)")
        }
        for (columns, left, right) in [
            (-1, Rect(2, 3, 0, 5), rect), (0, Rect(2, 3, 0, 5), rect), (4, Rect(2, 3, 4, 5), Rect(6, 3, 2, 5)), (6, rect, Rect(8, 3, 0, 5)),
            (9, rect, Rect(8, 3, 0, 5)),
        ] {
            let parts = rect.split(left: columns)
            #expect(parts.0 == left, "\(columns)")
            #expect(parts.1 == right, "\(columns)")
        }
    }

    @Test func `a rectangle contains its corners and nothing beside them`() {
        let rect = Rect(-1, 2, 3, 2)
        for point in [Point(-1, 2), Point(1, 2), Point(-1, 3), Point(1, 3)] { #expect(rect.contains(point)) }
        for point in [Point(-2, 2), Point(2, 2), Point(-1, 1), Point(-1, 4)] { #expect(!rect.contains(point)) }
        #expect(!Rect(0, 0, 0, 0).contains(Point(0, 0)))
    }
}

/// One character cell; trivial, so that rows compare at the speed of memory.
package struct Cell: Hashable, Sendable {
    /// 0: the right half of a wide character.
    package var scalar: UInt32
    /// Combining marks; 0 for none.
    package var mark1: UInt32 = 0
    package var mark2: UInt32 = 0
    package var style: Style

    package init(_ scalar: UInt32 = 0x20, _ style: Style = Style()) {
        self.scalar = scalar
        self.style = style
    }
}

/// A column and a row, from the upper left.
package struct Point: Hashable, Sendable {
    package var x: Int
    package var y: Int
    package init(_ x: Int, _ y: Int) {
        self.x = x
        self.y = y
    }
}

/// Columns and rows.
package struct Size: Hashable, Sendable {
    package var width: Int
    package var height: Int
    package init(_ width: Int, _ height: Int) {
        self.width = width
        self.height = height
    }
}

/// A part of a screen; never of negative size.
package struct Rect: Hashable, Sendable {
    package var x: Int
    package var y: Int
    package var width: Int
    package var height: Int

    package init(_ x: Int, _ y: Int, _ width: Int, _ height: Int) {
        self.x = x
        self.y = y
        self.width = max(0, width)
        self.height = max(0, height)
    }

    package var inner: Rect { Rect(x + 1, y + 1, width - 2, height - 2) }
    package var isEmpty: Bool { width == 0 || height == 0 }
    package func contains(_ point: Point) -> Bool { point.x >= x && point.x < x + width && point.y >= y && point.y < y + height }
    /// The upper `rows`, and what is below them.
    package func split(top rows: Int) -> (Rect, Rect) {
        let rows = max(0, min(height, rows))
        return (Rect(x, y, width, rows), Rect(x, y + rows, width, height - rows))
    }
    /// The left `columns`, and what is right of them.
    package func split(left columns: Int) -> (Rect, Rect) {
        let columns = max(0, min(width, columns))
        return (Rect(x, y, columns, height), Rect(x + columns, y, width - columns, height))
    }
}

/// An off-screen frame: views are functions from state to a surface. Writing outside of it does nothing.
package struct Surface: Equatable, Sendable {
    package let width: Int
    package let height: Int
    package private(set) var cells: [Cell]

    package init(width: Int, height: Int, style: Style = Style()) {
        self.width = max(0, width)
        self.height = max(0, height)
        cells = Array(repeating: Cell(0x20, style), count: self.width * self.height)
    }

    package var bounds: Rect { Rect(0, 0, width, height) }

    package subscript(x: Int, y: Int) -> Cell {
        get { x >= 0 && x < width && y >= 0 && y < height ? cells[y * width + x] : Cell() }
        set { if x >= 0, x < width, y >= 0, y < height { cells[y * width + x] = newValue } }
    }

    package func rowEquals(_ y: Int, _ other: Surface) -> Bool {
        guard width == other.width, y >= 0, y < height, y < other.height else { return false }
        for place in y * width..<(y + 1) * width where cells[place] != other.cells[place] { return false }
        return true
    }

    package mutating func fill(_ rect: Rect, _ style: Style, _ scalar: UInt32 = 0x20) {
        for y in max(0, rect.y)..<max(0, min(height, rect.y + rect.height), rect.y) {
            for x in max(0, rect.x)..<max(0, min(width, rect.x + rect.width), rect.x) {
                breakWide(x, y)
                self[x, y] = Cell(scalar, style)
            }
        }
    }

    /// Gives the cells of a part another background, keeping what is written there.
    package mutating func restyle(_ rect: Rect, _ change: (inout Style) -> Void) {
        for y in max(0, rect.y)..<max(0, min(height, rect.y + rect.height), rect.y) {
            for x in max(0, rect.x)..<max(0, min(width, rect.x + rect.width), rect.x) { change(&cells[y * width + x].style) }
        }
    }

    /// Writes text, cut to `limit` columns; never leaves half a wide character. Control characters become `·`: nothing that a message
    /// or a program wrote reaches the terminal as a command. Returns the columns used.
    @discardableResult
    package mutating func put(_ text: some StringProtocol, _ x: Int, _ y: Int, _ style: Style = Style(), limit: Int = .max) -> Int {
        guard y >= 0, y < height, limit > 0 else { return 0 }
        var column = x
        let end = min(width, x.addingReportingOverflow(limit).overflow ? width : x + limit)
        for character in text {
            var scalars = character.unicodeScalars.makeIterator()
            guard var base = scalars.next() else { continue }
            var columns = CharacterWidth.of(base)
            // A format character may come before what it belongs to.
            while columns == 0, let next = scalars.next() { (base, columns) = (next, CharacterWidth.of(next)) }
            if columns < 0 { (base, columns) = (base == "\t" ? " " : "·", 1) }
            guard columns > 0 else { continue }
            if column + columns > end { break }
            var cell = Cell(base.value, style)
            while let mark = scalars.next(), CharacterWidth.of(mark) == 0, mark.value != 0x200D, !(0xFE00...0xFE0F).contains(mark.value) {
                if cell.mark1 == 0 { cell.mark1 = mark.value } else if cell.mark2 == 0 { cell.mark2 = mark.value }
            }
            breakWide(column, y)
            self[column, y] = cell
            if columns == 2 {
                breakWide(column + 1, y)
                self[column + 1, y] = Cell(column < 0 ? 0x20 : 0, style)
            }
            column += columns
        }
        return column - x
    }

    /// A wide character of which one half is written over loses the other too.
    private mutating func breakWide(_ x: Int, _ y: Int) {
        guard x >= -1, x < width, y >= 0, y < height else { return }
        if x >= 0, self[x, y].scalar == 0 {
            self[x, y].scalar = 0x20
            if x > 0 { self[x - 1, y] = Cell(0x20, self[x - 1, y].style) }
        }
        if x + 1 < width, self[x + 1, y].scalar == 0 { self[x + 1, y].scalar = 0x20 }
    }

    /// Lays another surface on this one.
    package mutating func lay(_ other: Surface, at point: Point) {
        for y in 0..<other.height {
            for x in 0..<other.width {
                breakWide(point.x + x, point.y + y)
                var cell = other[x, y]
                let isCut =
                    cell.scalar == 0 ? point.x + x <= 0 : x + 1 < other.width && other[x + 1, y].scalar == 0 && point.x + x + 1 >= width
                if isCut { cell = Cell(0x20, cell.style) }
                self[point.x + x, point.y + y] = cell
            }
        }
    }

    package mutating func box(_ rect: Rect, _ style: Style) {
        guard rect.width >= 2, rect.height >= 2 else { return }
        let (right, bottom) = (rect.x + rect.width - 1, rect.y + rect.height - 1)
        for y in rect.y...bottom { for x in [rect.x, right] { breakWide(x, y) } }
        for x in rect.x...right { for y in [rect.y, bottom] { breakWide(x, y) } }
        for x in rect.x + 1..<max(right, rect.x + 1) {
            self[x, rect.y] = Cell(0x2500, style)
            self[x, bottom] = Cell(0x2500, style)
        }
        for y in rect.y + 1..<max(bottom, rect.y + 1) {
            self[rect.x, y] = Cell(0x2502, style)
            self[right, y] = Cell(0x2502, style)
        }
        self[rect.x, rect.y] = Cell(0x256D, style)
        self[right, rect.y] = Cell(0x256E, style)
        self[rect.x, bottom] = Cell(0x2570, style)
        self[right, bottom] = Cell(0x256F, style)
    }

    /// The same with every character that is not ASCII replaced by one that is.
    package var ascii: Surface {
        var copy = self
        for place in copy.cells.indices {
            let isWide = place + 1 < cells.count && (place + 1) % max(1, width) != 0 && cells[place + 1].scalar == 0
            let scalar = cells[place].scalar
            copy.cells[place].scalar = scalar == 0 ? 0x20 : isWide ? 0x3F : Glyphs.ascii(scalar)
            copy.cells[place].mark1 = 0
            copy.cells[place].mark2 = 0
        }
        return copy
    }
}

// MARK: As text

extension Surface {
    /// One row's characters without its trailing spaces.
    package func text(row y: Int) -> String {
        var scalars = String.UnicodeScalarView()
        for x in 0..<width {
            let cell = self[x, y]
            guard cell.scalar != 0 else { continue }
            for value in [cell.scalar, cell.mark1, cell.mark2] where value != 0 {
                scalars.append(Unicode.Scalar(value) ?? "?")
            }
        }
        var text = Substring(String(scalars))
        while text.last == " " { text.removeLast() }
        return String(text)
    }

    /// Characters only, a line a row.
    package var plain: String { (0..<height).map { text(row: $0) + "\n" }.joined() }

    /// With colours as escape sequences, for `cat` in a terminal.
    package var ansi: String {
        var out = ""
        for y in 0..<height {
            var last: Style?
            for x in 0..<width {
                let cell = self[x, y]
                guard cell.scalar != 0 else { continue }
                if cell.style != last {
                    out += Self.sequence(cell.style)
                    last = cell.style
                }
                for value in [cell.scalar, cell.mark1, cell.mark2] where value != 0 {
                    out.unicodeScalars.append(Unicode.Scalar(value) ?? "?")
                }
            }
            out += "\u{1B}[0m\n"
        }
        return out
    }

    private static func sequence(_ style: Style) -> String {
        var codes = ["0"]
        for (attribute, code) in [(Attributes.bold, "1"), (.dim, "2"), (.italic, "3"), (.underline, "4"), (.reverse, "7")]
        where style.attributes.contains(attribute) { codes.append(code) }
        for (color, plane) in [(style.foreground, 38), (style.background, 48)] {
            switch color.form {
            case .standard: break
            case .rgb(let hex): codes.append("\(plane);2;\(hex >> 16 & 255);\(hex >> 8 & 255);\(hex & 255)")
            case .index(let number): codes.append("\(plane);5;\(number)")
            }
        }
        return "\u{1B}[\(codes.joined(separator: ";"))m"
    }
}

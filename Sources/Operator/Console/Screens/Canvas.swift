import Cells
import Primitives

/// A surface with the theme to draw on it.
struct Canvas {
    var surface: Surface
    let theme: Theme
    let level: GlyphLevel

    init(size: Size, theme: Theme, level: GlyphLevel) {
        surface = Surface(width: size.width, height: size.height, style: theme[.text])
        self.theme = theme
        self.level = level
    }

    @discardableResult
    mutating func put(_ text: String, _ x: Int, _ y: Int, _ role: Role, limit: Int = .max) -> Int {
        surface.put(text, x, y, theme[role], limit: limit)
    }

    /// On a ground that is there already: the role's colour, the ground's background and attributes.
    @discardableResult
    mutating func put(_ text: String, _ x: Int, _ y: Int, _ role: Role, over ground: Style?, limit: Int = .max) -> Int {
        guard let ground else { return put(text, x, y, role, limit: limit) }
        var style = theme[role]
        if ground.background != .standard || ground.attributes.contains(.reverse) {
            style.background = ground.background
            style.attributes.formUnion(ground.attributes)
            if ground.attributes.contains(.reverse) { style.foreground = ground.foreground }
        }
        return surface.put(text, x, y, style, limit: limit)
    }

    /// Cut at the right edge with `…`. Returns the columns used.
    @discardableResult
    mutating func line(_ line: Line, _ x: Int, _ y: Int, limit: Int, skip: Int = 0) -> Int {
        var column = x
        var rest = limit
        var skip = skip
        for piece in line.pieces {
            var text = piece.text[...]
            if skip > 0 {
                let drop = min(skip, text.count)
                text = text.dropFirst(drop)
                skip -= drop
            }
            guard rest > 0, !text.isEmpty else { continue }
            let used = put(CharacterWidth.cut(String(text), to: rest), column, y, piece.role, limit: rest)
            column += used
            rest -= used
        }
        return column - x
    }

    mutating func lines(_ lines: some Collection<Line>, in rect: Rect, skip: Int = 0) {
        for (number, line) in lines.prefix(rect.height).enumerated() {
            self.line(line, rect.x, rect.y + number, limit: rect.width, skip: skip)
        }
    }

    mutating func rule(_ rect: Rect, _ role: Role) { surface.fill(Rect(rect.x, rect.y, rect.width, 1), theme[role], 0x2500) }

    /// A box with its hotkey and title in the upper border.
    mutating func box(_ box: Layout.Box, focused: Bool) {
        surface.box(box.rect, theme[focused ? .boxFocus : box.role])
        guard box.rect.width > 6 else { return }
        var x = box.rect.x + 2
        x += put("\(box.number)", x, box.rect.y, .boxHotkey)
        put(" \(box.title) ", x, box.rect.y, .boxTitle, limit: box.rect.width - 5)
    }

    mutating func marks(_ marks: [UInt32], _ x: Int, _ y: Int, _ role: Role, over ground: Style? = nil) {
        for (place, mark) in marks.enumerated() {
            var style = theme[role]
            if let ground, ground.background != .standard { style.background = ground.background }
            surface[x + place, y] = Cell(mark, style)
        }
    }

    func glyph(_ word: String) -> String { String(theme.glyph(StateLook(word: word), level)) }

    /// From left to right, a space between; stops before what does not fit.
    mutating func facts(_ facts: [Line], _ x: Int, _ y: Int, limit: Int) {
        var column = x
        for fact in facts {
            let width = fact.width
            guard column + width <= x + limit else { continue }
            line(fact, column, y, limit: limit)
            column += width + 3
        }
    }
}

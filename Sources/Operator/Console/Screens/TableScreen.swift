import Cells
import Primitives
import Text

/// A view of rows: header, graph, table, detail.
struct TableScreen {
    let state: ConsoleState
    let layout: Layout

    private var spec: ViewSpec { state.spec }

    func draw(_ canvas: inout Canvas) {
        drawTop(&canvas)
        drawGraph(&canvas)
        drawHeader(&canvas)
        drawRows(&canvas)
        drawDetail(&canvas)
    }

    private func context(_ canvas: Canvas, width: Int) -> HeaderContext {
        var context = state.headerContext(width: width)
        context.theme = canvas.theme
        return context
    }

    private func drawTop(_ canvas: inout Canvas) {
        guard !layout.top.isEmpty, let make = spec.header else { return }
        let lines = make(state.value, context(canvas, width: layout.top.width))
        canvas.lines(lines, in: Rect(1, layout.top.y, layout.top.width - 2, layout.top.height))
    }

    /// The part of the picture around what is selected.
    private func drawGraph(_ canvas: inout Canvas) {
        guard !layout.graph.isEmpty, let graph = layout.taskGraph else { return }
        let selected = state.place.view == .run ? state.selectedRow?["task"]?.string : nil
        let picture = graph.drawn(theme: canvas.theme, level: canvas.level, selected: selected)
        let height = layout.graph.height - 1
        var (left, top) = (0, 0)
        if picture.width > layout.graph.width - 2, let name = selected, let layer = graph.layer(of: name) {
            let middle = picture.width * layer / max(1, graph.layerCount)
            left = max(0, min(picture.width - layout.graph.width + 2, middle - layout.graph.width / 3))
        }
        if picture.height > height, let name = selected, let row = graph.row(of: name) {
            top = max(0, min(picture.height - height, row - height / 2))
        }
        for y in 0..<max(0, min(height, picture.height - top)) {
            for x in 0..<max(0, min(layout.graph.width - 2, picture.width - left)) {
                canvas.surface[layout.graph.x + 1 + x, layout.graph.y + y] = picture[left + x, top + y]
            }
        }
    }

    // MARK: The table

    private func drawHeader(_ canvas: inout Canvas) {
        guard !layout.header.isEmpty else { return }
        canvas.surface.fill(layout.header, canvas.theme[.tableHeader])
        for column in layout.columns {
            let spec = spec.columns[column.index]
            var mark = ""
            var role = Role.tableHeader
            if let place = state.place.order.keys.firstIndex(where: { $0.column == spec.key }), !spec.key.isEmpty {
                mark = state.place.order.keys.count > 1 ? " \(place + 1)" : " "
                mark += state.place.order.keys[place].isDescending ? "v" : "^"
                role = .tableSorted
            }
            if case .sorting(let chosen) = state.mode, chosen == column.index { role = .dialogFocus }
            // The order is what must be seen; the title gives way.
            let title =
                CharacterWidth.of(spec.title) + mark.count <= column.width
                ? spec.title : String(spec.title.prefix(max(0, column.width - mark.count)))
            let text = CharacterWidth.cut(title + mark, to: column.width)
            let x = spec.isRight ? column.x + column.width - CharacterWidth.of(text) : column.x
            canvas.put(text, x, layout.header.y, role, limit: column.width)
        }
    }

    private func drawRows(_ canvas: inout Canvas) {
        let rows = state.rows
        guard rows.count > 0 else { return drawEmpty(&canvas) }
        let filter = state.place.filter.isEmpty ? nil : try? RowFilter(state.place.filter)
        for line in 0..<layout.rows.height {
            let place = state.place.top + line
            guard place < rows.count else { break }
            let y = layout.rows.y + line
            guard let row = rows.at(place) else {
                canvas.put("…", layout.rows.x + Layout.gutter, y, .dim)
                continue
            }
            let isSelected = place == state.place.row
            let isMarked = state.place.marks[state.id(of: row)] != nil
            let isMatch = state.place.highlights && (filter.map { state.matches(row, $0) } ?? false)
            let ground: Role? = isSelected ? .tableSelected : isMatch ? .tableMatch : isMarked ? .tableMarked : nil
            if let ground { canvas.surface.fill(Rect(layout.rows.x, y, layout.rows.width, 1), canvas.theme[ground]) }
            let style = ground.map { canvas.theme[$0] }
            let pointer = isMarked ? (canvas.level == .ascii ? "*" : "•") : isSelected ? (canvas.level == .ascii ? ">" : "›") : " "
            canvas.put(pointer, layout.rows.x, y, isMarked ? .tableMarked : ground ?? .tableRow, over: style)
            if case .lines = spec.rows { drawLine(row, y, style, &canvas) } else { drawCells(row, y, ground, style, &canvas) }
        }
        drawPosition(rows, &canvas)
    }

    private func drawCells(_ row: Value, _ y: Int, _ ground: Role?, _ style: Style?, _ canvas: inout Canvas) {
        for column in layout.columns {
            let spec = spec.columns[column.index]
            if let numbers = spec.numbers?(row) {
                let most = max(numbers.max() ?? 0, 0.000_001)
                let marks = Glyphs.sparkline(numbers.map { $0 / most }, width: column.width, level: canvas.level)
                canvas.marks(marks, column.x, y, .chartLine, over: style)
            } else if let node = spec.lane?(row) {
                drawLane(of: node, column, y, style, &canvas)
            } else if let bar = spec.bar {
                drawBar(bar(row), column, y, isCritical: row["criticalMs"] != nil, style, &canvas)
            } else if let word = spec.state?(row) {
                let look = StateLook(word: word)
                let text = word.isEmpty ? "" : "\(canvas.theme.glyph(look, canvas.level)) \(word)"
                canvas.put(CharacterWidth.cut(text, to: column.width), column.x, y, look.role, over: style, limit: column.width)
            } else {
                let text = spec.text(row, state.now)
                let shown = CharacterWidth.cut(text, to: column.width)
                let x = spec.isRight ? column.x + max(0, column.width - CharacterWidth.of(shown)) : column.x
                canvas.put(shown, x, y, ground ?? .tableRow, over: style, limit: column.width)
            }
        }
    }

    private func drawLane(of node: String, _ column: Layout.PlacedColumn, _ y: Int, _ style: Style?, _ canvas: inout Canvas) {
        for (place, mark) in state.raftHistory.lane(of: node, width: column.width, now: state.now).enumerated() {
            if let mark { canvas.put(mark.letter, column.x + place, y, mark.role, over: style, limit: 1) }
        }
    }

    private func drawBar(
        _ bar: (Double, Double, Role)?, _ column: Layout.PlacedColumn, _ y: Int, isCritical: Bool, _ style: Style?, _ canvas: inout Canvas
    ) {
        guard let (from, to, role) = bar, column.width > 0, (0...1).contains(from), (0...1).contains(to) else { return }
        let first = min(column.width - 1, Int(from * Double(column.width)))
        let last = max(first, min(column.width - 1, Int((to * Double(column.width)).rounded(.up)) - 1))
        let mark: UInt32 = canvas.level == .ascii ? (isCritical ? 0x23 : 0x3D) : (isCritical ? 0x2588 : 0x2584)
        canvas.marks(Array(repeating: mark, count: last - first + 1), column.x + first, y, role, over: style)
    }

    /// `7/10000`, and how many are marked, in the title's line.
    private func drawPosition(_ rows: RowsData, _ canvas: inout Canvas) {
        if case .lines = spec.rows { return drawCounts(rows, &canvas) }
        let marked = state.place.marks.count
        guard rows.count > layout.rows.height || rows.count != rows.total || marked > 0, layout.header.width > 30 else { return }
        let of = rows.count == rows.total ? "\(rows.count)" : "\(rows.count) of \(rows.total)"
        let text = " \(state.place.row + 1)/\(of) \(marked > 0 ? " \(marked) marked " : "")"
        guard !layout.title.isEmpty else { return }
        canvas.put(text, 12, layout.title.y, .stripText, limit: max(0, layout.title.width - 50))
    }

    /// Lines that came, those that the node could not send in time, those that are no longer kept here: together all that there were.
    private func drawCounts(_ rows: RowsData, _ canvas: inout Canvas) {
        guard let data = state.rowsFeed.flatMap({ state.feeds[$0] }), !layout.title.isEmpty else { return }
        var text = " \(state.place.row + 1)/\(rows.count)  \(data.received) came"
        if data.missed > 0 { text += ", \(data.missed) too fast to send" }
        if data.dropped > 0 { text += ", \(data.dropped) no longer kept" }
        canvas.put(text + " ", 12, layout.title.y, .stripText, limit: max(0, layout.title.width - 50))
    }

    private func drawEmpty(_ canvas: inout Canvas) {
        let text: String
        switch state.freshness {
        case .none(let failure): text = "no data: \(failure.message)"
        case .live, .stale:
            text =
                state.place.filter.isEmpty || state.place.highlights
                ? spec.empty : "nothing matches '\(Words.oneLine(state.place.filter))'; esc shows all again"
        }
        for (number, line) in Words.wrapped(text, width: max(10, layout.rows.width - 4)).prefix(layout.rows.height).enumerated() {
            canvas.put(line, layout.rows.x + 2, layout.rows.y + number, .dim, limit: layout.rows.width - 2)
        }
    }

    // MARK: Lines

    /// A log line or an event in one row.
    private func drawLine(_ line: Value, _ y: Int, _ style: Style?, _ canvas: inout Canvas) {
        var x = layout.rows.x + Layout.gutter
        let end = layout.rows.x + layout.rows.width
        x += canvas.put(Words.clock(line["time"]) + " ", x, y, .dim, over: style, limit: end - x)
        // Lines of tasks have a kind too: that of the task.
        let isEvent = line["level"] == nil
        let level = (isEvent ? line["severity"] : line["level"])?.string ?? ""
        let role = Self.role(level)
        if isEvent {
            let look = StateLook(word: level)
            x += canvas.put("\(canvas.theme.glyph(look, canvas.level)) ", x, y, look.role, over: style, limit: max(0, end - x))
            let kind = Words.plain(line["kind"])
            x += canvas.put(
                kind + String(repeating: " ", count: max(1, 16 - kind.count)), x, y, .accent, over: style, limit: max(0, end - x))
            canvas.put(cut(Words.oneLine(Words.plain(line["text"])), end - x), x, y, .tableRow, over: style, limit: max(0, end - x))
        } else {
            x += canvas.put(level + String(repeating: " ", count: max(1, 9 - level.count)), x, y, role, over: style, limit: max(0, end - x))
            let label = Words.plain(line["label"])
            x += canvas.put(
                label + String(repeating: " ", count: max(1, 12 - label.count)), x, y, .accent, over: style, limit: max(0, end - x))
            canvas.put(cut(Self.message(line), end - x), x, y, .tableRow, over: style, limit: max(0, end - x))
        }
    }

    private func cut(_ text: String, _ width: Int) -> String {
        CharacterWidth.cut(state.place.column > 0 ? String(text.dropFirst(state.place.column)) : text, to: max(0, width))
    }

    static func message(_ line: Value) -> String {
        let shown: Set = ["time", "level", "label", "message", "seq"]
        let rest = (line.map?.members ?? []).filter { !shown.contains($0.key) }.map { "\($0.key)=\(Words.plain($0.value))" }
        return Words.oneLine(Words.plain(line["message"]) + (rest.isEmpty ? "" : "  " + rest.joined(separator: " ")))
    }

    private static func role(_ level: String) -> Role {
        switch level {
        case "trace": .logTrace
        case "debug": .logDebug
        case "notice": .logNotice
        case "warning": .logWarning
        case "error": .logError
        case "critical": .logCritical
        default: .logInfo
        }
    }

    // MARK: Detail

    private func drawDetail(_ canvas: inout Canvas) {
        guard !layout.detail.isEmpty, let make = spec.detail else { return }
        let isRight = layout.detail.y == layout.header.y || layout.detail.x > 0
        var area = layout.detail
        if isRight {
            canvas.surface.fill(Rect(area.x, area.y, 1, area.height), canvas.theme[.boxBorder], 0x2502)
            area = Rect(area.x + 2, area.y, area.width - 3, area.height)
        } else {
            canvas.rule(area, .boxBorder)
            area = Rect(area.x + 1, area.y + 1, area.width - 2, area.height - 1)
        }
        guard let row = state.selectedRow else { return }
        canvas.lines(make(row, context(canvas, width: area.width)), in: area)
    }
}

import Cells
import Primitives
import Text

extension ConsoleState {
    // MARK: Marks

    mutating func mark() {
        guard let row = selectedRow, !spec.actions.isEmpty else { return }
        let id = id(of: row)
        if place.marks.removeValue(forKey: id) == nil { place.marks[id] = row }
        place.lastMark = id
        move(1)
    }

    mutating func markRange() {
        guard let last = place.lastMark, selectedRow != nil, !spec.actions.isEmpty else { return say("mark a row first") }
        let rows = rows
        guard let from = rows.loaded.first(where: { rows.at($0).map { id(of: $0) } == last }) else {
            return say("the row that was marked last is too far away; mark one nearer", isProblem: true)
        }
        for place in min(from, place.row)...max(from, place.row) { mark(rows.at(place)) }
        say("\(place.marks.count) marked")
    }

    mutating func markAll() {
        guard !spec.actions.isEmpty else { return }
        let rows = rows
        for place in rows.loaded { mark(rows.at(place)) }
        say("\(place.marks.count) marked\(place.marks.count < rows.count ? ", of \(rows.count); only loaded rows can be" : "")")
    }

    private mutating func mark(_ row: Value?) {
        if let row { place.marks[id(of: row)] = row }
    }

    // MARK: Filter

    mutating func toggleHighlight() {
        place.highlights.toggle()
        say(place.highlights ? "the filter marks rows" : "the filter hides rows")
        keepSelectionVisible()
    }

    /// To the next row that matches, among those that are loaded.
    mutating func jump(_ step: Int) {
        guard !place.filter.isEmpty, let filter = try? RowFilter(place.filter) else { return say("no filter is set") }
        let rows = rows
        var at = place.row + step
        while rows.loaded.contains(at) {
            if let row = rows.at(at), matches(row, filter) {
                place.row = at
                place.selectedID = id(of: row)
                place.follows = false
                return keepSelectionVisible()
            }
            at += step
        }
        say(
            (0..<rows.count).contains(at)
                ? "no match among the rows that are loaded; scroll on, or let the filter hide" : "no further match")
    }

    // MARK: Mouse

    mutating func click(_ point: Point, _ kind: Key.Mouse) -> [ConsoleEffect] {
        let layout = Layout(self)
        switch kind {
        case .wheelUp: move(-3)
        case .wheelDown: move(3)
        case .press, .click, .doubleClick:
            if let box = layout.boxes.first(where: { $0.rect.contains(point) }) {
                push(Place(box.view))
            } else if layout.header.contains(point), let column = layout.column(at: point.x) {
                sortBy(spec.columns[column])
            } else if layout.rows.contains(point) {
                let row = place.top + point.y - layout.rows.y
                guard row < rows.count else { return [] }
                if row == place.row, kind != .press || place.selectedID != nil {
                    open()
                } else {
                    place.row = row
                    place.selectedID = rows.at(row).map { id(of: $0) }
                    place.follows = false
                }
            }
        case .release: break
        }
        return []
    }

    // MARK: Sorting

    mutating func sort(_ key: Key, _ column: Int) -> [ConsoleEffect] {
        let sortable = spec.columns.indices.filter { !spec.columns[$0].key.isEmpty }
        guard !sortable.isEmpty else {
            mode = .normal
            return []
        }
        let here = sortable.firstIndex(of: column) ?? 0
        switch key {
        case .left, .character("h"): mode = .sorting(column: sortable[(here + sortable.count - 1) % sortable.count])
        case .right, .character("l"), .tab: mode = .sorting(column: sortable[(here + 1) % sortable.count])
        case .enter, .character(" "), .character("s"):
            sortBy(spec.columns[sortable[here]])
            mode = .normal
        case .delete, .backspace, .character("0"):
            place.order = RowOrder()
            mode = .normal
        case .escape, .character("q"): mode = .normal
        default: break
        }
        return []
    }

    /// The same column again turns it round; another one becomes first, and the first becomes second.
    mutating func sortBy(_ column: ConsoleColumn) {
        guard !column.key.isEmpty else { return }
        if case .lines = spec.rows { return say("lines stay in the order they came") }
        if let first = place.order.keys.first, first.column == column.key {
            if !first.isDescending { place.order.keys[0].isDescending = true } else { place.order.keys.removeFirst() }
        } else {
            place.order.keys.removeAll { $0.column == column.key }
            place.order.keys.insert(.init(column: column.key, isDescending: false), at: 0)
            place.order.keys = Array(place.order.keys.prefix(2))
        }
        place.selectedID = nil
        place.row = 0
        place.top = 0
        let words = place.order.keys.map { "\($0.column) \($0.isDescending ? "down" : "up")" }.joined(separator: ", then ")
        say(words.isEmpty ? "in its own order" : "sorted by \(words)")
    }
}

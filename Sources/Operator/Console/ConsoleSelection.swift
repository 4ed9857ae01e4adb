import Cells
import Primitives
import Text

extension ConsoleState {
    // MARK: Marks

    mutating func mark() {
        guard let row = selectedRow, spec.actions.isEmpty == false else { return }
        let id = id(of: row)
        if place.marks.remove(id) == nil { place.marks.insert(id) }
        place.lastMark = id
        move(1)
    }

    mutating func markRange() {
        guard let last = place.lastMark, let row = selectedRow, !spec.actions.isEmpty else { return say("mark a row first") }
        _ = row
        let rows = rows
        guard let from = (0..<rows.count).first(where: { rows.at($0).map { self.id(of: $0) } == last }) else { return }
        for place in min(from, self.place.row)...max(from, self.place.row) {
            if let row = rows.at(place) { self.place.marks.insert(id(of: row)) }
        }
        say("\(place.marks.count) marked")
    }

    mutating func markAll() {
        guard !spec.actions.isEmpty else { return }
        let rows = rows
        for place in 0..<min(rows.count, 5000) { if let row = rows.at(place) { self.place.marks.insert(id(of: row)) } }
        say("\(place.marks.count) marked\(place.marks.count < rows.count ? ", of \(rows.count); only loaded rows can be" : "")")
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
        while at >= 0, at < rows.count {
            if let row = rows.at(at), matches(row, filter) {
                place.row = at
                place.selectedID = id(of: row)
                place.follows = false
                return keepSelectionVisible()
            }
            if rows.at(at) == nil { break }
            at += step
        }
        say("no further match")
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

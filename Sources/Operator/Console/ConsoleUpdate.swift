import Cells
import Primitives
import Text

extension ConsoleState {
    /// Takes an event in; what is to be done comes out.
    package mutating func update(_ event: ConsoleEvent) -> [ConsoleEffect] {
        switch event {
        case .key(let key): return press(key)
        case .resized(let size):
            self.size = size
            keepSelectionVisible()
            return []
        case .tick(let time):
            now = time
            if let toast, toast.until < now { self.toast = nil }
            return []
        case .feed(let key, let update):
            take(key, update)
            return []
        case .finished(let result): return finished(result)
        case .edited(_, let kind, let name) where settings.isReadOnly:
            say("this console is read-only: the edited \(kind) '\(name)' is not applied", isProblem: true)
            return []
        case .edited(let path, let kind, let name):
            mode = .dialog(
                Dialog(
                    title: "apply the edited \(kind) '\(name)'?",
                    effect: ["It comes into force at once, as a new catalog version; open runs go on with what they began with."],
                    commands: [[kind == "workflow" ? "workflows" : "rules", "apply", path]]))
            return []
        case .note(let text, let isProblem):
            say(text, isProblem: isProblem)
            return []
        case .names(let names):
            self.names.merge(names) { $1 }
            return []
        }
    }

    private mutating func take(_ key: FeedKey, _ update: FeedUpdate) {
        var data = feeds.removeValue(forKey: key) ?? FeedData()
        let idKey = key == rowsFeed ? spec.idKey : key == Views.statusFeed ? "id" : feedIDKey(key)
        data.take(update, idKey: idKey, at: now)
        feeds[key] = data
        forgetOldFeeds()
        guard key == rowsFeed || key == valueFeed else { return }
        if key == valueFeed, place.view == .run, place.selectedID == nil { selectTrouble() }
        if key.kind == .lines { moveWithLines() } else { followSelection() }
    }

    /// What was looked at last stays, so that going back shows something at once.
    private mutating func forgetOldFeeds() {
        guard feeds.count > 128 else { return }
        let wanted = Set(wantedFeeds.map(\.key))
        let old = feeds.filter { !wanted.contains($0.key) }.sorted { ($0.value.updatedAt ?? .zero) < ($1.value.updatedAt ?? .zero) }
        for (key, _) in old.prefix(feeds.count - 64) { feeds[key] = nil }
    }

    private func feedIDKey(_ key: FeedKey) -> String {
        for view in View.allCases {
            switch Views.spec(view).rows {
            case .remote(let make), .lines(let make): if make(Place(view)).path == key.path { return Views.spec(view).idKey }
            case .none, .local: continue
            }
        }
        return "id"
    }

    /// A run opens on the task that went wrong, else on the one that runs.
    private mutating func selectTrouble() {
        let rows = rows
        for words in [["failed", "timed_out", "unknown"], ["leased"]] {
            guard let found = (0..<rows.count).first(where: { words.contains(rows.at($0)?["state"]?.string ?? "") }) else { continue }
            place.row = found
            place.selectedID = rows.at(found).map { id(of: $0) }
            return
        }
    }

    /// Rows come and go above the selected one; the cursor stays on it.
    private mutating func followSelection() {
        let rows = rows
        if let id = place.selectedID {
            if let found = place(of: id, in: rows) {
                let shift = found - place.row
                place.row = found
                place.top = max(0, place.top + shift)
            } else if let row = rows.at(place.row), rowsFeed.flatMap({ feeds[$0]?.place(of: id) }) == nil {
                place.selectedID = self.id(of: row)
            }
        } else if place.row > 0, let row = rows.at(place.row) {
            place.selectedID = self.id(of: row)
        }
        keepSelectionVisible()
    }

    /// Of a list only what is loaded is known.
    private func place(of id: String, in rows: RowsData) -> Int? {
        if case .remote = spec.rows { return rowsFeed.flatMap { feeds[$0]?.place(of: id) } }
        return (0..<rows.count).first { place in rows.at(place).map { self.id(of: $0) == id } ?? false }
    }

    private mutating func moveWithLines() {
        guard place.follows, place.heldAt == nil else { return followSelection() }
        place.row = max(0, rows.count - 1)
        keepSelectionVisible()
    }

    mutating func keepSelectionVisible() {
        let (count, page) = (rows.count, pageRows)
        place.row = max(0, min(place.row, count - 1))
        if place.row < place.top { place.top = place.row }
        if place.row >= place.top + page { place.top = place.row - page + 1 }
        place.top = max(0, min(place.top, max(0, count - page)))
    }

    // MARK: Keys

    private mutating func press(_ key: Key) -> [ConsoleEffect] {
        if case .control("c") = key, case .normal = mode {
        } else if case .control("c") = key {
            mode = .normal
            return []
        }
        switch mode {
        case .prompt(let prompt): return type(key, prompt)
        case .dialog(let dialog): return answer(key, dialog)
        case .sorting(let column): return sort(key, column)
        case .normal: break
        }
        if case .mouse(let point, let kind) = key { return click(point, kind) }
        guard let action = settings.keymap.action(for: key) else { return [] }
        if action != .interrupt { interruptedAt = nil }
        return perform(action)
    }

    private mutating func perform(_ action: KeyAction) -> [ConsoleEffect] {
        switch action {
        case .up: move(-1)
        case .down: move(1)
        case .pageUp: move(-pageRows)
        case .pageDown: move(pageRows)
        case .top: move(-.max / 2)
        case .bottom: move(.max / 2)
        case .left: place.column = max(0, place.column - 8)
        case .right: place.column += 8
        case .open: open()
        case .back: goBack()
        case .quit:
            if stack.count == 1, place.view.isTop { return [.quit] }
            goUp()
        case .palette: mode = .prompt(Prompt(kind: .palette))
        case .filter:
            guard hasRows else { break }
            mode = .prompt(Prompt(kind: .filter, text: place.filter, cursor: place.filter.count, before: place.filter))
        case .highlight: toggleHighlight()
        case .nextMatch: jump(1)
        case .previousMatch: jump(-1)
        case .historyBack: travel(from: \.back, to: \.forward)
        case .historyForward: travel(from: \.forward, to: \.back)
        case .lastView: if let last = lastStack { go(to: last) }
        case .nextTab: place.tab = (place.tab + 1) % 3
        case .previousTab: place.tab = (place.tab + 2) % 3
        case .sort: if !spec.columns.isEmpty { mode = .sorting(column: 0) }
        case .mark: mark()
        case .markRange: markRange()
        case .markAll: markAll()
        case .detail: showsDetail.toggle()
        case .follow: follow()
        case .pause: hold()
        case .why: why()
        case .source: toSource()
        case .resolve: resolve()
        case .cancel, .retry, .delete: return ask(action)
        case .edit: return edit()
        case .copy: return copy()
        case .save: return save()
        case .help: push(Place(.help))
        case .redraw: return [.redraw]
        case .suspend: return [.suspend]
        case .interrupt:
            if let before = interruptedAt, now <= before.advanced(by: .seconds(4)) { return [.quit] }
            interruptedAt = now
            say("press \(settings.keymap.name(of: .interrupt)) again to leave the console")
        case .tab1, .tab2, .tab3, .tab4, .tab5, .tab6: numbered(action)
        }
        return []
    }

    var hasRows: Bool {
        switch spec.rows {
        case .none: place.view == .help || place.view == .output
        case .remote, .local, .lines: true
        }
    }

    // MARK: Moving

    mutating func move(_ by: Int) {
        interruptsFollow(by)
        switch place.view {
        case .help, .output, .pulse:
            let lines = textLines.count
            place.scroll = max(0, min(max(0, lines - pageRows), place.scroll + by))
        default:
            let count = rows.count
            guard count > 0 else {
                place.scroll = max(0, min(200, place.scroll + by.signum()))
                return
            }
            place.row = max(0, min(count - 1, place.row + by))
            place.selectedID = rows.at(place.row).map { id(of: $0) }
            keepSelectionVisible()
        }
    }

    private mutating func interruptsFollow(_ by: Int) {
        guard case .lines = spec.rows else { return }
        place.follows = by > 0 && place.row + by >= rows.count - 1
    }

    /// What text views show.
    package var textLines: [Line] {
        switch place.view {
        case .help: HelpText.lines(settings.keymap, readOnly: settings.isReadOnly)
        case .output: place.text
        default: []
        }
    }

    private mutating func open() {
        if place.view == .pulse { return push(Place([View.runs, .rules, .events][place.tab % 3])) }
        guard let row = selectedRow, let next = spec.open?(row, place) else { return }
        push(next)
    }

    mutating func push(_ next: Place) {
        guard next != place || next.view != place.view else { return }
        guard next.view != place.view || next.subject != place.subject else { return }
        remember()
        stack.append(next)
        if stack.count > 32 { stack.removeFirst() }
    }

    /// A top view, from anywhere.
    mutating func show(_ view: View) {
        guard stack.count > 1 || place.view != view else { return }
        remember()
        stack = [Place(view)]
    }

    private mutating func remember() {
        lastStack = stack
        back.append(stack)
        if back.count > 64 { back.removeFirst() }
        forward = []
    }

    private mutating func go(to target: [Place]) {
        remember()
        stack = target
        keepSelectionVisible()
    }

    private mutating func travel(from: WritableKeyPath<ConsoleState, [[Place]]>, to: WritableKeyPath<ConsoleState, [[Place]]>) {
        guard let target = self[keyPath: from].popLast() else { return say("no view there") }
        self[keyPath: to].append(stack)
        if self[keyPath: to].count > 64 { self[keyPath: to].removeFirst() }
        stack = target
        keepSelectionVisible()
    }

    private mutating func goBack() {
        if !place.marks.isEmpty {
            place.marks = []
        } else if !place.filter.isEmpty {
            place.filter = ""
            keepSelectionVisible()
        } else {
            goUp()
        }
    }

    private mutating func goUp() {
        if stack.count > 1 {
            lastStack = stack
            stack.removeLast()
            keepSelectionVisible()
        } else if place.view != .pulse {
            show(.pulse)
        }
    }

    private mutating func numbered(_ action: KeyAction) {
        let views: [KeyAction: View] = [.tab1: .raft, .tab2: .gossip, .tab3: .tasks, .tab4: .runs, .tab5: .rules, .tab6: .events]
        guard let view = views[action] else { return }
        if place.view == .pulse { push(Place(view)) } else { show(view) }
    }

    private mutating func follow() {
        guard case .lines = spec.rows else { return say("only logs and events are followed") }
        place.selectedID = selectedRow.map { id(of: $0) }
        place.follows.toggle()
        if place.follows {
            place.heldAt = nil
            place.row = max(0, rows.count - 1)
            keepSelectionVisible()
        }
        say(place.follows ? "following" : "not following")
    }

    private mutating func hold() {
        guard case .lines = spec.rows else { return say("only logs and events can be held") }
        place.selectedID = selectedRow.map { id(of: $0) }
        if place.heldAt == nil { place.heldAt = Int(rows.at(rows.count - 1)?["seq"]?.int ?? 0) } else { place.heldAt = nil }
        say(place.heldAt == nil ? "live" : "held; lines go on being counted")
    }

    // MARK: Marks

    private mutating func mark() {
        guard let row = selectedRow, spec.actions.isEmpty == false else { return }
        let id = id(of: row)
        if place.marks.remove(id) == nil { place.marks.insert(id) }
        place.lastMark = id
        move(1)
    }

    private mutating func markRange() {
        guard let last = place.lastMark, let row = selectedRow, !spec.actions.isEmpty else { return say("mark a row first") }
        _ = row
        let rows = rows
        guard let from = (0..<rows.count).first(where: { rows.at($0).map { self.id(of: $0) } == last }) else { return }
        for place in min(from, self.place.row)...max(from, self.place.row) {
            if let row = rows.at(place) { self.place.marks.insert(id(of: row)) }
        }
        say("\(place.marks.count) marked")
    }

    private mutating func markAll() {
        guard !spec.actions.isEmpty else { return }
        let rows = rows
        for place in 0..<min(rows.count, 5000) { if let row = rows.at(place) { self.place.marks.insert(id(of: row)) } }
        say("\(place.marks.count) marked\(place.marks.count < rows.count ? ", of \(rows.count); only loaded rows can be" : "")")
    }

    // MARK: Filter

    private mutating func toggleHighlight() {
        place.highlights.toggle()
        say(place.highlights ? "the filter marks rows" : "the filter hides rows")
        keepSelectionVisible()
    }

    /// To the next row that matches, among those that are loaded.
    private mutating func jump(_ step: Int) {
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

    private mutating func click(_ point: Point, _ kind: Key.Mouse) -> [ConsoleEffect] {
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

    private mutating func sort(_ key: Key, _ column: Int) -> [ConsoleEffect] {
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
    private mutating func sortBy(_ column: ConsoleColumn) {
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

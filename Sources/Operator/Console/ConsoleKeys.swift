import Cells
import Primitives
import Text

extension ConsoleState {
    // MARK: Keys

    mutating func press(_ key: Key) -> [ConsoleEffect] {
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
        case .nextTab: place.view == .raftLog ? nextLog(1) : movePane(1)
        case .previousTab: place.view == .raftLog ? nextLog(-1) : movePane(-1)
        case .sort: if !spec.columns.isEmpty { mode = .sorting(column: 0) }
        case .mark: mark()
        case .markRange: markRange()
        case .markAll: markAll()
        case .detail: showsDetail.toggle()
        case .follow: follow()
        case .pause: hold()
        case .why: why()
        case .source: toSource()
        case .log: openLog()
        case .compare: compareLog()
        case .resolve: resolve()
        case .cancel, .retry, .delete, .transfer, .promote, .snapshot, .cordon, .uncordon, .drain: return ask(action)
        case .kill, .restart: return steerDemo(action)
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

    private mutating func movePane(_ by: Int) {
        guard place.view == .pulse else { return }
        let count = Layout(self).paneCount
        place.tab = (place.tab % count + by + count) % count
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

    mutating func open() {
        if place.view == .pulse { return push(Place(Layout.panes[place.tab % Layout(self).paneCount].view)) }
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
            place.marks = [:]
        } else if !place.filter.isEmpty {
            setFilter("")
        } else {
            goUp()
        }
    }

    private mutating func goUp() {
        if stack.count > 1 {
            remember()
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

    mutating func follow() {
        if place.view == .raftLog { return followLog() }
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
        switch spec.rows {
        case .none, .local: return say("this view is not one that moves")
        case .remote: place.heldAt = place.heldAt == nil ? 0 : nil
        case .lines:
            place.selectedID = selectedRow.map { id(of: $0) }
            place.heldAt = place.heldAt == nil ? Int(clamping: rows.at(rows.count - 1)?["seq"]?.int ?? 0) : nil
        }
        let words = if case .lines = spec.rows { "held; lines go on being counted" } else { "held; changes are not shown" }
        say(place.heldAt == nil ? "live" : words)
    }
}

import Cells
import Primitives

/// Where everything of a screen is: follows from the state alone.
struct Layout {
    struct Box {
        var rect: Rect
        var view: View
        var title: String
        var number: Int
        var role: Role
    }

    struct PlacedColumn: Equatable {
        var index: Int
        var x: Int
        var width: Int
    }

    /// How much of the pulse fits.
    enum PulseForm { case boxes, lines, tabs, facts }

    var title = Rect(0, 0, 0, 0)
    var strip = Rect(0, 0, 0, 0)
    var top = Rect(0, 0, 0, 0)
    var graph = Rect(0, 0, 0, 0)
    var header = Rect(0, 0, 0, 0)
    var rows = Rect(0, 0, 0, 0)
    var detail = Rect(0, 0, 0, 0)
    var bottom = Rect(0, 0, 0, 0)
    var tour = Rect(0, 0, 0, 0)
    var boxes: [Box] = []
    var columns: [PlacedColumn] = []
    var pulse = PulseForm.facts
    var topLines: [Line] = []
    var taskGraph: TaskGraph?

    static let gutter = 2

    init(_ state: ConsoleState) {
        let size = state.size
        var body = Rect(0, 0, size.width, size.height)
        if size.height >= 2 {
            bottom = Rect(0, size.height - 1, size.width, 1)
            body.height -= 1
        }
        if size.height >= 6 { (title, body) = body.split(top: 1) }
        if size.height >= 12, size.width >= 40 { (strip, body) = body.split(top: 1) }
        if state.settings.hasTour, state.place.view == .pulse, state.stack.count == 1, size.height >= 14, size.width >= 40 {
            let wanted = TourText.lines(state, width: size.width).count + 1
            if body.height > wanted + 6 {
                tour = Rect(body.x, body.y + body.height - wanted, body.width, wanted)
                body.height -= wanted
            }
        }
        switch state.place.view {
        case .pulse: arrangePulse(body, state)
        case .help, .output: rows = body
        default: arrangeTable(body, state)
        }
    }

    // MARK: Tables

    private mutating func arrangeTable(_ area: Rect, _ state: ConsoleState) {
        var body = area
        let spec = state.spec
        let count = state.rows.count
        let hasDetail = state.showsDetail && spec.detail != nil
        let isClose = state.place.view == .task || state.place.view == .message
        if hasDetail, body.width >= 140 {
            let (left, right) = body.split(left: body.width - max(50, body.width * 2 / 5))
            (body, detail) = (left, right)
        }
        arrangeTop(&body, state)
        if hasDetail, detail.isEmpty, body.height >= (isClose ? 9 : 20) {
            let wanted = max(3, min(count + 1, body.height / 2))
            let below = isClose ? body.height - wanted : max(8, body.height * 2 / 5)
            detail = Rect(body.x, body.y + body.height - below, body.width, below)
            body.height -= below
        }
        if !spec.columns.isEmpty, body.height >= 2 { (header, body) = body.split(top: 1) }
        rows = body
        placeColumns(spec.columns, width: body.width)
    }

    private mutating func arrangeTop(_ body: inout Rect, _ state: ConsoleState) {
        let spec = state.spec
        if let make = spec.header, body.height >= 8 {
            topLines = make(state.value, state.headerContext(width: body.width))
            (top, body) = body.split(top: min(topLines.count, body.height / 2))
        }
        if let make = spec.graph, let value = state.value, body.height >= 8, let found = make(value) {
            taskGraph = found
            let wanted = min(found.rows + 1, max(3, body.height / 2))
            (graph, body) = body.split(top: wanted)
        }
    }

    /// Columns of a high rank go first; what is left over is shared by those that can use it.
    private mutating func placeColumns(_ all: [ConsoleColumn], width: Int) {
        let room = width - Self.gutter
        var kept = Array(all.indices)
        func least(_ column: Int) -> Int {
            switch all[column].width {
            case .fixed(let width), .flexible(let width): width
            }
        }
        func total() -> Int { kept.reduce(0) { $0 + least($1) + 1 } - 1 }
        while kept.count > 1, total() > room {
            guard let drop = kept.last(where: { place in all[place].rank == kept.map { all[$0].rank }.max() }) else { break }
            kept.removeAll { $0 == drop }
        }
        let flexible = kept.filter { if case .flexible = all[$0].width { true } else { false } }
        var extra = max(0, room - total())
        var widths = kept.map { least($0) }
        for (order, place) in flexible.enumerated() {
            let share = extra / (flexible.count - order)
            if let at = kept.firstIndex(of: place) { widths[at] += share }
            extra -= share
        }
        var x = Self.gutter
        for (order, place) in kept.enumerated() {
            columns.append(PlacedColumn(index: place, x: x, width: max(0, min(widths[order], width - x))))
            x += widths[order] + 1
        }
    }

    /// The column whose title stands at `x`.
    func column(at x: Int) -> Int? { columns.first { x >= $0.x && x <= $0.x + $0.width }?.index }

    // MARK: Pulse

    /// What the first screen's panes show, in the order in which Tab goes through them; where they do not all fit, the first three take turns.
    static let panes: [(view: View, title: String, role: Role)] = [
        (.runs, "workflows", .boxFlow), (.rules, "rules", .boxRules), (.events, "events", .boxEvents), (.raft, "raft", .boxRaft),
        (.gossip, "gossip", .boxGossip), (.tasks, "tasks", .boxTasks),
    ]

    /// Panes that Tab goes through.
    var paneCount: Int { pulse == .boxes ? Self.panes.count : 3 }

    private static func pane(_ tab: Int, _ rect: Rect) -> Box {
        let (view, title, role) = panes[tab % 3]
        return Box(rect: rect, view: view, title: title, number: 4 + tab % 3, role: role)
    }

    private mutating func arrangePulse(_ body: Rect, _ state: ConsoleState) {
        rows = body
        switch (body.width, body.height) {
        case (100..., 22...):
            pulse = .boxes
            let first = 7
            let events = max(5, (body.height - first) / 3)
            let middle = body.height - first - events
            let (left, centre) = (body.width * 38 / 120, max(36, body.width * 35 / 120))
            boxes = [
                Box(rect: Rect(body.x, body.y, left, first), view: .raft, title: "raft", number: 1, role: .boxRaft),
                Box(rect: Rect(body.x + left, body.y, centre, first), view: .gossip, title: "gossip", number: 2, role: .boxGossip),
                Box(
                    rect: Rect(body.x + left + centre, body.y, body.width - left - centre, first), view: .tasks, title: "tasks", number: 3,
                    role: .boxTasks),
                Box(
                    rect: Rect(body.x, body.y + first, body.width * 58 / 120, middle), view: .runs, title: "workflows", number: 4,
                    role: .boxFlow),
                Box(
                    rect: Rect(body.x + body.width * 58 / 120, body.y + first, body.width - body.width * 58 / 120, middle), view: .rules,
                    title: "rules", number: 5, role: .boxRules),
                Box(
                    rect: Rect(body.x, body.y + first + middle, body.width, events), view: .events, title: "events", number: 6,
                    role: .boxEvents),
            ]
        case (70..., 12...):
            pulse = .lines
            boxes = [
                Box(rect: Rect(body.x, body.y, body.width, 1), view: .raft, title: "raft", number: 1, role: .boxRaft),
                Box(rect: Rect(body.x, body.y + 1, body.width, 1), view: .gossip, title: "gossip", number: 2, role: .boxGossip),
                Box(rect: Rect(body.x, body.y + 2, body.width, 1), view: .tasks, title: "tasks", number: 3, role: .boxTasks),
                Self.pane(state.place.tab, Rect(body.x, body.y + 4, body.width, body.height - 4)),
            ]
        case (40..., 8...):
            pulse = .tabs
            let head = strip.isEmpty ? 2 : 1
            boxes = [Self.pane(state.place.tab, Rect(body.x, body.y + head, body.width, body.height - head))]
        default: pulse = .facts
        }
    }
}

extension ConsoleState {
    func headerContext(width: Int) -> HeaderContext {
        var context = HeaderContext(now: now, width: width, theme: .plain, level: settings.glyphs, detail: nil)
        context.subject = place.subject
        context.comparison = comparison
        if place.view == .rule {
            var data = FeedData()
            if let value, let stats = RuleLines.stats(value, place.subject) { data.take(.value(stats), idKey: "id", at: now) }
            context.detail = data
        } else if let row = selectedRow, let feed = spec.detailFeed?(row) {
            context.detail = feeds[feed]
        }
        return context
    }
}

import Cells
import Primitives
import Text

/// Numbers of the status in words: the strip, the pulse and the tests take them from here.
enum StatusFacts {
    static func strip(_ status: Value) -> [Line] {
        let members = status["members"]?.list ?? []
        let leader = status["leader"]?.string
        func fact(_ name: String, _ value: String, _ role: Role = .stripValue) -> Line { Line(name + " ", .stripLabel) + Line(value, role) }
        let errors = status.at("runs", "failedPerSecond")?.number ?? 0
        var facts = [
            fact("leader", leader ?? "none", leader == nil ? .stripStale : .stripValue), fact("term", Words.plain(status["term"])),
            fact("commit", Words.plain(status["commitIndex"])),
            fact("quorum", "\(Words.plain(status.at("quorum", "have")))/\(Words.plain(status.at("quorum", "of")))"),
            fact(
                "members",
                "\(Words.plain(status.at("gossip", "alive"))) alive \(Words.plain(status.at("gossip", "suspect"))) suspect \(Words.plain(status.at("gossip", "dead"))) dead"
            ),
            fact("queue", Words.plain(status.at("queue", "depth"))),
            fact("err", "\(Words.count(errors))/s", errors > 0 ? .stripStale : .stripValue),
        ]
        if members.isEmpty { facts.remove(at: 4) }
        let troubles = status["health"]?.list ?? []
        if let first = troubles.first { facts.insert(fact(Words.plain(first["name"]), Words.plain(first["status"]), .stripStale), at: 0) }
        return facts
    }

    static func gossip(_ status: Value, _ canvas: Canvas) -> [Line] {
        let words = [("alive", "alive"), ("suspect", "suspect"), ("dead", "dead")]
        var line = Line()
        for (key, word) in words {
            let count = status.at("gossip", key)?.int ?? 0
            line =
                line + Line("\(canvas.glyph(word)) ", count > 0 || key == "alive" ? StateLook(word: word).role : .dim)
                + Line("\(word) \(count) ", count > 0 ? .text : .dim)
        }
        return [line]
            + (status["members"]?.list ?? []).prefix(4).map { member in
                Line(Words.plain(member["id"]), .bright) + Line("  \(Words.plain(member["role"]))", .dim)
            }
    }

    static func tasks(_ status: Value) -> [Line] {
        let waiting = status.at("queue", "oldestMs").flatMap { $0 == .null ? nil : $0 }
        return [
            Line("depth ", .dim) + Line(Words.plain(status.at("queue", "depth")), .bright) + Line("  oldest ", .dim)
                + Line(waiting.map { Words.milliseconds($0) } ?? "-"),
            Line("run ", .dim) + Line(Words.plain(status.at("tasks", "running"))) + Line("  wait ", .dim)
                + Line(Words.plain(status.at("tasks", "waiting"))) + Line("  unknown ", .dim)
                + Line(Words.plain(status.at("tasks", "unknown")), (status.at("tasks", "unknown")?.int ?? 0) > 0 ? .warning : .text),
            Line("p50 ", .dim) + Line(Words.milliseconds(status.at("tasks", "p50Ms"))) + Line("  p99 ", .dim)
                + Line(Words.milliseconds(status.at("tasks", "p99Ms"))),
            Line("failed runs ", .dim)
                + Line(Words.plain(status.at("runs", "failed")), (status.at("runs", "failed")?.int ?? 0) > 0 ? .error : .text)
                + Line("  open ", .dim) + Line(Words.plain(status.at("runs", "open"))) + Line("  ended ", .dim)
                + Line(Words.count(status.at("runs", "ended"))),
        ]
    }

    static func rule(_ rule: Value, _ now: ClusterTime, width: Int) -> Line {
        func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
        let errors = rule["errors"]?.int ?? 0
        let numbers =
            Line(right("\(Words.count(rule["evaluationsPerSecond"]))/s", 7), .bright) + Line(" hit ", .dim)
            + Line(right("\(Words.plain(rule["hitPercent"]))%", 6), .accent) + (errors > 0 ? Line(" ERR \(errors)", .error) : Line())
            + Line("  last ", .dim)
            + Line(rule["lastHit"].map { $0 == .null ? "never" : Words.age($0, now: now) + " ago" } ?? "never")
        let room = max(8, width - max(34, numbers.width))
        let name = CharacterWidth.cut(Words.plain(rule["id"]), to: room)
        return Line(name + String(repeating: " ", count: max(0, room - CharacterWidth.of(name)))) + numbers
    }

    static func event(_ event: Value, _ canvas: Canvas) -> Line {
        let look = StateLook(word: event["severity"]?.string ?? "")
        let kind = Words.plain(event["kind"])
        return Line(Words.clock(event["time"]) + " ", .dim) + Line("\(canvas.theme.glyph(look, canvas.level)) ", look.role)
            + Line(kind + String(repeating: " ", count: max(1, 15 - kind.count)), .accent) + Line(Words.oneLine(Words.plain(event["text"])))
    }
}

/// The first screen: the cluster at a glance, in as much detail as fits.
struct PulseScreen {
    let state: ConsoleState
    let layout: Layout

    func draw(_ canvas: inout Canvas) {
        guard let status = state.status else { return drawMissing(&canvas) }
        switch layout.pulse {
        case .boxes:
            for box in layout.boxes {
                canvas.box(box, focused: box.view == Layout.panes[state.place.tab % Layout.panes.count].view)
                fill(box.view, status, box.rect.inner, &canvas)
            }
        case .lines: drawLines(status, &canvas)
        case .tabs: drawTabs(status, &canvas)
        case .facts: drawFacts(status, &canvas)
        }
    }

    private func drawMissing(_ canvas: inout Canvas) {
        guard case .none(let failure) = state.freshness else { return }
        for (number, text) in Words.wrapped("no data: \(failure.message)", width: max(10, layout.rows.width - 4)).prefix(layout.rows.height)
            .enumerated()
        {
            canvas.put(text, layout.rows.x + 1, layout.rows.y + number, .dim)
        }
    }

    private func fill(_ view: View, _ status: Value, _ outer: Rect, _ canvas: inout Canvas) {
        let area = Rect(outer.x + 1, outer.y, outer.width - 2, outer.height)
        switch view {
        case .raft:
            let lines = RaftLines.pulse(status, canvas, width: area.width, rows: area.height) { node, width in
                state.raftHistory.lane(of: node, width: width, now: state.now)
            }
            canvas.lines(lines, in: area)
        case .gossip: canvas.lines(StatusFacts.gossip(status, canvas), in: area)
        case .tasks:
            canvas.lines(StatusFacts.tasks(status), in: area)
            let depth = Words.numbers(status.at("tasks", "depth"))
            let width = min(24, area.width - 30)
            guard width > 4 else { return }
            let most = max(1, depth.max() ?? 1)
            canvas.marks(
                Glyphs.sparkline(depth.map { $0 / most }, width: width, level: canvas.level), area.x + area.width - width, area.y,
                .chartLine)
        case .runs: drawWorkflows(status, area, &canvas)
        case .rules:
            let rules = status["rules"]?.list ?? []
            if rules.isEmpty { canvas.put("no rule is in force; ':rules apply FILE'", area.x, area.y, .dim, limit: area.width) }
            canvas.lines(rules.map { StatusFacts.rule($0, state.now, width: area.width) }, in: area)
        case .events:
            let events = (status["events"]?.list ?? []).suffix(area.height).reversed()
            canvas.lines(events.map { StatusFacts.event($0, canvas) }, in: area)
        default: break
        }
    }

    /// The newest runs, each with its graph.
    private func drawWorkflows(_ status: Value, _ area: Rect, _ canvas: inout Canvas) {
        let runs = status["workflows"]?.list ?? []
        if runs.isEmpty { return _ = canvas.put("no run yet", area.x, area.y, .dim) }
        var y = area.y
        for run in runs {
            guard y < area.y + area.height else { return }
            let word = Words.plain(run["state"])
            let line =
                Line.state(word, canvas.theme, canvas.level) + Line("  \(Words.plain(run["workflow"]))", .bright)
                + Line(" \(Words.shortID(Words.plain(run["id"])))", .dim) + Line("  \(RunText.tasks(run))")
                + Line("  \(Words.age(run["createdAt"], now: state.now)) ago", .dim)
            canvas.line(line, area.x, y, limit: area.width)
            y += 1
            guard let graph = TaskGraph(run: run), y + graph.rows <= area.y + area.height else { continue }
            let picture = graph.drawn(theme: canvas.theme, level: canvas.level, selected: nil, labelLimit: area.width > 70 ? 14 : 9)
            for row in 0..<picture.height {
                for x in 0..<min(area.width, picture.width) { canvas.surface[area.x + x, y + row] = picture[x, row] }
            }
            y += graph.rows + 1
        }
    }

    /// A line each for raft, gossip and tasks; the rest as tabs.
    private func drawLines(_ status: Value, _ canvas: inout Canvas) {
        let area = layout.rows
        let lines: [(String, Line)] = [
            ("1", Line("raft    ", .boxTitle) + joined(RaftLines.brief(status, canvas))),
            ("2", Line("gossip  ", .boxTitle) + joined(StatusFacts.gossip(status, canvas).prefix(1))),
            ("3", Line("tasks   ", .boxTitle) + joined([0, 1, 3].map { StatusFacts.tasks(status)[$0] })),
        ]
        for (number, (key, line)) in lines.enumerated() {
            canvas.put(key + " ", 1, area.y + number, .boxHotkey)
            canvas.line(line, 3, area.y + number, limit: area.width - 4)
        }
        drawTabLine(1, area.y + 3, [("4", "workflows"), ("5", "rules"), ("6", "events")], state.place.tab % 3, &canvas)
        guard let box = layout.boxes.last else { return }
        canvas.box(box, focused: true)
        fill(box.view, status, box.rect.inner, &canvas)
    }

    private func joined(_ lines: some Sequence<Line>) -> Line {
        lines.reduce(Line()) { $0.pieces.isEmpty ? $1 : $0 + Line("  ") + $1 }
    }

    private func drawTabLine(_ x: Int, _ y: Int, _ tabs: [(String, String)], _ chosen: Int, _ canvas: inout Canvas) {
        var x = x
        for (number, (key, name)) in tabs.enumerated() {
            x += canvas.put(key, x, y, .boxHotkey)
            x += canvas.put(" \(name) ", x, y, number == chosen ? .dialogFocus : .hintText) + 1
        }
    }

    private func drawTabs(_ status: Value, _ canvas: inout Canvas) {
        let area = layout.rows
        if layout.strip.isEmpty { canvas.facts(StatusFacts.strip(status), 0, area.y, limit: area.width) }
        drawTabLine(
            0, area.y + (layout.strip.isEmpty ? 1 : 0),
            [("1", "raft"), ("2", "gossip"), ("3", "tasks"), ("4", "flows"), ("5", "rules"), ("6", "events")],
            3 + state.place.tab % 3, &canvas)
        guard let box = layout.boxes.last else { return }
        fill(box.view, status, Rect(box.rect.x - 1, box.rect.y, box.rect.width + 2, box.rect.height), &canvas)
    }

    /// A plain list: as many facts as there are lines.
    private func drawFacts(_ status: Value, _ canvas: inout Canvas) {
        let facts = StatusFacts.strip(status) + StatusFacts.tasks(status)
        for (number, fact) in facts.prefix(layout.rows.height).enumerated() {
            canvas.line(fact, 0, layout.rows.y + number, limit: layout.rows.width)
        }
    }
}

import Cells
import Primitives
import Text

/// Any view without a terminal: for scripts, the README and tests.
package enum ConsoleSnapshot {
    package enum Format: String, CaseIterable, Sendable { case txt, ansi, json }

    /// Asks a node for what a view shows, follows what the first answers lead to, and draws it.
    package static func take(_ state: ConsoleState, client: NodeClient) async -> ConsoleState {
        var state = state
        var asked: Set<FeedRequest> = []
        for _ in 0..<4 {
            let wanted = state.wantedFeeds.filter { asked.insert($0).inserted }
            guard !wanted.isEmpty else { break }
            for (key, update) in await FeedHub.once(wanted, client) { _ = state.update(.feed(key, update)) }
        }
        return state
    }

    package static func text(_ state: ConsoleState, theme: Theme, format: Format) -> String {
        let surface = state.draw(theme: theme)
        switch format {
        case .txt: return surface.plain
        case .ansi: return surface.ansi
        case .json: return JSONWriter.pretty(value(state, surface)) + "\n"
        }
    }

    /// The view in the format that a file's ending names; text when it names none.
    package static func file(_ name: String, _ state: ConsoleState, theme: Theme) -> String {
        if name.hasSuffix(".csv") { return csv(state) }
        let format = Format.allCases.first { name.hasSuffix(".\($0.rawValue)") } ?? .txt
        return text(state, theme: theme, format: format)
    }

    /// Whether a file of this name holds the rows, and not only what the screen shows of them.
    package static func isData(_ name: String) -> Bool { name.hasSuffix(".csv") || name.hasSuffix(".json") }

    /// What a file of this name leaves out; empty when nothing.
    package static func missing(_ name: String, _ state: ConsoleState) -> String {
        guard isData(name) else { return "" }
        let rows = state.rows
        return rows.loaded.count < rows.count ? ": \(rows.loaded.count) of \(rows.count) rows; filter for others" : ""
    }

    private static func csv(_ state: ConsoleState) -> String {
        let rows = state.rows
        let columns = state.spec.columns.filter { !$0.isDrawn }.map { column in
            Column(column.title) { column.key.isEmpty ? "" : Column.plain(state.sortValue($0, column)) }
        }
        let shown = columns.isEmpty ? [Column("TIME", "time"), Column("TEXT") { RowText.plain($0) }] : columns
        return Rendering(format: .csv).rows(rows.loaded.compactMap { rows.at($0) }, shown)
    }

    /// What is shown as data: the lines, and the values behind them.
    private static func value(_ state: ConsoleState, _ surface: Surface) -> Value {
        let rows = state.rows
        return .object([
            "view": .string(state.place.view.rawValue), "subject": .string(state.place.subject), "filter": .string(state.place.filter),
            "size": ["width": Value(surface.width), "height": Value(surface.height)], "status": state.status ?? .null,
            "value": state.value ?? .null, "matched": Value(rows.count), "total": Value(rows.total),
            "rows": .list(rows.loaded.compactMap { rows.at($0) }),
            "lines": .list((0..<surface.height).map { .string(surface.text(row: $0)) }),
        ])
    }

    /// For screen readers and pipes: one fact a line, no boxes, no columns beside each other.
    package static func linear(_ state: ConsoleState) -> String {
        var lines = ["\(state.place.view.rawValue)\(state.place.subject.isEmpty ? "" : " \(state.place.subject)")"]
        switch state.freshness {
        case .live: break
        case .stale(let seconds, let reason): lines.append("stale since \(seconds) s\(reason.map { ": \($0)" } ?? "")")
        case .none(let failure): return lines.joined(separator: "\n") + "\nno data: \(failure.message)\n"
        }
        let canvas = Canvas(size: Size(1, 1), theme: .plain, level: .ascii)
        if state.place.view == .pulse, let status = state.status {
            for line in StatusFacts.strip(status) + StatusFacts.tasks(status) { lines.append(line.text) }
            for member in status["members"]?.list ?? [] {
                lines.append("node \(Words.plain(member["id"])): \(Words.plain(member["raft"])), \(Words.plain(member["state"]))")
            }
            for rule in status["rules"]?.list ?? [] { lines.append("rule " + StatusFacts.rule(rule, state.now, width: 60).text) }
            for run in status["workflows"]?.list ?? [] {
                lines.append(
                    "run \(Words.plain(run["id"])) of \(Words.plain(run["workflow"])): \(Words.plain(run["state"])), tasks \(RunText.tasks(run))"
                )
            }
            for event in status["events"]?.list ?? [] { lines.append("event " + StatusFacts.event(event, canvas).text) }
        } else if state.place.view == .help {
            lines += HelpText.lines(state.settings.keymap, readOnly: state.settings.isReadOnly).map(\.text)
        } else {
            var context = state.headerContext(width: 100)
            context.isLinear = true
            for line in state.spec.header?(state.value, context) ?? [] where !line.text.isEmpty { lines.append(line.text) }
            let rows = state.rows
            let shown = rows.loaded.prefix(1000)
            lines.append("\(rows.count) row\(rows.count == 1 ? "" : "s")\(shown.count < rows.count ? ", the first \(shown.count)" : "")")
            for place in shown {
                guard let row = rows.at(place) else { continue }
                if state.spec.columns.isEmpty {
                    lines.append(
                        "\(Words.plain(row["time"])) \(Words.plain(row["severity"] ?? row["level"])) \(TableScreen.message(row))\(Words.plain(row["text"] ?? ""))"
                    )
                } else {
                    lines.append(
                        state.spec.columns.filter { !$0.isDrawn }
                            .map { "\($0.title.lowercased()) \($0.state?(row) ?? whole($0, row, state.now))" }.joined(separator: ", "))
                }
            }
        }
        return lines.map { Words.oneLine($0) }.joined(separator: "\n") + "\n"
    }

    /// Ids are cut for the width of a screen; where there is none they are whole.
    private static func whole(_ column: ConsoleColumn, _ row: Value, _ now: ClusterTime) -> String {
        let text = column.text(row, now)
        return text.hasPrefix("…") ? Words.plain(row[column.key]) : text
    }
}

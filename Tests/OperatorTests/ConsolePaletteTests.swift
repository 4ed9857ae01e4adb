import Cells
import Primitives
import Testing
import Text

@testable import Operator

/// Requirement 1: every view and command by name.
struct PaletteTests {
    @Test func `typing ra, Tab and Enter shows raft`() {
        var state = SampleNode.state(.pulse)
        state.hit(":")
        state.write("ra")
        state.hit("Tab", "Enter")
        #expect(state.place.view == .raft)
        #expect(state.mode == .normal)
    }

    @Test(arguments: View.top)
    func `every top view has its name`(view: View) {
        var state = SampleNode.state(.pulse)
        let effects = state.command(view.rawValue)
        #expect(effects.isEmpty)
        #expect(state.place.view == view)
        state.command("distric \(view.rawValue)")
        #expect(state.place.view == view)
    }

    @Test func `the rest of the best completion stands pale behind the cursor, and Right takes it`() {
        var state = SampleNode.state(.pulse)
        state.hit(":")
        state.write("ra")
        #expect(state.prompt.map { state.ghost($0) } == "ft")
        let last = state.draw(theme: .plain).text(row: 39)
        #expect(last.hasPrefix(":raft"))
        state.hit("Right")
        #expect(state.prompt?.text == "raft")
        state.hit("Left")
        #expect(state.prompt.map { state.ghost($0) } == "")
    }

    @Test func `Tab walks through what fits, and back`() {
        var state = SampleNode.state(.pulse)
        state.hit(":")
        state.write("r")
        for text in ["raft", "rules", "runs", "raft"] {
            state.hit("Tab")
            #expect(state.prompt?.text == text)
        }
        state.hit("S-Tab")
        #expect(state.prompt?.text == "runs")
        let lines = state.screen.split(separator: "\n")
        for text in ["raft", "rules", "runs"] { #expect(lines.suffix(4).contains { $0.hasPrefix(" \(text)") }, "\(text)") }
        state.write(" ca")
        state.hit("Tab")
        #expect(state.prompt?.text == "runs cancel")
        state.write(" ")
        state.hit("Tab")
        #expect(state.prompt?.text == "runs cancel \(SampleData.runID(SampleData.newest))")
    }

    @Test func `a command with its arguments is run, whatever view is shown`() {
        var state = SampleNode.state(.logs)
        let effects = state.command("runs show 'a b' \"c\\\"d\" e\\ f")
        #expect(effects == [.run(["runs", "show", "a b", "c\"d", "e f"])])
        let more = state.command("distric raft status")
        #expect(more == [.run(["raft", "status"])])
        let none = state.command("   ")
        #expect(none.isEmpty)
    }

    @Test func `a word that is none is told, with what was meant`() {
        for (line, meant) in [
            ("rafft", "raft"), ("wrokflows", "workflows"), ("statsu", "status"), ("them x", "theme"), ("metric", "metrics"),
        ] {
            var state = SampleNode.state(.pulse)
            let effects = state.command(line)
            #expect(effects.isEmpty, "\(line)")
            #expect(state.toast?.isProblem == true, "\(line)")
            #expect(state.toast?.text.hasSuffix("did you mean '\(meant)'?") == true, "\(line): \(state.toast?.text ?? "")")
        }
        var state = SampleNode.state(.pulse)
        state.command("xyzzy")
        #expect(state.toast?.text == "no view or command 'xyzzy'; ? lists the keys")
    }

    @Test func `a quotation that is not closed is told`() {
        var state = SampleNode.state(.pulse)
        let effects = state.command("runs show 'a")
        #expect(effects.isEmpty)
        #expect(state.toast?.text == "the quotation ' is not closed")
    }

    @Test func `what cannot run within a console is told`() {
        for line in ["shell", "node --id x", "console", "demo"] {
            var state = SampleNode.state(.pulse)
            let effects = state.command(line)
            #expect(effects.isEmpty, "\(line)")
            #expect(state.toast?.isProblem == true, "\(line)")
        }
    }

    @Test func `words of its own: quit, theme`() {
        var state = SampleNode.state(.task)
        for word in ["q", "quit", "exit"] {
            let effects = state.command(word)
            #expect(effects == [.quit])
        }
        let theme = state.command("theme distric-light")
        #expect(theme == [.theme("distric-light")])
        let none = state.command("theme distric-lihgt")
        #expect(none.isEmpty)
        #expect(state.toast?.text == "no theme 'distric-lihgt'; did you mean 'distric-light'?")
        state.hit(":")
        state.write("theme m")
        state.hit("Tab")
        #expect(state.prompt?.text == "theme mono")
    }

    @Test func `Up and Down bring back the lines before`() {
        var state = SampleNode.state(.pulse)
        for line in ["gossip", "raft", "raft"] { state.command(line) }
        state.hit(":", "Up")
        #expect(state.prompt?.text == "raft")
        state.hit("Up")
        #expect(state.prompt?.text == "gossip")
        state.hit("Up")
        #expect(state.prompt?.text == "gossip")
        state.hit("Down")
        #expect(state.prompt?.text == "raft")
        state.hit("Down")
        #expect(state.prompt?.text == "")
    }

    @Test func `a line is edited as in a shell`() {
        var state = SampleNode.state(.pulse)
        state.hit(":")
        state.write("runs cancel abc")
        let steps: [(keys: [String], text: String, cursor: Int)] = [
            (["C-w"], "runs cancel ", 12), (["C-w"], "runs ", 5), (["Home", "Del"], "uns ", 0), (["C-e"], "uns ", 4),
            (["Left", "Left", "Backspace"], "us ", 1), (["C-k"], "u", 1), (["x", "y", "C-b", "C-u"], "y", 0), (["C-f", "C-a"], "y", 0),
            (["End", "Backspace"], "", 0),
        ]
        for (keys, text, cursor) in steps {
            for key in keys { state.hit(key) }
            #expect(state.prompt?.text == text, "\(keys)")
            #expect(state.prompt?.cursor == cursor, "\(keys)")
        }
        state.hit("Backspace")
        #expect(state.mode == .normal)
    }

    /// A terminal may send a letter and its accent one after the other.
    @Test func `an accent that comes by itself joins its letter, and editing goes on`() {
        for kind in [":", "/"] {
            var state = SampleNode.state(.runs)
            state.hit(kind, "e")
            _ = state.update(.key(.character("\u{301}")))
            _ = state.update(.key(.paste("\u{302}x")))
            state.hit("y", "Left", "Backspace", "Backspace", "Del", "Del")
            #expect(state.prompt?.text == "")
            #expect(state.prompt?.cursor == 0)
            state.write("🇫")
            state.write("🇷")
            state.hit("z")
            #expect(state.prompt?.text == "🇫🇷z")
            state.hit("Backspace", "Backspace")
            #expect(state.prompt?.text == "")
        }
    }

    @Test func `a prompt is bounded, however much is pasted`() {
        let huge = String(repeating: "x", count: 1 << 20)
        for kind in [":", "/"] {
            var state = SampleNode.state(.runs)
            state.hit(kind)
            for _ in 0..<3 { _ = state.update(.key(.paste(huge))) }
            state.write("yz")
            #expect(state.prompt?.text.utf8.count ?? .max <= 4000)
            #expect(state.draw(theme: .plain).height == 40)
            let effects = state.hit("Enter")
            if kind == "/" {
                #expect(effects.isEmpty)
                #expect(state.place.filter.utf8.count <= RowFilter.limit)
            }
        }
        var state = SampleNode.state(.runs)
        state.hit(":")
        for _ in 0..<20 { _ = state.update(.key(.paste("a" + String(repeating: "\u{301}", count: 3999)))) }
        for _ in 0..<20 { _ = state.update(.key(.paste(String(repeating: "\u{301}", count: 4000)))) }
        #expect(state.prompt?.text.unicodeScalars.count ?? .max <= 8000)
    }

    @Test func `a paste of several lines is one line, and runs nothing`() {
        var state = SampleNode.state(.runs)
        state.hit(":")
        let effects = state.update(.key(.paste("runs cancel x\nruns cancel y\r\n\u{1B}[A")))
        #expect(effects.isEmpty)
        #expect(state.prompt?.text.unicodeScalars.allSatisfy { CharacterWidth.of($0) >= 0 } == true)
        state.hit("Esc")
        let pasted = state.update(.key(.paste("xy")))
        #expect(pasted.isEmpty)
        #expect(state.mode == .normal)
    }

    @Test func `the cursor of a long line stays on the screen, wide characters or not`() {
        for piece in ["ab", "中文", "e\u{301}x"] {
            var state = SampleNode.state(.runs, size: Size(80, 24))
            state.hit(":")
            _ = state.update(.key(.paste(String(repeating: piece, count: 100))))
            for name in ["End", "Left", "Home"] {
                state.hit(name)
                let surface = state.draw(theme: .plain)
                let cursors = (0..<80).filter { surface[$0, 23].style.attributes.contains(.reverse) }
                #expect(cursors.count == 1, "\(piece) after \(name)")
            }
        }
    }
}

/// Requirement 4: any column sorts, two keys.
struct SortTests {
    @Test func `the column chosen first becomes the second key of the next`() throws {
        var state = SampleNode.state(.runs)
        state.hit("s", "Right", "Right", "Enter")
        #expect(state.place.order.text == "state")
        #expect(state.toast?.text == "sorted by state up")
        state.hit("s", "Right", "Enter")
        #expect(state.place.order.text == "workflow,state")
        state.hit("s", "Right", "Enter")
        #expect(state.place.order.text == "-workflow,state")
        let key = try #require(state.wantedFeeds.map(\.key).first { $0.path == "/api/v1/runs" })
        #expect(key.parameters.contains(.init(name: "sort", value: "-workflow,state")))
        SampleNode.feed(&state)
        let header = state.draw(theme: .plain).text(row: Layout(state).header.y)
        #expect(header.contains("WORKFLOW 1v"))
        #expect(header.contains("STATE 2^"))
        let order = try #require(RowOrder("-workflow,state"))
        #expect(state.loadedRows == SampleNode.sorted(SampleData.runs, by: order))
        state.hit("s", "Right", "Enter")
        #expect(state.place.order.text == "state")
        state.hit("s", "0")
        #expect(state.place.order.keys.isEmpty)
    }

    @Test func `two keys on 10,000 rows`() {
        var state = SampleNode.empty(.task)
        let words = ["succeeded", "failed", "timed_out", "leased"]
        let attempts = (0..<10_000).map { place -> Value in
            .object(["attempt": Value(place * 7919 % 10_000), "state": .string(words[place % 4])])
        }
        if let key = state.valueFeed { _ = state.update(.feed(key, .value(.object(["attempts": .list(attempts)])))) }
        state.command("sort state,-attempt")
        let rows = state.loadedRows
        #expect(rows.count == 10_000)
        let isSorted = zip(rows, rows.dropFirst()).allSatisfy { left, right in
            let (one, other) = (left["state"]?.string ?? "", right["state"]?.string ?? "")
            return one == other ? left["attempt"]?.int ?? 0 > right["attempt"]?.int ?? 0 : one < other
        }
        #expect(isSorted)
    }

    @Test func `how long it took sorts by the time, not by its words`() throws {
        var state = SampleNode.state(.run)
        state.command("sort ms")
        let took = state.loadedRows.compactMap { $0["durationMs"]?.int }
        #expect(took == took.sorted())
        state.command("sort -ms")
        let down = state.loadedRows.compactMap { $0["durationMs"]?.int }
        #expect(down == down.sorted(by: >))
        // What has not ended comes last whatever the direction.
        #expect(state.loadedRows.first?["durationMs"] != Value.null)
    }

    @Test(arguments: SampleNode.screens)
    func `the order is shown as text whatever the width of the column`(view: View) {
        var state = SampleNode.state(view, size: Size(220, 40))
        let columns = state.spec.columns
        for column in columns where !column.key.isEmpty {
            let other = columns.first { !$0.key.isEmpty && $0.key != column.key }?.key ?? column.key
            state.place.order = RowOrder(keys: [.init(column: column.key, isDescending: false), .init(column: other, isDescending: true)])
            let layout = Layout(state)
            guard let placed = layout.columns.first(where: { columns[$0.index].key == column.key }) else { continue }
            let surface = state.draw(theme: .plain)
            let title = (placed.x..<placed.x + placed.width).compactMap { Unicode.Scalar(surface[$0, layout.header.y].scalar) }
            #expect(String(String.UnicodeScalarView(title)).contains("1^"), "\(column.title) of \(view)")
        }
    }

    @Test func `an order by a column that is none is refused`() {
        for line in ["sort nope", "sort state,nope", "sort state,created,ms", "sort ,"] {
            var state = SampleNode.state(.runs)
            state.command(line)
            #expect(state.toast?.isProblem == true, "\(line)")
            #expect(state.place.order.keys.isEmpty, "\(line)")
        }
        var state = SampleNode.state(.runs)
        state.command("sort state,-created")
        #expect(state.place.order.text == "state,-created")
        state.command("sort")
        #expect(state.place.order.keys.isEmpty)
    }
}

/// Requirement 5: help follows from the keys in force.
struct HelpTests {
    private func help(_ state: ConsoleState) -> [String] { state.textLines.map(\.text) }

    @Test func `help has every action once, with its keys`() {
        #expect(HelpText.actions.count == KeyAction.allCases.count)
        #expect(Set(HelpText.actions) == Set(KeyAction.allCases))
        var state = SampleNode.state(.runs)
        state.hit("?")
        #expect(state.place.view == .help)
        let lines = help(state)
        for action in KeyAction.allCases {
            let keys = HelpText.keys(state.settings.keymap, action)
            #expect(lines.filter { $0.hasPrefix("  \(keys) ") && $0.contains(action.help) }.count == 1, "\(action.rawValue)")
        }
        for view in View.top { #expect(lines.contains { $0.contains(":\(view.rawValue) ") && $0.contains(view.summary) }, "\(view)") }
        state.hit("?")
        #expect(state.stack.count == 2)
        state.hit("Esc")
        #expect(state.place.view == .runs)
    }

    @Test func `help is scrolled, and ends at its last line`() {
        var state = SampleNode.state(.help, size: Size(80, 24))
        let first = state.screen
        state.hit("PgDn")
        #expect(state.screen != first)
        state.hit("End", "End", "PgDn", "Down")
        #expect(state.place.scroll == state.textLines.count - state.pageRows)
        #expect(state.screen.contains("a column has it"))
        state.hit("Home")
        #expect(state.screen == first)
    }

    @Test func `a key that was given to another action is in help, in hints, and works`() throws {
        let text = "[keys]\nquit = [\"Q\", \"F10\"]\nretry = \"q\"\n"
        var state = SampleNode.state(.runs)
        state.settings.keymap = try Keymap(toml: Array(text.utf8), file: "keys.toml")
        #expect(state.screen.contains(" Q quit"))
        state.hit("q")
        #expect(state.dialog?.commands.isEmpty == false || state.toast != nil)
        state.hit("Esc", "?")
        let lines = help(state)
        #expect(lines.contains { $0.hasPrefix("  Q f10 ") && $0.contains(KeyAction.quit.help) })
        #expect(lines.contains { $0.hasPrefix("  q ") && $0.contains(KeyAction.retry.help) })
        state.hit("Esc")
        let effects = state.hit("F10")
        #expect(effects == [.quit])
    }

    @Test func `read-only help says what is off`() {
        let lines = HelpText.lines(.standard, readOnly: true).map(\.text)
        let off = lines.filter { $0.hasSuffix("(read-only: off)") }
        #expect(off.count == KeyAction.allCases.filter(\.isMutating).count)
    }
}

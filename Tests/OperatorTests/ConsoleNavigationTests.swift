import Cells
import Primitives
import Testing
import Text

@testable import Operator

/// Requirement 3: ways down, up, back and forth.
struct WayTests {
    @Test func `five Enters and five Escs restore the screen byte for byte`() {
        var state = SampleNode.state(.workflows)
        var screens = [state.screen]
        var places = [state.place]
        for view in [View.workflow, .run, .task, .trace, .logs] {
            state.hit("Enter")
            #expect(state.place.view == view)
            SampleNode.feed(&state)
            screens.append(state.screen)
            places.append(state.place)
        }
        #expect(Set(screens).count == 6)
        #expect(state.place.subject == SampleData.trace)
        for level in (0..<5).reversed() {
            state.hit("Esc")
            #expect(state.place == places[level], "level \(level)")
            #expect(
                sameBytes(state.screen, screens[level]), "level \(level): \(ScreenTables.difference(state.screen, screens[level]) ?? "")")
        }
        #expect(state.stack.count == 1)
    }

    @Test func `Esc takes marks away first, then the filter, then goes up`() {
        var state = SampleNode.state(.runs)
        state.command("filter state:failed")
        SampleNode.feed(&state)
        state.hit("Space")
        #expect(!state.place.marks.isEmpty)
        state.hit("Esc")
        #expect(state.place.marks.isEmpty)
        #expect(state.place.filter == "state:failed")
        state.hit("Esc")
        #expect(state.place.filter.isEmpty)
        #expect(state.place.view == .runs)
        state.hit("Esc")
        #expect(state.place.view == .pulse)
        state.hit("Esc")
        #expect(state.place.view == .pulse)
    }

    @Test func `q leaves from a top view and goes up elsewhere`() {
        for view in View.top {
            var state = SampleNode.state(view)
            let effects = state.hit("q")
            #expect(effects == [.quit], "\(view)")
        }
        for view in SampleNode.views where !view.isTop {
            var state = SampleNode.state(view)
            let depth = state.stack.count
            let effects = state.hit("q")
            #expect(effects.isEmpty, "\(view)")
            #expect(state.stack.count == depth - 1, "\(view)")
        }
    }

    @Test func `q in a view that was opened from another goes back there`() {
        var state = SampleNode.state(.pulse)
        state.hit("1")
        #expect(state.place.view == .raft)
        let effects = state.hit("q")
        #expect(effects.isEmpty)
        #expect(state.place.view == .pulse)
    }

    @Test func `brackets go through the views that were seen`() {
        var state = SampleNode.state(.runs)
        for line in ["raft", "gossip", "logs"] { state.command(line) }
        for view in [View.gossip, .raft, .runs] {
            state.hit("[")
            #expect(state.place.view == view)
        }
        state.hit("[")
        #expect(state.place.view == .runs)
        #expect(state.toast?.text == "no view there")
        for view in [View.raft, .gossip, .logs] {
            state.hit("]")
            #expect(state.place.view == view)
        }
        state.hit("[")
        state.command("tasks")
        state.hit("]")
        #expect(state.place.view == .tasks)
    }

    @Test func `minus goes to the view before and back again`() {
        var state = SampleNode.state(.runs)
        state.hit("Down", "Down")
        let runs = state.place
        state.command("raft")
        for _ in 0..<3 {
            state.hit("-")
            #expect(state.place == runs)
            state.hit("-")
            #expect(state.place.view == .raft)
        }
    }

    @Test func `what is remembered of the way has a bound`() {
        var state = SampleNode.empty(.runs)
        state.command("raft")
        for _ in 0..<500 { state.hit("-") }
        for number in 0..<500 { state.command(number % 2 == 0 ? "logs" : "tasks") }
        for _ in 0..<500 { state.hit("-") }
        #expect(state.back.count <= 64)
        #expect(state.forward.count <= 64)
        for number in 0..<100 { state.push(Place(.run, "run-\(number)")) }
        #expect(state.stack.count <= 32)
        for number in 0..<300 { state.command("sort id\(number)") }
        #expect(state.promptHistory.count <= 200)
    }

    @Test func `numbers open the boxes`() {
        for (name, view) in [("1", View.raft), ("2", .gossip), ("3", .tasks), ("4", .runs), ("5", .rules), ("6", .events)] {
            for origin in [View.pulse, .metrics, .task] {
                var state = SampleNode.state(origin)
                state.hit(name)
                #expect(state.place.view == view, "\(name) from \(origin)")
                #expect(state.stack.count == (origin == .pulse ? 2 : 1), "\(name) from \(origin)")
            }
        }
    }

    @Test func `Tab goes round the panes of a small pulse, and Enter opens the one that is shown`() {
        for (presses, view) in [(0, View.runs), (1, .rules), (2, .events), (3, .runs)] {
            var state = SampleNode.state(.pulse, size: Size(80, 24))
            for _ in 0..<presses { state.hit("Tab") }
            state.hit("Enter")
            #expect(state.place.view == view, "\(presses) times Tab")
        }
        var state = SampleNode.state(.pulse, size: Size(80, 24))
        state.hit("S-Tab", "Enter")
        #expect(state.place.view == .events)
    }

    /// Requirement 28 and the source of things.
    @Test func `y asks why, m goes to the message that caused it`() {
        let ways: [(View, String, View)] = [
            (.messages, "y", .message), (.tasks, "y", .task), (.runs, "y", .run), (.rules, "y", .rule), (.run, "y", .task),
            (.runs, "m", .message), (.run, "m", .message), (.task, "m", .message), (.workflow, "m", .message), (.tasks, "m", .task),
        ]
        for (from, name, to) in ways {
            var state = SampleNode.state(from)
            state.hit(name)
            #expect(state.place.view == to, "\(name) in \(from)")
            #expect(!state.place.subject.isEmpty, "\(name) in \(from)")
        }
    }

    @Test func `the mouse opens boxes, chooses and opens rows, sorts by a title, and turns the wheel`() throws {
        var state = SampleNode.state(.pulse)
        let box = try #require(Layout(state).boxes.first { $0.view == .rules })
        _ = state.update(.key(.mouse(Point(box.rect.x + 3, box.rect.y + 2), .click)))
        #expect(state.place.view == .rules)
        state = SampleNode.state(.runs)
        let layout = Layout(state)
        let third = Point(layout.rows.x + 5, layout.rows.y + 2)
        _ = state.update(.key(.mouse(third, .click)))
        #expect(state.place.row == 2)
        #expect(state.place.view == .runs)
        _ = state.update(.key(.mouse(third, .click)))
        #expect(state.place.view == .run)
        state = SampleNode.state(.runs)
        let column = try #require(layout.columns.first { state.spec.columns[$0.index].key == "state" })
        _ = state.update(.key(.mouse(Point(column.x, layout.header.y), .click)))
        #expect(state.place.order.text == "state")
        _ = state.update(.key(.mouse(Point(column.x, layout.header.y), .click)))
        #expect(state.place.order.text == "-state")
        SampleNode.feed(&state)
        _ = state.update(.key(.mouse(Point(1, 1), .wheelDown)))
        #expect(state.place.row == 3)
        _ = state.update(.key(.mouse(Point(1, 1), .wheelUp)))
        #expect(state.place.row == 0)
    }
}

/// Requirement 2: filters hide or mark.
struct ConsoleFilterTests {
    private static let failed = SampleData.runs.filter { $0["state"]?.string == "failed" }.count

    private func states(_ state: ConsoleState) -> [String] { state.loadedRows.map { $0["state"]?.string ?? "" } }

    @Test func `a filter hides what does not match while it is typed`() {
        var state = SampleNode.state(.runs)
        let all = state.rows.count
        state.hit("Down", "Down", "/")
        state.write("state:failed")
        SampleNode.feed(&state)
        #expect(state.prompt != nil)
        #expect(states(state) == Array(repeating: "failed", count: Self.failed))
        #expect(state.rows.total == all)
        #expect(state.place.row == 0)
        state.hit("Enter")
        #expect(state.mode == .normal)
        #expect(state.place.filter == "state:failed")
        #expect(state.screen.contains("runs /state:failed"))
    }

    @Test func `Esc brings the filter back that was before`() {
        var state = SampleNode.state(.runs)
        state.command("filter state:failed")
        state.hit("/")
        #expect(state.prompt?.text == "state:failed")
        state.write(" order")
        #expect(state.place.filter == "state:failed order")
        state.hit("Esc")
        #expect(state.mode == .normal)
        #expect(state.place.filter == "state:failed")
    }

    @Test func `what cannot be read yet leaves the last filter in force and says why`() {
        var state = SampleNode.state(.runs)
        state.hit("/")
        state.write("state:failed")
        state.write(" /(")
        #expect(state.place.filter == "state:failed /" || state.place.filter == "state:failed ")
        #expect(state.prompt?.problem == "'(' is not closed (at character 15 of the filter)")
        #expect(state.screen.contains("'(' is not closed"))
        let effects = state.hit("Enter")
        #expect(effects.isEmpty)
        #expect(state.prompt != nil)
        state.write("x)/")
        #expect(state.prompt?.problem == nil)
        state.hit("Enter")
        #expect(state.place.filter == "state:failed /(x)/")
    }

    @Test func `the rows of one thing are filtered here, by text and by column`() {
        for (filter, tasks) in [
            ("task:pi", ["pick"]), ("state:succeeded kind:http", ["reserve", "fraud-check", "pay"]), ("~validatetrans", ["validate"]),
            ("!state=succeeded task~^p", ["pick", "pack"]), ("ms>100", ["fraud-check", "pay"]), ("/^(pay|pack)/", ["pay", "pack"]),
            ("task=ship", ["ship"]), ("worker:w-07 !invoice", ["reserve", "pay"]),
        ] {
            var state = SampleNode.state(.run)
            state.hit("/")
            state.write(filter)
            #expect(state.loadedRows.map { $0["task"]?.string ?? "" } == tasks, "\(filter)")
            #expect(state.rows.total == SampleData.steps.count)
        }
    }

    @Test(arguments: [View.runs, .run])
    func `Ctrl-T marks what matches and keeps the number of rows`(view: View) {
        var state = SampleNode.state(view)
        let all = state.rows.count
        state.command("filter state:succeeded")
        SampleNode.feed(&state)
        let hits = state.rows.count
        #expect(hits > 0 && hits < all)
        state.hit("C-t")
        SampleNode.feed(&state)
        #expect(state.rows.count == all)
        #expect(state.place.filter == "state:succeeded")
        #expect(state.toast?.text == "the filter marks rows")
        state.hit("C-t")
        SampleNode.feed(&state)
        #expect(state.rows.count == hits)
        #expect(state.toast?.text == "the filter hides rows")
    }

    @Test func `rows that match are drawn on another ground`() throws {
        let theme = try Theme(toml: Array("[style]\n\"table.match\" = \"0 on 3\"\n\"table.selected\" = \"0 on 5\"".utf8), file: "t.toml")
        var state = SampleNode.state(.runs)
        state.command("filter state:failed")
        state.hit("C-t")
        SampleNode.feed(&state)
        let surface = state.draw(theme: theme)
        let layout = Layout(state)
        for line in 0..<layout.rows.height {
            let row = try #require(state.rows.at(state.place.top + line))
            let ground: Color = line == state.place.row ? .index(5) : row["state"]?.string == "failed" ? .index(3) : .standard
            #expect(surface[layout.rows.x + 3, layout.rows.y + line].style.background == ground, "line \(line)")
        }
    }

    @Test func `n and N go from match to match`() {
        var state = SampleNode.state(.runs)
        state.hit("n")
        #expect(state.toast?.text == "no filter is set")
        state.command("filter state:failed")
        state.hit("C-t")
        SampleNode.feed(&state)
        let places = SampleData.runs.indices.filter { SampleData.runs[$0]["state"]?.string == "failed" }
        for place in places {
            state.hit("n")
            #expect(state.place.row == place)
        }
        state.hit("n")
        #expect(state.place.row == places.last)
        #expect(state.toast?.text == "no further match")
        for place in places.dropLast().reversed() {
            state.hit("N")
            #expect(state.place.row == place)
        }
    }

    @Test func `a filter that nothing matches says so, and how to get out`() {
        var state = SampleNode.state(.run)
        state.command("filter nothing-has-this")
        #expect(state.screen.contains("nothing matches 'nothing-has-this'; esc shows all again"))
    }

    @Test func `a filter that the node refuses is shown with the reason`() {
        var state = SampleNode.state(.runs)
        state.command("filter /(")
        SampleNode.feed(&state)
        #expect(state.screen.contains("'(' is not closed"))
    }
}

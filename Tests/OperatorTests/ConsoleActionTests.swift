import Cells
import Primitives
import Testing
import Text

@testable import Operator

private func id(_ place: Int) -> String { SampleData.runID(SampleData.newest - place) }

/// Requirement 16: what is dangerous is asked for, and Enter alone never does it.
struct DangerTests {
    @Test func `a moderate action is asked for, with No in focus`() {
        var state = SampleNode.state(.runs)
        state.hit("Down")
        let asked = state.hit("r")
        #expect(asked.isEmpty)
        #expect(state.dialog?.commands == [["runs", "retry", id(1)]])
        #expect(state.dialog?.wanted == nil)
        #expect(state.dialog?.isYesFocused == false)
        let entered = state.hit("Enter")
        #expect(entered.isEmpty)
        #expect(state.mode == .normal)
        #expect(state.toast?.text == "nothing was done")
    }

    @Test func `y does it, or Enter once Yes has the focus`() {
        for keys in [["y"], ["Y"], ["Tab", "Enter"], ["Left", "Enter"], ["Right", "Tab", "S-Tab", "Enter"]] {
            var state = SampleNode.state(.runs)
            state.hit("x")
            #expect(state.dialog != nil)
            var effects: [ConsoleEffect] = []
            for key in keys { effects += state.hit(key) }
            #expect(effects == [.run(["runs", "cancel", id(0)])], "\(keys)")
            #expect(state.mode == .normal, "\(keys)")
        }
    }

    @Test func `n, q, Esc and Ctrl-C leave it`() {
        for key in ["n", "N", "q", "Esc", "C-c"] {
            var state = SampleNode.state(.runs)
            state.hit("x")
            let effects = state.hit(key, "Enter")
            #expect(effects.isEmpty, "\(key)")
            #expect(state.mode == .normal, "\(key)")
        }
    }

    @Test func `a severe action wants the name typed`() {
        var state = SampleNode.state(.workflows)
        state.hit("D")
        #expect(state.dialog?.wanted == "order-fulfil")
        for keys in [["Enter", "Enter"], ["y", "Enter"], ["Tab", "Enter"]] {
            for key in keys {
                let effects = state.hit(key)
                #expect(effects.isEmpty, "\(keys)")
            }
            #expect(state.dialog != nil, "\(keys)")
        }
        state.hit("Backspace", "Backspace")
        state.write("order-fulfi")
        let early = state.hit("Enter")
        #expect(early.isEmpty)
        #expect(state.toast?.text == "type order-fulfil to go on, or esc to leave it")
        state.write("l")
        #expect(state.screen.contains("> order-fulfil"))
        let effects = state.hit("Enter")
        #expect(effects == [.run(["workflows", "delete", "order-fulfil"])])
    }

    @Test func `Esc leaves a severe question, and a paste does not answer it`() {
        var state = SampleNode.state(.rules)
        state.hit("D")
        #expect(state.dialog?.wanted == "orders")
        _ = state.update(.key(.paste("orders\n")))
        let pasted = state.hit("Enter")
        #expect(pasted.isEmpty)
        state.write("orders")
        let effects = state.hit("Esc", "Enter")
        #expect(effects.isEmpty)
        #expect(state.dialog == nil)
    }

    @Test func `Enter alone never executes, in no view and on no row`() {
        for view in SampleNode.views {
            for name in ["x", "r", "D", "u", "e"] {
                var state = SampleNode.state(view)
                for _ in 0..<3 {
                    var effects = state.hit(name)
                    for _ in 0..<3 { effects += state.hit("Enter") }
                    for case .run(let arguments) in effects where name != "u" { Issue.record("\(name) in \(view): \(arguments)") }
                    if state.mode != .normal { state.hit("Esc") }
                    state.stack = SampleNode.way(to: view)
                    state.hit("Down")
                }
            }
        }
    }

    @Test func `what does not fit the row is refused with the reason`() {
        let refusals: [(row: Int, key: String, text: String)] = [
            (0, "r", "the run is still running"), (1, "x", "the run has ended as succeeded"), (6, "r", "the run is still held"),
            (1, "D", "nothing to delete in this view"), (1, "u", "no task is selected"), (1, "e", "only rules and workflows are edited"),
        ]
        for (row, key, text) in refusals {
            var state = SampleNode.state(.runs)
            for _ in 0..<row { state.hit("Down") }
            let effects = state.hit(key)
            #expect(effects.isEmpty, "\(key) on row \(row)")
            #expect(state.mode == .normal, "\(key) on row \(row)")
            #expect(state.toast?.text == text, "\(key) on row \(row)")
        }
    }

    @Test func `an unknown task is resolved by a line that stands ready to be finished`() {
        var state = SampleNode.empty(.run)
        state.place = Place(.run, id(6))
        SampleNode.feed(&state)
        state.hit("g", "u")
        #expect(state.toast?.text == "only a task in state unknown is resolved; this one is succeeded")
        state.hit("Down", "Down", "Down", "Down", "u")
        #expect(state.prompt?.text == "tasks resolve \(id(6)).pick --as ")
        state.write("succ")
        state.hit("Tab")
        #expect(state.hit("Enter").isEmpty)
        #expect(state.dialog?.commands == [["tasks", "resolve", "\(id(6)).pick", "--as", "succeeded"]])
        let effects = state.hit("y")
        #expect(effects == [.run(["tasks", "resolve", "\(id(6)).pick", "--as", "succeeded"])])
    }

    @Test func `what is typed asks for as much as a key does`() {
        let name = "orders"
        for (line, wanted, effects) in [
            ("runs cancel x", nil, ["y"]), ("rules apply new.yaml", nil, ["y"]), ("distric workflows delete orders -n shop", name, [name]),
            ("rules delete orders", name, [name]),
        ] as [(String, String?, [String])] {
            var state = SampleNode.state(.runs)
            #expect(state.run(line: line).isEmpty, "\(line)")
            #expect(state.dialog?.wanted == wanted && state.dialog?.effect.first?.isEmpty == false, "\(line)")
            // Enter alone never executes.
            var hasty = state
            #expect(hasty.hit("Enter").isEmpty, "\(line)")
            var lines = state
            #expect(lines.answer(line: "no").isEmpty && lines.mode == .normal, "\(line)")
            #expect(state.answer(line: effects[0]).count == 1, "\(line)")
        }
        for line in ["runs list", "rules delete --help", "status"] {
            var state = SampleNode.state(.runs)
            #expect(state.run(line: line).count == 1, "\(line)")
        }
    }

    @Test func `in the view of one thing the action is for that thing`() {
        for (view, key, command) in [
            (View.run, "x", ["runs", "cancel", id(0)]), (.task, "x", ["runs", "cancel", id(0)]),
            (.rule, "D", ["rules", "delete", "orders"]),
        ] {
            var state = SampleNode.state(view)
            state.hit(key)
            #expect(state.dialog?.commands == [command], "\(view)")
        }
    }
}

/// Requirement 19: every action shows the line that does the same.
struct EquivalentLineTests {
    @Test func `the question and the answer show the line`() {
        var state = SampleNode.state(.runs)
        state.hit("x")
        #expect(state.screen.contains("the same in a shell:"))
        #expect(state.screen.contains("distric runs cancel \(id(0))"))
        let effects = state.hit("y")
        guard case .run(let arguments)? = effects.first else {
            Issue.record("\(effects)")
            return
        }
        _ = state.update(.finished(CommandResult(arguments: arguments, code: 0, out: "", problem: "")))
        #expect(state.toast?.text == "done: distric runs cancel \(id(0))")
        _ = state.update(.finished(CommandResult(arguments: arguments, code: 0, out: "cancelled\n", problem: "")))
        #expect(state.toast?.text == "cancelled   (distric runs cancel \(id(0)))")
    }

    @Test func `pasting the line repeats the action`() throws {
        let names = [
            "order-fulfil", "it's", "a b", "-n", "$HOME", "`id`", "x; rm -rf ~", "\"q\"", "", "täsk", "a\\b", "*", "\t", "#1", "!x",
        ]
        for name in names {
            let arguments = ["workflows", "delete", name]
            let line = ConsoleState.shown(arguments)
            let read = try ShellWords.split(line)
            #expect(read == ["distric"] + arguments, "\(line)")
        }
    }

    @Test func `a failure is told in a line, or shown whole`() {
        var state = SampleNode.state(.runs)
        _ = state.update(.finished(CommandResult(arguments: ["runs", "cancel", "x"], code: 1, out: "", problem: "distric: no run 'x'\n")))
        #expect(state.toast?.text == "no run 'x'")
        #expect(state.toast?.isProblem == true)
        _ = state.update(.finished(CommandResult(arguments: ["status"], code: 1, out: "a\nb\n", problem: "distric: down\n")))
        #expect(state.place.view == .output)
        #expect(state.place.subject == "distric status")
        #expect(state.textLines.map(\.text) == ["a", "b", "distric: down"])
        state.hit("Esc")
        #expect(state.place.view == .runs)
    }

    @Test func `a command that fails without a word is told all the same`() {
        var state = SampleNode.state(.runs)
        _ = state.update(.finished(CommandResult(arguments: ["status"], code: 3, out: "", problem: "")))
        #expect(state.toast?.isProblem == true)
        #expect(state.toast?.text.isEmpty == false)
    }

    @Test func `output after output takes its place`() {
        var state = SampleNode.state(.runs)
        for name in ["one", "two", "two"] {
            _ = state.update(.finished(CommandResult(arguments: [name], code: 0, out: "a\nb", problem: "")))
            #expect(state.stack.map(\.view) == [.runs, .output])
            #expect(state.place.subject == "distric \(name)")
        }
    }
}

/// Requirement 18: marks, ranges, actions on several with a result for each.
struct BulkTests {
    private func failed() -> ConsoleState {
        var state = SampleNode.state(.runs)
        state.command("filter state:failed")
        SampleNode.feed(&state)
        return state
    }

    @Test func `marks are set one by one, by range, and all at once`() {
        var state = SampleNode.state(.runs)
        state.hit("Space", "Space")
        #expect(Set(state.place.marks.keys) == [id(0), id(1)])
        #expect(state.place.row == 2)
        state.hit("Up", "Space")
        #expect(Set(state.place.marks.keys) == [id(0)])
        state.hit("Home", "v")
        #expect(Set(state.place.marks.keys) == [id(0), id(1)])
        state.hit("Down", "Down", "Down", "Down", "v")
        #expect(Set(state.place.marks.keys) == Set((0...4).map { id($0) }))
        state.hit("C-a")
        #expect(state.place.marks.count == 40)
        state.hit("Esc")
        #expect(state.place.marks.isEmpty)
    }

    @Test func `marked rows are drawn with a mark`() {
        var state = SampleNode.state(.runs)
        state.hit("Down", "Space", "Space")
        let (surface, layout) = (state.draw(theme: .plain), Layout(state))
        let marks = (0..<5).map { surface[layout.rows.x, layout.rows.y + $0].scalar }
        #expect(marks == [0x20, 0x2022, 0x2022, 0x203A, 0x20])
    }

    @Test func `an action on several is one command for each`() {
        var state = failed()
        let ids = state.loadedRows.compactMap { $0["id"]?.string }
        state.hit("C-a", "r")
        #expect(state.dialog?.title == "retry run, 5 times?")
        #expect(state.screen.contains("the same in a shell, one by one:"))
        #expect(state.screen.contains("and 1 more"))
        let effects = state.hit("y")
        #expect(effects == ids.map { ConsoleEffect.run(["runs", "retry", $0]) })
        #expect(state.place.marks.isEmpty)
    }

    @Test func `each result is told`() {
        var state = failed()
        state.hit("C-a", "r")
        let effects = state.hit("y")
        for (number, effect) in effects.enumerated() {
            guard case .run(let arguments) = effect else { continue }
            #expect(state.place.view == .runs)
            let isBad = number == 2
            _ = state.update(
                .finished(
                    CommandResult(
                        arguments: arguments, code: isBad ? 1 : 0, out: isBad ? "" : "began", problem: isBad ? "distric: too late" : "")))
        }
        #expect(state.place.view == .output)
        #expect(state.place.subject == "4 of 5 done")
        let lines = state.textLines.map(\.text)
        #expect(lines.count == 5)
        #expect(lines.filter { $0.hasPrefix("ok    distric runs retry ") && $0.hasSuffix("  began") }.count == 4)
        #expect(lines[2].hasPrefix("failed distric runs retry ") && lines[2].hasSuffix("  distric: too late"))
    }

    @Test func `what does not fit is left out, and said to be`() {
        var state = SampleNode.state(.runs)
        state.hit("C-a", "x")
        let open = SampleData.runs.filter { ["running", "held"].contains($0["state"]?.string ?? "") }
        #expect(state.dialog?.commands == open.map { ["runs", "cancel", $0["id"]?.string ?? ""] })
        let words = "\(40 - open.count) of 40 are left out: the run has ended as succeeded"
        #expect(state.dialog?.effect.last == words)
    }

    @Test func `several severe ones want their number typed`() {
        var state = SampleNode.state(.workflows)
        state.hit("C-a", "D")
        #expect(state.dialog?.wanted == "3")
        state.write("order-fulfil")
        let wrong = state.hit("Enter")
        #expect(wrong.isEmpty)
        for _ in 0..<12 { state.hit("Backspace") }
        let effects = state.hit("3", "Enter")
        #expect(effects == ["order-fulfil", "refund", "geo-audit"].map { ConsoleEffect.run(["workflows", "delete", $0]) })
    }

    @Test func `tasks of one run are one command`() {
        var state = SampleNode.state(.tasks)
        state.hit("Space", "Space", "Space", "x")
        #expect(state.dialog?.commands == [["runs", "cancel", id(0)]])
    }

    @Test func `a command typed while others run swallows no result`() {
        var state = failed()
        state.hit("C-a", "r")
        var waiting = state.hit("y")
        var told: [String] = []
        func finish(_ effect: ConsoleEffect, _ state: inout ConsoleState) {
            guard case .run(let arguments) = effect else { return }
            _ = state.update(.finished(CommandResult(arguments: arguments, code: 0, out: "began", problem: "")))
            told.append(state.toast?.text ?? "")
            told += state.textLines.map(\.text)
        }
        finish(waiting.removeFirst(), &state)
        waiting += state.command("runs show x")
        let all = waiting
        for effect in all { finish(effect, &state) }
        for number in [2, 10, 18, 26, 34] { #expect(told.contains { $0.contains("distric runs retry \(id(number))") }, "run \(number)") }
        #expect(told.contains { $0.contains("distric runs show x") })
    }
}

import Foundation
import Operator
import Primitives
import Testing

/// The console in a real terminal, as a person uses it.
struct ConsoleTests {
    // MARK: The first ten minutes

    @Test(arguments: [[80, 24], [120, 40]])
    func `a newcomer finds a failed task, why it failed, runs it again, and finds the message and the rule`(_ size: [Int]) async throws {
        guard let screen = try TmuxScreen(size[0], size[1], [Built.distric, "demo"]) else { return }
        try await screen.wait(for: "LIVE", "three things to press", "3 tasks")
        let client = NodeClient(url: try await screen.announced(), timeout: .seconds(20))
        try await screen.wait(until: "a run that failed") { $0.contains(#/failed runs [1-9]/#) }

        // A failed task.
        try screen.keys("3")
        try await screen.wait(for: "cluster > pulse > tasks", "WHY / RESULT")
        try screen.line("/state:failed")
        let list = try await screen.wait(until: "failed tasks only") { screen in
            let rows = screen.rows.filter { $0.contains("drift") }
            return screen.contains("tasks /state:failed") && !rows.isEmpty && rows.allSatisfy { $0.contains("✗ failed") }
        }
        #expect(list.contains("› "))

        // Why it failed.
        try screen.keys("Enter")
        let task = try await screen.wait(for: "of run", "caused by", "rule drift/hot-fan", "what attempt 2 wrote")
        #expect(task.contains(#/why +attempt 2 of the task failed: exit_code: exit code 1/#), "\(task)")
        #expect(task.contains(#/wrote *\n.*sort: -:\d+: disorder: \d+/#), "\(task)")
        let run = try #require(task.firstMatch(of: #/of run +([0-9a-f-]{36})/#)).1
        let message = try #require(task.firstMatch(of: #/caused by +message (\S+)/#)).1

        // Once more: asked first, with the command that does the same.
        try screen.keys("r")
        try await screen.wait(for: "retry run?", "distric runs retry \(run)", "n  no")
        try screen.keys("y")
        // What was begun is shown, and says what it takes the place of.
        let told = try await screen.wait(for: "retry of    \(run)", "TASK", "ordered")
        let new = try #require(told.firstMatch(of: #/ run +([0-9a-f-]{36})/#)).1
        #expect(new != run)
        let again = try await client.get("/api/v1/runs/\(new)")
        #expect(again["retryOf"]?.string == String(run))
        #expect(again["messageId"]?.string == String(message))

        // The message and the rule that caused it.
        try screen.keys("m")
        let why = try await screen.wait(for: "message     \(message)", "drift/hot-fan", "every condition holds")
        #expect(why.contains(#/rule +drift/hot-fan +● yes +every condition holds/#), "\(why)")
        #expect(why.contains(#/run +…\w+ drift-check .*started by drift/hot-fan/#), "\(why)")
        #expect(why.contains(#/rule +shop/order-created +· no +would match with type/#), "\(why)")

        try screen.line(":quit")
        try await screen.ends()
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(screen.folder.path)/tmp") == [])
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(screen.folder.path)/run/distric") == [])
    }

    @Test func `what a task says of itself is shown whole, wherever the line breaks`() async throws {
        let stage = try await Stage()
        let words = (1...30).map { "word\($0)" }.joined(separator: " ")
        try await stage.node.apply(pair("wordy", script("echo \(words) >&2; exit 1")))
        let run = try await stage.node.submit("wordy")
        _ = try await stage.node.ended(run)
        guard let screen = try stage.console(80, 24, ["--view", "task", "--subject", "\(run).only"]) else { return }
        let seen = try await screen.wait(for: "why", "word1 ", "word8")
        let why = seen.rows.drop { !$0.hasPrefix(" why") }.prefix { !$0.contains("ATTEMPT") }.flatMap { $0.split(separator: " ") }
        let missing = (1...20).map { "word\($0)" }.filter { !why.contains(Substring($0)) }
        #expect(missing == [], "\(seen)")
    }

    // MARK: Finding the way

    @Test func `the palette completes with Tab, and says what was meant`() async throws {
        let stage = try await Stage()
        guard let screen = try stage.console(80, 24) else { return }
        try await screen.wait(for: "LIVE", "cluster > pulse")
        try screen.type(":ra")
        try await screen.wait(until: "the rest of the word, pale") { $0.rows.last?.hasPrefix(":raft") == true }
        try screen.keys("Tab", "Enter")
        let raft = try await screen.wait(for: "cluster > raft", "quorum      1 of 1 voters", "● leader")
        #expect(raft.contains(#/› n1 +● leader/#))
        try screen.line(":rums")
        try await screen.wait(for: "no view or command 'rums'; did you mean 'runs'?")
        try screen.line(":runs list")
        try await screen.wait(for: "output distric runs list", stage.good, stage.bad)
        try screen.line(":tasks show \(stage.bad.prefix(20))\t")
        try await screen.wait(for: "task:", "\(stage.bad).only", "no such luck")
    }

    @Test func `five enters down and five escapes up restore the screen`() async throws {
        let stage = try await Stage()
        guard let screen = try stage.console() else { return }
        // Clock, ages, curves and lanes go on; all else is compared.
        func steady(_ screen: String) -> String {
            screen.replacing(#/ \d\d:\d\d:\d\d  LIVE /#, with: " ").replacing(#/\b\d+[smhd]( ago)?\b/#, with: "")
                .replacing(#/[⠀-⣿]/#, with: "").replacing(#/ [Lfc─]+ │/#, with: " │").replacing(#/ +/#, with: " ")
        }
        let before = steady(try await screen.wait(for: "LIVE", "✗ failed  bad", "● succeeded  good"))
        for crumb in ["> runs ", "> run …", "> task …", "> trace ", "> logs "] {
            try screen.keys("Enter")
            try await screen.wait(until: "\(crumb) with data") { $0.rows.last?.contains(crumb) == true && $0.contains(" LIVE ") }
        }
        for crumb in ["> trace ", "> task …", "> run …", "> runs ", "> pulse "] {
            try screen.keys("Escape")
            try await screen.wait(until: crumb) { $0.rows.last?.contains(crumb) == true && $0.contains(" LIVE ") }
        }
        let after = try await screen.wait(until: "the first screen:\n\(before)") { steady($0) == before }
        #expect(steady(after) == before)
    }

    @Test func `a storm of resizes leaves the right screen and the selected row`() async throws {
        let stage = try await Stage()
        guard let screen = try stage.console(80, 24, ["--view", "runs"]) else { return }
        let names = [String(stage.bad.suffix(9)), String(stage.good.suffix(9))]
        try await screen.wait(for: "LIVE", names[0], names[1])
        try screen.keys("Down")
        let row = try #require(try await screen.wait(until: "the second row") { $0.contains(#/\n  ….*\n› /#) }.firstMatch(of: #/› \S+/#)).0
        for step in 1...30 {
            let share = step <= 15 ? step : 30 - step
            try screen.resize(250 - 230 * share / 15, 80 - 75 * share / 15)
            if step == 15 { try await screen.wait(until: "20x5") { $0.rows.count == 5 && $0.rows.allSatisfy { $0.count <= 20 } } }
        }
        try await screen.wait(until: "250x80") { $0.rows.count == 80 && $0.rows.first?.count == 250 }
        try screen.resize(80, 24)
        let last = try await screen.wait(until: "80x24") { $0.rows.count == 24 && $0.contains(row) && $0.contains(" LIVE ") }
        #expect(last.rows.allSatisfy { $0.count <= 80 })
        #expect(last.rows.first?.hasPrefix("─ distric ─") == true)
        #expect(last.rows.last?.hasPrefix("─ cluster > runs ─") == true)
        #expect(last.rows.filter { $0.hasPrefix("› ") }.count == 1)
    }

    @Test func `a click opens a box, selects and opens a row, sorts by a column; the wheel scrolls`() async throws {
        let stage = try await Stage()
        guard let screen = try stage.console() else { return }
        let pulse = try await screen.wait(for: "LIVE", "2 gossip", "3 tasks")
        func place(_ text: String, in screen: String) throws -> (x: Int, y: Int) {
            let row = try #require(screen.rows.firstIndex { $0.contains(text) })
            let range = try #require(screen.rows[row].range(of: text))
            return (screen.rows[row].distance(from: screen.rows[row].startIndex, to: range.lowerBound), row)
        }
        let box = try place("3 tasks", in: pulse)
        try screen.click(box.x + 4, box.y + 2)
        let list = try await screen.wait(for: "cluster > pulse > tasks", "exec@1")
        // The row that is not selected.
        let other = try #require(list.rows.first { $0.contains("exec@1") && !$0.hasPrefix("›") }).firstMatch(of: #/…\w+/#)
        let name = String(try #require(other).0)
        let row = try place(name, in: list)
        try screen.click(row.x, row.y)
        try await screen.wait(for: "› \(name)")
        let column = try place("WORKFLOW", in: list)
        try screen.click(column.x, column.y)
        try await screen.wait(for: "sorted by workflow up")
        try screen.click(column.x, column.y)
        try await screen.wait(until: "the rows the other way round") { seen in
            seen.rows.filter { $0.contains("exec@1") && $0.contains("…") }.map { $0.contains(" good ") } == [true, false]
        }
        // Down to the last row, and in.
        try screen.type("\u{1B}[<65;10;5M")
        let down = try await screen.wait(until: "the last row") { $0.contains(#/\n› \S+ +bad /#) }
        let last = try place("› ", in: down)
        try screen.click(last.x + 4, last.y)
        try await screen.wait(for: "> task …", "of run      \(stage.bad)")
    }

    /// `screen` is a terminal whose description has no Ctrl-Left: what comes is an escape sequence that curses does not know.
    @Test func `a key that the terminal's description does not know does nothing`() async throws {
        let stage = try await Stage()
        guard let screen = try stage.console(100, 30, ["--view", "rules"], term: "screen") else { return }
        try await screen.wait(for: "LIVE", "bad/start", "good/start")
        let before = try await stage.standing()
        // Ctrl-Left, Shift-F5, a report of focus, a mouse in another encoding.
        for (place, unknown) in ["\u{1B}[1;5D", "\u{1B}[15;2~", "\u{1B}[I", "\u{1B}[<0;10;5M"].enumerated() {
            try screen.type(unknown)
            try screen.keys(place % 2 == 0 ? "Down" : "Up")
            let row = place % 2 == 0 ? "› good/start" : "› bad/start"
            try await screen.wait(until: "\(row) after \(unknown.dropFirst())") { screen in
                screen.contains(row) && screen.rows.last?.hasPrefix("─ cluster > rules ─") == true
            }
        }
        #expect(try await stage.standing() == before)
    }

    // MARK: Doing

    @Test func `a rule is edited in EDITOR, with the terminal as it was, and comes into force after a yes`() async throws {
        let stage = try await Stage()
        let editor = stage.folder.path + "/editor"
        try "#!/bin/sh\nstty -a > \(stage.folder.path)/modes\nsed -i 's/value: bad/value: worse/' \"$1\"\n"
            .write(toFile: editor, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: editor)
        guard let screen = try stage.console(100, 30, ["--view", "rules"], environment: ["EDITOR": editor]) else { return }
        try await screen.wait(for: "LIVE", "bad/start")
        try screen.line("/bad")
        try await screen.wait(until: "only this rule") { $0.contains("› bad/start") && !$0.contains("good/start") }
        func value() async throws -> String? {
            let set = try await stage.node.client.get("/api/v1/rules/bad")
            return set.at("definition", "rules")?.list?.first?.at("when", "value")?.string
        }
        try screen.keys("e")
        try await screen.wait(for: "apply the edited rule set 'bad'?", "rules apply", "n  no")
        let modes = try String(contentsOfFile: stage.folder.path + "/modes", encoding: .utf8)
        let set = Set(modes.split { $0.isWhitespace })
        for mode: Substring in ["icanon", "echo", "isig", "opost"] { #expect(set.contains(mode), "\(modes)") }
        // No has the focus.
        try screen.keys("Enter")
        try await screen.wait(for: "nothing was done")
        #expect(try await value() == "bad")
        try screen.keys("e")
        try await screen.wait(for: "apply the edited rule set 'bad'?")
        try screen.keys("y")
        try await screen.wait(for: "RuleSet default/bad applied; catalog version 2 is in force")
        #expect(try await value() == "worse")
        try screen.keys("e")
        try await screen.wait(for: "nothing was changed")
        try screen.line(":quit")
        try await screen.ends()
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(screen.folder.path)/tmp") == [], "edited files are left behind")
    }

    @Test func `a read-only console changes nothing, whatever is pressed or typed`() async throws {
        let stage = try await Stage()
        let before = try await stage.standing()
        guard let screen = try stage.console(120, 30, ["--read-only", "--view", "runs"], environment: ["EDITOR": "false"]) else { return }
        try await screen.wait(for: "LIVE", " RO ", String(stage.bad.suffix(9)))
        for (view, key, refused) in [
            ("runs", "r", "retry run"), ("runs", "x", "cancel run"), ("tasks", "r", "retry run"), ("rules", "D", "delete rule set"),
            ("rules", "e", "editing"), ("workflows", "D", "delete workflow"), ("workflows", "e", "editing"),
        ] {
            try screen.line(":\(view)")
            try await screen.wait(until: "\(view) with rows") { $0.rows.last?.contains("cluster > \(view) ") == true && $0.contains("› ") }
            try screen.keys(key)
            try await screen.wait(for: "this console is read-only: \(refused) is not possible here")
        }
        for command in ["runs retry \(stage.bad)", "rules delete bad", "workflows delete bad"] {
            try screen.line(":\(command)")
            try await screen.wait(until: "a refusal of \(command)") {
                $0.contains("read-only: ") && $0.contains("not sent") || $0.contains("was no…")
            }
            try screen.line(":pulse")
        }
        #expect(try await stage.standing() == before)
    }
}

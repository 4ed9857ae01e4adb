import Cells
import Primitives
import Testing
import Text

@testable import Operator

/// Whatever a hand, a cat or a terminal may send.
enum RandomKeys {
    private static let named: [Key] = KeyAction.allCases.flatMap { Keymap.standard.keys(for: $0) }
    private static let marks: [Character] = [
        "a", "Z", "9", " ", "\"", "'", "\\", "/", ":", "!", "~", "é", "中", "😀", "\u{301}", "\u{200D}", "\u{202E}", "🇫", "🇷", "\t", "\u{0}",
        "\u{1B}", "\u{85}", "\u{7F}", "\r\n",
    ]
    private static let words = [
        "state:failed", "status", "runs cancel x", "\u{1B}[2J", "\u{301}", "!", "~", "/(", "'", "theme mono", "", "a\nb",
    ]

    static func next(_ size: Size, _ generator: inout SeededGenerator) -> Key {
        switch Int.random(in: 0..<20, using: &generator) {
        case 0..<9: named[Int.random(in: named.indices, using: &generator)]
        case 9: .enter
        case 10: .escape
        case 11: .function(Int.random(in: -1...30, using: &generator))
        case 12: .unknown(Int32.random(in: Int32.min...Int32.max, using: &generator))
        case 13: .control(Character(Unicode.Scalar(UInt8.random(in: 0x61...0x7A, using: &generator))))
        case 14: .paste(words[Int.random(in: words.indices, using: &generator)])
        case 15, 16: mouse(size, &generator)
        case 17: marks[Int.random(in: marks.indices, using: &generator)].key
        default: Character(Unicode.Scalar(UInt8.random(in: 0x20..<0x7F, using: &generator))).key
        }
    }

    private static func mouse(_ size: Size, _ generator: inout SeededGenerator) -> Key {
        let kinds: [Key.Mouse] = [.press, .release, .click, .doubleClick, .wheelUp, .wheelDown]
        let point = Point(Int.random(in: -2...size.width + 2, using: &generator), Int.random(in: -2...size.height + 2, using: &generator))
        return .mouse(point, kinds[Int.random(in: kinds.indices, using: &generator)])
    }
}

extension Character {
    fileprivate var key: Key { .character(self) }
}

/// Requirement 17: fuzz all keys, and no mutation reaches the node.
struct ReadOnlyTests {
    private func readOnly(_ view: View, size: Size = Size(120, 40)) -> ConsoleState {
        var state = SampleNode.state(view, size: size)
        state.settings.isReadOnly = true
        return state
    }

    @Test func `what changes something is refused, with the reason`() {
        for (view, name) in [
            (View.runs, "x"), (.runs, "r"), (.run, "x"), (.tasks, "r"), (.task, "x"), (.rules, "D"), (.rule, "D"), (.workflows, "D"),
            (.rules, "e"), (.rule, "e"), (.workflows, "e"), (.workflow, "e"),
        ] {
            var state = readOnly(view)
            let effects = state.hit(name, "Enter", "y")
            #expect(effects.isEmpty, "\(name) in \(view)")
            #expect(state.dialog == nil, "\(name) in \(view)")
            var again = readOnly(view)
            again.hit(name)
            #expect(again.toast?.isProblem == true, "\(name) in \(view)")
            #expect(again.toast?.text.contains("read-only") == true, "\(name) in \(view)")
        }
        var state = readOnly(.run)
        state.place = Place(.run, SampleData.runID(SampleData.newest - 6))
        SampleNode.feed(&state)
        state.hit("g", "Down", "Down", "Down", "Down", "u")
        #expect(state.prompt == nil)
        #expect(state.toast?.text.contains("read-only") == true)
    }

    @Test func `the screen says that it is read-only, and offers nothing that changes`() {
        for view in [View.runs, .rules, .workflows, .task] {
            let state = readOnly(view)
            #expect(state.screen.contains(" RO "), "\(view)")
            let hints = state.draw(theme: .plain).text(row: 39)
            for word in [" cancel", " retry", " delete", " edit"] { #expect(!hints.contains(word), "\(word) in \(view)") }
        }
    }

    @Test func `nothing within the console lifts it`() {
        var state = readOnly(.runs)
        for line in ["set read-only false", "write", "theme mono", "runs", "filter x", "sort state"] { state.command(line) }
        #expect(state.settings.isReadOnly)
    }

    /// Lines of the palette are run: the client refuses there what would change something.
    @Test(arguments: [UInt64(1), 2])
    func `whatever is pressed, nothing but the palette runs anything, and nothing is edited`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let share = 20_000 / SampleNode.views.count + 1
        for view in SampleNode.views {
            var state = readOnly(view, size: Size(80, 24))
            let settings = state.settings
            for step in 0..<share {
                let isPalette = state.prompt?.kind == .palette
                let key = RandomKeys.next(state.size, &generator)
                for effect in state.update(.key(key)) {
                    switch effect {
                    case .run(let arguments) where !isPalette:
                        Issue.record("seed \(seed), \(view), step \(step): \(key) runs \(arguments)")
                        return
                    case .edit(let kind, let name, _):
                        Issue.record("seed \(seed), \(view), step \(step): \(key) edits \(kind) \(name)")
                        return
                    case .run, .quit, .suspend, .redraw, .copy, .save, .theme: break
                    }
                }
                if state.dialog != nil {
                    Issue.record("seed \(seed), \(view), step \(step): \(key) asks a question")
                    return
                }
                if step % 16 == 0 { SampleNode.feed(&state) }
                if step % 100 == 99 { restart(&state, view, &generator) }
            }
            #expect(state.settings == settings, "seed \(seed), \(view)")
        }
    }

    /// Without read-only, a change needs a question that was answered, or a line that was typed.
    @Test(arguments: [UInt64(3)])
    func `no key by itself changes anything`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for view in SampleNode.views {
            var state = SampleNode.state(view, size: Size(100, 30))
            for step in 0..<300 {
                let isAsked = state.prompt?.kind == .palette || state.dialog != nil
                let key = RandomKeys.next(state.size, &generator)
                for case .run(let arguments) in state.update(.key(key)) where !isAsked {
                    Issue.record("seed \(seed), \(view), step \(step): \(key) runs \(arguments)")
                    return
                }
                if step % 16 == 0 { SampleNode.feed(&state) }
                if step % 100 == 99 { restart(&state, view, &generator) }
            }
        }
    }

    /// Draws once, then back to the view: the keys lead away from it soon.
    private func restart(_ state: inout ConsoleState, _ view: View, _ generator: inout SeededGenerator) {
        let size = Size(Int.random(in: 20...120, using: &generator), Int.random(in: 5...40, using: &generator))
        _ = state.update(.resized(size))
        #expect(state.draw(theme: .plain).cells.count == size.width * size.height)
        state.pass(.seconds(1))
        _ = state.update(.finished(CommandResult(arguments: ["status"], code: 0, out: "a\nb", problem: "")))
        state.mode = .normal
        state.stack = SampleNode.way(to: view)
        SampleNode.feed(&state)
    }
}

/// What the surroundings are asked to do.
struct EffectTests {
    @Test func `the selected id is copied`() {
        var state = SampleNode.state(.runs)
        state.hit("Down")
        let effects = state.hit("c")
        #expect(effects == [.copy(SampleData.runID(SampleData.newest - 1))])
        #expect(state.toast?.text == "copied \(SampleData.runID(SampleData.newest - 1))")
        var workflows = SampleNode.state(.workflows)
        let name = workflows.hit("c")
        #expect(name == [.copy("order-fulfil")])
        var pulse = SampleNode.state(.pulse)
        let none = pulse.hit("c")
        #expect(none.isEmpty)
        #expect(pulse.toast?.text == "nothing is selected")
    }

    @Test func `the view is saved as it is shown`() {
        for view in SampleNode.views {
            var state = SampleNode.state(view)
            let shown = state.screen
            let effects = state.hit("w")
            let name = "distric-\(view.rawValue)-143207.txt"
            #expect(effects == [.save(name)], "\(view)")
            #expect(ConsoleSnapshot.file(name, state, theme: .plain) == shown, "\(view)")
        }
    }

    @Test func `a view is saved under the name that was typed`() {
        var state = SampleNode.state(.runs)
        let plain = state.command("save")
        #expect(plain == [.save("distric-runs.txt")])
        for name in ["a.txt", "a b.ansi", "/tmp/a.json", "a.b.csv"] {
            let effects = state.command("save '\(name)'")
            #expect(effects == [.save(name)], "\(name)")
        }
        for name in ["a", "a.pdf", "csv", "txt.", "a.txt/b"] {
            let effects = state.command("save \(name)")
            #expect(effects.isEmpty && state.toast?.isProblem == true, "\(name)")
        }
    }

    @Test(arguments: SampleNode.screens)
    func `what is saved is the view, in the format of the ending`(view: View) throws {
        let state = SampleNode.state(view)
        #expect(ConsoleSnapshot.file("a.ansi", state, theme: .plain) == state.draw(theme: .plain).ansi)
        let value = try JSONScanner.parse(ConsoleSnapshot.file("a.json", state, theme: .plain), maximumDepth: 512)
        #expect(value["view"]?.string == view.rawValue)
        #expect(value["rows"]?.list == state.loadedRows)
        #expect(value["lines"]?.list?.count == 40)
        let lines = ConsoleSnapshot.file("a.csv", state, theme: .plain).split(separator: "\n")
        #expect(lines.count == 1 + state.loadedRows.count)
        let titles = state.spec.columns.filter { !$0.isDrawn }.map(\.title)
        if !titles.isEmpty { #expect(lines.first.map(String.init) == titles.joined(separator: ",")) }
    }

    @Test func `a definition is edited, and applied when that was confirmed`() {
        let edits: [(View, ConsoleEffect)] = [
            (.rules, .edit(kind: "rule set", name: "orders", namespace: "default")),
            (.rule, .edit(kind: "rule set", name: "orders", namespace: "default")),
            (.workflows, .edit(kind: "workflow", name: "order-fulfil", namespace: "default")),
            (.workflow, .edit(kind: "workflow", name: "order-fulfil", namespace: "default")),
        ]
        for (view, wanted) in edits {
            var state = SampleNode.state(view)
            let effects = state.hit("e")
            #expect(effects == [wanted], "\(view)")
        }
        for (kind, noun) in [("rule set", "rules"), ("workflow", "workflows")] {
            var state = SampleNode.state(.rules)
            _ = state.update(.edited(path: "/tmp/a b.yaml", kind: kind, name: "orders", namespace: ""))
            #expect(state.dialog?.title == "apply the edited \(kind) 'orders'?")
            let entered = state.hit("Enter")
            #expect(entered.isEmpty)
            _ = state.update(.edited(path: "/tmp/a b.yaml", kind: kind, name: "orders", namespace: ""))
            #expect(state.screen.contains("distric \(noun) apply '/tmp/a b.yaml'"))
            let effects = state.hit("y")
            #expect(effects == [.run([noun, "apply", "/tmp/a b.yaml"])])
        }
    }

    @Test func `an edit that comes back to a read-only console asks nothing`() {
        var state = SampleNode.state(.rules)
        state.settings.isReadOnly = true
        _ = state.update(.edited(path: "/tmp/a.yaml", kind: "workflow", name: "a", namespace: ""))
        let effects = state.hit("y")
        #expect(effects.isEmpty)
    }

    @Test func `redraw and suspend are handed on`() {
        var state = SampleNode.state(.runs)
        let effects = state.hit("C-l", "C-z")
        #expect(effects == [.redraw, .suspend])
    }

    @Test func `names of live objects complete lines`() {
        var state = SampleNode.state(.runs)
        _ = state.update(.names(["workflows": ["order-fulfil"]]))
        state.hit(":")
        state.write("workflows delete o")
        state.hit("Tab")
        #expect(state.prompt?.text == "workflows delete order-fulfil")
        #expect(state.names["runs"]?.count == 3)
    }
}

import Cells
import Primitives
import Testing

@testable import Operator

/// What can be done with nodes, from the view and from the palette.
struct NodeActionTests {
    private func state(row: Int) -> ConsoleState {
        var state = SampleNode.state(.nodes)
        for _ in 0..<row { state.hit("Down") }
        return state
    }

    @Test func `each action asks, names what it does, and shows the line that does the same`() {
        let actions: [(row: Int, key: String, command: [String], says: String)] = [
            (0, "C", ["nodes", "cordon", "c-1"], "It keeps what it runs and gets nothing new"),
            (0, "E", ["nodes", "drain", "c-1", "--no-wait"], "It gets nothing new; after the deadline"),
            (2, "E", ["nodes", "drain", "w-07", "--no-wait"], "It gets nothing new; after the deadline"),
        ]
        for (row, key, command, says) in actions {
            var asked = state(row: row)
            #expect(asked.hit(key).isEmpty, "\(command)")
            #expect(asked.dialog?.commands == [command] && asked.dialog?.wanted == nil, "\(command)")
            #expect(asked.dialog?.effect.first?.hasPrefix(says) == true, "\(asked.dialog?.effect ?? [])")
            #expect(asked.screen.contains(ConsoleState.shown(command)), "\(command)")
            var hasty = asked
            #expect(hasty.hit("Enter").isEmpty && hasty.mode == .normal, "\(command)")
            #expect(asked.hit("y") == [.run(command)], "\(command)")
        }
        // What gives a worker tasks again harms nobody.
        var lifted = state(row: 3)
        #expect(lifted.hit("U") == [.run(["nodes", "uncordon", "w-08"])])
    }

    @Test func `what does not fit a node is refused with the reason`() {
        for (row, key, text) in [
            (0, "U", "c-1 is not cordoned"), (1, "C", "c-2 takes no tasks"), (1, "E", "c-2 takes no tasks"),
            (3, "C", "w-08 is cordoned already"), (4, "C", "w-09 is not with the leader"), (4, "E", "w-09 is not with the leader"),
        ] {
            var state = state(row: row)
            #expect(state.hit(key).isEmpty && state.dialog == nil, "\(text)")
            #expect(state.toast?.text.contains(text) == true, "\(state.toast?.text ?? "-") for \(text)")
        }
    }

    @Test func `ids are completed after verbs of nodes, and where a member joins or leaves`() {
        let index = CommandIndex()
        for words in [
            ["nodes", "drain"], ["nodes", "cordon"], ["nodes", "uncordon"], ["nodes", "show"], ["cluster", "leave"], ["cluster", "join"],
        ] {
            #expect(index.objects(along: words) == .nodes, "\(words)")
        }
        #expect(index.objects(along: ["cluster", "freeze"]) == nil)
        #expect(index.objects(along: ["nodes", "drain", "w-1"]) == nil)
    }
}

import Cells
import Primitives
import Testing

@testable import Operator

/// What can be done with members, from the view and from the palette.
struct RaftActionTests {
    private func state(_ raft: Value, row: Int) -> ConsoleState {
        var state = SampleRaft.state(raft)
        for _ in 0..<row { state.hit("Down") }
        return state
    }

    @Test func `each action asks, names what it does, and shows the line that does the same`() {
        let actions: [(raft: Value, row: Int, key: String, command: [String], says: String)] = [
            (SampleRaft.well, 1, "T", ["raft", "transfer", "--to", "c-2"], "c-2 leads from then on."),
            (SampleRaft.well, 0, "T", ["raft", "transfer"], "The voter that has most of the log leads from then on."),
            (SampleRaft.learning, 3, "P", ["raft", "promote", "c-4"], "c-4 votes from then on. It lacks 120334 entries"),
            (SampleRaft.well, 2, "S", ["raft", "snapshot"], "c-1, the node that is asked, writes its state to disk"),
        ]
        for (raft, row, key, command, says) in actions {
            var asked = state(raft, row: row)
            #expect(asked.hit(key).isEmpty, "\(command)")
            #expect(asked.dialog?.commands == [command] && asked.dialog?.wanted == nil, "\(command)")
            #expect(asked.dialog?.effect.first?.hasPrefix(says) == true, "\(asked.dialog?.effect ?? [])")
            #expect(asked.screen.contains(ConsoleState.shown(command)), "\(command)")
            var hasty = asked
            #expect(hasty.hit("Enter").isEmpty && hasty.mode == .normal, "\(command)")
            #expect(asked.hit("y") == [.run(command)], "\(command)")
        }
    }

    @Test func `removing wants the name typed, and says when the quorum would be lost`() {
        var asked = state(SampleRaft.oneDown, row: 1)
        #expect(asked.hit("D").isEmpty)
        #expect(asked.dialog?.wanted == "c-2")
        let effect = asked.dialog?.effect.first ?? ""
        #expect(effect.contains("The quorum would be lost: 2 voters then, of which 1 answers and 2 must."), "\(effect)")
        #expect(asked.screen.contains("distric raft remove c-2 --yes"))
        #expect(asked.hit("y", "Enter", "Enter").isEmpty && asked.dialog != nil)
        asked.hit("Backspace")
        asked.write("c-2")
        #expect(asked.hit("Enter") == [.run(["raft", "remove", "c-2", "--yes"])])
        var gone = state(SampleRaft.oneDown, row: 2)
        gone.hit("D")
        #expect(gone.dialog?.effect.first?.contains("lost") == false)
        #expect(gone.dialog?.effect.first?.hasSuffix("2 voters then, of which 2 answer and 2 must.") == true)
        var leader = state(SampleRaft.well, row: 0)
        leader.hit("D")
        #expect(leader.dialog?.effect.first?.contains("It leads now: another one is elected.") == true)
        var learner = state(SampleRaft.learning, row: 3)
        learner.hit("D")
        #expect(learner.dialog?.effect.first?.contains("the quorum stays as it is") == true)
    }

    @Test func `what does not fit a member is refused with the reason`() {
        let alone: Value = ["node": "n1", "role": "leader", "leader": "n1", "voters": ["n1"], "learners": [], "peers": []]
        let refusals: [(raft: Value, row: Int, key: String, text: String)] = [
            (SampleRaft.oneDown, 2, "T", "c-3 is not heard, and could not lead"),
            (SampleRaft.learning, 3, "T", "c-4 is a learner; let it vote first"),
            (SampleRaft.well, 1, "P", "c-2 is no learner; only those are promoted"),
            (SampleRaft.joint, 2, "D", "c-3 is no member, or leaves already"),
            (alone, 0, "D", "n1 is the only voter; without it there would be no cluster"),
        ]
        for (raft, row, key, text) in refusals {
            var asked = state(raft, row: row)
            #expect(asked.hit(key).isEmpty, "\(text)")
            #expect(asked.mode == .normal && asked.toast?.text == text, "\(asked.toast?.text ?? "")")
        }
        for key in ["T", "P", "S"] {
            var runs = SampleNode.state(.runs)
            #expect(runs.hit(key).isEmpty && runs.toast?.text.hasSuffix("in this view") == true, "\(key)")
        }
    }

    @Test func `typed, they ask for as much`() {
        let lines: [(line: String, wanted: String?, command: [String])] = [
            ("raft transfer --to c-2", nil, ["raft", "transfer", "--to", "c-2"]), ("raft add c-4", nil, ["raft", "add", "c-4"]),
            ("distric raft promote c-4", nil, ["raft", "promote", "c-4"]), ("raft snapshot", nil, ["raft", "snapshot"]),
            ("raft remove c-3", "c-3", ["raft", "remove", "c-3", "--yes"]),
            ("raft remove --yes c-3", "c-3", ["raft", "remove", "--yes", "c-3"]),
        ]
        for (line, wanted, command) in lines {
            var asked = SampleNode.state(.runs)
            #expect(asked.run(line: line).isEmpty, "\(line)")
            #expect(asked.dialog?.wanted == wanted && asked.dialog?.effect.first?.isEmpty == false, "\(line)")
            #expect(asked.answer(line: wanted ?? "y") == [.run(command)], "\(line)")
        }
        for line in ["raft status", "raft peers", "raft remove --help", "raft log verify /tmp/x"] {
            var asked = SampleNode.state(.runs)
            #expect(asked.run(line: line).count == 1, "\(line)")
        }
    }

    @Test func `a console that may only read offers and does none of it`() {
        for key in ["T", "D", "P", "S"] {
            var reading = state(SampleRaft.learning, row: 3)
            reading.settings.isReadOnly = true
            #expect(reading.hit(key, "y", "Enter").isEmpty, "\(key)")
            #expect(reading.dialog == nil, "\(key)")
        }
        var reading = SampleRaft.state(SampleRaft.well)
        #expect(reading.draw(theme: .plain).text(row: 39).contains("T transfer"))
        reading.settings.isReadOnly = true
        for word in ["transfer", "remove", "promote", "snapshot"] {
            #expect(!reading.draw(theme: .plain).text(row: 39).contains(word), "\(word)")
        }
    }

    @Test func `several members are removed one by one`() {
        var marked = state(SampleRaft.learning, row: 2)
        marked.hit("Space", "Space", "D")
        #expect(marked.dialog?.wanted == "2")
        #expect(marked.dialog?.commands == [["raft", "remove", "c-3", "--yes"], ["raft", "remove", "c-4", "--yes"]])
    }
}

import Cells
import Primitives
import Testing

@testable import Operator

/// What a person does to the members of a demo, and sees of it (DemoActions.swift, DemoCommands.swift).
struct DemoActionTests {
    private static let demo: Value = [
        "leader": "c-2",
        "members": [["id": "c-1", "state": "running"], ["id": "c-2", "state": "running"], ["id": "c-3", "state": "killed"]],
        "messages": ["accepted": 1234, "succeeded": 1100, "failed": 20, "open": 14, "held": 0, "resent": 3, "lost": 0],
    ]

    private func pulse(_ size: Size = Size(120, 40)) -> ConsoleState {
        var state = SampleNode.state(.pulse, size: size)
        (state.settings.hasTour, state.settings.isDemo) = (true, true)
        _ = state.update(.feed(Views.demoFeed, .value(Self.demo)))
        return state
    }

    @Test func `nobody waits for a leader where most coordinators are down`() {
        func demo(_ states: String...) -> Value {
            let workers: [Value] = [
                ["id": "w-1", "role": "worker", "state": "running"], ["id": "w-2", "role": "worker", "state": "running"],
            ]
            return ["members": .list(workers + states.map { ["role": "coordinator", "state": .string($0)] })]
        }
        #expect(DemoText.hasMajority(demo("running", "running", "killed")) && DemoText.hasMajority(demo("running")))
        #expect(!DemoText.hasMajority(demo("running", "killed", "paused")) && !DemoText.hasMajority(demo("running", "killed")))
        #expect(!DemoText.hasMajority([:]))
    }

    @Test func `K asks, and kills whoever leads`() {
        var state = pulse()
        #expect(state.hit("K").isEmpty)
        #expect(state.dialog?.commands == [["demo", "kill", "leader"]])
        #expect(state.screen.contains("distric demo kill leader"))
        var hasty = state
        #expect(hasty.hit("Enter").isEmpty)
        #expect(state.hit("y") == [.run(["demo", "kill", "leader"])])
    }

    @Test func `R brings back all that are down`() {
        var state = pulse()
        #expect(state.hit("R").isEmpty)
        #expect(state.dialog?.commands == [["demo", "restart"]])
        #expect(state.hit("y") == [.run(["demo", "restart"])])
    }

    @Test func `among members the selected one is meant`() {
        var state = SampleRaft.state(SampleRaft.well)
        state.hit("Down", "K")
        #expect(state.dialog?.commands == [["demo", "kill", "c-2"]])
        state.hit("n")
        state.hit("R")
        #expect(state.dialog?.commands == [["demo", "restart", "c-2"]])
    }

    @Test func `who may only look kills nobody, and is not told how`() {
        var state = pulse()
        state.settings.isReadOnly = true
        #expect(state.hit("K").isEmpty && state.dialog == nil)
        #expect(state.toast?.text == "this console is read-only: killing a member is not possible here")
        #expect(state.hit("R").isEmpty && state.dialog == nil)
        #expect(!state.screen.contains("kills the leader"))
    }

    @Test(arguments: [Size(120, 40), Size(80, 24)])
    func `the first screen says what to press, and what became of the messages`(size: Size) {
        let state = pulse(size)
        let screen = state.screen
        #expect(screen.contains("four things to press"))
        #expect(screen.contains("K  kills the leader, R  brings it back; watch that nothing gets lost"), "\(screen)")
        #expect(screen.contains("lost 0  open 14  accepted 1234  c-3 killed"), "\(screen)")
        #expect(state.wantedFeeds.contains { $0.key == Views.demoFeed })
    }

    @Test func `without a demo there is nothing to ask for`() {
        var state = SampleNode.state(.pulse, size: Size(120, 40))
        state.settings.hasTour = true
        #expect(state.screen.contains("three things to press") && !state.screen.contains("kills the leader"))
        #expect(!state.wantedFeeds.contains { $0.key == Views.demoFeed })
    }

    @Test func `at the colon a demo is steered, and none is begun`() {
        var state = pulse()
        // Any command is known.
        state.settings.commands = CommandIndex()
        #expect(state.run(line: "demo pause c-1").isEmpty)
        #expect(state.dialog?.commands == [["demo", "pause", "c-1"]])
        state.hit("n")
        #expect(state.run(line: "demo resume c-1") == [.run(["demo", "resume", "c-1"])])
        #expect(state.run(line: "demo").isEmpty && state.toast?.text == "'demo' cannot run within the console")
        #expect(state.run(line: "demo --rate 5").isEmpty && state.dialog == nil)
        #expect(CommandIndex().objects(along: ["demo", "kill"]) == .nodes && CommandIndex().objects(along: ["demo", "status"]) == nil)
    }

    @Test func `what became of the messages is one sentence`() {
        #expect(
            DemoText.sentence(Self.demo["messages"] ?? .null) == "accepted 1234, ended 1120 (failed 20), open 14, sent again 3, lost 0")
        #expect(DemoText.sentence(.null) == "accepted 0, ended 0, open 0, lost 0")
        #expect(
            DemoText.sentence(["accepted": 2, "held": 1, "refused": 4, "unfollowed": 5, "lost": 6])
                == "accepted 2, ended 0, open 0, held for an operator 1, refused 4, not followed 5, lost 6")
    }
}

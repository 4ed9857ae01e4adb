import Primitives
import Testing

@testable import Operator

/// Lanes: what each member was over time.
struct RaftHistoryTests {
    private let start = ClusterTime(milliseconds: 1_000_000)

    private func after(_ milliseconds: Int) -> ClusterTime { start.advanced(by: .milliseconds(milliseconds)) }

    private func text(_ history: RaftHistory, _ node: String = "a", width: Int = 8, at milliseconds: Int) -> String {
        history.lane(of: node, width: width, now: after(milliseconds)).map { $0?.rawValue ?? " " }.joined()
    }

    @Test func `a letter stands for two seconds, the newest on the right`() {
        var history = RaftHistory()
        history.take([("a", .follower)], at: after(0))
        #expect(text(history, at: 0) == "       f")
        #expect(text(history, at: 1_999) == "       f")
        #expect(text(history, at: 2_000) == "      ff")
        history.take([("a", .leader)], at: after(6_500))
        #expect(text(history, at: 6_500) == "    fffL")
        #expect(text(history, at: 12_000) == " fffLLLL")
        #expect(text(history, at: 60_000) == "LLLLLLLL")
        #expect(text(history, "b", at: 0) == "        ")
    }

    @Test func `an election is seen however short it was, and so is a gap`() {
        var history = RaftHistory()
        history.take([("a", .follower)], at: after(0))
        history.take([("a", .candidate)], at: after(4_100))
        history.take([("a", .leader)], at: after(4_300))
        #expect(text(history, at: 4_400) == "     ffL")
        #expect(text(history, at: 8_000) == "   ffcLL")
        history.take([("a", .unknown)], at: after(8_100))
        history.take([("a", .follower)], at: after(8_200))
        #expect(text(history, at: 10_000) == "  ffcL-f")
    }

    @Test func `a change on the stroke belongs to what comes then`() {
        var history = RaftHistory()
        history.take([("a", .candidate)], at: after(0))
        history.take([("a", .leader)], at: after(2_000))
        #expect(text(history, at: 4_000) == "     cLL")
    }

    @Test func `who is no longer told of is unknown, and comes back`() {
        var history = RaftHistory()
        history.take([("a", .leader), ("b", .follower)], at: after(0))
        history.take([("a", .leader)], at: after(4_000))
        history.take([("a", .leader), ("b", .learner)], at: after(8_000))
        #expect(text(history, "b", at: 10_000) == "  ff--ll")
        history.lose(at: after(12_000))
        #expect(text(history, "a", at: 14_000) == "LLLLLL--")
        #expect(text(history, "b", at: 14_000) == "ff--ll--")
    }

    @Test func `a clock that is set back leaves the order as it was`() {
        var history = RaftHistory()
        history.take([("a", .leader)], at: after(20_000))
        history.take([("a", .follower)], at: after(0))
        #expect(text(history, at: 0) == "       f")
        #expect(text(history, at: 22_000) == "      ff")
        #expect(history.lane(of: "a", width: 0, now: start).isEmpty)
        #expect(history.lane(of: "a", width: 3, now: .zero).count == 3)
    }

    @Test func `what is kept has a bound`() {
        var history = RaftHistory()
        for number in 0..<2_000 {
            let marks: [(node: String, mark: RaftMark)] = (0..<4).map { ("n\($0)", number % 2 == 0 ? .leader : .follower) }
            history.take(marks, at: after(number * 2_000))
        }
        let lane = history.lane(of: "n0", width: 2_000, now: after(1_999 * 2_000))
        #expect(lane.filter { $0 != nil }.count == RaftHistory.spanLimit)
        for number in 0..<500 { history.take([("m\(number)", .follower), ("n0", .leader)], at: after(5_000_000 + number)) }
        #expect(history.members.count <= RaftHistory.memberLimit)
        #expect(history.members.contains("m499"))
    }
}

/// Where the console has it from.
struct RaftLaneTests {
    private func lane(_ state: ConsoleState, _ node: String, width: Int = 10) -> String {
        state.raftHistory.lane(of: node, width: width, now: state.now).map { $0?.rawValue ?? " " }.joined()
    }

    private func told(_ raft: Value) -> Value {
        guard case .map(var fields) = SampleData.status else { return .null }
        fields["raft"] = raft
        return .map(fields)
    }

    @Test func `lanes grow in every view, for every view asks for the status`() {
        var state = SampleNode.empty(.runs)
        _ = state.update(.feed(Views.statusFeed, .value(told(SampleRaft.well))))
        state.pass(.seconds(4))
        _ = state.update(.feed(Views.statusFeed, .value(told(SampleRaft.oneDown))))
        state.pass(.seconds(4))
        #expect(lane(state, "c-1").hasSuffix("LLLL"))
        #expect(lane(state, "c-3").hasSuffix("ff---"))
        #expect(state != SampleNode.empty(.runs))
    }

    @Test func `without news from anywhere nobody is known since the last`() {
        var state = SampleNode.state(.raft)
        state.pass(.seconds(20))
        _ = state.update(.feed(Views.statusFeed, .failed(CommandFailure(.unavailable, "gone"))))
        #expect(lane(state, "c-1", width: 6) == "------")
        _ = state.update(.feed(Views.statusFeed, .value(told(SampleRaft.well))))
        #expect(lane(state, "c-1", width: 6).hasSuffix("L"))
    }

    @Test func `while one of two streams is heard nothing is lost`() {
        var state = SampleNode.state(.raft)
        state.pass(.seconds(4))
        _ = state.update(.feed(Views.raftFeed, .alive))
        _ = state.update(.feed(Views.statusFeed, .failed(CommandFailure(.unavailable, "gone"))))
        #expect(lane(state, "c-1", width: 2) == "LL")
    }

    @Test func `what members say of themselves does not contradict the group`() {
        var state = SampleNode.empty(.raft)
        _ = state.update(.feed(Views.raftFeed, .value(SampleRaft.oneDown)))
        // An older node: its status has no more of the group than its own role.
        _ = state.update(.feed(Views.statusFeed, .value(told(["node": "c-1", "role": "leader", "lag": 0]))))
        #expect(lane(state, "c-3", width: 1) == "-")
    }
}

import HashTreeCollections
import Primitives
import Testing
import Workflows

@testable import Coordinator

/// A run without a message of its own: the command `start` (Apply.swift).
struct StartTests {
    private let note = workflowText("note", #"{"a": {"use": "transform", "with": {"value": 1}}}"#)
    private let changedNote = workflowText("note", #"{"b": {"use": "transform", "with": {"value": 2}}}"#)

    private func replica() throws -> Replica {
        var replica = Replica()
        try replica.activate([note])
        return replica
    }

    @Test func `the run is open, and no message is accepted for it`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        let outcome = try replica.apply(.start(Start(run: run)))
        #expect(outcome == .done)
        #expect(replica.state.runs[run.id]?.run == run)
        #expect(replica.history.isEmpty)
        #expect(replica.state.dedup.count == 0)
        let totals = replica.state.totals
        #expect([totals.accepted, totals.runsStarted, totals.runsEnded] == [0, 1, 0])
    }

    @Test func `a run that is open already is stale and changes nothing`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        try replica.apply(.start(Start(run: run)))
        let digest = replica.state.recordDigest
        let totals = replica.state.totals
        var other = try replica.begun("note", 1)
        other.revision += 5
        let outcome = try replica.apply(.start(Start(run: other)))
        #expect(outcome == .stale("run \(run.id) is open already"))
        #expect(replica.state.runs[run.id]?.run == run)
        #expect(replica.state.recordDigest == digest)
        #expect(replica.state.totals == totals)
    }

    @Test func `a run that has ended goes to the history`() throws {
        var replica = try replica()
        let empty = replica.state.recordDigest
        let ended = try replica.ended(try replica.begun("note", 1), .succeeded(5))
        let outcome = try replica.apply(.start(Start(run: ended)))
        #expect(outcome == .done)
        #expect(replica.state.runs.isEmpty)
        #expect(replica.history == [.run(ended)])
        #expect(replica.state.recordDigest == empty)
        #expect(replica.state.pins.isEmpty)
        let totals = replica.state.totals
        #expect([totals.runsStarted, totals.runsEnded, totals.tasksSucceeded] == [1, 1, 1])
    }

    @Test func `its definition is kept while it is open`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        try replica.apply(.start(Start(run: run)))
        let original = replica.state.definitions[workflowKey("note")]
        try replica.activate([changedNote])
        #expect(replica.state.definition(of: run) == original)
        try replica.apply(.settle(Settle(from: run, to: try replica.ended(run, .succeeded(1)))))
        #expect(replica.state.definition(of: run) == nil)
        #expect(replica.state.pins.isEmpty)
    }

    @Test func `assignments that it brings count for the fences to come`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        let fence = Fence(term: Term(1), assignment: 41)
        let leased = try replica.stepped(run, .assigned(task: 0, worker: try NodeID("w-1"), fence: fence))
        try replica.apply(.start(Start(run: leased)))
        #expect(replica.state.assignments == 41)
    }

    @Test func `a replica that reads it from bytes has the same digest and snapshot`() throws {
        var direct = try replica()
        var reading = direct
        for number in UInt64(1)...5 {
            let run = try direct.begun("note", number)
            let next = number % 2 == 0 ? try direct.ended(run, .failed(TaskError(type: "x", message: "é"))) : run
            let command = Command.start(Start(run: next))
            try direct.apply(command)
            let (_, commands) = try CommandCodec.decode(CommandCodec.encode([command], time: direct.time))
            try reading.apply(try #require(commands.first))
            #expect(reading.state.digest == direct.state.digest)
        }
        #expect(reading.history == direct.history)
        let bytes = StateCodec.encode(direct.state)
        #expect(StateCodec.encode(reading.state) == bytes)
        let read = try StateCodec.decode(bytes, dedup: DedupWindow())
        #expect(read.digest == direct.state.digest)
        #expect(Set(read.runs.keys) == Set(direct.state.runs.keys))
    }
}

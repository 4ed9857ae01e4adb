import HashTreeCollections
import Primitives
import Testing
import Workflows

@testable import Coordinator

/// Applying a command checks its preconditions and copies (Apply.swift).
struct ApplyTests {
    private let note = workflowText("note", #"{"a": {"use": "transform", "with": {"value": 1}}}"#)
    private let changedNote = workflowText("note", #"{"b": {"use": "transform", "with": {"value": 2}}}"#)

    private func replica() throws -> Replica {
        var replica = Replica()
        try replica.activate([note])
        return replica
    }

    // MARK: Messages

    @Test func `a message is applied with its runs`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        let outcome = try replica.submit(run)
        #expect(outcome == .done)
        #expect(replica.state.runs[run.id]?.run == run)
        #expect(replica.state.totals.accepted == 1)
        #expect(
            replica.history == [
                .message(
                    AcceptedMessage(
                        message: run.message, catalogVersion: 1, matched: ["rules/r"], runs: [run.id], acceptedAt: replica.time))
            ])
    }

    @Test func `a message that was accepted before starts nothing`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        try replica.submit(run)
        let before = replica.history.count
        let again = try replica.begun("note", 2)
        let outcome = try replica.apply(replica.submit([again], message: run.message))
        #expect(outcome == .duplicate([run.id]))
        #expect(replica.state.runs.count == 1)
        #expect(replica.history.count == before)
        #expect(replica.state.totals.accepted == 1)
    }

    @Test func `a message without runs is accepted and remembered`() throws {
        var replica = try replica()
        let message = Message(id: "x", source: "s", type: "t", data: nil)
        let first = try replica.apply(replica.submit([], message: message))
        let second = try replica.apply(replica.submit([], message: message))
        #expect(first == .done)
        #expect(second == .duplicate([]))
    }

    @Test func `a message matched against another catalog is stale and changes nothing`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        let early = replica.submit([run], message: run.message)
        try replica.activate([changedNote])
        let digest = replica.state.recordDigest
        let outcome = try replica.apply(early)
        #expect(outcome == .stale("catalog version is 2"))
        #expect(replica.state.runs.isEmpty)
        #expect(replica.state.recordDigest == digest)
        #expect(replica.state.dedup.count == 0)
        #expect(replica.history.isEmpty)
    }

    // MARK: Runs

    @Test func `the next state of a run takes the place of the one before`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        try replica.submit(run)
        let leased = try replica.stepped(run, .assigned(task: 0, worker: try NodeID("w-1"), fence: Fence(term: Term(1), assignment: 5)))
        let outcome = try replica.apply(.settle(Settle(from: run, to: leased)))
        #expect(outcome == .done)
        #expect(replica.state.runs[run.id]?.run == leased)
        #expect(replica.state.assignments == 5)
    }

    @Test func `a run that ended leaves the state for the history`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        let empty = replica.state.recordDigest
        try replica.submit(run)
        let ended = try replica.ended(run, .succeeded(5))
        #expect(ended.state == .succeeded)
        try replica.apply(.settle(Settle(from: run, to: ended)))
        #expect(replica.state.runs.isEmpty)
        #expect(replica.history.last == .run(ended))
        #expect(replica.state.recordDigest == empty)
        let totals = replica.state.totals
        #expect([totals.runsStarted, totals.runsEnded, totals.tasksSucceeded] == [1, 1, 1])
    }

    @Test func `a change computed from another revision is stale and changes nothing`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        try replica.submit(run)
        let fence = Fence(term: Term(1), assignment: 1)
        let leased = try replica.stepped(run, .assigned(task: 0, worker: try NodeID("w-1"), fence: fence))
        let other = try replica.stepped(run, .cancel(reason: "x"))
        try replica.apply(.settle(Settle(from: run, to: leased)))
        let digest = replica.state.recordDigest
        let outcome = try replica.apply(.settle(Settle(from: run, to: other)))
        #expect(outcome == .stale("run \(run.id) is at revision \(leased.revision)"))
        #expect(replica.state.recordDigest == digest)
        #expect(replica.state.runs[run.id]?.run == leased)
    }

    @Test func `a change of a run that is not open is stale`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        let other = try replica.stepped(run, .cancel(reason: "x"))
        let outcome = try replica.apply(.settle(Settle(from: run, to: other)))
        #expect(outcome == .stale("run \(run.id) is not open"))
        #expect(replica.history.isEmpty)
    }

    @Test func `a change of a task that the run does not have is stale`() throws {
        var replica = try replica()
        let run = try replica.begun("note", 1)
        try replica.submit(run)
        for place in [-1, 1, 1 << 40] {
            var settle = Settle(from: run, to: run)
            settle.tasks = [.init(place: place, record: run.tasks[0])]
            let outcome = try replica.apply(.settle(settle))
            #expect(outcome == .stale("run \(run.id) has no such task"))
        }
    }

    @Test func `only the tasks that changed are in a change`() throws {
        var replica = Replica()
        try replica.activate([
            workflowText("two", #"{"a": {"use": "transform", "with": {"value": 1}}, "b": {"use": "transform", "with": {"value": 1}}}"#)
        ])
        let run = try replica.begun("two", 1)
        let fence = Fence(term: Term(1), assignment: 1)
        let leased = try replica.stepped(run, .assigned(task: 1, worker: try NodeID("w-1"), fence: fence))
        let settle = Settle(from: run, to: leased)
        #expect(settle.tasks.map(\.place) == [1])
        #expect(settle.applied(to: run) == leased)
    }

    // MARK: Pins

    @Test func `a definition is kept while a run is open that began with it`() throws {
        var replica = try replica()
        let first = try replica.begun("note", 1)
        let second = try replica.begun("note", 2)
        try replica.submit(first)
        try replica.submit(second)
        let original = replica.state.definitions[workflowKey("note")]
        try replica.activate([changedNote])
        #expect(replica.state.definition(of: first) == original)
        try replica.apply(.settle(Settle(from: first, to: try replica.ended(first, .succeeded(1)))))
        #expect(replica.state.definition(of: second) == original)
        try replica.apply(.settle(Settle(from: second, to: try replica.ended(second, .succeeded(1)))))
        #expect(replica.state.definition(of: second) == nil)
        #expect(replica.state.pins.isEmpty)
    }

    @Test func `a run that takes the place of a failed one keeps its definition`() throws {
        var replica = try replica()
        let first = try replica.begun("note", 1, retriesLeft: 1)
        let successor = try replica.begun("note", 2)
        try replica.submit(first)
        let original = replica.state.definitions[workflowKey("note")]
        try replica.activate([changedNote])
        let failed = try replica.ended(first, .failed(TaskError(type: "x", message: "y")))
        try replica.apply(.settle(Settle(from: first, to: failed, successor: successor)))
        #expect(replica.state.runs[successor.id]?.run == successor)
        #expect(replica.state.definition(of: successor) == original)
    }

    @Test func `a run that takes the place of a failed one keeps a definition that was removed`() throws {
        var replica = try replica()
        let first = try replica.begun("note", 1, retriesLeft: 1)
        let successor = try replica.begun("note", 2)
        try replica.submit(first)
        try replica.activate([], removed: [workflowKey("note")])
        let failed = try replica.ended(first, .failed(TaskError(type: "x", message: "y")))
        try replica.apply(.settle(Settle(from: first, to: failed, successor: successor)))
        #expect(replica.state.definition(of: successor) != nil)
    }

    // MARK: The catalog

    @Test func `definitions get the version that brings them`() throws {
        var replica = try replica()
        #expect(replica.state.catalogVersion == 1)
        try replica.activate([workflowText("other", #"{"a": {"use": "transform", "with": {"value": 1}}}"#)])
        #expect(replica.state.definitions[workflowKey("note")]?.version == 1)
        #expect(replica.state.definitions[workflowKey("other")]?.version == 2)
        try replica.activate([], removed: [workflowKey("note"), workflowKey("nothing")])
        #expect(replica.state.definitions[workflowKey("note")] == nil)
        #expect(replica.state.catalogVersion == 3)
    }

    @Test func `an activation against another version is stale`() throws {
        var replica = try replica()
        let outcome = try replica.apply(
            .activate(Activate(expectedVersion: 0, upload: nil, definitions: [try record(changedNote)], removed: [])))
        #expect(outcome == .stale("catalog version is 1"))
        #expect(replica.state.catalogVersion == 1)
    }

    @Test func `staged pieces come into force together`() throws {
        var replica = Replica()
        let bytes = DefinitionBundle.encode([
            try record(note), try record(workflowText("other", #"{"a": {"use": "wait", "with": {"duration": 1}}}"#)),
        ])
        let upload = UUIDv7(high: 5, low: 5)
        let cut = bytes.count / 3
        let first = try replica.apply(.stage(Stage(upload: upload, offset: 0, bytes: Array(bytes[..<cut]))))
        #expect(first == .done)
        let gap = try replica.apply(.stage(Stage(upload: upload, offset: UInt64(cut) + 1, bytes: [1])))
        #expect(gap == .stale("piece at \(cut + 1) does not continue the upload"))
        let early = try replica.apply(.activate(Activate(expectedVersion: 0, upload: upload, definitions: [], removed: [])))
        #expect(early == .stale("the upload cannot be read"))
        #expect(replica.state.catalogVersion == 0)
        let second = try replica.apply(.stage(Stage(upload: upload, offset: UInt64(cut), bytes: Array(bytes[cut...]))))
        #expect(second == .done)
        let done = try replica.apply(.activate(Activate(expectedVersion: 0, upload: upload, definitions: [], removed: [])))
        #expect(done == .done)
        #expect(replica.state.definitions.count == 2)
        #expect(replica.state.definitions.values.allSatisfy { $0.version == 1 })
        #expect(replica.state.uploads.isEmpty)
        let nothing = try replica.apply(.activate(Activate(expectedVersion: 1, upload: upload, definitions: [], removed: [])))
        #expect(nothing == .stale("the upload cannot be read"))
    }

    @Test func `a first piece begins an upload anew`() throws {
        var replica = Replica()
        let bytes = DefinitionBundle.encode([try record(note)])
        let upload = UUIDv7(high: 5, low: 5)
        try replica.apply(.stage(Stage(upload: upload, offset: 0, bytes: [1, 2, 3])))
        try replica.apply(.stage(Stage(upload: upload, offset: 0, bytes: bytes)))
        let outcome = try replica.apply(.activate(Activate(expectedVersion: 0, upload: upload, definitions: [], removed: [])))
        #expect(outcome == .done)
    }

    @Test func `a fifth upload makes the oldest go`() throws {
        var replica = Replica()
        for number in UInt64(1)...5 { try replica.apply(.stage(Stage(upload: UUIDv7(high: number, low: 0), offset: 0, bytes: [1]))) }
        #expect(replica.state.uploads.keys.sorted().map(\.high) == [2, 3, 4, 5])
        let gone = try replica.apply(.stage(Stage(upload: UUIDv7(high: 1, low: 0), offset: 1, bytes: [1])))
        #expect(gone == .stale("piece at 1 does not continue the upload"))
    }

    // MARK: Digest and time

    @Test func `a digest that is not the state's is an error that says where`() throws {
        var replica = try replica()
        replica.state.begin(replica.state.applied.next, term: Term(1), time: replica.time)
        let right = replica.state.digest
        var applied = Applied()
        try replica.state.apply(.digest(right), into: &applied)
        #expect(applied.outcomes == [.done])
        let wrong = StateDigest(high: 1, low: 2)
        let state = replica.state
        #expect(throws: DigestMismatch(index: LogIndex(2), expected: wrong, found: right)) {
            var copy = state
            var output = Applied()
            try copy.apply(.digest(wrong), into: &output)
        }
    }

    @Test func `time and terms are the entries', and time never falls`() throws {
        var state = CoordinatorState(cluster: Rig.cluster)
        state.begin(LogIndex(1), term: Term(3), time: ClusterTime(milliseconds: 500))
        state.begin(LogIndex(2), term: Term(4), time: ClusterTime(milliseconds: 400))
        #expect(state.applied == LogIndex(2))
        #expect(state.appliedTerm == Term(4))
        #expect(state.time == ClusterTime(milliseconds: 500))
    }

    @Test func `every part of a run is in the digest`() throws {
        let replica = try replica()
        let run = try replica.begun("note", 1)
        let changes: [(String, (inout WorkflowRun) -> Void)] = [
            ("revision", { $0.revision += 1 }), ("state", { $0.state = .held }), ("endedAt", { $0.endedAt = ClusterTime(milliseconds: 1) }),
            ("output", { $0.output = Value.null }), ("error", { $0.error = TaskError(type: "x", message: "") }),
            ("task state", { $0.tasks[0].state = .leased }), ("attempts", { $0.tasks[0].attempts += 1 }),
            ("failures", { $0.tasks[0].failures += 1 }), ("losses", { $0.tasks[0].losses += 1 }),
            ("fence", { $0.tasks[0].fence.assignment += 1 }), ("key", { $0.tasks[0].key = "k" }),
            ("input", { $0.tasks[0].input = Value.int(2) }), ("task output", { $0.tasks[0].output = Value.int(3) }),
            ("dueAt", { $0.tasks[0].dueAt = ClusterTime(milliseconds: 2) }),
            ("task error", { $0.tasks[0].error = TaskError(type: "a", message: "b", status: 1) }),
        ]
        let plain = run.stateDigest
        for (name, change) in changes {
            var changed = run
            change(&changed)
            #expect(changed.stateDigest != plain, "\(name)")
        }
    }
}

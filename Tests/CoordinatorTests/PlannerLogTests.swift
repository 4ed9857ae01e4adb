import Cluster
import Coordinator
import HashTreeCollections
import Primitives
import Testing
import Wire
import Workflows

/// What the planner proposes: entries that every replica applies to the same state.
struct PlannerLogTests {
    /// A batch of many messages, some reports and a change of the catalog.
    private func busy(_ limits: Planner.Limits = Planner.Limits()) throws -> Rig {
        var rig = try Rig(limits: limits, slots: 3)
        var open: [TaskAssignment] = []
        for round in 0..<6 {
            var inputs: [Planner.Input] = []
            for (place, type) in ["order", "note", "fragile", "pause"].enumerated() { inputs.append(rig.input(type, round * 10 + place)) }
            for assignment in open.prefix(3) {
                inputs.append(rig.report(assignment, round % 2 == 0 ? .succeeded(["by": .string(assignment.task)]) : .lost))
            }
            open.removeFirst(min(3, open.count))
            open += rig.handle(inputs).assignments
            open += rig.pass(.seconds(30)).assignments
        }
        return rig
    }

    @Test func `replaying the log gives the planner's state after every entry`() throws {
        let rig = try busy()
        var state = try replayed([])
        for proposal in rig.log {
            state = try replayed([proposal], from: state)
            #expect(state.digest == proposal.state.digest, "entry \(proposal.index)")
            #expect(state.totals == proposal.state.totals, "entry \(proposal.index)")
        }
        #expect(state.digest == rig.planner.state.digest)
        #expect(StateCodec.encode(state) == StateCodec.encode(rig.planner.state))
    }

    @Test func `entries follow each other without a gap`() throws {
        let rig = try busy()
        #expect(rig.log.map(\.index) == (1...rig.log.count).map { LogIndex(UInt64($0)) })
    }

    @Test func `the history of an entry is what replaying it gives`() throws {
        let rig = try busy()
        var state = try replayed([])
        for proposal in rig.log {
            let (time, commands) = try CommandCodec.decode(proposal.payload)
            state.begin(proposal.index, term: Term(1), time: time)
            var applied = Applied()
            for command in commands { try state.apply(command, into: &applied) }
            #expect(applied.history == proposal.history, "entry \(proposal.index)")
            let isDone = applied.outcomes.allSatisfy { $0 == .done }
            #expect(isDone, "entry \(proposal.index): \(applied.outcomes)")
        }
    }

    @Test func `an entry that is full is closed, and the batch goes on in the next`() throws {
        var limits = Planner.Limits()
        limits.entryBytes = 1500
        var rig = try Rig(limits: limits, slots: 100)
        let inputs = (1...20).map { number in rig.input("order", number) }
        let output = rig.handle(inputs)
        #expect(output.proposals.count > 3)
        let largest = output.proposals.map(\.payload.count).max() ?? 0
        #expect(largest < 1500 + 2000)
        #expect(output.answers.count == 20)
        let indices = Set(output.proposals.map(\.index))
        #expect(output.answers.allSatisfy { indices.contains($0.index) })
        #expect(output.dispatches.allSatisfy { indices.contains($0.index) })
        // An answer waits for the very entry that holds its message.
        for proposal in output.proposals {
            let ids = try commands([proposal]).flatMap { command -> [RunID] in
                if case .submit(let submit) = command { return submit.runs.map(\.id) }
                return []
            }
            let answered = output.answers.filter { $0.index == proposal.index }.flatMap { item -> [RunID] in
                if case .accepted(let runs, _) = item.answer { return runs }
                return []
            }
            #expect(ids == answered, "entry \(proposal.index)")
        }
        let state = try replayed(rig.log)
        #expect(state.digest == rig.planner.state.digest)
    }

    @Test func `after so many entries one carries the digest, which a replica verifies`() throws {
        var limits = Planner.Limits()
        limits.digestEvery = 3
        let rig = try busy(limits)
        var since = 0
        var digests = 0
        for proposal in rig.log {
            since += 1
            let last = try commands([proposal]).last
            guard case .digest(let digest)? = last else {
                #expect(since < 3, "entry \(proposal.index)")
                continue
            }
            #expect(digest == proposal.state.digest)
            #expect(since == 3)
            since = 0
            digests += 1
        }
        #expect(digests > 2)
        let state = try replayed(rig.log)
        #expect(state.digest == rig.planner.state.digest)
    }

    @Test func `a replica whose state differs finds out at the next digest`() throws {
        var limits = Planner.Limits()
        limits.digestEvery = 4
        let rig = try busy(limits)
        let other = CoordinatorState(cluster: UUIDv7(high: 1, low: 1))
        #expect(throws: DigestMismatch.self) { _ = try replayed(rig.log, from: other) }
    }

    @Test func `nothing to do proposes nothing`() throws {
        var rig = try Rig()
        let output = rig.handle([])
        #expect(output.proposals.isEmpty)
        #expect(output.answers.isEmpty)
        #expect(output.notices.isEmpty)
    }

    // MARK: Restart

    @Test func `a new leader goes on with what was open`() throws {
        var rig = try Rig(slots: 1)
        let first = rig.submit("order", 1)
        let second = rig.submit("order", 2)
        rig.submit("pause", 3)
        let before = rig.planner.state.digest
        try rig.restart()
        #expect(rig.planner.state.digest == before)
        #expect(rig.planner.term == Term(2))
        let pay = try #require(first.assignments.first)
        let held = rig.planner.leased(to: rig.worker)
        #expect(held.map(\.fence) == [pay.fence])
        #expect(held.map(\.run) == first.accepted)
        let nobody = rig.planner.leased(to: try NodeID("w-9"))
        #expect(nobody.isEmpty)
        #expect(rig.planner.ready.count == 1)
        let joined = rig.handle([.join(rig.worker, slots: 1, light: 8)])
        #expect(joined.assignments.isEmpty)
        #expect(rig.planner.placement.runningTasks == 1)
        let next = rig.end(pay)
        #expect(next.assignments.map(\.task).sorted() == ["pay", "ship"])
        let payments = next.assignments.filter { $0.task == "pay" }
        #expect(payments.map(\.run) == second.accepted)
        let late = rig.pass(.seconds(100))
        #expect(late.ended.map(\.workflow) == ["pause"])
    }

    @Test func `a message accepted before a restart is known after it`() throws {
        var rig = try Rig()
        let first = rig.submit("order", 1)
        try rig.restart()
        let again = rig.submit("order", 1)
        #expect(again.firstAnswer == .accepted(runs: first.accepted, duplicate: true))
    }

    @Test func `what is proposed can be read back, however deep results nest`() throws {
        let (open, close) = (String(repeating: "[", count: 50), String(repeating: "]", count: 50))
        var tasks = [#""t0": {"use": "transform", "with": {"value": 1}}"#]
        for place in 1...7 {
            let value = open + #""${{ tasks.t\#(place - 1).output }}""# + close
            tasks.append(#""t\#(place)": {"depends_on": "t\#(place - 1)", "use": "transform", "with": {"value": \#(value)}}"#)
        }
        var rig = try Rig(definitions: [
            ruleSetText("[\(ruleText("deep", starts: "deep"))]"), workflowText("deep", "{\(tasks.joined(separator: ", "))}"),
        ])
        var next = rig.submit("deep").assignments
        while let assignment = next.popLast() {
            // What a worker does with a transform.
            next += rig.end(assignment, .succeeded(assignment.input["value"] ?? .null)).assignments
        }
        #expect(rig.openRuns == 0)
        let state = try replayed(rig.log)
        #expect(state.digest == rig.planner.state.digest)
    }
}

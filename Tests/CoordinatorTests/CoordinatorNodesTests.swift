import HashTreeCollections
import Observability
import Primitives
import Raft
import Storage
import Synchronization
import Testing
import Wire
import Workflows

@testable import Cluster
@testable import Coordinator

/// Three coordinators in one process are one state: the one that leads plans, the others apply what is committed (LoopThread.swift).
@Suite(.serialized, .timeLimit(.minutes(4)))
struct CoordinatorNodesTests {
    /// All of them have applied the same, and this is in it.
    private func expect(_ states: [CoordinatorState], runs: [RunID], accepted: UInt64, _ note: Comment? = nil) {
        for state in states {
            #expect(state.digest == states[0].digest, note)
            #expect(state.totals.accepted == accepted, note)
            let missing = runs.filter { state.runs[$0] == nil }
            #expect(missing.isEmpty, note)
        }
    }

    // MARK: Leading and following

    @Test func `what the leader accepts is in the state of all`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            var runs: [RunID] = []
            for number in 0..<20 { runs += try await stage.submit(numbered("note", number)) }
            try await stage.submit(numbered("seen", 1))
            #expect(runs.count == 20)
            let states = try await stage.settled()
            #expect(states.count == 3)
            expect(states, runs: runs, accepted: 21)
            #expect(states.allSatisfy { $0.catalogVersion == 1 && $0.runs.count == 20 })
            for member in stage.members {
                #expect(member.node.loop.catalog.version == 1, "whoever follows has the rules compiled, for when it leads")
                #expect(member.node.loop.standstill == nil)
                #expect(member.node.loop.storageFailure == nil)
                let kept = try member.node.history.newest(.message, limit: 100) { _ in true }.items
                #expect(kept.count == 21, "and the history of its own disk")
            }
        }
    }

    @Test func `whoever follows takes messages, refuses every other request, and says who leads`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            _ = try await stage.settled()
            let (verdicts, answers, leader) = try await stage.withLeader { leader -> ([Intake.Verdict], [Planner.Answer], NodeID)? in
                let follower = stage.others(than: leader)[0].node
                guard follower.raft.leader == leader.id, follower.loop.catalog.version == 1 else { return nil }
                let verdicts = await follower.intake.submit([numbered("note", 1), numbered("note", 2)], trace: nil)
                let answers = await follower.loop.ask([.cancel(RunID(high: 1, low: 1), reason: "test")])
                guard follower.raft.leader == leader.id, leader.isLeading else { return nil }
                return (verdicts, answers, leader.id)
            }
            #expect(verdicts.allSatisfy { !$0.isRefusal }, "\(verdicts)")
            #expect(answers == [.busy("this node does not lead the cluster ('\(leader)' leads); send it there")])
            let states = try await stage.settled()
            expect(states, runs: [], accepted: 2)
        }
    }

    @Test func `only one node says that it plans, and after it has handed over another one`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            let old = try await stage.withLeader { leader in
                (try? await leader.node.raft.transfer(to: nil)) == nil ? nil : leader
            }
            var leading: [NodeID] = []
            let hasMoved = await eventually {
                leading = stage.members.filter(\.isLeading).map(\.id)
                return leading.count == 1 && leading != [old.id]
            }
            #expect(hasMoved, "\(leading) after \(old.id)")
        }
    }

    // MARK: Leaders that change

    /// What became of messages that several senders sent, each in groups.
    private struct Sent: Sendable {
        var runs: [RunID] = []
        var messages = 0
    }

    /// Sends until all of it is kept, while `meanwhile` is done once for each step of so many messages that have been.
    private func stream(
        _ members: [CoordinatorMember], steps: Int, _ meanwhile: @escaping @Sendable (Int) async throws -> Void
    ) async throws -> Sent {
        let (senders, groups, size) = (4, 12, 3)
        let step = senders * groups * size / (steps + 1)
        let kept = Kept<RunID>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for sender in 0..<senders {
                group.addTask {
                    for number in 0..<groups {
                        let messages = (0..<size).map { numbered("note", (sender * groups + number) * size + $0) }
                        for run in try await members.submit(messages).flatMap(\.self) { kept.add(run) }
                    }
                }
            }
            group.addTask {
                for number in 0..<steps {
                    _ = await eventually { kept.all.count >= number * step }
                    try await meanwhile(number)
                }
            }
            try await group.waitForAll()
        }
        return Sent(runs: kept.all, messages: senders * groups * size)
    }

    @Test func `while leadership moves each request is answered once, and what was accepted is in all states`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            let members = stage.members
            let sent = try await stream(members, steps: 6) { _ in
                _ = try await members.withLeader { leader in try? await leader.node.raft.transfer(to: nil) }
            }
            #expect(sent.runs.count == sent.messages)
            #expect(Set(sent.runs).count == sent.messages, "a message that is sent again starts nothing twice")
            let states = try await stage.settled()
            expect(states, runs: sent.runs, accepted: UInt64(sent.messages))
            #expect(states.allSatisfy { $0.runs.count == sent.messages })
        }
    }

    @Test func `entries of the log's own in the middle of planning lose nothing`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            let (members, voters, learner) = (stage.members, stage.founders, try NodeID("c-9"))
            let sent = try await stream(members, steps: 12) { number in
                _ = try await members.withLeader { leader in
                    try? await leader.node.raft.change(voters: voters, learners: number % 2 == 0 ? [learner] : [], basedOn: nil)
                }
            }
            #expect(Set(sent.runs).count == sent.messages)
            let states = try await stage.settled()
            expect(states, runs: sent.runs, accepted: UInt64(sent.messages))
            let raft = stage.members[0].node.raft
            var (changes, at) = (0, LogIndex.zero)
            while at < states[0].applied {
                let entries = try raft.entries(after: at, through: states[0].applied)
                changes += entries.count { $0.kind == .configuration }
                at = entries.last?.index ?? states[0].applied
            }
            #expect(changes >= 12)
            #expect(raft.status.voters == voters)
            #expect(raft.status.learners.isEmpty)
        }
    }

    @Test func `members that come and go while messages are taken lose none of them`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            let (members, founders) = (stage.members, stage.founders)
            let sent = try await stream(members, steps: 4) { number in
                // One that follows is taken out, and comes back.
                _ = try await members.withLeader { leader -> LogIndex? in
                    let status = leader.node.raft.status
                    guard status.outgoing.isEmpty, status.target.isEmpty else { return nil }
                    let gone = founders.first { $0 != leader.id }
                    let voters = number % 2 == 0 ? founders.filter { $0 != gone } : founders
                    return try? await leader.node.raft.change(voters: voters, learners: [], basedOn: status.configurationIndex)
                }
            }
            let isWhole = await eventually {
                members.map(\.node.raft.status).allSatisfy { $0.voters == founders && $0.outgoing.isEmpty && $0.target.isEmpty }
            }
            #expect(isWhole)
            let states = try await stage.settled()
            #expect(Set(sent.runs).count == sent.messages)
            expect(states, runs: sent.runs, accepted: UInt64(sent.messages))
        }
    }
}

import HashTreeCollections
import NIOCore
import NIOPosix
import Observability
import Primitives
import Raft
import Testing
import Transport
import Wire
import Workflows

@testable import Cluster
@testable import Coordinator

/// Messages come in at every coordinator: those that do not lead match them and pass them on in batches (Intake.swift, IntakeForwarder.swift, ForwardDoor.swift).
@Suite(.serialized, .timeLimit(.minutes(4)))
struct IntakeForwardingTests {
    private func runs(_ verdicts: [Intake.Verdict]) -> [RunID] {
        verdicts.flatMap { verdict in if case .accepted(_, _, let runs, _) = verdict { runs } else { [RunID]() } }
    }

    /// Those that follow know who leads and have the rules.
    private func ready(_ stage: CoordinatorStage) async throws -> CoordinatorMember {
        try await stage.activate()
        return try await stage.withLeader { leader in
            stage.members.allSatisfy { $0.node.raft.leader == leader.id && $0.node.loop.catalog.version == 1 } ? leader : nil
        }
    }

    // MARK: Passing on

    @Test func `what comes to those that follow is matched there and accepted by the leader, once`() async throws {
        try await withCoordinators { stage in
            let leader = try await ready(stage)
            let followers = stage.others(than: leader)
            let kept = Kept<RunID>()
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<60 {
                    let intake = followers[number % 2].node.intake
                    group.addTask {
                        let found = await intake.submit([numbered("note", number), numbered("seen", number)], trace: nil)
                        guard case .accepted(1, ["rules/note"], let runs, false) = found[0], runs.count == 1,
                            case .accepted(1, ["rules/seen"], [], false) = found[1]
                        else {
                            Issue.record("\(number): \(found)")
                            return
                        }
                        kept.add(runs[0])
                    }
                }
            }
            #expect(Set(kept.all).count == 60)
            let states = try await stage.settled()
            for state in states {
                #expect(state.digest == states[0].digest)
                #expect(state.totals.accepted == 120)
                #expect(kept.all.allSatisfy { state.runs[$0] != nil })
            }
            // The same under the same id, at each of them, is a duplicate with the runs of the first.
            for member in stage.members {
                let found = await member.node.intake.submit([numbered("note", 5)], trace: nil)
                guard case .accepted(1, ["rules/note"], let runs, true) = found[0] else {
                    Issue.record("\(member.id): \(found)")
                    continue
                }
                #expect(runs.count == 1 && kept.all.contains(runs[0]))
            }
            let passed = followers.reduce(0) { $0 + $1.metric("distric_intake_forward_messages_total", "accepted") }
            #expect(passed >= 120)
            #expect(leader.metric("distric_intake_forward_taken_total") >= 120)
            #expect(followers.reduce(0) { $0 + $1.metric("distric_messages_accepted_total") } == 120)
        }
    }

    @Test func `that no rule holds is said after a round for many, by whoever was asked`() async throws {
        try await withCoordinators { stage in
            let leader = try await ready(stage)
            for member in [leader, stage.others(than: leader)[0]] {
                let before = member.metric("distric_intake_read_rounds_total")
                let messages = (0..<50).map { numbered("nobody", $0) }
                let verdicts = await member.node.intake.submit(messages, trace: nil)
                #expect(verdicts == [Intake.Verdict](repeating: .unmatched(catalogVersion: 1), count: 50), "\(member.id)")
                #expect(member.metric("distric_intake_read_rounds_total") - before >= 1)
                #expect(member.metric("distric_intake_read_rounds_total") - before < 10, "one for all of them, or again after a failure")
                #expect(member.node.intake.recentUnmatched.count == 50)
            }
            #expect(try await stage.settled().allSatisfy { $0.totals.accepted == 0 })
        }
    }

    @Test func `a follower that has an older catalog matches again, under the same id`() async throws {
        try await withCoordinators { stage in
            let leader = try await ready(stage)
            let follower = stage.others(than: leader)[0]
            let old = try #require(follower.node.loop.catalog.version == 1 ? follower.node.loop.catalog : nil)
            let later = ruleSetText("[\(ruleText("fresh", starts: "note"))]", name: "later")
            _ = try await stage.withLeader { leader -> Bool? in
                let catalog = leader.node.loop.catalog
                guard catalog.version == 1 else { return true }
                let (next, records) = try catalog.adding(try parsed([later]), removing: [], namespace: .default)
                return await leader.node.loop.ask([.activate(next, records: records, removed: [])]) == [.activated(2)] ? true : nil
            }
            // At once, whether the follower has heard of it or not: what it says of its own catalog is confirmed.
            let verdicts = await follower.node.intake.submit([numbered("fresh", 1), numbered("note", 1)], trace: nil)
            guard case .accepted(2, ["later/fresh"], let fresh, false) = verdicts[0],
                case .accepted(2, ["rules/note"], let note, false) = verdicts[1]
            else {
                Issue.record("\(verdicts)")
                return
            }
            #expect(fresh.count == 1 && note.count == 1)
            // Matched by what is not in force any more, it is not taken.
            var generator = SeededGenerator(seed: 1)
            let stale = Planner.Submission.begin(
                numbered("note", 2), workflow: "note", rule: "rules/note", catalog: old, wall: ClusterTime(milliseconds: 1),
                generator: &generator)
            let answer = try await stage.withLeader { leader -> ForwardMessagesReply? in
                try? await leader.node.forwardDoor.answer(
                    ForwardedBatch.call([stale], traces: [nil], time: .zero), from: follower.id, 77, 1)
            }
            #expect(answer.results == [ForwardResult(.rematch, catalogVersion: 2)])
            #expect(try await stage.settled().allSatisfy { $0.totals.accepted == 2 })
        }
    }

    // MARK: Once

    @Test func `a batch that comes again gets the answer of the first, and starts nothing twice, also at the next leader`() async throws {
        try await withCoordinators { stage in
            let leader = try await ready(stage)
            let sender = stage.others(than: leader)[0].id
            var generator = SeededGenerator(seed: 4)
            let submissions = (0..<5).map { number in
                Planner.Submission.begin(
                    numbered("note", number), workflow: "note", rule: "rules/note", catalog: leader.node.loop.catalog,
                    wall: leader.telemetry.clock.wall, generator: &generator)
            }
            let call = ForwardedBatch.call(submissions, traces: [nil, nil, nil, nil, nil], time: leader.telemetry.clock.wall)
            let ids = submissions.map { $0.runs[0].id }
            func ask(_ session: UInt64) async throws -> [ForwardResult] {
                try await stage.withLeader { leader -> [ForwardResult]? in
                    guard let reply = try? await leader.node.forwardDoor.answer(call, from: sender, session, 1),
                        reply.results.allSatisfy({ $0.outcome == .accepted })
                    else { return nil }
                    return reply.results
                }
            }
            // Some at once.
            let members = stage.members
            let found = await withTaskGroup(of: [ForwardResult].self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        (try? await members.withLeader { leader -> [ForwardResult]? in
                            try? await leader.node.forwardDoor.answer(call, from: sender, 9, 1).results
                        }) ?? []
                    }
                }
                return await group.reduce(into: [[ForwardResult]]()) { $0.append($1) }
            }
            #expect(found.count == 8)
            for results in found {
                #expect(results.map(\.runs) == ids.map { [$0] })
                #expect(results.allSatisfy { $0.outcome == .accepted })
            }
            #expect(try await ask(9).map(\.runs) == ids.map { [$0] })
            _ = try await stage.withLeader { leader in (try? await leader.node.raft.transfer(to: nil)) == nil ? nil : leader }
            let again = try await ask(9)
            #expect(again.map(\.runs) == ids.map { [$0] }, "it knows nothing of the session, and the log knows the ids")
            let states = try await stage.settled()
            #expect(states.allSatisfy { $0.totals.accepted == 5 && $0.runs.count == 5 })
        }
    }

    @Test func `what comes to all of them while leaders change is accepted once, and none has to be sent again`() async throws {
        try await withCoordinators { stage in
            _ = try await ready(stage)
            let members = stage.members
            let (senders, each) = (6, 40)
            let kept = Kept<(id: String, runs: [RunID], isDuplicate: Bool)>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for sender in 0..<senders {
                    let intake = members[sender % 3].node.intake
                    group.addTask {
                        for number in 0..<each {
                            let message = numbered("note", sender * each + number)
                            // No election takes so long; whoever sends never has to.
                            let verdict = await intake.submit([message], trace: nil, within: .seconds(60))[0]
                            guard case .accepted(1, _, let runs, let isDuplicate) = verdict else {
                                Issue.record("\(message.id): \(verdict)")
                                continue
                            }
                            kept.add((message.id, runs, isDuplicate))
                        }
                    }
                }
                group.addTask {
                    for step in 1...6 {
                        _ = await eventually { kept.all.count >= step * senders * each / 8 }
                        _ = try await members.withLeader { leader in try? await leader.node.raft.transfer(to: nil) }
                    }
                }
                try await group.waitForAll()
            }
            let all = kept.all
            #expect(all.count == senders * each)
            #expect(all.allSatisfy { $0.runs.count == 1 })
            #expect(Set(all.flatMap(\.runs)).count == senders * each)
            #expect(all.allSatisfy { !$0.isDuplicate }, "what the leader before has put into the log is the message itself")
            let states = try await stage.settled()
            for state in states {
                #expect(state.digest == states[0].digest)
                #expect(state.totals.accepted == UInt64(senders * each))
                #expect(all.allSatisfy { state.runs[$0.runs[0]] != nil })
            }
        }
    }

    @Test func `who is cut off from all says so in time, and what it says nothing of is not kept twice`() async throws {
        try await withCoordinators { stage in
            let leader = try await ready(stage)
            let follower = stage.others(than: leader)[0]
            follower.cut(to: stage.others(than: follower).map(\.id))
            for member in stage.others(than: follower) { member.cut(to: [follower.id]) }
            let verdicts = await follower.node.intake.submit([numbered("note", 1)], trace: nil, within: .milliseconds(600))
            #expect(verdicts.allSatisfy { $0.isRefusal }, "\(verdicts)")
            let unmatched = await follower.node.intake.submit([numbered("nobody", 1)], trace: nil, within: .milliseconds(100))
            #expect(unmatched.allSatisfy { $0.isRefusal }, "nobody has confirmed that no rule holds: \(unmatched)")
            for member in stage.members { for other in stage.members { member.faults.set(LinkFault(), to: other.id) } }
            let message = numbered("note", 1)
            var accepted: [RunID] = []
            let isKept = await eventually {
                accepted = runs(await follower.node.intake.submit([message], trace: nil))
                return accepted.count == 1
            }
            #expect(isKept)
            #expect(try await stage.settled().allSatisfy { $0.totals.accepted == 1 && $0.runs.count == 1 && $0.runs[accepted[0]] != nil })
        }
    }

    // MARK: Bounds

    @Test func `beyond the open runs that may be, what would begin one is refused, and all else is taken`() async throws {
        var settings = CoordinatorStage.settings
        settings.limits.openRuns = 3
        try await withCoordinators(3, settings) { stage in
            let leader = try await ready(stage)
            let follower = stage.others(than: leader)[0]
            let verdicts = await follower.node.intake.submit((0..<5).map { numbered("note", $0) }, trace: nil)
            #expect(verdicts.count { if case .accepted = $0 { true } else { false } } == 3, "\(verdicts)")
            #expect(verdicts.count { if case .full(let why) = $0 { why.contains("intake.max_open_runs") } else { false } } == 2)
            _ = try await stage.settled()
            for member in stage.members {
                let more = await member.node.intake.submit([numbered("note", 9), numbered("seen", 9), numbered("note", 0)], trace: nil)
                guard case .full = more[0], case .accepted(1, ["rules/seen"], [], _) = more[1] else {
                    Issue.record("\(member.id): \(more)")
                    continue
                }
                guard case .accepted(1, ["rules/note"], let runs, true) = more[2], runs.count == 1 else {
                    Issue.record("\(member.id): what was accepted before begins nothing: \(more[2])")
                    continue
                }
            }
            #expect(follower.metric("distric_intake_shed_total", "open_runs") >= 2)
            #expect(try await stage.settled().allSatisfy { $0.runs.count == 3 })
        }
    }

    @Test func `more than may be in at once is refused, and what is let in is all accepted`() async throws {
        var settings = CoordinatorStage.settings
        settings.intake.messages = 20
        try await withCoordinators(3, settings) { stage in
            let leader = try await ready(stage)
            let follower = stage.others(than: leader)[0]
            let found = Kept<Intake.Verdict>()
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        for verdict in await follower.node.intake.submit([numbered("note", number)], trace: nil) { found.add(verdict) }
                    }
                }
            }
            let accepted = Set(runs(found.all))
            let refused = found.all.count { if case .busy(let why) = $0 { why.contains("(intake.max_waiting)") } else { false } }
            #expect(accepted.count + refused == 200, "\(found.all.filter(\.isRefusal).prefix(3))")
            #expect(accepted.count >= 20)
            #expect(follower.metric("distric_intake_shed_total", "messages") == Double(refused))
            #expect(follower.metric("distric_intake_waiting") == 0)
            let states = try await stage.settled()
            #expect(states.allSatisfy { $0.runs.count == accepted.count && accepted.isSubset(of: Set($0.runs.keys)) })
        }
    }

    // MARK: Who may

    @Test func `only coordinators of the cluster pass on messages, and only what can be read`() async throws {
        try await withCoordinators { stage in
            let leader = try await ready(stage)
            let peer = stage.others(than: leader)[0]
            let address = try #require(leader.own.current.address.flatMap { try? PeerAddress($0) })
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            func client(_ node: NodeID?) -> RPCClient { CoordinatorMember.caller(node, group) }
            func code(_ client: RPCClient, _ call: ForwardMessages, _ sequence: UInt64?) async -> CallError.Code? {
                do throws(CallError) {
                    _ = try await client.call(call, to: address, attached: FrameExtension(trace: nil, session: 5, sequence: sequence))
                    return nil
                } catch {
                    return error.code
                }
            }
            let (nobody, stranger, own) = (client(nil), client(try NodeID("x-1")), client(peer.id))
            let empty = ForwardMessages()
            for client in [nobody, stranger] { #expect(await code(client, empty, 1) == .denied) }
            #expect(await code(own, empty, nil) == .invalid, "without a number")
            #expect(await code(own, empty, 1) == .invalid, "without a message")
            var other = empty
            other.group = 1
            #expect(await code(own, other, 2) == .invalid)
            var garbage = empty
            garbage.entry = [UInt8](repeating: 0xFF, count: 64)
            #expect(await code(own, garbage, 3) == .invalid)
            #expect(try await stage.settled().allSatisfy { $0.totals.accepted == 0 })
            for client in [nobody, stranger, own] { client.close() }
            try? await group.shutdownGracefully()
        }
    }
}

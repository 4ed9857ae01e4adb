import Observability
import Primitives
import Raft
import Storage
import Testing
import Transport
import Wire

@testable import Cluster

/// Who belongs to a group, as its servers agree on it and tell of it (RaftDriver+Asking.swift, RaftPeers.swift; Raft section 6).
@Suite(.serialized, .timeLimit(.minutes(3)))
struct RaftMembersTests {
    /// Asks the leader for these, again where it cannot just then.
    private func change(
        _ stage: RaftStage, _ voters: [NodeID], learners: [NodeID] = []
    ) async throws -> LogIndex {
        try await stage.withLeader { leader, status in
            try? await leader.driver.change(voters: voters, learners: learners, basedOn: status.configurationIndex)
        }
    }

    private func refusal(_ body: () async throws(RaftRefusal) -> Void) async -> RaftRefusal? {
        do throws(RaftRefusal) {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    private func ids(_ numbers: Int...) throws -> [NodeID] { try numbers.map { try RaftStage.id($0) } }

    /// Whether everybody that belongs to it knows that these vote, and that no change is under way.
    private func settled(_ members: [RaftMember], _ voters: [NodeID], learners: [NodeID] = []) async -> Bool {
        await eventually {
            members.map(\.status).allSatisfy { status in
                status.voters == voters && status.learners == learners && status.outgoing.isEmpty && status.target.isEmpty
                    && status.configurationIndex <= status.commitIndex
            }
        }
    }

    // MARK: Changing

    @Test func `a fourth server gets all of the log and votes, and one that is removed is let go`() async throws {
        try await withRaft { stage in
            try await stage.commit((0..<100).map { [UInt8](repeating: UInt8($0), count: 500) })
            let fourth = try await stage.add(4, voters: [])
            #expect(fourth.status.voters.isEmpty)
            stage.introduce()
            let index = try await change(stage, try ids(1, 2, 3, 4))
            let isFourth = await settled(stage.members, try ids(1, 2, 3, 4))
            #expect(isFourth)
            let last = try await stage.commit([[1]])
            let haveAll = await stage.haveCommitted(last)
            #expect(haveAll)
            let logs = try stage.members.map { try $0.log(through: last) }
            for log in logs { #expect(log == logs[0]) }
            #expect(logs[0][Int(index.number) - 1].kind == .configuration)
            // One that follows goes.
            let gone = try await stage.withLeader { leader, status -> RaftMember? in
                let gone = stage.others(than: leader)[0]
                let voters = status.voters.filter { $0 != gone.id }
                _ = try? await leader.driver.change(voters: voters, learners: [], basedOn: status.configurationIndex)
                return leader.status.voters == voters || leader.status.outgoing.contains(gone.id) ? gone : nil
            }
            let rest = stage.members.filter { $0 !== gone }
            let isOut = await settled(rest, rest.map(\.id))
            #expect(isOut)
            let isForgotten = try await stage.withLeader { leader, status -> Bool? in
                status.peers.contains { $0.node == gone.id } ? nil : true
            }
            #expect(isForgotten)
            let end = try await stage.commit([[2]])
            let haveRest = await eventually { rest.allSatisfy { $0.status.commitIndex >= end } }
            #expect(haveRest)
        }
    }

    @Test func `a server that nobody could reach is a voter once it is found`() async throws {
        try await withRaft { stage in
            let fourth = try await stage.add(4, voters: [])
            _ = try await change(stage, try ids(1, 2, 3, 4))
            let isWaiting = await settledAsLearner(stage, fourth)
            #expect(isWaiting)
            stage.introduce()
            let isVoter = await settled(stage.members, try ids(1, 2, 3, 4))
            #expect(isVoter)
        }
    }

    private func settledAsLearner(_ stage: RaftStage, _ newcomer: RaftMember) async -> Bool {
        await eventually {
            stage.others(than: newcomer).map(\.status).allSatisfy { $0.learners == [newcomer.id] && $0.target.contains(newcomer.id) }
        }
    }

    @Test func `a leader that is removed hands over, and the others go on`() async throws {
        try await withRaft { stage in
            let (gone, rest) = try await stage.withLeader { leader, status -> (RaftMember, [NodeID])? in
                let rest = status.voters.filter { $0 != leader.id }
                guard (try? await leader.driver.change(voters: rest, learners: [], basedOn: nil)) != nil else { return nil }
                return (leader, rest)
            }
            let others = stage.others(than: gone)
            let isOut = await settled(others, rest)
            #expect(isOut)
            var leads = false
            let isLed = await eventually {
                leads = gone.status.isLeader
                return !leads && others.contains { $0.status.isLeader }
            }
            #expect(isLed)
            let last = try await stage.commit([[1]])
            let haveAll = await eventually { others.allSatisfy { $0.status.commitIndex >= last } }
            #expect(haveAll)
        }
    }

    @Test func `a learner has the log and does not vote`() async throws {
        try await withRaft { stage in
            let fourth = try await stage.add(4, voters: [])
            stage.introduce()
            _ = try await change(stage, try ids(1, 2, 3), learners: [fourth.id])
            let isLearner = await settled(stage.members, try ids(1, 2, 3), learners: [fourth.id])
            #expect(isLearner)
            let last = try await stage.commit([[1]])
            let haveAll = await stage.haveCommitted(last)
            #expect(haveAll)
            let peer = try await stage.withLeader { leader, status in status.peers.first { $0.node == fourth.id } }
            #expect(!peer.isVoter)
            let quorum = try await stage.leader().status.quorum
            #expect(quorum.need == 2 && quorum.of == 3)
        }
    }

    @Test func `a change is refused with the reason, and only on the leader`() async throws {
        try await withRaft { stage in
            _ = try await stage.leader()
            func refused(_ voters: [NodeID], basedOn: LogIndex?) async throws -> (RaftRefusal, RaftStatus) {
                try await stage.withLeader { leader, status in
                    let found = await refusal { () async throws(RaftRefusal) in
                        _ = try await leader.driver.change(voters: voters, learners: [], basedOn: basedOn)
                    }
                    switch found {
                    case .notLeader?, .notReady?, nil: return nil
                    case .some(let reason): return (reason, status)
                    }
                }
            }
            let (none, _) = try await refused([], basedOn: nil)
            #expect(none == .noVoters)
            let (stale, status) = try await refused(try ids(1, 2), basedOn: LogIndex(999))
            #expect(stale == .staleConfiguration(at: status.configurationIndex))
        }
    }

    @Test func `a change to voters of whom too few answer is refused`() async throws {
        try await withRaft { stage in
            let (leader, _) = try await stage.leader()
            let gone = stage.others(than: leader)[0]
            await stage.stop(gone)
            let found = try await stage.withLeader { leader, status -> [RaftRefusal]? in
                let peer = status.peers.first { $0.node == gone.id }
                // For so long it still counts as one that answers.
                guard peer?.silentFor.map({ $0 > RaftStage.settings.raft.electionTimeout.upperBound * 2 }) == true else { return nil }
                let found = await refusal { () async throws(RaftRefusal) in
                    _ = try await leader.driver.change(voters: [leader.id, gone.id], learners: [], basedOn: nil)
                }
                if case .notLeader? = found { return nil }
                return found.map { [$0] } ?? []
            }
            #expect(found == [.withoutQuorum(answering: 1, of: 2)])
        }
    }

    // MARK: Status

    @Test func `a leader tells how far each of the others is, and of itself`() async throws {
        try await withRaft { stage in
            let last = try await stage.commit([[1], [2], [3]])
            let (leader, status) = try await stage.withLeader { leader, _ -> (RaftMember, RaftStatus)? in
                let status = leader.status
                let isQuiet = status.peers.allSatisfy { $0.state == "replicate" && $0.matchIndex == status.lastIndex && $0.isConnected }
                return isQuiet && status.lastIndex >= last && status.durableIndex == status.lastIndex ? (leader, status) : nil
            }
            let others = stage.others(than: leader).sorted { $0.id < $1.id }
            #expect(status.node == leader.id)
            #expect(status.role == "leader")
            #expect(status.leader == leader.id)
            #expect(status.commitIndex == status.lastIndex)
            #expect(status.voters == (try ids(1, 2, 3)))
            #expect(status.learners.isEmpty && status.outgoing.isEmpty && status.target.isEmpty)
            #expect(status.configurationIndex == .zero, "the cluster's first, which is in no entry")
            #expect(status.firstIndex == LogIndex(1))
            #expect(status.snapshotIndex == .zero)
            #expect(status.logBytes > 0)
            #expect(status.quorum.need == 2 && status.quorum.of == 3)
            #expect(!status.isRecovering)
            #expect(status.transferTo == nil)
            #expect(status.elections.last?.leader == leader.id)
            #expect(status.peers.map(\.node) == others.map(\.id))
            for (peer, other) in zip(status.peers, others) {
                #expect(peer.isVoter)
                #expect(peer.address == other.own.current.address)
                #expect(peer.lag == 0)
                #expect(peer.nextIndex == status.lastIndex.next)
                #expect(peer.silentFor != nil)
                #expect(peer.snapshotChunks == nil)
            }
        }
    }

    @Test func `who follows knows who leads and who belongs to it, and not how far they are`() async throws {
        try await withRaft { stage in
            let (status, leader) = try await stage.withLeader { leader, _ -> (RaftStatus, NodeID)? in
                let status = stage.others(than: leader)[0].status
                return status.leader == leader.id && status.peers.allSatisfy(\.isConnected) ? (status, leader.id) : nil
            }
            #expect(status.role == "follower")
            #expect(status.node != leader)
            #expect(status.voters == (try ids(1, 2, 3)))
            #expect(status.peers.map(\.node) == (try ids(1, 2, 3)).filter { $0 != status.node })
            for peer in status.peers {
                #expect(peer.isVoter)
                #expect(peer.address != nil)
                #expect(peer.state == nil && peer.matchIndex == nil && peer.lag == nil && peer.silentFor == nil)
            }
        }
    }

    @Test func `who does not answer is not connected, and how far it is behind is told`() async throws {
        try await withRaft { stage in
            try await stage.commit([[1]])
            let (leader, _) = try await stage.leader()
            let gone = stage.others(than: leader)[0]
            await stage.stop(gone)
            try await stage.commit((0..<10).map { [UInt8($0)] })
            let peer = try await stage.withLeader { _, status -> RaftStatus.Peer? in
                status.peers.first { $0.node == gone.id && !$0.isConnected && $0.lag.map { $0 >= 10 } == true }
            }
            #expect(peer.state == "probe")
        }
    }

    @Test func `what a server says of itself is in its metrics`() async throws {
        try await withRaft { stage in
            let (leader, _) = try await stage.leader()
            let last = try await stage.commit([[1], [2]])
            func value(_ member: RaftMember, _ name: String) -> Double? {
                for family in member.telemetry.metrics.snapshot where family.name == name {
                    if case .computed(_, let read)? = family.series.first?.instrument { return read() }
                }
                return nil
            }
            let isTold = await eventually {
                leader.status.isLeader ? value(leader, "distric_raft_is_leader") == 1 : value(leader, "distric_raft_is_leader") == 0
            }
            #expect(isTold)
            #expect(value(leader, "distric_raft_voters") == 3)
            #expect(value(leader, "distric_raft_last_index").map { $0 >= Double(last.number) } == true)
            #expect(value(leader, "distric_raft_term").map { $0 >= 1 } == true)
            #expect(value(leader, "distric_raft_log_bytes").map { $0 > 0 } == true)
        }
    }

    // MARK: Newcomers

    @Test func `a newcomer that says it wants to join is let in by the leader, and remembers the others`() async throws {
        try await withRaft { stage in
            let fourth = try await stage.add(4, voters: [])
            stage.introduce()
            let gatherings = stage.members.map { ($0.gathering, $0.driver) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (gathering, driver) in gatherings { group.addTask { await gathering.run(driver) } }
                let isVoter = await settled(stage.members, try ids(1, 2, 3, 4))
                #expect(isVoter)
                #expect(
                    stage.members.contains {
                        $0.telemetry.events.latest(100).contains { $0.kind == "cluster.joining" && $0.subject == "c-4" }
                    })
                let isOver = await eventually { fourth.directory.facts(fourth.id)?.isJoining == false }
                #expect(isOver, "it belongs to it")
                let isKept = await eventually {
                    stage.members[0].directory.refusal(of: fourth.id, folder: folder(99)) != nil
                        && fourth.directory.refusal(of: stage.members[0].id, folder: folder(99)) != nil
                }
                #expect(isKept, "whoever comes in its place with another folder is not let in")
                let isOnDisk = try await eventually { try FileDisk().contents(of: fourth.folder + "/peers") != nil }
                #expect(isOnDisk)
                group.cancelAll()
            }
        }
    }
}

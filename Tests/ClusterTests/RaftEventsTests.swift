import Observability
import Primitives
import Raft
import Testing

@testable import Cluster

/// What is told of elections and of what happens to a server's log (RaftEvents.swift).
struct RaftEventsTests {
    private let clock = HandClock()
    private let telemetry: Telemetry
    private let events: RaftEvents
    private let core: RaftCore
    private let second: NodeID

    init() throws {
        let id = try node("c-1")
        second = try node("c-2")
        telemetry = Telemetry.quiet(node: id, clock: clock)
        events = RaftEvents(node: id, telemetry: telemetry)
        core = RaftCore(
            id: id, settings: RaftSettings(), hardState: HardState(term: Term(4), vote: nil), snapshot: nil,
            configuration: Configuration(voters: [id, second]), seed: 1, now: clock.now)
    }

    private func see(_ transitions: RaftTransition...) { for transition in transitions { events.see(transition, core) } }

    private func count(_ name: String) -> UInt64 {
        var total: UInt64 = 0
        for family in telemetry.metrics.snapshot where family.name == name {
            for series in family.series { if case .counter(let counter) = series.instrument { total += counter.count } }
        }
        return total
    }

    private var kinds: [String] { telemetry.events.latest(100).map(\.kind) }

    // MARK: Elections

    @Test func `a server that leads when it starts has seen that one election, which took no time`() throws {
        events.begin(core, leads: true)
        #expect(events.elections == [.init(term: Term(4), reason: "start", at: clock.wall, leader: try node("c-1"), took: .zero)])
        #expect(count("distric_raft_leader_changes_total") == 1)
    }

    @Test func `an election takes from the loss of the old leader to the new one, and its reason is the loss's`() throws {
        events.begin(core, leads: false)
        clock.advance(by: .milliseconds(300))
        see(.foundLeader(Term(4), second))
        #expect(events.elections == [.init(term: Term(4), reason: "start", at: clock.wall, leader: second, took: .milliseconds(300))])
        clock.advance(by: .seconds(3600))
        see(.becamePreCandidate(Term(4), .leaderDisconnected))
        clock.advance(by: .milliseconds(40))
        see(.becameCandidate(Term(5), .timeout))
        clock.advance(by: .milliseconds(60))
        see(.becameLeader(Term(5)))
        let last = try #require(events.elections.last)
        #expect(
            last == .init(term: Term(5), reason: "leaderDisconnected", at: clock.wall, leader: try node("c-1"), took: .milliseconds(100)))
        #expect(count("distric_raft_elections_total") == 1)
        #expect(count("distric_raft_leader_changes_total") == 2)
        #expect(kinds == ["raft.leader", "raft.pre_candidate", "raft.candidate", "raft.leader"])
        #expect(
            telemetry.events.latest(100).map(\.text) == [
                "c-2 leads term 4, after 300 ms without a leader", "c-1 is a pre-candidate for term 5: the leader closed its connection",
                "c-1 is a candidate in term 5: no leader was heard in time", "c-1 leads term 5",
            ])
    }

    @Test func `a leader that is found again in its term is no new one`() throws {
        events.begin(core, leads: false)
        see(.foundLeader(Term(4), second), .becamePreCandidate(Term(4), .timeout), .becameFollower(Term(4), leader: second, .timeout))
        see(.foundLeader(Term(4), second))
        #expect(events.elections.count == 1)
        #expect(count("distric_raft_leader_changes_total") == 1)
        see(.becameFollower(Term(5), leader: nil, .higherTerm), .foundLeader(Term(5), second))
        #expect(events.elections.map(\.term) == [Term(4), Term(5)])
    }

    @Test func `so many elections are kept, the newest last`() throws {
        events.begin(core, leads: false)
        for term in 1...40 as ClosedRange<UInt64> { see(.foundLeader(Term(term), second)) }
        #expect(events.elections.map(\.term.number) == Array(9...40))
    }

    // MARK: The rest

    @Test func `what happens to the log is counted, and said in words that name the servers`() throws {
        see(
            .truncated(after: LogIndex(7)), .snapshotSent(to: second, LogIndex(8)), .snapshotInstalled(LogIndex(9)),
            .configuration(LogIndex(3), Configuration(voters: [second], outgoing: [try node("c-1")])), .configurationCommitted(LogIndex(3)),
            .transferBegan(to: second), .transferEnded(to: second, isDone: false), .peerRecovering(second),
            .snapshotResumed(LogIndex(9), chunk: 2))
        #expect(count("distric_raft_truncations_total") == 1)
        #expect(count("distric_raft_snapshots_sent_total") == 1)
        #expect(count("distric_raft_snapshots_installed_total") == 1)
        #expect(
            kinds == [
                "raft.truncated", "raft.snapshot_sent", "raft.snapshot_installed", "raft.configuration", "raft.configuration_committed",
                "raft.transfer", "raft.transfer", "raft.peer_recovering", "raft.snapshot_resumed",
            ])
        let texts = telemetry.events.latest(100).map(\.text)
        // Each is a sentence about the server that it begins with.
        #expect(texts.map { String($0.prefix(4)) } == ["c-1 ", "c-1 ", "c-1 ", "c-1 ", "c-1 ", "c-1 ", "c-2 ", "c-2 ", "c-1 "])
        #expect(texts[3] == "c-1 has the members of entry 3: voters c-2; on their way out c-1")
        #expect(texts[5] == "c-1 hands leadership to c-2")
        #expect(texts[6] == "c-2 did not take over in time, and c-1 leads on")
        #expect(telemetry.events.latest(100).map(\.severity)[6] == .warning)
    }

    @Test func `a server that lost something says so until it has it again`() throws {
        func status() -> HealthRegistry.Status? { telemetry.health.all.first { $0.name == "raft-recovery" }?.status }
        #expect(status() == nil)
        events.distrusts("vote: it is missing")
        #expect(status() == .degraded)
        #expect(telemetry.health.all.first { $0.name == "raft-recovery" }?.reason.contains("vote: it is missing") == true)
        see(.trusted(LogIndex(12)))
        #expect(status() == .up)
        #expect(kinds == ["raft.recovering", "raft.trusted"])
    }
}

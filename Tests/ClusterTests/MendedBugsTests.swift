import NIOCore
import Observability
import Primitives
import Storage
import Synchronization
import Testing
import Transport
import Wire

@testable import Cluster
@testable import Raft

/// Each fails by the code of 14:50; each belongs into the file of what it is about once that is mended.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct MendedBugsTests {
    private let temporary: TemporaryFolder

    init() throws { temporary = try TemporaryFolder() }

    private func payloads(_ count: Int) -> [[UInt8]] { (0..<count).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 1000) } }

    /// To RaftSnapshotTests. Throws `.gap`, and a planner that was still applying stands still for good.
    @Test func `entries that a snapshot has taken the place of are not there, and that is no error`() async throws {
        try await withRaft(1) { stage in
            let member = stage.members[0]
            let index = try await stage.commit(payloads(200))
            var pieces = [[UInt8(1)]].makeIterator()
            _ = try member.driver.save(index: index, digest: StateDigest(), featureLevel: 1, pieces: { pieces.next() })
            let isCompacted = try await eventually {
                try FileDisk().list(member.folder + "/raft/log").filter { $0.hasSuffix(".log") }.count <= 2
            }
            #expect(isCompacted)
            #expect(try member.driver.entries(after: .zero, through: index).isEmpty)
        }
    }

    /// To RaftMembersTests. The second change takes the place of the first, whose newcomer stays a learner for ever: when it has caught up, it does
    /// not want to join any more, for it belongs to the configuration.
    @Test func `of two newcomers both become voters, also where the first is slow`() async throws {
        try await withRaft { stage in
            let old = stage.members
            // It says that it joins, and does not answer for now.
            let joining = try news("c-4", at: "127.0.0.1:1", epoch: 1, ["joining=yes", "cluster=\(cluster(1))", "silent-ms=0"])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for member in old {
                    member.directory.merge([joining])
                    let (gathering, driver) = (member.gathering, member.driver)
                    group.addTask { await gathering.run(driver) }
                }
                let isAdmitted = await eventually { old.contains { $0.status.isLeader && $0.status.target.contains(joining.node) } }
                #expect(isAdmitted)
                let fifth = try await stage.add(5, voters: [])
                stage.introduce()
                group.addTask { [gathering = fifth.gathering, driver = fifth.driver] in await gathering.run(driver) }
                // It may be let in beside the first, or after it.
                _ = await eventually(.seconds(5)) { old.contains { $0.status.isLeader && $0.status.voters.contains(fifth.id) } }
                let fourth = try await stage.add(4, voters: [])
                stage.introduce()
                group.addTask { [gathering = fourth.gathering, driver = fourth.driver] in await gathering.run(driver) }
                let areVoters = await eventually { old.contains { $0.status.isLeader && $0.status.voters.count == 5 } }
                #expect(areVoters)
                group.cancelAll()
            }
        }
    }

    /// To GatheringTests. `--rpc 10.0.0.1:9001 --join a:9001,b:9001,c:9001`: the node asks itself, is refused by itself, and exits with 78.
    @Test func `a node that finds itself under another name of its own goes on`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1", expects: 2)
            let second = try await stage.add("c-2", expects: 2)
            guard case .tcp(_, let port) = first.address else { return }
            try first.seat([.tcp(host: "localhost", port: port), second.address])
            let failure = try await first.failure(2)
            #expect(failure == nil)
        }
    }

    /// To RaftEventsTests.
    @Test func `an election takes from its own loss on, and not from an earlier one that came to nothing`() throws {
        let (clock, first, second) = (HandClock(), try node("c-1"), try node("c-2"))
        let telemetry = Telemetry.quiet(node: first, clock: clock)
        let events = RaftEvents(node: first, telemetry: telemetry)
        let core = RaftCore(
            id: first, settings: RaftSettings(), hardState: HardState(term: Term(4), vote: nil), snapshot: nil,
            configuration: Configuration(voters: [first, second]), seed: 1, now: clock.now)
        events.begin(core, leads: false)
        events.see(.foundLeader(Term(4), second), core)
        // One election timeout was missed, and the same leader goes on.
        events.see(.becamePreCandidate(Term(4), .timeout), core)
        events.see(.becameFollower(Term(4), leader: second, .timeout), core)
        clock.advance(by: .seconds(3600))
        events.see(.becamePreCandidate(Term(4), .leaderDisconnected), core)
        clock.advance(by: .milliseconds(100))
        events.see(.becameLeader(Term(5)), core)
        #expect(events.elections.last?.took == .milliseconds(100))
        #expect(events.elections.last?.reason == "leaderDisconnected")
    }

    /// To PeerDirectoryFileTests.
    @Test func `what could not be written is written when the disk is there again`() throws {
        let isGone = Atomic(true)
        let disk = HookedDisk { change throws(StorageError) in
            if isGone.load(ordering: .relaxed) { throw HookedDisk.error }
        }
        let path = temporary.path + "/peers"
        let directory = try PeerDirectory(
            own: OwnHello(try hello("c-1", at: "127.0.0.1:1")), node: try node("c-1"), disk: disk, path: path, clock: HandClock())
        directory.heard(try hello("c-2", at: "127.0.0.1:2"))
        #expect(storageError { try directory.save() } == HookedDisk.error)
        isGone.store(false, ordering: .relaxed)
        try directory.save()
        #expect(FileDisk().exists(path))
    }

    /// To PeerDirectoryTests. Each tells the others of it before it forgets, and takes it back from them: `merge` should note nobody new who has been silent for so long.
    @Test func `who has gone is forgotten by all, and not told on and on`() throws {
        let clock = HandClock()
        let directories = try ["c-1", "c-2", "c-3"].map { id in
            try PeerDirectory(
                own: OwnHello(try hello(id, at: "127.0.0.1:1") { $0.cluster = cluster(1) }), node: try node(id), disk: FileDisk(),
                path: temporary.path + "/peers-\(id)", clock: clock)
        }
        let members = try ["c-1", "c-2", "c-3"].map { try node($0) }
        for directory in directories { directory.heard(try hello("c-9", at: "127.0.0.1:9") { $0.cluster = cluster(1) }) }
        for _ in 0..<60 {
            for directory in directories {
                clock.advance(by: .milliseconds(300))
                // A turn of Gathering.run.
                for other in directories where other !== directory {
                    other.merge(directory.news)
                    directory.merge(other.news)
                }
                directory.keep(members: members)
            }
        }
        #expect(directories.allSatisfy { $0.all.count == 3 })
    }

    /// To PeerDirectoryTests: what a hello may not say (Handshake.isPlain) is believed of a third node, shown to people, and requests are sent to.
    @Test func `texts that no hello may hold are not believed of others either`() throws {
        let directory = try PeerDirectory(
            own: OwnHello(try hello("c-1", at: "127.0.0.1:1")), node: try node("c-1"), disk: FileDisk(), path: temporary.path + "/peers",
            clock: HandClock())
        directory.merge([
            try news("c-2", at: "127.0.0.1:2", ["software=\u{1B}[2Jdistric", "http=" + String(repeating: "x", count: 100_000)])
        ])
        #expect(directory.facts(try node("c-2"))?.software != "\u{1B}[2Jdistric")
        #expect((directory.facts(try node("c-2"))?.http ?? "").utf8.count <= 300)
    }

    /// To FoundingTests, as one more argument: it traps (`words[0]` of a line that is a space).
    @Test func `a line of spaces in a founding is damage, and no trap`() throws {
        try FileDisk().replace(temporary.path + "/founding", with: Array("cluster \(cluster(1))\n \nvoters c-1\n".utf8))
        #expect(try Founding.read(temporary.path, disk: FileDisk())?.voters == [try node("c-1")])
    }
}

import Primitives
import Testing
import Text

@testable import Operator

/// Who is in the group and what is known of each, out of what a node tells.
struct RaftGroupTests {
    private func letters(_ group: RaftGroup) -> String { group.members.map(\.mark.rawValue).joined() }
    private func words(_ group: RaftGroup) -> [String] { group.members.map { "\($0.id) \($0.vote.rawValue) \($0.link.rawValue)" } }

    @Test func `every member has a letter, a vote and a link`() {
        let wanted: [(Value, String, [String])] = [
            (SampleRaft.well, "Lff", ["c-1 voter up", "c-2 voter up", "c-3 voter up"]),
            (SampleRaft.oneDown, "Lf-", ["c-1 voter up", "c-2 voter up", "c-3 voter down"]),
            (SampleRaft.joint, "Lf-f", ["c-1 voter up", "c-2 voter up", "c-3 leaving down", "c-4 joining up"]),
            (SampleRaft.learning, "Lffl", ["c-1 voter up", "c-2 voter up", "c-3 voter up", "c-4 learner up"]),
            (SampleRaft.noLeader, "c--", ["c-1 voter up", "c-2 voter down", "c-3 voter down"]),
            (SampleRaft.following, "fLf", ["c-1 voter up", "c-2 voter up", "c-3 voter up"]),
        ]
        for (raft, marks, told) in wanted {
            let group = RaftGroup(raft)
            #expect(letters(group) == marks, "\(told)")
            #expect(words(group) == told)
        }
        #expect(RaftGroup(SampleRaft.joint).isJoint && !RaftGroup(SampleRaft.well).isJoint)
    }

    /// A stopped process keeps its connections.
    @Test func `who says nothing to the leader for long is not heard, though connected`() {
        func group(_ role: String, silent: Int) -> RaftGroup {
            RaftGroup([
                "node": "a", "role": .string(role), "leader": role == "leader" ? "a" : "b", "voters": ["a", "b", "c"],
                "peers": [["node": "c", "isConnected": true, "silentForMs": Value(silent)], ["node": "b", "isConnected": true]],
            ])
        }
        #expect(group("leader", silent: 1_999).members.map(\.link) == [.up, .up, .up])
        #expect(group("leader", silent: 2_000).members.map(\.link) == [.up, .up, .silent])
        #expect(letters(group("leader", silent: 2_000)) == "Lf-")
        // Followers say nothing to each other: that means nothing.
        #expect(letters(group("follower", silent: 60_000)) == "fLf")
    }

    @Test func `an older node that tells of itself alone is a group of one`() {
        let group = RaftGroup(["node": "n1", "role": "leader", "term": 3, "lastIndex": 9, "lag": 0, "logBytes": 1])
        #expect(words(group) == ["n1 voter up"] && letters(group) == "L")
        #expect(group.rows.first?["matchIndex"] == 9)
    }

    @Test func `the status of the cluster tells as much, or its members do`() {
        #expect(letters(RaftGroup.of(status: SampleData.status)) == "Lff")
        guard case .map(var fields) = SampleData.status else { return }
        fields["raft"] = ["node": "c-1", "role": "leader", "lag": 4]
        let told = RaftGroup.of(status: .map(fields))
        #expect(words(told) == ["c-1 voter up", "c-2 voter up", "c-3 voter up"] && letters(told) == "Lff")
        #expect(told.members.first?.facts["lag"] == 4)
        fields["members"] = [
            ["id": "c-2", "raft": "follower", "state": "dead"], ["id": "c-1", "raft": "leader", "state": "alive"],
            ["id": "w", "raft": nil],
            ["id": "c-3", "raft": "learner", "state": "suspect"],
        ]
        let poor = RaftGroup.of(status: .map(fields))
        #expect(words(poor) == ["c-1 voter up", "c-2 voter down", "c-3 learner silent"] && letters(poor) == "L-l")
    }

    @Test func `a row has what was told of its member, under names of the table`() throws {
        let rows = RaftGroup(SampleRaft.oneDown).rows
        let own = try #require(rows.first)
        #expect(own["id"] == "c-1" && own["role"] == "leader" && own["isHere"] == true && own["matchIndex"] == 120_334)
        #expect(own["commitIndex"] == 120_331 && own["peers"] == nil)
        let gone = try #require(rows.last)
        #expect(gone["role"] == "unknown" && gone["link"] == "down" && gone["lag"] == 2_094 && gone["here"] == "c-1")
        // Without c-3 two voters are left, and both are heard; without c-2 one of two.
        #expect(gone["then"] == ["voters": 2, "heard": 2, "need": 2])
        #expect(rows[1]["then"] == ["voters": 2, "heard": 1, "need": 2])
        let learner = try #require(RaftGroup(SampleRaft.learning).rows.last)
        #expect(learner["then"] == ["voters": 4, "heard": 4, "need": 3])
    }

    @Test func `what makes no sense makes no member`() {
        for raft: Value in [.null, 5, [], "x", ["voters": 5, "peers": [1, nil, ["node": 7]]], ["node": 1, "learners": [nil, 2]]] {
            #expect(RaftGroup(raft).members.isEmpty)
            #expect(RaftGroup.of(status: raft).members.isEmpty)
        }
        let many = RaftGroup(["voters": .list((0..<5_000).map { .string("n\($0)") })])
        #expect(many.members.count <= 64)
    }
}

/// The words for it, which commands and console share.
struct RaftWordsTests {
    @Test func `a quorum that is lost is said to be`() {
        #expect(RaftWords.quorum(SampleRaft.well) == "3 of 3 voters, 2 needed")
        #expect(RaftWords.quorum(SampleRaft.noLeader) == "1 of 3 voters, 2 needed: nothing can be committed")
        #expect(RaftWords.quorum(SampleRaft.following) == "3 voters, 2 needed")
        #expect(RaftWords.isLost(SampleRaft.noLeader) && !RaftWords.isLost(SampleRaft.following))
    }

    @Test func `an election has its term, its winner, its age, its reason and its length`() {
        let now = SampleData.now
        let newest = RaftWords.elections(SampleRaft.well).map { RaftWords.election($0, now: now) }
        #expect(
            newest == [
                "term 7: c-1 leads, 1m ago, leader disconnected, took 240ms", "term 6: c-2 leads, 5h ago, start, took 310ms",
            ])
        let lost = RaftWords.elections(SampleRaft.noLeader).first.map { RaftWords.election($0, now: now) }
        #expect(lost == "term 8: nobody won, 20s ago, lost quorum")
        #expect(RaftWords.election([:], now: now) == "term -: nobody won")
    }

    @Test func `names of reasons and roles are spaced`() {
        for (word, text) in [
            ("leaderDisconnected", "leader disconnected"), ("timeout", "timeout"), ("", ""), ("pre-candidate", "pre-candidate"),
            ("pre-candidate", "pre-candidate"),
        ] {
            #expect(RaftWords.spaced(word) == text)
        }
    }

    @Test func `two configurations are named while both hold`() {
        #expect(RaftWords.joint(SampleRaft.well) == nil)
        #expect(RaftWords.joint(SampleRaft.joint) == "from c-1, c-2, c-3 to c-1, c-2, c-4; both must agree")
    }

    @Test func `log and snapshot are told by their ends`() {
        #expect(RaftWords.log(SampleRaft.well) == "118002 to 120334, committed 120331, applied 120331, durable 120334")
        #expect(RaftWords.snapshot(SampleRaft.well) == "up to 118001, 18.9MB logged since")
        #expect(RaftWords.snapshot(["snapshotIndex": 0, "logBytes": 512]) == "none yet, 512B logged")
        #expect(RaftWords.log(["lastIndex": 9, "commitIndex": 8, "appliedIndex": 7]) == "to 9, committed 8, applied 7")
    }

    @Test func `the command prints the same facts`() {
        let text = RaftRows.facts(SampleRaft.joint, now: SampleData.now)
        let wanted = [
            "node        c-1, leader of term 7", "leader      c-1", "quorum      3 of 3 voters, 2 needed", "voters      c-1, c-2, c-4",
            "learners    -", "joint       from c-1, c-2, c-3 to c-1, c-2, c-4; both must agree",
            "log         118002 to 120334, committed 120331, applied 120331, durable 120334",
            "snapshot    up to 118001, 18.9MB logged since", "election    term 7: c-1 leads, 1m ago, leader disconnected, took 240ms",
        ]
        #expect(text.split(separator: "\n").map(String.init) == wanted)
        #expect(RaftRows.facts(SampleRaft.noLeader, now: SampleData.now).contains("\nleader      none is known\n"))
        let peers = Rendering(format: .wide).rows(SampleRaft.learning["peers"]?.list ?? [], RaftRows.peers, name: "node")
        #expect(peers.contains("12 of 40 chunks of a snapshot") && peers.contains("2 messages, 4.1kB"))
        #expect(peers.split(separator: "\n").count == 4)
    }
}

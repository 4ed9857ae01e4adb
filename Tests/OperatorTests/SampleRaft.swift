import Cells
import Primitives

@testable import Operator

/// What a node says of its Raft group: three coordinators as they mostly are, and as they are in trouble.
enum SampleRaft {
    private static func ago(_ seconds: Int) -> String { SampleData.now.advanced(by: .seconds(-seconds)).rfc3339 }

    private static let wellC2 =
        #"""
        {"node": "c-2", "address": "127.0.0.1:9002", "http": "127.0.0.1:8082", "role": "follower", "isVoter": true, "state": "replicate",
         "matchIndex": 120331, "nextIndex": 120335, "lag": 3, "inFlightMessages": 2, "inFlightBytes": 4096, "silentForMs": 12,
         "isConnected": true, "isRecovering": false, "featureLevel": 1}
        """#

    private static let slowC3 =
        #"""
        {"node": "c-3", "address": "127.0.0.1:9003", "http": "127.0.0.1:8083", "role": "follower", "isVoter": true, "state": "replicate",
         "matchIndex": 120122, "nextIndex": 120123, "lag": 212, "inFlightMessages": 1, "inFlightBytes": 512, "silentForMs": 40,
         "isConnected": true, "isRecovering": false, "featureLevel": 1}
        """#

    private static let goneC3 =
        #"""
        {"node": "c-3", "address": "127.0.0.1:9003", "http": "127.0.0.1:8083", "role": "follower", "isVoter": true, "state": "probe",
         "matchIndex": 118240, "nextIndex": 118241, "lag": 2094, "inFlightMessages": 0, "inFlightBytes": 0, "silentForMs": 41000,
         "isConnected": false, "isRecovering": false, "featureLevel": 1}
        """#

    private static let learnerC4 =
        #"""
        {"node": "c-4", "address": "127.0.0.1:9004", "http": "127.0.0.1:8084", "role": "learner", "isVoter": false, "state": "snapshot",
         "matchIndex": 0, "nextIndex": 1, "lag": 120334, "inFlightMessages": 1, "inFlightBytes": 262144, "silentForMs": 8,
         "isConnected": true, "isRecovering": false, "snapshotChunks": 12, "snapshotChunksOf": 40, "featureLevel": 1}
        """#

    private static func raft(
        role: String = "leader", term: Int = 7, leader: String? = "c-1", voters: [String] = ["c-1", "c-2", "c-3"],
        learners: [String] = [], outgoing: [String] = [], have: Int? = 3, need: Int = 2, peers: [String],
        elections: [(term: Int, reason: String, ago: Int, leader: String?, took: Int?)] = [
            (6, "start", 18_500, "c-2", 310), (7, "leaderDisconnected", 96, "c-1", 240),
        ]
    ) -> Value {
        var fields = Fields()
        for (name, text) in [("node", "c-1"), ("role", role)] { fields[name] = .string(text) }
        fields["term"] = Value(term)
        fields["leader"] = Value(leader)
        for (name, number) in [
            ("lastIndex", 120_334), ("durableIndex", 120_334), ("commitIndex", 120_331), ("appliedIndex", 120_331),
            ("snapshotIndex", 118_001), ("firstIndex", 118_002), ("lag", 0), ("logBytes", 18_874_368), ("configurationIndex", 1_204),
        ] {
            fields[name] = Value(number)
        }
        for (name, list) in [("voters", voters), ("learners", learners), ("outgoing", outgoing)] {
            fields[name] = .list(list.map(Value.string))
        }
        fields["isRecovering"] = .bool(false)
        fields["transferTo"] = .null
        fields["quorum"] = ["have": have.map { Value($0) } ?? .null, "need": Value(need), "of": Value(voters.count)]
        fields["elections"] = .list(
            elections.map { election in
                [
                    "term": Value(election.term), "reason": .string(election.reason), "at": .string(ago(election.ago)),
                    "leader": Value(election.leader), "tookMs": election.took.map { Value($0) } ?? .null,
                ]
            })
        fields["peers"] = .list(peers.map(SampleData.json))
        return .map(fields)
    }

    /// The leader of three, one of them a little behind.
    static let well = raft(peers: [wellC2, slowC3])
    /// One of three is gone.
    static let oneDown = raft(have: 2, peers: [wellC2, goneC3])
    /// Two configurations hold while c-4 takes the place of c-3, which is gone; it has to get a snapshot first.
    static let joint = raft(
        voters: ["c-1", "c-2", "c-4"], outgoing: ["c-1", "c-2", "c-3"], have: 3,
        peers: [
            wellC2, goneC3, learnerC4.replacing(#""role": "learner""#, with: #""role": "follower""#),
        ])
    /// Beside three voters one that learns.
    static let learning = raft(learners: ["c-4"], peers: [wellC2, slowC3, learnerC4])
    /// Two of three are gone: the one that is left cannot be elected.
    static let noLeader = raft(
        role: "pre-candidate", term: 8, leader: nil, have: 1,
        peers: [
            #"{"node": "c-2", "address": "127.0.0.1:9002", "role": "follower", "isVoter": true, "isConnected": false}"#,
            #"{"node": "c-3", "address": "127.0.0.1:9003", "role": "follower", "isVoter": true, "isConnected": false}"#,
        ], elections: [(7, "leaderDisconnected", 96, "c-1", 240), (8, "lostQuorum", 22, nil, nil)])
    /// What a follower knows of the others.
    static let following = raft(
        role: "follower", leader: "c-2", have: nil,
        peers: [
            #"{"node": "c-2", "address": "127.0.0.1:9002", "role": "leader", "isVoter": true, "isConnected": true}"#,
            #"{"node": "c-3", "address": "127.0.0.1:9003", "role": "follower", "isVoter": true, "isConnected": true}"#,
        ])

    /// What the leader c-2 knows of all.
    static let known: [Value] =
        SampleData.json(
            #"""
            [
              {"id": "c-1", "node": "c-1", "role": "follower", "isConnected": true, "state": "replicate", "matchIndex": 120334, "lag": 0},
              {"id": "c-2", "node": "c-2", "role": "leader", "isConnected": true, "matchIndex": 120334, "lag": 0},
              {"id": "c-3", "node": "c-3", "role": "follower", "isConnected": true, "state": "replicate", "matchIndex": 120100,
               "nextIndex": 120101, "lag": 234, "inFlightMessages": 0, "inFlightBytes": 0, "silentForMs": 9}
            ]
            """#
        ).list ?? []

    static let all: [(name: String, raft: Value)] = [
        ("well", well), ("down", oneDown), ("joint", joint), ("learning", learning), ("leaderless", noLeader), ("following", following),
    ]

    /// The console on the view after a minute and a half: c-2 led, was lost, c-1 won, and then came what is now.
    static func state(_ raft: Value, size: Size = Size(120, 40), view: View = .raft) -> ConsoleState {
        var state = SampleNode.empty(view, size: size)
        let past: [(ago: Int, raft: Value)] = [
            (100, following), (97, Self.raft(role: "candidate", term: 7, leader: nil, have: nil, peers: lost)), (96, well), (90, well),
        ]
        for (seconds, told) in past {
            _ = state.update(.tick(SampleData.now.advanced(by: .seconds(-seconds))))
            _ = state.update(.feed(Views.raftFeed, .value(told)))
        }
        _ = state.update(.tick(SampleData.now.advanced(by: .seconds(-41))))
        _ = state.update(.feed(Views.raftFeed, .value(raft)))
        _ = state.update(.tick(SampleData.now))
        SampleNode.feed(&state) { update in
            guard case .value(let value) = update, case .map(var fields) = value else { return update }
            if value["voters"] != nil { return .value(raft) }
            if value["raft"] != nil, value["clusterId"] != nil { fields["raft"] = raft }
            return .value(.map(fields))
        }
        return state
    }

    private static let lost = [
        #"{"node": "c-2", "role": "follower", "isVoter": true, "isConnected": false}"#,
        #"{"node": "c-3", "role": "follower", "isVoter": true, "isConnected": true}"#,
    ]
}

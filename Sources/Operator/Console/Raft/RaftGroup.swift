import Primitives

/// What a member of the Raft group is at one moment: a letter of its lane.
enum RaftMark: String, CaseIterable, Sendable {
    case leader = "L"
    case follower = "f"
    case candidate = "c"
    case learner = "l"
    /// It is not heard, or nobody is there who could tell.
    case unknown = "-"

    /// The state that the letter stands for; glyph and colour follow from it.
    var word: String {
        switch self {
        case .leader: "leader"
        case .follower: "follower"
        case .candidate: "candidate"
        case .learner: "learner"
        case .unknown: "unknown"
        }
    }

    var role: Role { StateLook(word: word).role }

    /// A line where there are lines: what is gone looks like a gap, and in ASCII it is a hyphen.
    var letter: String { self == .unknown ? "─" : rawValue }
}

/// The Raft group as one node tells of it: who is in it, who leads, who is heard.
struct RaftGroup: Sendable {
    /// What a member's word counts for; joining and leaving only while two configurations hold (Raft section 6).
    enum Vote: String, Sendable { case voter, learner, joining, leaving, none }

    enum Link: String, Sendable { case up, silent, down, unknown }

    struct Member: Sendable {
        var id: String
        var vote: Vote
        var link: Link
        var mark: RaftMark
        /// It is the node that tells all this.
        var isHere: Bool
        /// What was told of it.
        var facts: Fields

        /// The most that is to be said of it in one word.
        var word: String { link == .down || link == .silent ? link.rawValue : mark.word }
    }

    /// More than any group has.
    private static let memberLimit = 64
    /// A leader hears of everybody many times in an election's time; what says nothing for so long is stopped or cut off, though it is connected.
    private static let silenceMilliseconds: Int64 = 2_000
    private static let candidates: Set<String> = ["candidate", "pre-candidate"]

    let members: [Member]
    let here: String?
    let leader: String?
    let voters: [String]
    let learners: [String]
    let outgoing: [String]

    var isJoint: Bool { !outgoing.isEmpty }

    /// - Parameter raft: what `/api/v1/raft/status` answers.
    init(_ raft: Value) {
        func names(_ key: String) -> [String] { (raft[key]?.list ?? []).prefix(Self.memberLimit).compactMap(\.string) }
        let (voters, learners, outgoing) = (names("voters"), names("learners"), names("outgoing"))
        let (here, leader) = (raft["node"]?.string, raft["leader"]?.string)
        (self.voters, self.learners, self.outgoing, self.here, self.leader) = (voters, learners, outgoing, here, leader)
        var facts: [String: Fields] = [:]
        for peer in (raft["peers"]?.list ?? []).prefix(Self.memberLimit) {
            if let id = peer["node"]?.string { facts[id] = peer.map }
        }
        if let here {
            facts[here] = raft.map
            facts[here]?["peers"] = nil
        }
        let hearsAll = raft["role"]?.string == "leader"
        // By name, so that a row stays where it is whoever leads.
        let ids = Set(voters + learners + outgoing + facts.keys).sorted(by: bytesPrecede).prefix(Self.memberLimit)
        members = ids.map { id in
            let (own, isHere) = (facts[id] ?? Fields(), id == here)
            // A node of an older version says nothing of voters; it is one.
            let vote: Vote = voters.isEmpty && learners.isEmpty && isHere ? .voter : Self.vote(id, voters, learners, outgoing)
            let link = isHere ? .up : Self.link(own, hearsAll: hearsAll)
            let isLeader = isHere ? raft["role"]?.string == "leader" : id == leader
            let mark = link == .up ? Self.mark(own["role"]?.string, isLeader: isLeader, vote) : .unknown
            return Member(id: id, vote: vote, link: link, mark: mark, isHere: isHere, facts: own)
        }
    }

    private init(members: [Member], here: String?, leader: String?) {
        (self.members, self.here, self.leader) = (members, here, leader)
        voters = members.filter { $0.vote == .voter }.map(\.id)
        learners = members.filter { $0.vote == .learner }.map(\.id)
        outgoing = []
    }

    /// Out of the status of the cluster: what the node says of the group, else what its members say that they are.
    static func of(status: Value) -> RaftGroup {
        if let raft = status["raft"], raft["voters"]?.list != nil, raft["peers"]?.list != nil { return RaftGroup(raft) }
        let here = status["node"]?.string
        var members: [Member] = []
        for member in (status["members"]?.list ?? []).prefix(memberLimit) {
            guard let id = member["id"]?.string, let word = member["raft"]?.string else { continue }
            let link: Link = ["alive": .up, "suspect": .silent][member["state"]?.string ?? ""] ?? .down
            let vote: Vote = word == "learner" ? .learner : .voter
            let mark = link == .down ? .unknown : mark(word, isLeader: word == "leader", vote)
            let facts = id == here ? status["raft"]?.map : nil
            members.append(Member(id: id, vote: vote, link: link, mark: mark, isHere: id == here, facts: facts ?? Fields()))
        }
        return RaftGroup(members: members.sorted { bytesPrecede($0.id, $1.id) }, here: here, leader: status["leader"]?.string)
    }

    private static func vote(_ id: String, _ voters: [String], _ learners: [String], _ outgoing: [String]) -> Vote {
        if voters.contains(id) {
            return outgoing.isEmpty || outgoing.contains(id) || !outgoing.contains(where: voters.contains) ? .voter : .joining
        }
        if outgoing.contains(id) { return .leaving }
        return learners.contains(id) ? .learner : .none
    }

    private static func link(_ facts: Fields, hearsAll: Bool) -> Link {
        switch facts["isConnected"]?.bool {
        case true?: hearsAll && facts["silentForMs"]?.int ?? 0 >= silenceMilliseconds ? .silent : .up
        case false?: .down
        case nil: .unknown
        }
    }

    /// What is heard and neither leads nor says that it campaigns follows.
    private static func mark(_ role: String?, isLeader: Bool, _ vote: Vote) -> RaftMark {
        if isLeader { return .leader }
        if let role, candidates.contains(role) { return .candidate }
        return vote == .learner ? .learner : .follower
    }

    /// What only a leader knows of a member.
    private static let leadersKnowledge = [
        "state", "matchIndex", "nextIndex", "lag", "inFlightMessages", "inFlightBytes", "silentForMs", "snapshotChunks", "snapshotChunksOf",
    ]

    /// A follower's status with what the leader knows of the peers.
    @Sendable static func completed(_ raft: Value, with rows: [Value]) -> Value {
        guard case .map(var fields) = raft else { return raft }
        let peers = (raft["peers"]?.list ?? []).prefix(memberLimit).map { peer -> Value in
            guard case .map(var own) = peer, let id = peer["node"]?.string, let row = rows.first(where: { $0["id"]?.string == id }) else {
                return peer
            }
            for key in leadersKnowledge where own[key] ?? .null == .null { own[key] = row[key] }
            return .map(own)
        }
        fields["peers"] = .list(peers)
        return .map(fields)
    }

    // MARK: Rows

    /// A row of the table for each member, with all that was told of it.
    var rows: [Value] { members.map { .map(row($0)) } }

    private func row(_ member: Member) -> Fields {
        var fields = Fields()
        fields["id"] = .string(member.id)
        fields["role"] = .string(member.mark.word)
        fields["vote"] = .string(member.vote.rawValue)
        fields["link"] = .string(member.link.rawValue)
        fields["isHere"] = .bool(member.isHere)
        fields["here"] = Value(here)
        fields["then"] = then(member)
        for fact in member.facts.members where fields[fact.key] == nil { fields[fact.key] = fact.value }
        // What a node has on its own disk is what others match.
        if member.isHere { fields["matchIndex"] = member.facts["durableIndex"] ?? member.facts["lastIndex"] }
        return fields
    }

    /// The voters as they would be without this one, or with it when it learns: how many, how many are heard, how many must be.
    private func then(_ member: Member) -> Value {
        let others = voters.filter { $0 != member.id }
        let stay = member.vote == .learner ? others + [member.id] : others
        let heard = members.filter { stay.contains($0.id) && $0.link == .up }.count
        return ["voters": Value(stay.count), "heard": Value(heard), "need": Value(stay.count / 2 + 1)]
    }
}

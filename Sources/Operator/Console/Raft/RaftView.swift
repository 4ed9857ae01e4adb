import Primitives

/// The view of the Raft group: who is in it, what each was over time, and what can be done with it.
enum RaftView {
    static let spec = ViewSpec(
        title: "raft", rows: .local { value, _ in RowList(RaftGroup(value).rows) }, value: { _ in Views.raftFeed },
        aside: .init(feed: leaderFeed, complete: RaftGroup.completed),
        columns: columns,
        header: { value, context in RaftLines.header(value, context) }, detail: { row, context in RaftLines.detail(row, context) },
        open: { row, _ in id(row).map { Place(.raftLog, $0) } },
        actions: [transfer, remove, promote, snapshot], empty: "this node is in no group yet; its log says what it waits for")

    /// How far the others are only the leader knows; who follows passes the question on to it.
    private static let leaderFeed: @Sendable (Value) -> FeedKey? = { raft in
        guard raft["leader"]?.string != nil, raft["role"]?.string != "leader" else { return nil }
        return FeedKey(.rows, "/api/v1/raft/peers", ["every": "1s"])
    }

    private static let columns: [ConsoleColumn] = {
        var link = ConsoleColumn("LINK", "link", .fixed(8), rank: 1) { row, _ in Words.plain(row["link"]) }
        link.state = { row in row["link"]?.string ?? "" }
        var lane = ConsoleColumn("ROLE OVER TIME", "", .flexible(16), rank: 0) { _, _ in "" }
        lane.lane = { row in row["id"]?.string }
        return [
            .plain("NODE", "id", .fixed(14), rank: 0), .state("ROLE", "role"), .plain("VOTE", "vote", .fixed(8), rank: 3), link,
            .plain("TERM", "term", .fixed(6), right: true, rank: 3),
            .plain("COMMIT", "commitIndex", .fixed(10), right: true, rank: 3),
            .plain("APPLIED", "appliedIndex", .fixed(10), right: true, rank: 4),
            .plain("MATCH", "matchIndex", .fixed(10), right: true, rank: 2), .plain("LAG", "lag", .fixed(6), right: true), lane,
        ]
    }()

    private typealias Refusal = ActionSpec.Refusal

    private static func id(_ row: Value) -> String? { row["vote"] == nil ? nil : row["id"]?.string }

    // MARK: What can be done

    /// To the selected member; with the leader selected, to whoever has most of its log.
    static let transfer = ActionSpec(
        action: .transfer, title: "transfer leadership",
        command: { row in
            guard let id = id(row) else { return .failure(Refusal(reason: "no member is selected")) }
            if row["role"]?.string == "leader" { return .success(["raft", "transfer"]) }
            if row["vote"]?.string == "learner" { return .failure(Refusal(reason: "\(id) is a learner; let it vote first")) }
            guard row["link"]?.string == "up" else { return .failure(Refusal(reason: "\(id) is not heard, and could not lead")) }
            return .success(["raft", "transfer", "--to", id])
        },
        effect: { row in
            let next = row["role"]?.string == "leader" ? "The voter that has most of the log" : Words.plain(row["id"])
            return "\(next) leads from then on. Writes wait while it changes, mostly for some milliseconds."
        })

    static let remove = ActionSpec(
        action: .delete, title: "remove member",
        command: { row in
            guard let id = id(row) else { return .failure(Refusal(reason: "no member is selected")) }
            if row["vote"]?.string == "none" || row["vote"]?.string == "leaving" {
                return .failure(Refusal(reason: "\(id) is no member, or leaves already"))
            }
            guard row["vote"]?.string == "learner" || row.at("then", "voters")?.int ?? 0 > 0 else {
                return .failure(Refusal(reason: "\(id) is the only voter; without it there would be no cluster"))
            }
            return .success(["raft", "remove", id])
        },
        effect: { row in
            let id = Words.plain(row["id"])
            guard row["vote"]?.string != "learner" else {
                return "\(id) gets no entries any more. It did not vote: the quorum stays as it is."
            }
            let lead = row["role"]?.string == "leader" ? " It leads now: another one is elected." : ""
            return "\(id) leaves; its node goes on, out of service.\(lead) \(then(row))"
        })

    static let promote = ActionSpec(
        action: .promote, title: "promote learner",
        command: { row in
            guard let id = id(row) else { return .failure(Refusal(reason: "no member is selected")) }
            guard row["vote"]?.string == "learner" else { return .failure(Refusal(reason: "\(id) is no learner; only those are promoted")) }
            return .success(["raft", "promote", id])
        },
        effect: { row in
            let lag = row["lag"]?.int.map { $0 > 0 ? " It lacks \($0) entries, which come first." : "" } ?? ""
            return "\(Words.plain(row["id"])) votes from then on.\(lag) \(then(row))"
        })

    static let snapshot = ActionSpec(
        action: .snapshot, title: "snapshot log",
        command: { row in
            id(row) == nil ? .failure(Refusal(reason: "no member is selected")) : .success(["raft", "snapshot"])
        },
        effect: { row in
            "\(Words.plain(row["here"])), the node that is asked, writes its state to disk and lets go of the log that this stands for."
        })

    /// What the voters are then: whether they can still decide is what matters most.
    private static func then(_ row: Value) -> String {
        guard let voters = row.at("then", "voters")?.int, let heard = row.at("then", "heard")?.int, let need = row.at("then", "need")?.int
        else {
            return ""
        }
        let loss = heard < need ? "The quorum would be lost: " : ""
        return "\(loss)\(voters) voter\(voters == 1 ? "" : "s") then, of which \(heard) answer\(heard == 1 ? "s" : "") and \(need) must."
    }
}

import Primitives

/// The view of the members as gossip has them.
enum GossipView {
    static let spec = ViewSpec(
        title: "gossip", rows: .remote { Views.list("/api/v1/gossip/members", $0) },
        columns: [
            .plain("MEMBER", "id", .flexible(12), rank: 0), .state("STATE", "state"),
            .plain("INC", "incarnation", .fixed(5), right: true), time("RTT", "rttMs"), time("PROBED", "lastProbeMs", rank: 2),
            time("DEAD IN", "suspicionMs"), .plain("ROLE", "role", .fixed(20), rank: 2),
            .plain("CALLS", "address", .fixed(21), rank: 3), .plain("VERSION", "version", .fixed(8), rank: 3),
        ], detail: { row, _ in detail(row) }, open: { row, _ in row["id"]?.string.map { Place(.node, $0) } })

    private static func time(_ title: String, _ key: String, rank: Int = 1) -> ConsoleColumn {
        ConsoleColumn(title, key, .fixed(7), right: true, rank: rank) { row, _ in Words.milliseconds(row[key]) }
    }

    private static func detail(_ row: Value) -> [Line] {
        var lines: [Line] = [
            .fact("member", Words.plain(row["id"]), .bright), .fact("state", Words.plain(row["state"])),
            .fact("since", Words.milliseconds(row["sinceMs"])), .fact("role", Words.plain(row["role"])),
            .fact("labels", Words.plain(row["labels"])), .fact("slots", Words.plain(row["slots"])),
            .fact("datagrams", "\(Words.plain(row["gossip"])) \(Words.plain(row["datagrams"]))"),
            .fact("calls", Words.plain(row["address"])), .fact("http", Words.plain(row["http"])),
        ]
        if row["suspicionMs"]?.number != nil {
            lines.append(.fact("suspected", "by \(Words.plain(row["suspectedBy"])); dead in \(Words.milliseconds(row["suspicionMs"]))"))
        }
        return lines + [Line(), Line("enter: the tasks on it", .dim)]
    }
}

import Foundation
import Primitives
import Text

/// The Raft group as `distric raft status` and `distric raft peers` print it.
enum RaftRows {
    static var now: ClusterTime { ClusterTime(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000))) }

    /// What one node says, a line each.
    static func facts(_ raft: Value, now: ClusterTime) -> String {
        let leader = raft["leader"]?.string ?? "none is known"
        var facts: [(String, String)] = [
            ("node", "\(Words.plain(raft["node"])), \(RaftWords.spaced(Words.plain(raft["role"]))) of term \(Words.plain(raft["term"]))"),
            ("leader", leader), ("quorum", RaftWords.quorum(raft)), ("voters", RaftWords.names(raft["voters"])),
            ("learners", RaftWords.names(raft["learners"])),
        ]
        if let joint = RaftWords.joint(raft) { facts.append(("joint", joint)) }
        if let next = raft["transferTo"]?.string { facts.append(("handover", "\(next) is to lead")) }
        if raft["isRecovering"]?.bool == true { facts.append(("recovering", "yes: it does not count before it has the whole log")) }
        facts += [("log", RaftWords.log(raft)), ("snapshot", RaftWords.snapshot(raft))]
        let election = RaftWords.elections(raft).first.map { RaftWords.election($0, now: now) }
        facts.append(("election", election ?? "none was seen yet"))
        for trouble in (raft["trouble"]?.list ?? []).prefix(8) { facts.append(("trouble", Words.plain(trouble))) }
        return facts.map { name, text in name + String(repeating: " ", count: max(1, 12 - name.count)) + PlainText.oneLine(text) + "\n" }
            .joined()
    }

    static let peers = [
        Column("NODE", "node"), Column("ROLE") { role($0) }, Column("LINK") { link($0) }, Column("STATE", "state"),
        Column("MATCH", "matchIndex"), Column("NEXT", "nextIndex", wide: true), Column("LAG", "lag"),
        Column("IN FLIGHT") { RaftWords.inFlight($0) }, Column("SILENT") { Words.milliseconds($0["silentForMs"]) },
        Column("ADDRESS", "address"), Column("HTTP", "http", wide: true), Column("LEVEL", "featureLevel", wide: true),
        Column("NOTE") { RaftWords.note($0) },
    ]

    private static func role(_ peer: Value) -> String {
        peer["role"]?.string.map(RaftWords.spaced) ?? peer["isVoter"]?.bool.map { $0 ? "voter" : "learner" } ?? "-"
    }

    private static func link(_ peer: Value) -> String { peer["isConnected"]?.bool.map { $0 ? "up" : "down" } ?? "-" }

    // MARK: Several nodes

    /// A node that says nothing delays the rows of the others by no more than this.
    private static let patience = Duration.milliseconds(1_500)

    /// A row for each node, whether it answers or not.
    static func printAll(_ client: NodeClient, _ common: CommonOptions) async throws {
        let urls = client.urls
        let timeout = min(patience, common.patience)
        let found = await withTaskGroup(of: (Int, Value, Bool).self) { group in
            for (place, url) in urls.enumerated() {
                group.addTask {
                    do {
                        let raft = try await client.alone(url, timeout: timeout).get("/api/v1/raft/status")
                        guard case .map(var fields) = raft else { return (place, failed(url, "it answers with what is no status"), false) }
                        fields["url"] = .string(url)
                        return (place, .map(fields), true)
                    } catch {
                        return (place, failed(url, (error as? CommandFailure)?.message ?? "\(error)"), false)
                    }
                }
            }
            var rows: [(Int, Value, Bool)] = []
            for await row in group { rows.append(row) }
            return rows.sorted { $0.0 < $1.0 }
        }
        let now = now
        common.print(found.map(\.1), columns(now), name: "node", empty: "no node was asked")
        guard found.contains(where: \.2) else {
            throw CommandFailure(.unavailable, "none of the \(urls.count) nodes answers; is one running? Start one with 'distric node'")
        }
    }

    private static func failed(_ url: String, _ error: String) -> Value { ["url": .string(url), "error": .string(error)] }

    private static func columns(_ now: ClusterTime) -> [Column] {
        [
            Column("URL", "url"), Column("NODE", "node"), Column("ROLE") { $0["role"]?.string.map(RaftWords.spaced) ?? "-" },
            Column("TERM", "term"), Column("LEADER", "leader"),
            Column("COMMIT", "commitIndex"), Column("APPLIED", "appliedIndex"), Column("LAST", "lastIndex"),
            Column("QUORUM") { quorum($0) },
            Column("VOTERS", wide: true) { RaftWords.names($0["voters"]) },
            Column("ELECTION", wide: true) { row in RaftWords.elections(row).first.map { RaftWords.election($0, now: now) } ?? "-" },
            Column("TROUBLE") { trouble($0) },
        ]
    }

    /// Who answers only a leader knows; a follower knows with whom it is connected, which matters where nobody leads.
    private static func quorum(_ row: Value) -> String {
        guard row["quorum"] != nil, row["role"]?.string == "leader" || row["leader"]?.string == nil else { return "-" }
        return RaftWords.quorum(row)
    }

    private static let troubleWidth = 100

    /// Why it does not answer, or what it says of itself: as much as tells what it is. The node's own page has all of it.
    private static func trouble(_ row: Value) -> String {
        if let error = row["error"]?.string { return error }
        let said = row["trouble"]?.list ?? []
        guard let first = said.first.map({ PlainText.oneLine(Words.plain($0)) }) else { return "-" }
        let rest = said.count > 1 ? " (and \(said.count - 1) more)" : ""
        return (first.count > troubleWidth ? first.prefix(troubleWidth - 3) + "..." : first) + rest
    }
}

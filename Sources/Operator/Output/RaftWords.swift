import Primitives

/// What a node says of its Raft group, in the words of commands and console alike.
enum RaftWords {
    /// `3 of 3 voters, 2 needed`; who is heard only a leader knows.
    static func quorum(_ raft: Value) -> String {
        let (need, of) = (number(raft.at("quorum", "need")), number(raft.at("quorum", "of")))
        guard let have = raft.at("quorum", "have")?.int else { return "\(of) voters, \(need) needed" }
        return "\(have) of \(of) voters, \(need) needed" + (isLost(raft) ? ": nothing can be committed" : "")
    }

    /// What should be a number, and is shown on one line whatever it is.
    private static func number(_ value: Value?) -> String { Words.oneLine(Words.plain(value)) }

    static func isLost(_ raft: Value) -> Bool {
        guard let have = raft.at("quorum", "have")?.int, let need = raft.at("quorum", "need")?.int else { return false }
        return have < need
    }

    /// `c-1, c-2`.
    static func names(_ value: Value?) -> String {
        let names = (value?.list ?? []).prefix(64).compactMap(\.string)
        return names.isEmpty ? "-" : Words.oneLine(names.joined(separator: ", "))
    }

    /// The two configurations that hold together; nil when one does.
    static func joint(_ raft: Value) -> String? {
        guard raft["outgoing"]?.list?.isEmpty == false else { return nil }
        return "from \(names(raft["outgoing"])) to \(names(raft["voters"])); both must agree"
    }

    /// `term 7: c-1 leads, 15s ago, leader disconnected, took 240ms`.
    static func election(_ election: Value, now: ClusterTime) -> String {
        var parts = ["term \(Words.plain(election["term"])): " + (election["leader"]?.string.map { "\($0) leads" } ?? "nobody won")]
        if Words.time(election["at"]) != nil { parts.append("\(Words.age(election["at"], now: now)) ago") }
        if let reason = election["reason"]?.string { parts.append(spaced(reason)) }
        if election["tookMs"]?.number != nil { parts.append("took \(Words.milliseconds(election["tookMs"]))") }
        return Words.oneLine(parts.joined(separator: ", "))
    }

    /// The newest first.
    static func elections(_ raft: Value) -> [Value] { (raft["elections"]?.list ?? []).suffix(32).reversed() }

    /// `leaderDisconnected` as it is said: `leader disconnected`.
    static func spaced(_ word: String) -> String {
        word.unicodeScalars.prefix(100).map { ("A"..."Z").contains($0) ? " \($0.properties.lowercaseMapping)" : String($0) }.joined()
    }

    /// `118002 to 120334, committed 120331, applied 120331`.
    static func log(_ raft: Value) -> String {
        let ends = raft["firstIndex"] == nil ? "to" : "\(number(raft["firstIndex"])) to"
        var text = "\(ends) \(number(raft["lastIndex"])), committed \(number(raft["commitIndex"]))"
        text += ", applied \(number(raft["appliedIndex"]))"
        return text + (raft["durableIndex"].map { ", durable \(number($0))" } ?? "")
    }

    /// `up to 118001, 18.9MB logged since`.
    static func snapshot(_ raft: Value) -> String {
        let bytes = "\(Words.count(raft["logBytes"]))B logged"
        guard let index = raft["snapshotIndex"]?.number, index > 0 else { return "none yet, \(bytes)" }
        return "up to \(number(raft["snapshotIndex"])), \(bytes) since"
    }

    /// What of a snapshot has come, and whether it counts: `12 of 40 chunks of a snapshot`.
    static func note(_ peer: Value) -> String {
        var parts: [String] = []
        if let of = peer["snapshotChunksOf"]?.int {
            parts.append("\(number(peer["snapshotChunks"] ?? 0)) of \(of) chunks of a snapshot")
        }
        if peer["isRecovering"]?.bool == true { parts.append("recovering: it does not count before it has the whole log") }
        return parts.joined(separator: ", ")
    }

    /// `2 messages, 4.1kB`.
    static func inFlight(_ peer: Value) -> String {
        guard let messages = peer["inFlightMessages"]?.int else { return "-" }
        return "\(messages) message\(messages == 1 ? "" : "s"), \(Words.count(peer["inFlightBytes"]))B"
    }
}

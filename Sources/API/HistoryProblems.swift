import Coordinator
import Hummingbird
import Primitives

extension Problem {
    /// What may have ended, and is not here: a snapshot passed it over, and it is being fetched.
    static func historyIncomplete(_ what: String, gaps: [HistoryGap], leader: NodeID?) -> Problem {
        let range = gaps.map { "after entry \($0.after) and up to \($0.through)" }.joined(separator: ", ")
        let who = leader.map { "ask with consistency=leader ('\($0)' leads)" } ?? "ask another node"
        return Problem(
            status: .serviceUnavailable, type: "history_incomplete", title: "The history is not complete here yet",
            detail: "\(what); this node fetches what ended \(range) from others, and it may be among that: \(who), or try again later",
            retryAfterSeconds: 1, leader: leader)
    }
}

extension NodeInfo {
    /// For what is neither open nor in the history: that there is no such thing can be said only where nothing is missing.
    func notFound(_ what: String) -> Problem {
        let gaps = coordinator.history.gaps
        guard !gaps.isEmpty else { return .notFound(what) }
        return .historyIncomplete(what, gaps: gaps, leader: consensus.isLeading ? nil : consensus.leader)
    }
}

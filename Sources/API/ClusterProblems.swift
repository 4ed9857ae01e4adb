import Cluster
import Hummingbird
import Primitives
import Raft

/// What a cluster answers when it cannot do what it was asked, and what to do then.
extension Problem {
    private static let unavailable = "The cluster cannot do this now"
    private static let refused = "The members were not changed"

    static func noLeader(_ quorum: Quorum) -> Problem {
        if let index = quorum.removedAt {
            return Problem(
                status: .serviceUnavailable, type: "removed", title: unavailable,
                detail:
                    "this node was removed from the cluster at index \(index): ask another one, or add it again with 'distric raft add'. Reads with consistency=stale answer here, as old as they are"
            )
        }
        let advice = quorum.isThere ? "an election is under way; try again in a second" : "start or reach the others, then try again"
        return Problem(
            status: .serviceUnavailable, type: "no_leader", title: unavailable,
            detail: "no coordinator leads: \(quorum.text); \(advice). Reads with consistency=stale answer here", retryAfterSeconds: 1)
    }

    /// Of a request that was passed on already.
    static func notLeader(_ node: NodeID, leader: NodeID?) -> Problem {
        Problem(
            status: .serviceUnavailable, type: "not_leader", title: unavailable,
            detail:
                "node \(node) does not lead\(leader.map { ", \($0) does" } ?? ", and knows of nobody who does"); nothing was done, try again",
            retryAfterSeconds: 1, leader: leader)
    }

    static func noQuorum(_ quorum: Quorum) -> Problem {
        Problem(
            status: .serviceUnavailable, type: "no_quorum", title: unavailable,
            detail:
                "no majority of the coordinators has confirmed the read: \(quorum.text). Ask with consistency=stale for what this node has applied",
            retryAfterSeconds: 1)
    }

    static func behind(_ node: NodeID, has: LogIndex, needs: LogIndex) -> Problem {
        Problem(
            status: .serviceUnavailable, type: "behind", title: unavailable,
            detail:
                "node \(node) has applied the log up to \(has), and the read needs \(needs): ask again, ask another node, or allow more with timeout=30s",
            retryAfterSeconds: 1)
    }

    /// - Parameters:
    ///   - what: the rest of a sentence that begins with the leader: `leads, and did not answer`.
    ///   - isUncertain: whether it was asked, and may have done it.
    static func leaderUnreachable(_ leader: NodeID, _ what: String, isUncertain: Bool, isRead: Bool) -> Problem {
        let advice =
            if isUncertain {
                "whether it was done is not known: look whether it was, or send the same again under the same id"
            } else if isRead {
                "try again in a second, or ask with consistency=stale for what this node has"
            } else {
                "nothing was done; try again in a second"
            }
        return Problem(
            status: .serviceUnavailable, type: "leader_unreachable", title: unavailable,
            detail: "node \(leader) \(what); \(advice)", retryAfterSeconds: 1, leader: leader, isUncertain: isUncertain)
    }

    /// Of a read that only that node can answer.
    ///
    /// - Parameter what: the rest of a sentence that begins with the node.
    static func nodeUnreachable(_ node: NodeID, _ what: String, instead: String) -> Problem {
        Problem(
            status: .serviceUnavailable, type: "node_unreachable", title: unavailable, detail: "node \(node) \(what); \(instead)",
            retryAfterSeconds: 1)
    }

    /// A change that was in the log when its leader stopped leading: the next one goes on with it, or has never seen it.
    static func changeUncertain(_ node: NodeID, leader: NodeID?) -> Problem {
        Problem(
            status: .serviceUnavailable, type: "not_leader", title: unavailable,
            detail:
                "node \(node) stopped leading in the middle of the change, and whether it holds is not known: GET /api/v1/raft/status?consistency=leader shows who belongs",
            retryAfterSeconds: 1, leader: leader, isUncertain: true)
    }

    static func conflict(_ type: String, _ detail: String, title: String? = nil) -> Problem {
        Problem(status: .conflict, type: type, title: title ?? refused, detail: detail)
    }

    /// Certain: nothing of it has happened, or will.
    static func refusal(_ refusal: RaftRefusal, _ status: RaftStatus) -> Problem {
        func later(_ type: String, _ detail: String) -> Problem {
            Problem(status: .serviceUnavailable, type: type, title: unavailable, detail: detail, retryAfterSeconds: 1)
        }
        switch refusal {
        case .notLeader(let hint): return notLeader(status.node, leader: hint)
        case .busy: return busy("more waits to be committed than is taken at once; nothing was done, try again in a second")
        case .transferring:
            let successor = status.transferTo.map { " to \($0)" } ?? ""
            return later("transferring", "leadership is being handed\(successor); nothing was done, try again in a second")
        case .notReady: return later("not_ready", "the leader was elected just now, and is not ready yet; nothing was done, try again")
        case .changeInProgress:
            return conflict(
                "change_in_progress",
                "another change of the members is under way (entry \(status.configurationIndex)): wait until GET /api/v1/raft/status says joint: false, then try again"
            )
        case .staleConfiguration(let index):
            return conflict(
                "stale_configuration",
                "the members were changed by entry \(index) meanwhile: look at GET /api/v1/raft/status, and if this is still wanted ask with basedOn \(index)"
            )
        case .transferFailed(let node):
            return later(
                "transfer_failed",
                "'\(node)' did not take over in time, and \(status.node) leads on: look at its log and its link, then try again")
        case .noVoters:
            return conflict("no_voters", "a cluster needs at least one voter: add another before the last one is removed")
        case .withoutQuorum(let answering, let of):
            return conflict(
                "without_quorum",
                "of the \(of) voters that there would be, only \(answering) answer, and the cluster would stand still: start the others first, or remove those that do not come back"
            )
        case .notAVoter(let node) where node == status.node && status.isLeader:
            return Problem(
                status: .notFound, type: "not_a_voter", title: "Leadership stays where it is",
                detail: "there is no other voter that \(node) could hand leadership to: add one, or start those that are down")
        case .notAVoter(let node):
            return Problem(
                status: .notFound, type: "not_a_voter", title: "Leadership stays where it is",
                detail: "'\(node)' does not vote; the voters are \(status.voters.map(\.text).joined(separator: ", "))")
        }
    }
}

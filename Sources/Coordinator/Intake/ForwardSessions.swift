import Primitives
import Wire

/// The batches that other coordinators have sent, by session and number, so that one that comes again gets the answer of the first: kept by who leads, for as long as the
/// sender may ask again. What a leader before this one has put into the log is known there, by the messages' ids.
struct ForwardSessions<Waiter> {
    enum Verdict: Equatable {
        /// It is to be done.
        case fresh
        /// The first of it is being done: its answer is waited for.
        case running
        case replay(ForwardMessagesReply)
        /// Its sender has said that it has the answer.
        case over
        /// The sender keeps more batches open than it may.
        case tooMany
    }

    private struct Key: Hashable {
        var node: NodeID
        var session: UInt64
    }

    private struct Session {
        var answered: UInt64 = 0
        /// Its node has begun another one.
        var isOver = false
        var running: [UInt64: [Waiter]] = [:]
        var done: [UInt64: ForwardMessagesReply] = [:]
    }

    /// Batches of one session that are open at once, running or done and not acknowledged.
    static var window: Int { 64 }

    private var sessions: [Key: Session] = [:]

    /// Of how many sessions something is known.
    var count: Int { sessions.count }

    mutating func begin(_ node: NodeID, _ session: UInt64, _ sequence: UInt64, answered: UInt64) -> Verdict {
        let key = Key(node: node, session: session)
        if sessions[key] == nil { forget(node) }
        var own = sessions[key, default: Session()]
        defer { sessions[key] = own }
        own.answered = max(own.answered, answered)
        let floor = own.answered
        own.done = own.done.filter { $0.key >= floor }
        if let reply = own.done[sequence] { return .replay(reply) }
        if own.running[sequence] != nil { return .running }
        guard sequence >= floor else { return .over }
        guard own.running.count + own.done.count < Self.window else { return .tooMany }
        own.running[sequence] = []
        return .fresh
    }

    /// The node was started anew: nobody asks again for what it sent before.
    private mutating func forget(_ node: NodeID) {
        for key in sessions.keys.filter({ $0.node == node }) {
            sessions[key]?.done = [:]
            sessions[key]?.isOver = true
            if sessions[key]?.running.isEmpty == true { sessions[key] = nil }
        }
    }

    /// Whoever has sent it again waits for the first. False when that is over by now.
    mutating func wait(_ node: NodeID, _ session: UInt64, _ sequence: UInt64, _ waiter: Waiter) -> Bool {
        let key = Key(node: node, session: session)
        guard sessions[key]?.running[sequence] != nil else { return false }
        sessions[key]?.running[sequence]?.append(waiter)
        return true
    }

    /// - Parameter reply: nil for one that may be done again.
    /// - Returns: who waits for it.
    mutating func finish(_ node: NodeID, _ session: UInt64, _ sequence: UInt64, _ reply: ForwardMessagesReply?) -> [Waiter] {
        let key = Key(node: node, session: session)
        guard var own = sessions[key] else { return [] }
        let waiters = own.running.removeValue(forKey: sequence) ?? []
        if let reply, sequence >= own.answered, !own.isOver { own.done[sequence] = reply }
        sessions[key] = own.isOver && own.running.isEmpty ? nil : own
        return waiters
    }
}

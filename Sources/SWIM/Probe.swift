import Primitives

/// One probe under way: a ping, then the help of others and a connection, then a verdict (SWIM section 3.1).
struct Probe: Equatable, Sendable {
    enum Answer: Equatable, Sendable { case none, stream, datagram }

    let slot: Int
    let target: MemberIdentity
    /// Of the ping. Helpers get the next number, the connection the one after.
    let sequence: UInt64
    let sentAt: Instant
    /// When help is asked for; nil once it was, or is not needed.
    var helpDue: Instant?
    /// When it is decided.
    let verdictDue: Instant
    var helpers = 0
    /// Helpers that have not said anything.
    var silent: [NodeID] = []
    var answer = Answer.none

    var helpSequence: UInt64 { sequence &+ 1 }
    var streamSequence: UInt64 { sequence &+ 2 }
}

/// A ping on somebody's behalf.
struct Relay: Equatable, Sendable {
    /// Of the ping that was sent for it.
    let sequence: UInt64
    /// Where the answer goes, and under which number.
    let asker: String
    let askerSequence: UInt64
    let target: MemberIdentity
    /// When the asker is told that there is no answer; nil once it was.
    var nackDue: Instant?
    /// Until when an answer is passed on.
    let until: Instant
}

/// What members say to each other. All but `pushPull` are datagrams; `news` is what rides along (SWIM section 4.1).
package enum SWIMMessage: Equatable, Sendable {
    case ping(Ping)
    case ack(Ack)
    /// Ping somebody for me (SWIM section 3.1).
    case pingReq(PingReq)
    /// Whom you asked me to ping does not answer me either (Lifeguard section IV-A): I am there, it may not be.
    case nack(Nack)
    /// News alone.
    case membershipUpdate(MembershipUpdate)
    /// All that one knows, answered with all that the other knows; over a connection.
    case pushPull(PushPull)

    /// Both sides say what they know of each other: whoever is behind is told, however little of the news has come through.
    package struct Ping: Equatable, Sendable {
        package var sequence: UInt64
        package var from: MemberIdentity
        package var incarnation: Incarnation
        /// Another node that gets it does not answer.
        package var target: MemberIdentity
        /// The target's, as far as the sender knows.
        package var known: Incarnation
        package var news: [Rumour] = []

        package init(
            sequence: UInt64, from: MemberIdentity, incarnation: Incarnation = .zero, target: MemberIdentity, known: Incarnation = .zero,
            news: [Rumour] = []
        ) {
            (self.sequence, self.from, self.incarnation) = (sequence, from, incarnation)
            (self.target, self.known, self.news) = (target, known, news)
        }
    }

    package struct Ack: Equatable, Sendable {
        /// The ping's.
        package var sequence: UInt64
        /// Who is there, also where another one passes it on.
        package var from: MemberIdentity
        package var incarnation: Incarnation
        /// What is known here of whoever pinged is older than that: it is to say what it is.
        package var isBehind: Bool
        package var news: [Rumour] = []

        package init(sequence: UInt64, from: MemberIdentity, incarnation: Incarnation, isBehind: Bool = false, news: [Rumour] = []) {
            (self.sequence, self.from, self.incarnation, self.isBehind, self.news) = (sequence, from, incarnation, isBehind, news)
        }
    }

    package struct PingReq: Equatable, Sendable {
        package var sequence: UInt64
        package var from: MemberIdentity
        package var target: MemberIdentity
        /// Where the target takes datagrams: who is asked may not know it yet.
        package var address: String
        package var news: [Rumour] = []

        package init(sequence: UInt64, from: MemberIdentity, target: MemberIdentity, address: String, news: [Rumour] = []) {
            (self.sequence, self.from, self.target, self.address, self.news) = (sequence, from, target, address, news)
        }
    }

    package struct Nack: Equatable, Sendable {
        package var sequence: UInt64
        package var from: MemberIdentity

        package init(sequence: UInt64, from: MemberIdentity) { (self.sequence, self.from) = (sequence, from) }
    }

    package struct MembershipUpdate: Equatable, Sendable {
        package var from: MemberIdentity
        package var news: [Rumour]

        package init(from: MemberIdentity, news: [Rumour]) { (self.from, self.news) = (from, news) }
    }

    package struct PushPull: Equatable, Sendable {
        package var from: MemberIdentity
        package var members: [Rumour]
        /// Whoever asks knows nobody yet.
        package var isJoin: Bool

        package init(from: MemberIdentity, members: [Rumour], isJoin: Bool = false) {
            (self.from, self.members, self.isJoin) = (from, members, isJoin)
        }
    }

    package var from: MemberIdentity {
        switch self {
        case .ping(let message): message.from
        case .ack(let message): message.from
        case .pingReq(let message): message.from
        case .nack(let message): message.from
        case .membershipUpdate(let message): message.from
        case .pushPull(let message): message.from
        }
    }

    package var news: [Rumour] {
        switch self {
        case .ping(let message): message.news
        case .ack(let message): message.news
        case .pingReq(let message): message.news
        case .nack: []
        case .membershipUpdate(let message): message.news
        case .pushPull(let message): message.members
        }
    }
}

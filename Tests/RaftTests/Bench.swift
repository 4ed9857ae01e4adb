import Primitives
import Simulation
import Testing

@testable import Raft

/// n1, n2, ...
func node(_ number: Int) -> NodeID { (try? NodeID("n\(number)")) ?? .unnamed }

func nodes(_ numbers: Int...) -> [NodeID] { numbers.map(node) }

func nodes(_ numbers: ClosedRange<Int>) -> [NodeID] { numbers.map(node) }

/// Entries from `first` on, of these terms.
func entries(_ terms: [UInt64], from first: UInt64 = 1) -> [LogEntry] {
    terms.enumerated().map { offset, term in
        LogEntry(index: LogIndex(first + UInt64(offset)), term: Term(term), kind: .commands, payload: Array("\(term)".utf8))
    }
}

/// One core under test, with a clock and a disk that do what the test says: writes are durable at once, but while it is stalled.
struct Bench {
    var core: RaftCore
    var now: Instant
    var isStalled = false
    /// What came out since it was last taken; `commit`, `incoming` and `restored` are the newest.
    var output = RaftOutput()
    private var stored: UInt64 = 0

    init(
        _ number: Int = 1, voters: [NodeID] = nodes(1...3), learners: [NodeID] = [], terms: [UInt64] = [], term: UInt64? = nil,
        vote: Int? = nil, snapshot: SnapshotMark? = nil, isRecovering: Bool = false, seed: UInt64 = 1,
        at now: Instant = Instant(nanoseconds: 0), settings change: (inout RaftSettings) -> Void = { _ in }
    ) {
        var settings = RaftSettings()
        change(&settings)
        let state = HardState(term: Term(term ?? terms.last ?? 0), vote: vote.map(node))
        core = RaftCore(
            id: node(number), settings: settings.validated(), hardState: state, snapshot: snapshot,
            configuration: Configuration(voters: voters, learners: learners), isRecovering: isRecovering, seed: seed, now: now)
        self.now = now
        for entry in entries(terms, from: (snapshot?.index.number ?? 0) + 1) { core.restore(entry) }
        core.started(now: now)
    }

    // MARK: Events

    mutating func handle(_ event: RaftCore.Event) {
        var next = RaftOutput()
        core.handle(event, now: now, into: &next)
        output.messages += next.messages
        output.writes += next.writes
        output.readsReady += next.readsReady
        output.accepted += next.accepted
        output.refused += next.refused
        output.fetches += next.fetches
        output.transitions += next.transitions
        output.commit = next.commit ?? output.commit
        output.incoming = next.incoming ?? output.incoming
        output.restored = next.restored ?? output.restored
        output.isTrusted = output.isTrusted || next.isTrusted
        if !isStalled { store() }
    }

    mutating func receive(_ message: RaftMessage, from sender: Int) { handle(.message(message, from: node(sender))) }

    mutating func pass(_ milliseconds: Int64) { now = now.advanced(by: .milliseconds(milliseconds)) }

    mutating func tick(after milliseconds: Int64 = 0) {
        pass(milliseconds)
        handle(.tick)
    }

    /// All that was given out to be written is durable, or what came with the first tickets.
    mutating func store(through ticket: UInt64? = nil) {
        let newest = ticket ?? core.lastTicket
        guard newest > stored else { return }
        stored = newest
        handle(.stored(ticket: newest))
    }

    // MARK: What came of it

    /// The messages since the last time.
    mutating func take() -> [RaftOutput.Outgoing] {
        defer { output.clear() }
        return output.messages
    }

    mutating func take(to receiver: Int) -> [RaftMessage] { take().filter { $0.to == node(receiver) }.map(\.message) }

    var appends: [(to: NodeID, append: RaftMessage.Append)] {
        output.messages.compactMap { if case .append(let append) = $0.message { ($0.to, append) } else { nil } }
    }

    var answers: [RaftMessage.AppendAnswer] {
        output.messages.compactMap { if case .appendReply(let answer) = $0.message { answer } else { nil } }
    }

    var votes: [RaftMessage.VoteAnswer] {
        output.messages.compactMap { if case .requestVoteReply(let answer) = $0.message { answer } else { nil } }
    }

    var preVotes: [RaftMessage.PreVoteAnswer] {
        output.messages.compactMap { if case .preVoteReply(let answer) = $0.message { answer } else { nil } }
    }

    // MARK: Getting there

    /// Its timer runs out, and whoever else votes would vote for it.
    mutating func becomeCandidate() {
        now = max(now, core.electionDeadline)
        handle(.tick)
        let asked = core.term.next
        for voter in core.configuration.members where voter != core.id && core.role == .preCandidate {
            handle(.message(.preVoteReply(.init(term: Term(asked.number - 1), asked: asked, isGranted: true)), from: voter))
        }
    }

    /// Elected by all. The first messages of its leadership are taken.
    mutating func becomeLeader() {
        becomeCandidate()
        for voter in core.configuration.members where voter != core.id && core.role == .candidate {
            handle(.message(.requestVoteReply(.init(term: core.term, isGranted: true)), from: voter))
        }
        output.clear()
    }

    /// Elected, and its first entry committed by all.
    mutating func lead() {
        becomeLeader()
        for peer in core.progress { answer(from: peer.id, core.log.lastIndex) }
        output.clear()
    }

    mutating func follow(_ leader: Int, in term: UInt64) {
        receive(.append(heartbeat(term: term)), from: leader)
        output.clear()
    }

    /// A follower has the log to here.
    mutating func answer(from peer: NodeID, _ index: LogIndex, round: UInt64? = nil) {
        let answer = RaftMessage.AppendAnswer(term: core.term, outcome: .matched(index), round: round ?? core.round)
        handle(.message(.appendReply(answer), from: peer))
    }

    mutating func answer(from peer: Int, _ index: UInt64, round: UInt64? = nil) { answer(from: node(peer), LogIndex(index), round: round) }

    mutating func refuse(from peer: Int, previous: UInt64, conflict: UInt64, term: UInt64? = nil) {
        let outcome = RaftMessage.AppendAnswer.Outcome.rejected(
            previous: LogIndex(previous), conflictIndex: LogIndex(conflict), conflictTerm: term.map { Term($0) })
        receive(.appendReply(.init(term: core.term, outcome: outcome, round: core.round)), from: peer)
    }

    mutating func propose(_ text: String = "x", id: UInt64 = 1) { handle(.propose(id: id, [Array(text.utf8)])) }

    func progress(of peer: Int) -> Progress? { core.progress.first { $0.id == node(peer) } }
}

extension Bench: CustomTestStringConvertible {
    var testDescription: String { "\(core.id), \(core.role.rawValue) in term \(core.term)" }
}

func heartbeat(
    term: UInt64, previous: UInt64 = 0, of previousTerm: UInt64 = 0, commit: UInt64 = 0, round: UInt64 = 1
) -> RaftMessage.Append {
    append(term: term, previous: previous, of: previousTerm, [], commit: commit, round: round)
}

/// Entries of these terms after `previous`.
func append(
    term: UInt64, previous: UInt64 = 0, of previousTerm: UInt64 = 0, _ terms: [UInt64], commit: UInt64 = 0, round: UInt64 = 1
) -> RaftMessage.Append {
    RaftMessage.Append(
        term: Term(term), previousIndex: LogIndex(previous), previousTerm: Term(previousTerm), commitIndex: LogIndex(commit),
        entries: entries(terms, from: previous + 1), round: round)
}

func vote(term: UInt64, last: UInt64 = 0, of lastTerm: UInt64 = 0, isTransfer: Bool = false) -> RaftMessage {
    .requestVote(.init(term: Term(term), lastIndex: LogIndex(last), lastTerm: Term(lastTerm), isTransfer: isTransfer))
}

func mark(_ index: UInt64, term: UInt64 = 1, chunks: UInt64 = 1, voters: [NodeID] = nodes(1...3)) -> SnapshotMark {
    SnapshotMark(
        index: LogIndex(index), term: Term(term), chain: index, configuration: Configuration(voters: voters),
        bytes: chunks * UInt64(RaftSettings().chunkBytes), checksum: 0)
}

extension ScriptedCluster {
    /// n1 leads, and its first entry is committed everywhere.
    static func led(
        by voters: Int = 3, learners: [NodeID] = [], spare: [NodeID] = [], settings change: (inout RaftSettings) -> Void = { _ in }
    ) -> ScriptedCluster {
        var settings = RaftSettings()
        (settings.tailEntries, settings.chunkBytes) = (0, 8)
        change(&settings)
        var cluster = ScriptedCluster(voters: nodes(1...voters), learners: learners, spare: spare, settings: settings)
        _ = cluster.campaign(0)
        cluster.stabilize()
        _ = cluster.takeLines()
        return cluster
    }

    /// What must never be, and was.
    mutating func faults() -> [String] { takeLines().filter { $0.hasPrefix("!!") } }

    func core(_ number: Int) -> RaftCore? { self[node(number)] }

    mutating func propose(_ text: String, to number: Int = 1) { propose(Array(text.utf8), at: number - 1) }

    mutating func run(_ milliseconds: Int64) { advance(.milliseconds(milliseconds), delivering: true) }

    func leaders() -> [Int] { servers.indices.filter { servers[$0].core?.role == .leader }.map { $0 + 1 } }

    /// The commit indexes, from n1 on.
    func commits() -> [UInt64] { servers.map { $0.core?.commitIndex.number ?? 0 } }

    func terms() -> [UInt64] { servers.map { $0.core?.term.number ?? 0 } }
}

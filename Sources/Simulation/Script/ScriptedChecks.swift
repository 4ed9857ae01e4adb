import Primitives
import Raft

/// What must hold whatever a script does (Raft figure 3; design 6, R1, R4, R5, R10, R11, R18). What does not is printed with `!!` before
/// it.
struct ScriptedChecks: Sendable {
    struct Committed: Equatable, Sendable {
        var term: Term
        var kind: LogEntry.Kind
        var payload: [UInt8]
        /// Of this entry and all before it.
        var chain: UInt64
    }

    private struct Ballot: Hashable {
        var voter: NodeID
        var term: Term
    }

    /// By index - 1.
    private(set) var committed: [Committed] = []
    private var leaders: [Term: NodeID] = [:]
    private var votes: [Ballot: NodeID] = [:]

    var committedIndex: LogIndex { LogIndex(UInt64(committed.count)) }

    func committed(at index: LogIndex) -> Committed? {
        guard index > .zero, index <= committedIndex else { return nil }
        return committed[Int(index.number) - 1]
    }

    func chain(at index: LogIndex) -> UInt64 { committed(at: index)?.chain ?? 0 }

    /// State-machine safety: nobody applies anything else at an index.
    mutating func applied(_ entry: LogEntry, at server: NodeID) -> String? {
        if let known = committed(at: entry.index) {
            guard known.term == entry.term, known.kind == entry.kind, known.payload == entry.payload else {
                return "\(server) applies \(entry.position) where \(entry.index)@\(known.term) was applied before"
            }
            return nil
        }
        guard entry.index == committedIndex.next else { return "\(server) applies \(entry.index), the end so far is \(committedIndex)" }
        var hasher = StableHasher(key: committed.last?.chain ?? 0)
        hasher.combine(entry.term.number)
        hasher.combine(UInt64(entry.kind.rawValue))
        hasher.combine(entry.payload)
        committed.append(Committed(term: entry.term, kind: entry.kind, payload: entry.payload, chain: hasher.finish().low))
        return nil
    }

    /// Election safety and leader completeness.
    mutating func leads(_ core: RaftCore) -> [String] {
        var faults: [String] = []
        if let other = leaders[core.term], other != core.id { faults.append("\(core.id) and \(other) lead term \(core.term)") }
        leaders[core.term] = core.id
        for (place, entry) in committed.enumerated() {
            let index = LogIndex(UInt64(place) + 1)
            guard index >= core.log.base, core.log.term(at: index) != entry.term else { continue }
            faults.append("\(core.id) leads without \(index)@\(entry.term), which is committed")
            break
        }
        return faults
    }

    /// What a message promises is durable, and said to one candidate of a term only.
    mutating func sends(_ message: RaftMessage, from server: ScriptedServer, to receiver: NodeID) -> String? {
        let disk = server.durable
        switch message {
        case .requestVote(let request) where disk.hardState.term < request.term:
            return "\(server.id) asks for votes in term \(request.term), on its disk is \(disk.hardState.term)"
        case .requestVoteReply(let answer) where answer.isGranted:
            let ballot = Ballot(voter: server.id, term: answer.term)
            if let other = votes[ballot], other != receiver {
                return "\(server.id) votes for \(receiver) and \(other) in term \(answer.term)"
            }
            votes[ballot] = receiver
            let isDurable = disk.hardState.term > answer.term || disk.hardState == HardState(term: answer.term, vote: receiver)
            return isDurable ? nil : "\(server.id) votes for \(receiver) before that is on its disk"
        case .appendReply(let answer):
            guard case .matched(let index) = answer.outcome, index > disk.last else { return nil }
            return "\(server.id) acknowledges \(index), on its disk is \(disk.last)"
        default: return nil
        }
    }

    /// A read sees all that was acknowledged before it was asked for.
    func isReady(_ read: ScriptedRead, at index: LogIndex) -> String? {
        guard index < read.asked else { return nil }
        return "read \(read.id) at \(read.server) is stale: it sees \(index), \(read.asked) was committed before it came"
    }
}

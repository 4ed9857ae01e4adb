import Primitives
import Testing

@testable import Raft

/// Raft section 5.1: terms.
struct Section5_1Tests {
    /// One of each kind that tells of a term; requests for votes have rules of their own.
    private static func messages(of term: UInt64) -> [RaftMessage] {
        let term = Term(term)
        return [
            .preVoteReply(.init(term: term, asked: term, isGranted: false)),
            .requestVote(.init(term: term, lastIndex: LogIndex(9), lastTerm: term, isTransfer: false)),
            .requestVoteReply(.init(term: term, isGranted: false)),
            .append(heartbeat(term: term.number)),
            .appendReply(.init(term: term, outcome: .matched(.zero), round: 0)),
            .installSnapshot(.init(term: term, snapshot: mark(9), chunk: 0, round: 0)),
            .installSnapshotReply(.init(term: term, index: LogIndex(9), nextChunk: 0, isInstalled: false, round: 0)),
            .timeoutNow(term: term),
            .readIndex(term: term, id: 1),
            .readIndexReply(term: term, id: 1, index: nil),
        ]
    }

    @Test func `whoever sees a later term takes it and follows`() {
        for message in Self.messages(of: 5) {
            // A message by which the new leader has it campaign at once makes it a candidate of the next term.
            if case .timeoutNow = message { continue }
            var follower = Bench(terms: [1], term: 2, vote: 2)
            follower.receive(message, from: 3)
            #expect(follower.core.term == Term(5), "\(message)")
            #expect(follower.core.role == .follower, "\(message)")

            var candidate = Bench()
            candidate.becomeCandidate()
            candidate.receive(message, from: 3)
            #expect(candidate.core.term == Term(5) && candidate.core.role == .follower, "\(message)")
        }
    }

    @Test func `a leader that sees a later term stops leading`() {
        for message in Self.messages(of: 5) {
            if case .timeoutNow = message { continue }
            var leader = Bench()
            leader.lead()
            // Requests for votes are heard once the leader has not heard from its own for a while.
            leader.pass(2_000)
            leader.receive(message, from: 3)
            #expect(leader.core.role == .follower, "\(message)")
            #expect(leader.core.term == Term(5), "\(message)")
            #expect(leader.core.progress.isEmpty)
        }
    }

    @Test func `the vote of a term is not the next one's`() {
        var bench = Bench(term: 2, vote: 2)
        bench.receive(.append(heartbeat(term: 3)), from: 3)
        #expect(bench.core.hardState == HardState(term: Term(3), vote: nil))
        bench.receive(vote(term: 4, last: 0), from: 2)
        #expect(bench.core.term == Term(3), "it hears a leader")
    }

    @Test func `a leader of an old term is told the new one`() {
        var bench = Bench(terms: [1, 1], term: 4)
        bench.receive(.append(heartbeat(term: 3)), from: 2)
        #expect(bench.answers.map(\.term) == [Term(4)])
        #expect(bench.core.leader == nil)
        _ = bench.take()
        bench.receive(.installSnapshot(.init(term: Term(3), snapshot: mark(9), chunk: 0, round: 0)), from: 2)
        #expect(bench.take().map(\.message.term) == [Term(4)])
        #expect(bench.output.incoming == nil)
    }

    @Test func `a candidate of an old term is refused`() {
        var bench = Bench(term: 4)
        bench.receive(vote(term: 3, last: 100, of: 3), from: 2)
        #expect(bench.votes == [.init(term: Term(4), isGranted: false)])
        #expect(bench.core.hardState == HardState(term: Term(4), vote: nil))
    }

    @Test func `answers of an old term change nothing`() {
        var leader = Bench()
        leader.lead()
        leader.propose()
        let before = leader.core.progress
        for message in Self.messages(of: 0) {
            switch message {
            case .requestVote, .append, .installSnapshot, .readIndex: continue
            default: leader.receive(message, from: 2)
            }
        }
        #expect(leader.core.progress == before)
        #expect(leader.core.role == .leader && leader.core.term == Term(1))

        var candidate = Bench()
        candidate.becomeCandidate()
        candidate.pass(2_000)
        candidate.becomeCandidate()
        #expect(candidate.core.term == Term(2))
        candidate.receive(.requestVoteReply(.init(term: Term(1), isGranted: true)), from: 2)
        #expect(candidate.core.role == .candidate)
    }

    @Test func `nothing is answered in a term before the term is durable`() {
        var bench = Bench(terms: [1], term: 1)
        bench.isStalled = true
        bench.receive(.append(heartbeat(term: 7)), from: 2)
        #expect(bench.core.term == Term(7))
        #expect(bench.output.messages.isEmpty)
        bench.store()
        #expect(bench.answers.map(\.term) == [Term(7)])
    }

    @Test func `a term is written before the first entry of it`() {
        var bench = Bench(terms: [1], term: 1)
        bench.isStalled = true
        bench.receive(.append(append(term: 7, previous: 1, of: 1, [7])), from: 2)
        #expect(bench.output.writes.count == 1)
        #expect(bench.output.writes.first?.hardState == HardState(term: Term(7), vote: nil))
        #expect(bench.output.writes.first?.entries.map(\.term) == [Term(7)])
    }

    @Test func `what is asked before an election raises no term`() {
        var bench = Bench(term: 2, vote: 3)
        bench.receive(.preVote(.init(term: Term(8), asked: Term(9), lastIndex: LogIndex(3), lastTerm: Term(8))), from: 2)
        #expect(bench.core.hardState == HardState(term: Term(2), vote: node(3)))
        #expect(bench.output.writes.isEmpty)
    }

    @Test func `whatever comes, the term never falls and a vote is not taken back`() {
        for seed in UInt64(1)...100 {
            var generator = SeededGenerator(seed: seed)
            var bench = Bench(voters: nodes(1...5), terms: [1, 1, 2])
            var state = bench.core.hardState
            for _ in 0..<100 {
                bench.pass(Int64.random(in: 0...600, using: &generator))
                let sender = Int.random(in: 2...5, using: &generator)
                let term = UInt64.random(in: state.term.number...state.term.number + 2, using: &generator)
                switch Int.random(in: 0..<6, using: &generator) {
                case 0: bench.handle(.tick)
                case 1: bench.receive(vote(term: term, last: 9, of: term, isTransfer: Bool.random(using: &generator)), from: sender)
                case 2:
                    bench.receive(
                        .preVote(.init(term: Term(term), asked: Term(term + 1), lastIndex: LogIndex(9), lastTerm: Term(term))), from: sender
                    )
                case 3: bench.receive(.requestVoteReply(.init(term: Term(term), isGranted: Bool.random(using: &generator))), from: sender)
                case 4:
                    bench.receive(
                        .preVoteReply(.init(term: Term(term), asked: Term(term + 1), isGranted: Bool.random(using: &generator))),
                        from: sender)
                default: bench.becomeCandidate()
                }
                let next = bench.core.hardState
                #expect(next.term >= state.term, "seed \(seed)")
                #expect(next.term > state.term || state.vote == nil || state.vote == next.vote, "seed \(seed)")
                state = next
            }
        }
    }
}

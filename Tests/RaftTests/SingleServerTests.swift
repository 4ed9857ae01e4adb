import Primitives
import Testing

@testable import Raft

/// Raft, extended version: sections 5.2 to 5.4 and 8, with one voter.
struct SingleServerTests {
    private func alone(terms: [UInt64] = [], term: UInt64? = nil, stalled: Bool = false) -> Bench {
        var bench = Bench(voters: nodes(1), terms: terms, term: term)
        bench.isStalled = stalled
        return bench
    }

    @Test func `a new server follows in the term of its disk`() {
        let bench = Bench(voters: nodes(1), terms: [1, 1, 4], term: 5)
        #expect(bench.core.role == .follower)
        #expect(bench.core.term == Term(5))
        #expect(bench.core.log.lastIndex == LogIndex(3))
        #expect(bench.core.log.lastTerm == Term(4))
        #expect(bench.core.commitIndex == .zero)
    }

    @Test func `a server alone waits for nobody`() {
        var bench = alone()
        #expect(bench.core.nextDeadline == bench.now)
        bench.tick()
        #expect(bench.core.role == .leader)
        #expect(bench.core.term == Term(1))
        #expect(bench.core.commitIndex == LogIndex(1))
    }

    @Test func `a majority of one is one vote, and that one is durable first`() {
        var bench = alone(term: 4, stalled: true)
        bench.tick()
        #expect(bench.core.role == .candidate)
        #expect(bench.output.writes.map(\.hardState) == [HardState(term: Term(5), vote: node(1))])
        bench.store()
        #expect(bench.core.role == .leader)
        #expect(bench.output.transitions.contains(.becameLeader(Term(5))))
    }

    @Test func `an entry commits when it is durable, not before`() {
        var bench = alone()
        bench.tick()
        bench.isStalled = true
        bench.propose("a")
        bench.propose("b")
        let second = bench.core.lastTicket
        bench.propose("c")
        #expect(bench.core.commitIndex == LogIndex(1))
        bench.store(through: second)
        #expect(bench.core.commitIndex == LogIndex(3))
        bench.store()
        #expect(bench.core.commitIndex == LogIndex(4))
        #expect(bench.output.commit == LogIndex(4))
    }

    @Test func `proposals follow the last entry in the leader's term`() {
        var bench = alone(terms: [1, 2, 2])
        bench.tick()
        bench.output.clear()
        bench.handle(.propose(id: 7, [[1]]))
        bench.handle(.propose(id: 8, [[2], [3], [4]]))
        #expect(bench.output.accepted.map(\.id) == [7, 8])
        #expect(bench.output.accepted.map(\.first) == [LogIndex(5), LogIndex(6)])
        #expect(bench.output.accepted.map(\.count) == [1, 3])
        #expect(bench.output.accepted.allSatisfy { $0.term == Term(3) })
        #expect(bench.core.log.lastIndex == LogIndex(8))
    }

    /// Sections 5.4.2 and 8.
    @Test func `entries of earlier terms commit with the first one of its own`() {
        var bench = alone(terms: [1, 1, 1], stalled: true)
        bench.tick()
        bench.store()
        #expect(bench.core.role == .leader)
        #expect(bench.core.commitIndex == .zero)
        bench.store()
        #expect(bench.core.commitIndex == LogIndex(4))
    }

    @Test func `it reads without asking, once an entry of its term is committed`() {
        var bench = alone(terms: [1], stalled: true)
        bench.tick()
        bench.store()
        bench.handle(.read(id: 3))
        #expect(bench.output.readsReady.isEmpty)
        bench.store()
        #expect(bench.output.readsReady == [.init(id: 3, index: LogIndex(2))])
        bench.output.clear()
        bench.handle(.read(id: 4))
        #expect(bench.output.readsReady == [.init(id: 4, index: LogIndex(2))])
    }

    @Test func `before it leads it refuses, and says so`() {
        var bench = alone(stalled: true)
        bench.propose()
        bench.handle(.read(id: 2))
        #expect(bench.output.refused.map(\.reason) == [.notLeader(hint: nil), .notLeader(hint: nil)])
    }

    @Test func `it goes on leading though nobody answers`() {
        var bench = alone()
        for _ in 0..<100 { bench.tick(after: 100) }
        #expect(bench.core.role == .leader)
        #expect(bench.core.term == Term(1))
    }

    @Test func `a server whose vote was lost does not lead alone`() {
        var bench = Bench(voters: nodes(1), terms: [1], isRecovering: true)
        for _ in 0..<20 { bench.tick(after: 1_000) }
        #expect(bench.core.role == .follower)
        #expect(bench.core.term == Term(1))
    }

    @Test func `learners do not keep it from deciding alone`() {
        var bench = Bench(voters: nodes(1), learners: nodes(2, 3))
        bench.tick()
        #expect(bench.core.role == .leader)
        bench.propose()
        #expect(bench.core.commitIndex == LogIndex(2))
    }

    @Test func `in any order of proposals and syncs, what commits is durable, of the term, and never falls`() {
        for seed in UInt64(1)...200 {
            var generator = SeededGenerator(seed: seed)
            var bench = alone(terms: [1, 1, 2], stalled: true)
            bench.tick()
            bench.store()
            var committed = LogIndex.zero
            for _ in 0..<60 {
                if Bool.random(using: &generator) {
                    bench.propose()
                } else {
                    bench.store(through: UInt64.random(in: 1...bench.core.lastTicket, using: &generator))
                }
                #expect(bench.core.commitIndex >= committed, "seed \(seed)")
                #expect(bench.core.commitIndex == .zero || bench.core.commitIndex == bench.core.durableIndex, "seed \(seed)")
                committed = bench.core.commitIndex
            }
        }
    }
}

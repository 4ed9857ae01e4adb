import Primitives
import Testing

@testable import Raft

/// Raft, extended version: sections 5.1 to 5.4 and 8, with one voter.
struct RaftCoreTests {
    private func makeCore(term: UInt64 = 0, vote: NodeID? = nil, last: UInt64 = 0, commit: UInt64 = 0) throws -> RaftCore {
        RaftCore(
            id: try NodeID("a"), hardState: HardState(term: Term(term), vote: vote), lastIndex: LogIndex(last), lastTerm: Term(term),
            commitIndex: LogIndex(commit))
    }

    /// A core that leads, from what its disk held.
    private func makeLeader(term: UInt64 = 0, last: UInt64 = 0, commit: UInt64 = 0) throws -> RaftCore {
        var core = try makeCore(term: term, last: last, commit: commit)
        _ = core.handle(.start)
        _ = core.handle(.hardStateDurable)
        return core
    }

    @Test func `a new server follows in the term of its disk`() throws {
        let core = try makeCore(term: 4, last: 9, commit: 3)
        #expect(core.role == RaftCore.Role.follower)
        #expect(core.term == Term(4))
        #expect(core.lastIndex == LogIndex(9))
        #expect(core.commitIndex == LogIndex(3))
    }

    /// Section 5.2
    @Test func `a candidate takes a new term and votes for itself before anything else`() throws {
        var core = try makeCore(term: 4)
        let own = try NodeID("a")
        let effects = core.handle(.start)
        #expect(effects == [RaftCore.Effect.persist(HardState(term: Term(5), vote: own))])
        #expect(core.role == RaftCore.Role.candidate)
        #expect(core.hardState == HardState(term: Term(5), vote: own))
    }

    /// Section 5.2: a majority of one.
    @Test func `a lone voter leads once its vote is on disk, not before`() throws {
        var core = try makeCore()
        _ = core.handle(.start)
        #expect(core.role != RaftCore.Role.leader)
        let effects = core.handle(.hardStateDurable)
        #expect(effects == [RaftCore.Effect.lead(Term(1))])
        #expect(core.role == RaftCore.Role.leader)
        let again = core.handle(.hardStateDurable)
        #expect(again.isEmpty)
    }

    /// Section 5.1
    @Test func `terms rise with every start`() throws {
        let own = try NodeID("a")
        var state = HardState(term: Term(0), vote: nil)
        for expected in 1...5 {
            var core = RaftCore(id: own, hardState: state, lastIndex: .zero, lastTerm: Term(0), commitIndex: .zero)
            let effects = core.handle(.start)
            #expect(effects == [RaftCore.Effect.persist(HardState(term: Term(UInt64(expected)), vote: own))])
            state = core.hardState
        }
    }

    /// Section 5.3
    @Test func `proposals follow the last entry in the leader's term`() throws {
        var core = try makeLeader(term: 2, last: 7, commit: 7)
        let first = core.handle(.propose(count: 1))
        let second = core.handle(.propose(count: 3))
        #expect(first == [RaftCore.Effect.append(term: Term(3), first: LogIndex(8), count: 1)])
        #expect(second == [RaftCore.Effect.append(term: Term(3), first: LogIndex(9), count: 3)])
        #expect(core.lastIndex == LogIndex(11))
        #expect(core.commitIndex == LogIndex(7))
    }

    /// Section 5.3
    @Test func `an entry commits when it is durable, not before`() throws {
        var core = try makeLeader()
        _ = core.handle(.propose(count: 2))
        #expect(core.commitIndex == LogIndex.zero)
        let one = core.handle(.durable(LogIndex(1)))
        #expect(one == [RaftCore.Effect.commit(LogIndex(1))])
        let same = core.handle(.durable(LogIndex(1)))
        #expect(same.isEmpty)
        let two = core.handle(.durable(LogIndex(2)))
        #expect(two == [RaftCore.Effect.commit(LogIndex(2))])
        let older = core.handle(.durable(LogIndex(1)))
        #expect(older.isEmpty)
        #expect(core.commitIndex == LogIndex(2))
    }

    /// Sections 5.4.2 and 8
    @Test func `entries of earlier terms commit only with one of the leader's own`() throws {
        var core = try makeLeader(term: 3, last: 5, commit: 2)
        let before = core.handle(.durable(LogIndex(5)))
        #expect(before.isEmpty)
        _ = core.handle(.propose(count: 1))
        let still = core.handle(.durable(LogIndex(5)))
        #expect(still.isEmpty)
        #expect(core.commitIndex == LogIndex(2))
        let own = core.handle(.durable(LogIndex(6)))
        #expect(own == [RaftCore.Effect.commit(LogIndex(6))])
    }

    @Test func `a follower commits nothing, whatever is durable`() throws {
        var core = try makeCore(term: 1, last: 5)
        let effects = core.handle(.durable(LogIndex(5)))
        #expect(effects.isEmpty)
        #expect(core.commitIndex == LogIndex.zero)
    }

    @Test func `in any order of proposals and syncs, what commits is durable, of the term, and never falls`() throws {
        for seed in UInt64(1)...200 {
            var generator = SeededGenerator(seed: seed)
            let start = UInt64.random(in: 0...5, using: &generator)
            var core = try makeLeader(term: UInt64.random(in: 1...9, using: &generator), last: start, commit: 0)
            var (appended, durable, committed) = (start, start, UInt64(0))
            for _ in 0..<50 {
                if Bool.random(using: &generator) {
                    let count = Int.random(in: 1...4, using: &generator)
                    let effects = core.handle(.propose(count: count))
                    #expect(
                        effects == [RaftCore.Effect.append(term: core.term, first: LogIndex(appended + 1), count: count)], "seed \(seed)")
                    appended += UInt64(count)
                } else {
                    durable = UInt64.random(in: durable...appended, using: &generator)
                    let effects = core.handle(.durable(LogIndex(durable)))
                    let advances = durable > start && durable > committed
                    let expected: [RaftCore.Effect] = advances ? [.commit(LogIndex(durable))] : []
                    #expect(effects == expected, "seed \(seed)")
                    if advances { committed = durable }
                }
                #expect(core.commitIndex == LogIndex(committed), "seed \(seed)")
                #expect(core.lastIndex == LogIndex(appended), "seed \(seed)")
            }
        }
    }
}

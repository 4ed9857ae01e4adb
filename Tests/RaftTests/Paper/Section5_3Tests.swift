import Primitives
import Simulation
import Testing

@testable import Raft

/// Raft section 5.3: log replication.
struct Section5_3Tests {
    // MARK: The leader

    @Test func `a leader appends what is proposed, writes it and sends it at once`() {
        var bench = Bench()
        bench.lead()
        bench.isStalled = true
        bench.propose("a")
        #expect(bench.output.writes.flatMap(\.entries).map(\.payload) == [Array("a".utf8)])
        #expect(bench.appends.map(\.to) == nodes(2, 3))
        #expect(bench.appends.allSatisfy { $0.append.previousIndex == LogIndex(1) && $0.append.entries.count == 1 })
        #expect(bench.appends.allSatisfy { $0.append.commitIndex == LogIndex(1) })
    }

    /// The size, who acknowledges, and whether that commits.
    @Test(arguments: [
        (2, [], false), (2, [2], true), (3, [], false), (3, [2], true), (3, [3], true), (3, [2, 3], true), (4, [2], false),
        (4, [2, 3], true), (5, [2], false), (5, [4, 5], true), (5, [2, 3, 4, 5], true), (7, [2, 3], false), (7, [5, 6, 7], true),
    ])
    func `an entry is committed when a majority has it`(size: Int, acknowledged: [Int], isCommitted: Bool) {
        var bench = Bench(voters: nodes(1...size))
        bench.lead()
        bench.propose()
        for peer in acknowledged { bench.answer(from: peer, 2) }
        #expect(bench.core.commitIndex == LogIndex(isCommitted ? 2 : 1))
        #expect(bench.output.commit == (isCommitted ? LogIndex(2) : nil))
    }

    @Test func `the leader counts itself once the entry is on its own disk`() {
        var bench = Bench()
        bench.lead()
        bench.isStalled = true
        bench.propose()
        bench.answer(from: 2, 2)
        #expect(bench.core.commitIndex == LogIndex(1))
        bench.store()
        #expect(bench.core.commitIndex == LogIndex(2))
    }

    @Test func `a majority of the others commits without the leader's disk`() {
        var bench = Bench()
        bench.lead()
        bench.isStalled = true
        bench.propose()
        bench.answer(from: 2, 2)
        bench.answer(from: 3, 2)
        #expect(bench.core.commitIndex == LogIndex(2))
    }

    @Test func `followers are told what is committed with the next message`() {
        var bench = Bench()
        bench.lead()
        bench.propose()
        bench.answer(from: 2, 2)
        #expect(bench.appends.last?.append.commitIndex == LogIndex(2))
        #expect(bench.appends.last?.to == node(2))
    }

    @Test func `a heartbeat commits no more than what is known to agree`() {
        var bench = Bench()
        bench.lead()
        bench.propose()
        bench.answer(from: 2, 2)
        _ = bench.take()
        bench.tick(after: 50)
        let commits = bench.appends.filter { $0.append.entries.isEmpty }.map { [$0.append.previousIndex, $0.append.commitIndex] }
        #expect(commits == [[LogIndex(2), LogIndex(2)], [LogIndex(1), LogIndex(1)]])
    }

    // MARK: The follower

    /// Its own terms, what comes before the message's entries, and the outcome.
    @Test(
        arguments: [
            ([], 0, 0, nil), ([1, 2], 1, 1, nil), ([1, 2], 2, 2, nil), ([1, 2], 0, 0, nil), ([1, 2], 2, 1, 2), ([1, 2], 3, 2, 3),
            ([1, 2, 2, 2], 4, 3, 2), ([1, 1, 1], 3, 2, 1), ([1], 7, 2, 2),
        ] as [([UInt64], UInt64, UInt64, UInt64?)])
    func `a follower takes what goes on where its own log agrees`(own: [UInt64], previous: UInt64, of term: UInt64, conflict: UInt64?) {
        var bench = Bench(terms: own, term: 3)
        bench.receive(.append(append(term: 3, previous: previous, of: term, [3])), from: 2)
        let expected: RaftMessage.AppendAnswer.Outcome
        if let conflict {
            let conflictTerm = previous <= UInt64(own.count) ? Term(own[Int(previous) - 1]) : nil
            expected = .rejected(previous: LogIndex(previous), conflictIndex: LogIndex(conflict), conflictTerm: conflictTerm)
            #expect(bench.core.log.lastIndex == LogIndex(UInt64(own.count)))
        } else {
            expected = .matched(LogIndex(previous + 1))
            #expect(bench.core.log.lastTerm == Term(3))
        }
        #expect(bench.answers.map(\.outcome) == [expected])
    }

    /// What it has, what comes, and what it has then; with where it truncates.
    @Test(
        arguments: [
            ([1, 1, 2], 3, 2, [3], [1, 1, 2, 3], nil),
            ([1, 1, 2], 1, 1, [2, 3], [1, 2, 3], 1),
            ([1, 2, 3, 3], 2, 2, [3], [1, 2, 3, 3], nil),
            ([1, 2, 3, 3], 2, 2, [3, 3, 4], [1, 2, 3, 3, 4], nil),
            ([1, 2, 3, 3], 2, 2, [4], [1, 2, 4], 2),
            ([1, 1, 1, 1], 0, 0, [4, 4], [4, 4], 0),
            ([1, 2], 1, 1, [], [1, 2], nil),
        ] as [([UInt64], UInt64, UInt64, [UInt64], [UInt64], UInt64?)])
    func `only entries that conflict are cut off`(
        own: [UInt64], previous: UInt64, of term: UInt64, new: [UInt64], after: [UInt64], cut: UInt64?
    ) {
        var bench = Bench(terms: own, term: 4)
        bench.receive(.append(append(term: 4, previous: previous, of: term, new)), from: 2)
        let terms = (1...bench.core.log.lastIndex.number).map { bench.core.log.term(at: LogIndex($0))?.number }
        #expect(terms == after)
        #expect(bench.output.writes.compactMap(\.truncateAfter) == (cut.map { [LogIndex($0)] } ?? []))
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(previous + UInt64(new.count)))])
    }

    /// What the leader says is committed, how far its message went, and what the follower takes for committed.
    @Test(arguments: [(0, [], 0), (1, [], 1), (5, [], 2), (3, [3], 3), (5, [3], 3), (2, [3], 2), (1, [3, 3], 1), (9, [3, 3], 4)])
    func `a follower commits no further than the message went`(commit: UInt64, new: [UInt64], expected: UInt64) {
        var bench = Bench(terms: [1, 1, 1, 1, 1, 1], term: 3)
        bench.receive(.append(append(term: 3, previous: 2, of: 1, new, commit: commit)), from: 2)
        #expect(bench.core.commitIndex == LogIndex(expected))
    }

    @Test func `an entry is acknowledged when it is durable`() {
        var bench = Bench(term: 1)
        bench.isStalled = true
        bench.receive(.append(append(term: 1, [1])), from: 2)
        bench.receive(.append(append(term: 1, previous: 1, of: 1, [1])), from: 2)
        #expect(bench.answers.isEmpty)
        bench.store(through: 1)
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(1))])
        bench.store()
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(1)), .matched(LogIndex(2))])
    }

    // MARK: Bringing logs together

    /// Figure 7: a follower may lack entries, have extra ones, or both. The leader of term 8 makes all of them its own.
    @Test(
        arguments: [
            [1, 1, 1, 4, 4, 5, 5, 6, 6],
            [1, 1, 1, 4],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
            [1, 1, 1, 4, 4, 4, 4],
            [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        ] as [[UInt64]])
    func `a leader makes every log of figure 7 its own`(terms: [UInt64]) {
        var cluster = ScriptedCluster(voters: nodes(1...3))
        let leader: [UInt64] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
        cluster.begin(0, terms: leader.map { Term($0) }, state: HardState(term: Term(7), vote: nil))
        cluster.begin(1, terms: terms.map { Term($0) }, state: HardState(term: Term(7), vote: nil))
        cluster.begin(2, terms: leader.map { Term($0) }, state: HardState(term: Term(7), vote: nil))
        _ = cluster.campaign(0)
        cluster.stabilize()
        cluster.run(200)
        #expect(cluster.leaders() == [1])
        let disagreements = cluster.disagreements
        #expect(disagreements.isEmpty, "\(disagreements)")
        let faults = cluster.faults()
        #expect(faults.isEmpty, "\(faults)")
        #expect(cluster.core(2)?.log.term(at: LogIndex(11)) == Term(8))
    }

    /// At its end: "the leader can decrement nextIndex to bypass all of the conflicting entries in that term".
    @Test func `a term in the way is skipped as a whole`() {
        var bench = Bench(terms: [1, 1, 4, 4, 4, 4, 5, 6])
        bench.becomeLeader()
        #expect(bench.progress(of: 2)?.nextIndex == LogIndex(9))
        // It has entries of term 4 to 8: those of the leader end at 6.
        bench.refuse(from: 2, previous: 8, conflict: 3, term: 4)
        #expect(bench.appends.last?.append.previousIndex == LogIndex(6))
        bench.refuse(from: 2, previous: 6, conflict: 3, term: 2)
        #expect(bench.appends.last?.append.previousIndex == LogIndex(2))
    }

    @Test func `a log that is too short is gone back to at once`() {
        var bench = Bench(terms: [1, 1, 1, 1, 1, 1, 1, 1])
        bench.becomeLeader()
        bench.refuse(from: 2, previous: 8, conflict: 3)
        #expect(bench.appends.last?.append.previousIndex == LogIndex(2))
        #expect(bench.appends.last?.append.entries.count == 7)
    }

    @Test func `a refusal of what is known to agree is an old one`() {
        var bench = Bench(terms: [1, 1, 1, 1])
        bench.becomeLeader()
        bench.answer(from: 2, 4)
        let before = bench.progress(of: 2)
        bench.refuse(from: 2, previous: 4, conflict: 1)
        bench.refuse(from: 2, previous: 2, conflict: 1)
        #expect(bench.progress(of: 2) == before)
        #expect(bench.progress(of: 2)?.matchIndex == LogIndex(4))
    }

    @Test func `an answer from before does not take back what is known`() {
        var bench = Bench()
        bench.lead()
        for _ in 0..<4 { bench.propose() }
        bench.answer(from: 2, 5)
        bench.answer(from: 2, 2)
        #expect(bench.progress(of: 2)?.matchIndex == LogIndex(5))
        #expect(bench.core.commitIndex == LogIndex(5))
    }

    @Test func `an answer about more than the leader has is not its own`() {
        var bench = Bench()
        bench.lead()
        bench.answer(from: 2, 99)
        #expect(bench.progress(of: 2)?.matchIndex == LogIndex(1))
        #expect(bench.core.commitIndex == LogIndex(1))
    }
}

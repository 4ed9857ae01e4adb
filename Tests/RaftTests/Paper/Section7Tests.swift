import Primitives
import Simulation
import Testing

@testable import Raft

/// Raft section 7: log compaction, and InstallSnapshot as the leader sees it.
struct Section7Tests {
    private func chunks(to peer: Int, _ bench: Bench) -> [UInt32] {
        bench.output.messages.compactMap { outgoing in
            guard outgoing.to == node(peer), case .installSnapshot(let chunk) = outgoing.message else { return nil }
            return chunk.chunk
        }
    }

    // MARK: Compaction

    @Test func `a snapshot lets go of what it stands for, but for a tail`() {
        var bench = Bench(settings: { $0.tailEntries = 2 })
        bench.lead()
        for _ in 0..<9 { bench.propose() }
        bench.answer(from: 2, 10)
        bench.handle(.snapshotTaken(mark(10)))
        #expect(bench.core.log.base == LogIndex(8))
        #expect(bench.core.snapshot?.index == LogIndex(10))
        #expect(bench.output.writes.last?.compactThrough == LogIndex(8))
        #expect(bench.core.log.term(at: LogIndex(8)) == Term(1))
        #expect(bench.core.log.term(at: LogIndex(7)) == nil)
    }

    @Test func `an older snapshot than the newest is of no interest`() {
        var bench = Bench(settings: { $0.tailEntries = 0 })
        bench.lead()
        for _ in 0..<4 { bench.propose() }
        bench.answer(from: 2, 5)
        bench.handle(.snapshotTaken(mark(5)))
        bench.handle(.snapshotTaken(mark(3)))
        #expect(bench.core.snapshot?.index == LogIndex(5))
        #expect(bench.core.log.base == LogIndex(5))
    }

    @Test func `what is compacted is still where a log may agree`() {
        var bench = Bench(terms: [3], snapshot: mark(7, term: 2))
        bench.receive(.append(append(term: 3, previous: 7, of: 2, [3])), from: 2)
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(8))])
        // Before it all is committed, and so the leader's.
        _ = bench.take()
        bench.receive(.append(append(term: 3, previous: 4, of: 1, [1, 2, 2, 3, 3])), from: 2)
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(9))])
        #expect(bench.core.log.lastIndex == LogIndex(9))
        _ = bench.take()
        bench.receive(.append(append(term: 3, previous: 2, of: 1, [1])), from: 2)
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(7))])
    }

    @Test func `a server starts from its snapshot`() {
        var configuration = mark(7, term: 2)
        configuration.configuration = Configuration(voters: nodes(1...5))
        let bench = Bench(terms: [2, 3], snapshot: configuration)
        #expect(bench.core.commitIndex == LogIndex(7))
        #expect(bench.core.log.lastIndex == LogIndex(9))
        #expect(bench.core.configuration == Configuration(voters: nodes(1...5)))
    }

    // MARK: Sending

    /// A leader, n1, whose log begins at 20, and what n2 has is before that.
    private func sending(chunks count: UInt64 = 6) -> Bench {
        var bench = Bench(terms: Array(repeating: 1, count: 5), snapshot: mark(20, chunks: count))
        bench.becomeLeader()
        bench.refuse(from: 2, previous: 25, conflict: 4)
        return bench
    }

    private func want(_ bench: inout Bench, _ chunk: UInt32, isInstalled: Bool = false) {
        let answer = RaftMessage.SnapshotAnswer(
            term: bench.core.term, index: LogIndex(20), nextChunk: chunk, isInstalled: isInstalled, round: bench.core.round)
        bench.receive(.installSnapshotReply(answer), from: 2)
    }

    @Test func `whoever needs what is compacted gets the snapshot, its first chunk first`() {
        let bench = sending()
        #expect(chunks(to: 2, bench) == [0])
        #expect(bench.output.transitions.contains(.snapshotSent(to: node(2), LogIndex(20))))
    }

    @Test func `the answer to the first chunk says where to go on, and some are under way then`() {
        var bench = sending()
        want(&bench, 3)
        #expect(chunks(to: 2, bench) == [0, 3, 4, 5])
        var other = sending(chunks: 20)
        want(&other, 1)
        #expect(chunks(to: 2, other) == [0, 1, 2, 3, 4])
        want(&other, 3)
        #expect(chunks(to: 2, other) == [0, 1, 2, 3, 4, 5, 6])
    }

    /// The first chunk only tells that there is a snapshot: whoever wants all of it has to get it again, and waits for nothing else.
    @Test func `a receiver that wants it from the beginning gets the beginning at once`() {
        var bench = sending()
        _ = bench.take()
        want(&bench, 0)
        #expect(chunks(to: 2, bench) == [0, 1, 2, 3])
    }

    /// While a receiver installs, or when messages are duplicated, answers come that say nothing new: each of them sending a chunk would be a loop without end.
    @Test func `an answer that says nothing new sends nothing`() {
        var bench = sending(chunks: 1)
        _ = bench.take()
        want(&bench, 0)
        #expect(chunks(to: 2, bench) == [0])
        for _ in 0..<3 {
            _ = bench.take()
            want(&bench, 0)
            #expect(chunks(to: 2, bench) == [])
            want(&bench, 1)
            #expect(chunks(to: 2, bench) == [])
        }
    }

    @Test func `a receiver that lost chunks gets them again, once and not for every answer`() {
        var bench = sending(chunks: 20)
        want(&bench, 6)
        _ = bench.take()
        bench.pass(101)
        for _ in 0..<4 { want(&bench, 2) }
        #expect(chunks(to: 2, bench) == [2, 3, 4, 5])
    }

    /// It fell, and answers at once, with less, to what is sent again.
    @Test func `nor is it left waiting because it answers quickly`() {
        var bench = sending(chunks: 20)
        want(&bench, 6)
        _ = bench.take()
        var sent: [UInt32] = []
        for _ in 0..<60 {
            bench.tick(after: 50)
            bench.answer(from: 3, 25)
            bench.answer(from: 2, 0)
            let new = chunks(to: 2, bench)
            sent += new
            _ = bench.take()
            bench.pass(1)
            for _ in new { want(&bench, 2) }
        }
        sent += chunks(to: 2, bench)
        #expect(sent.contains(2), "\(sent)")
    }

    @Test func `what is not answered for an election timeout is sent again, the last chunk too`() {
        for wanted in [UInt32(0), 1, 3, 5] {
            var bench = sending()
            want(&bench, wanted)
            _ = bench.take()
            for _ in 0..<12 {
                bench.tick(after: 50)
                bench.answer(from: 3, 25)
            }
            #expect(chunks(to: 2, bench).first == wanted)
        }
    }

    /// A receiver that says that it has all of them, and falls before it has installed them, has to be asked again when it is back.
    @Test func `a receiver that had everything and says nothing more is asked again`() {
        var bench = sending()
        want(&bench, 6)
        _ = bench.take()
        for _ in 0..<40 {
            bench.tick(after: 50)
            bench.answer(from: 3, 25)
            bench.answer(from: 2, 0)
        }
        #expect(!chunks(to: 2, bench).isEmpty)
    }

    @Test func `a receiver that is away is not sent the beginning with every heartbeat`() {
        var bench = sending()
        for _ in 0..<60 {
            bench.tick(after: 50)
            bench.answer(from: 3, 25)
        }
        _ = bench.take()
        for _ in 0..<60 {
            bench.tick(after: 50)
            bench.answer(from: 3, 25)
        }
        let began = bench.output.transitions.count
        #expect(chunks(to: 2, bench).count <= 2 && began == 0, "\(began) transfers were begun in three seconds")
    }

    @Test func `a snapshot that cannot be read any more is given up, and the newest is sent later`() {
        var bench = sending()
        want(&bench, 2)
        bench.handle(.snapshotUnreadable(mark(20, chunks: 6)))
        #expect(bench.progress(of: 2)?.state == .probe(isWaiting: true))
        _ = bench.take()
        bench.tick(after: 50)
        bench.answer(from: 2, 0)
        bench.tick(after: 50)
        #expect(chunks(to: 2, bench) == [0])
    }

    @Test func `a snapshot that is installed is followed by entries`() {
        var bench = sending()
        want(&bench, 6)
        _ = bench.take()
        want(&bench, 0, isInstalled: true)
        #expect(bench.progress(of: 2)?.matchIndex == LogIndex(20))
        #expect(bench.progress(of: 2)?.state == .replicate)
        #expect(bench.appends.first?.append.previousIndex == LogIndex(20))
        #expect(bench.appends.first?.append.entries.count == 6)
    }

    @Test func `an answer about another snapshot is of no interest`() {
        var bench = sending()
        let before = bench.progress(of: 2)?.state
        let answer = RaftMessage.SnapshotAnswer(term: bench.core.term, index: LogIndex(10), nextChunk: 0, isInstalled: true, round: 1)
        bench.receive(.installSnapshotReply(answer), from: 2)
        #expect(bench.progress(of: 2)?.state == before)
        #expect(bench.progress(of: 2)?.matchIndex == .zero)
    }

    @Test func `what follows a snapshot on its way is kept, whatever newer ones there are`() {
        var bench = Bench(terms: [1, 1], snapshot: mark(20, chunks: 6), settings: { $0.tailEntries = 0 })
        bench.becomeLeader()
        bench.refuse(from: 2, previous: 22, conflict: 4)
        for _ in 0..<5 { bench.propose() }
        bench.answer(from: 3, 28)
        bench.handle(.snapshotTaken(mark(28, term: 2)))
        #expect(bench.core.log.base == LogIndex(20))
        want(&bench, 0, isInstalled: true)
        #expect(bench.appends.last?.append.previousIndex == LogIndex(20))
        bench.answer(from: 2, 28)
        bench.propose()
        bench.answer(from: 3, 29)
        bench.handle(.snapshotTaken(mark(29, term: 2)))
        #expect(bench.core.log.base == LogIndex(29))
    }

    @Test func `a log that agrees after all needs no snapshot`() {
        var bench = sending()
        bench.answer(from: 2, 22)
        #expect(bench.progress(of: 2)?.state == .replicate)
        #expect(bench.appends.last?.append.previousIndex == LogIndex(22))
    }
}

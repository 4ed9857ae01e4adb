import Primitives
import Testing

@testable import Raft

/// Raft section 7: InstallSnapshot as the follower sees it.
struct Section7ReceivingTests {
    private func answers(_ bench: Bench) -> [RaftMessage.SnapshotAnswer] {
        bench.output.messages.compactMap { if case .installSnapshotReply(let answer) = $0.message { answer } else { nil } }
    }

    private func receive(_ bench: inout Bench, _ mark: SnapshotMark, chunk: UInt32, from leader: Int = 2, term: UInt64 = 5) {
        bench.receive(.installSnapshot(.init(term: Term(term), snapshot: mark, chunk: chunk, round: 1)), from: leader)
    }

    /// Its log is of terms 1, 1, 2, and it got the first two of three chunks of a snapshot of 9.
    private func receiving() -> Bench {
        var bench = Bench(terms: [1, 1, 2], term: 5)
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 0)
        bench.handle(.snapshotResumes(mark(9, term: 3, chunks: 3), chunk: 0))
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 0)
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 1)
        return bench
    }

    @Test func `chunks are written in order, and the next one is asked for`() {
        let bench = receiving()
        #expect(bench.output.incoming?.index == LogIndex(9))
        #expect(bench.output.writes.compactMap(\.chunk?.chunk) == [0, 1])
        #expect(answers(bench).map(\.nextChunk) == [0, 1, 2])
        #expect(answers(bench).allSatisfy { !$0.isInstalled })
        #expect(bench.core.commitIndex == .zero)
    }

    @Test func `a chunk that is not the next one is not written`() {
        var bench = receiving()
        _ = bench.take()
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 0)
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 5)
        #expect(bench.output.writes.isEmpty)
        #expect(answers(bench).map(\.nextChunk) == [2, 2])
    }

    @Test func `a chunk is acknowledged when it is durable`() {
        var bench = receiving()
        _ = bench.take()
        bench.isStalled = true
        var long = mark(9, term: 3, chunks: 9)
        long.chain = 77
        receive(&bench, long, chunk: 0)
        bench.handle(.snapshotResumes(long, chunk: 4))
        receive(&bench, long, chunk: 4)
        #expect(answers(bench).map(\.nextChunk) == [4])
        bench.store()
        #expect(answers(bench).map(\.nextChunk) == [4, 5])
    }

    @Test func `the last chunk is answered when the whole is what it should be, and its place is taken on the disk`() {
        var bench = receiving()
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 2)
        _ = bench.take()
        bench.isStalled = true
        bench.handle(.snapshotReceived(mark(9, term: 3, chunks: 3), isWhole: true))
        #expect(bench.output.writes.map(\.install?.index) == [LogIndex(9)])
        #expect(answers(bench).isEmpty && bench.output.restored == nil && bench.output.commit == nil)
        bench.store()
        #expect(answers(bench).map(\.isInstalled) == [true])
        #expect(bench.output.restored?.index == LogIndex(9))
        #expect(bench.core.log.base == LogIndex(9) && bench.core.log.lastIndex == LogIndex(9))
        #expect(bench.core.commitIndex == LogIndex(9) && bench.core.durableIndex == LogIndex(9))
        #expect(bench.output.commit == nil, "the state machine has it with the snapshot")
    }

    @Test func `a damaged one is not installed, and wanted from its beginning`() {
        var bench = receiving()
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 2)
        _ = bench.take()
        bench.handle(.snapshotReceived(mark(9, term: 3, chunks: 3), isWhole: false))
        #expect(answers(bench).map(\.nextChunk) == [0])
        #expect(answers(bench).map(\.isInstalled) == [false])
        #expect(bench.core.log.lastIndex == LogIndex(3))
        #expect(bench.output.restored == nil && bench.output.writes.isEmpty)
    }

    @Test func `a transfer goes on where its disk says, from another leader too`() {
        var bench = receiving()
        _ = bench.take()
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 0, from: 3, term: 6)
        #expect(bench.output.incoming?.index == LogIndex(9), "the disk knows what it has of it")
        bench.handle(.snapshotResumes(mark(9, term: 3, chunks: 3), chunk: 2))
        #expect(answers(bench).map(\.nextChunk) == [2])
        #expect(bench.output.transitions.contains(.snapshotResumed(LogIndex(9), chunk: 2)))
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 2, from: 3, term: 6)
        bench.handle(.snapshotReceived(mark(9, term: 3, chunks: 3), isWhole: true))
        #expect(bench.output.restored?.index == LogIndex(9))
    }

    @Test func `another snapshot takes its place`() {
        var bench = receiving()
        _ = bench.take()
        receive(&bench, mark(12, term: 3, chunks: 2), chunk: 0)
        #expect(bench.output.incoming?.index == LogIndex(12))
        bench.handle(.snapshotResumes(mark(9, term: 3, chunks: 3), chunk: 2))
        receive(&bench, mark(12, term: 3, chunks: 2), chunk: 0)
        #expect(bench.output.writes.isEmpty, "nobody said yet where this one goes on")
    }

    @Test func `a log that has its last entry keeps what follows`() {
        var bench = Bench(terms: [1, 1, 2, 2, 2], term: 5)
        receive(&bench, mark(3, term: 2), chunk: 0)
        bench.handle(.snapshotResumes(mark(3, term: 2), chunk: 0))
        receive(&bench, mark(3, term: 2), chunk: 0)
        bench.handle(.snapshotReceived(mark(3, term: 2), isWhole: true))
        #expect(bench.core.log.lastIndex == LogIndex(5) && bench.core.log.base == .zero)
        #expect(bench.core.commitIndex == LogIndex(3))
        #expect(bench.output.commit == LogIndex(3) && bench.output.restored == nil)
        #expect(bench.output.writes.allSatisfy { $0.install == nil })
        #expect(answers(bench).last?.isInstalled == true)
    }

    @Test func `a log with another last entry is replaced as a whole`() {
        var bench = Bench(terms: [1, 1, 1, 1, 1], term: 5)
        receive(&bench, mark(3, term: 2), chunk: 0)
        bench.handle(.snapshotResumes(mark(3, term: 2), chunk: 0))
        receive(&bench, mark(3, term: 2), chunk: 0)
        bench.handle(.snapshotReceived(mark(3, term: 2), isWhole: true))
        #expect(bench.core.log.lastIndex == LogIndex(3) && bench.core.log.base == LogIndex(3))
        #expect(bench.core.log.lastTerm == Term(2))
        #expect(bench.output.restored?.index == LogIndex(3))
    }

    @Test func `a stale one changes nothing and counts as installed`() {
        var bench = Bench(terms: [1, 1, 1, 1, 1], term: 1)
        bench.receive(.append(heartbeat(term: 1, previous: 5, of: 1, commit: 5)), from: 2)
        _ = bench.take()
        let log = bench.core.log
        receive(&bench, mark(4, term: 1), chunk: 0, term: 1)
        #expect(answers(bench).map(\.isInstalled) == [true])
        #expect(bench.output.incoming == nil && bench.output.writes.isEmpty)
        #expect(bench.core.log == log && bench.core.commitIndex == LogIndex(5))
    }

    @Test func `its configuration is in force`() {
        var bench = receiving()
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 2)
        #expect(bench.core.configuration == Configuration(voters: nodes(1...3)))
        var other = Bench(9, voters: [], term: 5)
        let mark = mark(9, term: 3, voters: nodes(1, 2, 9))
        receive(&other, mark, chunk: 0)
        other.handle(.snapshotResumes(mark, chunk: 0))
        receive(&other, mark, chunk: 0)
        other.handle(.snapshotReceived(mark, isWhole: true))
        #expect(other.core.configuration == Configuration(voters: nodes(1, 2, 9)))
        #expect(other.output.transitions.contains(.configuration(LogIndex(9), Configuration(voters: nodes(1, 2, 9)))))
    }

    /// It was begun before, of what was applied then, and is ready only now.
    @Test func `its own snapshot that is ready meanwhile is of no interest`() {
        var bench = receiving()
        bench.receive(.append(heartbeat(term: 5, previous: 3, of: 2, commit: 3)), from: 2)
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 2)
        bench.isStalled = true
        bench.handle(.snapshotReceived(mark(9, term: 3, chunks: 3), isWhole: true))
        bench.handle(.snapshotTaken(mark(3, term: 2)))
        #expect(bench.core.snapshot?.index == LogIndex(9))
    }

    @Test func `while it is installed nothing else is appended or acknowledged`() {
        var bench = receiving()
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 2)
        bench.isStalled = true
        bench.handle(.snapshotReceived(mark(9, term: 3, chunks: 3), isWhole: true))
        _ = bench.take()
        bench.receive(.append(append(term: 5, previous: 9, of: 3, [5])), from: 2)
        let acknowledged = bench.answers.contains { if case .matched = $0.outcome { true } else { false } }
        #expect(!acknowledged)
        #expect(bench.core.log.lastIndex == LogIndex(9))
        bench.store()
        _ = bench.take()
        bench.receive(.append(append(term: 5, previous: 9, of: 3, [5])), from: 2)
        bench.store()
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(10))])
    }

    /// Entries from another leader may have brought more than the snapshot meanwhile.
    @Test func `a snapshot that no longer comes does not keep a server from campaigning`() {
        var bench = Bench(terms: [1, 1, 2], term: 5)
        receive(&bench, mark(9, term: 3, chunks: 3), chunk: 0)
        bench.handle(.snapshotResumes(mark(9, term: 3, chunks: 3), chunk: 0))
        let terms: [UInt64] = [3, 3, 3, 3, 3, 3, 6]
        bench.receive(.append(append(term: 6, previous: 3, of: 2, terms, commit: 10)), from: 3)
        #expect(bench.core.commitIndex == LogIndex(10))
        bench.becomeCandidate()
        #expect(bench.core.role == .candidate)
    }
}

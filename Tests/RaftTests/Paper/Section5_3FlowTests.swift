import Primitives
import Testing

@testable import Raft

/// Raft section 5.3 and thesis section 10.2: how entries flow to one follower (Progress says which states there are).
struct Section5_3FlowTests {
    private func entries(to peer: Int, _ bench: Bench) -> [[UInt64]] {
        bench.appends.filter { $0.to == node(peer) && !$0.append.entries.isEmpty }.map { $0.append.entries.map(\.index.number) }
    }

    @Test func `until it is known where the logs agree, one message is under way`() {
        var bench = Bench(terms: [1, 1])
        bench.becomeLeader()
        #expect(bench.progress(of: 2)?.state == .probe(isWaiting: true))
        bench.propose()
        bench.propose()
        #expect(entries(to: 2, bench).isEmpty)
        bench.answer(from: 2, 3)
        #expect(bench.progress(of: 2)?.state == .replicate)
        #expect(entries(to: 2, bench) == [[4, 5]])
    }

    @Test func `then entries go out as they are proposed`() {
        var bench = Bench()
        bench.lead()
        for _ in 0..<5 { bench.propose() }
        #expect(entries(to: 2, bench) == [[2], [3], [4], [5], [6]])
        #expect(bench.progress(of: 2)?.nextIndex == LogIndex(7))
        #expect(bench.progress(of: 2)?.matchIndex == LogIndex(1))
    }

    @Test func `no more messages are under way than may be`() {
        var bench = Bench(settings: { $0.inFlightMessages = 3 })
        bench.lead()
        for _ in 0..<6 { bench.propose() }
        #expect(entries(to: 2, bench) == [[2], [3], [4]])
        bench.answer(from: 2, 2)
        #expect(entries(to: 2, bench) == [[2], [3], [4], [5, 6, 7]])
    }

    @Test func `no more bytes are under way than may be, but one message always`() {
        var bench = Bench(settings: { $0.inFlightBytes = 10 })
        bench.lead()
        for _ in 0..<4 { bench.propose("123456") }
        #expect(entries(to: 2, bench) == [[2], [3]])
        bench.answer(from: 2, 3)
        #expect(entries(to: 2, bench) == [[2], [3], [4, 5]])
        bench.propose("a very long payload")
        #expect(entries(to: 2, bench) == [[2], [3], [4, 5]])
    }

    @Test func `a message has no more payload than one may have, but one entry always`() {
        var bench = Bench(settings: { $0.appendBytes = 10 })
        bench.lead()
        bench.handle(.propose(id: 1, ["1234", "1234", "1234", "a very long payload", "1"].map { Array($0.utf8) }))
        #expect(entries(to: 2, bench) == [[2, 3], [4], [5], [6]])
    }

    @Test func `a lost first message comes again, once its receiver has answered a later heartbeat`() {
        var bench = Bench()
        bench.becomeLeader()
        bench.tick(after: 50)
        #expect(entries(to: 2, bench).isEmpty)
        bench.answer(from: 2, 0)
        bench.tick(after: 50)
        #expect(entries(to: 2, bench) == [[1]])
        #expect(entries(to: 3, bench).isEmpty, "whoever answers nothing is sent nothing")
    }

    @Test func `what is not answered for an election timeout is sent again`() {
        var bench = Bench()
        bench.lead()
        bench.propose()
        _ = bench.take()
        for _ in 0..<9 {
            bench.tick(after: 50)
            bench.answer(from: 2, 1)
        }
        #expect(entries(to: 2, bench).isEmpty)
        for _ in 0..<2 {
            bench.tick(after: 50)
            bench.answer(from: 2, 1)
        }
        #expect(entries(to: 2, bench).first == [2])
    }

    @Test func `a follower that could not be reached is sent all after what is known to agree, once it answers again`() {
        var bench = Bench()
        bench.lead()
        for _ in 0..<3 { bench.propose() }
        bench.answer(from: 2, 2)
        _ = bench.take()
        bench.handle(.unreachable(node(2)))
        bench.tick(after: 50)
        #expect(entries(to: 2, bench).isEmpty)
        #expect(bench.progress(of: 2)?.state == .probe(isWaiting: true))
        bench.answer(from: 2, 2)
        bench.tick(after: 50)
        #expect(entries(to: 2, bench) == [[3, 4]])
    }

    /// A new leader knows nothing of the others: they have nearly everything, and are not to get all of it again.
    @Test func `a follower that could not be reached before its first answer is not sent the log from its beginning`() {
        var bench = Bench(terms: Array(repeating: 1, count: 100))
        bench.becomeLeader()
        bench.handle(.unreachable(node(2)))
        #expect(bench.progress(of: 2)?.nextIndex == LogIndex(101))
        let sent = entries(to: 2, bench)
        #expect(sent.allSatisfy { $0 == [101] }, "\(sent.map(\.count)) entries")
    }

    @Test func `nor is it sent a snapshot`() {
        var bench = Bench(terms: Array(repeating: 1, count: 10), snapshot: mark(100))
        bench.becomeLeader()
        bench.handle(.unreachable(node(2)))
        #expect(bench.progress(of: 2)?.nextIndex == LogIndex(111))
        #expect(!bench.output.transitions.contains(.snapshotSent(to: node(2), LogIndex(100))))
    }

    /// A host says so for every message that could not be sent: that must not be answered with another one.
    @Test func `to be told that nobody can be reached makes no new messages each time`() {
        var bench = Bench()
        bench.lead()
        bench.propose()
        bench.handle(.unreachable(node(2)))
        _ = bench.take()
        for _ in 0..<5 { bench.handle(.unreachable(node(2))) }
        #expect(entries(to: 2, bench).count <= 1)
    }

    // MARK: Entries that are on the disk alone

    private func withLittleMemory(_ count: Int) -> Bench {
        var bench = Bench(terms: Array(repeating: 1, count: count), settings: { $0.keptBytes = 160 })
        bench.becomeLeader()
        return bench
    }

    @Test func `entries that are not kept are fetched`() {
        var bench = withLittleMemory(10)
        #expect(bench.core.log.firstKept == LogIndex(8))
        bench.refuse(from: 2, previous: 10, conflict: 4)
        #expect(bench.output.fetches == [.init(peer: node(2), first: LogIndex(4), last: LogIndex(7), maxBytes: 256 << 10)])
        for _ in 0..<3 { bench.propose() }
        #expect(bench.output.fetches.count == 1)
        bench.tick(after: 50)
        #expect(bench.output.fetches.count == 2, "a heartbeat asks again for what did not come")
    }

    @Test func `what was fetched is sent when it is still what comes next`() {
        var bench = withLittleMemory(10)
        bench.refuse(from: 2, previous: 10, conflict: 4)
        _ = bench.take()
        bench.handle(.fetched(peer: node(2), RaftTests.entries([1, 1, 1, 1], from: 4)))
        #expect(entries(to: 2, bench) == [[4, 5, 6, 7]])
        #expect(bench.appends.first?.append.previousIndex == LogIndex(3))
        bench.answer(from: 2, 7)
        #expect(entries(to: 2, bench) == [[4, 5, 6, 7], [8, 9, 10, 11]])
    }

    @Test func `what comes too late, or is another log's, is not sent`() {
        var bench = withLittleMemory(10)
        bench.refuse(from: 2, previous: 10, conflict: 4)
        bench.answer(from: 2, 9)
        _ = bench.take()
        bench.handle(.fetched(peer: node(2), RaftTests.entries([1, 1, 1, 1], from: 4)))
        #expect(entries(to: 2, bench).isEmpty)

        var other = withLittleMemory(10)
        other.refuse(from: 2, previous: 10, conflict: 4)
        _ = other.take()
        other.handle(.fetched(peer: node(2), RaftTests.entries([3, 3], from: 4)))
        #expect(entries(to: 2, other).isEmpty)
        #expect(other.output.fetches.count == 1, "it is asked for again")
    }

    @Test func `a fetch for nobody, or for a leader that was, is of no interest`() {
        var bench = withLittleMemory(10)
        bench.refuse(from: 2, previous: 10, conflict: 4)
        bench.receive(.append(heartbeat(term: 9)), from: 3)
        _ = bench.take()
        bench.handle(.fetched(peer: node(2), RaftTests.entries([1], from: 4)))
        bench.handle(.fetched(peer: node(9), []))
        #expect(bench.output.messages.isEmpty)
    }

    // MARK: What waits

    @Test func `proposals beyond what may wait are refused for certain, and taken again when it is less`() {
        var bench = Bench(settings: { $0.uncommittedBytes = 10 })
        bench.lead()
        bench.propose("a payload that is longer than all that may wait", id: 1)
        #expect(bench.output.accepted.map(\.id) == [1], "one is always taken")
        bench.propose("x", id: 2)
        #expect(bench.output.refused == [.init(id: 2, reason: .busy)])
        bench.answer(from: 2, 2)
        bench.propose("12345", id: 3)
        bench.propose("123456", id: 4)
        #expect(bench.output.accepted.map(\.id) == [1, 3])
        #expect(bench.core.uncommittedBytes == 5)
    }

    @Test func `what a new leader finds uncommitted counts too`() {
        var bench = Bench(terms: [1, 1, 1, 1], settings: { $0.uncommittedBytes = 4 })
        bench.becomeLeader()
        #expect(bench.core.uncommittedBytes == 4)
        bench.propose(id: 5)
        #expect(bench.output.refused.map(\.reason) == [.busy])
    }
}

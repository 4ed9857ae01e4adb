import Primitives
import Simulation
import Testing

@testable import Raft

/// Thesis section 6.4: reads without an entry (ReadIndex).
struct Thesis6_4Tests {
    private func leading(size: Int = 3) -> Bench {
        var bench = Bench(voters: nodes(1...size))
        bench.lead()
        return bench
    }

    @Test func `a read waits for a majority to answer what was sent after it came`() {
        var bench = leading()
        let before = bench.core.round
        bench.handle(.read(id: 1))
        #expect(bench.core.round == before + 1)
        bench.answer(from: 2, 1, round: before)
        bench.answer(from: 3, 1, round: before)
        #expect(bench.output.readsReady.isEmpty)
        bench.answer(from: 3, 1, round: before + 1)
        #expect(bench.output.readsReady == [.init(id: 1, index: LogIndex(1))])
    }

    /// Of five, with what each of the others answered.
    @Test(arguments: [([], false), ([2], false), ([2, 3], true), ([4, 5], true), ([2, 3, 4, 5], true)])
    func `of five two others are a majority`(answers: [Int], isReady: Bool) {
        var bench = leading(size: 5)
        bench.handle(.read(id: 1))
        for peer in answers { bench.answer(from: peer, 1) }
        #expect(bench.output.readsReady.isEmpty != isReady)
    }

    @Test func `a refusal confirms as well: whoever refuses an entry still has this leader`() {
        var bench = Bench(terms: [1, 1])
        bench.becomeLeader()
        bench.answer(from: 2, 3)
        bench.handle(.read(id: 1))
        bench.refuse(from: 3, previous: 2, conflict: 1)
        #expect(bench.output.readsReady == [.init(id: 1, index: LogIndex(3))])
    }

    @Test func `the index is that of when it came`() {
        var bench = leading()
        bench.handle(.read(id: 1))
        bench.propose()
        bench.answer(from: 2, 2, round: 0)
        #expect(bench.core.commitIndex == LogIndex(2))
        bench.answer(from: 2, 2)
        #expect(bench.output.readsReady == [.init(id: 1, index: LogIndex(1))])
    }

    @Test func `reads that come meanwhile share the next round`() {
        var bench = leading()
        bench.handle(.read(id: 1))
        let first = bench.core.round
        for id in UInt64(2)...5 { bench.handle(.read(id: id)) }
        #expect(bench.core.round == first)
        bench.answer(from: 2, 1, round: first)
        #expect(bench.output.readsReady.map(\.id) == [1])
        #expect(bench.core.round == first + 1)
        bench.answer(from: 2, 1, round: first + 1)
        #expect(bench.output.readsReady.map(\.id) == [1, 2, 3, 4, 5])
        #expect(bench.core.round == first + 1)
    }

    @Test func `the next heartbeat serves a read whose round was lost`() {
        var bench = leading()
        bench.handle(.read(id: 1))
        bench.tick(after: 50)
        bench.answer(from: 2, 1)
        #expect(bench.output.readsReady.map(\.id) == [1])
    }

    @Test func `learners and strangers confirm nothing`() {
        var bench = Bench(learners: nodes(4))
        bench.lead()
        bench.handle(.read(id: 1))
        bench.answer(from: 4, 1)
        bench.answer(from: 9, 1)
        #expect(bench.output.readsReady.isEmpty)
    }

    @Test func `an answer to a round that was never sent is no answer`() {
        var bench = leading()
        bench.handle(.read(id: 1))
        bench.answer(from: 2, 1, round: 1_000)
        #expect(bench.output.readsReady.isEmpty)
    }

    @Test func `too many reads are refused as busy`() {
        var bench = Bench(settings: { $0.pendingReads = 2 })
        bench.lead()
        for id in UInt64(1)...4 { bench.handle(.read(id: id)) }
        #expect(bench.output.refused == [.init(id: 3, reason: .busy), .init(id: 4, reason: .busy)])
        bench.receive(.readIndex(term: Term(1), id: 5), from: 2)
        #expect(bench.take(to: 2).last == .readIndexReply(term: Term(1), id: 5, index: nil))
    }

    @Test func `of a joint configuration both halves have to answer`() {
        var bench = Bench(voters: nodes(1...5))
        bench.lead()
        bench.handle(.change(id: 1, voters: nodes(4, 5), learners: [], basedOn: nil))
        bench.handle(.read(id: 2))
        for peer in 2...4 { bench.answer(from: peer, 1) }
        #expect(bench.output.readsReady.isEmpty)
        bench.answer(from: 5, 1)
        #expect(bench.output.readsReady.map(\.id) == [2])
    }

    // MARK: Followers

    /// A follower, n2, of n1, that asked it about read 8, and under which number.
    private func asking(_ change: (inout RaftSettings) -> Void = { _ in }) -> (bench: Bench, token: UInt64) {
        var bench = Bench(2, settings: change)
        bench.follow(1, in: 1)
        bench.handle(.read(id: 8))
        let sent = bench.take()
        #expect(sent.map(\.to) == nodes(1))
        guard case .readIndex(Term(1), let token) = sent.first?.message else {
            Issue.record("\(sent)")
            return (bench, 0)
        }
        return (bench, token)
    }

    @Test func `a follower asks its leader`() {
        var (bench, token) = asking()
        bench.receive(.readIndexReply(term: Term(1), id: token, index: LogIndex(4)), from: 1)
        #expect(bench.output.readsReady == [.init(id: 8, index: LogIndex(4))])
        bench.receive(.readIndexReply(term: Term(1), id: token, index: LogIndex(4)), from: 1)
        #expect(bench.output.readsReady.count == 1, "a second answer answers nothing")
    }

    @Test func `the answer to another start's question is not its own's`() {
        var (bench, token) = asking()
        bench.receive(.readIndexReply(term: Term(1), id: 8, index: LogIndex(1)), from: 1)
        bench.receive(.readIndexReply(term: Term(1), id: token &+ 1, index: LogIndex(1)), from: 1)
        #expect(bench.output.readsReady.isEmpty && bench.output.refused.isEmpty)
        var other = Bench(2, seed: 2)
        other.follow(1, in: 1)
        other.handle(.read(id: 8))
        #expect(other.take().map(\.message) != [.readIndex(term: Term(1), id: token)])
    }

    @Test func `what is not answered within an election timeout is refused`() {
        var (bench, token) = asking()
        #expect(bench.core.nextDeadline <= bench.now.advanced(by: .milliseconds(1_000)))
        for _ in 0..<10 {
            bench.pass(100)
            bench.receive(.append(heartbeat(term: 1)), from: 1)
        }
        #expect(bench.output.refused == [.init(id: 8, reason: .notLeader(hint: node(1)))])
        bench.receive(.readIndexReply(term: Term(1), id: token, index: LogIndex(4)), from: 1)
        #expect(bench.output.readsReady.isEmpty)
    }

    @Test func `so is what its leader was asked when there is another one, or none`() {
        var (other, _) = asking()
        other.receive(.append(heartbeat(term: 2)), from: 3)
        #expect(other.output.refused.map(\.id) == [8])
        var (none, _) = asking()
        none.now = none.core.electionDeadline
        none.handle(.tick)
        #expect(none.output.refused.map(\.id) == [8])
        var (gone, _) = asking()
        gone.handle(.disconnected(node(1)))
        #expect(gone.output.refused.map(\.id) == [8])
    }

    @Test func `no more questions are open than may be`() {
        var (bench, _) = asking { $0.pendingReads = 1 }
        bench.handle(.read(id: 9))
        #expect(bench.output.refused == [.init(id: 9, reason: .busy)])
    }

    @Test func `the leader answers as for itself`() {
        var bench = leading()
        bench.receive(.readIndex(term: Term(1), id: 8), from: 3)
        #expect(bench.take(to: 3).allSatisfy { if case .readIndexReply = $0 { false } else { true } })
        bench.answer(from: 2, 1)
        #expect(bench.take(to: 3).contains(.readIndexReply(term: Term(1), id: 8, index: LogIndex(1))))
        #expect(bench.output.readsReady.isEmpty)
    }

    @Test func `whoever does not lead cannot tell`() {
        var bench = Bench(2)
        bench.handle(.read(id: 1))
        #expect(bench.output.refused == [.init(id: 1, reason: .notLeader(hint: nil))])
        bench.follow(1, in: 1)
        bench.receive(.readIndex(term: Term(1), id: 2), from: 3)
        #expect(bench.take(to: 3) == [.readIndexReply(term: Term(1), id: 2, index: nil)])
        var (asking, token) = asking()
        asking.receive(.readIndexReply(term: Term(1), id: token, index: nil), from: 1)
        #expect(asking.output.refused == [.init(id: 8, reason: .notLeader(hint: node(1)))])
    }

    @Test func `one that was asked in an old term tells the new one`() {
        var bench = Bench(term: 4)
        bench.receive(.readIndex(term: Term(3), id: 2), from: 3)
        #expect(bench.take(to: 3) == [.readIndexReply(term: Term(4), id: 2, index: nil)])
    }

    @Test func `what was answered in an old term is of no use`() {
        var bench = Bench(2)
        bench.follow(1, in: 4)
        bench.receive(.readIndexReply(term: Term(3), id: 2, index: LogIndex(9)), from: 1)
        #expect(bench.output.readsReady.isEmpty)
    }

    // MARK: All of it

    @Test func `no read is stale, whoever leads and whatever is lost`() {
        for seed in UInt64(1)...25 {
            var generator = SeededGenerator(seed: seed)
            var cluster = ScriptedCluster.led(by: 3)
            var id: UInt64 = 0
            for step in 0..<80 {
                let number = Int.random(in: 1...3, using: &generator)
                switch Int.random(in: 0..<7, using: &generator) {
                case 0: cluster.isolate(node(number))
                case 1: cluster.heal()
                case 2: _ = cluster.campaign(number - 1)
                case 3: for leader in cluster.leaders() { cluster.propose("\(step)", to: leader) }
                case 4: _ = cluster.duplicate(MessageFilter(from: node(number)), count: 2)
                default:
                    id += 1
                    cluster.read(id, at: number - 1)
                }
                for _ in 0..<Int.random(in: 0...12, using: &generator) { _ = cluster.deliverNext() }
                cluster.advance(.milliseconds(Int64.random(in: 1...60, using: &generator)))
            }
            cluster.heal()
            cluster.run(3_000)
            let faults = cluster.faults()
            #expect(faults.isEmpty, "seed \(seed): \(faults)")
        }
    }
}

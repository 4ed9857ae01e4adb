import Primitives
import Simulation
import Testing

@testable import Raft

/// Thesis section 6.4.1: leases.
struct Thesis6_4_1Tests {
    private func leading(drift: Double = 0.05) -> Bench {
        var bench = Bench(settings: {
            $0.leaseReads = true
            $0.clockDrift = drift
        })
        bench.lead()
        return bench
    }

    /// Answers the newest round.
    private func renew(_ bench: inout Bench) {
        bench.tick(after: 50)
        bench.answer(from: 2, 1)
        bench.output.clear()
    }

    private func reads(_ bench: Bench) -> Bool {
        var bench = bench
        bench.output.clear()
        bench.handle(.read(id: 1))
        return !bench.output.readsReady.isEmpty
    }

    @Test func `while a majority answered lately reads need no messages`() {
        var bench = leading()
        renew(&bench)
        bench.pass(400)
        bench.handle(.read(id: 3))
        #expect(bench.output.readsReady == [.init(id: 3, index: LogIndex(1))])
        #expect(bench.output.messages.isEmpty)
    }

    @Test(arguments: [(0.0, 499, true), (0.0, 500, false), (0.05, 474, true), (0.05, 475, false), (0.2, 399, true), (0.2, 400, false)])
    func `a lease is an election timeout long from when the round was sent, less what clocks may differ`(
        drift: Double, milliseconds: Int64, holds: Bool
    ) {
        var bench = leading(drift: drift)
        bench.tick(after: 50)
        bench.pass(100)
        bench.answer(from: 2, 1)
        bench.pass(milliseconds - 100)
        #expect(reads(bench) == holds)
    }

    @Test func `an answer to an older round gives a lease from that one`() {
        var bench = leading()
        bench.tick(after: 50)
        let first = bench.core.round
        for _ in 0..<5 { bench.tick(after: 50) }
        bench.answer(from: 2, 1, round: first)
        bench.pass(220)
        #expect(reads(bench))
        bench.pass(10)
        #expect(!reads(bench))
    }

    @Test func `it takes a majority`() {
        var bench = Bench(voters: nodes(1...5), settings: { $0.leaseReads = true })
        bench.lead()
        for _ in 0..<10 { bench.tick(after: 50) }
        bench.answer(from: 2, 1)
        #expect(!reads(bench))
        bench.answer(from: 3, 1)
        #expect(reads(bench))
    }

    @Test func `a new leader has none before an entry of its own is committed`() {
        var bench = Bench(terms: [1], settings: { $0.leaseReads = true })
        bench.becomeLeader()
        bench.answer(from: 2, 1)
        #expect(!reads(bench))
        bench.answer(from: 2, 2)
        #expect(reads(bench))
    }

    @Test func `without leases every read is confirmed`() {
        var bench = Bench()
        bench.lead()
        renew(&bench)
        #expect(!reads(bench))
    }

    @Test func `there is none while leadership is handed over`() {
        var bench = leading()
        renew(&bench)
        bench.handle(.transfer(id: 1, to: node(3)))
        #expect(!reads(bench))
    }

    /// The order to campaign may still be on its way, and whoever gets it is voted for at once.
    @Test func `nor afterwards, once the successor was told to campaign`() {
        var bench = leading()
        renew(&bench)
        bench.handle(.transfer(id: 1, to: node(3)))
        for _ in 0..<21 { renew(&bench) }
        #expect(bench.core.transfer == nil && bench.core.role == .leader)
        #expect(!reads(bench))
    }

    @Test func `a server that starts votes for nobody for an election timeout`() {
        var bench = Bench(2, at: Instant(nanoseconds: 1_000_000_000), settings: { $0.leaseReads = true })
        bench.pass(499)
        bench.receive(vote(term: 1), from: 3)
        bench.receive(.preVote(.init(term: Term(0), asked: Term(1), lastIndex: .zero, lastTerm: Term(0))), from: 3)
        #expect(bench.votes.isEmpty && bench.core.term == Term(0))
        #expect(bench.preVotes.map(\.isGranted) == [false])
        bench.pass(1)
        bench.receive(vote(term: 1), from: 3)
        #expect(bench.votes.map(\.isGranted) == [true])
    }

    /// The leader may live on behind a connection that was cut, and read by its lease.
    @Test func `a connection that was closed does not free a server of the lease that it granted`() {
        var bench = Bench(2, settings: { $0.leaseReads = true })
        bench.follow(1, in: 1)
        bench.pass(100)
        bench.handle(.disconnected(node(1)))
        _ = bench.take()
        bench.receive(vote(term: 2), from: 3)
        bench.receive(.preVote(.init(term: Term(1), asked: Term(2), lastIndex: .zero, lastTerm: Term(0))), from: 3)
        #expect(bench.votes.allSatisfy { !$0.isGranted })
        #expect(bench.preVotes.allSatisfy { !$0.isGranted })
    }

    /// A later term that it hears of, by an answer that came late, is no word from its leader.
    @Test func `nor does a later term`() {
        var bench = Bench(2, settings: { $0.leaseReads = true })
        bench.follow(1, in: 1)
        bench.receive(.preVoteReply(.init(term: Term(5), asked: Term(2), isGranted: false)), from: 3)
        #expect(bench.core.term == Term(5))
        _ = bench.take()
        bench.receive(vote(term: 6), from: 3)
        #expect(bench.votes.allSatisfy { !$0.isGranted })
    }

    @Test func `no read is stale while clocks differ by less than is allowed for`() {
        for seed in UInt64(1)...25 {
            var generator = SeededGenerator(seed: seed)
            var cluster = ScriptedCluster.led(by: 3, settings: { $0.leaseReads = true })
            for place in 0...2 { cluster.setClock(place, percent: Int64.random(in: 98...102, using: &generator)) }
            var id: UInt64 = 0
            for step in 0..<80 {
                let number = Int.random(in: 1...3, using: &generator)
                switch Int.random(in: 0..<6, using: &generator) {
                case 0: cluster.isolate(node(number))
                case 1: cluster.heal()
                case 2: for leader in cluster.leaders() { cluster.propose("\(step)", to: leader) }
                case 3: cluster.pause(number - 1, Bool.random(using: &generator))
                default:
                    id += 1
                    if !cluster.servers[number - 1].isPaused { cluster.read(id, at: number - 1) }
                }
                cluster.advance(.milliseconds(Int64.random(in: 1...150, using: &generator)), delivering: Bool.random(using: &generator))
            }
            let faults = cluster.faults()
            #expect(faults.isEmpty, "seed \(seed): \(faults)")
        }
    }
}

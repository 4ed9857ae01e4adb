import Primitives
import Simulation
import Testing

@testable import Raft

/// Raft section 5.6 and 5.2: timing.
struct Section5_6Tests {
    private func timeouts(of bench: Bench, _ count: Int) -> [Int64] {
        var bench = bench
        return (0..<count).map { _ in
            bench.core.resetElectionTimer(bench.now)
            return bench.core.electionDeadline.duration(since: bench.now).milliseconds
        }
    }

    @Test func `election timeouts are between the bounds, and all of them are used`() {
        let timeouts = timeouts(of: Bench(), 10_000)
        #expect(timeouts.allSatisfy { (500..<1_000).contains($0) })
        for decade in 0..<10 {
            let range = Int64(500 + 50 * decade)..<Int64(550 + 50 * decade)
            let share = timeouts.count { range.contains($0) }
            #expect((800...1_200).contains(share), "\(range): \(share)")
        }
    }

    @Test func `they differ from one election to the next, and from server to server`() {
        #expect(Set(timeouts(of: Bench(), 50)).count > 20)
        let first = (UInt64(1)...20).map { Bench(seed: $0).core.electionDeadline }
        #expect(Set(first).count > 15)
    }

    @Test func `the same seed gives the same timeouts`() {
        #expect(timeouts(of: Bench(seed: 7), 20) == timeouts(of: Bench(seed: 7), 20))
        #expect(timeouts(of: Bench(seed: 7), 20) != timeouts(of: Bench(seed: 8), 20))
    }

    @Test func `a leader that is heard puts the election off`() {
        var bench = Bench()
        bench.pass(400)
        bench.receive(.append(heartbeat(term: 1)), from: 2)
        #expect(bench.core.electionDeadline >= bench.now.advanced(by: .milliseconds(500)))
        bench.pass(400)
        bench.receive(.installSnapshot(.init(term: Term(1), snapshot: mark(9), chunk: 0, round: 1)), from: 2)
        #expect(bench.core.electionDeadline >= bench.now.advanced(by: .milliseconds(500)))
    }

    @Test func `so does a vote that was given`() {
        var bench = Bench()
        bench.pass(490)
        bench.receive(vote(term: 1), from: 2)
        #expect(bench.core.electionDeadline >= bench.now.advanced(by: .milliseconds(500)))
    }

    @Test func `a vote that was refused does not, nor what is asked before an election`() {
        var bench = Bench(terms: [1, 1], term: 5, vote: 3)
        let deadline = bench.core.electionDeadline
        bench.pass(100)
        bench.receive(vote(term: 5, last: 9, of: 4), from: 2)
        bench.receive(.preVote(.init(term: Term(5), asked: Term(6), lastIndex: LogIndex(9), lastTerm: Term(4))), from: 2)
        bench.receive(.append(heartbeat(term: 4)), from: 2)
        #expect(bench.core.electionDeadline == deadline)
    }

    @Test func `ten heartbeats fit the least election timeout`() {
        var bench = Bench()
        bench.lead()
        let began = bench.now
        var rounds = 0
        while bench.core.nextDeadline.duration(since: began) <= .milliseconds(500) {
            bench.now = bench.core.nextDeadline
            bench.handle(.tick)
            for peer in 2...3 { bench.answer(from: peer, 1) }
            rounds += 1
        }
        #expect(rounds == 10)
    }

    @Test func `an election that nobody won is followed sooner than one for which a leader was waited`() {
        var bench = Bench()
        bench.becomeCandidate()
        let wait = bench.core.electionDeadline.duration(since: bench.now)
        #expect(wait >= .milliseconds(250) && wait < .milliseconds(500))
    }

    @Test func `a timer that acts late acts once`() {
        var bench = Bench()
        bench.tick(after: 60_000)
        #expect(bench.core.role == .preCandidate)
        let asked = bench.take().count
        #expect(asked == 2)
        bench.handle(.tick)
        #expect(bench.take().isEmpty)
        #expect(bench.core.nextDeadline > bench.now)
    }

    @Test func `ticks that come early do nothing`() {
        var bench = Bench()
        for _ in 0..<49 { bench.tick(after: 10) }
        #expect(bench.core.role == .follower)
        #expect(bench.output.messages.isEmpty && bench.output.writes.isEmpty)
        #expect(bench.core.nextDeadline == bench.core.electionDeadline)
    }

    @Test func `after a crash of the leader another one leads within a few timeouts, mostly in one election`() {
        var elections = 0
        for seed in 1...20 {
            var cluster = ScriptedCluster.led(by: 5)
            cluster.run(Int64(seed) * 17)
            cluster.crash(0)
            cluster.run(3_000)
            #expect(cluster.leaders().count == 1, "seed \(seed)")
            elections += Int(cluster.terms().max() ?? 0) - 1
        }
        #expect(elections <= 30)
    }
}

import Primitives
import Testing

@testable import Raft

/// Raft figure 2, "respond to RPCs only after updating stable storage", with a disk that answers later (openraft's io_ordering.md; etcd's
/// async storage writes).
struct WritingTests {
    private func stalled(_ number: Int = 1, terms: [UInt64] = [], term: UInt64? = nil) -> Bench {
        var bench = Bench(number, terms: terms, term: term)
        bench.isStalled = true
        return bench
    }

    @Test func `one event makes one group, and tickets rise`() {
        var bench = stalled(terms: [1, 1, 1])
        bench.receive(.append(append(term: 4, previous: 1, of: 1, [3, 4], commit: 1)), from: 2)
        bench.receive(.append(append(term: 4, previous: 3, of: 4, [4])), from: 2)
        bench.receive(.append(heartbeat(term: 4, previous: 4, of: 4)), from: 2)
        #expect(bench.output.writes.map(\.ticket) == [1, 2])
        let first = bench.output.writes[0]
        #expect(first.hardState == HardState(term: Term(4), vote: nil))
        #expect(first.truncateAfter == LogIndex(1))
        #expect(first.entries.map(\.term) == [Term(3), Term(4)])
        #expect(bench.output.writes[1].hardState == nil && bench.output.writes[1].truncateAfter == nil)
    }

    @Test func `an acknowledgement waits for the write that has its last entry, and for no later one`() {
        var bench = stalled(term: 1)
        bench.receive(.append(append(term: 1, [1])), from: 2)
        bench.receive(.append(append(term: 1, previous: 1, of: 1, [1, 1])), from: 2)
        bench.receive(.append(append(term: 1, [1])), from: 2)
        #expect(bench.output.messages.isEmpty)
        bench.store(through: 1)
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(1)), .matched(LogIndex(1))])
        bench.store(through: 2)
        #expect(bench.answers.last?.outcome == .matched(LogIndex(3)))
        #expect(bench.core.durableIndex == LogIndex(3))
    }

    @Test func `a refusal, and what was durable before, wait for the term alone`() {
        var bench = stalled(terms: [1, 1], term: 1)
        bench.receive(.append(append(term: 1, previous: 2, of: 1, [1])), from: 2)
        bench.receive(.append(append(term: 1, previous: 7, of: 1, [1])), from: 2)
        bench.receive(.append(heartbeat(term: 1, previous: 2, of: 1)), from: 2)
        #expect(
            bench.answers.map(\.outcome) == [
                .rejected(previous: LogIndex(7), conflictIndex: LogIndex(4), conflictTerm: nil), .matched(LogIndex(2)),
            ])
        bench.receive(.append(heartbeat(term: 2, previous: 2, of: 1)), from: 3)
        #expect(bench.answers.count == 2)
        bench.store()
        #expect(bench.answers.last == .init(term: Term(2), outcome: .matched(LogIndex(2)), round: 1))
    }

    @Test func `what was promised in a term that is over is not said any more`() {
        var bench = stalled(term: 1)
        bench.receive(.append(append(term: 1, [1])), from: 2)
        bench.receive(.append(append(term: 2, [2])), from: 3)
        bench.store()
        #expect(bench.output.messages.map(\.message.term) == [Term(2)])
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(1))])
        #expect(bench.core.log.term(at: LogIndex(1)) == Term(2))
    }

    @Test func `nor when the server itself begins a term`() {
        var bench = stalled(term: 1)
        bench.receive(.append(append(term: 1, [1])), from: 2)
        bench.becomeCandidate()
        #expect(bench.core.term == Term(2))
        _ = bench.take()
        bench.store()
        #expect(bench.answers.isEmpty)
        #expect(bench.take().map(\.message.term) == [Term(2), Term(2)])
    }

    @Test func `what is under way and was cut off does not become durable by its old ticket`() {
        var bench = stalled(terms: [1], term: 1)
        bench.receive(.append(append(term: 1, previous: 1, of: 1, [1, 1, 1])), from: 2)
        bench.receive(.append(append(term: 2, previous: 2, of: 1, [2])), from: 3)
        #expect(bench.core.log.lastIndex == LogIndex(3))
        bench.store(through: 1)
        #expect(bench.core.durableIndex == LogIndex(2), "of the first write only entry 2 still stands")
        #expect(bench.answers.isEmpty)
        bench.store(through: 2)
        #expect(bench.core.durableIndex == LogIndex(3))
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(3))])
    }

    @Test func `nor does it when a snapshot took its place`() {
        var bench = stalled(terms: [1], term: 1)
        bench.receive(.append(append(term: 1, previous: 1, of: 1, [1, 1, 1])), from: 2)
        bench.receive(.installSnapshot(.init(term: Term(1), snapshot: mark(9), chunk: 0, round: 1)), from: 2)
        bench.handle(.snapshotResumes(mark(9), chunk: 0))
        bench.receive(.installSnapshot(.init(term: Term(1), snapshot: mark(9), chunk: 0, round: 1)), from: 2)
        bench.handle(.snapshotReceived(mark(9), isWhole: true))
        bench.store(through: 1)
        #expect(bench.core.durableIndex < LogIndex(9))
        #expect(bench.output.restored == nil)
        bench.store()
        #expect(bench.core.durableIndex == LogIndex(9))
        #expect(bench.output.restored?.index == LogIndex(9))
    }

    @Test func `a leader's own entries count by their tickets, and a later term's not by an earlier one's`() {
        var bench = stalled()
        bench.becomeCandidate()
        bench.store()
        bench.receive(.requestVoteReply(.init(term: Term(1), isGranted: true)), from: 2)
        bench.answer(from: 2, 1)
        #expect(bench.core.commitIndex == .zero)
        bench.propose()
        let first = bench.output.writes.last?.ticket ?? 0
        bench.propose()
        bench.answer(from: 2, 3)
        bench.store(through: first - 1)
        #expect(bench.core.commitIndex == LogIndex(1))
        bench.store(through: first)
        #expect(bench.core.commitIndex == LogIndex(2))
        bench.store()
        #expect(bench.core.commitIndex == LogIndex(3))
    }

    @Test func `tickets that were told before are of no interest`() {
        var bench = stalled(term: 1)
        bench.receive(.append(append(term: 1, [1])), from: 2)
        bench.receive(.append(append(term: 1, previous: 1, of: 1, [1])), from: 2)
        bench.store()
        let sent = bench.take().count
        #expect(sent == 2)
        bench.handle(.stored(ticket: 1))
        bench.handle(.stored(ticket: 2))
        #expect(bench.output.messages.isEmpty)
        #expect(bench.core.durableIndex == LogIndex(2))
    }

    @Test func `heartbeats and votes do not queue behind the log`() {
        var leader = stalled()
        leader.isStalled = false
        leader.lead()
        leader.isStalled = true
        leader.propose()
        _ = leader.take()
        leader.tick(after: 50)
        #expect(leader.appends.count == 2)

        var follower = stalled(terms: [1], term: 1)
        follower.receive(.append(append(term: 1, previous: 1, of: 1, [1])), from: 2)
        follower.receive(.append(heartbeat(term: 1, previous: 1, of: 1)), from: 2)
        #expect(follower.answers.map(\.outcome) == [.matched(LogIndex(1))])
        follower.receive(.preVote(.init(term: Term(1), asked: Term(2), lastIndex: LogIndex(9), lastTerm: Term(1))), from: 3)
        #expect(follower.preVotes.count == 1)
    }

    @Test func `a vote waits for the log that it was compared with`() {
        var bench = stalled(terms: [1], term: 1)
        bench.receive(.append(append(term: 1, previous: 1, of: 1, [1])), from: 2)
        bench.pass(600)
        bench.receive(vote(term: 2, last: 9, of: 1), from: 3)
        bench.store(through: 1)
        #expect(bench.votes.isEmpty)
        bench.store()
        #expect(bench.votes == [.init(term: Term(2), isGranted: true)])
    }

    /// A snapshot must never stand for more than the log behind it (etcd #3591).
    @Test func `what is committed and not on its own disk is not applied here`() {
        var bench = stalled(term: 1)
        bench.receive(.append(append(term: 1, [1])), from: 2)
        bench.receive(.append(append(term: 1, previous: 1, of: 1, [1], commit: 2)), from: 2)
        #expect(bench.core.commitIndex == LogIndex(2))
        #expect(bench.output.commit == nil)
        bench.store(through: 1)
        #expect(bench.output.commit == LogIndex(1))
        bench.store()
        #expect(bench.output.commit == LogIndex(2))
    }

    @Test func `nor what a leader committed with the disks of the others`() {
        var bench = stalled()
        bench.isStalled = false
        bench.lead()
        bench.isStalled = true
        bench.propose()
        for peer in 2...3 { bench.answer(from: peer, 2) }
        #expect(bench.core.commitIndex == LogIndex(2))
        #expect(bench.output.commit == nil)
        bench.store()
        #expect(bench.output.commit == LogIndex(2))
    }

    @Test func `events that come together make one group and one message`() {
        var bench = stalled()
        bench.isStalled = false
        bench.lead()
        var output = RaftOutput()
        for id in UInt64(1)...3 { bench.core.step(.propose(id: id, [[1]]), now: bench.now, into: &output) }
        #expect(output.writes.isEmpty && output.messages.isEmpty)
        bench.core.flush(now: bench.now, into: &output)
        #expect(output.accepted.map(\.id) == [1, 2, 3])
        #expect(output.writes.map(\.entries.count) == [3])
        #expect(output.messages.count == 2)
    }

    /// The order in which things become durable does not matter to what is promised.
    @Test func `nothing is said that is not on the disk, whatever comes when`() {
        for seed in UInt64(1)...100 {
            var generator = SeededGenerator(seed: seed)
            var bench = stalled(2, term: 1)
            var (disk, written) = (LogIndex.zero, [(ticket: UInt64, last: LogIndex, truncate: LogIndex?)]())
            var term: UInt64 = 1
            for _ in 0..<60 {
                bench.output.clear()
                switch Int.random(in: 0..<4, using: &generator) {
                case 0:
                    term += 1
                    let previous = UInt64.random(in: 0...bench.core.log.lastIndex.number, using: &generator)
                    let of = bench.core.log.term(at: LogIndex(previous))?.number ?? 0
                    bench.receive(.append(append(term: term, previous: previous, of: of, [term])), from: 1)
                case 1:
                    let last = bench.core.log.lastIndex.number
                    bench.receive(.append(append(term: term, previous: last, of: bench.core.log.lastTerm.number, [term, term])), from: 1)
                default:
                    guard let ticket = written.randomElement(using: &generator)?.ticket else { continue }
                    for write in written where write.ticket <= ticket {
                        if let index = write.truncate { disk = min(disk, index) }
                        disk = max(disk, write.last)
                    }
                    written.removeAll { $0.ticket <= ticket }
                    bench.store(through: ticket)
                }
                for write in bench.output.writes {
                    written.append((write.ticket, write.entries.last?.index ?? .zero, write.truncateAfter))
                }
                for answer in bench.answers {
                    guard case .matched(let index) = answer.outcome else { continue }
                    #expect(index <= disk, "seed \(seed): acknowledges \(index), on the disk is \(disk)")
                    #expect(bench.core.log.term(at: index) != nil, "seed \(seed)")
                }
                #expect(bench.core.durableIndex <= disk, "seed \(seed)")
            }
        }
    }
}

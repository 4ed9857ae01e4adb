import Primitives
import Testing
import Workflows

/// Moments are rounded up to a bucket of 16 ms, or of 1 s when more than 10 s away (TimerIndex.swift).
struct TimerIndexTests {
    private func time(_ milliseconds: UInt64) -> ClusterTime { ClusterTime(milliseconds: milliseconds) }
    private func run(_ number: UInt64) -> RunID { RunID(high: 1, low: number) }

    @Test func `an empty index has no next moment`() {
        var index = TimerIndex()
        let next = index.next()
        #expect(next == nil)
        #expect(index.count == 0)
        let due = index.popDue(at: time(.max))
        #expect(due.isEmpty)
    }

    @Test func `a near moment is rounded up to 16 ms, a far one to a second`() {
        let cases: [(UInt64, UInt64)] = [
            (1, 16), (16, 16), (17, 32), (10_000, 10_000), (10_001, 11_000), (59_001, 60_000), (60_000, 60_000),
        ]
        for (due, expected) in cases {
            var index = TimerIndex()
            index.set(run(1), time(due), now: time(0))
            let next = index.next()
            #expect(next == time(expected), "\(due)")
            let early = index.popDue(at: time(expected - 1))
            #expect(early.isEmpty, "\(due)")
            let popped = index.popDue(at: time(expected))
            #expect(popped == [run(1)], "\(due)")
        }
    }

    @Test func `runs come out in the order of their ids, each once`() {
        var index = TimerIndex()
        for number: UInt64 in [5, 1, 4, 2, 3] { index.set(run(number), time(number * 100), now: time(0)) }
        #expect(index.count == 5)
        let first = index.popDue(at: time(320))
        #expect(first == [run(1), run(2), run(3)])
        #expect(index.count == 2)
        let again = index.popDue(at: time(320))
        #expect(again.isEmpty)
        let rest = index.popDue(at: time(10_000))
        #expect(rest == [run(4), run(5)])
        let next = index.next()
        #expect(next == nil)
    }

    @Test func `setting replaces, and nil clears`() {
        var index = TimerIndex()
        index.set(run(1), time(1600), now: time(0))
        index.set(run(1), time(160), now: time(0))
        let nearer = index.next()
        #expect(nearer == time(160))
        #expect(index.count == 1)
        index.set(run(1), time(3200), now: time(0))
        let due = index.popDue(at: time(3199))
        #expect(due.isEmpty)
        index.set(run(1), nil, now: time(0))
        #expect(index.count == 0)
        let cleared = index.popDue(at: time(100_000))
        #expect(cleared.isEmpty)
        index.set(run(2), nil, now: time(0))
        #expect(index.count == 0)
    }

    @Test func `a bucket that was emptied serves again`() {
        var index = TimerIndex()
        for _ in 0..<3 {
            index.set(run(1), time(160), now: time(0))
            index.set(run(1), nil, now: time(0))
        }
        index.set(run(2), time(160), now: time(0))
        let due = index.popDue(at: time(160))
        #expect(due == [run(2)])
        let next = index.next()
        #expect(next == nil)
    }

    @Test func `no moment is early, and none is later than its bucket`() {
        for seed in UInt64(1)...200 {
            var generator = SeededGenerator(seed: seed)
            var index = TimerIndex()
            var model: [RunID: (due: UInt64, latest: UInt64)] = [:]
            var now: UInt64 = 1_000_000
            for _ in 0..<200 {
                let id = run(UInt64.random(in: 0..<20, using: &generator))
                switch Int.random(in: 0..<5, using: &generator) {
                case 0, 1, 2:
                    let due = now + UInt64.random(in: 0..<30_000, using: &generator)
                    index.set(id, time(due), now: time(now))
                    model[id] = (due: due, latest: due + (due > now + 10_000 ? 1000 : 16))
                case 3:
                    index.set(id, nil, now: time(now))
                    model[id] = nil
                default:
                    now += UInt64.random(in: 0..<8000, using: &generator)
                    let popped = index.popDue(at: time(now))
                    #expect(popped == popped.sorted(), "seed \(seed)")
                    for id in popped {
                        let known = model.removeValue(forKey: id)
                        #expect(known.map { $0.due <= now } == true, "seed \(seed)")
                    }
                    #expect(model.values.allSatisfy { now < $0.latest }, "seed \(seed)")
                }
                #expect(index.count == model.count, "seed \(seed)")
                let next = index.next()
                #expect((next == nil) == model.isEmpty, "seed \(seed)")
            }
        }
    }
}

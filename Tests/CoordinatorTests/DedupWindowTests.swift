import HashTreeCollections
import Primitives
import Testing

@testable import Coordinator

/// "Duplicates by (source, id) within the dedup window are acknowledged and not run again" (rules and workflows, "Messages").
struct DedupWindowTests {
    private func key(_ number: UInt64) -> StateDigest { StateDigest(high: number, low: number) }
    private func time(_ seconds: UInt64) -> ClusterTime { ClusterTime(milliseconds: 1_000_000 + seconds * 1000) }
    private func run(_ number: UInt64) -> RunID { RunID(high: 1, low: number) }

    @Test func `a key is known with what it started`() {
        var window = DedupWindow()
        #expect(window.runs(of: key(1)) == nil)
        window.insert(key(1), runs: [run(1), run(2)], at: time(0))
        window.insert(key(2), runs: [], at: time(0))
        #expect(window.runs(of: key(1)) == [run(1), run(2)])
        #expect(window.runs(of: key(2)) == [])
        #expect(window.runs(of: key(3)) == nil)
        #expect(window.count == 2)
    }

    @Test func `with many more keys than were expected it still says of others at once that they are new`() {
        var generator = SeededGenerator(seed: 5)
        func key() -> StateDigest { StateDigest(high: generator.next(), low: generator.next()) }
        var window = DedupWindow()
        let keys = (0..<40_000).map { _ in key() }
        for key in keys { window.insert(key, runs: [run(1)], at: time(0)) }
        #expect(window.generations.count == 1)
        #expect(keys.allSatisfy { window.runs(of: $0) == [run(1)] })
        let taken = (0..<10_000).count { _ in window.generations[0].filter.mayContain(key()) }
        #expect(taken < 100, "\(taken)")
    }

    @Test func `a key is kept for the age at least, and goes with its generation`() {
        var window = DedupWindow(age: .seconds(600))
        window.insert(key(1), runs: [], at: time(0))
        window.insert(key(2), runs: [], at: time(59))
        window.insert(key(3), runs: [], at: time(60))
        window.insert(key(4), runs: [], at: time(659))
        #expect(window.runs(of: key(1)) != nil)
        window.insert(key(5), runs: [], at: time(660))
        #expect(window.runs(of: key(1)) == nil)
        #expect(window.runs(of: key(2)) == nil)
        #expect(window.runs(of: key(3)) != nil)
        #expect(window.count == 3)
    }

    @Test func `beyond the limit the oldest go`() {
        var window = DedupWindow(age: .seconds(600), limit: 10)
        for number in UInt64(1)...25 { window.insert(key(number), runs: [], at: time(0)) }
        #expect(window.count == 10)
        for number in UInt64(1)...15 { #expect(window.runs(of: key(number)) == nil, "\(number)") }
        for number in UInt64(16)...25 { #expect(window.runs(of: key(number)) != nil, "\(number)") }
    }

    @Test func `the count is that of the keys held, and never above the limit`() {
        var window = DedupWindow(age: .seconds(600), limit: 100)
        for number in UInt64(1)...1000 {
            window.insert(key(number), runs: [run(number)], at: time(number / 50))
            #expect(window.count <= 100)
            #expect(window.runs(of: key(number)) == [run(number)])
            let expected = window.generations.reduce(0) { $0 + $1.keys.count }
            #expect(window.count == expected)
        }
    }

    @Test func `the digest is the sum over what is held`() {
        for seed in UInt64(1)...50 {
            var generator = SeededGenerator(seed: seed)
            var window = DedupWindow(age: .seconds(100), limit: 40)
            var now: UInt64 = 0
            for number in UInt64(1)...200 {
                now += UInt64.random(in: 0..<10, using: &generator)
                window.insert(key(number), runs: number % 3 == 0 ? [] : [run(number)], at: time(now))
            }
            var expected = StateDigest()
            for generation in window.generations { for (key, runs) in generation.keys { expected += DedupWindow.digest(of: key, runs) } }
            #expect(window.digest == expected, "seed \(seed)")
            var restored = DedupWindow(age: .seconds(100), limit: 40)
            for generation in window.generations { restored.restore(generation) }
            #expect(restored.digest == expected, "seed \(seed)")
            #expect(restored.count == window.count, "seed \(seed)")
        }
    }

    @Test func `the key is of namespace, source and id, and of this cluster`() throws {
        let cluster = UUIDv7(high: 1, low: 2)
        let message = Message(id: "a", source: "b", type: "t", data: nil)
        let own = DedupWindow.key(message, cluster: cluster)
        var same = message
        same.type = "other"
        same.data = 5
        same.time = "2026-11-23T00:00:00Z"
        #expect(DedupWindow.key(same, cluster: cluster) == own)
        var otherID = message
        otherID.id = "b"
        var otherSource = message
        otherSource.source = "a"
        var otherNamespace = message
        otherNamespace.namespace = try Namespace("shop")
        var shifted = message
        (shifted.source, shifted.id) = ("ba", "")
        for other in [otherID, otherSource, otherNamespace, shifted] {
            #expect(DedupWindow.key(other, cluster: cluster) != own, "\(other)")
        }
        #expect(DedupWindow.key(message, cluster: UUIDv7(high: 1, low: 3)) != own)
    }
}

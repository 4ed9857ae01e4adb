import Coordinator
import HashTreeCollections
import Primitives
import Testing

/// The newest open runs, kept up by differences (NewestRuns.swift).
struct NewestRunsTests {
    private func id(_ number: Int) -> RunID { RunID(high: UInt64(number), low: 0) }

    private func sorted(_ count: Int, _ open: TreeDictionary<RunID, Int>) -> [RunID] { Array(open.keys.sorted(by: >).prefix(count)) }

    @Test func `every look finds what sorting all of them would`() {
        let seed: UInt64 = 31
        var generator = SeededGenerator(seed: seed)
        for round in 0..<40 {
            var open: TreeDictionary<RunID, Int> = [:]
            var newest = NewestRuns<Int>()
            for look in 0..<200 {
                // Mostly a few come and go; at times nearly all go, or an id comes that is older than the others.
                for _ in 0..<Int.random(in: 0...30, using: &generator) { open[id(Int.random(in: 0...100_000, using: &generator))] = look }
                let share = [0, 0, 5, 20, 97].randomElement(using: &generator) ?? 0
                for id in open.keys where Int.random(in: 0..<100, using: &generator) < share { open[id] = nil }
                let count = [0, 1, 3, 8, 40].randomElement(using: &generator) ?? 1
                let found = Array(newest.newest(count, of: open))
                #expect(
                    found.starts(with: sorted(count, open)) && found.count <= max(1, count), "seed \(seed), round \(round), look \(look)")
            }
        }
    }

    @Test func `an older state asked between newer ones is answered by itself`() {
        var older: TreeDictionary<RunID, Int> = [:]
        for number in 0..<1000 { older[id(number)] = number }
        var newer = older
        for number in 900..<1000 { newer[id(number)] = nil }
        for number in 2000..<2010 { newer[id(number)] = number }
        var newest = NewestRuns<Int>()
        for _ in 0..<5 {
            #expect(Array(newest.newest(5, of: newer)) == sorted(5, newer))
            #expect(Array(newest.newest(20, of: older)) == sorted(20, older))
        }
    }

    @Test func `after it forgot, all of them are looked at`() {
        let open: TreeDictionary<RunID, Int> = [id(1): 1, id(2): 2, id(3): 3]
        var newest = NewestRuns<Int>()
        _ = newest.newest(2, of: open)
        newest.forget()
        #expect(Array(newest.newest(2, of: open)) == [id(3), id(2)])
    }
}

import Primitives
import Testing

@testable import SWIM

/// What is known is kept in order, and settings agree with each other.
struct SettingsTests {
    @Test func `the settings that are given are valid, and leave time for help`() {
        let settings = SWIMSettings().validated()
        #expect(settings.probeTimeout * 2 <= settings.probeInterval)
        #expect(settings.suspicion(among: 3).lowerBound > settings.probeInterval * 2)
        #expect(settings.datagramBytes == 1_400)
    }

    @Test func `views are sorted by id, however members came`() throws {
        var bench = try Bench()
        bench.hear([5, 3, 12, 2, 9].map { alive($0) })
        #expect(bench.core.members.map(\.identity.node) == [1, 12, 2, 3, 5, 9].map(node))
        #expect(bench.core.members.filter(\.isSelf).map(\.identity.node) == [node(1)])
    }

    @Test(arguments: 1...10)
    func `a table keeps its order and its numbers through all that comes and goes`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var table = MemberTable()
        var slots: [Int: Int] = [:]
        for _ in 0..<400 {
            let number = Int.random(in: 1...40, using: &generator)
            if let slot = slots.removeValue(forKey: number) {
                #expect(table[slot].identity.node == node(number), "seed \(seed)")
                table.remove(slot)
            } else {
                slots[number] = table.insert(
                    Member(
                        identity: identity(number), incarnation: .zero, standing: number % 3 == 0 ? .dead : .alive,
                        since: Instant(nanoseconds: 0), metadata: metadata(number), metadataEpoch: 1))
            }
            let expected = slots.keys.map(node).sorted()
            #expect(table.order.map { table[$0].identity.node } == expected, "seed \(seed)")
            #expect(table.living == slots.keys.count { $0 % 3 != 0 }, "seed \(seed)")
        }
    }

    @Test func `errors and conflicts say what to do next`() {
        let texts = [
            NameConflict.superseded(by: identity(1, epoch: 5), at: "twin:1").description,
            NameConflict.twin(identity(1), at: "twin:1").description, NameConflict.outranked(identity(1)).description,
            SWIMError.epochTooHigh(9).description,
        ]
        for text in texts { #expect(text.contains("stop") || text.contains("give") || text.contains("set")) }
    }

    /// What the fields of the wire take: 7 bytes before each, 5 for a list, 4 for each of its items.
    @Test func `what a message takes is counted field by field`() {
        let rumour = suspect(2, by: 3)
        // Item 4, node 7 + 2, epoch 15, incarnation 15, state 8, accuser 7 + 2.
        #expect(rumour.estimatedBytes == 4 + 9 + 15 + 15 + 8 + 9)
        let ping = SWIMMessage.ping(.init(sequence: 1, from: identity(1), target: identity(2), news: [rumour]))
        // Sender 9 + 15, target as much, sequence and incarnations 45, list 12.
        #expect(ping.estimatedBytes == 24 + 24 + 45 + 12 + rumour.estimatedBytes)
        var told = metadata(2)
        (told.roles, told.labels) = (["worker"], [.init(name: "zone", value: "a")])
        // Version 15, addresses 7 + 7 and 7 + 7, software 7, slots 11, three of 9, roles 12 + 4 + 6, labels 12 + 4 + 6.
        #expect(told.estimatedBytes == 15 + 14 + 14 + 7 + 11 + 27 + 22 + 22)
    }
}

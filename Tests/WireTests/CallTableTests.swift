import Primitives
import Testing

@testable import Wire

/// Calls that wait for their answer (CallTable.swift).
struct CallTableTests {
    private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    @Test func `an answer finds its call once, and what was kept of it`() throws {
        var table = CallTable<String>(limit: 8)
        let begun = table.begin("a", deadline: at(9), now: at(5))
        let id = try #require(begun)
        #expect(table.count == 1)
        #expect(table.waiting(id) == "a")
        #expect(table.waiting(id) == "a")
        let ended = table.end(id)
        #expect(ended?.id == id)
        #expect(ended?.kept == "a")
        #expect(ended?.startedAt == at(5))
        #expect(table.count == 0)
        #expect(table.waiting(id) == nil)
        let twice = table.end(id)
        #expect(twice == nil)
    }

    @Test func `an answer that nobody asked for finds nothing`() {
        var table = CallTable<Int>(limit: 8)
        _ = table.begin(1, deadline: nil, now: at(0))
        let unasked: [UInt64] = [0, 1, 7, 1 << 32 | 1, 2 << 32, 0xFFFF_FFFF, UInt64.max, 1 << 63]
        for id in unasked {
            let ended = table.end(id)
            #expect(ended == nil, "\(id)")
            #expect(table.waiting(id) == nil, "\(id)")
        }
        #expect(table.count == 1)
    }

    @Test func `ids are never used again`() throws {
        var table = CallTable<Int>(limit: 4)
        var seen: Set<UInt64> = []
        var late: [UInt64] = []
        for number in 0..<1_000 {
            let begun = table.begin(number, deadline: nil, now: at(0))
            let id = try #require(begun)
            #expect(id != 0)
            #expect(seen.insert(id).inserted)
            for old in late.suffix(8) {
                let ended = table.end(old)
                #expect(ended == nil)
            }
            let ended = table.end(id)
            #expect(ended?.kept == number)
            late.append(id)
        }
    }

    @Test func `one more than the limit is refused`() throws {
        var table = CallTable<Int>(limit: 3)
        var ids: [UInt64] = []
        for number in 0..<3 {
            let begun = table.begin(number, deadline: nil, now: at(0))
            ids.append(try #require(begun))
        }
        let more = table.begin(3, deadline: nil, now: at(0))
        #expect(more == nil)
        #expect(table.count == 3)
        let ended = table.end(ids[1])
        #expect(ended?.kept == 1)
        let again = table.begin(4, deadline: nil, now: at(0))
        #expect(again != nil)
        var none = CallTable<Int>(limit: 0)
        let refused = none.begin(0, deadline: nil, now: at(0))
        #expect(refused == nil)
    }

    @Test func `calls end when their time is over, and not before`() {
        var table = CallTable<String>(limit: 8)
        #expect(table.nextDeadline == nil)
        _ = table.begin("never", deadline: nil, now: at(0))
        #expect(table.nextDeadline == nil)
        _ = table.begin("late", deadline: at(30), now: at(0))
        _ = table.begin("soon", deadline: at(10), now: at(1))
        _ = table.begin("between", deadline: at(20), now: at(2))
        var order: [String] = []
        for (time, next) in [(0, 10), (9, 10), (10, 20), (15, 20), (20, 30), (29, 30)] as [(Int64, Int64)] {
            order.append(contentsOf: table.expire(at(time)).map { "\($0.kept) \(time)" })
            #expect(table.nextDeadline == at(next), "\(time)")
        }
        order.append(contentsOf: table.expire(at(100)).map { "\($0.kept) 100" })
        #expect(order == ["soon 10", "between 20", "late 100"])
        #expect(table.nextDeadline == nil)
        #expect(table.count == 1)
    }

    @Test func `one look ends all that are over`() {
        var table = CallTable<Int>(limit: 8)
        for number in 0..<6 { _ = table.begin(number, deadline: at(Int64(60 - number * 10)), now: at(0)) }
        let ended = table.expire(at(30))
        #expect(Set(ended.map(\.kept)) == [3, 4, 5])
        #expect(Set(ended.map(\.id)).count == 3)
        #expect(table.nextDeadline == at(40))
        #expect(table.count == 3)
    }

    @Test func `a call that expired or was ended is not there for a late answer`() throws {
        var table = CallTable<Int>(limit: 8)
        let begun = table.begin(1, deadline: at(10), now: at(0))
        let id = try #require(begun)
        let expired = table.expire(at(10))
        #expect(expired.map(\.id) == [id])
        let late = table.end(id)
        #expect(late == nil)
        let again = table.expire(at(20))
        #expect(again.isEmpty)
        #expect(table.nextDeadline == nil)
    }

    @Test func `when the connection is gone, all end`() {
        var table = CallTable<Int>(limit: 8)
        var ids: Set<UInt64> = []
        for number in 0..<5 { if let id = table.begin(number, deadline: at(Int64(number)), now: at(0)) { ids.insert(id) } }
        let ended = table.endAll()
        #expect(Set(ended.map(\.id)) == ids)
        #expect(Set(ended.map(\.kept)) == [0, 1, 2, 3, 4])
        #expect(table.count == 0)
        #expect(table.nextDeadline == nil)
        let nothing = table.endAll()
        #expect(nothing.isEmpty)
        let next = table.begin(9, deadline: nil, now: at(0))
        #expect(next.map { ids.contains($0) } == false)
    }

    // MARK: Chance

    private struct Waiting: Equatable {
        var kept: Int
        var deadline: Instant?
        var startedAt: Instant
    }

    @Test func `a table does what a dictionary does`() {
        let seed: UInt64 = 401
        var generator = SeededGenerator(seed: seed)
        var table = CallTable<Int>(limit: 40)
        var model: [UInt64: Waiting] = [:]
        var (ids, seen) = ([UInt64](), Set<UInt64>())
        var (now, wrong) = (Int64(0), [String]())
        for step in 0..<20_000 {
            func check(_ holds: Bool, _ what: String) { if !holds { wrong.append("step \(step): \(what)") } }
            now += Int64.random(in: 0...3, using: &generator)
            switch Int.random(in: 0..<100, using: &generator) {
            case ..<45:
                let deadline = Int.random(in: 0..<4, using: &generator) == 0 ? nil : at(now + Int64.random(in: 0...60, using: &generator))
                let id = table.begin(step, deadline: deadline, now: at(now))
                check((id == nil) == (model.count >= 40), "limit")
                guard let id else { break }
                check(seen.insert(id).inserted, "id \(id) came before")
                ids.append(id)
                model[id] = Waiting(kept: step, deadline: deadline, startedAt: at(now))
            case ..<85:
                guard !ids.isEmpty else { break }
                let id = ids[Int.random(in: max(0, ids.count - 60)..<ids.count, using: &generator)]
                check(table.waiting(id) == model[id]?.kept, "waiting")
                let ended = table.end(id)
                let expected = model.removeValue(forKey: id)
                check(ended?.kept == expected?.kept && ended?.startedAt == expected?.startedAt, "end")
            case ..<99:
                let ended = table.expire(at(now))
                let due = model.filter { entry in entry.value.deadline.map { $0 <= at(now) } ?? false }
                for id in due.keys { model[id] = nil }
                check(Set(ended.map(\.id)) == Set(due.keys) && ended.count == due.count, "expire")
                check(ended.allSatisfy { $0.kept == due[$0.id]?.kept }, "what expired")
                check(table.nextDeadline.map { $0 > at(now) } ?? true, "what is over is over")
            default:
                let ended = table.endAll()
                check(Set(ended.map(\.id)) == Set(model.keys) && ended.count == model.count, "endAll")
                model = [:]
            }
            check(table.count == model.count, "count")
            if let soonest = model.values.compactMap(\.deadline).min() {
                check(table.nextDeadline.map { $0 <= soonest } ?? false, "nextDeadline")
            }
        }
        #expect(wrong.isEmpty, "seed \(seed): \(wrong.prefix(5))")
    }
}

import Primitives
import Testing

@testable import Observability

/// The last events of a node, numbered without a gap (EventRing.swift).
struct EventRingTests {
    private let clock = TestClock()

    private func makeRing(first: UInt64 = 1) throws -> EventRing { EventRing(node: try NodeID("a"), clock: clock, first: first) }

    private func emit(_ count: Int, to ring: EventRing) {
        for number in 0..<count { ring.emit("test.happened", subject: "s\(number)", "text \(number)") }
    }

    private func numbers(_ stream: AsyncStream<Observability.Event>) async -> [UInt64] {
        var numbers: [UInt64] = []
        for await event in stream { numbers.append(event.seq) }
        return numbers
    }

    @Test func `events are numbered from the first number on`() throws {
        let ring = try makeRing(first: 100)
        #expect(ring.lastNumber == UInt64(99))
        emit(3, to: ring)
        #expect(ring.lastNumber == UInt64(102))
        let events = ring.events(after: 0)
        #expect(events.map(\.seq) == [100, 101, 102])
        #expect(events.map(\.subject) == ["s0", "s1", "s2"])
        let fromZero = try makeRing(first: 0)
        emit(1, to: fromZero)
        #expect(fromZero.lastNumber == UInt64(1))
    }

    @Test func `an event holds what was said, the node and the time`() throws {
        let ring = try makeRing()
        ring.emit("task.failed", subject: "run/1", severity: .error, "it failed", data: ["attempt": 2])
        let event = try #require(ring.latest(1).first)
        let expected: Value = [
            "seq": 1, "node": "a", "time": "2026-11-23T14:32:07.012Z", "kind": "task.failed", "subject": "run/1", "severity": "error",
            "text": "it failed", "data": ["attempt": 2], "namespace": "default",
        ]
        #expect(event.value == expected)
    }

    @Test func `what comes after a number is told, up to a limit`() throws {
        let ring = try makeRing()
        emit(10, to: ring)
        #expect(ring.events(after: 7).map(\.seq) == [8, 9, 10])
        #expect(ring.events(after: 7, limit: 2).map(\.seq) == [8, 9])
        #expect(ring.events(after: 10).isEmpty)
        #expect(ring.events(after: UInt64.max).isEmpty)
        #expect(ring.latest(3).map(\.seq) == [8, 9, 10])
        #expect(ring.latest(0).isEmpty)
        #expect(ring.latest(100).count == 10)
    }

    @Test func `an empty ring has nothing to tell`() throws {
        let ring = try makeRing()
        #expect(ring.events(after: 0).isEmpty)
        #expect(ring.latest(5).isEmpty)
        #expect(ring.lastNumber == UInt64(0))
    }

    @Test(arguments: [1, 10, EventRing.retained, EventRing.retained + 1])
    func `a full ring forgets the oldest and keeps order`(more: Int) throws {
        let ring = try makeRing()
        emit(EventRing.retained + more, to: ring)
        let held = ring.events(after: 0).map(\.seq)
        let expected = Array((UInt64(more) + 1)...UInt64(EventRing.retained + more))
        #expect(held == expected)
        #expect(ring.latest(2).map(\.seq) == Array(expected.suffix(2)))
        let last = ring.events(after: UInt64(EventRing.retained + more - 1))
        #expect(last.count == 1)
    }

    @Test func `a follower gets what is held above its number, then what comes, then the end`() async throws {
        let ring = try makeRing()
        emit(5, to: ring)
        let followed = ring.follow(after: 3)
        let stream = try #require(followed)
        emit(2, to: ring)
        ring.close()
        let seen = await numbers(stream)
        #expect(seen == [4, 5, 6, 7])
    }

    @Test func `every follower gets every event`() async throws {
        let ring = try makeRing()
        let (first, second) = (ring.follow(after: 0), ring.follow(after: 0))
        emit(100, to: ring)
        ring.close()
        for followed in [first, second] {
            let stream = try #require(followed)
            let seen = await numbers(stream)
            #expect(seen == Array(UInt64(1)...100))
        }
    }

    @Test func `a follower that reads while events come misses none`() async throws {
        let ring = try makeRing()
        let followed = ring.follow(after: 0)
        let stream = try #require(followed)
        let seen = await withTaskGroup(of: [UInt64].self) { group in
            group.addTask { await numbers(stream) }
            group.addTask {
                emit(2000, to: ring)
                ring.close()
                return []
            }
            var all: [UInt64] = []
            for await part in group { all += part }
            return all
        }
        #expect(seen == Array(UInt64(1)...2000))
    }

    @Test func `what a follower is too slow for is dropped and counted, and can be asked for again`() async throws {
        let ring = try makeRing()
        let followed = ring.follow(after: 0)
        let stream = try #require(followed)
        let room = EventRing.retained + 1024
        emit(room + 5, to: ring)
        #expect(ring.dropped.count == UInt64(5))
        ring.close()
        let seen = await numbers(stream)
        #expect(seen == Array(1...UInt64(room)))
        let missed = ring.events(after: UInt64(room)).map(\.seq)
        let expected = Array((UInt64(room) + 1)...UInt64(room + 5))
        #expect(missed == expected)
    }

    @Test func `too many followers are refused until one leaves`() throws {
        let ring = try makeRing()
        var streams: [AsyncStream<Observability.Event>] = []
        for _ in 0..<EventRing.followerLimit {
            let followed = ring.follow(after: 0)
            streams.append(try #require(followed))
        }
        let isRefused = ring.follow(after: 0) == nil
        #expect(isRefused)
        streams.removeLast()
        let isAdmitted = ring.follow(after: 0) != nil
        #expect(isAdmitted)
        #expect(streams.count == EventRing.followerLimit - 1)
    }
}

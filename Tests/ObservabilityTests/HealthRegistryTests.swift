import Primitives
import Testing

@testable import Observability

/// How each part of a node is, why, and since when (HealthRegistry.swift).
struct HealthRegistryTests {
    @Test func `since moves only when the status changes`() throws {
        let clock = TestClock()
        let health = HealthRegistry(clock: clock)
        let start = clock.wall
        var changed = [health.set("disk", .up)]
        clock.advance(by: .seconds(5))
        changed.append(health.set("disk", .up, reason: "still fine"))
        let same = try #require(health.all.first)
        #expect(same.since == start)
        #expect(same.reason == "still fine")
        clock.advance(by: .seconds(5))
        changed.append(health.set("disk", .degraded, reason: "95% full"))
        let worse = try #require(health.all.first)
        #expect(worse.since == start.advanced(by: .seconds(10)))
        #expect(worse.status == HealthRegistry.Status.degraded)
        clock.advance(by: .seconds(5))
        changed.append(health.set("disk", .up))
        #expect(health.all.first?.since == start.advanced(by: .seconds(15)))
        #expect(changed == [true, false, true, true])
    }

    @Test func `a node is ready while nothing is down`() {
        let health = HealthRegistry(clock: TestClock())
        #expect(health.isReady)
        health.set("disk", .up)
        health.set("raft", .degraded)
        #expect(health.isReady)
        health.set("raft", .down)
        #expect(!health.isReady)
        health.set("raft", .up)
        #expect(health.isReady)
    }

    @Test func `components come by name`() {
        let health = HealthRegistry(clock: TestClock())
        for name in ["c", "a", "b"] { health.set(name, .up) }
        #expect(health.all.map(\.name) == ["a", "b", "c"])
    }
}

import Coordinator
import Primitives
import Testing

/// A jump of the wall clock against CLOCK_BOOTTIME holds the timers (ClusterClock.swift).
struct ClusterClockTests {
    private let start = ClusterTime(milliseconds: 1_700_000_000_000)

    private func boot(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }
    private func wall(_ seconds: Int) -> ClusterTime { start.advanced(by: .seconds(seconds)) }

    @Test func `clocks that go together let timers fire`() {
        var clock = ClusterClock(wall: start, now: boot(0))
        for second in [0, 1, 100, 100_000] {
            let (jump, fires) = clock.read(wall: wall(second), now: boot(Int64(second)))
            #expect(jump == nil)
            #expect(fires)
        }
    }

    @Test func `a difference of up to a minute is no jump, in either direction`() {
        for shift in [60, -60, 30] {
            var clock = ClusterClock(wall: start, now: boot(0))
            let (jump, fires) = clock.read(wall: wall(1000 + shift), now: boot(1000))
            #expect(jump == nil, "\(shift)")
            #expect(fires, "\(shift)")
        }
    }

    @Test func `a jump is told once and holds the timers for ten minutes`() {
        for shift in [61, -61, 86_400, -3600] {
            var clock = ClusterClock(wall: start, now: boot(0))
            let (jump, fires) = clock.read(wall: wall(1000 + shift), now: boot(1000))
            #expect(jump == .seconds(shift), "\(shift)")
            #expect(!fires, "\(shift)")
            let (again, still) = clock.read(wall: wall(1599 + shift), now: boot(1599))
            #expect(again == nil, "\(shift)")
            #expect(!still, "\(shift)")
            let (later, released) = clock.read(wall: wall(1600 + shift), now: boot(1600))
            #expect(later == nil, "\(shift)")
            #expect(released, "\(shift)")
        }
    }

    @Test func `a second jump holds anew`() {
        var clock = ClusterClock(wall: start, now: boot(0))
        let (first, _) = clock.read(wall: wall(500), now: boot(0))
        #expect(first == .seconds(500))
        let (second, fires) = clock.read(wall: wall(599), now: boot(599))
        #expect(second == .seconds(-500))
        #expect(!fires)
        let (_, early) = clock.read(wall: wall(1198), now: boot(1198))
        #expect(!early)
        let (_, late) = clock.read(wall: wall(1199), now: boot(1199))
        #expect(late)
    }

    @Test func `somebody who confirms the time lets timers fire`() {
        var clock = ClusterClock(wall: start, now: boot(0))
        let (_, held) = clock.read(wall: wall(500), now: boot(0))
        #expect(!held)
        clock.confirm()
        let (jump, fires) = clock.read(wall: wall(501), now: boot(1))
        #expect(jump == nil)
        #expect(fires)
    }
}

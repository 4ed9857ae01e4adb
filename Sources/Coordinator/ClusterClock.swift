package import Primitives
import Workflows

/// The leader's wall clock, watched: a difference of more than 60 s between it and CLOCK_BOOTTIME within one term is a jump, after which
/// timers hold for 10 minutes or until somebody confirms the time.
package struct ClusterClock: Sendable {
    package static let jumpLimit = Duration.seconds(60)
    package static let holdTime = Duration.seconds(600)

    private var baseWall: ClusterTime
    private var baseBoot: Instant
    private var heldUntil: Instant?

    package init(wall: ClusterTime, now: Instant) {
        baseWall = wall
        baseBoot = now
    }

    /// What the clocks said: the jump, when there was one, and whether timers may fire.
    package mutating func read(wall: ClusterTime, now: Instant) -> (jump: Duration?, firesTimers: Bool) {
        let difference = wall.duration(since: baseWall) - now.duration(since: baseBoot)
        var jump: Duration?
        if difference > Self.jumpLimit || difference < .zero - Self.jumpLimit {
            jump = difference
            (baseWall, baseBoot) = (wall, now)
            heldUntil = now.advanced(by: Self.holdTime)
        }
        if let held = heldUntil, held <= now { heldUntil = nil }
        return (jump, heldUntil == nil || mutated(.clockJumpBelieved))
    }

    /// Somebody says that the clock is right.
    package mutating func confirm() { heldUntil = nil }
}

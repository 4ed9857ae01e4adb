import Primitives
import Synchronization

/// A clock that moves when it is told to.
final class TestClock: NodeClock {
    private struct Times {
        var now = Instant(nanoseconds: 0)
        var wall: ClusterTime
    }

    private let times: Mutex<Times>

    init(wall: ClusterTime = ClusterTime(milliseconds: 1_795_444_327_012)) { times = Mutex(Times(wall: wall)) }

    var now: Instant { times.withLock { $0.now } }
    var wall: ClusterTime { times.withLock { $0.wall } }

    func advance(by duration: Duration) {
        times.withLock { times in
            times.now = times.now.advanced(by: duration)
            times.wall = times.wall.advanced(by: duration)
        }
    }
}

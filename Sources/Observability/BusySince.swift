package import Primitives
import Synchronization

/// Since when a piece of work is at hand, if one is: said by who does it, read by who watches.
package final class BusySince: Sendable {
    /// Nanoseconds; 0 while there is none.
    private let nanoseconds = Atomic<Int64>(0)

    package init() {}

    package func begin(_ now: Instant) { nanoseconds.store(max(1, now.nanoseconds), ordering: .relaxed) }
    package func end() { nanoseconds.store(0, ordering: .relaxed) }

    package var instant: Instant? {
        let since = nanoseconds.load(ordering: .relaxed)
        return since == 0 ? nil : Instant(nanoseconds: since)
    }
}

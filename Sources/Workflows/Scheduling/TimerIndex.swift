package import Primitives

/// When each run next wants to hear of the time. Moments are rounded up to a bucket (16 ms when near, 1 s when more than 10 s
/// away), so that setting and clearing cost a hash each however many runs there are.
package struct TimerIndex: Sendable {
    private var buckets: [UInt64: Set<RunID>] = [:]
    private var bucketOf: [RunID: UInt64] = [:]
    /// Buckets by time, a binary heap, each once.
    private var order: [UInt64] = []

    package init() {}

    package var count: Int { bucketOf.count }

    /// Replaces the run's moment; nil clears it.
    package mutating func set(_ run: RunID, _ due: ClusterTime?, now: ClusterTime) {
        let bucket = due.map { Self.bucket($0, now: now) }
        let before = bucketOf[run]
        guard bucket != before else { return }
        // A bucket that becomes empty stays until its time: it is in `order`, and must not come there twice.
        if let before { buckets[before]?.remove(run) }
        bucketOf[run] = bucket
        guard let bucket else { return }
        if buckets[bucket] == nil { push(bucket) }
        buckets[bucket, default: []].insert(run)
    }

    private static func bucket(_ due: ClusterTime, now: ClusterTime) -> UInt64 {
        let width: UInt64 = due.milliseconds > now.milliseconds + 10_000 ? 1000 : 16
        return (due.milliseconds + width - 1) / width * width
    }

    /// The earliest moment that is set.
    package mutating func next() -> ClusterTime? {
        while let first = order.first {
            if buckets[first]?.isEmpty == false { return ClusterTime(milliseconds: first) }
            buckets[first] = nil
            pop()
        }
        return nil
    }

    /// Takes out every run whose moment has come, in the order of their ids.
    package mutating func popDue(at now: ClusterTime) -> [RunID] {
        var due: [RunID] = []
        while let next = next(), next <= now {
            for run in buckets.removeValue(forKey: next.milliseconds) ?? [] {
                bucketOf[run] = nil
                due.append(run)
            }
            pop()
        }
        return due.sorted()
    }

    private mutating func push(_ bucket: UInt64) {
        order.append(bucket)
        var child = order.count - 1
        while child > 0, order[child] < order[(child - 1) / 2] {
            order.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func pop() {
        order.swapAt(0, order.count - 1)
        order.removeLast()
        var parent = 0
        while true {
            let children = [2 * parent + 1, 2 * parent + 2].filter { $0 < order.count }
            guard let least = children.min(by: { order[$0] < order[$1] }), order[least] < order[parent] else { return }
            order.swapAt(least, parent)
            parent = least
        }
    }
}

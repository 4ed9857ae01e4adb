package import Primitives

/// How often each source may come: a token bucket a source. The sources that it knows are bounded; when there are too many, those that have
/// their whole allowance back are forgotten, and if none has, new ones share one bucket.
package struct SourceLimiter: Sendable {
    private struct Bucket: Sendable {
        var tokens: Double
        var at: Instant
    }

    package let perSecond: Double
    package let burst: Double
    private let sourceLimit: Int
    private var buckets: [String: Bucket] = [:]
    private var sweptAt = Instant(nanoseconds: 0)

    package init(perSecond: Double, burst: Double, sourceLimit: Int = 4096) {
        self.perSecond = perSecond
        self.burst = burst
        self.sourceLimit = sourceLimit
    }

    package var sources: Int { buckets.count }

    /// Whether one more from this source may come.
    package mutating func admit(_ source: String, _ now: Instant) -> Bool {
        var key = source
        if buckets[source] == nil, buckets.count >= sourceLimit {
            sweep(now)
            if buckets.count >= sourceLimit { key = "" }
        }
        var bucket = buckets[key] ?? Bucket(tokens: burst, at: now)
        bucket.tokens = tokens(bucket, now)
        bucket.at = now
        let isAdmitted = bucket.tokens >= 1
        if isAdmitted { bucket.tokens -= 1 }
        buckets[key] = bucket
        return isAdmitted
    }

    private func tokens(_ bucket: Bucket, _ now: Instant) -> Double {
        min(burst, bucket.tokens + max(0, now.duration(since: bucket.at).seconds) * perSecond)
    }

    private mutating func sweep(_ now: Instant) {
        guard now.duration(since: sweptAt) > .seconds(1) else { return }
        sweptAt = now
        buckets = buckets.filter { tokens($0.value, now) < burst }
    }
}

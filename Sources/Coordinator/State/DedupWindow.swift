import HashTreeCollections
package import Primitives

/// Which messages were accepted lately, and what they started: keys in generations, so that forgetting drops a generation
/// at a time and never searches.
package struct DedupWindow: Sendable {
    /// A generation is closed after this long, or when it is full.
    static let generationAge = Duration.seconds(60)

    struct Generation: Sendable {
        var since: ClusterTime
        var keys: TreeDictionary<StateDigest, [RunID]> = [:]
        var digest = StateDigest()
    }

    /// How long a key is kept at least, unless there are too many.
    package let age: Duration
    package let limit: Int
    /// Oldest first.
    private(set) var generations: [Generation] = []
    package private(set) var count = 0
    private(set) var digest = StateDigest()

    package init(age: Duration = .seconds(600), limit: Int = 1_000_000) {
        self.age = age
        self.limit = limit
    }

    /// The key of a message: 128 bits over its namespace, source and id, keyed by the cluster's id.
    package static func key(_ message: Message, cluster: UUIDv7) -> StateDigest {
        var hasher = StableHasher(key: cluster.high ^ cluster.low)
        hasher.combine(message.namespace.text)
        hasher.combine(message.source)
        hasher.combine(message.id)
        return hasher.finish()
    }

    /// What the message with this key started; nil when it is not in the window.
    package func runs(of key: StateDigest) -> [RunID]? {
        for generation in generations.reversed() { if let runs = generation.keys[key] { return runs } }
        return nil
    }

    mutating func insert(_ key: StateDigest, runs: [RunID], at time: ClusterTime) {
        expire(at: time)
        let share = max(1, limit / 10)
        if generations.last.map({ time.duration(since: $0.since) >= Self.generationAge || $0.keys.count >= share }) ?? true {
            generations.append(Generation(since: time))
        }
        let record = Self.digest(of: key, runs)
        generations[generations.count - 1].keys[key] = runs
        generations[generations.count - 1].digest += record
        digest += record
        count += 1
        while count > limit, generations.count > 1 { dropOldest() }
    }

    /// Forgets generations whose youngest key is older than `age`.
    private mutating func expire(at time: ClusterTime) {
        while generations.count > 1, time.duration(since: generations[1].since) >= age { dropOldest() }
    }

    private mutating func dropOldest() {
        let oldest = generations.removeFirst()
        count -= oldest.keys.count
        digest -= oldest.digest
    }

    static func digest(of key: StateDigest, _ runs: [RunID]) -> StateDigest {
        var hasher = StableHasher(key: 0xDED0)
        hasher.combine(key.high)
        hasher.combine(key.low)
        for run in runs {
            hasher.combine(run.high)
            hasher.combine(run.low)
        }
        return hasher.finish()
    }

    /// As a snapshot brings it.
    mutating func restore(_ generation: Generation) {
        generations.append(generation)
        count += generation.keys.count
        digest += generation.digest
    }
}

import HashTreeCollections
package import Primitives
import Workflows

/// Which messages were accepted lately, and what they started: keys in generations, so that forgetting drops a generation
/// at a time and never searches.
package struct DedupWindow: Sendable {
    /// A generation is closed after this long, or when it is full.
    static let generationAge = Duration.seconds(60)

    struct Generation: Sendable {
        var since: ClusterTime
        var keys: TreeDictionary<StateDigest, [RunID]> = [:]
        var digest = StateDigest()
        /// Nearly all messages are new: the others are asked for one by one only where this says that it may be worth it.
        private(set) var filter: KeyFilter

        init(since: ClusterTime, keys: TreeDictionary<StateDigest, [RunID]> = [:], digest: StateDigest = StateDigest(), expected: Int) {
            (self.since, self.keys, self.digest) = (since, keys, digest)
            filter = KeyFilter(keys: max(expected, keys.count))
            for key in keys.keys { filter.insert(key) }
        }

        mutating func insert(_ key: StateDigest, _ runs: [RunID], _ record: StateDigest) {
            keys[key] = runs
            digest += record
            filter.insert(key)
            // One that is too small says nothing any more.
            if keys.count > filter.limit { self = Generation(since: since, keys: keys, digest: digest, expected: 4 * keys.count) }
        }
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
        guard !mutated(.repetitionIgnored) else { return nil }
        for generation in generations.reversed() where generation.filter.mayContain(key) {
            if let runs = generation.keys[key] { return runs }
        }
        return nil
    }

    mutating func insert(_ key: StateDigest, runs: [RunID], at time: ClusterTime) {
        expire(at: time)
        let share = share
        if generations.last.map({ time.duration(since: $0.since) >= Self.generationAge || $0.keys.count >= share }) ?? true {
            generations.append(Generation(since: time, expected: expected))
        }
        let record = Self.digest(of: key, runs)
        generations[generations.count - 1].insert(key, runs, record)
        digest += record
        count += 1
        while count > limit, generations.count > 1 { dropOldest() }
    }

    /// Keys of a full generation.
    private var share: Int { max(1, limit / 10) }

    /// Of the next one: a node that has little to do spends little memory on it.
    private var expected: Int { min(share, max(4096, 4 * (generations.last?.keys.count ?? 0))) }

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
        generations.append(
            Generation(
                since: generation.since, keys: generation.keys, digest: generation.digest, expected: min(share, 2 * generation.keys.count)))
        count += generation.keys.count
        digest += generation.digest
    }
}

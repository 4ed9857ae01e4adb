import Primitives
import Synchronization

/// Says of a key that it is surely not in a set, by one look at memory (a Bloom filter whose bits for one key lie in one word: Putze, Sanders and Singler,
/// "Cache-, Hash- and Space-Efficient Bloom Filters", 2007).
///
/// All copies of the set share it, also those that go other ways: a bit too many only means that the set itself is asked. Bits are only ever set, so that it may be
/// read while another thread writes.
final class KeyFilter: Sendable {
    private static let bitsPerKey = 16
    /// Bits of a word that a key sets.
    private static let bits = 4

    private nonisolated(unsafe) let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let count: Int
    /// Keys that it is for.
    let limit: Int

    /// - Parameter keys: that are expected; beyond them it says "maybe" more often. Of so many about one in 300 others is taken for one.
    init(keys: Int) {
        var count = 1
        while count * UInt64.bitWidth < keys * Self.bitsPerKey { count *= 2 }
        self.count = count
        limit = keys
        words = .allocate(capacity: count)
        for place in 0..<count { (words + place).initialize(to: Atomic(0)) }
    }

    deinit {
        words.deinitialize(count: count)
        words.deallocate()
    }

    func insert(_ key: StateDigest) { words[place(key)].bitwiseOr(Self.mask(key), ordering: .relaxed) }

    /// False: it was never inserted.
    func mayContain(_ key: StateDigest) -> Bool {
        let mask = Self.mask(key)
        return words[place(key)].load(ordering: .relaxed) & mask == mask
    }

    private func place(_ key: StateDigest) -> Int { Int(truncatingIfNeeded: key.low) & (count - 1) }

    /// Keys are digests: each piece of one is as good as random.
    private static func mask(_ key: StateDigest) -> UInt64 {
        var (mask, rest) = (UInt64(0), key.high)
        for _ in 0..<bits {
            mask |= 1 << (rest & 63)
            rest >>= 6
        }
        return mask
    }
}

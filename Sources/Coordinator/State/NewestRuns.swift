package import HashTreeCollections
package import Primitives

/// The ids of the newest open runs. Between two looks only what came and went is looked at: dictionaries that share their structure tell
/// their difference in proportion to it, not to their size.
package struct NewestRuns<Held> {
    private var known: TreeDictionary<RunID, Held> = [:]
    /// The newest of `known`, newest first; all of them when there are no more.
    private var ids: [RunID] = []
    /// Four times the most that was asked for, so that those that end need not be made up for at once.
    private var capacity = 0

    package init() {}

    /// - Complexity: O(d log d + count) for d runs that began or ended since the last call; O(n) when too many of those that were kept ended.
    package mutating func newest(_ count: Int, of open: TreeDictionary<RunID, Held>) -> ArraySlice<RunID> {
        let count = max(1, count)
        capacity = max(capacity, 4 * count)
        let came = open.keys.subtracting(known.keys)
        // Below the oldest that is kept there are others that are not.
        let bar = ids.count < known.count ? ids.last : nil
        ids = ids.filter { open[$0] != nil }
        let old = ids.count
        for id in came where bar.map({ id > $0 }) ?? true { ids.append(id) }
        if ids.count < min(count, open.count) {
            ids = Array(open.keys)
        } else if ids.count == old {
            known = open
            return ids.prefix(count)
        }
        ids.sort { $1 < $0 }
        if ids.count > 2 * capacity { ids.removeLast(ids.count - capacity) }
        known = open
        return ids.prefix(count)
    }

    /// What is kept of runs that may have ended long ago.
    package mutating func forget() { self = NewestRuns() }
}

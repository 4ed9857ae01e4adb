package import Primitives

/// Tasks that wait and have all in common that decides who may take them.
package struct BlockedLine: Equatable, Sendable {
    /// What tells it from others.
    package struct Key: Hashable, Sendable {
        package let namespace: Namespace
        package let shape: TaskShape

        package init(namespace: Namespace, shape: TaskShape) {
            self.namespace = namespace
            self.shape = shape
        }
    }

    package let key: Key
    package let count: Int
    /// The one whose turn is first.
    package let first: ReadyQueue.Item
    /// Why that one waits.
    package let why: Blocked
}

extension Scheduler {
    /// What waits, by namespace and shape, those that need no slot first. Each line that is looked at costs a walk over the workers.
    ///
    /// - Parameter limit: lines that are looked at.
    /// - Returns: these, and how many tasks wait in others.
    package func blockedLines(limit: Int) -> (lines: [BlockedLine], others: Int) {
        let workers = placement.workers
        var (lines, others): ([BlockedLine], Int) = ([], 0)
        for pool in Pool.allCases {
            ready.eachLine(pool) { count, item in
                guard lines.count < limit else {
                    others += count
                    return
                }
                let key = BlockedLine.Key(namespace: item.demand.namespace, shape: item.demand.shape)
                lines.append(BlockedLine(key: key, count: count, first: item, why: why(item, workers)))
            }
        }
        return (lines, others)
    }
}

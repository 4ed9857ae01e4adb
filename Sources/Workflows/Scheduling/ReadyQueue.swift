package import Primitives

/// Tasks that wait for a worker, first come first served, apart for those that take a slot and those that do not.
package struct ReadyQueue: Equatable, Sendable {
    package struct Item: Equatable, Sendable {
        package var run: RunID
        package var task: Int
        package var kind: TaskKind
        package var since: ClusterTime

        package init(run: RunID, task: Int, kind: TaskKind, since: ClusterTime) {
            self.run = run
            self.task = task
            self.kind = kind
            self.since = since
        }
    }

    /// A queue whose front moves without moving the rest.
    private struct Lane: Equatable {
        var items: [Item] = []
        var head = 0
        var count: Int { items.count - head }
        var first: Item? { head < items.count ? items[head] : nil }

        mutating func pop() {
            head += 1
            guard head > 1024, head * 2 > items.count else { return }
            items.removeFirst(head)
            head = 0
        }
    }

    private var slots = Lane()
    private var light = Lane()

    package init() {}

    package var count: Int { slots.count + light.count }

    package mutating func push(_ item: Item) { if item.kind.takesSlot { slots.items.append(item) } else { light.items.append(item) } }

    /// When the one that waits longest became ready.
    package var oldest: ClusterTime? { [slots.first?.since, light.first?.since].compactMap(\.self).min() }

    package func first(takingSlot: Bool) -> Item? { takingSlot ? slots.first : light.first }

    package mutating func popFirst(takingSlot: Bool) { if takingSlot { slots.pop() } else { light.pop() } }
}

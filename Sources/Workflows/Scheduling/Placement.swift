package import Primitives

/// Who has room for what: the free places of every known worker.
package struct Placement: Equatable, Sendable {
    package struct Load: Equatable, Sendable {
        package var node: NodeID
        package var slots: Int
        package var light: Int
        package var usedSlots = 0
        package var usedLight = 0
    }

    /// By node id, so that ties fall the same way everywhere.
    package private(set) var workers: [Load] = []

    package init() {}

    package mutating func join(_ node: NodeID, slots: Int, light: Int) {
        workers.removeAll { $0.node == node }
        workers.append(Load(node: node, slots: slots, light: light))
        workers.sort { $0.node < $1.node }
    }

    /// The least loaded worker with room, whose place is then taken; nil when none has room.
    package mutating func place(_ kind: TaskKind) -> NodeID? {
        guard let best = workers.indices.filter({ free($0, kind) > 0 }).max(by: { free($0, kind) < free($1, kind) }) else { return nil }
        take(best, kind, 1)
        return workers[best].node
    }

    /// An assignment that exists already.
    package mutating func occupy(_ node: NodeID, _ kind: TaskKind) { if let worker = place(of: node) { take(worker, kind, 1) } }

    package mutating func release(_ node: NodeID, _ kind: TaskKind) { if let worker = place(of: node) { take(worker, kind, -1) } }

    package var runningTasks: Int { workers.reduce(0) { $0 + $1.usedSlots + $1.usedLight } }

    private func place(of node: NodeID) -> Int? { workers.firstIndex { $0.node == node } }

    private func free(_ worker: Int, _ kind: TaskKind) -> Int {
        kind.takesSlot ? workers[worker].slots - workers[worker].usedSlots : workers[worker].light - workers[worker].usedLight
    }

    private mutating func take(_ worker: Int, _ kind: TaskKind, _ count: Int) {
        if kind.takesSlot {
            workers[worker].usedSlots = max(0, workers[worker].usedSlots + count)
        } else {
            workers[worker].usedLight = max(0, workers[worker].usedLight + count)
        }
    }
}

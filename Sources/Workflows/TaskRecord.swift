package import Primitives

/// Where a task stands.
package enum TaskState: String, Sendable, CaseIterable {
    case pending, queued, leased, waiting, succeeded, failed
    case timedOut = "timed_out"
    case cancelled, skipped, unknown

    /// Nothing more happens by itself.
    package var isFinal: Bool {
        switch self {
        case .succeeded, .failed, .timedOut, .cancelled, .skipped: true
        case .pending, .queued, .leased, .waiting, .unknown: false
        }
    }
}

/// One task of a run.
package struct TaskRecord: Equatable, Sendable {
    package var name: String
    package var kind: TaskKind
    package var state = TaskState.pending
    /// Attempts that were assigned, the lost ones included.
    package var attempts = 0
    /// Attempts that failed: what retries are counted by.
    package var failures = 0
    /// Attempts whose worker was lost.
    package var losses = 0
    /// Of the newest assignment.
    package var fence = Fence.none
    package var worker: NodeID?
    /// `with`, resolved when the task became ready.
    package var input: Value?
    /// Stable over all attempts.
    package var key: String?
    package var readyAt: ClusterTime?
    package var startedAt: ClusterTime?
    package var endedAt: ClusterTime?
    /// When something must happen: a wait or a pause before a retry ends, or a queue or attempt timeout strikes.
    package var dueAt: ClusterTime?
    /// When the task as a whole must have ended.
    package var totalDueAt: ClusterTime?
    package var output: Value?
    package var error: TaskError?

    package init(name: String, kind: TaskKind) {
        self.name = name
        self.kind = kind
    }

    /// Whether the attempt with that fence is the one that is with a worker.
    func isLeased(under fence: Fence) -> Bool { state == .leased && (self.fence == fence || mutated(.fenceIgnored)) }

    /// The next moment at which time alone changes the task.
    package var nextTimer: ClusterTime? {
        guard !state.isFinal, state != .pending, state != .unknown else { return nil }
        return [dueAt, totalDueAt].compactMap(\.self).min()
    }
}

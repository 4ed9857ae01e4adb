package import CEL
package import Primitives

/// A graph of tasks, read and checked; a run is pinned to the one it started with.
package struct WorkflowDefinition: Equatable, Sendable {
    package static let kind = "Workflow"
    package static let taskLimit = 1000

    package var namespace: Namespace
    package var name: String
    /// What `metadata.version` says.
    package var version: String?
    /// How long a run may take in all.
    package var timeout: Duration?
    /// Names that templates may read as `env.<NAME>`, with their values unless the node's settings give others.
    package var environment: [String: String]
    /// Each after all that it depends on; among those, in the order of the file.
    package var tasks: [TaskDefinition]
    package var output: Template?
}

/// One task of a workflow.
package struct TaskDefinition: Equatable, Sendable {
    /// Which result of another task lets this one begin.
    package enum Result: String, Sendable, CaseIterable { case succeeded, failed, skipped, done }

    package struct Dependency: Equatable, Sendable {
        /// Place in `WorkflowDefinition.tasks`, always before the task itself.
        package var task: Int
        package var result: Result
    }

    /// What to do when the worker of an attempt was lost in the middle of it.
    package enum OnLost: String, Sendable, CaseIterable { case retry, fail, hold }

    /// What a worker does with an attempt when it hears nothing of a leader any more.
    package enum OnDisconnect: String, Sendable, CaseIterable { case stop, `continue` }

    package var name: String
    package var kind: TaskKind
    package var input: Template
    package var dependencies: [Dependency]
    package var condition: Expression?
    package var timeouts: Timeouts
    package var retry: RetryPolicy
    package var onLost: OnLost
    package var key: Template?
    package var onDisconnect = OnDisconnect.stop
    /// For how long nobody may have heard of the worker before an attempt counts as lost; nil: for the lease, or, where it goes on alone, for as long as it may take.
    package var lostAfter: Duration?
    /// 0 to 9, the higher first.
    package var priority = ReadyQueue.usualPriority
    /// Slots, or places for light tasks, that it takes.
    package var cost = 1
    package var terms = PlacementTerms.none
    /// What it is near to, or apart from, where its terms speak of a key.
    package var group: Template?

    /// The same, where it is longer than a lease.
    package var silenceAllowed: Duration { lostAfter ?? (onDisconnect == .continue ? timeouts.attempt : .zero) }
}

/// Bounds on the time of one task; nil means none.
package struct Timeouts: Equatable, Sendable {
    /// Waiting for a free worker.
    package var queue: Duration?
    /// One attempt. Every attempt ends, so there is always one.
    package var attempt: Duration
    /// From ready to the end, all attempts and waits included.
    package var total: Duration?

    package static let defaultAttempt = Duration.seconds(300)
}

/// Whether and when a failed attempt is followed by another.
package struct RetryPolicy: Equatable, Sendable {
    /// Attempts after the first.
    package var furtherAttempts: Int
    package var backoff: Backoff
    /// Of `error`; nil retries every failure.
    package var condition: Expression?

    package static let none = RetryPolicy(furtherAttempts: 0, backoff: defaultBackoff, condition: nil)
    /// 1 s, doubling up to 1 min, drawn from zero to that.
    package static let defaultBackoff = Backoff(delay: .seconds(1), factor: 2, maximum: .seconds(60), jitter: .full)
}

/// What a task does, and who does it.
package enum TaskKind: String, Sendable, CaseIterable {
    case exec = "exec@1"
    case http = "http@1"
    case transform = "transform@1"
    case wait = "wait@1"

    /// Run by the coordinator itself: no lease, no worker.
    package var isCoordinators: Bool { self == .wait }
    /// Takes one of a worker's slots; the others are bounded by count only.
    package var takesSlot: Bool { self == .exec || self == .http }
    /// Has effects beyond its result, so that its start must be known after a crash.
    package var hasEffects: Bool { self == .exec || self == .http }

    /// Accepts the name with its version and without (`exec`).
    package init?(name: String) {
        guard let kind = TaskKind(rawValue: name) ?? TaskKind(rawValue: name + "@1") else { return nil }
        self = kind
    }
}

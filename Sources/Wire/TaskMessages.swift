package import Primitives

/// What a coordinator asks a worker to run (message type 0x3001). Every `${{ }}` in it is resolved.
package struct TaskAssignment: Equatable, Sendable {
    package var run: RunID
    package var task: String
    package var namespace: Namespace
    package var kind: String
    /// 1 for the first attempt.
    package var attempt: Int
    package var fence: Fence
    /// Stable over all attempts: `Idempotency-Key` and `DISTRIC_KEY`.
    package var key: String
    /// The task's `with`, resolved.
    package var input: Value
    /// How long the attempt may take.
    package var timeout: Duration
    /// Whether a start must be on the worker's disk before the effect begins.
    package var journalsStart: Bool
    package var trace: TraceContext?

    package init(
        run: RunID, task: String, namespace: Namespace, kind: String, attempt: Int, fence: Fence, key: String, input: Value,
        timeout: Duration, journalsStart: Bool, trace: TraceContext?
    ) {
        self.run = run
        self.task = task
        self.namespace = namespace
        self.kind = kind
        self.attempt = attempt
        self.fence = fence
        self.key = key
        self.input = input
        self.timeout = timeout
        self.journalsStart = journalsStart
        self.trace = trace
    }
}

/// How an attempt ended, as its worker saw it (message type 0x3002).
package struct TaskReport: Equatable, Sendable {
    package var run: RunID
    package var task: String
    package var attempt: Int
    package var fence: Fence
    package var outcome: AttemptOutcome
    package var startedAt: ClusterTime
    package var endedAt: ClusterTime

    package init(
        run: RunID, task: String, attempt: Int, fence: Fence, outcome: AttemptOutcome, startedAt: ClusterTime, endedAt: ClusterTime
    ) {
        self.run = run
        self.task = task
        self.attempt = attempt
        self.fence = fence
        self.outcome = outcome
        self.startedAt = startedAt
        self.endedAt = endedAt
    }
}

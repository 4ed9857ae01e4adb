package import Primitives

/// A worker comes to the leader: who it is, what it has room for, what it runs. It is answered by a stream that lasts as long as the worker is attached; its pieces
/// are whole frames: `LeaseTerms` first, then `TaskAssignment`, `TaskCancel` and `LeaseTerms` as they come. It ends with an error that says why, and where to go.
package struct WorkerAttach: WireCall {
    package typealias Reply = LeaseTerms
    package static let type = MessageType.workerAttach
    package var worker = NodeID.unnamed
    /// Rises with each start of the worker.
    package var epoch: UInt64 = 0
    /// Tasks that occupy it, at once; and those that only pass through.
    package var slots: UInt32 = 0
    package var light: UInt32 = 0
    /// What it can do: `exec@1`, `http@1`, ...
    package var kinds: [String] = []
    /// `key=value`.
    package var labels: [String] = []
    /// Attempts that it runs.
    package var running: [Fence] = []
    /// It takes nothing new, since an operator said so or it is about to stop.
    package var isCordoned = false

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "worker", &worker)
        try coder.field(2, "epoch", &epoch)
        try coder.field(3, "slots", &slots)
        try coder.field(4, "light", &light)
        try coder.list(5, "kinds", &kinds)
        try coder.list(6, "labels", &labels)
        try coder.list(7, "running", &running)
        try coder.field(8, "is_cordoned", &isCordoned)
    }
}

/// An assignment that a coordinator believes to be with a worker.
package struct HeldTask: WireRecord {
    package var run = RunID(high: 0, low: 0)
    package var task = ""
    package var attempt: UInt32 = 1
    package var fence = Fence.none

    package init() {}

    package init(run: RunID, task: String, attempt: Int, fence: Fence) {
        (self.run, self.task, self.attempt, self.fence) = (run, task, UInt32(clamping: attempt), fence)
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "run", &run)
        try coder.field(2, "task", &task)
        try coder.field(3, "attempt", &attempt)
        try coder.field(4, "fence", &fence)
    }
}

/// What the leader tells a worker that is attached to it.
package struct LeaseTerms: WireMessage {
    package static let type = MessageType.leaseTerms
    /// How long the leader believes in the worker without hearing of it.
    package var leaseMilliseconds: UInt64 = 0
    /// `held` is all that the log has with this worker: it reports what became of those that it does not run, and ends what it runs beside them.
    package var isComplete = false
    package var held: [HeldTask] = []
    /// `host:port` of every coordinator: where the next leader may be.
    package var coordinators: [String] = []
    /// Where they answer people.
    package var coordinatorURLs: [String] = []
    /// Whether the worker is to take nothing new; nil changes nothing.
    package var isCordoned: Bool?
    /// It is to empty itself: what runs may go on for so long. Nil changes nothing; with `isCordoned` false it empties itself no more.
    package var drainMilliseconds: UInt64?
    /// In which the leader leads that says so; nil from a program that does not say.
    package var term: UInt64?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "lease_ms", &leaseMilliseconds)
        try coder.field(2, "is_complete", &isComplete)
        try coder.list(3, "held", &held)
        try coder.list(4, "coordinators", &coordinators)
        try coder.field(5, "is_cordoned", &isCordoned)
        try coder.list(6, "coordinator_urls", &coordinatorURLs)
        try coder.field(7, "drain_ms", &drainMilliseconds)
        try coder.field(8, "term", &term)
    }
}

/// What became of attempts; answered, once that is in the log, with a `TaskStatus` for each.
package struct TaskResults: WireCall {
    package typealias Reply = TaskResults
    package static let type = MessageType.taskResults
    package static let isIdempotent = true
    package var worker = NodeID.unnamed
    package var epoch: UInt64 = 0
    package var results: [TaskReport] = []
    /// Of the answer, in the order of the results: accepted, or with a code why not.
    package var statuses: [TaskStatus] = []

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "worker", &worker)
        try coder.field(2, "epoch", &epoch)
        try coder.list(3, "results", &results)
        try coder.list(4, "statuses", &statuses)
    }
}

package import Primitives
package import Wire

/// What a worker can hold at once.
package struct WorkerCapacity: Equatable, Sendable {
    /// Tasks that occupy it: processes and requests.
    package var slots: Int
    /// Tasks that only pass through.
    package var light: Int

    package init(slots: Int, light: Int = 1024) {
        self.slots = slots
        self.light = light
    }
}

/// An assignment that a coordinator believes to be with a worker.
package struct HeldAssignment: Equatable, Sendable {
    package var run: RunID
    package var task: String
    package var attempt: Int
    package var fence: Fence

    package init(run: RunID, task: String, attempt: Int, fence: Fence) {
        self.run = run
        self.task = task
        self.attempt = attempt
        self.fence = fence
    }

    package init(_ told: HeldTask) { self.init(run: told.run, task: told.task, attempt: Int(told.attempt), fence: told.fence) }

    package var told: HeldTask { HeldTask(run: run, task: task, attempt: attempt, fence: fence) }
}

/// What a worker says of its room: attempts that take a slot, slots that are free, and its machine's load of one minute.
package struct WorkerRoom: Equatable, Sendable {
    package var running: Int
    package var free: Int
    package var load: Double

    package init(running: Int, free: Int, load: Double) { (self.running, self.free, self.load) = (running, free, load) }
}

/// How far a worker is that empties itself.
package struct DrainProgress: Equatable, Sendable {
    /// For how long what runs may still go on; then what may be done again is given back.
    package var left: Duration
    /// Attempts that have ended since it was begun, and those that were given back.
    package var finished: Int
    package var givenBack: Int

    package init(left: Duration, finished: Int = 0, givenBack: Int = 0) {
        (self.left, self.finished, self.givenBack) = (left, finished, givenBack)
    }
}

/// A worker as a coordinator reaches it. Calls return at once; results come back through a `ReportSink`.
package protocol WorkerLink: Sendable {
    var node: NodeID { get }
    var capacity: WorkerCapacity { get }
    /// By which tasks choose it, each as name=value.
    var labels: [String] { get }
    func assign(_ assignments: [TaskAssignment])
    func cancel(_ held: HeldAssignment)
    /// The reports are in the log: the worker may forget them.
    func committed(_ reports: [TaskReport])
    /// After a coordinator's start: what became of assignments that its log shows as made. What still runs here is not in the answer.
    /// Nothing where a leader of a later term has said what is with it: this one is no leader any more.
    func reconcile(_ held: [HeldAssignment], term: Term) -> [TaskReport]
    /// What an attempt wrote; nil when nothing is kept of it.
    func log(run: RunID, task: String, attempt: Int) -> [UInt8]?
    /// How many bytes an attempt wrote, and the last of them.
    func logTail(run: RunID, task: String, attempt: Int, bytes: Int) -> (total: Int, tail: [UInt8])
    /// Of a worker in another process: which of its sessions this is. Nil for one in this process, which does not come and go.
    var session: UInt64? { get }
    /// Whether it takes nothing new: the worker itself keeps that, over its own starts and those of coordinators.
    var isCordoned: Bool { get }
    func cordon(_ flag: Bool)
    /// Nothing new, and what runs may go on for so long: then what may be done again is given back. Said again, the later word holds. Lifting the cordon ends it.
    func drain(within limit: Duration)
    /// Nil for one that does not empty itself.
    var draining: DrainProgress? { get }
    /// Nil while it has not said.
    var room: WorkerRoom? { get }
}

extension WorkerLink {
    package var labels: [String] { [] }
    package var session: UInt64? { nil }
    package var isCordoned: Bool { false }
    package func cordon(_ flag: Bool) {}
    package func drain(within limit: Duration) {}
    package var draining: DrainProgress? { nil }
    package var room: WorkerRoom? { nil }
}

/// Where workers report.
package protocol ReportSink: Sendable {
    func deliver(_ reports: [TaskReport])
}

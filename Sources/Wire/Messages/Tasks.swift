package import Primitives

/// What a coordinator asks a worker to run. Every `${{ }}` in it is resolved.
package struct TaskAssignment: WireCall {
    package typealias Reply = TaskStatus
    package static let type = MessageType.taskAssignment
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
    /// Whether the attempt goes on when its worker hears nothing of a leader any more; nil and false end it.
    package var continuesAlone: Bool?
    /// For how long nobody may have heard of the worker before the attempt counts as lost; nil: for the lease.
    package var lostAfterMilliseconds: UInt64?

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

    package init() {
        self.init(
            run: RunID(high: 0, low: 0), task: "", namespace: .default, kind: "", attempt: 1, fence: .none, key: "", input: .null,
            timeout: .zero, journalsStart: false, trace: nil)
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "run", &run)
        try coder.field(2, "task", &task)
        try coder.field(3, "namespace", &namespace)
        try coder.field(4, "kind", &kind)
        try coder.attempt(5, &attempt)
        try coder.field(6, "fence", &fence)
        try coder.field(7, "key", &key)
        try coder.field(8, "input", &input)
        var milliseconds = UInt64(max(0, timeout.milliseconds))
        try coder.field(9, "timeout_ms", &milliseconds)
        timeout = .milliseconds(Int64(clamping: milliseconds))
        try coder.field(10, "journals_start", &journalsStart)
        try coder.field(11, "trace", &trace)
        try coder.field(12, "continues_alone", &continuesAlone)
        try coder.field(13, "lost_after_ms", &lostAfterMilliseconds)
    }
}

extension FieldCoder {
    /// The number of an attempt, u32.
    fileprivate mutating func attempt(_ tag: UInt16, _ attempt: inout Int) throws(WireError) {
        var number = UInt32(clamping: attempt)
        try field(tag, "attempt", &number)
        attempt = Int(number)
    }
}

/// How an attempt ended, as its worker saw it (message TaskResult).
package struct TaskReport: WireMessage {
    package static let type = MessageType.taskResult
    package static let name = "TaskResult"
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

    package init() {
        self.init(run: RunID(high: 0, low: 0), task: "", attempt: 1, fence: .none, outcome: .lost, startedAt: .zero, endedAt: .zero)
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "run", &run)
        try coder.field(2, "task", &task)
        try coder.attempt(3, &attempt)
        try coder.field(4, "fence", &fence)
        var record = OutcomeRecord(outcome)
        try coder.field(5, "outcome", &record)
        outcome = record.outcome
        try coder.field(6, "started_at", &startedAt)
        try coder.field(7, "ended_at", &endedAt)
    }
}

/// `AttemptOutcome` as fields.
private struct OutcomeRecord: WireRecord {
    /// In the order of the cases.
    enum State: UInt8, NumberedFieldValue {
        case succeeded = 1
        case failed, timedOut, cancelled, lost, neverStarted

        static var kindName: String { "outcome" }
    }

    var state = State.lost
    var output: Value?
    var errorType: String?
    var errorMessage: String?
    var errorStatus: Int64?

    init() {}

    init(_ outcome: AttemptOutcome) {
        switch outcome {
        case .succeeded(let value): (state, output) = (.succeeded, value)
        case .failed(let error): note(.failed, error)
        case .timedOut(let error): note(.timedOut, error)
        case .cancelled: state = .cancelled
        case .lost: state = .lost
        case .neverStarted: state = .neverStarted
        }
    }

    private mutating func note(_ state: State, _ error: TaskError) {
        self.state = state
        (errorType, errorMessage, errorStatus) = (error.type, error.message, error.status.map { Int64($0) })
    }

    var outcome: AttemptOutcome {
        let error = TaskError(type: errorType ?? "", message: errorMessage ?? "", status: errorStatus.map { Int(clamping: $0) })
        return switch state {
        case .succeeded: .succeeded(output ?? .null)
        case .failed: .failed(error)
        case .timedOut: .timedOut(error)
        case .cancelled: .cancelled
        case .lost: .lost
        case .neverStarted: .neverStarted
        }
    }

    mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "state", &state)
        try coder.field(2, "output", &output)
        try coder.field(3, "error_type", &errorType)
        try coder.field(4, "error_message", &errorMessage)
        try coder.field(5, "error_status", &errorStatus)
    }
}

/// How far an attempt is.
package struct TaskStatus: WireMessage {
    package static let type = MessageType.taskStatus
    package var run = RunID(high: 0, low: 0)
    package var task = ""
    package var fence = Fence.none
    package var isAccepted = false
    /// 0 to 1, as the task says.
    package var progress: Double?
    package var note: String?
    /// Why it is not accepted: `stale`, `unknown`.
    package var code: String?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "run", &run)
        try coder.field(2, "task", &task)
        try coder.field(3, "fence", &fence)
        try coder.field(4, "is_accepted", &isAccepted)
        try coder.field(5, "progress", &progress)
        try coder.field(6, "note", &note)
        try coder.field(7, "code", &code)
    }
}

/// End that attempt.
package struct TaskCancel: WireCall {
    package typealias Reply = TaskStatus
    package static let type = MessageType.taskCancel
    package static let isIdempotent = true
    package var run = RunID(high: 0, low: 0)
    package var task = ""
    package var fence = Fence.none
    package var reason = ""

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "run", &run)
        try coder.field(2, "task", &task)
        try coder.field(3, "fence", &fence)
        try coder.field(4, "reason", &reason)
    }
}

/// What an attempt wrote: asked for with no data, answered as a stream of them.
package struct TaskLog: WireCall {
    package typealias Reply = TaskLog
    package static let type = MessageType.taskLog
    package static let isIdempotent = true
    package var run = RunID(high: 0, low: 0)
    package var task = ""
    package var attempt: UInt32 = 1
    package var offset: UInt64 = 0
    package var data: [UInt8]?
    package var isLast = false

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "run", &run)
        try coder.field(2, "task", &task)
        try coder.field(3, "attempt", &attempt)
        try coder.field(4, "offset", &offset)
        try coder.field(5, "data", &data)
        try coder.field(6, "is_last", &isLast)
    }
}

/// A worker still has these, and how much room.
package struct LeaseRenew: WireCall {
    package typealias Reply = LeaseRenew
    package static let type = MessageType.leaseRenew
    package static let isIdempotent = true
    package var worker = NodeID.unnamed
    package var epoch: UInt64 = 0
    package var fences: [Fence] = []
    package var freeSlots: UInt32 = 0
    /// Of one minute, as the machine says.
    package var load: Double = 0
    /// Of the answer: how long the leader believes in the worker from here on.
    package var leaseMilliseconds: UInt64?
    /// It takes nothing new.
    package var isCordoned: Bool?
    /// It empties itself: for how long what runs may still go on, how many attempts have ended since, and how many it gave back.
    package var drainLeftMilliseconds: UInt64?
    package var drainFinished: UInt32?
    package var drainGivenBack: UInt32?
    /// The machine's wall clock as it sends this.
    package var wallMilliseconds: UInt64?
    /// It stops, and has reported all that it ever began: what the log has with it else was never begun, and never will be.
    package var isLeaving: Bool?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "worker", &worker)
        try coder.field(2, "epoch", &epoch)
        try coder.list(3, "fences", &fences)
        try coder.field(4, "free_slots", &freeSlots)
        try coder.field(5, "load", &load)
        try coder.field(6, "lease_ms", &leaseMilliseconds)
        try coder.field(7, "is_cordoned", &isCordoned)
        try coder.field(8, "drain_left_ms", &drainLeftMilliseconds)
        try coder.field(9, "drain_finished", &drainFinished)
        try coder.field(10, "drain_given_back", &drainGivenBack)
        try coder.field(11, "wall_ms", &wallMilliseconds)
        try coder.field(12, "is_leaving", &isLeaving)
    }
}

/// A worker does not take an assignment: it goes to another. Answered once that is in the log.
package struct Refusal: WireCall {
    package typealias Reply = TaskStatus
    package static let type = MessageType.refusal
    package static let isIdempotent = true
    package var run = RunID(high: 0, low: 0)
    package var task = ""
    package var fence = Fence.none
    /// `no_slots`, `draining`, `unknown_kind`, ...
    package var code = ""
    package var message = ""
    package var freeSlots: UInt32 = 0

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "run", &run)
        try coder.field(2, "task", &task)
        try coder.field(3, "fence", &fence)
        try coder.field(4, "code", &code)
        try coder.field(5, "message", &message)
        try coder.field(6, "free_slots", &freeSlots)
    }
}

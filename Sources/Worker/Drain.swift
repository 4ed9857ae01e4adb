import Primitives
import Wire

/// A worker that is to be empty: what runs goes on until the deadline, and then what may be done again is given back. The worker itself keeps it, so that it goes on
/// whoever leads; its next start finds it cordoned, and with nothing that runs.
struct Drain: Equatable, Sendable {
    var deadline: Instant
    private(set) var finished = 0
    private(set) var givenBack = 0
    /// It was told that nothing is left.
    var isOver = false

    init(deadline: Instant) { self.deadline = deadline }

    /// An attempt has ended.
    mutating func note(_ outcome: AttemptOutcome) {
        if case .neverStarted = outcome { givenBack += 1 } else { finished += 1 }
    }

    func left(at now: Instant) -> Duration { max(.zero, deadline.duration(since: now)) }
}

extension TaskAssignment {
    /// Whether it may be ended and done again somewhere else: its effects come to the same when it is.
    var mayBeGivenBack: Bool { !journalsStart }
}

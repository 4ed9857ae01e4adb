import Cluster
import Primitives
import Wire

/// A worker: what it runs, its journal, and how it looks for the leader. Told again after `TaskRunner`, `Journal` and `CoordinatorLink`, which see for the reasons.
final class SimulatedWorker {
    enum Link {
        case searching(from: Int64)
        /// The number of the call that asked for it, and when that was sent.
        case attaching(to: Int, stream: UInt64, sentAt: Int64)
        case attached(to: Int, stream: UInt64)
    }

    /// What survives a fall.
    struct Journal {
        var begun: Set<Fence> = []
        var ended: [Fence: TaskReport] = [:]
        /// False when something that it should tell of may be missing.
        var isWhole = true
    }

    struct Attempt {
        var assignment: TaskAssignment
        /// Its effect has begun.
        var isRunning = false
        var calledBack: AttemptOutcome?
        var outcome = AttemptOutcome.lost
        var startedAt = ClusterTime.zero
    }

    let number: Int
    let id: NodeID
    let slots: Int
    var claimedSlots: Int
    /// It says of itself what cannot be.
    var tellsLies = false
    var clock = SimulatedClock()
    var epoch: UInt64 = 0
    var isUp = false
    var isPaused = false
    var inbox: [(from: Int, ClusterMessage)] = []
    var isCordoned = false

    var journal = Journal()
    /// As it was when this process began.
    var found = Journal()
    var attempts: [Fence: Attempt] = [:]
    var unreported: [Fence: TaskReport] = [:]
    var refused: Set<Fence> = []
    /// Under way, with the call that has them.
    var sending: [Fence: UInt64] = [:]
    /// Calls that wait for an answer: what they are about, and until when.
    var calls: [UInt64: (fences: [Fence], isRenewal: Bool, sentAt: Int64, until: Int64)] = [:]

    var link = Link.searching(from: 0)
    var nextCoordinator = 0
    var hint: Int?
    var failures = 0
    var renewalFailures = 0
    var renewAt: Int64 = 0
    /// When a renewal was sent that a leader confirmed.
    var confirmedAt: Instant?

    init(number: Int, id: NodeID, slots: Int) {
        (self.number, self.id, self.slots) = (number, id, slots)
        claimedSlots = slots
    }

    var usedSlots: Int { attempts.count }
    var freeSlots: Int { isCordoned ? 0 : max(0, slots - usedSlots) }
    var isAttached: Bool { if case .attached = link { true } else { false } }
}

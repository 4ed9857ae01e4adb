import Cluster
import Observability
import Primitives
import Raft
import Storage

/// One simulated server: the production core, storage format and codec on a simulated disk, and the state machine. What outlives a crash is the disk, and what the checks know of it.
final class SimulatedServer {
    static let folder = "/raft"
    static let segmentBytes = 8_192
    static let dataFolder = "/data"

    let number: Int
    let id: NodeID
    var disk: SimulatedDisk
    /// Counts starts: what was meant for an earlier one is of no interest.
    @exclusivity(unchecked) var boot: UInt32 = 0
    @exclusivity(unchecked) var isUp = false
    @exclusivity(unchecked) var isPaused = false
    /// Arrived while it was paused.
    var inbox: [(from: Int, message: RaftMessage)] = []

    // Of a server that runs
    @exclusivity(unchecked) var running: RunningCore?
    /// A copy; what is asked often is asked of `running`.
    var core: RaftCore? { running?.core }
    var storage: RaftStorage?
    var writer: LogWriter?
    @exclusivity(unchecked) var machine: KeyValueMachine
    var pendingWrites: [RaftOutput.Write] = []
    /// What the disk is at; nil while it is idle.
    var batch: [RaftOutput.Write]?
    @exclusivity(unchecked) var timer: Int64?
    /// Falls in the middle of what it writes next.
    var doom: SimulatedDisk.Death?
    /// By index: whose request it was.
    var proposals: [(index: LogIndex, term: Term, attempt: UInt64)] = []
    var reads: [(attempt: UInt64, index: LogIndex)] = []
    var snapshotIndex = LogIndex.zero

    // Of its program and its disk
    /// The newest feature level that its program knows.
    @exclusivity(unchecked) var level: UInt16 = 1
    /// The id of the folder that it started with.
    var folder: UUIDv7?
    /// Members know its id by another folder: they do not talk to it.
    @exclusivity(unchecked) var isDenied = false
    /// What it had is gone, and it does not know of it.
    var isUnsound = false
    /// Its first folder is gone: this one joins a cluster in whose log its id is.
    var isSecondFolder = false
    /// It has somebody else's disk.
    var swappedWith: Int?

    // Of its clock
    @exclusivity(unchecked) var rate = 1.0
    @exclusivity(unchecked) var offset: Int64 = 0

    // What the checks know
    /// The end of what is durable for sure, of this log: a copy of it as it was when the server fell.
    var log: RaftLog
    var durable = LogIndex.zero
    /// Of a server that lost what it had: that was counted while it was there.
    var lost: (log: RaftLog, durable: LogIndex)?
    var durableState = HardState(term: Term(0), vote: nil)
    var isRecovering = false
    @exclusivity(unchecked) var commit = LogIndex.zero
    /// In force when the last event was over.
    var configuration = Configuration()
    /// It may trust itself once this is durable.
    var trustTicket: UInt64?
    @exclusivity(unchecked) var term = Term(0)
    /// The configurations in its log, by its writes.
    var configurations: [(index: LogIndex, configuration: Configuration)] = []
    /// When it began to hand over, on its own clock.
    var transferBegan: Instant?

    init(number: Int, id: NodeID, seed: UInt64, keys: Int, configuration: Configuration) {
        (self.number, self.id) = (number, id)
        disk = SimulatedDisk(seed: seed)
        machine = KeyValueMachine(keys: keys)
        log = RaftLog(base: .zero, term: Term(0), configuration: configuration)
    }

    /// The server's own time at one of the world.
    func local(_ now: Int64) -> Instant { Instant(nanoseconds: offset + Int64(Double(now) * rate)) }

    /// When its own clock will show a time.
    func world(_ local: Instant) -> Int64 { Int64((Double(local.nanoseconds - offset) / rate).rounded(.up)) + 1 }
}

/// A core in a place of its own: it is a large value, and is looked at many times an event.
final class RunningCore {
    @exclusivity(unchecked) var core: RaftCore
    init(_ core: RaftCore) { self.core = core }
}

/// Time stands still while a simulated server writes: what it takes is the world's to say.
struct StillClock: NodeClock {
    var now: Instant { Instant(nanoseconds: 0) }
    var wall: ClusterTime { .zero }
}

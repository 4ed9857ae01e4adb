import Cluster
import Coordinator
import Offline
import Primitives
import Raft
import Storage
import Testing

/// A coordinator's data folder, as its node left it: three voters, entries of 200 bytes, each durable before the next was written.
struct CoordinatorFolder {
    static let cluster = UUIDv7(high: 0x018f_3b1e_7c2a_7000, low: 7)
    static let segmentBytes = 4096
    static let voters = ["c-1", "c-2", "c-3"]

    let path: String
    let node: NodeID

    /// - Parameters:
    ///   - terms: of each entry; the first says who the voters are.
    ///   - snapshot: up to which entry there is one; the log before it is compacted.
    ///   - history: up to which entry the history has a run of each.
    ///   - appliable: entries that a node can apply, instead of long ones.
    init(
        _ path: String, _ node: String = "c-1", terms: [UInt64], epoch: UInt64 = 1, cluster: UUIDv7 = Self.cluster, snapshot: Int = 0,
        history: UInt64 = 0, voters: [String] = Self.voters, appliable: Bool = false
    ) throws {
        (self.path, self.node) = (path, try NodeID(node))
        let disk = FileDisk()
        try disk.makeFolder(path)
        let identity = DataFolder.Identity(node: self.node, cluster: cluster, featureLevel: CommandCodec.featureLevel, epoch: epoch)
        try DataFolder.write(identity, at: path, disk: disk)
        let configuration = Configuration(voters: try voters.map { try NodeID($0) })
        let (storage, _) = try RaftStorage.open(
            disk: disk, folder: path + "/raft", segmentBytes: Self.segmentBytes, chunkBytes: 4096, repairing: false
        ) { _ in }
        defer { storage.close() }
        try storage.votes.persist(HardState(term: Term(terms.last ?? 1), vote: nil))
        for (place, term) in terms.enumerated() {
            try storage.log.append([Self.entry(UInt64(place + 1), term, configuration, appliable)])
            try storage.log.sync()
        }
        if snapshot > 0 {
            var pieces = [[UInt8](repeating: 3, count: 3000)]
            _ = try storage.save(index: LogIndex(UInt64(snapshot)), term: Term(terms[snapshot - 1]), configuration: configuration) {
                pieces.popLast()
            }
            try storage.log.compact(through: LogIndex(UInt64(snapshot)))
        }
        try storage.log.mark()
        if history > 0 { try Samples.writeHistory(path + "/history", through: history) }
    }

    private static func entry(_ index: UInt64, _ term: UInt64, _ configuration: Configuration, _ appliable: Bool) -> LogEntry {
        guard index > 1 else {
            return LogEntry(index: LogIndex(1), term: Term(term), kind: .configuration, payload: configuration.payload)
        }
        if appliable { return LogEntry(index: LogIndex(index), term: Term(term), kind: .leaderStart, payload: []) }
        let payload = (0..<200).map { UInt8(truncatingIfNeeded: Int(index) &* 31 &+ Int(term) &+ $0) | 1 }
        return LogEntry(index: LogIndex(index), term: Term(term), kind: .commands, payload: payload)
    }

    /// What a node would find there that starts now.
    struct Started {
        var epoch: UInt64
        var hardState: HardState
        var last: SegmentedLog.Position
        var entries: [LogEntry] = []
        var configuration = Configuration()

        var isAlone: Bool { configuration.voters.count == 1 }
    }

    /// Opens it as a node does that may not repair anything.
    func started() throws -> Started {
        let disk = FileDisk()
        let identity = try #require(try DataFolder.readIdentity(at: path, featureLevel: CommandCodec.featureLevel, disk: disk))
        var entries: [LogEntry] = []
        let (storage, found) = try RaftStorage.open(
            disk: disk, folder: path + "/raft", segmentBytes: Self.segmentBytes, chunkBytes: 4096, repairing: false
        ) { entry in entries.append(entry) }
        storage.close()
        var started = Started(epoch: identity.epoch, hardState: found.hardState, last: found.recovery.last, entries: entries)
        if let snapshot = found.snapshot { started.configuration = snapshot.configuration }
        for entry in entries where entry.kind == .configuration {
            started.configuration = try #require(Configuration(payload: entry.payload))
        }
        return started
    }

    /// The files of its log, oldest first.
    func logFiles() throws -> [String] {
        try FileDisk().list(path + "/raft/log").filter { $0.hasSuffix(".log") }.map { path + "/raft/log/" + $0 }
    }

    /// Where the payload of a file's entry begins, when all before it have 200 bytes.
    static func payloadOffset(_ number: Int) -> Int { 64 + number * Record.size(payload: 200) + Record.headBytes }
}

/// What a call throws; nil when it does not.
func problem(_ body: () throws -> Void) -> DisasterProblem? {
    do {
        try body()
        return nil
    } catch {
        return error as? DisasterProblem
    }
}

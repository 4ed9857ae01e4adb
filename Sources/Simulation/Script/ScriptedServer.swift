package import Primitives
package import Raft

/// One server of a script: a core and the host's side of it, with a disk that answers when it is told to.
package struct ScriptedServer: Sendable {
    package let id: NodeID
    let settings: RaftSettings
    /// The configuration that the cluster began with; empty for a server that is to join later.
    let initial: Configuration
    /// Nil while it is down.
    package internal(set) var core: RaftCore?
    package internal(set) var appliedIndex = LogIndex.zero
    package internal(set) var isPaused = false

    // Storage
    /// Survives a crash.
    var durable = ScriptedDisk()
    /// Once all that is pending is durable.
    var written = ScriptedDisk()
    package internal(set) var pending: [RaftOutput.Write] = []
    /// Writes wait for `store`.
    var isStalled = false
    /// The next snapshot that comes is not what it should be.
    var isSpoiled = false
    /// It trusts itself on its disk once this write is durable.
    private var trustTicket: UInt64?

    // Time
    private var starts: UInt64 = 0
    private let number: UInt64
    /// How fast its clock runs, in percent, and since when.
    private var rate: Int64 = 100
    private var anchor = (world: Instant(nanoseconds: 0), own: Instant(nanoseconds: 0))

    init(id: NodeID, number: UInt64, settings: RaftSettings, initial: Configuration) {
        (self.id, self.number, self.settings, self.initial) = (id, number, settings, initial)
    }

    // MARK: Starting and stopping

    mutating func start(at world: Instant) {
        starts += 1
        durable.settle()
        written = durable
        let now = own(world)
        var core = RaftCore(
            id: id, settings: settings, hardState: durable.hardState, snapshot: durable.snapshot, configuration: initial,
            isRecovering: durable.isRecovering, seed: number << 32 | starts, now: now)
        for entry in durable.restored { core.restore(entry) }
        core.started(now: now)
        self.core = core
        appliedIndex = durable.snapshot?.index ?? .zero
        (isPaused, trustTicket) = (false, nil)
    }

    /// - Parameter lost: that many of the newest pending writes never reached the disk.
    mutating func crash(losing lost: Int) -> String? {
        let fault = perform(pending.count - lost)
        (pending, core, trustTicket, isPaused) = ([], nil, nil, false)
        written = durable
        return fault
    }

    // MARK: Storage

    mutating func take(_ writes: [RaftOutput.Write], isTrusted: Bool) -> String? {
        var fault: String?
        for write in writes { fault = written.perform(write) ?? fault }
        pending += writes
        guard isTrusted else { return fault }
        written.isRecovering = false
        trustTicket = pending.last?.ticket
        if trustTicket == nil { durable.isRecovering = false }
        return fault
    }

    /// Makes the oldest writes durable; what the core is to be told of it.
    mutating func store(_ count: Int) -> (events: [RaftCore.Event], fault: String?) {
        guard count > 0, let last = pending.prefix(count).last else { return ([], nil) }
        let chunks = pending.prefix(count).compactMap(\.chunk)
        let fault = perform(count)
        pending.removeFirst(count)
        if let ticket = trustTicket, ticket <= last.ticket { (trustTicket, durable.isRecovering) = (nil, false) }
        var events: [RaftCore.Event] = [.stored(ticket: last.ticket)]
        for chunk in chunks where chunk.chunk + 1 == chunk.snapshot.chunks(of: settings.chunkBytes) {
            events.append(.snapshotReceived(chunk.snapshot, isWhole: !isSpoiled))
            if isSpoiled { (durable.incoming, written.incoming, isSpoiled) = (nil, nil, false) }
        }
        return (events, fault)
    }

    private mutating func perform(_ count: Int) -> String? {
        var fault: String?
        for write in pending.prefix(count) { fault = durable.perform(write) ?? fault }
        return fault
    }

    /// Where a snapshot that is coming goes on; one that is here as a whole, and was not taken, is had anew.
    func resumes(_ mark: SnapshotMark) -> UInt32 {
        guard let incoming = written.incoming, incoming.mark == mark else { return 0 }
        return incoming.chunks < mark.chunks(of: settings.chunkBytes) ? incoming.chunks : 0
    }

    /// Its state machine is on disk as a whole.
    mutating func took(_ mark: SnapshotMark) {
        durable.snapshot = mark
        written.snapshot = mark
    }

    // MARK: Time

    mutating func setRate(_ percent: Int64, at world: Instant) {
        anchor = (world, own(world))
        rate = percent
    }

    func own(_ world: Instant) -> Instant {
        Instant(nanoseconds: anchor.own.nanoseconds + (world.nanoseconds - anchor.world.nanoseconds) * rate / 100)
    }

    /// When its clock shows a time.
    func world(_ own: Instant) -> Instant {
        let length = own.nanoseconds - anchor.own.nanoseconds
        return Instant(nanoseconds: anchor.world.nanoseconds + (length * 100 + rate - 1) / rate)
    }

    var deadline: Instant? {
        guard let core, !isPaused else { return nil }
        return world(core.nextDeadline)
    }
}

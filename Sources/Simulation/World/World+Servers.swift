import Cluster
import Primitives
import Raft
import Storage

extension World {
    // MARK: Starting and falling

    func start(_ server: SimulatedServer) {
        server.boot += 1
        server.isUp = true
        var entries: [LogEntry] = []
        do throws(StorageError) {
            try claim(server)
            let (storage, found) = try RaftStorage.open(
                disk: server.disk, folder: SimulatedServer.folder, segmentBytes: SimulatedServer.segmentBytes,
                chunkBytes: plan.settings.chunkBytes, repairing: true, joins: joins(server)
            ) { entry throws(StorageError) in entries.append(entry) }
            server.storage = storage
            let isRecovering = found.distrust != nil
            checks.started(server, found, entries, in: self)
            var core = RaftCore(
                id: server.id, settings: plan.settings, hardState: found.hardState, snapshot: found.snapshot,
                configuration: found.snapshot?.configuration ?? server.log.configuration(at: .zero), isRecovering: isRecovering,
                seed: generator.next(), now: server.local(now))
            entries.removeAll { $0.index > found.recovery.last.index }
            for entry in entries { core.restore(entry) }
            core.started(now: server.local(now))
            try FolderID.begin(SimulatedServer.dataFolder, disk: server.disk)
            server.running = RunningCore(core)
            server.isRecovering = isRecovering
            server.writer = LogWriter(storage.log, storage.votes, clock: StillClock(), observer: .silent)
            server.machine = KeyValueMachine(keys: plan.keys)
            server.configurations = checks.configurations(found, entries, server)
            server.snapshotIndex = found.snapshot?.index ?? .zero
            if found.recovery.cut != nil { coverage.saw(.tailCut) }
            if let manifest = found.manifest { try load(manifest, server) }
            server.commit = core.commitIndex
            server.configuration = core.configuration
        } catch {
            server.isUp = false
            guard mayRefuse(error, server) else { return fail("storage", "\(server.id) does not start: \(error)") }
            // Its process ends, and what it had open with it.
            server.disk.crash(.kill, using: &generator)
            return schedule(.restart(server.number, boot: server.boot), after: exponential(500_000_000))
        }
        tell(.started, server)
        setTimer(server, at: now)
    }

    /// Whoever the cluster did not begin with comes to one that is there, and so does a founder with another disk.
    private func joins(_ server: SimulatedServer) -> Bool {
        (server.number >= plan.servers || server.isSecondFolder) && !mutated(.trustsNewFolder)
    }

    /// What a node may meet when it starts, and says; everything else is a violation.
    private func mayRefuse(_ error: StorageError, _ server: SimulatedServer) -> Bool {
        switch error {
        case .io: coverage.saw(.syncFailed)
        case .full: coverage.saw(.diskFull)
        case .otherNode where server.swappedWith != nil: coverage.saw(.swapRefused)
        case .newerFormat where server.level < Self.newest:
            coverage.saw(.olderRefused)
            server.level = Self.newest
        default: return false
        }
        return true
    }

    private func load(_ manifest: SnapshotStore.Manifest, _ server: SimulatedServer) throws(StorageError) {
        let bytes = try server.storage?.snapshots.read(manifest, offset: 0, count: manifest.bytes) ?? []
        guard let machine = KeyValueMachine(snapshot: bytes), machine.applied == manifest.position.index else {
            return fail("R17", "\(server.id) cannot read its snapshot at \(manifest.position.index)")
        }
        guard machine.featureLevel <= server.level else {
            throw .newerFormat(path: SimulatedServer.folder, found: "feature level \(machine.featureLevel)", supported: Int(server.level))
        }
        server.machine = machine
        checks.snapshot(bytes, of: server, in: self)
        checks.applied(server, in: self)
    }

    /// - Parameter death: what becomes of what was not synced.
    func crash(_ server: SimulatedServer, _ death: SimulatedDisk.Death) {
        guard server.isUp else { return }
        coverage.saw(death == .kill ? .killed : .powerLost)
        // In the middle of what it was writing.
        if let batch = server.batch, let writer = server.writer {
            server.disk.setFuse(after: .random(in: 0..<(Bool.random(using: &generator) ? 3 : 24), using: &generator))
            _ = try? write(batch, server, writer)
            server.disk.setFuse(after: nil)
            forget(batch, server)
        }
        tell(.crashed, server)
        server.disk.crash(death, using: &generator)
        server.boot += 1
        server.isUp = false
        server.isPaused = false
        checks.fell(server)
        if server.running?.core.configuration.isJoint == true { coverage.saw(.jointInterrupted) }
        (server.running, server.storage, server.writer, server.batch, server.timer) = (nil, nil, nil, nil, nil)
        (server.pendingWrites, server.proposals, server.reads, server.inbox) = ([], [], [], [])
        (server.trustTicket, server.doom, server.transferBegan) = (nil, nil, nil)
        // A process that ends closes its connections; a machine that loses power does not.
        guard death == .kill else { return }
        for other in servers where other !== server && other.isUp && !other.isPaused && network.isOpen(server.number, other.number) {
            coverage.saw(.disconnected)
            handle(.disconnected(server.id), at: other)
        }
    }

    /// Of what was being written nobody knows what is there; what it was to take away is not.
    private func forget(_ batch: [RaftOutput.Write], _ server: SimulatedServer) {
        for write in batch {
            if let end = write.truncateAfter ?? write.install?.index { server.cutKnown(after: min(end, server.durable)) }
        }
    }

    func unpause(_ server: SimulatedServer) {
        guard server.isPaused else { return }
        server.isPaused = false
        let inbox = server.inbox
        server.inbox = []
        for (from, message) in inbox where server.isUp && !server.isPaused {
            handle(.message(message, from: servers[from].id), at: server)
        }
        if server.isUp, !server.isPaused { handle(.tick, at: server) }
    }

    // MARK: The core and what it wants

    func handle(_ event: RaftCore.Event, at server: SimulatedServer) {
        guard violation == nil, server.running != nil else { return }
        var own = RaftOutput()
        swap(&own, &output)
        own.clear()
        let commit = server.commit
        tellArrival(event, server)
        server.running?.core.handle(event, now: server.local(now), into: &own)
        note(server)
        checks.handled(server, own, isTick: event == .tick, in: self)
        perform(own, since: commit, server)
        swap(&own, &output)
        guard server.isUp, let deadline = server.running?.core.glance.deadline else { return }
        let due = server.world(deadline)
        // One that comes too early sets the next.
        if server.timer.map({ $0 > due }) ?? true { setTimer(server, at: due) }
    }

    private func setTimer(_ server: SimulatedServer, at time: Int64) {
        server.timer = max(now, time)
        schedule(.timer(server.number, boot: server.boot), after: time - now)
    }

    private func note(_ server: SimulatedServer) {
        guard let running = server.running else { return }
        traceHash.combine(UInt64(bitPattern: now) ^ UInt64(server.number) << 56)
        let glance = running.core.glance
        traceHash.combine(glance.term.number << 32 ^ glance.commitIndex.number)
        traceHash.combine(glance.lastIndex.number << 32 ^ glance.durableIndex.number)
    }

    private func perform(_ output: RaftOutput, since commit: LogIndex, _ server: SimulatedServer) {
        for transition in output.transitions { see(transition, server) }
        tellGrowth(output, since: commit, server)
        for message in output.messages { send(message, from: server) }
        for refused in output.refused {
            checks.refused(refused.id, in: self)
            answer(refused, server)
        }
        for accepted in output.accepted where accepted.count > 0 {
            server.proposals.append((accepted.first, accepted.term, accepted.id))
        }
        if !output.writes.isEmpty {
            server.pendingWrites += output.writes
            startBatch(server)
        }
        for fetch in output.fetches { schedule(.fetched(server.number, boot: server.boot, fetch), after: plan.diskNanoseconds / 4) }
        if let mark = output.incoming { schedule(.resumes(server.number, boot: server.boot, mark), after: plan.diskNanoseconds / 4) }
        if output.isTrusted {
            server.trustTicket = output.writes.last?.ticket ?? 0
            if server.trustTicket == 0 { trust(server) }
        }
        if output.lost != nil { foundOut(server) }
        if output.restored != nil, server.isUp { restore(server) }
        if let commit = output.commit, server.isUp { apply(through: commit, server) }
        for ready in output.readsReady where server.isUp && ready.id & (1 << 63) == 0 { readReady(ready, server) }
    }

    // MARK: The disk

    private func startBatch(_ server: SimulatedServer) {
        guard server.batch == nil, !server.pendingWrites.isEmpty else { return }
        server.batch = server.pendingWrites
        server.pendingWrites = []
        var time = plan.diskNanoseconds / 2 + exponential(plan.diskNanoseconds / 2)
        if areFaultsOn, plan.faults.contains(.stall), chance(10_000) {
            coverage.saw(.diskStalled)
            time += .random(in: 10_000_000...3_000_000_000, using: &generator)
        }
        schedule(.disk(server.number, boot: server.boot), after: time)
    }

    func finishBatch(_ server: SimulatedServer) {
        guard let batch = server.batch, let writer = server.writer else { return }
        if let death = server.doom, areFaultsOn {
            crash(server, death)
            return schedule(.restart(server.number, boot: server.boot), after: exponential(500_000_000))
        }
        server.batch = nil
        var received: (mark: SnapshotMark, isWhole: Bool)?
        do throws(StorageError) { received = try write(batch, server, writer) } catch {
            forget(batch, server)
            return diskFailed(server)
        }
        checks.stored(batch, server)
        lookWhetherSound(server)
        if let ticket = server.trustTicket, let last = batch.last, last.ticket >= ticket { trust(server) }
        guard server.isUp else { return }
        startBatch(server)
        if let last = batch.last { handle(.stored(ticket: last.ticket), at: server) }
        if let (mark, isWhole) = received { handle(.snapshotReceived(mark, isWhole: isWhole), at: server) }
    }

    /// What a snapshot's last chunk gave, if it was among them.
    private func write(
        _ batch: [RaftOutput.Write], _ server: SimulatedServer, _ writer: LogWriter
    ) throws(StorageError) -> (SnapshotMark, Bool)? {
        guard let storage = server.storage else { return nil }
        var received: (SnapshotMark, Bool)?
        for group in batch {
            if group.isDistrusted { try storage.distrust("log: entries that were acknowledged are not there") }
            if let chunk = group.chunk, let isWhole = try storage.receive(chunk) { received = (chunk.snapshot, isWhole) }
        }
        try writer.perform(batch.map { (ticket: $0.ticket, operations: storage.operations(of: $0)) })
        return received
    }

    /// What makes it good is durable: from here on it may forget that it lost anything.
    private func trust(_ server: SimulatedServer) {
        server.trustTicket = nil
        do throws(StorageError) { try server.storage?.trust() } catch { return diskFailed(server) }
        server.isRecovering = false
        coverage.saw(.trusted)
    }

    /// A disk that fails is failed for good: the server stops at once, and nothing that waited was acknowledged.
    func diskFailed(_ server: SimulatedServer) {
        coverage.saw(.syncFailed)
        crash(server, .kill)
        schedule(.restart(server.number, boot: server.boot), after: exponential(1_000_000_000))
    }

    func fetched(_ fetch: RaftOutput.Fetch, at server: SimulatedServer) {
        coverage.saw(.fetchedFromDisk)
        let entries = try? server.storage?.log.entries(from: fetch.first, through: fetch.last, maxBytes: fetch.maxBytes)
        handle(.fetched(peer: fetch.peer, entries ?? []), at: server)
    }

    func resumes(_ mark: SnapshotMark, at server: SimulatedServer) {
        do throws(StorageError) {
            let chunk = try server.storage?.resume(mark) ?? 0
            handle(.snapshotResumes(mark, chunk: chunk), at: server)
        } catch {
            diskFailed(server)
        }
    }

    // MARK: The state machine

    private func restore(_ server: SimulatedServer) {
        do throws(StorageError) {
            guard let manifest = try server.storage?.snapshots.newestManifest() else { return fail("R17", "no snapshot was installed") }
            try load(manifest, server)
            if server.machine.featureLevel > 1 { noteLevel(server) }
            server.snapshotIndex = manifest.position.index
            server.proposals = []
        } catch {
            switch error {
            case .io, .full: diskFailed(server)
            case .newerFormat: stopAtLevel(server)
            default: fail("storage", "\(server.id) cannot read its snapshot: \(error)")
            }
        }
    }

    private func apply(through commit: LogIndex, _ server: SimulatedServer) {
        while server.machine.applied < commit, violation == nil {
            let next = server.machine.applied.next
            guard let running = server.running else { return }
            var entries = running.core.log.entries(from: next, through: commit, maxBytes: 1 << 20)
            if entries == nil {
                do throws(StorageError) { entries = try server.storage?.log.entries(from: next, through: commit, maxBytes: 1 << 20) } catch
                {
                    guard case .io = error else { return fail("storage", "\(server.id) cannot read entry \(next): \(error)") }
                    return diskFailed(server)
                }
            }
            guard let entries, !entries.isEmpty else {
                return fail("R12", "\(server.id) has no entry \(next), and \(commit) is committed")
            }
            for entry in entries {
                guard apply(entry, server) else { return }
            }
        }
        confirmReads(server)
        if server.isUp { takeSnapshot(server) }
    }

    /// False when the server has stopped.
    private func apply(_ entry: LogEntry, _ server: SimulatedServer) -> Bool {
        let command = entry.kind == .commands ? KeyValueMachine.Command(entry.payload) : nil
        if let command, command.neededLevel > server.level {
            stopAtLevel(server)
            return false
        }
        if let command, command.kind == .writeByNewer, server.machine.featureLevel < command.neededLevel {
            fail(
                "O3",
                "entry \(entry.index) is a command of level \(command.neededLevel), and the cluster is at \(server.machine.featureLevel)")
        }
        let (repeats, before) = (server.machine.repeats, command.map { server.machine.trail(of: $0) })
        let outcome = server.machine.apply(entry)
        if server.machine.repeats > repeats { coverage.saw(.commandRepeated) }
        if let command, let outcome, let before {
            checks.sessions(entry, command, outcome, hasChanged: server.machine.trail(of: command) != before, in: self)
        }
        checks.applied(server, in: self)
        settle(entry, outcome, server)
        if command?.kind == .raise { noteLevel(server) }
        return server.isUp
    }

    private func takeSnapshot(_ server: SimulatedServer) {
        guard server.machine.applied.number >= server.snapshotIndex.number + plan.snapshotEvery else { return }
        saveSnapshot(server)
    }

    /// Of all that is applied.
    func saveSnapshot(_ server: SimulatedServer) {
        let index = server.machine.applied
        guard let running = server.running,
            let term = running.core.log.term(at: index),
            running.core.durableIndex >= index
        else { return }
        server.snapshotIndex = index
        do throws(StorageError) {
            var pieces = [server.machine.snapshot]
            checks.snapshot(pieces[0], of: server, in: self)
            let mark = try server.storage?.save(index: index, term: term, configuration: running.core.log.configuration(at: index)) {
                pieces.popLast()
            }
            if let mark { handle(.snapshotTaken(mark), at: server) }
        } catch {
            diskFailed(server)
        }
    }
}

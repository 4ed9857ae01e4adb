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
            let (storage, found) = try RaftStorage.open(
                disk: server.disk, folder: SimulatedServer.folder, segmentBytes: SimulatedServer.segmentBytes,
                chunkBytes: plan.settings.chunkBytes, repairing: true
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
            server.running = RunningCore(core)
            server.isRecovering = isRecovering
            server.writer = LogWriter(storage.log, storage.votes, clock: StillClock(), observer: .silent)
            server.machine = KeyValueMachine(keys: plan.keys)
            server.snapshotIndex = found.snapshot?.index ?? .zero
            if found.recovery.cut != nil { coverage.saw(.tailCut) }
            if let manifest = found.manifest { load(manifest, server) }
            server.commit = core.commitIndex
            server.configuration = core.configuration
        } catch {
            server.isUp = false
            guard case .io = error else { return fail("storage", "\(server.id) does not start: \(error)") }
            coverage.saw(.syncFailed)
            // Its process ends, and what it had open with it.
            server.disk.crash(.kill, using: &generator)
            return schedule(.restart(server.number, boot: server.boot), after: exponential(500_000_000))
        }
        tell(.started, server)
        schedule(.timer(server.number, boot: server.boot), after: 0)
    }

    private func load(_ manifest: SnapshotStore.Manifest, _ server: SimulatedServer) {
        do throws(StorageError) {
            let bytes = try server.storage?.snapshots.read(manifest, offset: 0, count: manifest.bytes) ?? []
            guard let machine = KeyValueMachine(snapshot: bytes), machine.applied == manifest.position.index else {
                return fail("R17", "\(server.id) cannot read its snapshot at \(manifest.position.index)")
            }
            server.machine = machine
            checks.snapshot(bytes, of: server, in: self)
            checks.applied(server, in: self)
        } catch {
            fail("storage", "\(server.id) cannot read its snapshot: \(error)")
        }
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
            // Which of it is there nobody knows; what it was to take away is not.
            for write in batch {
                if let end = write.truncateAfter ?? write.install?.index { server.cutKnown(after: min(end, server.durable)) }
            }
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
        (server.trustTicket, server.doom) = (nil, nil)
        // A process that ends closes its connections; a machine that loses power does not.
        guard death == .kill else { return }
        for other in servers where other !== server && other.isUp && !other.isPaused && network.isOpen(server.number, other.number) {
            coverage.saw(.disconnected)
            handle(.disconnected(server.id), at: other)
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
        checks.handled(server, own, in: self)
        perform(own, since: commit, server)
        swap(&own, &output)
        guard server.isUp, let deadline = server.running?.core.glance.deadline else { return }
        let due = server.world(deadline)
        if server.timer.map({ $0 > due }) ?? true {
            server.timer = due
            schedule(.timer(server.number, boot: server.boot), after: due - now)
        }
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
        for refused in output.refused { answer(refused, server) }
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
        if output.restored != nil { restore(server) }
        if let commit = output.commit { apply(through: commit, server) }
        for ready in output.readsReady { ready.id & (1 << 63) == 0 ? readReady(ready, server) : () }
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
            return diskFailed(server)
        }
        checks.stored(batch, server)
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
    private func diskFailed(_ server: SimulatedServer) {
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
            load(manifest, server)
            server.snapshotIndex = manifest.position.index
            server.proposals = []
        } catch {
            fail("storage", "\(server.id) cannot read its snapshot: \(error)")
        }
    }

    private func apply(through commit: LogIndex, _ server: SimulatedServer) {
        while server.machine.applied < commit, violation == nil {
            let next = server.machine.applied.next
            guard let running = server.running else { return }
            var entries = running.core.log.entries(from: next, through: commit, maxBytes: 1 << 20)
            if entries == nil { entries = try? server.storage?.log.entries(from: next, through: commit, maxBytes: 1 << 20) }
            guard let entries, !entries.isEmpty else {
                return fail("R12", "\(server.id) has no entry \(next), and \(commit) is committed")
            }
            for entry in entries {
                let repeats = server.machine.repeats
                let outcome = server.machine.apply(entry)
                if server.machine.repeats > repeats { coverage.saw(.commandRepeated) }
                checks.applied(server, in: self)
                settle(entry, outcome, server)
            }
        }
        confirmReads(server)
        takeSnapshot(server)
    }

    private func takeSnapshot(_ server: SimulatedServer) {
        let index = server.machine.applied
        guard index.number >= server.snapshotIndex.number + plan.snapshotEvery, let running = server.running,
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

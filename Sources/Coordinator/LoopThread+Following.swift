import Cluster
import HashTreeCollections
import Observability
import Primitives
import Storage
import Synchronization
import Wire
import Workflows

/// Following, taking over, and what happens once an entry is committed.
extension LoopThread {
    // MARK: Following

    /// Applies what is committed and was not planned here, and takes over when all of it is.
    func catchUp() {
        settle()
        if case .leading(let term) = mode {
            // An entry of the log itself (who belongs to the cluster) stands where the plan had the next one.
            guard pending.isEmpty, let planner, committed > planner.state.applied else { return }
            self.planner = nil
            mode = .takingOver(term, through: committed)
        }
        guard pending.isEmpty else { return }
        applier.state = loop.current.state
        do throws(StorageError) {
            while applier.state.applied < committed {
                let entries = try loop.raft.entries(after: applier.state.applied, through: committed)
                // A snapshot has taken their place, and word of it is on its way.
                guard !entries.isEmpty else { return }
                for entry in entries { try applier.apply(entry) }
                try loop.history.flush()
                publish(applier.state)
            }
        } catch {
            standStill()
            return fail(error)
        }
        takeOver()
    }

    private func publish(_ state: CoordinatorState) {
        let old = loop.catalog
        var catalog: Catalog?
        if old.version != state.catalogVersion {
            let (compiled, unreadable) = Catalog.compile(state)
            for key in unreadable {
                loop.telemetry.events.emit(
                    "catalog.unreadable", subject: key.name, severity: .error, "\(key.kind) '\(key.name)' cannot be read by this program")
            }
            catalog = compiled
        }
        loop.view.withLock { view in
            view.state = state
            if let catalog { view.catalog = catalog }
        }
        loop.didApply()
    }

    private func takeOver() {
        guard case .takingOver(let term, let index) = mode, pending.isEmpty, applier.state.applied >= index else { return }
        let view = loop.current
        planner = Planner(
            term: term, state: view.state, catalog: view.catalog, seed: generator.next(), wall: loop.telemetry.clock.wall,
            environment: plan.environment, limits: plan.limits, scheduler: plan.scheduling.scheduler(seed: generator.next()))
        beginsLevel = true
        mode = .leading(term)
        if takenOver != term {
            takenOver = term
            clock = ClusterClock(wall: loop.telemetry.clock.wall, now: loop.telemetry.clock.now)
            beginLeases()
        }
        held.insert(contentsOf: workers.keys.sorted().compactMap { workers[$0] }.map { .join($0) }, at: 0)
        loop.leads.store(true, ordering: .releasing)
    }

    /// Leads no more: what was proposed and is not committed may be, or not, and whoever waits for it is told so.
    func leave() {
        settle()
        loop.leads.store(false, ordering: .releasing)
        planner = nil
        endLeases()
        if !batches.isEmpty {
            refuse("this node lost its leadership, and whether this was kept is not known: send it again under the same id")
        }
        pending = []
        waiting = Planner.Output()
        loop.raft.proposals.abandon("the node lost its leadership")
        giveUp()
    }

    /// The leader's snapshot has taken the place of the log.
    func restore() {
        leave()
        do throws(StorageError) {
            guard let (manifest, bytes) = try loop.raft.snapshots.newest(), manifest.position.index > loop.current.state.applied else {
                return
            }
            try applier.restore(bytes, at: manifest.position.index)
            committed = max(committed, manifest.position.index)
            // Before anybody can ask for what is not here.
            try loop.history.noteGap(after: loop.current.state.applied, through: manifest.position.index)
            publish(applier.state)
        } catch {
            standStill()
            fail(error)
        }
    }

    // MARK: What is committed

    /// Lets go of everything whose entry is committed.
    func settle() {
        let done = pending.prefix { $0.index <= committed }
        guard !done.isEmpty || !waiting.isEmpty else { return }
        // What is committed is answered as such, also when the history cannot take it: the log brings it again.
        var problem: StorageError?
        if let last = done.last { problem = publish(done, last) }
        defer { if let problem { fail(problem) } }
        pending.removeFirst(done.count)
        for (_, token, answer) in Self.released(&waiting.answers, committed, \.index) { release(token, answer) }
        if loop.raft.proposals.isWatching { loop.raft.proposals.applied(through: committed) }
        var assignments: [NodeID: [TaskAssignment]] = [:]
        for item in Self.released(&waiting.dispatches, committed, \.index) { assignments[item.worker, default: []].append(item.assignment) }
        for (node, group) in assignments { dispatch(group, to: node) }
        for item in Self.released(&waiting.cancels, committed, \.index) { workers[item.worker]?.cancel(item.held) }
        acknowledge(Self.released(&waiting.acknowledged, committed, \.index))
        for (index, notice) in Self.released(&waiting.notices, committed, \.index) { loop.tell(notice, index) }
    }

    private static func released<T>(_ items: inout [T], _ committed: LogIndex, _ index: (T) -> LogIndex) -> [T] {
        let count = items.firstIndex { index($0) > committed } ?? items.count
        defer { items.removeFirst(count) }
        return Array(items.prefix(count))
    }

    private func publish(_ done: ArraySlice<Pending>, _ last: Pending) -> StorageError? {
        var problem: StorageError?
        let now = loop.telemetry.clock.now
        do throws(StorageError) {
            for item in done {
                loop.metrics.commitLatency.observe(now.duration(since: item.proposedAt))
                try loop.history.append(item.proposal.history, index: item.index, time: item.proposal.state.time)
            }
            try loop.history.flush()
        } catch {
            problem = error
        }
        let catalog = done.last { $0.proposal.catalog != nil }?.proposal.catalog
        loop.view.withLock { view in
            view.state = last.proposal.state
            if let catalog { view.catalog = catalog }
        }
        loop.didApply()
        return problem
    }

    private func release(_ token: Int, _ answer: Planner.Answer) {
        guard let (batch, slot) = batches.removeValue(forKey: token) else { return }
        batch.answer(slot, answer)
    }

    private func acknowledge(_ items: [(index: LogIndex, report: TaskReport, isFresh: Bool)]) {
        guard !items.isEmpty else { return }
        for item in items where !item.isFresh { loop.metrics.staleReports.increment() }
        let reports = items.map(\.report)
        for worker in workers.values where worker.session == nil { worker.committed(reports) }
        guard loop.sessions.desk.count > 0 else { return }
        let state = loop.current.state
        loop.sessions.desk.settled(items.map { ($0.report, $0.isFresh) }) { state.runs[$0] != nil }
    }

    func publishDepths() {
        let depths = planner.map { ($0.ready.count, $0.placement.runningTasks, $0.ready.oldest) } ?? (0, 0, nil)
        loop.depths.withLock { $0 = depths }
        loop.metrics.queueDepth.set(depths.0)
        loop.metrics.tasksRunning.set(depths.1)
        let state = planner?.state ?? applier.state
        loop.metrics.openRuns.set(state.runs.count)
        for part in Freeze.Part.allCases { loop.metrics.frozen[part]?.set(state.frozen[part] == nil ? 0 : 1) }
        // While a plan is made anew what was seen last still holds.
        guard planner != nil || mode == .following else { return }
        loop.waiting.look(planner?.scheduler, wall: loop.telemetry.clock.wall, now: loop.telemetry.clock.now)
    }

    /// The queue is made anew as the settings are now, as after an election: the log has all that waits, and since when.
    func reschedule(_ settings: SchedulingSettings) {
        guard plan.scheduling != settings else { return }
        plan.scheduling = settings
        guard case .leading(let term) = mode else { return }
        planner = nil
        mode = .takingOver(term, through: pending.last?.index ?? loop.current.state.applied)
    }
}

extension Planner.Output {
    fileprivate var isEmpty: Bool {
        answers.isEmpty && dispatches.isEmpty && cancels.isEmpty && acknowledged.isEmpty && notices.isEmpty
    }
}

import Cluster
import Coordinator
import HashTreeCollections
import Primitives
import Raft
import Wire
import Workflows

/// What the planner's thread of a coordinator does: `LoopThread.turn` and what follows from it, on simulated clocks.
extension ClusterWorld {
    func turn(_ coordinator: SimulatedCoordinator) {
        let mail = coordinator.mailbox
        coordinator.mailbox = []
        var work: [SimulatedCoordinator.Mail] = []
        for item in mail { take(item, &work, coordinator) }
        catchUp(coordinator)
        let (wall, local) = (coordinator.clock.wall(now), coordinator.clock.local(now))
        let (jump, firesTimers) = coordinator.clusterClock.read(wall: wall, now: local)
        if jump != nil {
            coverage.saw(.clockJumped)
            coordinator.believedOffset = coordinator.clock.wallOffset
        }
        if !firesTimers { coverage.saw(.timersHeld) }
        coordinator.timersFire = firesTimers && local >= coordinator.timersFrom
        propose(work, wall, coordinator)
        settle(coordinator)
        finishReads(coordinator)
        saveNowAndThen(coordinator)
        guard coordinator.isUp, coordinator.mode != .following || !coordinator.held.isEmpty else { return }
        var pause = coordinator.held.isEmpty ? Duration.seconds(1) : .milliseconds(10)
        if coordinator.timersFire, let next = coordinator.planner?.nextTimer() {
            pause = min(pause, max(.milliseconds(1), next.duration(since: wall)))
        }
        wantTurn(coordinator, after: pause.nanoseconds)
    }

    private func take(_ mail: SimulatedCoordinator.Mail, _ work: inout [SimulatedCoordinator.Mail], _ coordinator: SimulatedCoordinator) {
        switch mail {
        case .ask, .reports: work.append(mail)
        case .join(let stream, let node):
            guard let session = coordinator.sessions[node], session.stream == stream else { return }
            coordinator.workers[node] = session
            work.append(mail)
        case .left(let node, let stream):
            guard coordinator.workers[node]?.stream == stream else { return }
            coordinator.workers[node] = nil
            work.append(mail)
        case .room(let node, let stream): if coordinator.workers[node]?.stream == stream { work.append(mail) }
        case .refused: work.append(mail)
        case .cordon(let node, let flag):
            guard let session = coordinator.workers[node] else { return }
            session.isCordoned = flag
            order(.cordon(flag), to: session, coordinator)
            work.append(mail)
        case .committed(let index): coordinator.committed = max(coordinator.committed, index)
        case .leads(let term, let index):
            leave(coordinator)
            coordinator.mode = .takingOver(term, through: index)
        case .follows: leave(coordinator)
        }
    }

    // MARK: Following

    private func catchUp(_ coordinator: SimulatedCoordinator) {
        settle(coordinator)
        if case .leading(let term) = coordinator.mode {
            guard coordinator.pending.isEmpty, let planner = coordinator.planner, coordinator.committed > planner.state.applied else {
                return
            }
            coordinator.planner = nil
            coordinator.mode = .takingOver(term, through: coordinator.committed)
        }
        guard coordinator.pending.isEmpty else { return }
        while coordinator.state.applied < coordinator.committed, violation == nil {
            let next = coordinator.state.applied.next
            let entries = coordinator.core?.log.entries(from: next, through: coordinator.committed, maxBytes: 1 << 20)
            guard let entries, !entries.isEmpty else {
                return fail("replica", "\(coordinator.id) has no entry \(next), and \(coordinator.committed) is committed")
            }
            for entry in entries {
                apply(entry, to: &coordinator.state, of: coordinator.id)
                checks.applied(coordinator.state, by: coordinator.id, in: self)
            }
        }
        publish(coordinator)
        takeOver(coordinator)
    }

    private func apply(_ entry: LogEntry, to state: inout CoordinatorState, of id: NodeID) {
        guard entry.kind == .commands else { return state.begin(entry.index, term: entry.term, time: state.time) }
        do {
            let (time, commands) = try CommandCodec.decode(entry.payload)
            state.begin(entry.index, term: entry.term, time: time)
            var applied = Applied()
            for command in commands { try state.apply(command, into: &applied) }
        } catch {
            fail("replica", "\(id) cannot apply entry \(entry.index): \(error)")
        }
    }

    private func publish(_ coordinator: SimulatedCoordinator) {
        guard coordinator.catalog.version != coordinator.state.catalogVersion else { return }
        coordinator.catalog = Catalog.compile(coordinator.state).0
    }

    private func takeOver(_ coordinator: SimulatedCoordinator) {
        guard case .takingOver(let term, let index) = coordinator.mode, coordinator.pending.isEmpty, coordinator.state.applied >= index
        else {
            return
        }
        let (wall, local) = (coordinator.clock.wall(now), coordinator.clock.local(now))
        if wall < coordinator.state.time { coverage.saw(.timeStoodStill) }
        var limits = Planner.Limits()
        (limits.entryBytes, limits.digestEvery) = (plan.entryBytes, plan.digestEvery)
        coordinator.planner = Planner(
            term: term, state: coordinator.state, catalog: coordinator.catalog, seed: generator.next(), wall: wall, limits: limits)
        coordinator.beginsLevel = true
        coordinator.mode = .leading(term)
        if coordinator.takenOver != term {
            coordinator.takenOver = term
            coordinator.clusterClock = ClusterClock(wall: wall, now: local)
            (coordinator.jumpedAt, coordinator.believedOffset) = (nil, coordinator.clock.wallOffset)
            beginLeases(coordinator)
        }
        let joins = coordinator.workers.keys.sorted().compactMap { node in
            coordinator.workers[node].map { SimulatedCoordinator.Mail.join(stream: $0.stream, node) }
        }
        coordinator.held.insert(contentsOf: joins, at: 0)
    }

    /// Leads no more.
    func leave(_ coordinator: SimulatedCoordinator) {
        settle(coordinator)
        if !coordinator.pending.isEmpty { coverage.saw(.planAbandoned) }
        coordinator.planner = nil
        endLeases(coordinator)
        for token in coordinator.tickets.keys.sorted() {
            guard let ticket = coordinator.tickets[token] else { continue }
            coverage.saw(.uncertain)
            answer(.planned(.uncertain("this node lost its leadership")), ticket, coordinator)
        }
        (coordinator.tickets, coordinator.pending, coordinator.waiting) = ([:], [], SimulatedCoordinator.Waiting())
        coordinator.mode = .following
        let left = coordinator.held
        coordinator.held = []
        hold(left, coordinator)
    }

    // MARK: Planning

    private func inputs(_ work: [SimulatedCoordinator.Mail], _ coordinator: SimulatedCoordinator) -> [Planner.Input] {
        var inputs: [Planner.Input] = []
        for mail in work {
            switch mail {
            case .ask(let ask, let ticket):
                coordinator.tickets[coordinator.nextToken] = ticket
                inputs.append(input(ask, coordinator.nextToken))
                coordinator.nextToken += 1
            case .reports(let reports): inputs += reports.map { .report($0) }
            case .join(let stream, let node): join(stream, node, &inputs, coordinator)
            case .left(let node, _): inputs.append(.leave(node))
            case .room(let node, _):
                if let session = coordinator.workers[node] { inputs.append(.stand(node, session.standing, free: session.free)) }
            case .refused(let node, let stream, let report):
                if coordinator.workers[node]?.stream == stream { inputs.append(.stand(node, .draining, free: 0)) }
                inputs.append(.report(report))
            case .cordon(let node, let flag):
                inputs.append(.stand(node, flag ? .cordoned : coordinator.workers[node]?.standing ?? .available, free: nil))
            case .committed, .leads, .follows: break
            }
        }
        return inputs
    }

    private func input(_ ask: SimulatedCoordinator.Ask, _ token: Int) -> Planner.Input {
        switch ask {
        case .submit(let submission, _): .submit(submission, token: token)
        case .activate(let catalog, let records, let removed): .activate(catalog, records: records, removed: removed, token: token)
        case .resolve(let run, let task, let verdict): .resolve(run, task: task, verdict, token: token)
        case .cancel(let run): .cancel(run, reason: "an operator", token: token)
        case .again(let run): .retry(run, trace: nil, token: token)
        }
    }

    private func propose(_ work: [SimulatedCoordinator.Mail], _ wall: ClusterTime, _ coordinator: SimulatedCoordinator) {
        guard case .leading(let term) = coordinator.mode, let before = coordinator.planner?.state else { return hold(work, coordinator) }
        let (firstToken, work) = (coordinator.nextToken, coordinator.held + work)
        coordinator.held = []
        var inputs = inputs(work, coordinator)
        inputs += lost(coordinator)
        if coordinator.beginsLevel {
            let announced = Dictionary(uniqueKeysWithValues: coordinator.voters.map { ($0, FeatureLevels.newest) })
            inputs.insert(.raiseFeatureLevel(to: nil, announced: announced, token: nil), at: 0)
        }
        coordinator.beginsLevel = false
        guard let output = coordinator.planner?.handle(inputs, wall: wall, firesTimers: coordinator.timersFire) else { return }
        checks.planned(output, from: before, by: coordinator, in: self)
        guard let first = output.proposals.first?.index else { return take(output, coordinator) }
        guard let glance = coordinator.core?.glance, glance.role == .leader, glance.term == term else {
            return again(work, firstToken, term, through: coordinator.pending.last?.index ?? coordinator.state.applied, coordinator)
        }
        guard glance.lastIndex.next == first else {
            return again(work, firstToken, term, through: glance.lastIndex, coordinator)
        }
        let refused = proposeToCore(output.proposals.map(\.payload), coordinator)
        guard !refused else {
            return again(work, firstToken, term, through: coordinator.pending.last?.index ?? coordinator.state.applied, coordinator)
        }
        take(output, coordinator)
    }

    /// Whether the core refused.
    private func proposeToCore(_ payloads: [[UInt8]], _ coordinator: SimulatedCoordinator) -> Bool {
        let last = coordinator.core?.log.lastIndex
        handle(.propose(id: 0, payloads), at: coordinator)
        return coordinator.core?.log.lastIndex == last
    }

    private func take(_ output: Planner.Output, _ coordinator: SimulatedCoordinator) {
        coordinator.pending += output.proposals
        coordinator.waiting.answers += output.answers
        coordinator.waiting.dispatches += output.dispatches
        coordinator.waiting.cancels += output.cancels
        coordinator.waiting.acknowledged += output.acknowledged
    }

    private func again(
        _ work: [SimulatedCoordinator.Mail], _ firstToken: Int, _ term: Term, through index: LogIndex, _ coordinator: SimulatedCoordinator
    ) {
        coverage.saw(.planMadeAnew)
        for token in firstToken..<coordinator.nextToken { coordinator.tickets[token] = nil }
        coordinator.planner = nil
        coordinator.mode = .takingOver(term, through: index)
        hold(work, coordinator)
    }

    private func hold(_ work: [SimulatedCoordinator.Mail], _ coordinator: SimulatedCoordinator) {
        for mail in work {
            switch (mail, coordinator.mode) {
            case (.join, _): break
            case (_, .takingOver): coordinator.held.append(mail)
            case (.ask(_, let ticket), _): answer(.notLeader(leader(of: coordinator)), ticket, coordinator)
            default: break
            }
        }
    }

    func leader(of coordinator: SimulatedCoordinator) -> Int? {
        coordinator.core?.leader.flatMap { id in coordinators.firstIndex { $0.id == id && $0 !== coordinator } }
    }

    // MARK: What is committed

    func settle(_ coordinator: SimulatedCoordinator) {
        let committed = coordinator.committed
        let done = coordinator.pending.prefix { $0.index <= committed }
        for proposal in done { checks.applied(proposal.state, by: coordinator.id, in: self) }
        if let last = done.last { coordinator.state = last.state }
        if let catalog = done.last(where: { $0.catalog != nil })?.catalog { coordinator.catalog = catalog }
        coordinator.pending.removeFirst(done.count)
        let answered = mutated(.acknowledgesBeforeCommit) ? LogIndex(.max) : committed
        for (_, token, planned) in Self.released(&coordinator.waiting.answers, answered, \.index) {
            release(token, planned, coordinator)
        }
        let begun = mutated(.dispatchesBeforeCommit) ? LogIndex(.max) : committed
        for item in Self.released(&coordinator.waiting.dispatches, begun, \.index) { dispatch(item, coordinator) }
        for item in Self.released(&coordinator.waiting.cancels, committed, \.index) {
            guard let session = coordinator.workers[item.worker] else { continue }
            coverage.saw(.calledBack)
            order(.cancel(item.held), to: session, coordinator)
        }
        acknowledge(Self.released(&coordinator.waiting.acknowledged, committed, \.index), coordinator)
    }

    private static func released<T>(_ items: inout [T], _ committed: LogIndex, _ index: (T) -> LogIndex) -> [T] {
        let count = items.firstIndex { index($0) > committed } ?? items.count
        defer { items.removeFirst(count) }
        return Array(items.prefix(count))
    }

    private func release(_ token: Int, _ planned: Planner.Answer, _ coordinator: SimulatedCoordinator) {
        guard let ticket = coordinator.tickets.removeValue(forKey: token) else { return }
        if case .rematch = planned, let message = ticket.message, ticket.tries < 100 {
            coverage.saw(.matchedAgain)
            var ticket = ticket
            ticket.tries += 1
            return match(message, ticket, at: coordinator)
        }
        if case .accepted(let runs, let isDuplicate) = planned, let message = ticket.message {
            coverage.saw(isDuplicate ? .messageRepeated : .messageAccepted)
            checks.acknowledged(messages[message], runs, by: coordinator.id, in: self)
        }
        answer(.planned(planned), ticket, coordinator)
    }

    private func saveNowAndThen(_ coordinator: SimulatedCoordinator) {
        guard chance(20_000), coordinator.state.applied > .zero, let term = coordinator.core?.log.term(at: coordinator.state.applied),
            coordinator.disk.last >= coordinator.state.applied
        else { return }
        coordinator.snapshot = (StateCodec.encode(coordinator.state), coordinator.state.applied, term)
    }
}

import Coordinator
import HashTreeCollections
import Primitives
import Raft
import Rules
import Workflows

/// Somebody outside: sends messages until each is answered, changes the catalog, and does what operators do.
final class ClusterClient {
    let number: Int
    var request: ClientRequest?
    var attempt: UInt64 = 0
    var target = 0
    var tries = 0
    /// It waits before it asks again.
    var rests = false
    /// The newest catalog that it was told is in force when it asked.
    var catalogVersion: UInt64 = 0

    init(number: Int) { self.number = number }
}

extension ClusterWorld {
    private static let patience: Int64 = 2_000_000_000

    // MARK: Asking

    func invoke(_ client: ClusterClient) {
        guard client.request == nil else { return }
        guard areClientsOn else { return }
        client.request = choose()
        (client.tries, client.catalogVersion) = (0, checks.answeredCatalog)
        ask(client)
    }

    private func choose() -> ClientRequest {
        let drawn = Int.random(in: 0..<100, using: &generator)
        if checks.answeredCatalog == 0 || drawn < 4 && plan.faults.contains(.catalog) { return .activate }
        if drawn < 10, let request = operate() { return request }
        if drawn < 14, plan.faults.contains(.cordon), let worker = workers.randomElement(using: &generator) {
            return .cordon(worker: worker.number, Int.random(in: 0..<3, using: &generator) == 0)
        }
        if drawn < 24, plan.faults.contains(.repetition), !messages.isEmpty {
            return .submit(Int.random(in: 0..<messages.count, using: &generator))
        }
        let number = messages.count
        messages.append(
            Message(
                id: "m-\(number)", source: "/sim", type: "t\(Int.random(in: 0..<ClusterDefinitions.types, using: &generator))",
                data: ["n": Value(number)]))
        return .submit(number)
    }

    private func operate() -> ClientRequest? {
        if Bool.random(using: &generator), let unknown = checks.anyUnknown(using: &generator) {
            let verdict: WorkflowRun.Verdict =
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: .succeeded("an operator saw it")
                case 1: .failed("an operator looked")
                default: .retry
                }
            return .resolve(unknown.run, task: unknown.task, verdict)
        }
        if plan.faults.contains(.cancel), Bool.random(using: &generator), let run = checks.anyOpen(using: &generator) {
            return .cancel(run)
        }
        return checks.anyFailed(using: &generator).map { .again($0) }
    }

    private func ask(_ client: ClusterClient) {
        guard let request = client.request else { return }
        lastCall += 1
        client.attempt = lastCall
        client.tries += 1
        client.rests = false
        send(
            .request(request, attempt: client.attempt, catalogVersion: client.catalogVersion), from: place(of: client), to: client.target)
        schedule(.giveUp(client.number, attempt: client.attempt), after: Self.patience)
    }

    func giveUp(_ client: ClusterClient, _ attempt: UInt64) {
        guard client.attempt == attempt, let request = client.request else { return }
        client.target = (client.target + 1) % coordinators.count
        // Only a message may be sent again without knowing: it bears its own id.
        if case .submit = request { return ask(client) }
        client.rests ? ask(client) : next(client)
    }

    func take(_ answer: ClientAnswer, _ attempt: UInt64, from: Int, at client: ClusterClient) {
        guard client.attempt == attempt, let request = client.request else { return }
        switch answer {
        case .notLeader(let hint): later(client, hint == nil ? 200_000_000 : 5_000_000, at: hint)
        case .unmatched(let version):
            coverage.saw(.unmatched)
            if version < client.catalogVersion {
                fail("C5", "no rule of catalog \(version) matched, and version \(client.catalogVersion) was in force before that was asked")
            }
            next(client)
        case .planned(let planned): take(planned, request, at: client)
        }
    }

    private func take(_ answer: Planner.Answer, _ request: ClientRequest, at client: ClusterClient) {
        switch (answer, request) {
        case (.busy, .submit), (.full, .submit), (.uncertain, .submit), (.rematch, .submit):
            later(client, 200_000_000, at: client.target)
        case (.accepted(let runs, _), .submit(let number)):
            checks.answered(messages[number], runs, in: self)
            next(client)
        case (.activated(let version), _):
            checks.answeredCatalog = max(checks.answeredCatalog, version)
            next(client)
        case (.conflict, .activate):
            coverage.saw(.catalogConflict)
            next(client)
        default: next(client)
        }
    }

    /// The same again after a while, where the leader is said to be.
    private func later(_ client: ClusterClient, _ wait: Int64, at target: Int?) {
        lastCall += 1
        client.attempt = lastCall
        client.rests = true
        // Who gives up goes one further.
        client.target = ((target ?? client.target + 1) + coordinators.count - 1) % coordinators.count
        guard client.tries < 200 else { return next(client) }
        schedule(.giveUp(client.number, attempt: client.attempt), after: wait)
    }

    private func next(_ client: ClusterClient) {
        client.request = nil
        client.attempt = 0
        if areClientsOn { schedule(.invoke(client.number), after: around(plan.thinkTime)) }
    }

    // MARK: Asked

    func take(
        _ request: ClientRequest, _ attempt: UInt64, _ version: UInt64, from client: ClusterClient, at coordinator: SimulatedCoordinator
    ) {
        var ticket = SimulatedCoordinator.ClientTicket(client: client.number, attempt: attempt, message: nil)
        guard coordinator.isLeading else { return answer(.notLeader(leader(of: coordinator)), ticket, coordinator) }
        switch request {
        case .submit(let number):
            ticket.message = number
            match(number, ticket, at: coordinator)
        case .activate:
            let next = coordinator.catalog.version + 1
            let values = ClusterDefinitions.version(next)
            guard let (catalog, records) = try? coordinator.catalog.adding(values, removing: [], namespace: .default) else {
                return fail("catalog", "definitions of version \(next) are refused")
            }
            put(.ask(.activate(catalog, records, []), ticket), coordinator)
        case .resolve(let run, let task, let verdict): put(.ask(.resolve(run, task: task, verdict), ticket), coordinator)
        case .cancel(let run): put(.ask(.cancel(run), ticket), coordinator)
        case .again(let run): put(.ask(.again(run), ticket), coordinator)
        case .cordon(let worker, let flag):
            coverage.saw(.cordoned)
            put(.cordon(workers[worker].id, flag), coordinator)
            answer(.planned(.done), ticket, coordinator)
        case .confirmTime:
            coordinator.clusterClock.confirm()
            coordinator.jumpedAt = nil
            answer(.planned(.done), ticket, coordinator)
        }
    }

    /// As `Intake` does: against the catalog in force here, before anything is proposed.
    func match(_ number: Int, _ ticket: SimulatedCoordinator.ClientTicket, at coordinator: SimulatedCoordinator) {
        let (message, catalog) = (messages[number], coordinator.catalog)
        let wall = max(coordinator.clock.wall(now), mutated(.wallClockTaken) ? .zero : coordinator.state.time)
        let matches = catalog.rules.matches(message)
        guard !matches.isEmpty else {
            let read = coordinator.nextRead
            coordinator.nextRead += 1
            coordinator.reads[read] = (ticket, catalog.version, nil)
            return handle(.read(id: read), at: coordinator)
        }
        var runs: [WorkflowRun] = []
        for match in matches {
            for action in match.actions {
                guard let workflow = catalog.workflow(action.workflow, in: message.namespace) else { continue }
                var run = WorkflowRun(
                    id: UUIDv7(at: wall, using: &generator), definition: workflow.definition, definitionVersion: workflow.version,
                    rule: match.name, message: message, params: nil, timeout: action.timeout, retriesLeft: action.retry, retryOf: nil,
                    trace: nil, now: wall)
                var context = WorkflowRun.Context(
                    definition: workflow.definition, now: wall, generator: SeededGenerator(seed: generator.next()))
                _ = run.handle(.start, &context)
                runs.append(run)
            }
        }
        let submission = Planner.Submission(
            message: message, catalogVersion: catalog.version, matched: matches.map(\.name), runs: runs)
        put(.ask(.submit(submission, message), ticket), coordinator)
    }

    /// That no rule holds is said only once a majority has confirmed the catalog that said so.
    func finishReads(_ coordinator: SimulatedCoordinator) {
        for id in coordinator.reads.keys.sorted() {
            guard let read = coordinator.reads[id], let index = read.index, coordinator.state.applied >= index else { continue }
            coordinator.reads[id] = nil
            guard read.version == coordinator.catalog.version else {
                coverage.saw(.matchedAgain)
                if let message = read.ticket.message { match(message, read.ticket, at: coordinator) }
                continue
            }
            answer(.unmatched(catalogVersion: read.version), read.ticket, coordinator)
        }
    }
}

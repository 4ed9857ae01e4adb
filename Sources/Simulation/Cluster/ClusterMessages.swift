import Cluster
import Coordinator
import Primitives
import Raft
import Wire
import Workflows

/// What goes from one place of a simulated cluster to another.
enum ClusterMessage {
    case raft(RaftMessage)
    /// A worker's call, under a number by which its answer is known. A stream bears the number of the call that opened it.
    case call(WorkerCall, number: UInt64)
    case reply(WorkerReply, number: UInt64)
    /// In the order in which they were sent, or not at all.
    case order(WorkerOrder, stream: UInt64)
    case request(ClientRequest, attempt: UInt64, catalogVersion: UInt64)
    case answer(ClientAnswer, attempt: UInt64)
}

enum WorkerCall {
    case attach(epoch: UInt64, slots: Int, isCordoned: Bool, running: Int)
    case renew(epoch: UInt64, fences: Int, free: Int, isCordoned: Bool)
    case results(epoch: UInt64, [TaskReport])
    case refusal(TaskReport)
}

enum WorkerReply {
    case renewed
    case settled([(fence: Fence, isAccepted: Bool)])
    case notLeader(Int?)
    /// It is not attached here, or may not be.
    case denied
}

enum WorkerOrder {
    /// All that the log has with the worker.
    case held([HeldAssignment])
    case assign(TaskAssignment)
    case cancel(HeldAssignment)
    case cordon(Bool)
}

enum ClientRequest {
    /// By its place in `ClusterWorld.messages`.
    case submit(Int)
    case activate
    case cancel(RunID)
    case resolve(RunID, task: String, WorkflowRun.Verdict)
    case again(WorkflowRun)
    case cordon(worker: Int, Bool)
    case confirmTime
}

enum ClientAnswer {
    case planned(Planner.Answer)
    case unmatched(catalogVersion: UInt64)
    case notLeader(Int?)
}

extension ClusterWorld {
    func place(of worker: SimulatedWorker) -> Int { coordinators.count + worker.number }
    func place(of client: ClusterClient) -> Int { coordinators.count + workers.count + client.number }

    func isCut(_ from: Int, _ to: Int) -> Bool { cuts[from * (coordinators.count + workers.count + clients.count) + to] }

    func delay() -> Int64 {
        guard areFaultsOn, chance(plan.latePerMillion) else { return draw(plan.latency / 2..<plan.latency * 3 / 2) }
        coverage.saw(.messageLate)
        return draw(100_000_000..<2_000_000_000)
    }

    func send(_ message: ClusterMessage, from: Int, to: Int, comesTwice: Bool = true) {
        guard !isCut(from, to) else { return coverage.saw(.messageLost) }
        if areFaultsOn, chance(plan.lossPerMillion) { return coverage.saw(.messageLost) }
        schedule(.arrival(from: from, to: to, message), after: delay())
        guard comesTwice, areFaultsOn, chance(plan.duplicatesPerMillion) else { return }
        coverage.saw(.messageTwice)
        schedule(.arrival(from: from, to: to, message), after: delay())
    }

    func arrive(_ message: ClusterMessage, from: Int, to: Int) {
        guard !isCut(from, to) else {
            if case .order(_, let stream) = message { breakStream(stream, of: coordinators[from], worker: to - coordinators.count) }
            return coverage.saw(.messageLost)
        }
        if to < coordinators.count {
            let coordinator = coordinators[to]
            guard coordinator.isUp else { return coverage.saw(.messageLost) }
            if coordinator.isPaused { return coordinator.inbox.append((from, message)) }
            take(message, from: from, at: coordinator)
        } else if to < coordinators.count + workers.count {
            let worker = workers[to - coordinators.count]
            guard worker.isUp else { return coverage.saw(.messageLost) }
            if worker.isPaused { return worker.inbox.append((from, message)) }
            take(message, from: from, at: worker)
        } else if case .answer(let answer, let attempt) = message {
            take(answer, attempt, from: from, at: clients[to - coordinators.count - workers.count])
        }
    }

    /// Nothing more comes through it; both ends see that after a while.
    func breakStream(_ stream: UInt64, of coordinator: SimulatedCoordinator, worker: Int) {
        coverage.saw(.streamBroken)
        coordinator.sessions.values.first { $0.stream == stream }?.isBroken = true
        schedule(.detached(coordinator.number, boot: coordinator.boot, stream: stream), after: draw(100_000_000..<3_000_000_000))
        schedule(.ended(worker: worker, stream: stream), after: draw(100_000_000..<3_000_000_000))
    }

    private func take(_ message: ClusterMessage, from: Int, at coordinator: SimulatedCoordinator) {
        switch message {
        case .raft(let message): handle(.message(message, from: coordinators[from].id), at: coordinator)
        case .call(let call, let number): take(call, number, from: workers[from - coordinators.count], at: coordinator)
        case .request(let request, let attempt, let version):
            take(request, attempt, version, from: clients[from - coordinators.count - workers.count], at: coordinator)
        case .reply, .order, .answer: break
        }
    }

    private func take(_ message: ClusterMessage, from: Int, at worker: SimulatedWorker) {
        switch message {
        case .reply(let reply, let number): take(reply, number, at: worker)
        case .order(let order, let stream): take(order, stream, from: from, at: worker)
        case .raft, .call, .request, .answer: break
        }
    }

    func unpause(_ place: Int) {
        if place < coordinators.count {
            let coordinator = coordinators[place]
            guard coordinator.isPaused else { return }
            coordinator.isPaused = false
            let inbox = coordinator.inbox
            coordinator.inbox = []
            guard coordinator.isUp else { return }
            for (from, message) in inbox where coordinator.isUp { take(message, from: from, at: coordinator) }
            handle(.tick, at: coordinator)
            wantTurn(coordinator, after: 0)
        } else {
            let worker = workers[place - coordinators.count]
            guard worker.isPaused else { return }
            worker.isPaused = false
            let inbox = worker.inbox
            worker.inbox = []
            guard worker.isUp else { return }
            // Which of its threads runs first nobody knows.
            if Bool.random(using: &generator) { look(worker) }
            for (from, message) in inbox where worker.isUp { take(message, from: from, at: worker) }
        }
    }
}

import Primitives
import Raft

extension World {
    /// Sets a client's next operation going.
    func invoke(_ number: Int) {
        guard areClientsOn, violation == nil, clients[number].working == nil else { return }
        guard clients[number].session != nil else { return begin(number, .open) }
        let key = UInt8.random(in: 0..<UInt8(plan.keys), using: &generator)
        let request: SimulatedClient.Request
        let call: History.Call
        switch Int.random(in: 0..<10, using: &generator) {
        case 0..<3: (request, call) = (.readRegister(key), .read)
        case 3..<4: (request, call) = (.readList(key), .read)
        case 4..<6: (request, call) = command(.append, key, number)
        case 6..<8: (request, call) = command(.compareAndSwap, key, number)
        default: (request, call) = command(.write, key, number)
        }
        begin(number, request, call, key)
    }

    private func command(
        _ kind: KeyValueMachine.Command.Kind, _ key: UInt8, _ number: Int
    ) -> (SimulatedClient.Request, History.Call) {
        nextValue += 1
        clients[number].sequence += 1
        // What somebody wrote lately is there now and then.
        let expected = UInt64.random(in: 1...nextValue, using: &generator)
        let recent = servers.compactMap { $0.isUp ? $0.machine.registers[Int(key)] : nil }.first ?? expected
        let command = KeyValueMachine.Command(
            session: clients[number].session ?? 0, sequence: clients[number].sequence, kind: kind, key: key, value: nextValue,
            expected: recent)
        switch kind {
        case .write: return (.command(command), .write(nextValue))
        case .compareAndSwap: return (.command(command), .compareAndSwap(expected: recent, new: nextValue))
        case .append, .open, .raise, .writeByNewer: return (.command(command), .append(nextValue))
        }
    }

    private func begin(_ number: Int, _ request: SimulatedClient.Request, _ call: History.Call, _ key: UInt8) {
        let isList =
            switch request {
            case .readList: true
            case .command(let command): command.kind == .append
            case .readRegister, .open: false
            }
        do throws(HistoryError) {
            _ = try history.invoke(process: clients[number].process, key: (isList ? "l" : "r") + String(key), call, at: now)
        } catch {
            return fail("history", "\(error)")
        }
        begin(number, request)
    }

    private func begin(_ number: Int, _ request: SimulatedClient.Request) {
        attempts += 1
        clients[number].working = .init(
            request: request, attempt: attempts, server: pick(number), began: now, floor: acknowledged)
        schedule(.giveUp(number, attempt: attempts), after: 4_000_000_000)
        ask(number)
    }

    /// With the number of the attempt behind it, by which C3 knows it again.
    private func padded(_ command: KeyValueMachine.Command, _ attempt: UInt64, _ server: SimulatedServer) -> [UInt8] {
        var command = command
        if command.kind == .write, server.machine.featureLevel >= Self.newest {
            coverage.saw(.newerCommand)
            command.kind = .writeByNewer
        }
        return command.payload + RaftChecks.bytes(of: attempt)
            + [UInt8](repeating: UInt8(truncatingIfNeeded: command.value), count: plan.padding)
    }

    private func pick(_ number: Int) -> Int {
        if let hint = clients[number].hint, Int.random(in: 0..<4, using: &generator) > 0 { return hint }
        return .random(in: 0..<servers.count, using: &generator)
    }

    private func ask(_ number: Int) {
        guard let working = clients[number].working else { return }
        let server = servers[working.server]
        guard server.isUp, !server.isPaused else { return schedule(.again(number, attempt: working.attempt), after: 200_000_000) }
        schedule(.again(number, attempt: working.attempt), after: 800_000_000)
        clients[number].working?.isAsked = true
        switch working.request {
        case .open:
            let command = KeyValueMachine.Command(session: 0, sequence: 0, kind: .open, key: 0, value: UInt64(number))
            handle(.propose(id: working.attempt, [padded(command, working.attempt, server)]), at: server)
        case .command(let command): handle(.propose(id: working.attempt, [padded(command, working.attempt, server)]), at: server)
        case .readRegister, .readList:
            if server.running?.core.role == .follower { coverage.saw(.followerRead) }
            let isLeader = server.running?.core.role == .leader
            handle(.read(id: working.attempt), at: server)
            if isLeader, plan.settings.leaseReads, plan.servers > 1, clients[number].working?.attempt != working.attempt {
                coverage.saw(.leaseRead)
            }
        }
    }

    /// The same request once more, to another server: the session keeps it from being done twice.
    func tryAgain(_ number: Int, _ attempt: UInt64) {
        guard var working = clients[number].working, working.attempt == attempt else { return }
        clients[number].hint = nil
        if working.isAsked { (working.isAsked, working.isUncertain) = (false, true) }
        attempts += 1
        working.attempt = attempts
        working.attempts += 1
        working.server = pick(number)
        clients[number].working = working
        schedule(.giveUp(number, attempt: attempts), after: max(1, working.began + 4_000_000_000 - now))
        ask(number)
    }

    /// What became of it nobody will tell: the client starts anew under another name.
    func giveUp(_ number: Int, _ attempt: UInt64) {
        guard let working = clients[number].working, working.attempt == attempt else { return }
        guard now >= working.began + 4_000_000_000 else {
            return schedule(.giveUp(number, attempt: attempt), after: working.began + 4_000_000_001 - now)
        }
        if working.request != .open { coverage.saw(.unknownOutcome) }
        complete(number, .unknown)
        clients[number].process = nextProcess
        nextProcess += 1
        (clients[number].session, clients[number].sequence) = (nil, 0)
    }

    private func complete(_ number: Int, _ completion: History.Completion) {
        let request = clients[number].working?.request
        clients[number].working = nil
        // To open a session is no operation.
        guard request != .open else { return schedule(.invoke(number), after: exponential(50_000_000)) }
        do throws(HistoryError) { try history.complete(process: clients[number].process, completion) } catch {
            return fail("history", "\(error)")
        }
        schedule(.invoke(number), after: exponential(plan.thinkTime))
    }

    private func client(of attempt: UInt64) -> Int? { clients.firstIndex { $0.working?.attempt == attempt } }

    // MARK: Answers

    func answer(_ refused: RaftOutput.Refused, _ server: SimulatedServer) {
        guard let number = client(of: refused.id), let working = clients[number].working else { return }
        switch refused.reason {
        case .notLeader(let hint): clients[number].hint = hint.flatMap { hint in servers.firstIndex { $0.id == hint } }
        case .busy: coverage.saw(.busy)
        default: break
        }
        switch working.request {
        case .command, .open: coverage.saw(.proposalRefused)
        case .readRegister, .readList: coverage.saw(.readRefused)
        }
        attempts += 1
        clients[number].working?.isAsked = false
        if case .command = working.request, !working.isUncertain, Int.random(in: 0..<8, using: &generator) == 0 {
            return failForCertain(number)
        }
        clients[number].working?.attempt = attempts
        if let hint = clients[number].hint { clients[number].working?.server = hint }
        schedule(.giveUp(number, attempt: attempts), after: max(1, working.began + 4_000_000_000 - now))
        schedule(.again(number, attempt: attempts), after: 20_000_000 + exponential(50_000_000))
    }

    /// C3: all that was asked has refused, so it has not happened, and never will. Its number is the next command's.
    private func failForCertain(_ number: Int) {
        coverage.saw(.definiteError)
        clients[number].sequence -= 1
        complete(number, .failed(at: now))
    }

    /// An entry was applied where it was proposed: what waits for it has its outcome.
    func settle(_ entry: LogEntry, _ outcome: KeyValueMachine.Outcome?, _ server: SimulatedServer) {
        while let first = server.proposals.first, first.index <= entry.index {
            server.proposals.removeFirst()
            guard first.index == entry.index, first.term == entry.term, let number = client(of: first.attempt), let outcome else {
                continue
            }
            finish(number, entry, outcome, server)
        }
    }

    private func finish(_ number: Int, _ entry: LogEntry, _ outcome: KeyValueMachine.Outcome, _ server: SimulatedServer) {
        clients[number].hint = server.number
        acknowledged = max(acknowledged, entry.index)
        switch outcome {
        case .done: complete(number, .ok(.done, at: now))
        case .opened(let session):
            clients[number].session = session
            complete(number, .ok(.done, at: now))
        case .swapped(let isDone): complete(number, .ok(isDone ? .swapped : .mismatch, at: now))
        case .expired:
            coverage.saw(.commandExpired)
            giveUpNow(number)
        }
    }

    private func giveUpNow(_ number: Int) {
        clients[number].working?.began = now - 4_000_000_000
        if let attempt = clients[number].working?.attempt { giveUp(number, attempt) }
    }

    func readReady(_ ready: RaftOutput.Ready, _ server: SimulatedServer) {
        guard let number = client(of: ready.id), let working = clients[number].working else { return }
        coverage.saw(.readConfirmed)
        // R18: it sees whatever anybody knew before it was asked for.
        guard ready.index >= working.floor else {
            return fail("R18", "\(server.id) reads at \(ready.index), and \(working.floor) was acknowledged before")
        }
        server.reads.append((ready.id, ready.index))
        confirmReads(server)
    }

    func confirmReads(_ server: SimulatedServer) {
        guard !server.reads.isEmpty else { return }
        let applied = server.machine.applied
        let ready = server.reads.filter { $0.index <= applied }
        server.reads.removeAll { $0.index <= applied }
        for read in ready {
            guard let number = client(of: read.attempt), let working = clients[number].working else { continue }
            switch working.request {
            case .readRegister(let key): complete(number, .ok(.value(server.machine.registers[Int(key)]), at: now))
            case .readList(let key): complete(number, .ok(.list(server.machine.lists[Int(key)]), at: now))
            case .command, .open: continue
            }
        }
    }
}

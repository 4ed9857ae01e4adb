import Cluster
import Primitives
import Raft
import Storage

extension World {
    /// One thing goes wrong.
    func strike() {
        let kinds = SimulationPlan.Faults.names.map(\.0).filter { plan.faults.contains($0) && Self.strikes.contains($0) }
        guard now >= quietUntil, let kind = kinds.randomElement(using: &generator) else { return now >= quietUntil ? heal() : () }
        switch kind {
        case .partition, .oneWay: partition(isOneWay: kind == .oneWay)
        case .clog: clog()
        case .kill: fall(.kill)
        case .power: fall(.power)
        case .pause: pause()
        case .syncError: failSync()
        case .bitFlip: flip()
        case .lostVote: loseVote()
        case .transfer: transfer()
        case .streams: tangle(victim().number, someServer().number)
        case .diskError: spoilDisk(victim())
        case .wipe: wipe(victim())
        case .swap: swapDisks(victim(), someServer())
        case .rollback: takeImage(someServer())
        case .upgrade: changeProgram(servers.first { $0.level < Self.newest } ?? someServer())
        default: return
        }
    }

    private static let strikes: SimulationPlan.Faults = [
        .partition, .oneWay, .clog, .kill, .power, .pause, .syncError, .bitFlip, .lostVote, .transfer, .streams, .diskError, .wipe, .swap,
        .rollback, .upgrade,
    ]

    private func someServer() -> SimulatedServer { servers[Int.random(in: 0..<servers.count, using: &generator)] }
    var leading: SimulatedServer? { servers.first { $0.isUp && $0.running?.core.role == .leader } }

    /// The leader more often than it would come to.
    private func victim() -> SimulatedServer {
        if let leading, Int.random(in: 0..<3, using: &generator) == 0 { return leading }
        return someServer()
    }

    // MARK: The network

    private func partition(isOneWay: Bool) {
        if Int.random(in: 0..<3, using: &generator) == 0 { return heal() }
        coverage.saw(isOneWay ? .oneWayCut : .partitioned)
        let count = servers.count
        if isOneWay {
            let (from, to) = (victim().number, someServer().number)
            if from != to { network.cut(from, to) }
            return
        }
        switch Int.random(in: 0..<5, using: &generator) {
        case 0:
            // Any two halves.
            network.split((0..<count).map { _ in Int.random(in: 0...1, using: &generator) })
        case 1:
            let alone = victim().number
            network.split((0..<count).map { $0 == alone ? 1 : 0 })
        case 2:
            // Two sides, and one server that hears both.
            let bridge = someServer().number
            for from in 0..<count {
                for to in 0..<count where from != bridge && to != bridge && (from < bridge) != (to < bridge) { network.cut(from, to) }
            }
        case 3:
            // Each hears its neighbours: majorities that are not the same.
            for from in 0..<count {
                for to in 0..<count where from != to {
                    let distance = (to - from + count) % count
                    if distance > count / 2 && distance < count - count / 2 + 1 { network.cutBothWays(from, to) }
                }
            }
        default:
            let (one, other) = (someServer().number, someServer().number)
            if one != other { network.cutBothWays(one, other) }
        }
    }

    func heal() { network.heal() }

    private func clog() {
        let (from, to) = (victim().number, someServer().number)
        guard from != to, !network[from, to].isClogged else { return }
        network[from, to].isClogged = true
        schedule(.release(from, to), after: exponential(1_500_000_000))
    }

    /// What waited comes at once, and in any order.
    func release(_ from: Int, _ to: Int) {
        guard network[from, to].isClogged else { return }
        coverage.saw(.unclogged)
        network[from, to].isClogged = false
        let waiting = network[from, to].waiting
        network[from, to].waiting = []
        for frame in waiting.shuffled(using: &generator) { post(frame, from: from, to: to) }
    }

    // MARK: Servers

    private func fall(_ death: SimulatedDisk.Death) {
        // Now and then all of them.
        let victims = Int.random(in: 0..<12, using: &generator) == 0 ? servers : [victim()]
        for server in victims where server.isUp {
            // Most of its time a server writes nothing: half of them fall when they do.
            if Bool.random(using: &generator) {
                server.doom = death
                continue
            }
            crash(server, death)
            let long = Int.random(in: 0..<4, using: &generator) == 0
            schedule(.restart(server.number, boot: server.boot), after: exponential(long ? 8_000_000_000 : 500_000_000))
        }
    }

    private func pause() {
        let server = victim()
        guard server.isUp, !server.isPaused else { return }
        coverage.saw(.paused)
        server.isPaused = true
        schedule(.unpause(server.number), after: 10_000_000 + exponential(1_200_000_000))
    }

    // MARK: Disks

    private func failSync() {
        let server = victim()
        guard server.isUp else { return }
        server.disk.faults.strike(.syncError)
    }

    /// Damage only where the others can make it good: servers that may not trust themselves, or could not after a fall, stay a minority.
    func mayDamage(_ server: SimulatedServer) -> Bool {
        let log = newestLog
        return !hasDoubtfulVoter && server.swappedWith == nil && log.configuration.voters.count > 2 && !log.configuration.isChanging
            && log.configurationIndex <= checks.committedIndex
    }

    /// A voter whose word does not count, or who does not know yet that it should not.
    var hasDoubtfulVoter: Bool { servers.contains { $0.isUnsound || $0.isRecovering && newestConfiguration.isVoter($0.id) } }

    private func flip() {
        let server = victim()
        guard server.isUp, mayDamage(server) else { return }
        // What idle moments write down: without it the end of a log that is damaged cannot be told from one that was never acknowledged.
        do throws(StorageError) { try server.storage?.log.mark() } catch { return diskFailed(server) }
        crash(server, .kill)
        let logs = { (path: String) in path.hasPrefix(SimulatedServer.folder + "/log/") && path.hasSuffix(".log") }
        if server.disk.flipRandomBit(where: logs, using: &generator) != nil {
            coverage.saw(.damaged)
            lose(server)
        }
        schedule(.restart(server.number, boot: server.boot), after: exponential(500_000_000))
    }

    private func loseVote() {
        let server = victim()
        guard mayDamage(server), server.durableState.term.number > 0 else { return }
        if server.isUp { crash(server, .kill) }
        if server.disk.loseFile(SimulatedServer.folder + "/vote") {
            coverage.saw(.voteLost)
            lose(server)
        }
        schedule(.restart(server.number, boot: server.boot), after: exponential(500_000_000))
    }

    func lose(_ server: SimulatedServer) {
        server.isRecovering = true
        server.lost = (server.log, server.durable)
        checks.lost(server)
    }

    // MARK: Operators

    /// Any set of voters in the place of any other, and often just then something goes wrong.
    func changeMembers() {
        // A change that leaves a majority only with a server that may not vote stops the cluster: an operator would wait, and so does this one.
        guard let leader = leading, let core = leader.core, !hasDoubtfulVoter else { return }
        let all = servers.map(\.id)
        var voters = all.filter { _ in Int.random(in: 0..<3, using: &generator) > 0 }
        if voters.isEmpty { voters = [all[0]] }
        let learners = all.filter { !voters.contains($0) && Int.random(in: 0..<3, using: &generator) == 0 }
        let basedOn = Bool.random(using: &generator) ? core.log.configurationIndex : nil
        attempts += 1
        handle(.change(id: attempts, voters: voters, learners: learners, basedOn: basedOn), at: leader)
        guard plan.faults.contains(.partition), Int.random(in: 0..<4, using: &generator) == 0 else { return }
        coverage.saw(.partitioned)
        network.split(servers.map { _ in Int.random(in: 0...1, using: &generator) })
    }

    private func transfer() {
        guard let leader = leading else { return }
        attempts += 1
        let target = Bool.random(using: &generator) ? someServer().id : nil
        handle(.transfer(id: attempts, to: target), at: leader)
    }
}

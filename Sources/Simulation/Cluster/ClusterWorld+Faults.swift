import Primitives
import Raft

/// What goes wrong.
extension ClusterWorld {
    func strike() {
        let able: [ClusterPlan.Faults] = [.partition, .partition, .oneWay, .coordinators, .workers, .pause, .jump]
        guard let fault = able.filter({ plan.faults.contains($0) }).randomElement(using: &generator) else { return }
        switch fault {
        case .partition: Int.random(in: 0..<5, using: &generator) < 2 ? heal() : partition()
        case .oneWay: Int.random(in: 0..<5, using: &generator) < 2 ? heal() : cutOneWay()
        case .coordinators:
            let coordinator = victim()
            guard coordinator.isUp else { return }
            crash(coordinator)
            schedule(.restart(coordinator.number, boot: coordinator.boot), after: draw(50_000_000..<5_000_000_000))
        case .workers:
            guard let worker = workers.randomElement(using: &generator), worker.isUp else { return }
            crash(worker, damages: plan.faults.contains(.journals) && chance(300_000))
            schedule(.restartWorker(worker.number, epoch: worker.epoch), after: draw(50_000_000..<2 * plan.lease.nanoseconds))
        case .pause: pause()
        case .jump: jump(victim())
        default: break
        }
    }

    /// One time in two who leads.
    private func victim() -> SimulatedCoordinator {
        let leads = coordinators.filter { $0.isLeading }
        guard !leads.isEmpty, Bool.random(using: &generator) else {
            return coordinators[Int.random(in: 0..<coordinators.count, using: &generator)]
        }
        return leads[Int.random(in: 0..<leads.count, using: &generator)]
    }

    private func cut(_ from: Int, _ to: Int) {
        let places = coordinators.count + workers.count + clients.count
        cuts[from * places + to] = true
    }

    private func heal() { for place in cuts.indices { cuts[place] = false } }

    private func partition() {
        coverage.saw(.partitioned)
        let places = coordinators.count + workers.count
        switch Int.random(in: 0..<4, using: &generator) {
        case 0:
            // A worker and a leader.
            let (worker, leader) = (coordinators.count + Int.random(in: 0..<workers.count, using: &generator), victim().number)
            cut(worker, leader)
            cut(leader, worker)
        case 1:
            // One coordinator from the others, which workers still reach.
            let alone = victim().number
            for other in 0..<coordinators.count where other != alone {
                cut(alone, other)
                cut(other, alone)
            }
        case 2:
            let alone = Int.random(in: 0..<places, using: &generator)
            for other in 0..<places where other != alone {
                cut(alone, other)
                cut(other, alone)
            }
        default:
            let sides = (0..<places).map { _ in Bool.random(using: &generator) }
            for from in 0..<places {
                for to in 0..<places where sides[from] != sides[to] { cut(from, to) }
            }
        }
    }

    private func cutOneWay() {
        coverage.saw(.oneWayCut)
        let places = coordinators.count + workers.count
        let (from, to) = (Int.random(in: 0..<places, using: &generator), Int.random(in: 0..<places, using: &generator))
        if from != to { cut(from, to) }
    }

    private func pause() {
        coverage.saw(.paused)
        let place = Int.random(in: 0..<coordinators.count + workers.count, using: &generator)
        if place < coordinators.count {
            guard coordinators[place].isUp else { return }
            coordinators[place].isPaused = true
        } else {
            guard workers[place - coordinators.count].isUp else { return }
            workers[place - coordinators.count].isPaused = true
            checks.paused(place - coordinators.count)
        }
        let isShort = Bool.random(using: &generator)
        schedule(.unpause(place), after: isShort ? draw(50_000_000..<1_000_000_000) : draw(1_000_000_000..<15_000_000_000))
    }

    /// Of the wall clock alone.
    private func jump(_ coordinator: SimulatedCoordinator) {
        let far = draw(70_000..<400_000)
        let step = chance(300_000) ? draw(1_000..<20_000) : far
        coordinator.clock.wallOffset += Bool.random(using: &generator) ? step : -step
        tell("the wall clock of \(coordinator.id) is \(coordinator.clock.wallOffset) ms off")
        guard coordinator.isUp, coordinator.isLeading else { return }
        let isFar = abs(coordinator.clock.wallOffset - coordinator.believedOffset) > 62_000
        coordinator.jumpedAt = isFar ? coordinator.jumpedAt ?? now : nil
    }

    /// No more faults, and everybody is there.
    func calm() {
        areFaultsOn = false
        heal()
        for place in 0..<coordinators.count + workers.count { unpause(place) }
        for coordinator in coordinators {
            coordinator.clock.wallOffset = 0
            if !coordinator.isUp { start(coordinator) }
        }
        for worker in workers {
            worker.isCordoned = false
            if worker.tellsLies {
                // Whoever was caught gets nothing before it comes anew.
                worker.tellsLies = false
                crash(worker, damages: false)
            }
            if !worker.isUp { start(worker) }
        }
    }
}

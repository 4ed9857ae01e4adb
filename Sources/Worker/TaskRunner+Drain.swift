package import Cluster
import Glibc
import Observability
import Primitives
import Synchronization
import Wire

/// How a worker empties itself, as an operator wants it or because it stops.
extension TaskRunner {
    /// More than anybody waits for; what is said over the wire may be any number.
    private static let longestDrain = Duration.seconds(86_400)
    /// For an attempt to end that was told to.
    private static let ending = Duration.seconds(5)

    package func drain(within wanted: Duration) {
        cordon(true)
        let limit = min(max(.zero, wanted), Self.longestDrain)
        let deadline = telemetry.clock.now.advanced(by: limit)
        let (isNew, running) = state.withLock { state in
            let isNew = state.drain == nil
            if isNew { state.drain = Drain(deadline: deadline) }
            // Of two words the later one holds.
            state.drain?.deadline = deadline
            state.drain?.isOver = false
            state.standing += 1
            return (isNew, state.usedSlots)
        }
        if isNew {
            telemetry.events.emit(
                "worker.draining", subject: node.text,
                "worker \(node) is to be empty: \(running) attempts go on for at most \(limit.text)")
        }
        lookAfterDrain()
    }

    package var draining: DrainProgress? {
        let now = telemetry.clock.now
        return state.withLock { state in
            state.drain.map { DrainProgress(left: $0.left(at: now), finished: $0.finished, givenBack: $0.givenBack) }
        }
    }

    package var room: WorkerRoom? {
        var loads = [Double](repeating: 0, count: 1)
        let load = getloadavg(&loads, 1) == 1 ? loads[0] : 0
        return WorkerRoom(running: state.withLock { $0.usedSlots }, free: freeSlots, load: load)
    }

    /// Rises with whatever the leader should hear of before the next renewal is due.
    var standing: UInt64 { state.withLock { $0.standing } }

    /// Asked often: past the deadline it gives back what may be done again, and says once that nothing is left.
    func lookAfterDrain() {
        let now = telemetry.clock.now
        let (isDue, done) = state.withLock { state -> (Bool, Drain?) in
            guard let drain = state.drain, !drain.isOver else { return (false, nil) }
            guard state.usedSlots == 0, state.unreported.isEmpty else { return (now >= drain.deadline, nil) }
            state.drain?.isOver = true
            state.standing += 1
            return (false, drain)
        }
        if isDue { giveBack() }
        guard let done else { return }
        telemetry.events.emit(
            "worker.drained", subject: node.text,
            "worker \(node) is empty: \(done.finished) attempts have ended, \(done.givenBack) were given back; it takes nothing new until 'distric nodes uncordon \(node)'"
        )
    }

    /// Ends attempts that may be done again, as if they had never begun.
    private func giveBack() {
        for key in open(where: \.mayBeGivenBack) {
            givenBack.increment()
            end(key, as: .neverStarted)
        }
    }

    private func open(where isMeant: (TaskAssignment) -> Bool) -> [Journal.Key] {
        state.withLock { state in state.admitted.filter { state.calledBack[$0.key] == nil && isMeant($0.value) }.map(\.key) }
    }

    /// It runs nothing, and all that it ever did is in the log.
    var hasNothing: Bool { state.withLock { $0.usedSlots == 0 && $0.unreported.isEmpty } }

    /// The node stops: what still runs is given back, and what may not be done again is said to be lost, at once and not only when the lease is over.
    func endTheRest() async {
        giveBack()
        for key in open(where: { _ in true }) { end(key, as: .lost) }
        let end = telemetry.clock.now.advanced(by: Self.ending)
        while state.withLock({ $0.usedSlots > 0 }), telemetry.clock.now < end {
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
    }
}

import Observability
import Primitives
import Synchronization
import Transport
import Wire

// What the others have against a node, which cannot find it out by itself.
extension Gathering {
    /// What somebody said who does not listen to this node.
    struct Refusal {
        var text: String
        /// By a node of another cluster; else by one of its own, for this one is a copy, say, or one of the two is of an older epoch.
        var isStrangers: Bool
        var at: Instant
    }

    /// What is against this node, and whether it counts nevertheless.
    private struct Objection {
        var reason: String
        var kind = "cluster.refused"
        var isBearable: Bool
    }

    /// Whoever was not heard again for so long may be gone, or another one by now: one that refuses is not tried with every turn.
    private static let refusesFor: Duration = .seconds(10)

    /// Said once, and looked at with every turn.
    func tellStanding(_ status: RaftStatus) {
        let found = objection(status)
        let before = state.withLock { state in
            defer { state.standing = found?.reason }
            return state.standing
        }
        guard found != nil || before != nil else { return }
        telemetry.health.set("standing", found.map { $0.isBearable ? .degraded : .down } ?? .up, reason: found?.reason ?? "")
        guard let found, found.reason != before else { return }
        telemetry.warn("cluster", found.reason)
        telemetry.events.emit(found.kind, subject: directory.node.text, severity: .error, found.reason)
    }

    private func objection(_ status: RaftStatus) -> Objection? {
        let now = telemetry.clock.now
        let refusals = state.withLock { state in
            state.refusals = state.refusals.filter { now.duration(since: $0.value.at) < Self.refusesFor }
            return state.refusals
        }
        // Whom a leader sends its entries has a place, whatever one of the others thinks.
        let hasPlace = status.removedAt == nil && status.leader != nil
        // The same one with every turn, as long as it is there.
        let own = refusals.filter { !$0.value.isStrangers }.min { $0.key.description < $1.key.description }
        if let own { return Objection(reason: own.value.text, isBearable: hasPlace) }
        if let removal = status.removal { return Objection(reason: removal, kind: "cluster.removed", isBearable: hasPlace) }
        guard let address = seeds.first(where: { refusals[$0] != nil }), let said = refusals[address] else { return nil }
        // Whoever started it meant something else than what it does; and a cluster of this node alone has nobody else who could miss it.
        let isAlone = status.voters.allSatisfy { $0 == directory.node }
        let folder = directory.own.current.cluster.map { ", and this folder is of cluster \($0)" } ?? ""
        return Objection(
            reason:
                "\(said.text)\(folder). To join what is at \(address), stop this node and start it with an empty folder: 'distric node --id NEW-ID --data EMPTY-FOLDER --join \(address)'; to go on with what its folder has, start it without that address in --join",
            isBearable: hasPlace && !isAlone)
    }
}

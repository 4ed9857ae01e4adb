import Observability
import Primitives
import Synchronization
import Transport
import Wire

// What the others have against a node, which cannot find it out by itself.
extension Gathering {
    /// What is against this node, and whether it counts nevertheless.
    private struct Objection {
        var reason: String
        var kind: String
        var isBearable: Bool
    }

    /// A stranger that was not heard again for so long may be gone, or another one by now.
    private static let strangeFor: Duration = .seconds(10)

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
        // Whom a leader sends its entries has a place, whatever one of the others thinks.
        let hasPlace = status.removedAt == nil && status.leader != nil
        if let denial = state.withLock({ $0.denial }) { return Objection(reason: denial, kind: "cluster.refused", isBearable: hasPlace) }
        if let removal = status.removal { return Objection(reason: removal, kind: "cluster.removed", isBearable: hasPlace) }
        return strangeness(status)
    }

    /// Named as those to join, and of another cluster, or of a later epoch of this one: whoever started this node meant something else than what it does.
    private func strangeness(_ status: RaftStatus) -> Objection? {
        let now = telemetry.clock.now
        let strangers = state.withLock { state in
            state.strangers = state.strangers.filter { now.duration(since: $0.value.at) < Self.strangeFor }
            return state.strangers
        }
        guard !strangers.isEmpty else { return nil }
        let named = seeds.first { strangers[$0] != nil }
        // One that leads, or is led, is told nothing by an address that merely was somebody's once.
        guard let address = named ?? (status.leader == nil ? strangers.keys.min { $0.description < $1.description } : nil),
            let found = strangers[address]
        else { return nil }
        // A cluster of this node alone has nobody else who could miss it.
        let isAlone = status.voters.allSatisfy { $0 == directory.node }
        let folder = directory.own.current.cluster.map { ", and this folder is of cluster \($0)" } ?? ""
        return Objection(
            reason:
                "\(found.text)\(folder). To join what is at \(address), stop this node and start it with an empty folder: 'distric node --id NEW-ID --data EMPTY-FOLDER --join \(address)'; to go on with what its folder has, start it without that address in --join",
            kind: "cluster.refused", isBearable: status.leader != nil && !isAlone)
    }
}

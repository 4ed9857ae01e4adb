import Observability
import Primitives
import SWIM
import Synchronization

/// Tells of what gossip finds out.
struct GossipEvents: Sendable {
    let telemetry: Telemetry
    /// What was said last of each seed, so that it is said once.
    private let seeds = Told()

    private final class Told: Sendable {
        private let texts = Mutex<[String: String]>([:])
        private let isOutside = Mutex(false)

        /// Notes whether nobody gossips with this node; whether that is news.
        func change(isOutside flag: Bool) -> Bool {
            isOutside.withLock { known in
                defer { known = flag }
                return known != flag
            }
        }

        /// Whether it is another thing than before; nil takes it back.
        func isNew(_ text: String?, of seed: String) -> Bool {
            texts.withLock { texts in
                guard texts[seed] != text, texts[seed] != nil || texts.count < 256 else { return false }
                texts[seed] = text
                return true
            }
        }
    }

    init(_ telemetry: Telemetry) { self.telemetry = telemetry }

    /// - Parameter facts: of whom the change is, as far as it is known.
    func tell(_ change: MemberChange, _ facts: MemberMetadata?) {
        switch change {
        case .joined(let member):
            let what = facts.map { " (\($0.roles.joined(separator: ",")), calls at \($0.rpc))" } ?? ""
            emit("joined", member.node, "\(member.node) is there\(what)")
        case .restarted(let member, _): emit("restarted", member.node, "\(member.node) was started again")
        case .updated(let member): emit("updated", member.node, "\(member.node) says something else of itself")
        case .suspected(let member, let accuser):
            emit("suspect", member.node, "\(accuser) has no answer from \(member.node), which is suspected of being dead", .warning)
        case .refuted(let member): emit("refuted", member.node, "\(member.node) was suspected, and is alive")
        case .failed(let member, let accusers):
            let who = accusers.isEmpty ? "" : "; suspected by \(accusers.map(\.text).joined(separator: ", "))"
            emit("failed", member.node, "\(member.node) counts as dead: nobody has heard of it\(who)", .error)
        case .left(let member): emit("left", member.node, "\(member.node) has left")
        case .forgotten(let member): emit("forgotten", member.node, "\(member.node) was gone for long, and is not shown any more")
        case .accused(let liveness, let accuser):
            let who = accuser.map { "\($0)" } ?? "somebody"
            emit("accused", telemetry.node, "\(who) took this node for \(liveness), which it refutes", .warning)
        case .datagramsLost(let member):
            emit(
                "datagrams_lost", member.node,
                "\(member.node) answers over connections and not by datagrams: let UDP through to \(facts?.gossip ?? "its gossip address")",
                .warning)
        case .datagramsBack(let member): emit("datagrams_back", member.node, "\(member.node) answers by datagrams again")
        }
    }

    func tell(_ conflict: NameConflict, at own: String) {
        let text = "node '\(telemetry.node)' at \(own): \(conflict)"
        emit("conflict", telemetry.node, text, .error)
        switch conflict {
        case .superseded, .outranked: telemetry.health.set("gossip", .down, reason: text)
        case .twin: telemetry.health.set("gossip", .degraded, reason: text)
        }
    }

    func renewed(_ epoch: UInt64) {
        emit("renewed", telemetry.node, "this node goes under epoch \(epoch): others had been told of a higher one than it had", .warning)
    }

    /// After a conflict.
    func isAlone() { telemetry.health.set("gossip", .up) }

    // MARK: Seeds

    /// A name that leads nowhere; said once until it does.
    func unresolved(_ seed: String) {
        guard seeds.isNew("unresolved", of: seed) else { return }
        emit(
            "seed_unresolved", telemetry.node,
            "the name in \(seed) leads to no address, and is asked for again and again: is it spelled right, and known to this machine?",
            .warning)
    }

    /// - Parameter isAlone: this node knows of nobody else, and may be the one that is wrong.
    func refused(_ seed: String, _ reason: String, isAlone: Bool) {
        if isAlone, seeds.change(isOutside: true) {
            telemetry.health.set("gossip", .degraded, reason: "nobody gossips with this node: \(seed) says: \(reason)")
        }
        guard seeds.isNew(reason, of: seed) else { return }
        emit("refused", telemetry.node, "\(seed) refuses to gossip with this node: \(reason)", .error)
    }

    func answered(_ seed: String) {
        if seeds.change(isOutside: false) { telemetry.health.set("gossip", .up) }
        guard seeds.isNew(nil, of: seed) else { return }
        emit("seed_answers", telemetry.node, "\(seed) answers now")
    }

    private func emit(_ kind: String, _ subject: NodeID, _ text: String, _ severity: Event.Severity = .info) {
        telemetry.events.emit("gossip." + kind, subject: subject.text, severity: severity, text)
    }
}

package import Primitives
import Raft
package import Storage

extension Survivor {
    /// What there is to say of it, for programs and for tables.
    package var value: Value {
        .object([
            "node": .string(node.text), "cluster": .string(identity.cluster.description), "epoch": Value(identity.epoch),
            "term": Value(term.number), "lastIndex": Value(lastIndex.number), "lastTerm": Value(lastTerm.number),
            "committed": Value(committed.number), "snapshot": snapshot.map { Value($0.number) }, "voters": names(configuration.voters),
            "outgoing": names(configuration.outgoing), "learners": names(configuration.learners), "state": .string(state),
            "lost": loss.value, "problems": .list(problems.map { .string($0) }), "halfRecovered": .bool(isHalfRecovered),
            "folder": .string(path),
        ])
    }

    private func names(_ nodes: [NodeID]) -> Value { .list(nodes.map { .string($0.text) }) }

    private var state: String {
        guard isUsable else { return "unusable" }
        if configuration.isEmpty { return "empty" }
        if isHalfRecovered { return "half recovered" }
        return loss == .none ? problems.isEmpty ? "whole" : "whole, with marks" : "damaged"
    }
}

extension RecoveryRecord.Loss {
    package var value: Value {
        switch self {
        case .none: 0
        case .entries(let count): Value(count)
        case .uncounted: "unknown"
        }
    }
}

extension ClusterRecovery {
    /// One of the folders among the others: what the others have and it does not counts as lost too, and it is said where there can be more
    /// of that than anybody here knows.
    package func value(of survivor: Survivor) -> Value {
        guard case .map(var fields) = survivor.value else { return survivor.value }
        fields["lost"] = loss(from: survivor).value
        fields["lostAtLeast"] = .bool(mayLackMore)
        fields["most"] = .bool(survivor.node == mostAdvanced.node)
        return .map(fields)
    }

    /// Why nothing has to be recovered; nil when something has.
    package var needless: String? {
        let best = mostAdvanced
        if hasQuorum {
            let (here, all) = (best.configuration.members.filter { !absent.contains($0) }, best.configuration.members)
            return
                "\(Self.names(here)) of \(Self.names(all)) are here, a majority of the voters: the cluster needs no recovery. Start the nodes, and they elect a leader and lose nothing"
        }
        guard best.isAlone, best.isUsable, !best.isHalfRecovered, best.loss == .none else { return nil }
        let made = best.record.map { ", which 'cluster recover' began at \($0.at.rfc3339)" } ?? ""
        return "\(best.node) is a cluster of its own already, of epoch \(best.identity.epoch)\(made): it needs no recovery. Start the node"
    }

    /// What is lost besides, and nobody here can count; nil when nothing is.
    package var unknownLoss: String? {
        guard mayLackMore else { return nil }
        guard !absent.isEmpty else { return "\(mostAdvanced.node) joined the cluster and has nothing of its log: look for another folder" }
        let names = Self.names(absent)
        return
            "\(names) may have acknowledged more without these, and nobody here can tell how much: that is lost too. If enough of them can be started again, start them and do not recover"
    }

    private static func names(_ nodes: [NodeID]) -> String { nodes.map(\.text).joined(separator: ", ") }

    /// What was done.
    package struct Outcome: Equatable, Sendable {
        package let record: RecoveryRecord
        /// Records of the history that went, because the log does not reach them.
        package let historyDropped: Int

        /// For people.
        package var lines: [String] {
            var lines = ["\(record.node) is a cluster of its own: epoch \(record.epoch), term \(record.term)"]
            switch record.loss {
            case .none: break
            case .entries(1): lines.append("1 entry that may have been acknowledged is lost, after \(record.lastIndex)")
            case .entries(let count): lines.append("\(count) entries that may have been acknowledged are lost, after \(record.lastIndex)")
            case .uncounted:
                lines.append("entries that may have been acknowledged are lost after \(record.lastIndex), and nobody knows how many")
            }
            guard historyDropped > 0 else { return lines }
            return lines + ["\(historyDropped) records of the history came of such entries; its files as they were are beside it as .lost"]
        }

        /// For programs.
        package var value: Value {
            [
                "node": .string(record.node.text), "cluster": .string(record.cluster.description), "epochBefore": Value(record.epochBefore),
                "epoch": Value(record.epoch), "at": .string(record.at.rfc3339), "lastIndex": Value(record.lastIndex.number),
                "lastTerm": Value(record.lastTerm.number), "term": Value(record.term.number),
                "configurationBefore": .string(record.configurationBefore), "lost": record.loss.value,
                "historyDropped": Value(historyDropped),
            ]
        }
    }
}

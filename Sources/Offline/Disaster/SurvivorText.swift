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

package import Primitives

/// Which commands may be in a cluster's log: those of levels up to the one that is committed, so that no member meets one that it cannot read.
package enum FeatureLevels {
    /// Of a state in which none was ever committed: what programs wrote before they could say so. None that knew less ever ran beside another.
    package static let unspoken: UInt16 = 2
    /// The most that this program reads and writes.
    package static let newest: UInt16 = 4
    /// Since when workflows may say where their tasks go, and in which turn: programs from before cannot read them.
    package static let placement: UInt16 = 4
    /// Since when a level can be committed.
    fileprivate static let spoken: UInt16 = 3

    /// The most that all of them know; 0 when one of them has not said.
    package static func common(_ announced: [NodeID: UInt16]) -> UInt16 { announced.values.min() ?? 0 }

    /// What the level is raised to next: the most that one of them knows, so that whoever knows less is named and not left behind.
    package static func target(from current: UInt16, _ announced: [NodeID: UInt16]) -> UInt16 {
        max(current, announced.values.max() ?? 0)
    }

    /// Why the level cannot be raised to this; nil when it can.
    ///
    /// - Parameter announced: what each voter says that its program knows; 0 for one that has not said.
    package static func refusal(of level: UInt16, from current: UInt16, announced: [NodeID: UInt16]) -> String? {
        guard level > current else { return "the cluster is at feature level \(current), and a level is never lowered" }
        let missing = announced.filter { $0.value < level }.sorted { $0.key < $1.key }.map { node, known in
            known == 0 ? "\(node) is not connected" : "\(node) has \(known)"
        }
        guard missing.isEmpty else {
            return
                "feature level \(level) needs every voter to know it: \(missing.joined(separator: ", ")); start these with the newer distric, or remove them"
        }
        guard !announced.isEmpty else { return "no voter is known" }
        guard level <= newest else { return "the leader's own program has feature level \(newest), not \(level)" }
        return nil
    }
}

extension Command {
    /// What a program must know to read it.
    package var neededLevel: UInt16 {
        switch self {
        case .submit, .settle, .stage, .digest: 1
        case .activate(let activate): activate.level
        case .start: 2
        case .featureLevel(let level): max(FeatureLevels.spoken, level)
        case .freeze: 4
        }
    }
}

extension CoordinatorState {
    /// Whether the command may be put into the log: every member reads what the level allows, and the next level by itself.
    package func permits(_ command: Command) -> Bool {
        if case .featureLevel(let level) = command { return isNext(level) }
        return command.neededLevel <= featureLevel
    }

    func isNext(_ level: UInt16) -> Bool { level > 0 && level - 1 == featureLevel }

    /// Nothing was ever put into the log but what Raft needs itself: the cluster is new.
    package var isUntouched: Bool { time == .zero }
}

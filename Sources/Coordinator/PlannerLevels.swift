import Primitives

extension Planner {
    /// What is said where a command would have to be newer than the cluster's level.
    static func refusal(_ command: Command, _ state: CoordinatorState) -> String {
        "this needs feature level \(command.neededLevel), and the cluster is at \(state.featureLevel): when every voter runs the newer distric, raise it with 'distric cluster upgrade finalize'"
    }

    /// Puts one level after the other into the log, up to this one.
    ///
    /// - Parameter level: nil for the most that all know, and only where nothing was ever put into the log: a new cluster begins there.
    mutating func raise(to level: UInt16?, _ announced: [NodeID: UInt16], _ token: Int?) {
        guard let level = level ?? beginning(announced) else { return }
        if level == state.featureLevel { return conclude(token, .done) }
        if let refusal = FeatureLevels.refusal(of: level, from: state.featureLevel, announced: announced) {
            return conclude(token, .conflict(refusal), now: true)
        }
        while state.featureLevel < level { emit(.featureLevel(state.featureLevel + 1)) }
        conclude(token, .done)
    }

    private func beginning(_ announced: [NodeID: UInt16]) -> UInt16? {
        let level = min(FeatureLevels.common(announced), FeatureLevels.newest)
        return state.isUntouched && level > state.featureLevel ? level : nil
    }

    private mutating func conclude(_ token: Int?, _ answer: Answer, now: Bool = false) {
        if let token { self.answer(token, answer, now: now) }
    }
}

import Observability
import Primitives
import Raft

extension ProposalSpans {
    /// After each event of a core that leads, while a proposal is watched.
    func see(_ core: borrowing RaftCore) {
        guard core.role == .leader else { return }
        see(durable: core.durableIndex, replicated: Self.replicated(core), committed: core.commitIndex)
    }

    /// The highest entry that so many other voters have as make a majority with the leader; nil where it needs nobody.
    private static func replicated(_ core: borrowing RaftCore) -> LogIndex? {
        let voters = core.configuration.voters
        let others = voters.count / 2 + 1 - (voters.contains(core.id) ? 1 : 0)
        guard others > 0 else { return nil }
        let matches = core.progress.filter { voters.contains($0.id) && $0.id != core.id }.map(\.matchIndex).sorted(by: >)
        return matches.count >= others ? matches[others - 1] : .zero
    }
}

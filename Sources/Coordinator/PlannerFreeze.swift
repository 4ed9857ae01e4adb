import Primitives
import Workflows

/// What operators stop in the whole cluster.
extension Planner {
    mutating func freeze(_ change: FreezeChange, _ token: Int) {
        let stop = state.frozen[change.part]
        guard change.isFrozen ? stop?.reason != change.reason : stop != nil else { return answer(token, .done, now: true) }
        let command = Command.freeze(change)
        guard state.permits(command) else { return answer(token, .conflict(Self.refusal(command, state)), now: true) }
        emit(command)
        answer(token, .done)
    }

    /// A worker for a task at once; none while nothing is given out.
    mutating func placeNow(_ item: ReadyQueue.Item) -> NodeID? { state.frozen.dispatch == nil ? scheduler.placeNow(item) : nil }
}

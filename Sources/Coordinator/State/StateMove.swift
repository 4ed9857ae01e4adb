package import Primitives

extension CoordinatorState {
    /// The same state as another cluster's. Which messages were accepted lately is left out: these keys are made with the cluster's id, and
    /// would never
    /// be met again.
    package func moved(to cluster: UUIDv7) -> CoordinatorState {
        var state = self
        state.cluster = cluster
        state.dedup = DedupWindow(age: dedup.age, limit: dedup.limit)
        return state
    }
}

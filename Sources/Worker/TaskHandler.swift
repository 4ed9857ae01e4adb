package import Primitives
package import Wire

/// How one kind of task is done.
package protocol TaskHandler: Sendable {
    /// Runs one attempt to its end; cancellation of the task it runs in must end it soon. What it wrote goes to `log`.
    func run(_ assignment: TaskAssignment, log: AttemptLog) async -> AttemptOutcome
}

/// What one attempt writes, in memory until it ends.
package final class AttemptLog: Sendable {
    private let state = LockedBytes()
    private let limit: Int

    package init(limit: Int) { self.limit = limit }

    package func append(_ bytes: some Sequence<UInt8>) { state.append(bytes, limit: limit) }
    package var bytes: [UInt8] { state.bytes }
}

package import Primitives

/// What of a run never changes: all states of the run share it, so that a copy of one copies none of it.
package final class RunOrigin: Equatable, Sendable {
    package let id: RunID
    package let namespace: Namespace
    package let workflow: String
    /// The catalog version that brought the definition: what the run is pinned to.
    package let definitionVersion: UInt64
    /// What the definition's `metadata.version` says.
    package let version: String?
    /// `set/rule`.
    package let rule: String
    package let message: Message
    package let params: Value?
    package let trace: TraceContext?
    package let createdAt: ClusterTime
    package let deadline: ClusterTime?
    /// Further runs that may follow if this one fails.
    package let retriesLeft: Int
    package let retryOf: RunID?

    package init(
        id: RunID, namespace: Namespace, workflow: String, definitionVersion: UInt64, version: String?, rule: String, message: Message,
        params: Value?, trace: TraceContext?, createdAt: ClusterTime, deadline: ClusterTime?, retriesLeft: Int, retryOf: RunID?
    ) {
        self.id = id
        self.namespace = namespace
        self.workflow = workflow
        self.definitionVersion = definitionVersion
        self.version = version
        self.rule = rule
        self.message = message
        self.params = params
        self.trace = trace
        self.createdAt = createdAt
        self.deadline = deadline
        self.retriesLeft = retriesLeft
        self.retryOf = retryOf
    }

    package static func == (left: RunOrigin, right: RunOrigin) -> Bool {
        left === right || left.id == right.id && left.isLike(right)
    }

    private func isLike(_ other: RunOrigin) -> Bool {
        guard namespace == other.namespace, workflow == other.workflow, definitionVersion == other.definitionVersion,
            version == other.version,
            rule == other.rule, message == other.message, params == other.params, trace == other.trace
        else { return false }
        return createdAt == other.createdAt && deadline == other.deadline && retriesLeft == other.retriesLeft && retryOf == other.retryOf
    }
}

import Primitives
import Workflows

extension WorkflowRun {
    /// What the run adds to the digest of the state.
    var stateDigest: StateDigest {
        var hasher = StableHasher(key: 0x5255)
        hasher.combine(id.high)
        hasher.combine(id.low)
        hasher.combine(namespace.text)
        hasher.combine(workflow)
        hasher.combine(definitionVersion)
        hasher.combine(rule)
        hasher.combine(message.id)
        hasher.combine(message.source)
        hasher.combine(value: message.data)
        hasher.combine(optional: params)
        hasher.combine(createdAt.milliseconds)
        hasher.combine(deadline?.milliseconds ?? 0)
        hasher.combine(UInt64(retriesLeft))
        hasher.combine(revision)
        hasher.combine(state.rawValue)
        hasher.combine(endedAt?.milliseconds ?? 0)
        hasher.combine(optional: output)
        hasher.combine(error?.type ?? "")
        hasher.combine(error?.message ?? "")
        for task in tasks { task.combine(into: &hasher) }
        return hasher.finish()
    }
}

extension TaskRecord {
    fileprivate func combine(into hasher: inout StableHasher) {
        hasher.combine(name)
        hasher.combine(kind.rawValue)
        hasher.combine(state.rawValue)
        for number in [attempts, failures, losses] { hasher.combine(UInt64(number)) }
        hasher.combine(fence.term.number)
        hasher.combine(fence.assignment)
        hasher.combine(worker?.text ?? "")
        hasher.combine(optional: input)
        hasher.combine(key ?? "")
        for time in [readyAt, startedAt, endedAt, dueAt, totalDueAt] { hasher.combine(time?.milliseconds ?? 0) }
        hasher.combine(optional: output)
        hasher.combine(error?.type ?? "")
        hasher.combine(error?.message ?? "")
        hasher.combine(UInt64(bitPattern: Int64(error?.status ?? Int.min)))
    }
}

extension DefinitionRecord {
    var stateDigest: StateDigest {
        var hasher = StableHasher(key: 0xDEF1)
        hasher.combine(key.kind)
        hasher.combine(key.namespace)
        hasher.combine(key.name)
        hasher.combine(version)
        hasher.combine(json)
        return hasher.finish()
    }
}

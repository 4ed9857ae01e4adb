import Primitives
import Workflows

extension WorkflowRun {
    /// What the run adds to the digest of the state.
    var stateDigest: StateDigest {
        var hasher = StableHasher(key: 0x5255)
        hasher.combine(origin.id.high)
        hasher.combine(origin.id.low)
        hasher.combine(origin.namespace.text)
        hasher.combine(origin.workflow)
        hasher.combine(origin.definitionVersion)
        hasher.combine(origin.rule)
        hasher.combine(origin.message.id)
        hasher.combine(origin.message.source)
        hasher.combine(value: origin.message.data)
        hasher.combine(optional: origin.params)
        hasher.combine(origin.createdAt.milliseconds)
        hasher.combine(origin.deadline?.milliseconds ?? 0)
        hasher.combine(UInt64(origin.retriesLeft))
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
        hasher.combine(UInt64(attempts))
        hasher.combine(UInt64(failures))
        hasher.combine(UInt64(losses))
        hasher.combine(fence.term.number)
        hasher.combine(fence.assignment)
        hasher.combine(worker?.text ?? "")
        hasher.combine(optional: input)
        hasher.combine(key ?? "")
        hasher.combine(readyAt?.milliseconds ?? 0)
        hasher.combine(startedAt?.milliseconds ?? 0)
        hasher.combine(endedAt?.milliseconds ?? 0)
        hasher.combine(dueAt?.milliseconds ?? 0)
        hasher.combine(totalDueAt?.milliseconds ?? 0)
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

package import HashTreeCollections
package import Primitives
package import Workflows

/// Everything the cluster agrees on: what is open. A value of persistent collections, so that a copy is a snapshot. Applying a
/// command checks and copies; it evaluates nothing, reads no clock, and iterates no hashed collection.
package struct CoordinatorState: Sendable {
    /// An open run, boxed so that the tree's nodes stay small.
    package final class OpenRun: Sendable {
        package let run: WorkflowRun
        let digest: StateDigest

        init(_ run: WorkflowRun) {
            self.run = run
            digest = run.stateDigest
        }
    }

    /// A definition that open runs are pinned to.
    struct Pin: Sendable {
        var record: DefinitionRecord
        var openRuns: Int
    }

    struct PinKey: Hashable, Sendable {
        var key: DefinitionKey
        var version: UInt64
    }

    /// A catalog in pieces, not yet in force.
    struct Upload: Sendable {
        var since: ClusterTime
        var bytes: [UInt8]
    }

    package struct Totals: Equatable, Sendable {
        package var accepted: UInt64 = 0
        package var runsStarted: UInt64 = 0
        package var runsEnded: UInt64 = 0
        package var tasksSucceeded: UInt64 = 0
    }

    package internal(set) var cluster: UUIDv7
    package internal(set) var applied = LogIndex.zero
    package internal(set) var appliedTerm = Term(0)
    package internal(set) var time = ClusterTime.zero
    package internal(set) var catalogVersion: UInt64 = 0
    /// Commands up to this level may be in the log.
    package internal(set) var featureLevel = FeatureLevels.unspoken
    package internal(set) var definitions: TreeDictionary<DefinitionKey, DefinitionRecord> = [:]
    var pins: TreeDictionary<PinKey, Pin> = [:]
    var uploads: TreeDictionary<UUIDv7, Upload> = [:]
    package internal(set) var runs: TreeDictionary<RunID, OpenRun> = [:]
    package internal(set) var dedup: DedupWindow
    /// How many assignments were ever made: the second half of a fence.
    package internal(set) var assignments: UInt64 = 0
    package internal(set) var totals = Totals()
    /// What operators have stopped.
    package internal(set) var frozen = Freeze()
    /// The sum over runs and definitions; see `digest`.
    var recordDigest = StateDigest()

    package init(cluster: UUIDv7, dedup: DedupWindow = DedupWindow()) {
        self.cluster = cluster
        self.dedup = dedup
    }

    /// Equal on every replica that has applied the same entries.
    package var digest: StateDigest {
        var hasher = StableHasher(key: 0x57A7E)
        hasher.combine(cluster.high)
        hasher.combine(cluster.low)
        hasher.combine(applied.number)
        hasher.combine(time.milliseconds)
        hasher.combine(catalogVersion)
        hasher.combine(assignments)
        for number in [totals.accepted, totals.runsStarted, totals.runsEnded, totals.tasksSucceeded] { hasher.combine(number) }
        // Replicas that never committed a level agree with programs that know none.
        if featureLevel != FeatureLevels.unspoken { hasher.combine(UInt64(featureLevel)) }
        hasher.combine(frozen)
        var digest = hasher.finish()
        digest += recordDigest
        digest += dedup.digest
        return digest
    }

    /// The definition that a run is pinned to.
    package func definition(of run: WorkflowRun) -> DefinitionRecord? {
        let key = DefinitionKey(kind: WorkflowDefinition.kind, namespace: run.namespace.text, name: run.workflow)
        if let current = definitions[key], current.version == run.definitionVersion { return current }
        return pins[PinKey(key: key, version: run.definitionVersion)]?.record
    }
}

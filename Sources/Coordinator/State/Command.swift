package import Primitives
package import Workflows

/// What the log records: decisions, made before they were proposed. Applying one checks its preconditions and copies.
package enum Command: Equatable, Sendable {
    // Apart from the case, so that whoever hands a command on copies none of what is in it.
    indirect case submit(Submit)
    indirect case settle(Settle)
    indirect case start(Start)
    case stage(Stage)
    case activate(Activate)
    case digest(StateDigest)
    /// From here on commands of this level may follow; one level at a time. Since feature level 3.
    case featureLevel(UInt16)
    /// Since feature level 4.
    case freeze(FreezeChange)

    /// Numbers on disk; never used again for another meaning. 1 is the batch that holds them.
    package var kind: UInt16 {
        switch self {
        case .submit: 0x0010
        case .settle: 0x0011
        case .start: 0x0012
        case .stage: 0x0020
        case .activate: 0x0021
        case .digest: 0x0030
        case .featureLevel: 0x0031
        case .freeze: 0x0032
        }
    }

    /// Empty for what concerns the cluster itself.
    package var namespace: String {
        switch self {
        case .submit(let submit): submit.message.namespace.text
        case .settle(let settle): settle.namespace.text
        case .start(let start): start.run.namespace.text
        case .stage, .activate, .digest, .featureLevel, .freeze: ""
        }
    }
}

/// A message, the rules that matched it, and the runs it starts with their first assignments.
package struct Submit: Equatable, Sendable {
    package var message: Message
    /// What it was matched against; applied only while that is still in force.
    package var catalogVersion: UInt64
    /// `set/rule`.
    package var matched: [String]
    package var runs: [WorkflowRun]
}

/// The next state of one run: after a report, a timer, an assignment or an operator's word.
package struct Settle: Equatable, Sendable {
    package var namespace: Namespace
    package var run: RunID
    /// The revision that it was computed from; applied only while that is the run's.
    package var expectedRevision: UInt64
    package var revision: UInt64
    package var state: WorkflowRun.State
    package var endedAt: ClusterTime?
    package var output: Value?
    package var error: TaskError?
    /// Only the tasks that changed.
    package var tasks: [ChangedTask]
    /// The run that takes the place of one that failed.
    package var successor: WorkflowRun?

    package struct ChangedTask: Equatable, Sendable {
        package var place: Int
        package var record: TaskRecord
    }

    /// The difference between two states of a run.
    package init(from old: WorkflowRun, to new: WorkflowRun, successor: WorkflowRun? = nil) {
        namespace = new.namespace
        run = new.id
        expectedRevision = old.revision
        revision = new.revision
        state = new.state
        endedAt = new.endedAt
        output = new.output
        error = new.error
        tasks = new.tasks.indices.filter { old.tasks[$0] != new.tasks[$0] }.map { ChangedTask(place: $0, record: new.tasks[$0]) }
        self.successor = successor
    }

    package init(
        namespace: Namespace, run: RunID, expectedRevision: UInt64, revision: UInt64, state: WorkflowRun.State, endedAt: ClusterTime?,
        output: Value?, error: TaskError?, tasks: [ChangedTask], successor: WorkflowRun?
    ) {
        self.namespace = namespace
        self.run = run
        self.expectedRevision = expectedRevision
        self.revision = revision
        self.state = state
        self.endedAt = endedAt
        self.output = output
        self.error = error
        self.tasks = tasks
        self.successor = successor
    }

    /// Nil when a place lies outside the run.
    func applied(to run: WorkflowRun) -> WorkflowRun? {
        guard tasks.allSatisfy({ run.tasks.indices.contains($0.place) }) else { return nil }
        var next = run
        next.revision = revision
        next.state = state
        next.endedAt = endedAt
        next.output = output
        next.error = error
        for change in tasks { next.tasks[change.place] = change.record }
        return next
    }
}

/// A run that an operator asked for in place of one that has ended: same message, same parameters. Since feature level 2.
package struct Start: Equatable, Sendable {
    package var run: WorkflowRun
}

/// One piece of a catalog that is too large for one entry.
package struct Stage: Equatable, Sendable {
    package var upload: UUIDv7
    package var offset: UInt64
    package var bytes: [UInt8]
}

/// Puts definitions into force, all at once, as a new catalog version.
package struct Activate: Equatable, Sendable {
    package var expectedVersion: UInt64
    /// The staged pieces hold the definitions when this is set.
    package var upload: UUIDv7?
    package var definitions: [DefinitionRecord]
    package var removed: [DefinitionKey]
    /// What a program must know to read the definitions, wherever they are. Since feature level 4; 1 is not written.
    package var level: UInt16 = 1
}

/// A definition's name within the catalog.
package struct DefinitionKey: Hashable, Sendable {
    package var kind: String
    package var namespace: String
    package var name: String

    package init(kind: String, namespace: String, name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    /// Order of kind, namespace, name by bytes.
    package static func precedes(_ left: DefinitionKey, _ right: DefinitionKey) -> Bool {
        for (a, b) in [(left.kind, right.kind), (left.namespace, right.namespace), (left.name, right.name)] where !sameBytes(a, b) {
            return bytesPrecede(a, b)
        }
        return false
    }
}

/// A definition as its author wrote it, in JSON.
package struct DefinitionRecord: Equatable, Sendable {
    package var key: DefinitionKey
    /// The catalog version that brought it; set when it is applied.
    package var version: UInt64
    package var json: [UInt8]

    package init(key: DefinitionKey, version: UInt64, json: [UInt8]) {
        self.key = key
        self.version = version
        self.json = json
    }
}

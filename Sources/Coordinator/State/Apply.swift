import HashTreeCollections
package import Primitives
package import Workflows

/// What became of a command.
package enum CommandOutcome: Equatable, Sendable {
    case done
    /// The message had been accepted before; these are its runs.
    case duplicate([RunID])
    /// A precondition failed; recorded, and nothing changed.
    case stale(String)
}

/// What applying entries gave besides the next state: things to keep outside it.
package struct Applied: Sendable {
    package var outcomes: [CommandOutcome] = []
    /// In the order they happened.
    package var history: [HistoryItem] = []
    /// False where what leaves the state is kept already.
    var keepsHistory = true
    package init() {}

    /// For the next entry.
    mutating func clear() {
        outcomes.removeAll(keepingCapacity: true)
        history.removeAll(keepingCapacity: true)
    }
}

/// What leaves the state for the history.
package enum HistoryItem: Equatable, Sendable {
    case message(AcceptedMessage)
    case run(WorkflowRun)
}

/// A message as it was acknowledged.
package struct AcceptedMessage: Equatable, Sendable {
    package var message: Message
    package var catalogVersion: UInt64
    package var matched: [String]
    package var runs: [RunID]
    package var acceptedAt: ClusterTime
}

/// A replica whose state is not the leader's.
package struct DigestMismatch: Error, Equatable, CustomStringConvertible {
    package let index: LogIndex
    package let expected: StateDigest
    package let found: StateDigest

    package var description: String {
        "the state at log index \(index) has digest \(found), the leader committed \(expected); this replica is not trusted any more"
    }
}

extension CoordinatorState {
    /// Moves to an entry; every command of it follows by `apply`.
    package mutating func begin(_ index: LogIndex, term: Term, time: ClusterTime) {
        precondition(index == applied.next, "apply \(index) after \(applied)")
        applied = index
        appliedTerm = term
        self.time = max(self.time, time)
    }

    package mutating func apply(_ command: Command, into output: inout Applied) throws(DigestMismatch) {
        switch command {
        case .submit(let submit): output.outcomes.append(apply(submit, &output))
        case .settle(let settle): output.outcomes.append(apply(settle, &output))
        case .start(let start): output.outcomes.append(apply(start, &output))
        case .stage(let stage): output.outcomes.append(apply(stage))
        case .activate(let activate): output.outcomes.append(apply(activate))
        case .freeze(let change): output.outcomes.append(apply(change))
        case .digest(let expected):
            let found = digest
            guard found == expected else { throw DigestMismatch(index: applied, expected: expected, found: found) }
            output.outcomes.append(.done)
        case .featureLevel(let level): output.outcomes.append(raise(to: level))
        }
    }

    private mutating func raise(to level: UInt16) -> CommandOutcome {
        guard isNext(level) else { return .stale("the feature level is \(featureLevel), and rises by one") }
        featureLevel = level
        return .done
    }

    // MARK: Messages and runs

    private mutating func apply(_ submit: Submit, _ output: inout Applied) -> CommandOutcome {
        guard submit.catalogVersion == catalogVersion else { return .stale("catalog version is \(catalogVersion)") }
        let key = DedupWindow.key(submit.message, cluster: cluster)
        if let runs = dedup.runs(of: key) { return .duplicate(runs) }
        let ids = submit.runs.map(\.id)
        dedup.insert(key, runs: ids, at: time)
        totals.accepted += 1
        if output.keepsHistory {
            output.history.append(
                .message(
                    AcceptedMessage(
                        message: submit.message, catalogVersion: submit.catalogVersion, matched: submit.matched, runs: ids, acceptedAt: time
                    )))
        }
        for run in submit.runs { start(run, &output) }
        return .done
    }

    private mutating func apply(_ start: Start, _ output: inout Applied) -> CommandOutcome {
        guard runs[start.run.id] == nil else { return .stale("run \(start.run.id) is open already") }
        self.start(start.run, &output)
        return .done
    }

    private mutating func start(_ run: WorkflowRun, _ output: inout Applied) {
        totals.runsStarted += 1
        noteAssignments(run)
        guard !run.state.isFinal else { return archive(run, &output) }
        pin(run)
        put(run)
    }

    private mutating func apply(_ settle: Settle, _ output: inout Applied) -> CommandOutcome {
        guard let open = runs[settle.run] else { return .stale("run \(settle.run) is not open") }
        guard open.run.revision == settle.expectedRevision else { return .stale("run \(settle.run) is at revision \(open.run.revision)") }
        guard let next = settle.applied(to: open.run) else { return .stale("run \(settle.run) has no such task") }
        noteAssignments(next)
        recordDigest -= open.digest
        // The successor takes hold of the definition before the run that ends lets go of it.
        if let successor = settle.successor { start(successor, &output) }
        if next.state.isFinal {
            runs[settle.run] = nil
            unpin(next)
            archive(next, &output)
        } else {
            put(next)
        }
        return .done
    }

    private mutating func put(_ run: WorkflowRun) {
        let open = OpenRun(run)
        runs[run.id] = open
        recordDigest += open.digest
    }

    private mutating func archive(_ run: WorkflowRun, _ output: inout Applied) {
        totals.runsEnded += 1
        for task in run.tasks where task.state == .succeeded { totals.tasksSucceeded += 1 }
        if output.keepsHistory { output.history.append(.run(run)) }
    }

    private mutating func noteAssignments(_ run: WorkflowRun) {
        guard !mutated(.assignmentsNumberedAnew) else { return }
        for task in run.tasks { assignments = max(assignments, task.fence.assignment) }
    }

    private func pinKey(_ run: WorkflowRun) -> PinKey {
        PinKey(
            key: DefinitionKey(kind: WorkflowDefinition.kind, namespace: run.namespace.text, name: run.workflow),
            version: run.definitionVersion)
    }

    private mutating func pin(_ run: WorkflowRun) {
        let key = pinKey(run)
        // In its place: one look instead of two.
        if (pins[key]?.openRuns += 1) != nil { return }
        if let record = definitions[key.key] {
            pins[key] = Pin(record: record, openRuns: 1)
        }
    }

    private mutating func unpin(_ run: WorkflowRun) {
        let key = pinKey(run)
        func drop(_ pin: inout Pin?) {
            guard let open = pin?.openRuns else { return }
            if open > 1 { pin?.openRuns = open - 1 } else { pin = nil }
        }
        drop(&pins[key])
    }

    // MARK: The catalog

    /// Pieces come in order; a first piece begins an upload anew. At most 4 uploads of 48 MiB wait.
    private mutating func apply(_ stage: Stage) -> CommandOutcome {
        var upload = stage.offset == 0 ? Upload(since: time, bytes: []) : uploads[stage.upload]
        guard let offset = Int(exactly: stage.offset), upload?.bytes.count == offset else {
            return .stale("piece at \(stage.offset) does not continue the upload")
        }
        guard offset + stage.bytes.count <= Self.uploadLimit else {
            return .stale("the upload exceeds \(Self.uploadLimit) bytes")
        }
        guard uploads[stage.upload] != nil || uploads.count < 4 || dropOldestUpload() else { return .stale("too many uploads") }
        upload?.bytes.append(contentsOf: stage.bytes)
        uploads[stage.upload] = upload
        return .done
    }

    package static let uploadLimit = 48 << 20

    /// By key order, so that every replica drops the same one.
    private mutating func dropOldestUpload() -> Bool {
        guard let oldest = uploads.keys.sorted().first else { return false }
        uploads[oldest] = nil
        return true
    }

    private mutating func apply(_ activate: Activate) -> CommandOutcome {
        guard activate.expectedVersion == catalogVersion else { return .stale("catalog version is \(catalogVersion)") }
        var records = activate.definitions
        if let id = activate.upload {
            guard let upload = uploads[id], let staged = try? DefinitionBundle.decode(upload.bytes) else {
                return .stale("the upload cannot be read")
            }
            uploads[id] = nil
            records += staged
        }
        catalogVersion += 1
        for key in activate.removed { replace(key, with: nil) }
        for record in records { replace(record.key, with: DefinitionRecord(key: record.key, version: catalogVersion, json: record.json)) }
        return .done
    }

    private mutating func replace(_ key: DefinitionKey, with record: DefinitionRecord?) {
        if let old = definitions[key] { recordDigest -= old.stateDigest }
        definitions[key] = record
        if let record { recordDigest += record.stateDigest }
    }
}

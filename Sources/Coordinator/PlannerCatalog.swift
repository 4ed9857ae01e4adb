import Primitives
import Workflows

/// Rules and workflows that come into force, and those that runs are pinned to.
extension Planner {
    mutating func activate(_ next: Catalog, _ records: [DefinitionRecord], _ removed: [DefinitionKey], _ token: Int) {
        guard next.version == state.catalogVersion + 1 else {
            return answer(token, .conflict("the catalog is at version \(state.catalogVersion) by now; read it again and repeat"), now: true)
        }
        let bytes = records.reduce(0) { $0 + $1.json.count }
        guard bytes <= CoordinatorState.uploadLimit / 2 else {
            return answer(token, .conflict("definitions of \(bytes) bytes are too large"), now: true)
        }
        var activate = Activate(expectedVersion: state.catalogVersion, upload: nil, definitions: records, removed: removed)
        activate.level = Self.level(of: records, in: next)
        guard state.permits(.activate(activate)) else {
            return answer(token, .conflict("tasks with \(Self.placementKeys): \(Self.refusal(.activate(activate), state))"), now: true)
        }
        if bytes > limits.stageBytes {
            activate.upload = stage(records)
            activate.definitions = []
        }
        // Runs keep the definitions that they are pinned to; compiled ones are found again by version.
        catalog = next
        newCatalog = next
        emit(.activate(activate))
        output.notices.append((state.applied, .catalogChanged(version: next.version)))
        answer(token, .activated(next.version))
    }

    private static let placementKeys = "priority, cost, labels, prefer, sticky or apart"

    /// What a program must know to read these definitions.
    private static func level(of records: [DefinitionRecord], in catalog: Catalog) -> UInt16 {
        let saysWhere = records.contains { record in
            guard record.key.kind == WorkflowDefinition.kind, let namespace = try? Namespace(record.key.namespace) else { return false }
            return catalog.workflow(record.key.name, in: namespace)?.definition.tasks.contains(where: \.saysWhere) ?? false
        }
        return saysWhere ? FeatureLevels.placement : 1
    }

    mutating func stage(_ records: [DefinitionRecord]) -> UUIDv7 {
        let upload = UUIDv7(at: wall, using: &generator)
        let bytes = DefinitionBundle.encode(records)
        var offset = 0
        while offset < bytes.count {
            let piece = Array(bytes[offset..<min(bytes.count, offset + limits.stageBytes)])
            emit(.stage(Stage(upload: upload, offset: UInt64(offset), bytes: piece)))
            offset += piece.count
        }
        return upload
    }

    mutating func definition(of run: WorkflowRun) -> WorkflowDefinition? {
        if let current = catalog.workflow(run.workflow, in: run.namespace), current.version == run.definitionVersion {
            return current.definition
        }
        let key = PinnedKey(namespace: run.namespace, name: run.workflow, version: run.definitionVersion)
        if let known = pinned[key] { return known }
        guard let record = state.definition(of: run), let compiled = Catalog.workflow(record) else { return nil }
        if pinned.count >= 256 { pinned.removeAll() }
        pinned[key] = compiled
        return compiled
    }
}

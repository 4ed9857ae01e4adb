import Coordinator
import Observability
import Primitives
import Rules
import Storage
import Text
import Workflows

/// A state with work in it, and a history beside it.
enum Samples {
    static let wall = ClusterTime(milliseconds: 1_700_000_000_000)

    private static let ruleSet = #"""
        {"apiVersion": "distric/v1", "kind": "RuleSet", "metadata": {"name": "rules", "namespace": "default"}, "rules": [{"id": "note", "when":
        {"field": "type", "operator": "equals", "value": "note"}, "actions": [{"workflow": "note"}]}]}
        """#
    private static let workflow = #"""
        {"apiVersion": "distric/v1", "kind": "Workflow", "metadata": {"name": "note", "namespace": "default"}, "tasks": {"write": {"use":
        "transform", "with": {"value": 1}}}}
        """#

    /// Two definitions in force, and so many open runs.
    static func state(runs count: Int) throws -> CoordinatorState {
        var planner = Planner(
            term: Term(3), state: CoordinatorState(cluster: CoordinatorFolder.cluster), catalog: .empty, seed: 5, wall: wall,
            limits: Planner.Limits())
        let values = try [ruleSet, workflow].map { try JSONScanner.parse($0.filter { !$0.isNewline }) }
        let (catalog, records) = try planner.catalog.adding(values, removing: [], namespace: .default)
        _ = planner.handle([.activate(catalog, records: records, removed: [], token: 1)], wall: wall)
        for number in 0..<count {
            _ = planner.handle([.submit(submission(number, planner.catalog), token: number + 2)], wall: wall)
        }
        return planner.state
    }

    private static func submission(_ number: Int, _ catalog: Catalog) -> Planner.Submission {
        let message = Message(id: "m-\(number)", source: "test", type: "note", data: ["n": Value(number)])
        let matches = catalog.rules.matches(message)
        var runs: [WorkflowRun] = []
        for match in matches {
            for action in match.actions {
                guard let workflow = catalog.workflow(action.workflow, in: .default) else { continue }
                var run = WorkflowRun(
                    id: RunID(high: 2, low: UInt64(number)), definition: workflow.definition, definitionVersion: workflow.version,
                    rule: match.name, message: message, params: nil, timeout: nil, retriesLeft: 0, retryOf: nil, trace: nil, now: wall)
                var context = WorkflowRun.Context(
                    definition: workflow.definition, now: wall, generator: SeededGenerator(seed: UInt64(number)))
                _ = run.handle(.start, &context)
                runs.append(run)
            }
        }
        return Planner.Submission(message: message, catalogVersion: catalog.version, matched: matches.map(\.name), runs: runs)
    }

    // MARK: Histories

    /// One that has ended.
    static func ended(_ number: UInt64) -> WorkflowRun {
        let message = Message(id: "e-\(number)", source: "s", type: "t", data: ["n": Value(number)])
        var run = WorkflowRun(
            id: RunID(high: 1, low: number), namespace: .default, workflow: "flow", definitionVersion: 1, version: nil, rule: "a/b",
            message: message, params: nil, trace: nil, createdAt: wall, deadline: nil, retriesLeft: 0, retryOf: nil,
            tasks: [TaskRecord(name: "a", kind: .transform)])
        run.state = .succeeded
        return run
    }

    static func history(_ folder: String) throws -> HistoryStore {
        try HistoryStore(disk: FileDisk(), folder: folder, telemetry: Telemetry.quiet(node: try NodeID("n-1")))
    }

    /// One run of each entry.
    static func writeHistory(_ folder: String, through last: UInt64) throws {
        let store = try history(folder)
        for number in 1...last { try store.append([.run(ended(number))], index: LogIndex(number), time: wall) }
        store.close()
    }

    // MARK: Backups

    /// Writes one of a state, with the history in a folder.
    static func writeBackup(_ path: String, of state: CoordinatorState, history folder: String? = nil) throws {
        let files = folder.map { HistoryFiles(disk: FileDisk(), folder: $0) }
        let header = BackupHeader(
            cluster: state.cluster, node: try NodeID("c-2"), index: state.applied, term: state.appliedTerm, time: wall,
            featureLevel: state.featureLevel, hasHistory: files != nil)
        var pieces = BackupPieces(of: state, history: files, header: header)
        var bytes: [UInt8] = []
        while let piece = try pieces.next() { bytes += piece }
        try FileDisk().replace(path, with: bytes)
    }
}

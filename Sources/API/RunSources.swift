import Coordinator
import HashTreeCollections
import Hummingbird
import Primitives
import Workflows

/// Runs of a window: open ones, newest first, then those that ended lately.
struct RunRows: RowSource {
    let info: NodeInfo
    let filter: RunRoutes.Filter

    static let columns = [
        "id", "workflow", "state", "created", "ended", "ms", "tasks", "rule", "message", "namespace", "error", "type", "version",
    ]
    var columns: [String] { Self.columns }
    var version: UInt64? { info.coordinator.loop.current.state.applied.number }

    func rows(atLeast least: Int?) throws -> (rows: [WorkflowRun], total: Int) {
        let all = filter.isEmpty ? info.coordinator.loop.current.state.runs.count : nil
        return try OpenAndEnded(info: info).runs(atLeast: least, all: all) { filter.keeps($0) && filter.keeps(state: $0.state.rawValue) }
    }

    func id(of run: WorkflowRun) -> String { run.id.description }
    func fingerprint(of run: WorkflowRun) -> UInt64? { run.revision }
    func present(_ run: WorkflowRun) -> Value { Presentation.run(run, withTasks: false, in: info) }

    func column(_ name: String, of run: WorkflowRun) -> Value {
        switch name {
        case "id": .string(run.id.description)
        case "workflow": .string(run.workflow)
        case "state": .string(run.state.rawValue)
        case "created": .string(run.createdAt.rfc3339)
        case "ended": Value(run.endedAt?.rfc3339)
        case "ms": run.endedAt.map { .int($0.duration(since: run.createdAt).milliseconds) } ?? .null
        case "tasks": Value(run.tasks.count)
        case "rule": .string(run.rule)
        case "message": .string(run.message.id)
        case "type": .string(run.message.type)
        case "namespace": .string(run.namespace.text)
        case "error": Value(run.error?.message)
        case "version": Value(run.version)
        default: .null
        }
    }
}

/// Tasks of a window: those of open runs first.
struct TaskRows: RowSource {
    struct Place: Sendable {
        var run: WorkflowRun
        var task: Int
        var record: TaskRecord { run.tasks[task] }
    }

    let info: NodeInfo
    let filter: RunRoutes.Filter

    static let columns = [
        "id", "task", "workflow", "kind", "state", "attempt", "worker", "queued", "started", "ended", "ms", "error", "run", "namespace",
        "message", "rule", "reason",
    ]
    var columns: [String] { Self.columns }
    var version: UInt64? { info.coordinator.loop.current.state.applied.number }

    func rows(atLeast least: Int?) throws -> (rows: [Place], total: Int) {
        // Every run that is kept has such a task, so that as many runs as rows are wanted suffice.
        func count(_ run: WorkflowRun) -> Int {
            guard filter.states != nil else { return filter.keeps(run) ? run.tasks.count : 0 }
            return filter.keeps(run) ? run.tasks.count { filter.keeps(state: $0.state.rawValue) } : 0
        }
        let all = filter.isEmpty ? info.openWork.look(info).tasks.values.reduce(0, +) : nil
        let found = try OpenAndEnded(info: info).runs(atLeast: least, all: all, counting: count) {
            filter.states == nil ? filter.keeps($0) : count($0) > 0
        }
        var rows: [Place] = []
        for run in found.rows where least.map({ rows.count < $0 }) ?? true {
            for task in run.tasks.indices where filter.keeps(state: run.tasks[task].state.rawValue) {
                rows.append(Place(run: run, task: task))
            }
        }
        return (rows, found.total)
    }

    /// What a queued task waits for lies outside its run.
    func fingerprint(of place: Place) -> UInt64? { place.record.state == .queued ? nil : place.run.revision }

    func id(of place: Place) -> String { "\(place.run.id).\(place.record.name)" }
    func present(_ place: Place) -> Value { Presentation.task(place.run, place.task, in: info) }

    func column(_ name: String, of place: Place) -> Value {
        let task = place.record
        return switch name {
        case "id": .string(id(of: place))
        case "task": .string(task.name)
        case "workflow": .string(place.run.workflow)
        case "kind": .string(task.kind.rawValue)
        case "state": .string(task.state.rawValue)
        case "attempt": Value(task.attempts)
        case "worker": Value(task.worker?.text)
        case "queued": Value(task.readyAt?.rfc3339)
        case "started": Value(task.startedAt?.rfc3339)
        case "ended": Value(task.endedAt?.rfc3339)
        case "ms": Presentation.duration(task)
        case "error": Value(task.error?.message)
        case "run": .string(place.run.id.description)
        case "namespace": .string(place.run.namespace.text)
        case "message": .string(place.run.message.id)
        case "rule": .string(place.run.rule)
        case "reason": Value(TaskWhy(info: info, run: place.run, place: place.task).reason)
        default: .null
        }
    }
}

/// Open runs by id, newest first, then the newest of those that have ended.
struct OpenAndEnded {
    let info: NodeInfo

    /// - Parameters:
    ///   - all: what open runs add to the total when every one is kept: then it need not be looked at but for the newest.
    ///   - counting: what a run adds to the total.
    func runs(
        atLeast least: Int?, all: Int? = nil, counting: (WorkflowRun) -> Int = { _ in 1 }, _ keeps: (WorkflowRun) -> Bool
    ) throws -> (rows: [WorkflowRun], total: Int) {
        let open = info.coordinator.loop.current.state.runs
        var rows: [WorkflowRun] = []
        var total = 0
        if let least, let all, open.count > 4 * least {
            rows = info.openWork.newest(least, of: open).compactMap { open[$0]?.run }
            total = all
        } else if let least, open.count > 4 * least {
            // Only the newest are shown: no need to order all of them.
            var newest: [WorkflowRun] = []
            var bar: RunID?
            for held in open.values where keeps(held.run) {
                total += counting(held.run)
                if let bar, held.run.id < bar { continue }
                newest.append(held.run)
                guard newest.count >= 2 * least else { continue }
                newest.sort { $1.id < $0.id }
                newest.removeLast(newest.count - least)
                bar = newest.last?.id
            }
            rows = newest.sorted { $1.id < $0.id }
        } else {
            rows = open.values.map(\.run).filter(keeps).sorted { $1.id < $0.id }
            total = rows.reduce(0) { $0 + counting($1) }
        }
        for case .run(let run) in try info.coordinator.history.recent(.run) where keeps(run) && open[run.id] == nil {
            total += counting(run)
            rows.append(run)
        }
        return (rows, total)
    }
}

/// Messages of a window: the newest that were accepted.
struct MessageRows: RowSource {
    let info: NodeInfo
    let namespace: Namespace?

    static let columns = ["accepted", "id", "type", "source", "subject", "matched", "runs", "namespace", "catalog"]
    var columns: [String] { Self.columns }
    var version: UInt64? { info.coordinator.loop.current.state.applied.number }

    func rows(atLeast least: Int?) throws -> (rows: [AcceptedMessage], total: Int) {
        let rows = try info.coordinator.history.recent(.message).compactMap { item -> AcceptedMessage? in
            guard case .message(let accepted) = item else { return nil }
            return namespace.map { $0 == accepted.message.namespace } ?? true ? accepted : nil
        }
        return (rows, rows.count)
    }

    func id(of row: AcceptedMessage) -> String { Presentation.key(row) }
    func fingerprint(of row: AcceptedMessage) -> UInt64? { row.acceptedAt.milliseconds }
    func present(_ row: AcceptedMessage) -> Value { Presentation.message(row) }

    func column(_ name: String, of row: AcceptedMessage) -> Value {
        switch name {
        case "accepted": .string(row.acceptedAt.rfc3339)
        case "id": .string(row.message.id)
        case "type": .string(row.message.type)
        case "source": .string(row.message.source)
        case "subject": Value(row.message.subject)
        case "matched": .list(row.matched.map(Value.string))
        case "runs": Value(row.runs.count)
        case "namespace": .string(row.message.namespace.text)
        case "catalog": Value(row.catalogVersion)
        default: .null
        }
    }
}

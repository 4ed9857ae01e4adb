import Cluster
import Coordinator
import HashTreeCollections
import Hummingbird
import NIOCore
import Observability
import Primitives
import Text
import Workflows

/// `/api/v1/runs` and `/api/v1/tasks`: what is open, then what has ended.
struct RunRoutes: Sendable {
    let info: NodeInfo

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.get("runs") { request, _ in try list(request) }
        router.get("runs/{id}") { request, context in try await show(request, context) }
        router.post("runs/{id}:cancel") { request, context in try await cancel(request, context) }
        router.post("runs/{id}:retry") { request, context in try await retry(request, context) }
        router.get("tasks") { request, _ in try listTasks(request) }
        router.get("tasks/{id}") { request, context in
            let id = try context.parameter("id")
            return try info.object(request) { try showTask(id) }
        }
        router.get("tasks/{id}/why") { _, context in
            let (run, place) = try place(try context.parameter("id"))
            return Response.json(await TaskWhy.asking(info, run, place).value)
        }
        router.post("tasks/{id}:resolve") { request, context in try await resolve(request, context) }
        router.get("tasks/{id}/attempts/{n}/log") { request, context in try await log(request, context) }
    }

    /// What query parameters of their own name narrow.
    struct Filter {
        var namespace: Namespace?
        var states: Set<String>?
        var workflow: String?

        init(_ request: Request) throws {
            namespace = try request.namespaceFilter()
            let parameters = request.uri.queryParameters
            workflow = parameters["workflow"].map(String.init)
            guard let text = parameters["state"] ?? parameters["status"] else { return }
            states = Set(text.split(separator: ",").map(String.init))
            let known = WorkflowRun.State.allCases.map(\.rawValue) + TaskState.allCases.map(\.rawValue)
            for state in states ?? [] where !known.contains(state) {
                let meant = suggestion(for: state, among: known).map { "; did you mean '\($0)'?" } ?? ""
                throw Problem.badRequest("invalid_state", "no state '\(state)'\(meant)")
            }
        }

        var isEmpty: Bool { namespace == nil && states == nil && workflow == nil }

        func keeps(_ run: WorkflowRun) -> Bool {
            (namespace.map { $0 == run.namespace } ?? true) && (workflow.map { sameBytes($0, run.workflow) } ?? true)
        }

        func keeps(state: String) -> Bool { states?.contains(state) ?? true }
    }

    private func list(_ request: Request) throws -> Response {
        if let window = try Window(request) { return try info.rows(request, window, RunRows(info: info, filter: try Filter(request))) }
        let (filter, index) = (try Filter(request), info.applied)
        let page = try page(request) { filter.keeps($0) && filter.keeps(state: $0.state.rawValue) }
        return info.list(page.runs.map { Presentation.run($0, withTasks: false, in: info) }, next: page.next, at: index)
    }

    /// Open runs by id, newest first, then ended ones as they ended, newest first; and where the next page begins.
    private func page(_ request: Request, _ keeps: (WorkflowRun) -> Bool) throws -> (runs: [WorkflowRun], next: String?) {
        let limit = try request.limit()
        let text = request.uri.queryParameters["cursor"].map(String.init)
        let after = text?.hasPrefix("o-") == true ? UUIDv7(String(text?.dropFirst(2) ?? "")) : nil
        let cursor = after == nil ? try HistoryCursor.read(request) : nil
        var runs: [WorkflowRun] = []
        if cursor == nil {
            let open = info.coordinator.loop.current.state.runs
            for id in open.keys.sorted(by: >) where after.map({ id < $0 }) ?? true {
                guard let run = open[id]?.run, keeps(run) else { continue }
                guard runs.count < limit else { return (runs, runs.last.map { "o-\($0.id)" }) }
                runs.append(run)
            }
        }
        let ended = try info.coordinator.history.newest(.run, limit: limit - runs.count, before: cursor) { item in
            guard case .run(let run) = item else { return false }
            return keeps(run)
        }
        for case .run(let run) in ended.items { runs.append(run) }
        return (runs, ended.next.map(HistoryCursor.text))
    }

    private func find(_ text: String) throws -> WorkflowRun {
        guard let id = UUIDv7(text) else { throw Problem.badRequest("invalid_id", "'\(text.prefix(60))' is no run id") }
        if let open = info.coordinator.loop.current.state.runs[id]?.run { return open }
        guard let ended = try info.coordinator.history.run(id) else {
            throw info.notFound("no run \(id); it may be older than the history that is kept")
        }
        return ended
    }

    /// `?wait=5s` waits for the run to end.
    private func show(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let id = try context.parameter("id")
        if request.isWatching { return try info.object(request) { Presentation.run(try find(id), withTasks: true, in: info) } }
        var run = try find(id)
        if let text = request.uri.queryParameters["wait"] {
            guard let wait = Duration(text: String(text)), wait <= .seconds(60) else {
                throw Problem.badRequest("invalid_wait", "wait is a duration up to 60s")
            }
            let end = info.telemetry.clock.now.advanced(by: wait)
            while !run.state.isFinal, info.telemetry.clock.now < end, !info.telemetry.events.isClosed {
                try await Task.sleep(for: .milliseconds(50))
                run = try find(id)
            }
        }
        return .json(Presentation.run(run, withTasks: true, in: info))
    }

    private func cancel(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let run = try find(try context.parameter("id"))
        guard !run.state.isFinal else {
            throw Problem(
                status: .conflict, type: "conflict", title: "Conflict", detail: "run \(run.id) has ended as \(run.state.rawValue)")
        }
        let response = try await act(.cancel(run.id, reason: "cancelled by an operator"))
        info.noteAction(
            "run.cancel_requested", subject: run.id.description, "run \(run.id) of \(run.workflow) was cancelled by an operator")
        return response
    }

    /// A new run of the workflow as it is now, with the message and the parameters of one that has ended.
    private func retry(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let run = try find(try context.parameter("id"))
        guard run.state.isFinal else {
            throw Problem(
                status: .conflict, type: "conflict", title: "Conflict",
                detail: "run \(run.id) is still \(run.state.rawValue); cancel it first, or wait until it has ended")
        }
        let response = try await act(.retry(run, trace: context.trace))
        info.noteAction("run.retried", subject: run.id.description, "run \(run.id) of \(run.workflow) was started again by an operator")
        return response
    }

    private func act(_ action: CoordinatorLoop.Request) async throws -> Response {
        switch await info.coordinator.loop.ask([action])[0] {
        case .done: return .json(["done": true])
        case .notFound(let what): throw Problem.notFound(what)
        case .conflict(let what): throw Problem(status: .conflict, type: "conflict", title: "Conflict", detail: what)
        case .busy(let why): throw Problem.busy(why)
        case .full(let why): throw Problem.tooManyRuns(why)
        case .uncertain(let why): throw Problem.uncertain(why)
        case .started(let run): return .json(["run": .string(run.description)], status: .created)
        case .accepted, .activated, .rematch: throw Problem.busy("unexpected answer")
        }
    }

    // MARK: Tasks

    /// The tasks of a page of runs: `limit` counts runs, so that none is torn apart.
    private func listTasks(_ request: Request) throws -> Response {
        if let window = try Window(request) { return try info.rows(request, window, TaskRows(info: info, filter: try Filter(request))) }
        let (filter, index) = (try Filter(request), info.applied)
        let page = try page(request) { run in filter.keeps(run) && run.tasks.contains { filter.keeps(state: $0.state.rawValue) } }
        let items = page.runs.flatMap { run in
            run.tasks.indices.filter { filter.keeps(state: run.tasks[$0].state.rawValue) }.map { Presentation.task(run, $0, in: info) }
        }
        return info.list(items, next: page.next, at: index)
    }

    private func place(_ id: String) throws -> (WorkflowRun, Int) {
        let parts = id.split(separator: ".", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { throw Problem.badRequest("invalid_id", "a task id is run.task, not '\(id.prefix(80))'") }
        let run = try find(parts[0])
        guard let place = run.tasks.firstIndex(where: { sameBytes($0.name, parts[1]) }) else {
            let meant = suggestion(for: parts[1], among: run.tasks.map(\.name)).map { "; did you mean '\($0)'?" } ?? ""
            throw Problem.notFound("run \(run.id) has no task '\(parts[1])'\(meant)")
        }
        return (run, place)
    }

    private func showTask(_ id: String) throws -> Value {
        let (run, place) = try place(id)
        var value = Presentation.task(run, place, in: info)
        guard case .map(var fields) = value else { return value }
        fields["messageId"] = .string(run.message.id)
        fields["rule"] = .string(run.rule)
        fields["runState"] = .string(run.state.rawValue)
        fields["why"] = TaskWhy(info: info, run: run, place: place).value
        fields["attempts"] = .list(attempts(run, place))
        value = .map(fields)
        return value
    }

    /// What each of the newest attempts wrote last.
    private static let tailBytes = 8 << 10
    private static let tailAttempts = 4
    private static let attemptLimit = 100

    /// Newest first; of attempts before the last, the trace knows how they went while it is kept.
    private func attempts(_ run: WorkflowRun, _ place: Int) -> [Value] {
        let task = run.tasks[place]
        let spans = run.trace.map { info.telemetry.spans.trace($0.traceID) } ?? []
        let logs = AttemptLogs(info: info)
        return (0..<task.attempts).suffix(Self.attemptLimit).reversed().map { number in
            let attempt = number + 1
            let isLast = attempt == task.attempts
            let span = spans.last { $0.name == "task \(task.name)" && $0.attributes["attempt"] == Value(attempt) }
            let failed = span.map { $0.error != nil } ?? true
            let isShown = attempt > task.attempts - Self.tailAttempts
            let worker = logs.worker(of: attempt, run, task)
            let log = info.worker?.logTail(run: run.id, task: task.name, attempt: attempt, bytes: isShown ? Self.tailBytes : 0)
            return .object([
                "attempt": Value(attempt), "task": .string(task.name), "run": .string(run.id.description),
                "state": .string(isLast ? task.state.rawValue : failed ? "failed" : "succeeded"),
                "worker": Value(worker?.text),
                "startedAt": isLast ? Value(task.startedAt?.rfc3339) : Value(span?.start.rfc3339),
                "durationMs": span.map { .double((Double($0.duration.nanoseconds) / 1000).rounded() / 1000) }
                    ?? (isLast ? Presentation.duration(task) : .null),
                "error": isLast ? Value(task.error?.message) : Value(span?.error), "traceId": Value(run.trace?.traceID),
                "spanId": Value(span?.context.spanID),
                // What another node keeps is not counted here.
                "logBytes": worker == nil || worker == info.node ? Value(log?.total ?? 0) : .null,
                "tail": isShown ? .string(String(decoding: log?.tail ?? [], as: UTF8.self)) : nil,
            ])
        }
    }

    /// `{"as": "succeeded" | "failed" | "retry", "output": ..., "reason": ...}`.
    private func resolve(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let (run, place) = try place(try context.parameter("id"))
        let body = try await request.body(upTo: info.payloadLimit, "a request")
        guard let value = try? JSONScanner.parse(body.readableBytesView), let word = value["as"]?.string else {
            throw Problem.badRequest("invalid_request", "expected {\"as\": \"succeeded\" | \"failed\" | \"retry\"}", pointer: "/as")
        }
        let verdict: WorkflowRun.Verdict
        switch word {
        case "succeeded": verdict = .succeeded(value["output"] ?? .null)
        case "failed": verdict = .failed(value["reason"]?.string ?? "resolved as failed by an operator")
        case "retry": verdict = .retry
        default: throw Problem.badRequest("invalid_request", "'\(word)' is none of succeeded, failed, retry", pointer: "/as")
        }
        let response = try await act(.resolve(run.id, task: run.tasks[place].name, verdict))
        info.noteAction(
            "task.resolved", subject: "\(run.id).\(run.tasks[place].name)",
            "task \(run.tasks[place].name) was resolved as \(word) by an operator")
        return response
    }

    private func log(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let (run, place) = try place(try context.parameter("id"))
        let text = try context.parameter("n")
        guard let attempt = Int(text), attempt > 0 else { throw Problem.badRequest("invalid_attempt", "'\(text)' is no attempt number") }
        return try await AttemptLogs(info: info).answer(run, run.tasks[place], attempt: attempt, request, context)
    }
}

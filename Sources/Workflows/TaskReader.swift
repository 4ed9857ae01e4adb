import CEL
import Primitives
import Text

/// Reads one task.
struct TaskReader {
    let listed: ListedTask
    let graph: TaskGraph
    /// Where the task will stand in the definition.
    let place: Int
    let environment: Set<String>

    private var shape: Shape { listed.shape }

    func task() -> TaskDefinition? {
        let own = listed.isOriginal ? ["id", "type", "config"] : ["use", "with"]
        shape.only(
            own + [
                "depends_on", "when", "timeout", "retry", "idempotent", "on_lost", "on_disconnect", "lost_after", "idempotency_key",
                "description",
            ] + PlacementReader.keys,
            later: ["for_each", "while", "compensate", "catch", "concurrency", "rate_limit", "user"])
        guard let kind = kind() else { return nil }
        let check = check()
        let input = shape[listed.isOriginal ? "config" : "with"]
        let template = input.flatMap { TaskInput(kind: kind, shape: $0, check: check).template() }
        if input == nil { shape.fail("'\(listed.isOriginal ? "config" : "with")' is missing") }
        let isIdempotent = shape["idempotent"]?.bool() ?? false
        let onLost = shape["on_lost"]?.choice(TaskDefinition.OnLost.self)
        let onDisconnect = shape["on_disconnect"]?.choice(TaskDefinition.OnDisconnect.self)
        let lostAfter = shape["lost_after"].flatMap { positive($0) }
        let condition = shape["when"].flatMap { check.expression($0) }
        let key = shape["idempotency_key"].flatMap { check.template($0) }
        let timeouts = timeouts()
        let retry = retry()
        let placement = PlacementReader(shape: shape, kind: kind, check: check).read()
        guard let template else { return nil }
        return TaskDefinition(
            name: listed.name, kind: kind, input: template, dependencies: dependencies, condition: condition, timeouts: timeouts,
            retry: retry,
            onLost: onLost ?? (isIdempotent || !kind.hasEffects ? .retry : .hold), key: key, onDisconnect: onDisconnect ?? .stop,
            lostAfter: lostAfter, priority: placement.priority, cost: placement.cost, terms: placement.terms, group: placement.group)
    }

    private var original: Int { graph.order[place] }

    private var dependencies: [TaskDefinition.Dependency] {
        graph.edges[original].map { .init(task: graph.place[$0.task], result: $0.result) }
    }

    private func check() -> TemplateCheck {
        TemplateCheck(names: WorkflowDefinition.templateNames, tasks: nil, ancestors: nil, environment: environment)
            .with(ancestors: graph.ancestors(of: original).map { graph.names[$0] }, all: graph.names)
    }

    private func kind() -> TaskKind? {
        guard let written = shape.required(listed.isOriginal ? "type" : "use"), let name = written.string() else { return nil }
        if let kind = TaskKind(name: name) { return kind }
        let known = TaskKind.allCases.map(\.rawValue)
        let meant = suggestion(for: name.contains("@") ? name : name + "@1", among: known).map { "; did you mean '\($0)'?" } ?? ""
        written.fail("no task kind '\(name)'\(meant)\(meant.isEmpty ? "; known: \(known.joined(separator: ", "))" : "")")
        return nil
    }

    private func timeouts() -> Timeouts {
        var timeouts = Timeouts(queue: nil, attempt: Timeouts.defaultAttempt, total: nil)
        guard let written = shape["timeout"] else { return timeouts }
        guard written.value.map != nil else {
            timeouts.attempt = positive(written) ?? timeouts.attempt
            return timeouts
        }
        written.only(["queue", "attempt", "total"], later: ["heartbeat"])
        timeouts.queue = written["queue"].flatMap { positive($0) }
        timeouts.attempt = written["attempt"].flatMap { positive($0) } ?? timeouts.attempt
        timeouts.total = written["total"].flatMap { positive($0) }
        return timeouts
    }

    private func positive(_ shape: Shape) -> Duration? {
        guard let duration = shape.duration() else { return nil }
        if duration <= .zero { shape.fail("a timeout of zero can never be met") }
        return duration
    }

    private func retry() -> RetryPolicy {
        guard let written = shape["retry"] else { return .none }
        var policy = RetryPolicy.none
        guard written.value.map != nil else {
            policy.furtherAttempts = written.int(in: 0...100) ?? 0
            return policy
        }
        written.only(["limit", "delay", "backoff", "jitter", "when"])
        policy.furtherAttempts = 2
        if let limit = written["limit"] {
            limit.only(["attempt"], later: ["duration"])
            limit["attempt"]?.only(["count"], later: ["duration"])
            policy.furtherAttempts = (limit["attempt"]?.required("count")?.int(in: 1...101) ?? 3) - 1
        }
        if let delay = written["delay"].flatMap({ $0.duration() }) {
            policy.backoff.delay = delay
            policy.backoff.maximum = max(policy.backoff.maximum, delay)
        }
        if let backoff = written["backoff"] { read(backoff, into: &policy.backoff) }
        if let jitter = written["jitter"] { policy.backoff.jitter = jitter.choice(JitterWord.self)?.jitter ?? .full }
        let check = TemplateCheck(names: ["error"], tasks: nil, ancestors: nil, environment: environment)
        policy.condition = written["when"].flatMap { check.expression($0) }
        return policy
    }

    private enum JitterWord: String, CaseIterable {
        case none, full, equal
        var jitter: Backoff.Jitter { Backoff.Jitter(rawValue: rawValue) ?? .full }
    }

    private func read(_ written: Shape, into backoff: inout Backoff) {
        written.only(["exponential", "constant"], later: ["linear"])
        if let exponential = written["exponential"] {
            exponential.only(["factor", "max"])
            if let factor = exponential["factor"] {
                if let number = factor.value.number, (1...100).contains(number) {
                    backoff.factor = number
                } else {
                    factor.fail("expected a number from 1 to 100")
                }
            }
            if let maximum = exponential["max"].flatMap({ $0.duration() }) { backoff.maximum = maximum }
        } else if written["constant"] != nil {
            backoff.factor = 1
        }
    }
}

/// Checks the `with` of a task as far as it is not left to templates.
struct TaskInput {
    let kind: TaskKind
    let shape: Shape
    let check: TemplateCheck

    func template() -> Template? {
        switch kind {
        case .exec:
            shape.only(["command", "stdin", "env", "limits"])
            if let command = shape.required("command"), let words = command.items(), words.isEmpty { command.fail("the command is empty") }
            _ = shape["env"]?.members()
            limits()
        case .http:
            shape.only(["method", "url", "headers", "body"])
            _ = shape.required("url")?.string()
            _ = shape["method"]?.choice(HTTPMethodWord.self)
            _ = shape["headers"]?.members()
        case .transform:
            shape.only(["value"])
            _ = shape.required("value")
        case .wait:
            shape.only(["duration"])
            if let duration = shape.required("duration"), duration.value.string?.contains("${{") != true { _ = duration.duration() }
        }
        return check.template(shape)
    }

    private func limits() {
        guard let limits = shape["limits"] else { return }
        limits.only(["cpu_seconds", "memory_bytes", "open_files"])
        for key in ["cpu_seconds", "memory_bytes", "open_files"] { _ = limits[key]?.int(in: 1...Int(Int64.max / 2)) }
    }

    private enum HTTPMethodWord: String, CaseIterable {
        case get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE", head = "HEAD"
    }
}

/// Compiles templates and refuses paths that cannot have a value.
struct TemplateCheck {
    let names: [String]
    /// Nil where tasks cannot be read.
    var tasks: Set<String>?
    /// The tasks that are sure to have ended; nil for all.
    var ancestors: Set<String>?
    let environment: Set<String>

    func with(ancestors: [String], all: [String]) -> TemplateCheck {
        var copy = self
        copy.tasks = Set(all)
        copy.ancestors = Set(ancestors)
        return copy
    }

    func template(_ shape: Shape) -> Template? {
        do throws(Template.Problem) {
            let template = try Template(shape.value, names: names)
            for path in template.paths { check(path, shape) }
            return template
        } catch {
            shape.fail(at: shape.pointer + error.pointer, error.error.description)
            return nil
        }
    }

    /// A condition: an expression, bare or as `${{ }}`.
    func expression(_ shape: Shape) -> Expression? {
        if let flag = shape.value.bool { return try? Expression(flag ? "true" : "false", names: []) }
        guard let text = shape.string() else { return nil }
        let trimmed = text.drop { $0 == " " }
        let isTemplate = trimmed.hasPrefix("${{") && text.hasSuffix("}}")
        do throws(CELError) {
            let body = isTemplate ? trimmed.dropFirst(3).dropLast(2) : text[...]
            let expression = try Expression(body, base: isTemplate ? text.utf8.count - trimmed.utf8.count + 3 : 0, names: names)
            for path in expression.paths { check(path, shape) }
            return expression
        } catch {
            shape.fail(error.description)
            return nil
        }
    }

    private func check(_ path: [String], _ shape: Shape) {
        guard path.count >= 2 else { return }
        if path[0] == "env", !environment.contains(path[1]) {
            shape.fail("env.\(path[1]) is not declared; list it under 'env:' of the workflow")
        }
        guard path[0] == "tasks", let tasks else { return }
        if !tasks.contains(path[1]) {
            let meant = suggestion(for: path[1], among: tasks.sorted()).map { "; did you mean '\($0)'?" } ?? ""
            shape.fail("tasks.\(path[1]) is no task of this workflow\(meant)")
        } else if let ancestors, !ancestors.contains(path[1]) {
            shape.fail("tasks.\(path[1]) may not have ended when this is read; add it to 'depends_on'")
        } else if path.count >= 3, !["output", "status", "attempts"].contains(path[2]) {
            shape.fail("tasks.\(path[1]).\(path[2]): a task has output, status and attempts")
        }
    }
}

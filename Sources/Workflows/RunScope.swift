import CEL
import Primitives
import Text

/// A run as its templates see it.
struct RunScope: CELScope {
    let run: WorkflowRun
    let context: WorkflowRun.Context

    /// What is to be done with a task whose dependencies are met.
    enum Preparation {
        case run(input: Value, key: String)
        case wait(Duration)
        case skip
        case broken(TaskError)
    }

    func value(of name: String) -> Value? {
        switch name {
        case "message": run.message.value
        case "params": run.params
        case "input": run.input
        case "tasks": tasks
        case "run":
            .object(["id": .string(run.id.description), "workflow": .string(run.workflow), "namespace": .string(run.namespace.text)])
        case "env": environment
        default: nil
        }
    }

    private var tasks: Value {
        .map(
            Fields(
                run.tasks.filter { $0.state.isFinal }.map { task in
                    Fields.Member(
                        task.name,
                        .object(["output": task.output ?? .null, "status": .string(task.state.rawValue), "attempts": Value(task.attempts)]))
                }))
    }

    private var environment: Value {
        .map(
            Fields(
                context.definition.environment.sorted { bytesPrecede($0.key, $1.key) }.map { name, value in
                    Fields.Member(name, .string(context.environment[name] ?? value))
                }))
    }

    func resolve(_ template: Template) -> Result<Value, TaskError> {
        do throws(Template.Problem) {
            let value = try template.resolve(in: self)
            return ResolvedLimits.problem(value).map { .failure($0) } ?? .success(value)
        } catch {
            return .failure(templateError(error.error, at: error.pointer))
        }
    }

    private func templateError(_ error: CELError, at pointer: String) -> TaskError {
        TaskError(type: "template_error", message: "\(pointer.isEmpty ? "" : "\(pointer): ")\(error.description)")
    }

    func prepare(_ definition: TaskDefinition) -> Preparation {
        if let condition = definition.condition {
            switch holds(condition) {
            case .success(true): break
            case .success(false): return .skip
            case .failure(let error): return .broken(error)
            }
        }
        let input: Value
        switch resolve(definition.input) {
        case .success(let value): input = value
        case .failure(let error): return .broken(error)
        }
        if definition.kind == .wait { return wait(input) }
        if case .failure(let error) = group(of: definition) { return .broken(error) }
        guard let template = definition.key else { return .run(input: input, key: "\(run.id)/\(definition.name)") }
        switch resolve(template) {
        case .success(.string(let key)): return .run(input: input, key: key)
        case .success(let other): return .run(input: input, key: JSONWriter.text(other))
        case .failure(let error): return .broken(error)
        }
    }

    private func holds(_ condition: Expression) -> Result<Bool, TaskError> {
        do throws(CELError) {
            let value = try condition.evaluate(in: self)
            guard let flag = value.bool else {
                return .failure(TaskError(type: "template_error", message: "'when' gave a \(value.kind), not true or false"))
            }
            return .success(flag)
        } catch {
            return .failure(templateError(error, at: "/when"))
        }
    }

    private func wait(_ input: Value) -> Preparation {
        let text = input["duration"].map { value in value.string ?? JSONWriter.text(value) } ?? ""
        guard let duration = Duration(text: text) else {
            return .broken(TaskError(type: "template_error", message: "'\(text.prefix(40))' is no duration"))
        }
        return .wait(duration)
    }
}

extension RetryPolicy {
    /// Whether this failure may be followed by another attempt; a condition that cannot be evaluated says no.
    func applies(to error: TaskError) -> Bool {
        guard let condition else { return true }
        return (try? condition.evaluate(in: ErrorScope(error: error)))?.bool ?? false
    }
}

/// Bounds on what templates build: what is put into the log must be small, and shallow enough to be read back.
enum ResolvedLimits {
    static let depth = 100
    static let bytes = 256 << 10

    static func problem(_ value: Value) -> TaskError? {
        guard !isDeeper(value, than: depth) else {
            return TaskError(type: "payload_too_large", message: "a resolved value nests deeper than \(depth) levels")
        }
        let size = JSONWriter.bytes(value).count
        guard size > bytes else { return nil }
        return TaskError(
            type: "payload_too_large",
            message: "a resolved value has \(size) bytes, at most \(bytes) are kept; pass a URL and a hash of what is larger")
    }

    private static func isDeeper(_ value: Value, than limit: Int) -> Bool {
        switch value {
        case .null, .bool, .int, .uint, .double, .string: false
        case .list(let items): limit == 0 || items.contains { isDeeper($0, than: limit - 1) }
        case .map(let fields): limit == 0 || fields.members.contains { isDeeper($0.value, than: limit - 1) }
        }
    }
}

private struct ErrorScope: CELScope {
    let error: TaskError
    func value(of name: String) -> Value? {
        guard name == "error" else { return nil }
        guard case .map(var fields) = error.value else { return nil }
        if fields["status"] == nil { fields["status"] = .null }
        return .map(fields)
    }
}

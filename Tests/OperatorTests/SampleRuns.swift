import Primitives
import Text

/// Runs of the sample cluster and their tasks.
extension SampleData {
    struct Step {
        let name: String
        let after: [String]
        let kind: String
        let ms: Int
    }

    static let steps: [Step] = [
        Step(name: "validate", after: [], kind: "transform@1", ms: 9),
        Step(name: "reserve", after: ["validate"], kind: "http@1", ms: 31),
        Step(name: "fraud-check", after: ["validate"], kind: "http@1", ms: 112),
        Step(name: "pay", after: ["reserve", "fraud-check"], kind: "http@1", ms: 240),
        Step(name: "pick", after: ["pay"], kind: "exec@1", ms: 1450),
        Step(name: "invoice", after: ["pay"], kind: "exec@1", ms: 18),
        Step(name: "pack", after: ["pick"], kind: "exec@1", ms: 700),
        Step(name: "ship", after: ["pack"], kind: "http@1", ms: 85),
        Step(name: "notify", after: ["invoice", "ship"], kind: "http@1", ms: 12),
    ]

    private static let states = ["running", "succeeded", "failed", "succeeded", "cancelled", "succeeded", "held", "timed_out"]

    static func runID(_ number: Int) -> String {
        let digits = String(number)
        return "019aa1c2-7d3e-7a40-9c10-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }

    /// The number of a run; the newest for an id that is none of the sample's.
    static func number(of id: String) -> Int { Int(id.suffix(12)).flatMap { (newest - 39...newest).contains($0) ? $0 : nil } ?? newest }

    static func state(of number: Int) -> String { states[(newest - number) % states.count] }

    static let runs: [Value] = (0..<40).map { run(newest - $0) }
    static let tasks: [Value] = (0..<10).flatMap { place in steps.indices.map { task(newest - place, $0) } }

    // MARK: Runs

    /// - Parameter isBrief: as the status has it, with few facts of each task; otherwise as a list has it.
    static func run(_ number: Int, isBrief: Bool = false) -> Value {
        var fields = runFields(number)
        if !isBrief {
            fields["input"] = .object(["order": .string("order-\(number - 4131)"), "amount": Value(1240)])
            fields["output"] = state(of: number) == "succeeded" ? .object(["parcel": .string("P-\(number)")]) : .null
        }
        var counts: [String: Int] = [:]
        for step in steps { counts[state(of: step, in: state(of: number)), default: 0] += 1 }
        let byState = counts.keys.sorted().map { Fields.Member($0, Value(counts[$0] ?? 0)) }
        var tasks = Fields()
        tasks["total"] = Value(steps.count)
        tasks["byState"] = Value.map(Fields(byState))
        if isBrief { tasks["items"] = .list(steps.indices.map { withDependencies(brief(task(number, $0)), $0) }) }
        fields["tasks"] = Value.map(tasks)
        return .map(fields)
    }

    /// As the run's own address has it.
    static func wholeRun(_ number: Int) -> Value {
        guard case .map(var fields) = run(number), case .map(var tasks)? = fields["tasks"] else { return .null }
        tasks["items"] = .list(steps.indices.map { withDependencies(task(number, $0), $0) })
        fields["tasks"] = Value.map(tasks)
        return .map(fields)
    }

    private static func runFields(_ number: Int) -> Fields {
        let place = newest - number
        let state = state(of: number)
        let isOpen = state == "running" || state == "held"
        let (age, took) = (12_000 + place * 47_000, 340 + place * 137 % 4000)
        var fields = Fields()
        fields["id"] = .string(runID(number))
        fields["namespace"] = .string("default")
        fields["workflow"] = .string(["order-fulfil", "refund", "geo-audit"][place % 3])
        fields["version"] = .string("1.4")
        fields["definitionVersion"] = Value(12)
        fields["state"] = .string(state)
        fields["messageId"] = .string("order-\(number - 4131)")
        fields["rule"] = .string("orders/big-order")
        fields["error"] = .null
        if state == "failed" { fields["error"] = .object(["type": "CardRefused", "message": "task pay: the card was refused"]) }
        if state == "timed_out" { fields["error"] = .object(["type": "Timeout", "message": "task pay: no answer within 30s"]) }
        fields["createdAt"] = ago(milliseconds: age)
        fields["endedAt"] = isOpen ? .null : ago(milliseconds: age - took)
        fields["durationMs"] = isOpen ? .null : Value(took)
        fields["traceId"] = .string(trace)
        return fields
    }

    // MARK: Tasks

    /// How far a run in a state has come.
    private static func state(of step: Step, in run: String) -> String {
        let isEarly = ["validate", "reserve", "fraud-check"].contains(step.name)
        switch run {
        case "succeeded": return "succeeded"
        case "running", "held":
            if isEarly || step.name == "pay" || step.name == "invoice" { return "succeeded" }
            return step.name != "pick" ? "pending" : run == "held" ? "unknown" : "leased"
        default:
            if isEarly { return "succeeded" }
            return step.name == "pay" ? run : "skipped"
        }
    }

    static func task(_ number: Int, _ place: Int) -> Value {
        let step = steps[place]
        let state = state(of: step, in: state(of: number))
        let hasBegun = state != "pending" && state != "skipped"
        let hasEnded = hasBegun && state != "leased" && state != "unknown"
        let begin = 12_000 + (newest - number) * 47_000 - 40 * place
        var fields = Fields()
        fields["id"] = .string("\(runID(number)).\(step.name)")
        fields["run"] = .string(runID(number))
        fields["task"] = .string(step.name)
        fields["namespace"] = .string("default")
        fields["workflow"] = .string(["order-fulfil", "refund", "geo-audit"][(newest - number) % 3])
        fields["kind"] = .string(step.kind)
        fields["state"] = .string(state)
        fields["blocked"] = blocked(step, state)
        fields["attempt"] = Value(!hasBegun ? 0 : step.name == "pick" ? 2 : 1)
        fields["failures"] = Value(step.name == "pick" && hasBegun ? 1 : 0)
        fields["key"] = .null
        fields["worker"] = hasBegun ? .string(place % 2 == 0 ? "c-1" : "w-07") : .null
        fields["queuedAt"] = ago(milliseconds: begin)
        fields["startedAt"] = hasBegun ? ago(milliseconds: begin - 8) : .null
        fields["endedAt"] = hasEnded ? ago(milliseconds: begin - 8 - step.ms) : .null
        fields["durationMs"] = hasEnded ? Value(step.ms) : .null
        fields["input"] = .object(["order": .string("order-\(number - 4131)"), "amount": Value(1240)])
        fields["output"] = state == "succeeded" ? .object(["ok": true, "by": .string(step.name)]) : .null
        fields["error"] = .null
        if state == "failed" { fields["error"] = .object(["type": "CardRefused", "message": "the card was refused"]) }
        if state == "timed_out" { fields["error"] = .object(["type": "Timeout", "message": "no answer within 30s"]) }
        return .map(fields)
    }

    private static func blocked(_ step: Step, _ state: String) -> Value {
        switch state {
        case "pending": .object(["reason": "dependencies", "culprit": .string(step.after.joined(separator: ","))])
        case "unknown": .object(["reason": "needs_operator", "culprit": "w-07"])
        default: .null
        }
    }

    private static func brief(_ task: Value) -> Value {
        let kept: Set = ["task", "state", "attempt", "startedAt", "endedAt", "durationMs", "kind"]
        return .map(Fields((task.map?.members ?? []).filter { kept.contains($0.key) }))
    }

    private static func withDependencies(_ task: Value, _ place: Int) -> Value {
        guard case .map(var fields) = task else { return task }
        fields["dependsOn"] = .list(steps[place].after.map { .object(["task": .string($0), "result": "succeeded"]) })
        return .map(fields)
    }

    /// As the task's own address has it.
    static func wholeTask(_ id: String) -> Value {
        let parts = id.split(separator: ".", maxSplits: 1).map(String.init)
        let number = number(of: parts.first ?? "")
        let place = steps.firstIndex { $0.name == parts.last } ?? 4
        guard case .map(var fields) = task(number, place) else { return .null }
        fields["messageId"] = .string("order-\(number - 4131)")
        fields["rule"] = .string("orders/big-order")
        fields["runState"] = .string(state(of: number))
        let word = fields["state"]?.string ?? ""
        let reason = word == "pending" ? "it waits for \(steps[place].after.joined(separator: ", "))" : "attempt 1 \(word) on c-1"
        fields["why"] = .object(["task": .string(id), "state": .string(word), "reason": .string(word), "text": .string(reason)])
        let count = Int(fields["attempt"]?.int ?? 0)
        fields["attempts"] = .list((0..<count).reversed().map { attempt(number, place, $0 + 1, of: count, word) })
        return .map(fields)
    }

    private static func attempt(_ number: Int, _ place: Int, _ attempt: Int, of count: Int, _ state: String) -> Value {
        let isLast = attempt == count
        let tail = (1...6).map { "\($0 * 10) of 60 shelves visited by \(steps[place].name)\n" }.joined()
        var fields = Fields()
        fields["attempt"] = Value(attempt)
        fields["task"] = .string(steps[place].name)
        fields["run"] = .string(runID(number))
        fields["state"] = .string(isLast ? state : "failed")
        fields["worker"] = isLast ? .string("c-1") : .null
        fields["startedAt"] = ago(milliseconds: 12_000 + (newest - number) * 47_000 - attempt * 500)
        fields["durationMs"] = isLast && state == "leased" ? .null : .double(31.25)
        fields["error"] = isLast ? .null : .string("exit code 3: the trolley is gone")
        fields["traceId"] = .string(trace)
        fields["spanId"] = .string(hexadecimal(9))
        fields["logBytes"] = Value(tail.utf8.count)
        fields["tail"] = .string(tail)
        return .map(fields)
    }

    // MARK: Definitions

    static let workflows: [Value] = [("order-fulfil", 9, 4), ("refund", 3, 2), ("geo-audit", 2, 0)].map { name, tasks, open in
        var fields = Fields()
        fields["rowKey"] = .string("default/\(name)")
        fields["kind"] = .string("Workflow")
        fields["namespace"] = .string("default")
        fields["name"] = .string(name)
        fields["version"] = Value(12)
        fields["label"] = .string("1.4")
        fields["tasks"] = Value(tasks)
        fields["open"] = Value(open)
        return .map(fields)
    }

    static func workflow(_ name: String) -> Value {
        let tasks = steps.map { step -> Fields.Member in
            var task = Fields()
            task["use"] = .string(step.kind)
            if !step.after.isEmpty { task["depends_on"] = .list(step.after.map(Value.string)) }
            return Fields.Member(step.name, .map(task))
        }
        var definition = Fields()
        definition["apiVersion"] = .string("distric/v1")
        definition["kind"] = .string("Workflow")
        definition["metadata"] = .object(["name": .string(name), "version": "1.4"])
        definition["tasks"] = Value.map(Fields(tasks))
        return .object(["version": 12, "definition": Value.map(definition)])
    }
}

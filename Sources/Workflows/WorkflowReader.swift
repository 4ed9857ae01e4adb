import CEL
package import Primitives
package import Text

extension WorkflowDefinition {
    static let templateNames = ["message", "params", "input", "tasks", "run", "env"]

    /// Reads a definition as JSON brings it; nil when `problems` got anything that forbids it.
    package init?(_ value: Value, namespace requested: Namespace, problems: Shape.Problems) {
        let shape = Shape(value, problems: problems)
        let before = problems.all.count
        shape.only(
            ["apiVersion", "kind", "metadata", "timeout", "env", "tasks", "output", "description"],
            later: ["input", "concurrency", "on_failure", "finally", "schedule"])
        guard let header = DefinitionHeader(shape, kind: Self.kind, requested: requested) else { return nil }
        namespace = header.namespace
        name = header.name
        version = header.version
        timeout = shape["timeout"].flatMap { Self.runTimeout($0) }
        environment = [:]
        for (key, text) in shape["env"]?.members() ?? [] { environment[key] = text.string() }
        tasks = []
        output = nil
        guard let listed = Self.listTasks(shape) else { return nil }
        let environmentNames = Set(environment.keys)
        let graph = TaskGraph(listed, shape: shape)
        tasks = graph.order.enumerated().compactMap { place, original in
            TaskReader(listed: listed[original], graph: graph, place: place, environment: environmentNames).task()
        }
        if let written = shape["output"] {
            let check = TemplateCheck(
                names: Self.templateNames, tasks: Set(listed.map(\.name)), ancestors: nil, environment: environmentNames)
            output = check.template(written)
        }
        guard problems.all.count == before else { return nil }
    }

    private static func runTimeout(_ shape: Shape) -> Duration? {
        guard shape.value.map != nil else { return shape.duration() }
        shape.only(["after"])
        return shape.required("after")?.duration()
    }

    /// Tasks as a map by name, or the original list with ids.
    private static func listTasks(_ shape: Shape) -> [ListedTask]? {
        guard let written = shape.required("tasks") else { return nil }
        let listed: [ListedTask]
        if written.value.list != nil {
            listed = (written.items() ?? []).compactMap { item in
                item.required("id")?.string().map { ListedTask(name: $0, shape: item, isOriginal: true) }
            }
        } else {
            listed = (written.members() ?? []).map { ListedTask(name: $0.key, shape: $0.value, isOriginal: false) }
        }
        if listed.isEmpty { written.fail("a workflow needs at least one task") }
        guard listed.count <= taskLimit else {
            written.fail("\(listed.count) tasks; at most \(taskLimit)")
            return nil
        }
        var seen: Set<String> = []
        for task in listed {
            if !isDefinitionName(task.name) { task.shape.fail("'\(task.name)' is no task name: 1 to 63 of a-z, 0-9, '_' and '-'") }
            if !seen.insert(task.name).inserted { task.shape.fail("task '\(task.name)' is defined twice") }
        }
        return listed
    }
}

/// A task as written, before its dependencies are resolved.
struct ListedTask {
    let name: String
    let shape: Shape
    /// The list shape: `type` and `config` in place of `use` and `with`.
    let isOriginal: Bool
}

/// Who depends on whom.
struct TaskGraph {
    struct Edge {
        var task: Int
        var result: TaskDefinition.Result
    }

    /// For each listed task, what it waits for (by place in the list).
    let edges: [[Edge]]
    /// Places in the list, each after all that it depends on.
    let order: [Int]
    /// Inverse of `order`.
    let place: [Int]
    let names: [String]

    /// A cycle is a problem that shows its path; the order then leaves it open.
    init(_ listed: [ListedTask], shape: Shape) {
        names = listed.map(\.name)
        let places = Dictionary(listed.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        edges = listed.map { Self.edges(of: $0, places) }
        var order: [Int] = []
        var state = [Int](repeating: 0, count: listed.count)
        for start in listed.indices where state[start] == 0 {
            if let cycle = Self.visit(start, edges, &state, &order) {
                let path = cycle.map { listed[$0].name }.joined(separator: " -> ")
                listed[cycle[0]].shape["depends_on"]?.fail("tasks wait for each other: \(path)")
            }
        }
        self.order = order
        place = order.enumerated().reduce(into: [Int](repeating: 0, count: listed.count)) { $0[$1.element] = $1.offset }
    }

    /// Depth first without recursion; returns the first cycle, as the places along it with the first one repeated.
    private static func visit(_ start: Int, _ edges: [[Edge]], _ state: inout [Int], _ order: inout [Int]) -> [Int]? {
        var stack: [(task: Int, next: Int)] = [(start, 0)]
        state[start] = 1
        var cycle: [Int]?
        while let (task, next) = stack.last {
            guard next < edges[task].count else {
                state[task] = 2
                order.append(task)
                stack.removeLast()
                continue
            }
            stack[stack.count - 1].next += 1
            let other = edges[task][next].task
            if state[other] == 0 {
                state[other] = 1
                stack.append((other, 0))
            } else if state[other] == 1, cycle == nil {
                cycle = stack.map(\.task).drop { $0 != other } + [other]
            }
        }
        return cycle
    }

    private static func edges(of task: ListedTask, _ names: [String: Int]) -> [Edge] {
        guard let written = task.shape["depends_on"] else { return [] }
        var edges: [Edge] = []
        func add(_ name: String, _ result: TaskDefinition.Result, _ shape: Shape) {
            guard let other = names[name] else {
                let meant = suggestion(for: name, among: names.keys.sorted()).map { "; did you mean '\($0)'?" } ?? ""
                return shape.fail("depends on '\(name)', which is no task of this workflow\(meant)")
            }
            edges.append(Edge(task: other, result: result))
        }
        if written.value.map != nil {
            for (name, result) in written.members() ?? [] { add(name, result.choice(TaskDefinition.Result.self) ?? .succeeded, result) }
        } else if let name = written.value.string {
            add(name, .succeeded, written)
        } else {
            for item in written.items() ?? [] { if let name = item.string() { add(name, .succeeded, item) } }
        }
        return edges
    }

    /// Everything that a task waits for, directly or not.
    func ancestors(of task: Int) -> Set<Int> {
        var found: Set<Int> = []
        var open = edges[task].map(\.task)
        while let next = open.popLast() {
            if found.insert(next).inserted { open += edges[next].map(\.task) }
        }
        return found
    }
}

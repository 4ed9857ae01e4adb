import Coordinator
import HTTPTypes
import HashTreeCollections
import Hummingbird
import NIOCore
import Primitives
import Rules
import Text
import Workflows

/// `/api/v1/rules` and `/api/v1/workflows`: the catalog. A POST brings one definition or a list, of either kind, and all of it comes into force at once.
struct DefinitionRoutes: Sendable {
    static let bodyBytes = 32 << 20

    let info: NodeInfo

    func add(to router: RouterGroup<NodeRequestContext>) {
        for (path, kind) in [("rules", RuleSet.kind), ("workflows", WorkflowDefinition.kind)] {
            router.post("\(path)") { request, _ in try await apply(request) }
            router.post("\(path):validate") { request, _ in try await validate(request) }
            router.get("\(path)") { request, _ in try Window(request) == nil ? try list(request, kind) : try listing(request, kind) }
            if kind == RuleSet.kind {
                router.get("rules:stats") { request, _ in
                    let rows = RuleRows(info: info, namespace: try request.namespaceFilter())
                    return try info.rows(request, RuleRows.columns, id: "rowKey") { rows.values }
                }
            }
            router.get("\(path)/{name}") { request, context in try show(request, context, kind) }
            router.delete("\(path)/{name}") { request, context in try await remove(request, context, kind) }
        }
    }

    private func read(_ request: Request) async throws -> ([Value], Namespace) {
        let body = try await request.body(upTo: Self.bodyBytes, "definitions")
        let value: Value
        do throws(JSONError) { value = try JSONScanner.parse(body.readableBytesView) } catch {
            throw Problem.badRequest("invalid_json", "not JSON: \(error)", pointer: "")
        }
        let values = value.list ?? [value]
        guard !values.isEmpty else { throw Problem.badRequest("empty", "no definition in the request") }
        return (values, try request.namespace())
    }

    private func compiled(_ values: [Value], _ removed: [DefinitionKey], _ namespace: Namespace) throws -> (Catalog, [DefinitionRecord]) {
        do throws(Catalog.Refusal) {
            return try info.coordinator.loop.catalog.adding(values, removing: removed, namespace: namespace)
        } catch {
            let details = error.problems.map {
                Problem.Detail(pointer: $0.problem.pointer, detail: $0.problem.message, definition: $0.definition)
            }
            throw Problem(
                status: .unprocessableContent, type: "invalid_definition", title: "The definitions were not applied",
                detail: "\(details.count) problem\(details.count == 1 ? "" : "s"); nothing was changed", errors: details)
        }
    }

    private func validate(_ request: Request) async throws -> Response {
        let (values, namespace) = try await read(request)
        let (catalog, records) = try compiled(values, [], namespace)
        return .json(["valid": true, "definitions": .list(records.map { summary($0) }), "catalogVersion": Value(catalog.version)])
    }

    private func apply(_ request: Request) async throws -> Response {
        let (values, namespace) = try await read(request)
        return try await activate(values, [], namespace)
    }

    private func activate(_ values: [Value], _ removed: [DefinitionKey], _ namespace: Namespace) async throws -> Response {
        for _ in 0..<20 {
            let (catalog, records) = try compiled(values, removed, namespace)
            let answer = await info.coordinator.loop.ask([.activate(catalog, records: records, removed: removed)])[0]
            switch answer {
            case .activated(let version):
                return .json(["catalogVersion": Value(version), "definitions": .list(records.map { summary($0) })])
            case .conflict: try await Task.sleep(for: .milliseconds(10))
            case .busy(let why), .notFound(let why): throw Problem.busy(why)
            case .uncertain(let why): throw Problem.uncertain(why)
            case .accepted, .full, .rematch, .done, .started: throw Problem.busy("unexpected answer")
            }
        }
        throw Problem(status: .conflict, type: "conflict", title: "Conflict", detail: "the catalog keeps changing; try again")
    }

    private func summary(_ record: DefinitionRecord) -> Value {
        [
            "kind": .string(record.key.kind), "namespace": .string(record.key.namespace), "name": .string(record.key.name),
            "version": Value(record.version),
        ]
    }

    private func list(_ request: Request, _ kind: String) throws -> Response {
        let namespace = try request.namespaceFilter()
        let state = info.coordinator.loop.current.state
        let records = state.definitions.values
            .filter { $0.key.kind == kind && (namespace.map(\.text) ?? $0.key.namespace) == $0.key.namespace }
            .sorted { DefinitionKey.precedes($0.key, $1.key) }
        return info.list(records.map { item($0) }, at: state.applied)
    }

    private func listing(_ request: Request, _ kind: String) throws -> Response {
        let namespace = try request.namespaceFilter()
        let columns = ["name", "namespace", "version", "tasks", "rules", "label", "match", "open"]
        return try info.rows(
            request, columns, id: "rowKey", version: { [loop = info.coordinator.loop] in loop.current.state.applied.number }
        ) {
            let state = info.coordinator.loop.current.state
            var open: [String: Int] = [:]
            if kind == WorkflowDefinition.kind {
                for held in state.runs.values { open["\(held.run.namespace)/\(held.run.workflow)", default: 0] += 1 }
            }
            return state.definitions.values
                .filter { $0.key.kind == kind && (namespace.map(\.text) ?? $0.key.namespace) == $0.key.namespace }
                .sorted { DefinitionKey.precedes($0.key, $1.key) }
                .map { record in
                    guard case .map(var fields) = item(record) else { return item(record) }
                    fields["rowKey"] = .string("\(record.key.namespace)/\(record.key.name)")
                    guard kind == WorkflowDefinition.kind else { return .map(fields) }
                    fields["open"] = Value(open["\(record.key.namespace)/\(record.key.name)"] ?? 0)
                    return .map(fields)
                }
        }
    }

    private func item(_ record: DefinitionRecord) -> Value {
        guard case .map(var fields) = summary(record), let value = try? JSONScanner.parse(record.json, maximumDepth: 256) else {
            return summary(record)
        }
        if record.key.kind == RuleSet.kind {
            fields["match"] = value["match"] ?? "all"
            fields["rules"] = Value(value["rules"]?.list?.count ?? 0)
        } else {
            fields["label"] = value.at("metadata", "version")
            fields["tasks"] = Value(value["tasks"]?.list?.count ?? value["tasks"]?.map?.count ?? 0)
        }
        return .map(fields)
    }

    private func key(_ request: Request, _ context: NodeRequestContext, _ kind: String) throws -> DefinitionKey {
        DefinitionKey(kind: kind, namespace: try request.namespace().text, name: try context.parameter("name"))
    }

    private func show(_ request: Request, _ context: NodeRequestContext, _ kind: String) throws -> Response {
        let key = try key(request, context, kind)
        let namespace = try request.namespace()
        return try info.object(request) { try definition(key, namespace, kind) }
    }

    private func definition(_ key: DefinitionKey, _ namespace: Namespace, _ kind: String) throws -> Value {
        let definitions = info.coordinator.loop.current.state.definitions
        guard let record = definitions[key], let value = try? JSONScanner.parse(record.json, maximumDepth: 256) else {
            let known = definitions.keys.filter { $0.kind == kind && $0.namespace == key.namespace }.map(\.name)
            let meant = suggestion(for: key.name, among: known.sorted()).map { "; did you mean '\($0)'?" } ?? ""
            throw Problem.notFound("no \(kind) '\(key.name)' in namespace '\(key.namespace)'\(meant)")
        }
        return .object([
            "version": Value(record.version), "definition": value,
            "stats": kind == RuleSet.kind
                ? .list(RuleRows(info: info, namespace: namespace, name: key.name).values) : nil,
        ])
    }

    private func remove(_ request: Request, _ context: NodeRequestContext, _ kind: String) async throws -> Response {
        let key = try key(request, context, kind)
        guard info.coordinator.loop.current.state.definitions[key] != nil else { throw Problem.notFound("no \(kind) '\(key.name)'") }
        return try await activate([], [key], try request.namespace())
    }
}

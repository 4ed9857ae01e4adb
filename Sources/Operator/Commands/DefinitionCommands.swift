package import ArgumentParser
import Definitions
import Foundation
import Primitives
import Text

/// Files of definitions, as `apply` and `validate` take them.
struct DefinitionFiles: ParsableArguments {
    @Argument(help: "YAML or JSON files, folders of them, or - for standard input.") var files: [String]

    /// Every document of every file, in order.
    func documents() throws -> [SourceDocument] {
        var documents: [SourceDocument] = []
        for file in try files.flatMap(expanded) {
            let bytes: [UInt8]
            if file == "-" {
                bytes = try Session.standardInput()
            } else {
                guard let data = FileManager.default.contents(atPath: file) else { throw CommandFailure(.failed, "cannot read \(file)") }
                bytes = [UInt8](data)
            }
            do { documents += try YAMLReader.read(bytes, file: file) } catch { throw CommandFailure(.badData, error.description) }
        }
        return documents
    }

    private func expanded(_ path: String) throws -> [String] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else { return [path] }
        let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        let found = names.filter { $0.hasSuffix(".yaml") || $0.hasSuffix(".yml") || $0.hasSuffix(".json") }
        guard !found.isEmpty else { throw CommandFailure(.failed, "no .yaml, .yml or .json file in \(path)") }
        return found.map { path + "/" + $0 }
    }
}

/// What `rules` and `workflows` share: only the path and the kind differ.
enum DefinitionActions {
    static func apply(_ files: DefinitionFiles, _ common: CommonOptions, path: String) async throws {
        let documents = try files.documents()
        let answer = try await send(documents, common, "/api/v1/\(path)")
        let items = answer["definitions"]?.list ?? []
        if common.output == .table || common.output == .wide {
            for item in items {
                Session.current.out(
                    "\(item["kind"]?.string ?? "") \(item["namespace"]?.string ?? "")/\(item["name"]?.string ?? "") applied\n")
            }
            Session.current.out("catalog version \(Column.plain(answer["catalogVersion"] ?? .null)) is in force\n")
        } else {
            common.print(answer)
        }
    }

    /// By themselves first; with `--connect` against the catalog of a node too.
    static func validate(_ files: DefinitionFiles, _ common: CommonOptions, path: String) async throws {
        let documents = try files.documents()
        let namespace = try common.namespace.map { try Namespace($0) } ?? .default
        let problems = Session.current.tools.validate(documents, namespace: namespace)
        guard problems.isEmpty else { throw CommandFailure(.badData, problems.map(\.description).joined(separator: "\n")) }
        if common.connect != nil { _ = try await send(documents, common, "/api/v1/\(path):validate") }
        let scope =
            common.connect.map { "against the catalog of \($0)" } ?? "by themselves (add --connect to check them against a node's catalog)"
        Session.current.out("\(documents.count) definition\(documents.count == 1 ? "" : "s") valid, \(scope)\n")
    }

    private static func send(_ documents: [SourceDocument], _ common: CommonOptions, _ path: String) async throws -> Value {
        let body = Value.list(documents.map(\.value))
        let client = try common.client
        let answer = try await client.send("POST", path, [common.space], body: JSONWriter.bytes(body))
        guard answer.status == 422, let errors = answer.value["errors"]?.list else { return try NodeClient.value(answer) }
        let lines = errors.map { error -> String in
            let place = Int(error["definition"]?.int ?? 0)
            let (pointer, detail) = (error["pointer"]?.string ?? "", error["detail"]?.string ?? "")
            guard documents.indices.contains(place) else { return detail }
            return documents[place].diagnostic(pointer: pointer, message: detail).description
        }
        throw CommandFailure(.badData, lines.joined(separator: "\n"))
    }

    static func list(_ common: CommonOptions, path: String, _ columns: [Column], empty: String) async throws {
        let answer = try await common.client.get("/api/v1/\(path)", [common.space])
        common.print(answer["items"]?.list ?? [], columns, name: "name", empty: empty)
    }

    /// The definition as its author wrote it; YAML unless another format is asked for.
    static func show(_ name: String, _ common: CommonOptions, path: String) async throws {
        let answer = try await common.client.get("/api/v1/\(path)/\(NodeClient.escaped(name))", [common.space])
        let format = common.output == .table || common.output == .wide ? OutputFormat.yaml : common.output
        Session.current.out(Rendering(format: format).one(answer["definition"] ?? .null))
    }

    static func delete(_ name: String, _ common: CommonOptions, path: String) async throws {
        let client = try common.client
        let answer = try await client.send("DELETE", "/api/v1/\(path)/\(NodeClient.escaped(name))", [common.space])
        let value = try NodeClient.value(answer)
        Session.current.out("\(name) removed; catalog version \(Column.plain(value["catalogVersion"] ?? .null)) is in force\n")
    }
}

/// What tells `distric rules` and `distric workflows` apart.
package protocol DefinitionKind: Sendable {
    static var path: String { get }
    static var noun: String { get }
    static var columns: [Column] { get }
}

/// Rule sets, for the commands on definitions.
package enum RuleSetKind: DefinitionKind {
    package static let path = "rules"
    package static let noun = "rule set"
    package static let columns = [
        Column("NAMESPACE", "namespace"), Column("NAME", "name"), Column("MATCH", "match"), Column("RULES", "rules"),
        Column("VERSION", "version"),
    ]
}

/// Workflows, for the commands on definitions.
package enum WorkflowKind: DefinitionKind {
    package static let path = "workflows"
    package static let noun = "workflow"
    package static let columns = [
        Column("NAMESPACE", "namespace"), Column("NAME", "name"), Column("LABEL", "label"), Column("TASKS", "tasks"),
        Column("VERSION", "version"),
    ]
}

/// `distric rules`.
package struct Rules: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "Rule sets: what messages mean.", subcommands: definitionCommands(RuleSetKind.self))
    package init() {}
}

/// `distric workflows`.
package struct Workflows: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "workflows", abstract: "Workflows: graphs of tasks.", subcommands: definitionCommands(WorkflowKind.self))
    package init() {}
}

private func definitionCommands<Kind: DefinitionKind>(_: Kind.Type) -> [any ParsableCommand.Type] {
    (Kind.self == RuleSetKind.self ? [RuleNumbers.self] : []) + [
        ApplyDefinitions<Kind>.self, ListDefinitions<Kind>.self, ShowDefinition<Kind>.self, ValidateDefinitions<Kind>.self,
        DeleteDefinition<Kind>.self,
    ]
}

/// `distric rules stats`.
private struct RuleNumbers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "What every rule was asked and answered: evaluations, hits, errors, the last match.")
    @OptionGroup var common: CommonOptions
    @OptionGroup var filter: FilterOptions

    @concurrent
    func run() async throws {
        let query: [(String, String?)] = [("filter", filter.filter), ("sort", filter.sort), ("window", "0:1000"), common.space]
        let answer = try await common.client.get("/api/v1/rules:stats", query)
        let columns = [
            Column("RULE", "id"), Column("STATE", "state"), Column("EVAL/S", "evaluationsPerSecond"), Column("HIT/S", "hitsPerSecond"),
            Column("HIT%", "hitPercent"), Column("EVALUATIONS", "evaluations", wide: true), Column("HITS", "hits"),
            Column("ERRORS", "errors"),
            Column("MICROSECONDS", "latencyUs", wide: true), Column("LAST", "lastHit"), Column("STARTS", "workflows", wide: true),
        ]
        common.print(answer["items"]?.list ?? [], columns, empty: "no rule is in force")
    }
}

private struct ApplyDefinitions<Kind: DefinitionKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "apply", abstract: "Put \(Kind.noun)s (and whatever else the files define) into force, all at once.",
            discussion: "  distric \(Kind.path) apply \(Kind.path)/\n  distric \(Kind.path) apply payments.yaml fraud-check.yaml")
    }
    @OptionGroup var files: DefinitionFiles
    @OptionGroup var common: CommonOptions
    @concurrent
    func run() async throws { try await DefinitionActions.apply(files, common, path: Kind.path) }
}

private struct ValidateDefinitions<Kind: DefinitionKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "validate", abstract: "Check definitions without a node, and run the tests inside rule files.",
            discussion: "With --connect they are checked against that node's catalog too.")
    }
    @OptionGroup var files: DefinitionFiles
    @OptionGroup var common: CommonOptions
    @concurrent
    func run() async throws { try await DefinitionActions.validate(files, common, path: Kind.path) }
}

private struct ListDefinitions<Kind: DefinitionKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration { CommandConfiguration(commandName: "list", abstract: "List \(Kind.noun)s.") }
    @OptionGroup var common: CommonOptions
    @concurrent
    func run() async throws {
        let empty = "no \(Kind.noun) is in force; 'distric \(Kind.path) apply FILE' adds one"
        try await DefinitionActions.list(common, path: Kind.path, Kind.columns, empty: empty)
    }
}

private struct ShowDefinition<Kind: DefinitionKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: "show", abstract: "Show a \(Kind.noun) as it was applied.")
    }
    @Argument(help: "Its name.") var name: String
    @OptionGroup var common: CommonOptions
    @concurrent
    func run() async throws { try await DefinitionActions.show(name, common, path: Kind.path) }
}

private struct DeleteDefinition<Kind: DefinitionKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "delete", abstract: "Take a \(Kind.noun) out of force; open runs go on with what they began with.")
    }
    @Argument(help: "Its name.") var name: String
    @OptionGroup var common: CommonOptions
    @concurrent
    func run() async throws { try await DefinitionActions.delete(name, common, path: Kind.path) }
}

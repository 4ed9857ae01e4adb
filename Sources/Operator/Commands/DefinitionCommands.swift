package import ArgumentParser
import Definitions
import Foundation
import Primitives

/// Files of definitions, as `apply` and `validate` take them.
struct DefinitionFiles: ParsableArguments {
    @Argument(help: "YAML or JSON files, folders of them, or - for standard input.") var files: [String]

    /// Every document of every file, in order.
    func documents() throws -> [SourceDocument] {
        var documents: [SourceDocument] = []
        for file in try files.flatMap(expanded) {
            let bytes: [UInt8]
            if file == "-" {
                bytes = [UInt8](FileHandle.standardInput.readDataToEndOfFile())
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
        let client = common.client
        let answer = try await client.send("POST", path, [common.space], body: JSONBody.bytes(body))
        guard answer.status == 422, let errors = answer.value["errors"]?.list else { return try await client.checked(answer) }
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
        let client = common.client
        let answer = try await client.send("DELETE", "/api/v1/\(path)/\(NodeClient.escaped(name))", [common.space])
        let value = try await client.checked(answer)
        Session.current.out("\(name) removed; catalog version \(Column.plain(value["catalogVersion"] ?? .null)) is in force\n")
    }
}

/// `distric rules`.
package struct Rules: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "Rule sets: what messages mean.",
        subcommands: [Apply.self, List.self, Show.self, Validate.self, Delete.self])

    package init() {}

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put rule sets (and workflows in the same files) into force, all at once.",
            discussion: "  distric rules apply examples/rules/\n  distric rules apply payments.yaml fraud-check.yaml")
        @OptionGroup var files: DefinitionFiles
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws { try await DefinitionActions.apply(files, common, path: "rules") }
    }

    struct Validate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Check rule sets without a node, and run the tests inside them.")
        @OptionGroup var files: DefinitionFiles
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws { try await DefinitionActions.validate(files, common, path: "rules") }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List rule sets.")
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws {
            let columns = [
                Column("NAMESPACE", "namespace"), Column("NAME", "name"), Column("MATCH", "match"), Column("RULES", "rules"),
                Column("VERSION", "version"),
            ]
            try await DefinitionActions.list(
                common, path: "rules", columns, empty: "no rule set is in force; 'distric rules apply FILE' adds one")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a rule set as it was applied.")
        @Argument(help: "The rule set's name.") var name: String
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws { try await DefinitionActions.show(name, common, path: "rules") }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take a rule set out of force.")
        @Argument(help: "The rule set's name.") var name: String
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws { try await DefinitionActions.delete(name, common, path: "rules") }
    }
}

/// `distric workflows`.
package struct Workflows: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "workflows", abstract: "Workflows: graphs of tasks.",
        subcommands: [Apply.self, List.self, Show.self, Validate.self, Delete.self])

    package init() {}

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put workflows (and rule sets in the same files) into force, all at once.",
            discussion: "  distric workflows apply examples/workflows/")
        @OptionGroup var files: DefinitionFiles
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws { try await DefinitionActions.apply(files, common, path: "workflows") }
    }

    struct Validate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Check workflows without a node.")
        @OptionGroup var files: DefinitionFiles
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws { try await DefinitionActions.validate(files, common, path: "workflows") }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List workflows.")
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws {
            let columns = [
                Column("NAMESPACE", "namespace"), Column("NAME", "name"), Column("LABEL", "label"), Column("TASKS", "tasks"),
                Column("VERSION", "version"),
            ]
            try await DefinitionActions.list(
                common, path: "workflows", columns, empty: "no workflow is in force; 'distric workflows apply FILE' adds one")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a workflow as it was applied.")
        @Argument(help: "The workflow's name.") var name: String
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws { try await DefinitionActions.show(name, common, path: "workflows") }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take a workflow out of force; open runs of it go on.")
        @Argument(help: "The workflow's name.") var name: String
        @OptionGroup var common: CommonOptions
        @concurrent
        func run() async throws { try await DefinitionActions.delete(name, common, path: "workflows") }
    }
}

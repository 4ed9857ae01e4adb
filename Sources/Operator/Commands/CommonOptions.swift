package import ArgumentParser
import Primitives

/// What every command that asks a node takes.
package struct CommonOptions: ParsableArguments {
    @Option(name: .long, help: "URL of a node (default: $DISTRIC_URL, then http://127.0.0.1:8080).")
    package var connect: String?

    @Option(name: [.customShort("o"), .long], help: "table, wide, json, jsonl, yaml, csv, tsv or name.")
    package var output: OutputFormat = .table

    @Option(name: .long, help: "How long to wait for an answer.")
    package var timeout: String = "10s"

    @Option(name: [.customShort("n"), .long], help: "Namespace (default: all of them in lists, 'default' elsewhere).")
    package var namespace: String?

    package init() {}

    package func validate() throws {
        guard let timeout = Duration(text: timeout), timeout > .zero else {
            throw ValidationError("--timeout '\(timeout)' is no duration; write 10s or 1m")
        }
        if let namespace, (try? Namespace(namespace)) == nil {
            throw ValidationError("--namespace '\(namespace)' is no namespace: a-z, 0-9 and '-'")
        }
    }

    var client: NodeClient {
        let url = connect ?? Session.current.environment["DISTRIC_URL"] ?? "http://127.0.0.1:8080"
        return NodeClient(url: url.contains("://") ? url : "http://\(url)", timeout: Duration(text: timeout) ?? .seconds(10))
    }

    var rendering: Rendering { Rendering(format: output, width: Session.current.width) }

    var space: (String, String?) { ("namespace", namespace) }

    func print(_ items: [Value], _ columns: [Column], name: String = "id", empty: String) {
        if items.isEmpty, output == .table || output == .wide { return Session.current.note("\(empty)\n") }
        Session.current.out(rendering.rows(items, columns, name: name))
    }

    func print(_ value: Value) { Session.current.out(rendering.one(value)) }
}

/// Paging of lists.
struct ListOptions: ParsableArguments {
    @Option(name: .long, help: "How many at most (1 to 1000).")
    var limit: Int = 50

    @Option(name: .long, help: "Go on where a list before ended.")
    var cursor: String?

    func validate() throws { guard (1...1000).contains(limit) else { throw ValidationError("--limit must be 1 to 1000") } }

    var query: [(String, String?)] { [("limit", String(limit)), ("cursor", cursor)] }

    /// Tells how to see more.
    func note(_ answer: Value) {
        guard let next = answer["next"]?.string else { return }
        Session.current.note("more: --cursor \(next)\n")
    }
}

package import ArgumentParser
import Primitives

/// How fresh what is read must be.
package enum ReadConsistency: String, CaseIterable, ExpressibleByArgument, Sendable {
    /// What the node that is asked has.
    case stale
    /// What the leader has.
    case leader
    /// Everything that was acknowledged before the question.
    case linearizable
}

/// What every command that asks a node takes.
package struct CommonOptions: ParsableArguments {
    @Option(
        name: .long,
        help:
            "URL of a node, or several with commas (default: $DISTRIC_URL, then a node that runs on this machine, then http://127.0.0.1:8080)."
    )
    package var connect: String?

    @Option(name: [.customShort("o"), .long], help: "table, wide, json, jsonl, yaml, csv, tsv or name.")
    package var output: OutputFormat = .table

    @Option(name: .long, help: "How long to wait for an answer: 10s, 1m (default: 10s).")
    package var timeout: String?

    @Option(
        name: .long,
        help: "How fresh what is read must be: stale (what the node has), leader, or linearizable (all that was acknowledged before).")
    package var consistency: ReadConsistency?

    @Option(name: [.customShort("n"), .long], help: "Namespace (default: all of them in lists, 'default' elsewhere).")
    package var namespace: String?

    @Option(name: .long, help: "A cluster by its name in contexts.toml (default: $DISTRIC_CONTEXT, then the file's current one).")
    package var context: String?

    @Flag(name: .long, help: "Change things on a protected context, and do without being asked what would be asked for.")
    package var yes = false

    package init() {}

    package func validate() throws {
        if let timeout { _ = try DurationFlag.read(timeout, of: "--timeout", example: "10s or 1m") }
        if let namespace, (try? Namespace(namespace)) == nil {
            throw ValidationError("--namespace '\(namespace)' is no namespace: a-z, 0-9 and '-'")
        }
    }

    /// Throws when a context is asked for that there is not.
    var client: NodeClient {
        get throws {
            let session = Session.current
            let isNamed = connect != nil || session.url != nil && context == nil
            let found = isNamed ? nil : try ClusterContext.find(context, environment: session.environment)
            let isProtected = found?.isProtected ?? session.isProtected
            return NodeClient(
                url: found?.urls.joined(separator: ",") ?? RunningNodes.url(asked: connect),
                timeout: patience,
                isReadOnly: session.isReadOnly || isProtected && !yes,
                refusal: isProtected && !session.isReadOnly ? "the context is protected; --yes changes things there all the same" : nil,
                consistency: consistency?.rawValue)
        }
    }

    var patience: Duration { timeout.flatMap { Duration(text: $0) } ?? .seconds(10) }

    var rendering: Rendering { Rendering(format: output, width: Session.current.width, isExpanded: Session.current.isExpanded) }

    var space: (String, String?) { ("namespace", namespace) }

    func print(_ items: [Value], _ columns: [Column], name: String = "id", empty: String) {
        if items.isEmpty, output == .table || output == .wide { return Session.current.note("\(empty)\n") }
        Session.current.out(rendering.rows(items, columns, name: name))
    }

    func print(_ value: Value, name: String = "id") { Session.current.out(rendering.one(value, name: name)) }

    /// Whether people read it, and no program.
    var isForPeople: Bool { output == .table || output == .wide }
}

/// What a list may be narrowed and ordered by: the console's own grammar.
struct FilterOptions: ParsableArguments {
    @Option(name: .long, help: "Only rows that match: words, /regex/, ~fuzzy, !not, column>5, state:failed, name~^w-.")
    var filter: String?

    @Option(name: .long, parsing: .unconditional, help: "Order by one or two columns, '-' for descending: state,-created.")
    var sort: String?

    /// With a filter or an order a list is a window of what is open and what ended lately.
    func query(_ list: ListOptions) throws(CommandFailure) -> [(String, String?)] {
        guard filter != nil || sort != nil else { return list.query }
        guard list.cursor == nil else {
            throw CommandFailure(.usage, "--cursor goes on in a list without --filter and --sort; with them, ask for more by --limit")
        }
        return [("filter", filter), ("sort", sort), ("window", "0:\(list.limit)")]
    }
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

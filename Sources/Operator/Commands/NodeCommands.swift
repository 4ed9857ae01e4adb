package import ArgumentParser
import Foundation
import Primitives
import Text

/// `distric status`.
package struct Status: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(commandName: "status", abstract: "Leader, members, queue and runs at a glance.")
    @OptionGroup var common: CommonOptions
    package init() {}

    @concurrent
    package func run() async throws {
        let answer = try await common.client.send("GET", "/api/v1/cluster/status")
        if let waiting = WaitingText.waiting(answer) { try WaitingText.tell(waiting, common) }
        let status = try NodeClient.value(answer)
        guard common.output == .table || common.output == .wide else { return common.print(status) }
        func text(_ path: String...) -> String {
            var here: Value? = status
            for key in path { here = here?[key] }
            return Column.plain(here ?? .null)
        }
        Session.current.out(
            """
            cluster  \(text("clusterId"))  version \(text("version"))  \(status["ready"]?.bool == true ? "ready" : "NOT READY")
            leader   \(text("leader"))  term \(text("term"))  commit \(text("commitIndex"))  quorum \(text("quorum", "have"))/\(text("quorum", "of"))
            catalog  version \(text("catalogVersion"))
            runs     \(text("runs", "open")) open  \(text("runs", "started")) started  \(text("runs", "ended")) ended
            tasks    \(text("queue", "depth")) queued  \(text("queue", "running")) running  oldest \(text("queue", "oldestMs")) ms
            messages \(text("messages", "accepted")) accepted

            """)
        let columns = [
            Column("NODE", "id"), Column("ROLE", "role"), Column("STATE", "state"), Column("SLOTS", "slots"),
            Column("STARTED", "startedAt"),
        ]
        Session.current.out("\n" + common.rendering.rows(status["members"]?.list ?? [], columns))
        for part in status["health"]?.list ?? [] {
            Session.current.note(
                PlainText.oneLine("\(Words.plain(part["name"])) is \(Words.plain(part["status"])): \(Words.plain(part["reason"]))") + "\n")
        }
        if status["ready"]?.bool != true { throw CommandFailure(.failed, "the node is not ready; 'distric health' says why") }
    }
}

/// `distric health`.
package struct Health: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "health", abstract: "How each part of the node is, why, and since when. Exits 1 when one is down.")
    @OptionGroup var common: CommonOptions
    package init() {}

    @concurrent
    package func run() async throws {
        let answer = try await common.client.send("GET", "/health/ready")
        guard answer.json?["components"] != nil else { throw NodeClient.refusal(answer) }
        let columns = [Column("COMPONENT", "name"), Column("STATUS", "status"), Column("SINCE", "since"), Column("REASON", "reason")]
        common.print(answer.value["components"]?.list ?? [], columns, name: "name", empty: "the node says nothing of its health")
        guard answer.status == 200 else { throw CommandFailure(.failed, "not ready") }
    }
}

/// `distric events`.
package struct Events: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "events", abstract: "What happened: starts, catalog changes, failures. Numbered, so that nothing is missed.")
    @OptionGroup var common: CommonOptions
    @OptionGroup var list: ListOptions
    @Flag(name: [.customShort("f"), .long], help: "Go on as events come, until interrupted.") var follow = false
    @Option(name: .long, help: "Only events numbered above this.") var after: UInt64?
    package init() {}

    @concurrent
    package func run() async throws {
        let answer = try await common.client.get("/api/v1/events", [("limit", String(list.limit)), ("after", after.map(String.init))])
        let items = answer["items"]?.list ?? []
        if !items.isEmpty || !follow { common.print(items, Self.columns, name: "seq", empty: "no event yet") }
        guard follow else { return }
        let last = items.last?["seq"]?.int.map { UInt64(clamping: $0) } ?? after ?? 0
        try await common.client.stream("/api/v1/events", [("after", String(last))]) { line in
            guard line.hasPrefix("data: "), let event = try? JSONScanner.parse(line.dropFirst(6).utf8) else { return }
            Session.current.out(text(event))
        }
    }

    private static let columns = [
        Column("SEQ", "seq"), Column("TIME", "time"), Column("KIND", "kind"), Column("SEVERITY", "severity"),
        Column("SUBJECT", "subject", wide: true),
        Column("TEXT", "text"),
    ]

    private func text(_ event: Value) -> String {
        switch common.output {
        case .json, .jsonl: JSONWriter.text(event) + "\n"
        case .table, .wide, .yaml, .csv, .tsv, .name:
            Self.columns.filter { !$0.isWide }.map { PlainText.oneLine($0.text(event)) }.joined(separator: "  ") + "\n"
        }
    }
}

/// `distric connections`.
package struct Connections: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "connections", abstract: "Who is connected for calls, as the node that is asked sees it.",
        discussion: "At most 1,000 are listed; distric_rpc_connections counts all. 'distric ping' makes one.")
    @OptionGroup var common: CommonOptions
    package init() {}

    @concurrent
    package func run() async throws {
        let answer = try await common.client.get("/api/v1/rpc/connections")
        let columns = [
            Column("FROM", "id"), Column("NODE", "node"), Column("CALLS", "calls"), Column("IDLE MS", "idleMs"),
            Column("IDENTITY", "identity"),
            Column("SOFTWARE", "software"), Column("PROTOCOL", "protocol"),
        ]
        common.print(answer["items"]?.list ?? [], columns, empty: "nobody is connected for calls")
    }
}

/// `distric traces`.
package struct Traces: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "traces", abstract: "Recent traces.", subcommands: [List.self, Show.self], defaultSubcommand: List.self)
    package init() {}

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List recent traces, newest first.",
            discussion: "  distric traces list --failed\n  distric traces list --name pay --min 50ms")
        @OptionGroup var common: CommonOptions
        @OptionGroup var list: ListOptions
        @Option(name: .long, help: "Only traces with a span whose name has this in it.") var name: String?
        @Option(name: .long, help: "Only traces with a span of this part: api, coordinator, worker.") var service: String?
        @Option(name: .long, help: "Only traces that took at least so long: 50ms, 2s.") var min: String?
        @Flag(name: .long, help: "Only traces in which something failed.") var failed = false

        func validate() throws { if let min { _ = try DurationFlag.read(min, of: "--min", allowsNone: true, example: "50ms or 2s") } }

        @concurrent
        func run() async throws {
            let answer = try await common.client.get(
                "/api/v1/traces",
                [
                    ("limit", String(list.limit)), ("name", name), ("service", service), ("min", min), ("failed", failed ? "true" : nil),
                ])
            let columns = [
                Column("TRACE", "traceId"), Column("START", "start"), Column("MS", "durationMs"), Column("SPANS", "spans"),
                Column("ROOT", "name"), Column("ERROR", "error"),
            ]
            let asks = name != nil || service != nil || min != nil || failed
            common.print(
                answer["items"]?.list ?? [], columns, name: "traceId", empty: asks ? "no trace matches" : "no trace was recorded yet")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the spans of one trace as a tree; HELD UP is the time that the whole waited for one alone.")
        @Argument(help: "The trace's id.") var id: String
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let answer = try await common.client.get("/api/v1/traces/\(NodeClient.escaped(id))")
            let columns = [
                Column("START", "start"), Column("MS", "durationMs"),
                Column("HELD UP") { $0["criticalMs"] == nil ? "" : Column.plain($0["criticalMs"] ?? .null) },
                Column("SPAN") { String(repeating: "  ", count: Int($0["depth"]?.int ?? 0)) + ($0["name"]?.string ?? "") },
                Column("NODE", "node", wide: true), Column("ERROR", "error"),
            ]
            common.print(Array(SpanTree.rows(answer["spans"]?.list ?? [])), columns, name: "spanId", empty: "no span")
        }
    }
}

/// Every command that asks a node; the door adds its own.
package enum OperatorCommands {
    package static let all: [any ParsableCommand.Type] = [
        Status.self, Health.self, Nodes.self, Raft.self, Messages.self, Rules.self, Workflows.self, Runs.self, Tasks.self, Events.self,
        Traces.self, Metrics.self, Logs.self, Gossip.self, Connections.self, Chaos.self,
    ]
}

package import ArgumentParser
import Primitives
import Text

/// `distric nodes`.
package struct Nodes: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "nodes", abstract: "The nodes of the cluster, and what they take.",
        discussion: """
              distric nodes
              distric nodes show w-1
              distric nodes drain w-1 --deadline 2m
              distric nodes uncordon w-1
            """,
        subcommands: [List.self, Show.self, Cordon.self, Uncordon.self, DrainNode.self], defaultSubcommand: List.self)
    package init() {}

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Coordinators and workers in one view, as the leader knows them.",
            discussion: """
                TAKES says whether a worker is given tasks: available, full, cordoned, draining, overdue (past the deadline, and something that
                may not be done twice still runs), drained, or distrusted (it said that it runs more than it has room for).

                  distric nodes --filter standing=cordoned
                  distric nodes -o wide
                """)
        @OptionGroup var filter: FilterOptions
        @OptionGroup var list: ListOptions
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let answer = try await common.client.get("/api/v1/nodes", try filter.query(list))
            common.print(answer["items"]?.list ?? [], NodesText.columns, empty: "no node")
            guard answer["partial"]?.bool == true else { return }
            Session.current.note(PlainText.lines("this is not all that there is to know: \(Words.plain(answer["reason"]))") + "\n")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "All that is known of one node.", discussion: "  distric nodes show w-1\n  distric nodes show w-1 -o json")
        @Argument(help: "The node's id.") var id: String
        @OptionGroup var common: CommonOptions

        func validate() throws { try NodesText.check(id) }

        @concurrent
        func run() async throws {
            common.print(try await common.client.get("/api/v1/nodes/\(NodeClient.escaped(id))"))
        }
    }

    struct Cordon: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a worker nothing new; what it runs goes on. It stays so over restarts, until 'nodes uncordon'.",
            discussion: "  distric nodes cordon w-1")
        @Argument(help: "The worker's id.") var id: String
        @OptionGroup var common: CommonOptions

        func validate() throws { try NodesText.check(id) }

        @concurrent
        func run() async throws {
            let answer = try await common.client.post("/api/v1/nodes/\(NodeClient.escaped(id)):cordon", body: [:])
            guard common.isForPeople else { return common.print(answer) }
            let running = Words.plain(answer.at("node", "running"))
            Session.current.out(answer["changed"] == true ? "\(id) is cordoned; it runs \(running)\n" : "\(id) was cordoned already\n")
            Session.current.note("next: 'distric nodes uncordon \(id)' gives it tasks again\n")
        }
    }

    struct Uncordon: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a worker tasks again; a drain that is under way ends.", discussion: "  distric nodes uncordon w-1")
        @Argument(help: "The worker's id.") var id: String
        @OptionGroup var common: CommonOptions

        func validate() throws { try NodesText.check(id) }

        @concurrent
        func run() async throws {
            let answer = try await common.client.post("/api/v1/nodes/\(NodeClient.escaped(id)):uncordon", body: [:])
            guard common.isForPeople else { return common.print(answer) }
            Session.current.out(answer["changed"] == true ? "\(id) takes tasks again\n" : "\(id) was not cordoned\n")
        }
    }
}

/// `distric nodes drain`.
struct DrainNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Empty a node, so that it can be stopped without harm; waits until it is empty.",
        discussion: """
            A worker gets nothing new. What it runs may go on until the deadline; then attempts that may be done again (idempotent, or on_lost:
            retry) are ended and given to other workers. The others go on until they end: nothing is done twice that must not be. A
            coordinator that leads hands leadership over. Interrupted or with --no-wait, the drain goes on.

              distric nodes drain w-1
              distric nodes drain w-1 --deadline 0s       give back at once
              distric nodes drain w-1 --no-wait && distric nodes show w-1

            Exit codes: 0 it is empty; 1 something that may not be done twice still runs, or the worker went away.
            """)
    @Argument(help: "The node's id.") var id: String
    @Option(name: .long, help: "How long what runs may go on (up to 24h).") var deadline = "60s"
    @Flag(name: .long, help: "Also the last worker that takes tasks.") var force = false
    @Flag(name: .customLong("no-wait"), help: "Begin, and do not wait.") var noWait = false
    @OptionGroup var common: CommonOptions

    /// For what is given back to end, and for a leader to be found.
    private static let margin = Duration.seconds(15)

    func validate() throws {
        try NodesText.check(id)
        _ = try DurationFlag.read(deadline, of: "--deadline", allowsNone: true, atMost: .seconds(86_400), example: "60s, 5m or 0s")
    }

    @concurrent
    func run() async throws { try await Self.run(id, deadline: deadline, force: force, leaving: false, noWait: noWait, common) }

    static func run(
        _ id: String, deadline: String, force: Bool, leaving: Bool, noWait: Bool, _ common: CommonOptions
    ) async throws {
        let limit = Duration(text: deadline) ?? .zero
        let client = try common.client
        let body: Value = [
            "deadline": .string(limit == .zero ? "0s" : deadline), "force": .bool(force), "leaving": .bool(leaving),
        ]
        let answer = try await client.post("/api/v1/nodes/\(NodeClient.escaped(id)):drain", body: body)
        if let leader = answer["leader"]?.string { Session.current.note("\(PlainText.oneLine(leader)) leads now\n") }
        // Of what leaves, the last word is another.
        let speaks = !leaving || common.isForPeople
        guard answer.at("node", "drain")?.map != nil else {
            guard common.isForPeople else { return speaks ? common.print(answer) : () }
            return Session.current.out("\(id) runs no tasks\(leaving ? "" : ", and can be stopped")\n")
        }
        guard !noWait else {
            guard common.isForPeople else { return common.print(answer) }
            return Session.current.out("\(id) empties itself; 'distric nodes show \(id)' says how far it is\n")
        }
        let node = try await DrainWait(id: id, common: common).wait(client, until: .now + limit + margin)
        guard common.isForPeople else { return speaks ? common.print(node) : () }
        Session.current.out(PlainText.oneLine("\(id) is empty: \(NodesText.ended(node))\(leaving ? "" : "; it can be stopped")") + "\n")
        if !leaving { Session.current.note("next: 'distric nodes uncordon \(id)' gives it tasks again, also after a restart\n") }
    }
}

/// Looks at a node until it is empty.
private struct DrainWait {
    private static let look = Duration.milliseconds(250)
    /// For a worker to come to the next leader.
    private static let absence = Duration.seconds(5)

    let id: String
    let common: CommonOptions

    func wait(_ client: NodeClient, until end: ContinuousClock.Instant) async throws -> Value {
        var said = ""
        var missedSince: ContinuousClock.Instant?
        while true {
            let node: Value
            do { node = try await client.get("/api/v1/nodes/\(NodeClient.escaped(id))") } catch let failure as CommandFailure {
                // While another leader is found.
                guard [.temporary, .unavailable].contains(failure.code), .now < end else { throw failure }
                try await Task.sleep(for: Self.look)
                continue
            }
            missedSince = node["state"] == "lost" ? missedSince ?? .now : nil
            if try isEmpty(node, isGone: missedSince.map { .now - $0 > Self.absence } ?? false) { return node }
            let words = NodesText.progress(node)
            if common.isForPeople, words != said { Session.current.note(PlainText.oneLine("\(id): \(words)") + "\n") }
            said = words
            guard .now < end else { throw overdue(node) }
            try await Task.sleep(for: Self.look)
        }
    }

    /// Throws when it will not be.
    private func isEmpty(_ node: Value, isGone: Bool) throws(CommandFailure) -> Bool {
        let isIdle = node["running"]?.int == 0
        switch node["standing"]?.string {
        case "drained": return true
        // It was started again meanwhile.
        case "cordoned" where isIdle: return true
        case nil where isGone:
            throw CommandFailure(
                .failed,
                "\(id) went away in the middle: what it ran counts as lost when its lease is over, and is done again or held as its tasks say; 'distric tasks list --filter worker=\(id)' shows it"
            )
        case "available", "full":
            throw CommandFailure(.failed, "\(id) takes tasks again: somebody has uncordoned it")
        default: return false
        }
    }

    private func overdue(_ node: Value) -> CommandFailure {
        CommandFailure(
            .failed,
            "\(id) is not empty: \(Words.plain(node["running"])) attempts go on past the deadline, since they may not be done twice; 'distric tasks list --filter worker=\(id)' shows them. Wait for them ('distric nodes drain \(id)' again), cancel their runs, or stop the node: they are held then, for 'distric tasks resolve'"
        )
    }
}

/// Nodes in words.
enum NodesText {
    static let columns = [
        Column("NODE", "id"), Column("ROLE", "role"), Column("STATE", "state"), Column("RAFT", "raft"), Column("TAKES", "standing"),
        Column("RUN", "running"), Column("FREE", "free"), Column("SLOTS", "slots"), Column("LOAD", "load"),
        Column("VERSION", "version", wide: true), Column("CLOCK MS", "clockOffsetMs", wide: true),
        Column("HEARD MS", "heardMs", wide: true), Column("SINCE", "since", wide: true), Column("ADDRESS", "address", wide: true),
        Column("HTTP", "http", wide: true), Column("LABELS", "labels", wide: true),
    ]

    static func check(_ id: String) throws {
        do throws(IdentifierError) { _ = try NodeID(id) } catch { throw ValidationError("\(error)") }
    }

    /// How far one is that empties itself.
    static func progress(_ node: Value) -> String {
        let left = node.at("drain", "leftMs")?.int ?? 0
        let time = left > 0 ? "\(Words.milliseconds(.int(left))) left" : "past its deadline"
        return "\(Words.plain(node["running"])) run, \(ended(node)), \(time)"
    }

    static func ended(_ node: Value) -> String {
        "\(node.at("drain", "finished")?.int ?? 0) ended, \(node.at("drain", "givenBack")?.int ?? 0) given back"
    }
}

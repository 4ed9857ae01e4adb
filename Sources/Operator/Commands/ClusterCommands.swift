package import ArgumentParser
import Primitives

/// What can be stopped in the whole cluster.
enum FreezePart: String, CaseIterable, ExpressibleByArgument, Sendable { case intake, dispatch }

/// `distric cluster freeze`.
package struct ClusterFreeze: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "freeze", abstract: "Take no message, or give out no task, until it is thawed.",
        discussion: """
            It holds whoever leads, and over restarts. Frozen intake answers 503 with the reason; runs that are open go on. Frozen dispatch lets
            what runs go on and keeps the rest queued; time limits of queues and runs pass all the same.

              distric cluster freeze intake --reason 'moving the database'
              distric cluster freeze dispatch
            """)
    @Argument(help: "intake or dispatch.") var part: FreezePart
    @Option(name: .long, help: "Why, for whoever is refused (up to 400 bytes).") var reason = ""
    @OptionGroup var common: CommonOptions
    package init() {}

    package func validate() throws {
        guard reason.utf8.count <= 400 else { throw ValidationError("--reason is longer than 400 bytes") }
    }

    @concurrent
    package func run() async throws {
        let body: Value = ["part": .string(part.rawValue), "reason": .string(reason)]
        let answer = try await common.client.post("/api/v1/cluster:freeze", body: body)
        guard common.isForPeople else { return common.print(answer) }
        Session.current.out(answer["changed"] == true ? "\(part) is frozen\n" : "\(part) was frozen already\n")
        Session.current.note("next: 'distric cluster thaw \(part)'\n")
    }
}

/// `distric cluster thaw`.
package struct ClusterThaw: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "thaw", abstract: "Take messages, or give out tasks, again.",
        discussion: "  distric cluster thaw intake\n  distric cluster thaw dispatch")
    @Argument(help: "intake or dispatch.") var part: FreezePart
    @OptionGroup var common: CommonOptions
    package init() {}

    @concurrent
    package func run() async throws {
        let answer = try await common.client.post("/api/v1/cluster:thaw", body: ["part": .string(part.rawValue)])
        guard common.isForPeople else { return common.print(answer) }
        Session.current.out(answer["changed"] == true ? "\(part) goes on\n" : "\(part) was not frozen\n")
    }
}

/// `distric cluster members`.
package struct ClusterMembers: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "members", abstract: "The coordinators that keep the log; 'distric nodes' also has the workers.",
        discussion: "  distric cluster members\n  distric cluster members -o wide")
    @OptionGroup var common: CommonOptions
    package init() {}

    @concurrent
    package func run() async throws { try await Raft.Peers.run(common) }
}

/// `distric cluster join`.
package struct ClusterJoin: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "join", abstract: "Take a coordinator in that has come: it gets the log, and then votes.",
        discussion: """
            A worker needs none of this: started with --join it is there. A coordinator is started first, and then taken in:

              distric node --id c-4 --role coordinator --join c-1:9000
              distric cluster join c-4 --timeout 5m
            """)
    @Argument(help: "The node's id.") var id: String
    @Flag(name: .long, help: "It gets the log, and votes only after 'raft promote'.") var learner = false
    @OptionGroup var common: CommonOptions
    package init() {}

    package func validate() throws { try NodesText.check(id) }

    @concurrent
    package func run() async throws { try await Raft.Add.run(id, learner: learner, common) }
}

/// `distric cluster leave`.
package struct ClusterLeave: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "leave", abstract: "Let a node go for good: empty it, hand over what it leads, take it out of the group.",
        discussion: """
            Refused, before anything is done, where the voters that are left would not be a majority of themselves. A worker is emptied as by
            'nodes drain'. At the end the node can be stopped; one that is to come back needs no leave, only a drain.

              distric cluster leave c-3
              distric cluster leave w-1 --deadline 5m
            """)
    @Argument(help: "The node's id.") var id: String
    @Option(name: .long, help: "How long what it runs may go on (up to 24h).") var deadline = "60s"
    @Flag(name: .long, help: "Also the last worker that takes tasks.") var force = false
    @OptionGroup var common: CommonOptions
    package init() {}

    package func validate() throws {
        try NodesText.check(id)
        _ = try DurationFlag.read(deadline, of: "--deadline", allowsNone: true, atMost: .seconds(86_400), example: "60s, 5m or 0s")
    }

    @concurrent
    package func run() async throws {
        let client = try common.client
        let before = try await client.get("/api/v1/nodes/\(NodeClient.escaped(id))")
        let isMember = before["raft"]?.string != nil
        // Who may only read is refused by what would send it.
        if isMember, !client.isReadOnly { try Raft.Remove.confirm(id, common, command: "cluster leave") }
        try await DrainNode.run(id, deadline: deadline, force: force, leaving: true, noWait: false, common)
        guard isMember else {
            return Session.current.note("next: stop the node; a worker has nothing else to leave\n")
        }
        try await remove()
    }

    private static let pause = Duration.milliseconds(250)
    private static let tries = 60

    /// Where the node led, it has handed over a moment ago: until everybody knows of the next leader there is nobody to ask.
    private func remove() async throws {
        for _ in 1..<Self.tries {
            do { return try await Raft.Remove.run(id, common) } catch let failure as CommandFailure
                where failure.code == .temporary && !failure.isUncertain
            {
                try await Task.sleep(for: Self.pause)
            }
        }
        try await Raft.Remove.run(id, common)
    }
}

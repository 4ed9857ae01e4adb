package import ArgumentParser
package import Primitives

/// What is done to a demo that runs: `distric demo kill`, `restart`, `pause`, `resume`, `status`.
package enum DemoCommands {
    package static let all: [any ParsableCommand.Type] = [
        DemoStatus.self, DemoKill.self, DemoRestart.self, DemoPause.self, DemoResume.self,
    ]
}

struct DemoStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Members of the demo that runs, and what became of its messages.")
    @OptionGroup var common: CommonOptions

    @concurrent
    func run() async throws {
        let demo = try await common.client.get("/api/v1/demo")
        guard common.isForPeople else { return common.print(demo) }
        common.print(demo["members"]?.list ?? [], DemoText.columns, empty: "the demo has no members")
        Session.current.note(DemoText.sentence(demo["messages"] ?? .null) + "\n")
    }
}

struct DemoKill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kill", abstract: "End a member of the demo as a crash would, and tell who takes over.",
        discussion: """
            Nothing is handed over, written or said any more; its sockets close. Killing the last coordinator that answers is refused.

              distric demo kill leader
              distric demo kill w-2
            """)
    @Argument(help: "A member's id, or leader.") var member: String
    @OptionGroup var common: CommonOptions

    @concurrent
    func run() async throws {
        let steering = try await DemoSteering(common)
        let done = try await steering.begin("kill", member)
        let id = done["id"]?.string ?? member
        // Who leads says whether it was the leader: the answer is of a moment later.
        let began = ContinuousClock.now
        guard steering.led == id else {
            _ = try await steering.wait { DemoText.state($0, id) == "killed" }
            return common.tell("\(id) was killed; 'distric demo restart \(id)' brings it back", done)
        }
        // With too few left nobody will lead, and whoever waits for it brings nobody back meanwhile.
        let after = try await steering.wait { demo in
            DemoText.state(demo, id) == "killed" && (demo["leader"]?.string.map { $0 != id } == true || !DemoText.hasMajority(demo))
        }
        guard let leader = after?["leader"]?.string, leader != id else {
            return common.tell(
                "\(id), which led, was killed, and no other leads yet: is a majority of the coordinators left? 'distric demo restart' brings back what is down",
                done)
        }
        let took = Duration.milliseconds((ContinuousClock.now - began).milliseconds / 10 * 10)
        common.tell("\(id), which led, was killed; \(leader) leads after \(took.text); 'distric demo restart \(id)' brings it back", done)
    }
}

struct DemoRestart: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Begin a member of the demo again, on its folder; without a name all that are down.",
        discussion: """
            One that runs is killed first.

              distric demo restart
              distric demo restart c-2
            """)
    @Argument(help: "A member's id, or leader.") var member: String?
    @OptionGroup var common: CommonOptions

    @concurrent
    func run() async throws {
        let steering = try await DemoSteering(common)
        let down = (steering.before["members"]?.list ?? []).filter { ["killed", "failed"].contains($0["state"]?.string) }
        let wanted = member.map { [$0] } ?? down.compactMap { $0["id"]?.string }
        guard !wanted.isEmpty else { return common.tell("no member of the demo is down", .list([])) }
        var begun: [Value] = []
        for member in wanted { begun.append(try await steering.begin("restart", member)) }
        let ids = begun.compactMap { $0["id"]?.string }
        let after = try await steering.wait { demo in ids.allSatisfy { ["running", "failed"].contains(DemoText.state(demo, $0)) } }
        guard let after else {
            throw CommandFailure(.temporary, "\(ids.joined(separator: ", ")) takes long to begin: 'distric demo status' tells")
        }
        if let failed = ids.first(where: { DemoText.state(after, $0) == "failed" }) {
            throw CommandFailure(.failed, "\(failed) could not be begun again: \(DemoText.member(after, failed)?["reason"]?.string ?? "")")
        }
        common.tell("\(ids.joined(separator: ", ")) runs again", .list(begun))
    }
}

struct DemoPause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Let a member of the demo stand still, as a process that is stopped.",
        discussion: """
            Its loop of Raft and calls and its planner do nothing any more; its sockets stay open, and nobody is answered. Its HTTP door alone goes on
            reading out what it knew. Whoever led leads until the others elect another; what it was given meanwhile waits.

              distric demo pause leader
              distric demo resume c-1
            """)
    @Argument(help: "A member's id, or leader.") var member: String
    @OptionGroup var common: CommonOptions

    @concurrent
    func run() async throws {
        let done = try await DemoSteering(common).begin("pause", member)
        let id = done["id"]?.string ?? member
        common.tell("\(id) stands still; 'distric demo resume \(id)' lets it go on", done)
    }
}

struct DemoResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "Let a member of the demo go on that stands still.")
    @Argument(help: "A member's id.") var member: String
    @OptionGroup var common: CommonOptions

    @concurrent
    func run() async throws {
        let done = try await DemoSteering(common).begin("resume", member)
        common.tell("\(done["id"]?.string ?? member) goes on", done)
    }
}

/// Talks to whichever member of a demo answers.
private struct DemoSteering {
    /// As it was before anything was done.
    let before: Value
    private let client: NodeClient

    init(_ common: CommonOptions) async throws {
        let first = try common.client
        before = try await first.get("/api/v1/demo")
        let urls = (before["members"]?.list ?? []).filter { $0["role"]?.string == "coordinator" && $0["state"]?.string == "running" }
            .compactMap { $0["http"]?.string }
        // The one that was asked may be the one that is killed.
        client = NodeClient(url: urls.joined(separator: ","), timeout: common.patience, isReadOnly: first.isReadOnly)
    }

    var led: String? { before["leader"]?.string }

    func begin(_ act: String, _ member: String) async throws -> Value {
        try NodeClient.value(try await client.send("POST", "/api/v1/demo/nodes/\(NodeClient.escaped(member)):\(act)"))
    }

    /// Nil when it does not come about in 15 seconds.
    func wait(until condition: (Value) -> Bool) async throws -> Value? {
        let end = ContinuousClock.now + .seconds(15)
        while ContinuousClock.now < end {
            if let demo = try? await client.get("/api/v1/demo"), condition(demo) { return demo }
            try await Task.sleep(for: .milliseconds(50))
        }
        return nil
    }
}

extension CommonOptions {
    fileprivate func tell(_ sentence: String, _ value: Value) {
        if isForPeople { Session.current.out(sentence + "\n") } else { print(value) }
    }
}

/// A demo in words.
package enum DemoText {
    /// Whether those of its coordinators that run are more than half of them.
    static func hasMajority(_ demo: Value) -> Bool {
        let coordinators = (demo["members"]?.list ?? []).filter { $0["role"]?.string == "coordinator" }
        return coordinators.count { $0["state"]?.string == "running" } > coordinators.count / 2
    }

    package static let columns = [
        Column("NODE", "id"), Column("ROLE", "role"), Column("STATE", "state"),
        Column("LEADS") { $0["leads"]?.bool == true ? "yes" : "-" }, Column("DEATHS", "deaths"), Column("HTTP", "http"),
        Column("RPC", "rpc", wide: true), Column("DATA", "data", wide: true), Column("REASON", "reason", wide: true),
    ]

    static func member(_ demo: Value, _ id: String) -> Value? { demo["members"]?.list?.first { $0["id"]?.string == id } }
    static func state(_ demo: Value, _ id: String) -> String { member(demo, id)?["state"]?.string ?? "" }

    /// What became of the messages.
    package static func sentence(_ messages: Value) -> String {
        func number(_ key: String) -> Int64 { messages[key]?.int ?? 0 }
        var parts = ["accepted \(number("accepted"))", "ended \(number("succeeded") + number("failed"))"]
        if number("failed") > 0 { parts[1] += " (failed \(number("failed")))" }
        parts.append("open \(number("open"))")
        if number("held") > 0 { parts.append("held for an operator \(number("held"))") }
        if number("refused") > 0 { parts.append("refused \(number("refused"))") }
        if number("resent") > 0 { parts.append("sent again \(number("resent"))") }
        if number("unfollowed") > 0 { parts.append("not followed \(number("unfollowed"))") }
        parts.append("lost \(number("lost"))")
        return parts.joined(separator: ", ")
    }
}

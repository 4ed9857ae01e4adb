package import ArgumentParser
import Foundation
import Primitives
import Text

/// `distric raft`, as far as it asks a node; the door adds what needs none.
package struct Raft: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "raft", abstract: "Who leads and who is a member, and changes of both.",
        subcommands: [Status.self, Peers.self, Add.self, Remove.self, Promote.self, Transfer.self, Snapshot.self],
        defaultSubcommand: Status.self)
    package init() {}

    /// What is asked when nothing else is said.
    package struct Status: AsyncParsableCommand {
        package static let configuration = CommandConfiguration(
            abstract: "Role, term, log, members and the last election, as the node that is asked sees them.",
            discussion: """
                With several nodes after --connect, or in the context, there is a row for each. A node that does not answer within 1.5 s, or
                --timeout when that is less, has the reason in its row, under ERROR. Exits 69 only when none answers.

                  distric raft
                  distric raft status --connect c-1:8080,c-2:8080,c-3:8080
                """)
        @OptionGroup var common: CommonOptions
        package init() {}

        @concurrent
        package func run() async throws {
            let client = try common.client
            guard client.urls.count == 1 else { return try await RaftRows.printAll(client, common) }
            let answer = try await client.send("GET", "/api/v1/raft/status")
            if let waiting = WaitingText.waiting(answer) { try WaitingText.tell(waiting, common) }
            let raft = try NodeClient.value(answer)
            guard common.isForPeople, !Session.current.isExpanded else { return common.print(raft, name: "node") }
            Session.current.out(RaftRows.facts(raft, now: RaftRows.now))
            let peers = raft["peers"]?.list ?? []
            if !peers.isEmpty { Session.current.out("\n" + common.rendering.rows(peers, RaftRows.peers, name: "node")) }
        }
    }

    struct Peers: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The members: how far each has the log, what is on its way to it, since when it is silent.",
            discussion:
                "What only the leader knows is asked of it; without one, what the node itself knows is shown.\n\n  distric raft peers -o wide"
        )
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws { try await Self.run(common) }

        static func run(_ common: CommonOptions) async throws {
            let answer = try await common.client.get("/api/v1/raft/peers")
            common.print(answer["items"]?.list ?? [], RaftRows.peers, name: "node", empty: "no member is known")
            guard answer["partial"]?.bool == true else { return }
            let reason = answer["reason"]?.string.map { ": \($0)" } ?? ""
            Session.current.note(PlainText.lines("this is not all that there is to know\(reason)") + "\n")
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a node in as a member; it gets the whole log, and then votes.",
            discussion: """
                The node must run and have joined: 'distric node --join ADDRESS'. It ends when the node votes, which is when it has the log.

                  distric raft add c-4 --timeout 5m
                  distric raft add c-4 --learner           it gets the log and does not vote
                """)
        @Argument(help: "The node's id.") var id: String
        @Flag(name: .long, help: "It gets the log, and votes only after 'raft promote'.") var learner = false
        @OptionGroup var common: CommonOptions

        func validate() throws { try RaftChange.check(id) }

        @concurrent
        func run() async throws { try await Self.run(id, learner: learner, common) }

        static func run(_ id: String, learner: Bool, _ common: CommonOptions) async throws {
            let body: Value = ["add": .string(id), "role": .string(learner ? "learner" : "voter")]
            let answer = try await RaftChange.send("POST", "/members", body, common)
            let next = learner ? ", 'distric raft promote \(id)' lets it vote" : ""
            RaftChange.tell(
                answer, learner ? "\(id) is a learner" : "\(id) votes", next: "'distric raft peers' shows how far it is\(next)", common)
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a member out; asks for its name unless --yes is given.",
            discussion: """
                A leader that is removed hands over first. What would leave too few voters that answer is refused. The node goes on, out of
                service: it may be added again, or join with an empty data folder.

                  distric raft remove c-3
                  distric raft remove c-3 --yes
                """)
        @Argument(help: "The member's id.") var id: String
        @OptionGroup var common: CommonOptions

        func validate() throws { try RaftChange.check(id) }

        @concurrent
        func run() async throws {
            // Who may only read is refused by what would send it.
            if try !common.client.isReadOnly { try Self.confirm(id, common) }
            try await Self.run(id, common)
        }

        static func run(_ id: String, _ common: CommonOptions) async throws {
            let answer = try await RaftChange.send("DELETE", "/members/\(id)", nil, common)
            RaftChange.tell(
                answer, "\(id) is no member any more", next: "stop that node; 'distric raft status' shows who is left", common)
        }

        /// - Parameter command: what is typed to do it without being asked.
        static func confirm(_ id: String, _ common: CommonOptions, command: String = "raft remove") throws(CommandFailure) {
            guard !common.yes else { return }
            guard let ask = Session.current.ask else {
                throw CommandFailure(.usage, "'\(id)' would leave the Raft group; 'distric \(command) \(id) --yes' does it")
            }
            let typed = ask("\(id) leaves the Raft group; its node goes on, out of service.\ntype \(id) to go on: ")
            guard typed == id else { throw CommandFailure(.failed, "nothing was done; the name is '\(id)'") }
        }
    }

    struct Promote: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a learner vote; it ends when that is committed.", discussion: "  distric raft promote c-4")
        @Argument(help: "The learner's id.") var id: String
        @OptionGroup var common: CommonOptions

        func validate() throws { try RaftChange.check(id) }

        @concurrent
        func run() async throws {
            let answer = try await RaftChange.send("POST", "/members/\(id):promote", [:], common)
            RaftChange.tell(answer, "\(id) votes", next: "'distric raft status' shows the quorum", common)
        }
    }

    struct Transfer: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Hand leadership to another voter; it ends when that one leads.",
            discussion: "  distric raft transfer                to whoever has most of the log\n  distric raft transfer --to c-2")
        @Option(name: .long, help: "The voter that is to lead (default: the one that has most of the log).") var to: String?
        @OptionGroup var common: CommonOptions

        func validate() throws { if let to { try RaftChange.check(to) } }

        @concurrent
        func run() async throws {
            let answer = try await RaftChange.send("POST", ":transfer", .object(["to": to.map(Value.string)]), common)
            let leader = answer["leader"]?.string ?? to ?? "another voter"
            RaftChange.tell(answer, "\(leader) leads", next: "'distric raft status' shows the election", common)
        }
    }

    struct Snapshot: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let the node that is asked write its state to disk, and let go of the log that this stands for.",
            discussion: "  distric raft snapshot --connect c-2:8080")
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let answer = try await RaftChange.send("POST", ":snapshot", [:], common)
            let index = answer["appliedIndex"]?.int.map { " of the state up to entry \($0)" } ?? ""
            let node = answer["node"]?.string ?? "the node"
            RaftChange.tell(
                answer, "\(node) writes a snapshot\(index)", next: "'distric raft status' shows when it is there", common)
        }
    }
}

/// What the commands that change the group share.
private enum RaftChange {
    static func check(_ id: String) throws {
        do throws(IdentifierError) { _ = try NodeID(id) } catch { throw ValidationError("\(error)") }
    }

    /// The answer's body. What was not answered, or not in time, may come to pass all the same.
    ///
    /// - Parameter place: what stands behind `/api/v1/raft`.
    static func send(_ method: String, _ place: String, _ body: Value?, _ common: CommonOptions) async throws -> Value {
        let client = try common.client
        let answer: NodeClient.Answer
        do {
            answer = try await client.send(
                method, "/api/v1/raft" + place, [("timeout", wait(common.patience).text)], body: body.map { JSONWriter.bytes($0) })
        } catch let failure as CommandFailure where failure.code == .temporary {
            throw CommandFailure(.temporary, "\(failure.message); it may be done all the same: 'distric raft status' tells")
        }
        let value = try client.checked(answer).value
        guard value["done"]?.bool != false else {
            throw CommandFailure(
                .temporary,
                "not done after \(common.patience.text), and under way: 'distric raft status' shows when it is; --timeout 5m waits for longer"
            )
        }
        return value
    }

    /// The node gives up before this program does, so that it can say how far it is.
    private static func wait(_ patience: Duration) -> Duration {
        min(.seconds(600), max(.milliseconds(10), patience - min(.seconds(1), patience / 5)))
    }

    /// What came of it, and what to type next.
    static func tell(_ answer: Value, _ words: String, next: String, _ common: CommonOptions) {
        guard common.isForPeople else { return common.print(answer, name: "node") }
        let words = answer["changed"]?.bool == false ? "nothing was changed: \(words) already" : words
        Session.current.out(PlainText.oneLine(words) + "\n")
        Session.current.note("next: \(PlainText.oneLine(next))\n")
    }
}

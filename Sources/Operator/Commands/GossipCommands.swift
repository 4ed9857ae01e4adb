package import ArgumentParser
import Primitives
import Text

/// `distric gossip`.
package struct Gossip: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "gossip", abstract: "Who is there, as the members tell each other.",
        discussion: "What one node believes, a hint: who belongs to the cluster's log is shown by 'distric raft'.",
        subcommands: [Members.self, Status.self], defaultSubcommand: Members.self)
    package init() {}

    struct Members: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Every member: alive, suspect, dead or left, how it answers, and what it says of itself.",
            discussion: """
                SUSPICION is how long a suspect has left to say that it is alive; DATAGRAMS says 'lost' of one that answers over
                connections alone. A node that does not gossip shows whom it is connected to.

                  distric gossip
                  distric gossip members -o wide
                """)
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let answer = try await common.client.get("/api/v1/gossip/members")
            common.print(answer["items"]?.list ?? [], Self.columns, empty: "no member")
        }

        private static let columns = [
            Column("MEMBER", "id"), Column("STATE", "state"), Column("INCARNATION", "incarnation"),
            Column("RTT") { Words.milliseconds($0["rttMs"]) }, Column("PROBED") { Words.milliseconds($0["lastProbeMs"]) },
            Column("SUSPICION") { Words.milliseconds($0["suspicionMs"]) }, Column("ROLE", "role"), Column("SLOTS", "slots"),
            Column("CALLS", "address"), Column("SUSPECTED BY", "suspectedBy", wide: true), Column("DATAGRAMS", "datagrams", wide: true),
            Column("GOSSIP", "gossip", wide: true), Column("HTTP", "http", wide: true), Column("LABELS", "labels", wide: true),
            Column("VERSION", "version", wide: true), Column("EPOCH", "epoch", wide: true),
        ]
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "How the node that is asked does in finding out who is there: its own state, and what it counted.")
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let status = try await common.client.get("/api/v1/gossip")
            guard common.isForPeople, !Session.current.isExpanded else { return common.print(status, name: "node") }
            Session.current.out(Self.text(status))
        }

        private static func text(_ status: Value) -> String {
            guard status["takesPart"]?.bool == true else {
                return fact("node", "\(Words.plain(status["node"])), which does not gossip: \(Words.plain(status["reason"]))")
            }
            let members = ["alive", "suspect", "dead", "left"].map { "\(Words.plain(status.at("members", $0))) \($0)" }
            var text = fact(
                "node",
                "\(Words.plain(status["node"])), epoch \(Words.plain(status["epoch"])), incarnation \(Words.plain(status["incarnation"]))")
            text += fact("address", Words.plain(status["address"]) + (status["sealed"]?.bool == true ? ", sealed" : ", not sealed"))
            text += fact("members", members.joined(separator: ", "))
            text += fact("health", "\(Words.plain(status["localHealth"])) (0 is well: higher probes slower, and blames others less)")
            text += fact("news", "\(Words.plain(status["pendingNews"])) still to be told")
            if let conflict = status["conflict"]?.string { text += fact("conflict", conflict) }
            for member in (status["counts"]?.map?.members ?? []).prefix(64) where member.value != 0 {
                text += fact("", "\(Words.plain(member.value)) \(spelled(member.key))")
            }
            return text
        }

        private static func fact(_ name: String, _ text: String) -> String {
            name + String(repeating: " ", count: max(1, 12 - name.count)) + PlainText.oneLine(text) + "\n"
        }

        /// `probesFailed` is `probes failed`.
        private static func spelled(_ key: String) -> String {
            key.map { $0.isUppercase ? " " + $0.lowercased() : String($0) }.joined()
        }
    }
}

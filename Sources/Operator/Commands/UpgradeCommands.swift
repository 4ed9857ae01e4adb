package import ArgumentParser
import Primitives

/// `distric cluster upgrade`.
package struct Upgrade: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "upgrade", abstract: "What the members' programs know, and the step after which older ones cannot come back.",
        discussion: """
            Members are given a newer distric one at a time: stop, replace, start, wait until 'distric health' is well again. Until the upgrade
            is finalized the cluster does only what the older ones know too, and each may go back to them.

              distric cluster upgrade status
              distric cluster upgrade finalize
            """,
        subcommands: [Status.self, Finalize.self], defaultSubcommand: Status.self)
    package init() {}

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The cluster's feature level, the one that it could have, and who stands in the way.")
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let answer = try await common.client.get("/api/v1/cluster/upgrade")
            guard common.output == .table || common.output == .wide else { return common.print(answer) }
            Session.current.out(PlainText.oneLine(summary(answer)) + "\n\n")
            let columns = [
                Column("NODE", "id"), Column("ROLE", "role"), Column("KNOWS", "featureLevel"), Column("CONNECTED", "connected"),
                Column("READY", "ready"), Column("SOFTWARE", "software"),
            ]
            common.print(answer["items"]?.list ?? [], columns, empty: "no member")
        }

        private func summary(_ answer: Value) -> String {
            let (level, target) = (Column.plain(answer["featureLevel"] ?? .null), Column.plain(answer["target"] ?? .null))
            switch answer["state"]?.string {
            case "ready": return "feature level \(level); every voter knows \(target): 'distric cluster upgrade finalize' raises it"
            case "waiting": return "feature level \(level); \(answer["reason"]?.string ?? "not every voter knows \(target)")"
            case _: return "feature level \(level); nothing is left to finalize"
            }
        }
    }

    struct Finalize: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Raise the feature level to what every voter's program knows; there is no way back.",
            discussion: """
                Refused while a voter is not connected or runs a program that knows less; each is named. From then on such a program stops before
                the first thing in the log that it cannot read.
                """)
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let answer = try await common.client.post("/api/v1/cluster/upgrade:finalize", body: [:])
            guard common.output == .table || common.output == .wide else { return common.print(answer) }
            let (level, before) = (Column.plain(answer["featureLevel"] ?? .null), Column.plain(answer["before"] ?? .null))
            Session.current.note(
                level == before ? "the cluster is at feature level \(level) already\n" : "feature level \(level), was \(before)\n")
        }
    }
}

package import ArgumentParser
import Primitives

/// `distric messages`.
package struct Messages: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "messages", abstract: "Submit messages and look at what became of them.",
        subcommands: [Submit.self, List.self, Show.self, Why.self])

    package init() {}

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List accepted messages, newest first.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var list: ListOptions
        @OptionGroup var filter: FilterOptions

        @concurrent
        func run() async throws {
            let answer = try await common.client.get("/api/v1/messages", try filter.query(list) + [common.space])
            common.print(
                answer["items"]?.list ?? [],
                [
                    Column("ACCEPTED", "acceptedAt"), Column("ID", "id"), Column("TYPE", "type"), Column("SOURCE", "source", wide: true),
                    Column("MATCHED", "matched"), Column("RUNS", "runs"),
                ], empty: filter.filter == nil ? "no message was accepted yet" : "nothing matches")
            list.note(answer)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one message, the rules it matched and its runs.")
        @Argument(help: "The message's id.") var id: String
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            common.print(try await common.client.get("/api/v1/messages/\(NodeClient.escaped(id))", [common.space]))
        }
    }

    struct Why: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Why each rule did or did not match a message: every condition with the value it met, and the least that would change it.",
            discussion: "  distric messages why p-7\n  distric messages why p-7 -o json")
        @Argument(help: "The message's id.") var id: String
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let answer = try await common.client.get("/api/v1/messages/\(NodeClient.escaped(id))/why", [common.space])
            guard common.output == .table || common.output == .wide else { return common.print(answer) }
            for rule in answer["rules"]?.list ?? [] {
                let mark = rule["matched"]?.bool == true ? "matched" : "no match"
                Session.current.out("\(Column.plain(rule["rule"] ?? .null)): \(mark), \(WhyLines.sentence(rule))\n")
                for line in WhyLines.conditions(rule) { Session.current.out("    \(line.text)\n") }
            }
        }
    }

    struct Submit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Submit messages: one JSON object, a JSON list, or one object a line.",
            discussion: """
                A message is acknowledged when it is on disk with the runs it starts. Lines that are refused are named with their number; the others
                are accepted all the same. A message without an id gets one here, which is printed: what is sent again because nobody answered is
                accepted once.

                --timeout bounds all of it, retries included; without it 200 messages that are sent together have 10s.

                  distric messages submit orders.ndjson
                  echo '{"type":"order.created","data":{"amount":42}}' | distric messages submit - --timeout 30s
                  distric messages submit orders.ndjson -o name          the ids, one a line
                """)
        /// More are not shown unless they are asked for.
        private static let shownIDs = 20

        @Argument(help: "A file, or - for standard input.") var file: String
        @OptionGroup var common: CommonOptions

        @Option(name: .long, help: "Messages a second at most; 0 for no limit.") var rate: Int = 0

        func validate() throws { guard rate >= 0 else { throw ValidationError("--rate must not be negative") } }

        @concurrent
        func run() async throws {
            let lines = try MessageLines.read(file)
            guard !lines.isEmpty else { throw CommandFailure(.badData, "\(file): no message in it") }
            var submission = Submission(
                total: lines.count, file: file, patience: common.timeout == nil ? .batch(common.patience) : .whole(common.patience),
                around: .real(try common.client, namespace: common.namespace))
            do {
                try await submission.run(lines, rate: rate)
            } catch let failure as CommandFailure {
                throw CommandFailure(failure.code, "\(failure.message)\n\(submission.sentence)\(submission.place)")
            }
            if common.isForPeople {
                Session.current.out(submission.sentence + "\n" + made(submission.made))
            } else if common.output == .name {
                Session.current.out(submission.ids.map { $0 + "\n" }.joined())
            } else {
                common.print(submission.summary)
            }
            if submission.refused > 0 {
                throw CommandFailure(.badData, "\(submission.refused) of \(lines.count) messages were not accepted")
            }
        }

        /// The ids that messages got here, with the line of each.
        private func made(_ ids: [(line: Int, id: String)]) -> String {
            let shown = ids.prefix(Self.shownIDs).map { "\($0.id)  line \($0.line)\n" }.joined()
            let more = ids.count - Self.shownIDs
            return shown + (more > 0 ? "and \(more) more ids: -o name prints all\n" : "")
        }
    }
}

package import ArgumentParser
import Primitives
import Text

/// What of `distric raft log` asks a node; the door adds what reads a folder.
package enum RaftLogCommands {
    package static let all: [any ParsableCommand.Type] = [List.self, Diff.self]

    static let columns = [
        Column("INDEX", "index"), Column("TERM", "term"), Column("KIND", "kind"), Column("BYTES", "bytes"), Column("STATE", "state"),
        Column("CHECKSUM", "checksum"), Column("CHAIN", "chain", wide: true), Column("TEXT", "text"),
    ]

    static func check(_ node: String) throws {
        do throws(IdentifierError) { _ = try NodeID(node) } catch { throw ValidationError("\(error)") }
    }

    /// `distric raft log list`.
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The entries of a running node's log: the newest, or those from an index on.",
            discussion: """
                The node that is asked shows its own log, as it lies on its disk; --node has it ask another one. With --filter the newest are
                looked through, and the newest that match come first.

                  distric raft log list
                  distric raft log list --from 118002 --limit 100 --node c-3
                  distric raft log list --filter kind=configuration
                """)
        @Option(name: .long, help: "The first index (default: the newest entries).") var from: UInt64?
        @Option(name: .long, help: "How many at most (1 to 1000).") var limit = 50
        @Option(name: .long, help: "The node whose log it is (default: the one that is asked).") var node: String?
        @Option(name: .long, help: "Only entries that match: words, term=7, kind=configuration, bytes>1000, state=appended.") var filter:
            String?
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let node { try RaftLogCommands.check(node) }
            guard (1...1000).contains(limit) else { throw ValidationError("--limit must be 1 to 1000") }
            guard from.map({ (1...(1 << 62)).contains($0) }) ?? true else { throw ValidationError("--from is a log index, from 1 on") }
            guard from == nil || filter == nil else {
                throw ValidationError(
                    "--from goes through the log upwards, and --filter looks through its newest entries: leave one of them out")
            }
        }

        @concurrent
        func run() async throws {
            let window = filter == nil ? nil : "0:\(limit)"
            let answer = try await common.client.get(
                "/api/v1/raft/log",
                [
                    ("from", from.map(String.init)), ("limit", filter == nil ? String(limit) : nil), ("node", node), ("filter", filter),
                    ("window", window),
                ])
            common.print(answer["items"]?.list ?? [], RaftLogCommands.columns, name: "index", empty: "no entry is there, or none matches")
            if let next = answer["next"]?.int { Session.current.note("more: --from \(next)\n") }
        }
    }

    /// `distric raft log diff`.
    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The first entry in which the logs of two nodes differ. Exits 1 when they do.",
            discussion: """
                Compared is what both keep, by the hash over all entries up to one. That entries which are not committed yet differ is no fault:
                those of the leader take the place of the others.

                  distric raft log diff c-1 c-3
                """)
        @Argument(help: "A node.") var one: String
        @Argument(help: "Another node.") var other: String
        @Option(name: .long, help: "Look at nothing before this index.") var from: UInt64?
        @OptionGroup var common: CommonOptions

        func validate() throws {
            try RaftLogCommands.check(one)
            try RaftLogCommands.check(other)
            guard !sameBytes(one, other) else { throw ValidationError("'\(one)' is one node: name two") }
        }

        @concurrent
        func run() async throws {
            let client = try common.client
            let difference = LogDifference(one, other) { node, from, limit in
                try await client.get("/api/v1/raft/log", [("node", node), ("from", from.map(String.init)), ("limit", String(limit))])
            }
            let ends = (try await difference.ends(of: one), try await difference.ends(of: other))
            try tell(try await difference.find(ends.0, ends.1, from: max(1, from ?? 1)), ends)
        }

        private func tell(_ verdict: LogDifference.Verdict, _ ends: (LogDifference.Ends, LogDifference.Ends)) throws {
            let kept = "\(one) keeps \(ends.0.first) to \(ends.0.last), \(other) keeps \(ends.1.first) to \(ends.1.last)"
            switch verdict {
            case .same(let first, let last):
                show(["same": true, "from": Value(first), "through": Value(last)], [])
                guard common.isForPeople else { return }
                Session.current.out("the logs of \(one) and \(other) are the same from entry \(first) to \(last)\n")
                Session.current.note("\(kept)\n")
            case .parts(let index, let ours, let theirs):
                show(["same": false, "differsAt": Value(index)], [ours, theirs])
                let areCommitted = [ours, theirs].allSatisfy { $0["committed"]?.bool == true }
                let advice =
                    areCommitted
                    ? "both are committed, which must never be: stop both nodes, keep their folders, and look with 'distric raft log verify'"
                    : "they are not committed on both: what the leader has takes the place of the other"
                throw CommandFailure(.failed, "the logs of \(one) and \(other) differ from entry \(index) on; \(advice)")
            case .nothingInCommon:
                show(["same": .null], [])
                throw CommandFailure(.failed, "there is no entry that both keep: \(kept)")
            }
        }

        private func show(_ verdict: Value, _ entries: [Value]) {
            let rows = zip([one, other], entries).map { node, entry -> Value in
                guard case .map(var fields) = entry else { return entry }
                fields["node"] = .string(node)
                return .map(fields)
            }
            guard common.isForPeople else {
                guard case .map(var fields) = verdict else { return }
                (fields["one"], fields["other"], fields["entries"]) = (.string(one), .string(other), .list(rows))
                return common.print(.map(fields), name: "differsAt")
            }
            guard !rows.isEmpty else { return }
            Session.current.out(common.rendering.rows(rows, [Column("NODE", "node")] + RaftLogCommands.columns, name: "node"))
        }
    }
}

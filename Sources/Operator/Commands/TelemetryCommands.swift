package import ArgumentParser
import Cells
import Foundation
import Primitives
import Text

/// `distric logs`.
package struct Logs: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "The node's own log lines, and what is logged.", subcommands: [Tail.self, Level.self],
        defaultSubcommand: Tail.self)
    package init() {}

    struct Tail: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The newest lines of the node's log, as it keeps them.",
            discussion: "  distric logs --level warning\n  distric logs tail -f --filter 'label:raft !snapshot'")
        @OptionGroup var common: CommonOptions
        @OptionGroup var list: ListOptions
        @Flag(name: [.customShort("f"), .long], help: "Go on as lines come, until interrupted.") var follow = false
        @Option(name: .long, help: "The least level: trace, debug, info, notice, warning, error or critical.") var level: String?
        @Option(name: .long, help: "Only lines that match, as in the console: words, /regex/, !not, label:raft.") var filter: String?
        private static let columns = [
            Column("TIME", "time"), Column("LEVEL", "level"), Column("LABEL", "label"), Column("MESSAGE") { TableScreen.message($0) },
        ]

        @concurrent
        func run() async throws {
            let query: [(String, String?)] = [("limit", String(list.limit)), ("level", level), ("filter", filter)]
            guard follow else {
                let answer = try await common.client.get("/api/v1/logs", query)
                return common.print(
                    answer["items"]?.list ?? [], Self.columns, name: "seq", empty: "no line\(filter == nil ? " yet" : " matches")")
            }
            try await common.client.stream("/api/v1/logs", query + [("watch", "true")], beats: true) { line in
                guard line.hasPrefix("data: "), let value = try? JSONScanner.parse(line.dropFirst(6).utf8) else { return }
                for item in value["items"]?.list ?? [] {
                    Session.current.out(
                        common.output == .json || common.output == .jsonl
                            ? JSONWriter.text(item) + "\n"
                            : Self.columns.map { PlainText.oneLine($0.text(item)) }.joined(separator: "  ") + "\n")
                }
                if let missed = value["missed"]?.int, missed > 0 {
                    Session.current.note("(\(missed) lines came too fast and are not shown)\n")
                }
            }
        }
    }

    struct Level: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what is logged, by label, or change it while the node runs.",
            discussion: """
                A level is for a label and those under it (raft is for raft.storage too); 'default' is for all that have none of their own,
                and LABEL=default takes a label's own away. What is changed lasts until the node stops; log.levels in its settings lasts.

                  distric logs level
                  distric logs level raft=debug http.requests=debug
                  distric logs level raft=default default=warning
                """)
        @Argument(help: "LABEL=LEVEL; without one the levels are shown.") var changes: [String] = []
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            var wanted = Fields()
            for change in changes {
                guard let mark = change.lastIndex(of: "="), mark > change.startIndex else {
                    throw CommandFailure(.usage, "'\(change)' is no change of a level: write LABEL=LEVEL, as raft=debug")
                }
                let (label, level) = (String(change[..<mark]), String(change[change.index(after: mark)...]))
                wanted[label] = level == "default" ? .null : .string(level)
            }
            let client = try common.client
            let answer =
                try await changes.isEmpty
                ? client.get("/api/v1/logs/levels") : client.post("/api/v1/logs/levels", body: .map(wanted))
            let standard: Value = ["label": "default", "level": answer["default"] ?? .null, "own": true]
            common.print(
                [standard] + (answer["items"]?.list ?? []),
                [Column("LABEL", "label"), Column("LEVEL", "level"), Column("FROM") { $0["own"]?.bool == true ? "own" : "default" }],
                name: "label", empty: "no label")
        }
    }
}

/// `distric metrics`.
package struct Metrics: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "metrics", abstract: "The node's metrics.", subcommands: [Show.self, Top.self], defaultSubcommand: Show.self)
    package init() {}

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Metrics in Prometheus text; with a word, only those whose name holds it.")
        @Argument(help: "Part of a metric's name.") var word: String?
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let client = try common.client
            let answer = try client.checked(try await client.send("GET", "/metrics"))
            let lines = String(decoding: answer.bytes, as: UTF8.self).split(separator: "\n")
            for line in lines where word.map({ line.contains($0) }) ?? true { Session.current.out("\(line)\n") }
        }
    }

    struct Top: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What moves most: counters and histograms by their rate over the last ten seconds.",
            discussion: "  distric metrics top --limit 10\n  distric metrics top http -o json      (in the shell: \\watch metrics top)")
        @Argument(help: "Part of a metric's name.") var word: String?
        @OptionGroup var common: CommonOptions
        @OptionGroup var list: ListOptions

        @concurrent
        func run() async throws {
            let answer = try await common.client.get("/api/v1/metrics/recent", [("points", "30")])
            func rate(_ row: Value) -> Double { row["rate"]?.number ?? 0 }
            let moving = (answer["items"]?.list ?? []).filter { row in
                row["rate"] != nil && row["rate"] != .null && (word.map { row["id"]?.string?.contains($0) == true } ?? true)
            }
            let top = moving.sorted { (rate($0), $1["id"]?.string ?? "") > (rate($1), $0["id"]?.string ?? "") }.prefix(list.limit)
            common.print(
                Array(top),
                [
                    Column("METRIC", "id"), Column("RATE/S") { Self.short($0["rate"]) },
                    Column("TREND") { Self.trend($0) },
                    Column("P50 ms") { Self.milliseconds($0["p50"], $0) }, Column("P99 ms") { Self.milliseconds($0["p99"], $0) },
                    Column("TOTAL", "value"),
                ], empty: word.map { "no counter or histogram has '\($0)' in its name" } ?? "no metric yet")
        }

        /// The last half minute; in characters that every terminal has.
        private static func trend(_ row: Value) -> String {
            let numbers = (row["recent"]?.list ?? []).map { $0.number ?? 0 }
            let most = max(numbers.max() ?? 0, 0.000_001)
            let marks = Glyphs.sparkline(numbers.map { $0 / most }, width: 30, level: .ascii)
            return String(String.UnicodeScalarView(marks.compactMap(Unicode.Scalar.init)))
        }

        private static func short(_ value: Value?) -> String { String(format: "%.1f", value?.number ?? 0) }

        private static func milliseconds(_ value: Value?, _ row: Value) -> String {
            guard let seconds = value?.number, row["name"]?.string?.hasSuffix("_seconds") == true else { return "" }
            return String(format: "%.2f", seconds * 1000)
        }
    }
}

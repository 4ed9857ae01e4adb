package import ArgumentParser
import Foundation
import Primitives
import Text

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
                are accepted all the same.

                  distric messages submit orders.ndjson
                  echo '{"type":"order.created","data":{"amount":42}}' | distric messages submit -
                """)
        @Argument(help: "A file, or - for standard input.") var file: String
        @OptionGroup var common: CommonOptions

        @Option(name: .long, help: "Messages a second at most; 0 for no limit.") var rate: Int = 0

        func validate() throws { guard rate >= 0 else { throw ValidationError("--rate must not be negative") } }

        @concurrent
        func run() async throws {
            let lines = try MessageLines.read(file)
            guard !lines.isEmpty else { throw CommandFailure(.badData, "\(file): no message in it") }
            var submission = Submission(client: try common.client, namespace: common.namespace, total: lines.count, file: file)
            do {
                try await submission.run(lines, rate: rate)
            } catch let failure as CommandFailure {
                let place = submission.nextLine(of: lines).map { "; go on from \(file):\($0)" } ?? ""
                throw CommandFailure(failure.code, "\(failure.message)\n\(submission.sentence)\(place)")
            }
            let summary = submission.summary
            if common.output == .table || common.output == .wide {
                Session.current.out(submission.sentence + "\n")
            } else {
                common.print(summary)
            }
            if submission.refused > 0 {
                throw CommandFailure(submission.worst, "\(submission.refused) of \(lines.count) messages were not accepted")
            }
        }
    }
}

/// A file's messages with the lines they begin at.
enum MessageLines {
    struct Line {
        var number: Int
        var bytes: [UInt8]
    }

    static func read(_ file: String) throws -> [Line] {
        let data: Data
        if file == "-" {
            data = Data(try Session.standardInput())
        } else {
            guard let found = FileManager.default.contents(atPath: file) else { throw CommandFailure(.failed, "cannot read \(file)") }
            data = found
        }
        let bytes = [UInt8](data.starts(with: [0xEF, 0xBB, 0xBF]) ? data.dropFirst(3) : data)
        if let whole = whole(bytes) { return whole }
        var lines: [Line] = []
        for (number, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            guard line.contains(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) else { continue }
            lines.append(Line(number: number + 1, bytes: Array(line)))
        }
        return lines
    }

    /// A file that is one JSON text over several lines, or a list.
    private static func whole(_ bytes: [UInt8]) -> [Line]? {
        guard let first = bytes.first(where: { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }),
            first == UInt8(ascii: "[") || first == UInt8(ascii: "{")
        else {
            return nil
        }
        guard let value = try? JSONScanner.parse(bytes) else { return nil }
        if let items = value.list { return items.map { Line(number: 1, bytes: JSONWriter.bytes($0)) } }
        return [Line(number: 1, bytes: JSONWriter.bytes(value))]
    }
}

/// A submission under way: batches of lines, retried while the node is busy, counted by what became of them.
struct Submission {
    private static let batchItems = 200
    private static let batchBytes = 4 << 20
    private static let busyTries = 20

    let client: NodeClient
    let namespace: String?
    let total: Int
    let file: String
    private(set) var accepted = 0
    private(set) var duplicates = 0
    private(set) var unmatched = 0
    private(set) var refused = 0
    private(set) var runs = 0
    private(set) var worst = CommandFailure.Code.failed
    private let began = Date()
    private var lastShown = Date.distantPast

    init(client: NodeClient, namespace: String?, total: Int, file: String) {
        self.client = client
        self.namespace = namespace
        self.total = total
        self.file = file
    }

    private var done: Int { accepted + duplicates + unmatched + refused }
    private var seconds: Double { max(0.001, Date().timeIntervalSince(began)) }

    var sentence: String {
        let rate = Int(Double(done) / seconds)
        return
            "\(accepted) accepted (\(runs) runs), \(unmatched) unmatched, \(duplicates) duplicate, \(refused) refused in \(String(format: "%.2f", seconds)) s, \(rate)/s"
    }

    var summary: Value {
        [
            "accepted": Value(accepted), "runs": Value(runs), "unmatched": Value(unmatched), "duplicate": Value(duplicates),
            "refused": Value(refused),
            "seconds": .double(seconds),
        ]
    }

    /// The first line of which nothing is known yet; nil when all are done.
    func nextLine(of lines: [MessageLines.Line]) -> Int? { done < lines.count ? lines[done].number : nil }

    mutating func run(_ lines: [MessageLines.Line], rate: Int) async throws {
        var rest = lines[...]
        while !rest.isEmpty {
            var batch: [MessageLines.Line] = []
            var bytes = 0
            let items = rate > 0 ? min(Self.batchItems, max(1, rate / 10)) : Self.batchItems
            while let line = rest.first, batch.count < items, batch.isEmpty || bytes + line.bytes.count < Self.batchBytes {
                batch.append(line)
                bytes += line.bytes.count + 1
                rest = rest.dropFirst()
            }
            try await send(batch)
            show(isLast: rest.isEmpty)
            if rate > 0 {
                let due = Double(done) / Double(rate) - seconds
                if due > 0 { try await Task.sleep(for: .seconds(due)) }
            }
        }
    }

    private mutating func send(_ batch: [MessageLines.Line]) async throws {
        let body = Array(batch.map(\.bytes).joined(separator: [0x0A]))
        for attempt in 1...Self.busyTries {
            let answer = try await client.send(
                "POST", "/api/v1/messages", [("namespace", namespace)], body: body, type: "application/x-ndjson")
            if answer.status == 503 || answer.status == 429, attempt < Self.busyTries {
                try await Task.sleep(for: .milliseconds(100 * attempt))
                continue
            }
            guard answer.status == 200, let items = answer.value["items"]?.list, items.count == batch.count else {
                throw NodeClient.refusal(answer)
            }
            for (line, item) in zip(batch, items) { count(line, item) }
            return
        }
    }

    private mutating func count(_ line: MessageLines.Line, _ item: Value) {
        switch item["status"]?.int {
        case 202:
            if item["duplicate"]?.bool == true { duplicates += 1 } else { accepted += 1 }
            runs += item["duplicate"]?.bool == true ? 0 : item["runs"]?.list?.count ?? 0
        case 200: unmatched += 1
        case let status:
            refused += 1
            if worst != .badData { worst = status == 503 ? .temporary : .badData }
            clear()
            Session.current.note("\(file):\(line.number): \(item["detail"]?.string ?? "refused")\n")
        }
    }

    /// A bar on a terminal, at most ten times a second.
    private mutating func show(isLast: Bool) {
        guard Session.current.notesAreInteractive, total > 1 else { return }
        if isLast { return clear() }
        guard Date().timeIntervalSince(lastShown) > 0.1 else { return }
        lastShown = Date()
        let width = 30
        let filled = width * done / max(1, total)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
        Session.current.note("\r[\(bar)] \(done)/\(total)  \(Int(Double(done) / seconds))/s")
    }

    private func clear() { if Session.current.notesAreInteractive, total > 1 { Session.current.note("\r\u{1B}[K") } }
}

import ArgumentParser
import Cells
import Foundation
import Glibc
import Operator
import Primitives
import Text

/// `distric-bench console`: what the console costs and how soon it answers, on a real pseudo terminal of 120x40.
struct ConsoleSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console", abstract: "First paint, key to paint, idle cost, bytes a frame, cost for the node, many consoles.",
        discussion: "Cases: paint, keys, idle, frame, node, many, layout. Without --case all of them.")
    @Option(name: .customLong("case"), help: "Only this case.") var only: String?
    @Flag(name: .long, help: "A JSON object a line.") var json = false
    @Option(name: .long, help: "Seconds that each observation lasts.") var seconds: Double = 10
    @Option(name: .long, help: "Open runs, each with one task.") var rows: Int = 10_000

    private var report: Report { Report(suite: "console", json: json) }
    private static let cases = ["paint", "keys", "idle", "frame", "node", "many", "layout"]

    @concurrent
    func run() async throws {
        for name in only.map({ [$0] }) ?? Self.cases {
            switch name {
            case "paint": try firstPaint()
            case "keys": try keyToPaint()
            case "idle": try idle()
            case "frame": try frame()
            case "node": try costForNode()
            case "many": try manyConsoles()
            case "layout": layout()
            default: throw ValidationError("no case '\(name)': \(Self.cases.joined(separator: ", "))")
            }
        }
    }

    // MARK: Surroundings

    private static let definitions: Value = [
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "long"],
            "tasks": ["sleep": ["use": "wait@1", "with": ["duration": "1h"]]],
        ],
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "short"],
            "tasks": ["only": ["use": "transform@1", "with": ["value": 1]]],
        ],
        [
            "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "bench"],
            "rules": [
                ["id": "long", "when": ["field": "type", "operator": "equals", "value": "long"], "actions": [["workflow": "long"]]],
                ["id": "short", "when": ["field": "type", "operator": "equals", "value": "short"], "actions": [["workflow": "short"]]],
            ],
        ],
    ]

    private static func message(_ number: Int, _ type: String) -> [UInt8] {
        Array(#"{"id":"\#(type)-\#(number)","source":"/bench","type":"\#(type)","data":{"n":\#(number)}}"#.utf8)
    }

    private func node(rows: Int) throws -> BenchNode {
        let node = try BenchNode()
        _ = try node.post("/api/v1/workflows", Self.definitions)
        var sent = 0
        _ = try LoadClient(port: node.port, connections: 1).run(seconds: 600) { _ in
            guard sent < rows else { return nil }
            let lines = (sent..<min(rows, sent + 500)).map { Self.message($0, "long") }
            sent += lines.count
            return LoadClient.request("POST", "/api/v1/messages", Array(lines.joined(separator: [0x0A])), type: "application/x-ndjson")
        }
        return node
    }

    private func console(_ node: BenchNode, view: String = "pulse") throws -> PseudoTerminal {
        let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "distric").path(
            percentEncoded: false)
        return try PseudoTerminal(
            program, ["console", "--connect", "http://127.0.0.1:\(node.port)", "--view", view], columns: 120, rows: 40)
    }

    /// Ten messages a second until it is told to stop.
    private final class Trickle: @unchecked Sendable {
        private var isOver = false

        init(port: Int) {
            Thread { [self] in
                var number = 0
                while !isOver {
                    number += 1
                    _ = try? LoadClient.once(port, "POST", "/api/v1/messages", ConsoleSuite.message(10_000_000 + number, "long"))
                    usleep(100_000)
                }
            }.start()
        }

        func stop() { isOver = true }
    }

    // MARK: Cases

    /// From starting the program to its first frame, and to its first frame with data.
    private func firstPaint() throws {
        let node = try node(rows: 100)
        defer { node.stop() }
        var (frames, data): ([Double], [Double]) = ([], [])
        for _ in 0..<10 {
            let console = try console(node)
            guard let frame = console.wait(for: "distric", seconds: 10) else { throw PseudoTerminal.Failed(what: "no frame") }
            frames.append((frame - console.startedAt) * 1000)
            guard let live = console.wait(for: "LIVE", seconds: 10) else { throw PseudoTerminal.Failed(what: "no data") }
            data.append((live - console.startedAt) * 1000)
            console.stop()
        }
        report.figure("first-paint", "p50", Quantiles(frames).at(0.5), "ms")
        report.figure("first-paint", "worst", Quantiles(frames).at(1), "ms")
        report.figure("first-data", "p50", Quantiles(data).at(0.5), "ms")
    }

    /// From a key to the first byte of its frame, while rows change ten times a second.
    private func keyToPaint() throws {
        let node = try node(rows: rows)
        defer { node.stop() }
        let trickle = Trickle(port: node.port)
        defer { trickle.stop() }
        let console = try console(node, view: "tasks")
        defer { console.stop() }
        guard console.wait(for: "LIVE", seconds: 10) != nil else { throw PseudoTerminal.Failed(what: "no data") }
        usleep(1_000_000)
        var times: [Double] = []
        var number = 0
        while times.count < 400 {
            while console.read(waiting: 0) > 0 {}
            let key = number % 40 < 20 ? "j" : "k"
            number += 1
            let began = LoadClient.now()
            console.send(key)
            guard console.read(waiting: 2) > 0 else { throw PseudoTerminal.Failed(what: "no frame for a key") }
            times.append((LoadClient.now() - began) * 1000)
            usleep(UInt32.random(in: 5000...25_000))
        }
        report.figure("keys-\(rows)", "p50", Quantiles(times).at(0.5), "ms")
        report.figure("keys-\(rows)", "p99", Quantiles(times).at(0.99), "ms")
    }

    /// With clock and ages running and nothing to do.
    private func idle() throws {
        let node = try node(rows: 100)
        defer { node.stop() }
        for view in ["pulse", "tasks"] {
            let console = try console(node, view: view)
            defer { console.stop() }
            guard console.wait(for: "LIVE", seconds: 10) != nil else { throw PseudoTerminal.Failed(what: "no data") }
            // Rates over the last ten seconds come to rest.
            let settled = LoadClient.now() + 15
            while LoadClient.now() < settled { console.read(waiting: 0.05) }
            let (bytes, cpu, began) = (console.bytes, cpuSeconds(of: console.process.processIdentifier), LoadClient.now())
            while LoadClient.now() - began < seconds { console.read(waiting: 0.1) }
            let took = LoadClient.now() - began
            report.figure("idle-\(view)", "cpu", (cpuSeconds(of: console.process.processIdentifier) - cpu) / took * 100, "% of a core")
            report.figure("idle-\(view)", "terminal", Double(console.bytes - bytes) / took, "B/s")
        }
    }

    /// A page of other rows.
    private func frame() throws {
        let node = try node(rows: 1000)
        defer { node.stop() }
        let console = try console(node, view: "tasks")
        defer { console.stop() }
        guard console.wait(for: "LIVE", seconds: 10) != nil else { throw PseudoTerminal.Failed(what: "no data") }
        usleep(1_500_000)
        console.settle(0.2)
        var sizes: [Double] = []
        for turn in 0..<10 {
            let before = console.bytes
            console.send(turn % 2 == 0 ? "\u{1B}[6~" : "\u{1B}[5~")
            let end = LoadClient.now() + 0.25
            while LoadClient.now() < end { console.read(waiting: 0.02) }
            sizes.append(Double(console.bytes - before))
        }
        report.figure("frame-page", "bytes", Quantiles(sizes).at(0.5), "B")
    }

    /// CPU and bytes that one console takes of the node, with rows that change ten times a second.
    private func costForNode() throws {
        let node = try node(rows: rows)
        defer { node.stop() }
        let trickle = Trickle(port: node.port)
        defer { trickle.stop() }
        /// Percent of a core that the node took while the console was read, or while there was none.
        func cpu(_ console: PseudoTerminal?) -> Double {
            let (before, began) = (cpuSeconds(of: node.process.processIdentifier), LoadClient.now())
            while LoadClient.now() - began < seconds {
                if let console { console.read(waiting: 0.1) } else { usleep(100_000) }
            }
            return (cpuSeconds(of: node.process.processIdentifier) - before) / (LoadClient.now() - began) * 100
        }
        // The first seconds after ten thousand runs are not like the others.
        usleep(5_000_000)
        for view in ["pulse", "tasks", "runs"] {
            var (alone, more, bytes): ([Double], [Double], [Double]) = ([], [], [])
            for _ in 0..<Self.nodeTurns {
                let before = cpu(nil)
                let console = try console(node, view: view)
                guard console.wait(for: "LIVE", seconds: 10) != nil else { throw PseudoTerminal.Failed(what: "no data") }
                let settled = LoadClient.now() + 2
                while LoadClient.now() < settled { console.read(waiting: 0.05) }
                let watched = try watchBytes(node)
                let with = cpu(console)
                bytes.append(Double(try watchBytes(node) - watched) / seconds)
                console.stop()
                usleep(500_000)
                let after = cpu(nil)
                // What lies between two readings without it drifts less than one reading from the next.
                alone.append((before + after) / 2)
                more.append(with - (before + after) / 2)
            }
            report.figure("node-alone-\(view)", "cpu", Quantiles(alone).at(0.5), "% of a core")
            report.figure("node-with-\(view)", "cpu-more", Quantiles(more).at(0.5), "% of a core")
            report.figure("node-with-\(view)", "cpu-more-least", Quantiles(more).at(0), "% of a core")
            report.figure("node-with-\(view)", "cpu-more-most", Quantiles(more).at(1), "% of a core")
            report.figure("node-with-\(view)", "bytes", Quantiles(bytes).at(0.5), "B/s")
        }
    }

    /// How often a console is attached, so that the middle one of the differences stands for them.
    private static let nodeTurns = 5

    private func watchBytes(_ node: BenchNode) throws -> Int {
        let text = String(decoding: try LoadClient.once(node.port, "GET", "/metrics", []), as: UTF8.self)
        let line = text.split(separator: "\n").first { $0.hasPrefix("distric_watch_bytes_total ") }
        return Int(Double(line?.split(separator: " ").last ?? "0") ?? 0)
    }

    /// What twenty consoles do to the time until a message is acknowledged.
    private func manyConsoles() throws {
        let node = try node(rows: 1000)
        defer { node.stop() }
        func load(_ offset: Int) throws -> Quantiles {
            var client = LoadClient(port: node.port, connections: 16)
            client.rate = 500
            return Quantiles(
                try client.run(seconds: seconds) { LoadClient.request("POST", "/api/v1/messages", Self.message(offset + $0, "short")) }
                    .latencies)
        }
        _ = try load(20_000_000)
        let without = try load(30_000_000)
        var consoles: [PseudoTerminal] = []
        for number in 0..<20 { consoles.append(try console(node, view: ["pulse", "tasks", "runs", "events"][number % 4])) }
        for console in consoles { _ = console.wait(for: "LIVE", seconds: 20) }
        let reading = Reading(consoles)
        let with = try load(40_000_000)
        reading.stop()
        for console in consoles { console.stop() }
        for (name, quantiles) in [("ack-alone", without), ("ack-20-consoles", with)] {
            report.figure(name, "p50", quantiles.at(0.5) * 1000, "ms")
            report.figure(name, "p99", quantiles.at(0.99) * 1000, "ms")
        }
    }

    /// A graph of 200 tasks drawn, a trace of 10,000 spans folded.
    private func layout() {
        var tasks: [(name: String, state: String, duration: Double, dependencies: [String])] = []
        for place in 0..<200 {
            let layer = place / 10 * 10
            let before: [Int] = place < 10 ? [] : [place * 7 % layer, place - 10]
            tasks.append(("task-\(place)", "succeeded", Double(place % 17), before.map { "task-\($0)" }))
        }
        let spans = (0..<10_000).map { Self.span($0) }
        func time(_ name: String, _ work: () -> Int) {
            var times: [Double] = []
            for _ in 0..<20 {
                let began = LoadClient.now()
                precondition(work() > 0, "\(name) drew nothing")
                times.append((LoadClient.now() - began) * 1000)
            }
            report.figure(name, "p50", Quantiles(times).at(0.5), "ms")
            report.figure(name, "worst", Quantiles(times).at(1), "ms")
        }
        time("graph-200-tasks") { TaskGraph(tasks)?.drawn(theme: .plain, level: .braille, selected: nil).width ?? 0 }
        // Folded, and a page of its middle made.
        time("trace-10000-spans") { SpanTree.rows(spans).dropFirst(5000).prefix(60).map { $0["depth"]?.int ?? 0 }.count }
        time("trace-10000-spans-all") { SpanTree.rows(spans).map { $0 }.count }
    }

    private static func span(_ number: Int) -> Value {
        let start = ClusterTime(milliseconds: 1_790_000_000_000 + UInt64(number)).rfc3339
        return .object([
            "spanId": .string(String(number)), "parentId": .string(String(number / 4)), "name": .string("task \(number % 90)"),
            "start": .string(start), "durationMs": Value(10_000 - number),
        ])
    }

    /// Keeps terminals from filling up.
    private final class Reading: @unchecked Sendable {
        private var isOver = false
        private var hasEnded = false

        init(_ consoles: [PseudoTerminal]) {
            Thread { [self] in
                while !isOver {
                    for console in consoles { console.read(waiting: 0) }
                    usleep(20_000)
                }
                hasEnded = true
            }.start()
        }

        func stop() {
            isOver = true
            while !hasEnded { usleep(1000) }
        }
    }
}

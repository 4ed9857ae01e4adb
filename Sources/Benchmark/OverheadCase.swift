import Foundation
import Primitives
import Text

/// What share of a loaded node's instructions goes into telling of itself: one scripted load under callgrind, and once without it.
struct OverheadCase {
    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    let messages: Int
    /// Valgrind 3.19 reads no DWARF 5: a node built with `-Xswiftc -dwarf-version=4 -Xcc -gdwarf-4`.
    let program: String?
    let report: Report

    private static let updates = ["Counter", "Distribution", "Histogram", "MetricsRegistry", "Scale", "LibraryMetrics"]
    private static let logging = ["LogChannel", "LogRing", "LogSink", "LogLevels", "LogFile", "LineBuffer", "JSONLogHandler"]
    private static let tracing = ["SpanStore", "RecordedSpan", "SpanTracer", "SpanQueue", "OTLPEncoding"]

    private static let definitions: Value = [
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "overhead"],
            "tasks": ["only": ["use": "transform@1", "with": ["value": 1]]],
        ],
        [
            "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "overhead"],
            "rules": [
                [
                    "id": "start", "when": ["field": "type", "operator": "equals", "value": "started"],
                    "actions": [["workflow": "overhead"]],
                ]
            ],
        ],
    ]

    /// Valgrind 3.19 writes into the mask that sigsuspend is given, and libdispatch's lies where nothing may be written.
    private static let shim = """
        #define _GNU_SOURCE
        #include <signal.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        int sigsuspend(const sigset_t *mask) { sigset_t own = *mask; return syscall(SYS_rt_sigsuspend, &own, 8); }
        """

    func run() throws {
        for tool in ["valgrind", "callgrind_control", "clang"] where Self.path(tool) == nil {
            throw Failed(description: "the case overhead needs \(tool): apt-get install \(tool == "clang" ? tool : "valgrind")")
        }
        let native = try load([], counts: { _, _ in })
        let place = FileManager.default.temporaryDirectory.appending(path: "distric-callgrind-\(ProcessInfo.processInfo.processIdentifier)")
            .path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        try Data(Self.shim.utf8).write(to: URL(filePath: place + "/shim.c"))
        try Self.tool(["clang", "-shared", "-fPIC", "-o", place + "/shim.so", place + "/shim.c"])
        let out = place + "/out"
        let wrapper = [
            "LD_PRELOAD=\(place)/shim.so", "valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=\(out)",
        ]
        let slow = try load(wrapper) { node, isOn in
            try Self.tool(["callgrind_control", "-i", isOn ? "on" : "off", String(node.process.processIdentifier)])
        }
        guard let text = try? String(contentsOfFile: out, encoding: .utf8) else { throw Failed(description: "callgrind left nothing") }
        let profile = CallgrindProfile(text)
        guard profile.stated == profile.total else {
            throw Failed(description: "callgrind says \(profile.stated ?? 0) instructions, its lines \(profile.total)")
        }
        func share(_ files: [String], _ more: [String] = []) -> Double {
            100
                * Double(
                    profile.cost { file in
                        files.contains { file.hasSuffix("Observability/\($0).swift") } || more.contains { file.contains($0) }
                    }) / Double(max(1, profile.total))
        }
        report.figure("overhead", "instructions", Double(profile.total) / 1e6, "million")
        report.figure("overhead", "instructions-per-message", Double(profile.total) / Double(messages), "instructions")
        // Once a second of real time, of which the load has far more under callgrind; what it calls is among the files of the others.
        let sampled = share(["MetricsHistory"])
        report.figure("overhead", "metrics", share(Self.updates + ["MetricsHistory"], ["threadslot.c"]) - sampled, "% of instructions")
        report.figure("overhead", "metrics-sampled-each-second", sampled * native / slow, "% of instructions")
        report.figure("overhead", "logging", share(Self.logging, ["swift-log/Sources"]), "% of instructions")
        report.figure("overhead", "tracing", share(Self.tracing), "% of instructions")
        report.figure("overhead", "wall-time", native, "s")
        report.figure("overhead", "wall-time-callgrind", slow, "s")
    }

    /// Seconds for the load; every message starts a run, of which one task is run.
    private func load(_ wrapper: [String], counts: (BenchNode, Bool) throws -> Void) throws -> Double {
        let node = try BenchNode(["--set", "log.level=info"], under: wrapper, program: program)
        defer { node.stop() }
        _ = try node.post("/api/v1/workflows", Self.definitions)
        try counts(node, true)
        let outcome = try LoadClient(port: node.port, connections: 16).run(seconds: 600) { number in
            guard number < messages else { return nil }
            return LoadClient.request(
                "POST", "/api/v1/messages", Array(#"{"id":"o-\#(number)","type":"started","data":{"n":\#(number)}}"#.utf8))
        }
        try counts(node, false)
        guard outcome.failures == 0 else { throw Failed(description: "\(outcome.failures) messages were refused") }
        return outcome.seconds
    }

    private static func tool(_ command: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failed(description: "\(command[0]) ended with \(process.terminationStatus)") }
    }

    private static func path(_ tool: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(tool)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}

/// What callgrind counted, as its format says (https://valgrind.org/docs/manual/cl-format.html); one event, by lines.
struct CallgrindProfile {
    private struct Entry {
        /// Where the function begins, and where the line stands: they differ in what was inlined.
        var function: Int
        var file: Int
        /// The file of what is called; nil for the cost of the line itself.
        var callee: Int?
        var cost: UInt64
    }

    private var files: [Int: String] = [:]
    private var entries: [Entry] = []
    /// Instructions of all there is.
    private(set) var total: UInt64 = 0
    /// What the file itself says that they are.
    private(set) var stated: UInt64?

    init(_ text: String) {
        var (function, file) = (0, 0)
        var (called, calledFile) = (0, 0)
        var isCall = false
        /// By the function's number: where it begins, known only once it was seen.
        var homes: [Int: Int] = [:]
        for line in text.split(separator: "\n") {
            if line.hasPrefix("totals: ") { stated = UInt64(line.dropFirst(8)) }
            let isCost = line.utf8.first.map { (48...57).contains($0) || $0 == 0x2B || $0 == 0x2D || $0 == 0x2A } ?? false
            guard isCost else {
                guard let mark = line.firstIndex(of: "=") else { continue }
                let (key, value) = (line[..<mark], line[line.index(after: mark)...])
                switch key {
                case "fl":
                    function = named(value)
                    file = function
                case "fi", "fe": file = named(value)
                case "cfi", "cfl": calledFile = named(value)
                case "fn": homes[Self.number(value)] = function
                case "cfn": called = Self.number(value)
                case "calls": isCall = true
                default: break
                }
                continue
            }
            let parts = line.split(separator: " ")
            guard parts.count == 2, let cost = UInt64(parts[1]) else { continue }
            if isCall {
                if homes[called] == nil { homes[called] = calledFile == 0 ? function : calledFile }
                entries.append(Entry(function: function, file: file, callee: homes[called], cost: cost))
                (isCall, calledFile) = (false, 0)
            } else {
                entries.append(Entry(function: function, file: file, callee: nil, cost: cost))
                total += cost
            }
        }
    }

    private static func number(_ text: Substring) -> Int { Int(text.dropFirst().prefix { $0 != ")" }) ?? 0 }

    /// `(12) path` the first time, `(12)` from then on.
    private mutating func named(_ text: Substring) -> Int {
        let number = Self.number(text)
        if let space = text.firstIndex(of: " ") { files[number] = String(text[text.index(after: space)...]) }
        return number
    }

    /// Instructions of what stands in these files, inlined or not, with all that it calls elsewhere.
    func cost(in isWanted: (String) -> Bool) -> UInt64 {
        let wanted = Set(files.filter { isWanted($0.value) }.keys)
        return entries.reduce(0) { sum, entry in
            guard wanted.contains(entry.function) || wanted.contains(entry.file) else { return sum }
            // What is called and wanted counts by itself.
            if let callee = entry.callee, wanted.contains(callee) { return sum }
            return sum + entry.cost
        }
    }
}

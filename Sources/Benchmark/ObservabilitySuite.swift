import ArgumentParser
import CoreMetrics
import Foundation
import Glibc
import Logging
import Observability
import Primitives
import Synchronization

/// `distric-bench observability`: what it costs to count, time, log and trace, and to tell of it.
struct ObservabilitySuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "observability", abstract: "Counters, histograms, /metrics, log lines, spans.",
        discussion: """
            Cases: metrics, scrape, logs, spans; without --case all of these, each figure the median of five turns.
            Beside them prometheus-cpp and spdlog, where prometheus-cpp-dev, libspdlog-dev and pkg-config are installed.
            overhead: the share of a loaded node's instructions, by valgrind, which must be able to read the debug information. --soak: whether a node grows under load.

              swift build -c release --scratch-path .build-callgrind --product distric -Xswiftc -dwarf-version=4 -Xcc -gdwarf-4
              distric-bench observability --case overhead --program .build-callgrind/release/distric
              distric-bench observability --soak 3600
            """)
    @Option(name: .customLong("case"), help: "Only this case.") var only: String?
    @Flag(name: .long, help: "A JSON object a line.") var json = false
    @Option(name: .long, help: "Load a node for so many seconds; its memory and descriptors then.") var soak: Double?
    @Option(name: .long, help: "Messages a second of the soak.") var rate: Double = 200
    @Option(name: .long, help: "Messages of the overhead case.") var messages: Int = 3000
    @Option(name: .long, help: "The distric of the overhead case.") var program: String?

    fileprivate var report: Report { Report(suite: "observability", json: json) }
    private static let cases = ["metrics", "scrape", "logs", "spans"]

    @concurrent
    func run() async throws {
        if let soak {
            guard soak > 0, rate > 0 else { throw ValidationError("--soak and --rate must be more than 0") }
            return try SoakCase(seconds: soak, rate: rate, report: report).run()
        }
        for name in only.map({ [$0] }) ?? Self.cases {
            switch name {
            case "metrics":
                metrics()
                try Yardsticks(report: report).metrics()
            case "scrape": scrape()
            case "logs":
                try logs()
                try Yardsticks(report: report).logs()
            case "spans": try spans()
            case "overhead": try OverheadCase(messages: messages, program: program, report: report).run()
            default: throw ValidationError("no case '\(name)': \(Self.cases.joined(separator: ", ")), overhead")
            }
        }
    }

    // MARK: Metrics

    private func metrics() {
        let registry = MetricsRegistry()
        let counter = registry.counter("bench_total", "Bench")
        let histogram = registry.histogram("bench_seconds", "Bench")
        let bounded = registry.histogram("bench_bounded", "Bench", scale: .bounds([0.001, 0.01, 0.1, 1]))
        let shared = SharedWord()
        let library = CoreMetrics.Counter(label: "bench.library", dimensions: [], factory: LibraryMetrics(registry: registry))
        for threads in [1, 2] {
            let test = "\(threads)-thread\(threads == 1 ? "" : "s")"
            time(test, "counter", threads) { _ in counter.increment() }
            time(test, "counter", threads, who: "one shared atomic") { _ in shared.add() }
            time(test, "counter", threads, who: "swift-metrics, handle kept") { _ in library.increment() }
            time(test, "histogram-log-linear", threads) { histogram.observe(nanoseconds: Int64($0 & 0xFFFFF)) }
            time(test, "histogram-bounds", threads) { bounded.observe(Double($0 & 0x3FF) / 1000) }
            time(test, "look-up-and-increment", threads, calls: 200_000) { _ in
                registry.counter("bench_labels_total", "Bench", ["state": "done", "kind": "exec"]).increment()
            }
        }
    }

    /// Nanoseconds a call, all threads at it at once.
    fileprivate func time(
        _ test: String, _ metric: String, _ threads: Int, who: String = "distric", calls: Int = 5_000_000,
        _ body: @escaping @Sendable (Int) -> Void
    ) {
        let turns = (0..<5).map { _ in Self.nanoseconds(threads: threads, calls: calls, body) }
        report.figure(test, metric, Quantiles(turns).at(0.5), "ns", who: who)
    }

    fileprivate static func nanoseconds(threads: Int, calls: Int, _ body: @escaping @Sendable (Int) -> Void) -> Double {
        let clock = SystemClock()
        let done = DispatchGroup()
        let began = clock.now
        for _ in 0..<threads {
            done.enter()
            Thread.detachNewThread {
                for call in 0..<calls { body(call) }
                done.leave()
            }
        }
        done.wait()
        return Double(clock.now.duration(since: began).nanoseconds) / Double(calls)
    }

    // MARK: Exposition

    /// 10,000 series, a tenth of them histograms, while another thread counts.
    private func scrape() {
        let registry = MetricsRegistry()
        var counters: [Observability.Counter] = []
        for family in 0..<45 {
            for series in 0..<200 { counters.append(registry.counter("bench_\(family)_total", "Bench", ["path": "/api/\(series)"])) }
        }
        for family in 0..<5 {
            for series in 0..<200 {
                let histogram = registry.histogram("bench_\(family)_seconds", "Bench", ["path": "/api/\(series)"])
                for number in 1..<50 { histogram.observe(.microseconds(number * number)) }
            }
        }
        let clock = SystemClock()
        let counting = Counting(counters[0])
        for format in PrometheusText.Format.allCases {
            var bytes = 0
            let turns = (0..<9).map { _ in
                let began = clock.now
                bytes = PrometheusText.render(registry.snapshot, as: format).count
                return clock.now.duration(since: began).seconds * 1000
            }
            let name = format == .prometheus ? "prometheus" : "openmetrics"
            report.figure("scrape-10000-series", name, Quantiles(turns).at(0.5), "ms")
            report.figure("scrape-10000-series", "\(name)-bytes", Double(bytes), "B")
        }
        // The worst of what the counting thread waited for between two looks at its clock, a thousand increments apart.
        report.figure("scrape-10000-series", "longest-stall-of-updates", counting.stop() / 1000, "us")
    }
}

// MARK: Logs

extension ObservabilitySuite {
    /// Lines a second into a file, from the first call until the last line is written.
    private func logs() throws {
        let count = 1_000_000
        for mode in LogSink.Mode.allCases {
            for threads in [1, 2] {
                let test = "\(mode.rawValue)-\(threads)-thread\(threads == 1 ? "" : "s")"
                try lines(test, "swift-log-3-escaped-values", mode, threads, count) { logger, _, number in
                    logger.info(
                        "request answered", metadata: ["path": "/api/v1/\"messages\"", "note": "first\nsecond", "number": "\(number)"])
                }
                try lines(test, "typed-fields", mode, threads, count) { _, channel, number in
                    channel.log(
                        .info, "request answered", .text("path", "/api/v1/\"messages\""), .int("status", 202), .int("number", number))
                }
            }
        }
    }

    private func lines(
        _ test: String, _ metric: String, _ mode: LogSink.Mode, _ threads: Int, _ count: Int,
        _ body: @escaping @Sendable (Logger, LogChannel, Int) -> Void
    ) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "distric-bench-\(UUID().uuidString).log").path(
            percentEncoded: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let clock = SystemClock()
        var (rates, lost): ([Double], UInt64) = ([], 0)
        for _ in 0..<3 {
            let ring = LogRing()
            let rotation = LogFile.Rotation(bytes: .max, age: .seconds(86_400), kept: 0)
            let sink = LogSink(file: try LogFile(path: path, rotation: rotation, clock: clock), queue: mode == .async ? ring : nil)
            let channel = LogChannel(
                label: "bench", level: LogLevels(standard: .info).cell(for: "bench"), sink: sink, clock: clock, ring: ring)
            let logger = Logger(label: "bench") { _ in JSONLogHandler(channel: channel) }
            let began = clock.now
            _ = Self.nanoseconds(threads: threads, calls: count / threads) { body(logger, channel, $0) }
            let called = clock.now.duration(since: began).seconds
            sink.flush(seconds: 30)
            let dropped = ring.dropped.reduce(0) { $0 + $1.counter.count }
            lost = max(lost, dropped)
            rates.append(Double(count) / (dropped == 0 ? clock.now.duration(since: began).seconds : called))
            sink.close()
            truncate(path, 0)
        }
        report.figure(test, metric, Quantiles(rates).at(0.5), "lines/s")
        report.figure(test, metric + "-dropped", Double(lost), "lines")
    }
}

// MARK: Spans

extension ObservabilitySuite {
    /// Start and end of a span with two attributes, of a trace that is recorded and of one that is not.
    private func spans() throws {
        let node = try NodeID("bench")
        for (name, isSampled) in [("sampled", true), ("unsampled", false)] {
            for threads in [1, 2] {
                let store = SpanStore(node: node, clock: SystemClock(), seed: 1, sampling: SpanStore.Sampling(tracesPerSecond: 1))
                let trace = TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: isSampled)
                time("\(threads)-thread\(threads == 1 ? "" : "s")", "span-\(name)", threads, calls: isSampled ? 300_000 : 3_000_000) {
                    number in
                    let span = store.begin("bench", service: "bench", in: trace)
                    store.end(span, ["number": .int(Int64(number)), "kind": "exec@1"])
                }
            }
        }
    }
}

/// A total in one word, as most libraries have it.
private final class SharedWord: Sendable {
    private let word = Atomic<UInt64>(0)
    func add() { word.wrappingAdd(1, ordering: .relaxed) }
}

/// A thread that counts until it is stopped, and its longest wait.
private final class Counting: Sendable {
    private let isStopped = Atomic<Bool>(false)
    private let longest = Atomic<Int64>(0)
    private let done = DispatchSemaphore(value: 0)

    init(_ counter: Observability.Counter) {
        Thread.detachNewThread { [self] in
            let clock = SystemClock()
            var before = clock.now
            while !isStopped.load(ordering: .relaxed) {
                for _ in 0..<1000 { counter.increment() }
                let now = clock.now
                longest.max(now.nanoseconds - before.nanoseconds, ordering: .relaxed)
                before = now
            }
            done.signal()
        }
    }

    /// Nanoseconds.
    func stop() -> Double {
        isStopped.store(true, ordering: .relaxed)
        done.wait()
        return Double(longest.load(ordering: .relaxed))
    }
}

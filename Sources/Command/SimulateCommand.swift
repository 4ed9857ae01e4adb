import ArgumentParser
import Foundation
import Glibc
import Offline
import Operator
import Primitives
import Text

/// `distric simulate`.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Try the consensus: a simulated cluster in which things go wrong, and whether everything holds.",
        discussion: """
            One seed decides all of it: servers, clocks, network, disks, what goes wrong and when, and what clients ask for. The code under
            test is that of a node; after every event the invariants of Raft are looked at, and at the end what the clients were told. Same
            seed and same program: the same events to the last byte.

            --faults says what may go wrong; each seed decides which of it does:
              \(SimulationRun.faultNames.joined(separator: ", "))

              distric simulate
              distric simulate --seed 42 --trace trace.ndjson
              distric simulate --seeds 1000 --faults kill,partition,lost-vote --keep-going
              distric simulate --seeds 100 --servers 5 --json | jq 'select(.holds == false).command'

            Exit codes: 0 all holds; 1 something does not, and the command that runs it again is printed.
            """,
        subcommands: [CheckHistoryCommand.self])

    @Option(name: .long, help: "The first seed (default: any).") var seed: UInt64?
    @Option(name: .long, help: "How many seeds, one after the other.") var seeds = 1
    @Option(name: .long, help: "Servers at the beginning, 1 to \(SimulationRun.serverLimit) (default: the seed decides).") var servers: Int?
    @Option(name: .long, help: "Simulated time in which things go wrong, before all is healed and must be well (default: 20s).")
    var duration: String?
    @Option(name: .long, help: "all, none, or some of them with commas between.") var faults = "all"
    @Option(name: .long, help: "Write all that happens into this file, one JSON object a line; of one seed.") var trace: String?
    @Flag(name: .customLong("keep-going"), help: "Go on after a seed that does not hold.") var keepGoing = false
    @Flag(name: .long, help: "One JSON object a seed.") var json = false

    private var options: SimulationRun.Options {
        SimulationRun.Options(servers: servers, duration: duration.flatMap { Duration(text: $0) }, faults: faults)
    }

    func validate() throws {
        guard (1...100_000_000).contains(seeds) else { throw ValidationError("--seeds must be 1 or more") }
        if let duration { _ = try DurationFlag.read(duration, of: "--duration", allowsNone: true, example: "20s or 5m") }
        guard trace != "" else { throw ValidationError("--trace needs the name of a file") }
        guard trace == nil || seeds == 1 else { throw ValidationError("--trace is of one seed: leave out --seeds") }
        do throws(SimulationRun.Problem) { _ = try SimulationRun(seed: 0, options) } catch { throw ValidationError(error.description) }
    }

    @concurrent
    func run() async throws {
        // Short, to be typed again.
        let first = seed ?? UInt64(UInt32.random(in: 1...999_999_999))
        let file = try trace.map { path throws(CommandFailure) in try TraceFile(path) }
        let stop = seeds > 1 ? InterruptFlag() : nil
        var sweep = SweepReport(seeds: seeds, json: json)
        for number in 0..<seeds where stop?.isSet != true && !Task.isCancelled {
            let run: SimulationRun
            do throws(SimulationRun.Problem) { run = try SimulationRun(seed: first &+ UInt64(number), options) } catch {
                throw CommandFailure(.usage, error.description)
            }
            let note = "\ndistric: an invariant inside a server is broken, and it trapped; the same again:\n  \(run.command)\n"
            let verdict = TrapNote.during(note) {
                run.play(trace: file.map { file in { file.write($0) } })
            }
            try file?.close()
            sweep.take(verdict)
            if verdict.violation != nil, !keepGoing { break }
        }
        sweep.end(first: first)
        if stop?.isSet == true { throw CommandFailure(.interrupted, "interrupted after \(sweep.done) of \(seeds) seeds") }
        guard sweep.violated > 0 else { return }
        throw CommandFailure(.failed, sweep.words)
    }
}

/// What is said of one seed, or of many.
private struct SweepReport {
    let seeds: Int
    let json: Bool
    private(set) var done = 0
    private(set) var violated = 0
    private var events: UInt64 = 0
    private var seconds = 0.0
    private var seen: [(name: String, count: Int)] = []
    private let began = Date()
    private var lastShown = Date.distantPast

    init(seeds: Int, json: Bool) { (self.seeds, self.json) = (seeds, json) }

    mutating func take(_ verdict: SimulationRun.Verdict) {
        done += 1
        events += verdict.events
        seconds += verdict.seconds
        seen = seen.isEmpty ? verdict.seen : zip(seen, verdict.seen).map { ($0.name, $0.count + $1.count) }
        if verdict.violation != nil { violated += 1 }
        if json {
            Session.current.out(JSONWriter.text(verdict.value) + "\n")
        } else if seeds == 1 || verdict.violation != nil {
            clear()
            Session.current.out(text(of: verdict))
        }
        show()
    }

    private func text(of verdict: SimulationRun.Verdict) -> String {
        let (servers, spares) = (verdict.value["servers"]?.int ?? 0, verdict.value["spares"]?.int ?? 0)
        var lines = ["seed \(verdict.seed): " + (verdict.violation == nil ? "holds" : "does not hold")]
        if let violation = verdict.violation { lines.append("  \(violation)") }
        lines += [
            "  \(servers) servers\(spares > 0 ? " and \(spares) to be taken in" : ""); what goes wrong: \(verdict.faults)",
            "  \(verdict.events) events in \(Self.text(verdict.seconds)) simulated s; \(verdict.committed) entries committed, "
                + "\(verdict.operations) operations of clients",
            "  trace \(verdict.value["traceHash"]?.string ?? "")", "  seen: \(Self.text(verdict.seen))",
        ]
        if verdict.violation != nil { lines.append("  the same again: \(verdict.command)") }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func text(_ seen: [(name: String, count: Int)]) -> String {
        let words = seen.filter { $0.count > 0 }.map { "\($0.name) \($0.count)" }
        return words.isEmpty ? "nothing" : words.joined(separator: ", ")
    }

    private static func text(_ seconds: Double) -> String { String(format: "%.1f", seconds) }

    private var result: String {
        violated == 0 ? "all hold" : violated == 1 ? "one does not hold" : "\(violated) do not hold"
    }

    /// What a failure says of it.
    var words: String {
        guard seeds > 1 else { return "it does not hold" }
        let rest = done < seeds ? "; --keep-going tries the other \(seeds - done)" : ""
        return "of \(done) \(done == 1 ? "seed" : "seeds") \(result)" + rest
    }

    mutating func end(first: UInt64) {
        clear()
        guard seeds > 1 else { return }
        let never = seen.filter { $0.count == 0 && $0.name != SimulationRun.noAim }.map(\.name)
        guard !json else {
            let value = Value.object([
                "first": Value(first), "seeds": Value(done), "violated": Value(violated), "events": Value(events),
                "simulatedSeconds": .double(seconds), "seen": .map(Fields(seen.map { Fields.Member($0.name, Value($0.count)) })),
            ])
            return Session.current.out(JSONWriter.text(value) + "\n")
        }
        var text = "\(done) \(done == 1 ? "seed" : "seeds") from \(first): \(result); "
        text += "\(events) events in \(Self.text(seconds)) simulated s\n"
        // What a few seeds up to the first that does not hold have not seen says nothing.
        if violated == 0 || done == seeds { text += "  seen: \(Self.text(seen))\n" }
        if done == seeds, !never.isEmpty { text += "  never seen: \(never.joined(separator: ", "))\n" }
        Session.current.out(text)
    }

    /// A bar on a terminal, at most ten times a second.
    private mutating func show() {
        guard seeds > 1, Session.current.notesAreInteractive, Date().timeIntervalSince(lastShown) > 0.1 else { return }
        lastShown = Date()
        let filled = 30 * done / max(1, seeds)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
        let rate = Double(done) / max(0.001, Date().timeIntervalSince(began))
        Session.current.note("\r[\(bar)] \(done)/\(seeds)  \(Self.text(rate)) seeds/s  \(violated) not holding")
    }

    private func clear() { if seeds > 1, Session.current.notesAreInteractive { Session.current.note("\r\u{1B}[K") } }
}

/// A file of JSON objects, one a line. Each is written at once: what led to a trap is there when it comes.
private final class TraceFile {
    private let path: String
    private let descriptor: Int32
    private var failure: Int32?

    init(_ path: String) throws(CommandFailure) {
        self.path = path
        descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure(path, errno) }
    }

    private static func failure(_ path: String, _ code: Int32) -> CommandFailure {
        CommandFailure(.cannotWrite, "\(path) cannot be written: \(String(cString: strerror(code)))")
    }

    func write(_ value: Value) {
        var rest = (JSONWriter.bytes(value) + [UInt8(ascii: "\n")])[...]
        while !rest.isEmpty, failure == nil {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { rest = rest.dropFirst(count) } else if errno != EINTR { failure = errno }
        }
    }

    func close() throws(CommandFailure) {
        Glibc.close(descriptor)
        if let failure { throw Self.failure(path, failure) }
    }
}

/// Words for the case that a core traps: a broken invariant ends the process, and nobody would know which seed it was.
private enum TrapNote {
    private static let capacity = 1024
    // Read by a signal handler, which may neither allocate nor lock.
    private nonisolated(unsafe) static let text = UnsafeMutablePointer<CChar>.allocate(capacity: capacity)
    private nonisolated(unsafe) static var count = 0
    private nonisolated(unsafe) static var before = (illegal: sigaction(), trap: sigaction())

    static func during<T>(_ note: String, _ body: () -> T) -> T {
        count = 0
        for byte in note.utf8.prefix(capacity) {
            text[count] = CChar(bitPattern: byte)
            count += 1
        }
        var own = sigaction()
        own.__sigaction_handler.sa_handler = { _ in
            _ = Glibc.write(2, TrapNote.text, TrapNote.count)
            // What trapped does so again, with whoever was asked before.
            TrapNote.restore()
        }
        sigaction(SIGILL, &own, &before.illegal)
        sigaction(SIGTRAP, &own, &before.trap)
        defer { restore() }
        return body()
    }

    private static func restore() {
        sigaction(SIGILL, &before.illegal, nil)
        sigaction(SIGTRAP, &before.trap, nil)
    }
}

import ArgumentParser
import CChecksum
import Foundation
import NIOCore
import Primitives
import Wire

/// `distric-bench wire`: what it costs to write and read frames.
struct WireSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wire", abstract: "Frames written and read, checksums, allocations.",
        discussion: """
            Cases: messages, checksum, allocations; without --case all of them, each figure the median of five turns.
            allocations counts calls of malloc by a library that is built with clang and loaded before libc.
            """)

    @Option(name: .customLong("case"), help: "messages, checksum or allocations.") var only: String?
    @Option(name: .long, help: "Of messages: this one alone.") var message: String?
    @Flag(name: .long, help: "A JSON object a line.") var json = false

    private var report: Report { Report(suite: "wire", json: json) }

    @concurrent
    func run() async throws {
        for name in only.map({ [$0] }) ?? ["messages", "checksum", "allocations"] {
            switch name {
            case "messages": try messages()
            case "checksum": checksum()
            case "allocations": try AllocationCount(report: report).run()
            default: throw ValidationError("no case '\(name)': messages, checksum, allocations")
            }
        }
    }

    /// Encoding into a buffer that is kept, framed, and reading it back: header, checksum, fields.
    private func messages() throws {
        for sample in try Self.samples() where message.map({ $0 == sample.name }) ?? true {
            var turns: [Double] = []
            for _ in 0..<5 { turns.append(try sample.turn(300_000)) }
            report.figure(sample.name, "encode+decode", Quantiles(turns).at(0.5), "ns")
            report.figure(sample.name, "frame-bytes", Double(sample.bytes), "B")
        }
    }

    struct Sample {
        let name: String
        let bytes: Int
        /// Nanoseconds for one, of so many.
        let turn: (Int) throws -> Double
    }

    static func samples() throws -> [Sample] {
        let (leader, candidate) = (try NodeID("node-1"), try NodeID("node-2"))
        let entry = LogEntry(index: LogIndex(1001), term: Term(7), kind: .commands, payload: [UInt8](repeating: 0x61, count: 64))
        return [
            sample("request-vote", RequestVote(term: Term(7), candidate: candidate, lastIndex: LogIndex(1000), lastTerm: Term(6))),
            sample(
                "append-entries-1x64B",
                AppendEntries(
                    term: Term(7), leader: leader, previousIndex: LogIndex(1000), previousTerm: Term(6), commitIndex: LogIndex(998),
                    entries: [entry])),
            sample(
                "append-entries-64x64B",
                AppendEntries(
                    term: Term(7), leader: leader, previousIndex: LogIndex(1000), previousTerm: Term(6), commitIndex: LogIndex(998),
                    entries: Array(repeating: entry, count: 64))),
            sample("ping", Ping(sequence: 7, from: leader, padding: [UInt8](repeating: 0x61, count: 64))),
        ]
    }

    private static func sample<M: WireMessage>(_ name: String, _ message: M) -> Sample {
        let bytes = message.frame(id: 7).readableBytes
        return Sample(name: name, bytes: bytes) { count in
            var buffer = ByteBuffer()
            var last = message
            let began = LoadClient.now()
            for number in 0..<count {
                buffer.moveWriterIndex(to: 0)
                message.encode(FrameHeader(type: M.type, id: UInt64(number)), nil, into: &buffer)
                var decoder = FrameDecoder()
                decoder.append(buffer)
                guard let frame = try decoder.next() else { throw ValidationError("no frame came out") }
                last = try M.decode(frame.payload)
            }
            let took = LoadClient.now() - began
            guard last == message else { throw ValidationError("what was read is not what was written") }
            return took / Double(count) * 1e9
        }
    }

    private func checksum() {
        let implementation = String(cString: distric_crc32c_implementation())
        for size in [64, 1024, 65_536, 1 << 20] {
            let bytes = [UInt8](repeating: 0x5A, count: size)
            let count = max(100, 200_000_000 / (size + 200))
            for (who, function) in [(implementation, distric_crc32c), ("table", distric_crc32c_table)] {
                let rates = (0..<5).map { _ -> Double in
                    var seed: UInt32 = 0
                    let began = LoadClient.now()
                    bytes.withUnsafeBytes { raw in for _ in 0..<count { seed = function(seed, raw.baseAddress, size) } }
                    let took = LoadClient.now() - began
                    return seed == 0x1234_5678 ? 0 : Double(size) * Double(count) / took / 1e9
                }
                report.figure(
                    "crc32c-\(size)B", "rate", Quantiles(rates).at(0.5), "GB/s", who: who == "table" ? "table" : "distric (\(who))")
            }
        }
    }
}

/// How often malloc is called for one message, written and read: by a library that counts, loaded before libc into a second process.
struct AllocationCount {
    let report: Report

    private static let counter = #"""
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stddef.h>

        static unsigned long calls;
        static void *(*real_malloc)(size_t);

        unsigned long distric_malloc_calls(void) { return calls; }

        void *malloc(size_t size) {
            if (!real_malloc) real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
            calls++;
            return real_malloc(size);
        }
        """#

    func run() throws {
        typealias Count = @convention(c) () -> UInt
        guard let symbol = dlsym(nil, "distric_malloc_calls") else { return try again() }
        let calls = unsafeBitCast(symbol, to: Count.self)
        for sample in try WireSuite.samples() {
            _ = try sample.turn(100)
            let before = calls()
            _ = try sample.turn(10_000)
            report.figure(sample.name, "allocations", Double(calls() - before) / 10_000, "mallocs")
        }
    }

    /// This program once more, with the counter in front of libc.
    private func again() throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "distric-count-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        try Data(Self.counter.utf8).write(to: URL(filePath: place + "/count.c"))
        let built = try Yardsticks.output(["clang", "-O2", "-shared", "-fPIC", "-o", place + "/count.so", place + "/count.c", "-ldl"])
        guard built.code == 0 else {
            return FileHandle.standardError.write(Data("no count of allocations: clang could not build the counter\n".utf8))
        }
        let own = ["env", "LD_PRELOAD=\(place)/count.so", CommandLine.arguments[0], "wire", "--case", "allocations"]
        let text = try Yardsticks.output(own + (report.json ? ["--json"] : [])).text
        FileHandle.standardOutput.write(Data(text.utf8))
    }
}

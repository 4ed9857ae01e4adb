import Foundation
import Glibc
import Logging
import Primitives
import ServiceContextModule
import Synchronization
import Testing
import Text

@testable import Observability

/// Who writes log lines, where to, and what becomes of those that cannot be written (LogSink.swift, LogFile.swift, LogLevels.swift).
struct LogSinkTests {
    private let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "distric-sink-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    private var path: String { folder + "/node.log" }

    private func lines(_ file: String? = nil) throws -> [Value] {
        let bytes = try Array(Data(contentsOf: URL(filePath: file ?? path)))
        #expect(bytes.isEmpty || bytes.last == 0x0A)
        return try bytes.split(separator: 0x0A).map { try JSONScanner.parse(Array($0)) }
    }

    private func file(bytes: Int = 1 << 30, age: Duration = .seconds(86_400), kept: Int = 3, clock: any NodeClock = TestClock()) throws
        -> LogFile
    {
        try LogFile(path: path, rotation: LogFile.Rotation(bytes: bytes, age: age, kept: kept), clock: clock)
    }

    private func logger(_ sink: LogSink, _ ring: LogRing?, label: String = "test") -> Logger {
        let handler = JSONLogHandler(label: label, level: .trace, sink: sink, clock: TestClock(), ring: ring)
        return Logger(label: label) { _ in handler }
    }

    static let nasty = "\"\\\n\r\t\u{0}\u{1F}\u{7F} é 😀 \u{2028}"

    // MARK: Lines

    @Test(arguments: LogSink.Mode.allCases)
    func `ten thousand lines of eight threads parse back, none torn`(mode: LogSink.Mode) async throws {
        let ring = LogRing()
        let sink = LogSink(file: try file(), queue: mode == .async ? ring : nil)
        let logger = logger(sink, ring)
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<1250 {
                        logger.info(
                            "line \(Self.nasty)", metadata: ["writer": "\(writer)", "number": "\(number)", "text": "\(Self.nasty)"])
                    }
                }
            }
        }
        sink.flush(seconds: 20)
        let lines = try lines()
        #expect(lines.count == 10_000)
        var next = [Int](repeating: 0, count: 8)
        for line in lines {
            #expect(line["text"]?.string == Self.nasty)
            let writer = try #require(line["writer"]?.string.flatMap { Int($0) })
            #expect(line["number"]?.string == "\(next[writer])")
            next[writer] += 1
        }
        #expect(sink.written.count == 10_000)
        sink.close()
    }

    @Test func `typed fields are one JSON object too, and what is below the level is nothing`() throws {
        let sink = LogSink(file: try file(), queue: nil)
        let levels = LogLevels(standard: .info)
        let channel = LogChannel(label: "hot", level: levels.cell(for: "hot"), sink: sink, clock: TestClock(), ring: nil)
        channel.log(.debug, "not written")
        channel.log(
            .info, "a \"request\"", .text("path", Self.nasty), .int("status", 200), .int("least", Int64.min), .int("most", UInt64.max),
            .double("ratio", 0.5), .double("none", .nan), .bool("ok", true), .milliseconds("ms", .microseconds(1_234)))
        let line = try #require(try lines().first)
        #expect(try lines().count == 1)
        #expect(line["message"] == "a \"request\"")
        #expect(line["path"]?.string == Self.nasty)
        #expect(line["status"] == 200 && line["least"] == .int(.min) && line["most"] == .int(.max))
        #expect(line["ratio"] == .double(0.5) && line["none"] == .null && line["ok"] == true && line["ms"] == .double(1.234))
    }

    @Test func `lines name the trace that the work is of`() async throws {
        let sink = LogSink(file: try file(), queue: nil)
        let logger = logger(sink, nil)
        let trace = try #require(TraceContext(traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
        await trace.scope { logger.info("within", metadata: ["trace_id": "mine"]) }
        logger.info("outside")
        let found = try lines()
        #expect(found[0]["trace_id"] == "0af7651916cd43dd8448eb211c80319c")
        #expect(found[0]["span_id"] == "b7ad6b7169203331")
        #expect(found[0]["trace_id_"] == "mine")
        #expect(found[1]["trace_id"] == nil)
    }

    @Test func `what is endless is cut off and says so`() throws {
        let sink = LogSink(file: try file(), queue: nil)
        let logger = logger(sink, nil)
        logger.info("\(String(repeating: "é", count: 100_000))")
        let cut = try #require(try lines().first?["message"]?.string)
        #expect(cut.hasSuffix("... (134464 bytes cut off)"))
        var facts: Logger.Metadata = [:]
        for number in 0..<40 { facts["k\(number)"] = .string(String(repeating: "x", count: 60_000)) }
        logger.warning("too much", metadata: facts)
        let stand = try #require(try lines().last)
        #expect(stand["message"] == "a log line too long to be kept")
        #expect(stand["level"] == "warning")
        #expect((stand["bytes"]?.int ?? 0) > 2_000_000)
    }

    @Test func `what is provided and what the logger has come after what the statement says`() throws {
        let sink = LogSink(file: try file(), queue: nil)
        var handler = JSONLogHandler(label: "test", level: .trace, sink: sink, clock: TestClock())
        handler.metadata = ["b": "logger", "c": "logger"]
        handler.metadataProvider = Logger.MetadataProvider { ["c": "provider", "d": "provider"] }
        let own = handler
        Logger(label: "test") { _ in own }.info("m", metadata: ["a": "here", "b": "here"])
        let line = try #require(try lines().first)
        #expect(["a", "b", "c", "d"].map { line[$0]?.string } == ["here", "here", "logger", "provider"])
    }

    // MARK: A thread that writes

    @Test func `what cannot be written in time is dropped oldest first, counted by level, and the rest is whole`() throws {
        let ring = LogRing()
        // A pipe that nobody reads: the writer stops in its first write.
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let sink = LogSink(file: LogFile(descriptor: ends[1]), queue: ring)
        let logger = logger(sink, ring)
        let sent = LogRing.retained + 30_000
        for number in 0..<sent { number % 10 == 0 ? logger.error("e \(number)") : logger.info("i \(number)") }
        let dropped = ring.dropped.filter { $0.counter.count > 0 }
        #expect(Set(dropped.map { $0.level }) == [.info, .error])
        let counts = Dictionary(uniqueKeysWithValues: dropped.map { ($0.level, Int($0.counter.count)) })
        #expect(abs(counts[.info, default: 0] - 9 * counts[.error, default: 0]) < 10)
        let reader = PipeReader(ends[0])
        sink.flush(seconds: 20)
        sink.close()
        close(ends[1])
        let read = try reader.lines()
        let lost = counts.values.reduce(0, +)
        #expect(read.count + lost == sent)
        #expect(sink.written.count == UInt64(read.count))
        #expect(read.last?["message"]?.string == "i \(sent - 1)")
    }

    @Test func `after a flush everything is on the disk, many times over`() throws {
        let ring = LogRing()
        let sink = LogSink(file: try file(), queue: ring)
        let logger = logger(sink, ring)
        for turn in 1...50 {
            for number in 0..<turn { logger.info("\(turn) \(number)") }
            sink.flush()
            #expect(try lines().count == turn * (turn + 1) / 2)
        }
        sink.close()
        sink.close()
        logger.info("after the end")
        #expect(ring.newest(after: 0, limit: 1).entries.count == 1)
    }

    // MARK: Files

    @Test func `a file is put aside by size, and the oldest go`() throws {
        let sink = LogSink(file: try file(bytes: 1000, kept: 2), queue: nil)
        let logger = logger(sink, nil)
        for number in 0..<60 { logger.info("line \(number)") }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        #expect(names == ["node.log", "node.log.1", "node.log.2"])
        var numbers: [Int] = []
        for name in names.reversed() {
            let found = try lines(folder + "/" + name)
            let size = try FileManager.default.attributesOfItem(atPath: folder + "/" + name)[.size] as? Int
            #expect((size ?? .max) <= 1000)
            numbers += found.compactMap { $0["message"]?.string?.split(separator: " ").last.flatMap { Int($0) } }
        }
        #expect(numbers == Array(60 - numbers.count..<60))
        #expect(numbers.count > 10)
    }

    @Test func `a file is put aside by age, and one that was there goes on`() throws {
        let clock = TestClock()
        let first = LogSink(file: try file(age: .seconds(60), clock: clock), queue: nil)
        logger(first, nil).info("one")
        let again = LogSink(file: try file(age: .seconds(1_000_000_000), clock: clock), queue: nil)
        logger(again, nil).info("two")
        #expect(try lines().count == 2)
        clock.advance(by: .seconds(61))
        logger(first, nil).info("three")
        #expect(try lines().map { $0["message"]?.string } == ["three"])
        #expect(try lines(path + ".1").count == 2)
    }

    @Test func `none kept means that the file begins anew`() throws {
        let sink = LogSink(file: try file(bytes: 300, kept: 0), queue: nil)
        for number in 0..<20 { logger(sink, nil).info("line \(number)") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["node.log"])
    }

    @Test func `a full disk tears no line, and lines go on when there is space again`() throws {
        var old = rlimit()
        // What a full disk does to write(2): part of the bytes, then an error. Other files of this process are far below.
        signal(SIGXFSZ, SIG_IGN)
        getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old)
        let start = 8 << 20
        try Data(repeating: 0x0A, count: start - 150).write(to: URL(filePath: path))
        let sink = LogSink(file: try file(), queue: nil)
        let logger = logger(sink, nil)
        var limit = old
        limit.rlim_cur = UInt(start)
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        for number in 0..<5 { logger.info("line \(number)") }
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old)
        logger.info("after")
        let found = try lines().compactMap { $0["message"]?.string }
        #expect(found == ["line 0", "after"])
        #expect(sink.failed.count == 4)
        #expect(sink.written.count == 2)
    }

    @Test func `a file that cannot be made says which and why`() {
        #expect(throws: LogFile.Failure(path: "/proc/none/x.log", reason: "No such file or directory")) {
            try LogFile(path: "/proc/none/x.log", rotation: LogFile.Rotation(bytes: 1, age: .seconds(1), kept: 1), clock: TestClock())
        }
    }

    @Test func `the journal is known by its device and inode, and gets priorities`() throws {
        var facts = stat()
        let file = try file()
        #expect(fstat(file.descriptor, &facts) == 0)
        #expect(LogSink.isJournal(["JOURNAL_STREAM": "\(facts.st_dev):\(facts.st_ino)"], descriptor: file.descriptor))
        for wrong in ["", "1:2", "x:y", "\(facts.st_dev)", "\(facts.st_dev):\(facts.st_ino):3"] {
            #expect(!LogSink.isJournal(["JOURNAL_STREAM": wrong], descriptor: file.descriptor))
        }
        #expect(!LogSink.isJournal([:]))
        let ring = LogRing()
        let sink = LogSink(file: file, queue: ring, hasPriorities: true)
        for level in Logger.Level.allCases { logger(sink, ring).log(level: level, "m") }
        sink.flush()
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.split(separator: "\n").map { String($0.prefix(4)) } == ["<7>{", "<7>{", "<6>{", "<5>{", "<4>{", "<3>{", "<2>{"])
        sink.close()
        #expect(ring.newest(after: 0, limit: 1).entries.first?.line.first == UInt8(ascii: "{"))
    }

    // MARK: Levels

    @Test func `a level is for its label and those under it, and changes for loggers that are there`() throws {
        let levels = LogLevels(standard: .info, rules: ["http": .error])
        let sink = LogSink(file: try file(), queue: nil)
        func made(_ label: String) -> Logger {
            let channel = LogChannel(label: label, level: levels.cell(for: label), sink: sink, clock: TestClock(), ring: nil)
            return Logger(label: label) { _ in JSONLogHandler(channel: channel) }
        }
        let (raft, storage, http, rafting) = (made("raft"), made("raft.storage"), made("http.requests"), made("rafting"))
        #expect([raft, storage, http, rafting].map(\.logLevel) == [.info, .info, .error, .info])
        #expect(levels.set("raft", to: .debug))
        #expect([raft, storage, http, rafting].map(\.logLevel) == [.debug, .debug, .error, .info])
        #expect(levels.set("raft.storage", to: .critical))
        levels.standard = .trace
        #expect([raft, storage, http, rafting].map(\.logLevel) == [.debug, .critical, .error, .trace])
        #expect(levels.set("raft.storage", to: nil))
        #expect(storage.logLevel == .debug)
        #expect(
            levels.all.map { "\($0.label) \($0.level) \($0.isOwn)" } == [
                "http error true", "http.requests error false", "raft debug true", "raft.storage debug false", "rafting trace false",
            ])
        for number in 0..<300 { _ = levels.set("l\(number)", to: .info) }
        #expect(!levels.set("one more", to: .info))
        #expect(levels.set("raft", to: .info))
    }
}

/// Reads a pipe to its end on a thread of its own.
private final class PipeReader: Sendable {
    private let bytes = Mutex<[UInt8]>([])
    private let done = DispatchSemaphore(value: 0)

    init(_ descriptor: Int32) {
        Thread.detachNewThread { [self] in
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(descriptor, &chunk, chunk.count)
                guard count > 0 else { break }
                bytes.withLock { $0 += chunk[..<count] }
            }
            close(descriptor)
            done.signal()
        }
    }

    func lines() throws -> [Value] {
        #expect(done.wait(timeout: .now() + 30) == .success)
        return try bytes.withLock { $0 }.split(separator: 0x0A).map { try JSONScanner.parse(Array($0)) }
    }
}

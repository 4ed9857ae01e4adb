import Foundation
import Glibc
import Logging
import Primitives
import Testing
import Text

@testable import Observability

/// One JSON object a line, valid whatever the text holds (JSONLogHandler.swift).
struct JSONLogHandlerTests {
    private let file: WrittenFile
    private let clock = TestClock()

    init() throws { file = try WrittenFile() }

    private func makeHandler(_ label: String = "test", metadata: Logger.Metadata = [:]) -> JSONLogHandler {
        var handler = JSONLogHandler(label: label, level: .trace, sink: file.sink, clock: clock)
        handler.metadata = metadata
        return handler
    }

    private func log(
        _ message: String, _ metadata: Logger.Metadata? = nil, level: Logger.Level = .info, to handler: JSONLogHandler
    ) {
        handler.log(
            event: LogEvent(
                level: level, message: Logger.Message(stringLiteral: message), metadata: metadata, source: "test", file: "f", function: "g",
                line: 1))
    }

    static let nasty = [
        "", "plain", "\"quoted\" and \\ backslash", "line\nend\r\n\ttab", "\u{0}\u{1}\u{8}\u{C}\u{1F}\u{7F}", "\",\"level\":\"error",
        "}\n{",
        "é 😀 \u{2028}\u{2029}\u{FEFF}", "e\u{301}", "\u{10FFFF}", String(repeating: "x\n", count: 5000), "\\u0000", "</script>",
    ]

    @Test(arguments: JSONLogHandlerTests.nasty)
    func `a line reads back with the message, label and metadata that were given`(text: String) throws {
        log(text, ["key": .string(text), text + "?": "v"], level: .warning, to: makeHandler(text))
        let lines = try file.lines()
        try #require(lines.count == 1)
        let line = try JSONScanner.parse(lines[0])
        #expect(line["time"] == Value.string("2026-11-23T14:32:07.012Z"))
        #expect(line["level"] == Value.string("warning"))
        #expect(line["label"] == Value.string(text))
        #expect(line["message"] == Value.string(text))
        #expect(line["key"] == Value.string(text))
        #expect(line[text + "?"] == Value.string("v"))
    }

    @Test func `fields come in a fixed order, metadata by key`() throws {
        log("m", ["b": "2", "a": "1"], to: makeHandler(metadata: ["c": "3", "b": "overridden"]))
        let text = String(decoding: try file.lines()[0], as: UTF8.self)
        let expected = #"{"time":"2026-11-23T14:32:07.012Z","level":"info","label":"test","message":"m","a":"1","b":"2","c":"3"}"#
        #expect(text == expected)
    }

    @Test func `nested metadata stays nested`() throws {
        let nested: Logger.Metadata = [
            "list": .array(["a\n", .array([]), .dictionary(["k\"": "v"])]), "map": .dictionary(["y": "2", "x": .array(["1"])]),
            "item": .stringConvertible(42), "empty": .dictionary([:]),
        ]
        log("m", nested, to: makeHandler())
        let line = try JSONScanner.parse(try file.lines()[0])
        let list: Value = ["a\n", [], ["k\"": "v"]]
        let map: Value = ["x": ["1"], "y": "2"]
        #expect(line["list"] == list)
        #expect(line["map"] == map)
        #expect(line["item"] == Value.string("42"))
        #expect(line["empty"] == Value.map(Fields()))
    }

    @Test func `metadata named as a field of the line does not hide it`() throws {
        log("m", ["time": "t", "level": "l", "label": "b", "message": "n"], to: makeHandler())
        let line = try JSONScanner.parse(try file.lines()[0])
        #expect(line["message"] == Value.string("m"))
        for (key, text) in [("time_", "t"), ("level_", "l"), ("label_", "b"), ("message_", "n")] {
            #expect(line[key] == Value.string(text), "\(key)")
        }
    }

    @Test func `a line stays one object of unique keys when metadata already has the escaped name`() throws {
        log("m", ["time": "a", "time_": "b"], to: makeHandler())
        let line = try file.lines()[0]
        #expect(throws: Never.self) { try JSONScanner.parse(line) }
    }

    /// Eight bytes are looked at at a time, and those that are left over in another way.
    @Test(arguments: ["\u{1F}", "\"", "\\", "\u{7F}", "\n", "é", "\u{FFFF}"])
    func `what is special reads back at every place of a text of any length`(_ special: String) throws {
        for length in 0...26 {
            for place in 0...length {
                let (front, end) = (String(repeating: "a", count: place), String(repeating: "~", count: length - place))
                log(
                    front + special + end + special, [special + front: .string(front + special), "b": "1", "a": .string(end)],
                    to: makeHandler())
                let line = try JSONScanner.parse(try #require(try file.lines().last))
                #expect(line["message"] == Value.string(front + special + end + special))
                #expect(line[special + front] == Value.string(front + special))
                #expect(line["a"] == Value.string(end))
            }
        }
    }

    @Test func `random metadata reads back`() throws {
        let seed: UInt64 = 7
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            var text = ""
            for _ in 0..<Int.random(in: 0...20, using: &generator) {
                let limit: UInt32 = Bool.random(using: &generator) ? 0x7F : 0x10_FFFF
                if let scalar = Unicode.Scalar(UInt32.random(in: 0...limit, using: &generator)) { text.unicodeScalars.append(scalar) }
            }
            log(text, ["x": .array([.string(text)])], to: makeHandler())
            let lines = try file.lines()
            let last = try #require(lines.last)
            let line = try JSONScanner.parse(last)
            let expected = Value.list([.string(text)])
            #expect(line["message"] == Value.string(text), "seed \(seed)")
            #expect(line["x"] == expected, "seed \(seed)")
        }
    }

    @Test func `a logger keeps its own metadata and level`() throws {
        let handler = makeHandler()
        var logger = Logger(label: "test") { _ in handler }
        logger[metadataKey: "run"] = "7"
        logger.logLevel = .warning
        logger.info("not written")
        logger.error("written", metadata: ["task": "a"])
        let lines = try file.lines()
        try #require(lines.count == 1)
        let line = try JSONScanner.parse(lines[0])
        #expect(line["run"] == Value.string("7"))
        #expect(line["task"] == Value.string("a"))
        #expect(line["level"] == Value.string("error"))
        #expect(handler.metadata.isEmpty)
    }

    @Test func `lines of several threads never mix`() async throws {
        let handler = makeHandler()
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<100 { log("\(writer * 100 + number)", ["pad": "\(String(repeating: "x", count: 300))"], to: handler) }
                }
            }
        }
        let lines = try file.lines()
        #expect(lines.count == 800)
        var seen: Set<String> = []
        for line in lines {
            let value = try JSONScanner.parse(line)
            if let message = value["message"]?.string { seen.insert(message) }
        }
        #expect(seen.count == 800)
        #expect(file.sink.written.count == UInt64(800))
        #expect(file.sink.failed.count == UInt64(0))
    }

    @Test func `a line that cannot be written is counted, and nothing else happens`() {
        let sink = LogSink(descriptor: -1)
        let handler = JSONLogHandler(label: "test", level: .info, sink: sink, clock: clock)
        log("m", to: handler)
        log("n", to: handler)
        #expect(sink.failed.count == UInt64(2))
        #expect(sink.written.count == UInt64(0))
    }
}

/// A file that log lines go to; it goes with the test.
private final class WrittenFile: Sendable {
    let sink: LogSink
    private let path: String
    private let descriptor: Int32

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "distric-log-\(UUID().uuidString)").path(percentEncoded: false)
        try Data().write(to: URL(filePath: path))
        let handle = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        try #require(handle >= 0)
        descriptor = handle
        sink = LogSink(descriptor: handle)
    }

    deinit {
        close(descriptor)
        unlink(path)
    }

    /// What was written, line by line, without the ends.
    func lines() throws -> [[UInt8]] {
        let bytes = try Array(Data(contentsOf: URL(filePath: path)))
        #expect(bytes.isEmpty || bytes.last == 0x0A)
        return bytes.split(separator: 0x0A).map { Array($0) }
    }
}

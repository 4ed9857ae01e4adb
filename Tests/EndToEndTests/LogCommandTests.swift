import Foundation
import Glibc
import Primitives
import Testing
import Text

/// The node's log: levels while it runs, files, and what is left of it after a crash.
struct LogCommandTests {
    private func started(_ folder: TemporaryFolder) throws -> RunningNode { try RunningNode(data: folder.path + "/data", smallNode) }

    private func requests(_ node: RunningNode) -> [Value] {
        node.logText.split(separator: "\n").compactMap { try? JSONScanner.parse($0.utf8) }.filter { $0["label"] == "http.requests" }
    }

    @Test func `levels are changed while the node runs, by label, and shown`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        #expect(try raw(node.url, "GET", "/api/v1/config").status == 200)
        #expect(requests(node).isEmpty)
        let changed = try node.distric("logs", "level", "http=debug")
        #expect(changed.code == 0, "\(changed.err)")
        #expect(changed.out.contains("http.requests"))
        try await node.apply(pair("traced", script("exit 0")))
        _ = try await node.ended(try await node.submit("traced"))
        let tail = try node.distric("logs", "tail", "--filter", "label=http.requests POST", "-o", "json")
        let line = try #require(try JSONScanner.parse(tail.out).list?.last, "\(tail.out)\(tail.err)")
        #expect(line["path"] == "/api/v1/messages" && line["status"] == 202 && line["method"] == "POST")
        #expect((line["ms"]?.number ?? -1) > 0)
        #expect(try node.distric("logs", "level", "http=default").code == 0)
        let levels = try JSONScanner.parse(node.distric("logs", "level", "-o", "json").out).list ?? []
        #expect(levels.first == ["label": "default", "level": "info", "own": true])
        #expect(levels.contains { $0["label"] == "http.requests" && $0["level"] == "info" && $0["own"] == false })
        let events = try node.distric("events", "-o", "json").out
        #expect(events.contains("log level of http is debug, was info"))
    }

    static let wrong: [(String, Int, String)] = [
        ("{\"raft\":\"loud\"}", 400, "none of trace"), ("{\"raft\":7}", 400, "none of trace"), ("[]", 400, "expected an object"),
        ("{}", 400, "expected an object"), ("{", 400, "byte"), ("{\"default\":null}", 400, "default needs a level"),
        ("{\"\":\"info\"}", 400, "1 to 128 bytes"), ("{\"a\":\"debug\",\"b\":\"loud\"}", 400, "none of trace"),
        (String(repeating: " ", count: 70_000), 413, "65536"),
    ]

    @Test func `what is no level changes nothing`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let before = try raw(node.url, "GET", "/api/v1/logs/levels").body
        for (body, status, text) in Self.wrong {
            let answer = try raw(node.url, "POST", "/api/v1/logs/levels", body: body)
            #expect(answer.status == status, "\(body.prefix(40)): \(answer.body)")
            #expect(answer.body.contains(text), "\(body.prefix(40)): \(answer.body)")
        }
        for words in [["raft"], ["=debug"], ["raft=loud"], ["raft="]] {
            let refused = try run(Built.distric, ["logs", "level"] + words + ["--connect", node.url])
            #expect(refused.code == 64 || refused.code == 65, "\(words): \(refused.code) \(refused.err)")
            #expect(!refused.err.isEmpty)
        }
        #expect(try raw(node.url, "GET", "/api/v1/logs/levels").body == before)
        #expect(try raw(node.url, "PUT", "/api/v1/logs/levels").status == 405)
    }

    @Test func `a node that crashes has written what it logged`() throws {
        for _ in 0..<5 {
            let folder = try TemporaryFolder()
            let node = try started(folder)
            #expect(try node.distric("logs", "level", "http.requests=debug").code == 0)
            for number in 0..<20 { _ = try raw(node.url, "GET", "/api/v1/none-\(number)") }
            kill(node.process.processIdentifier, SIGABRT)
            node.process.waitUntilExit()
            #expect(node.process.terminationReason == .uncaughtSignal)
            let paths = requests(node).compactMap { $0["path"]?.string }.filter { $0.contains("none-") }
            #expect(paths == (0..<20).map { "/api/v1/none-\($0)" })
        }
    }

    @Test func `a log file of its own is rotated, and one that cannot be made is told`() throws {
        let folder = try TemporaryFolder()
        let environment = [
            "DISTRIC_LOG_FILE": folder.path + "/own.log", "DISTRIC_LOG_ROTATE_BYTES": "4096", "DISTRIC_LOG_KEEP": "2",
            "DISTRIC_LOG_LEVEL": "trace",
        ]
        let process = Process()
        process.executableURL = URL(filePath: Built.distric)
        process.arguments = ["node", "--id", "n1", "--data", folder.path + "/data", "--http", "127.0.0.1:0", "--rpc", "none"]
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        (process.standardError, process.standardInput) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        defer { kill(process.processIdentifier, SIGKILL) }
        let log = { (try? String(contentsOfFile: folder.path + "/own.log", encoding: .utf8)) ?? "" }
        let end = Date().addingTimeInterval(30)
        var url: String?
        while url == nil, Date() < end {
            let lines = log().split(separator: "\n").compactMap { try? JSONScanner.parse($0.utf8) }
            url = lines.first { $0["message"] == "ready" }?["url"]?.string
            usleep(5000)
        }
        let found = try #require(url)
        for _ in 0..<100 { _ = try raw(found, "GET", "/health/live") }
        process.terminate()
        process.waitUntilExit()
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasPrefix("own.log") }.sorted()
        #expect(names == ["own.log", "own.log.1", "own.log.2"])
        #expect(log().contains("\"message\":\"stopped\""))
        let refused = try run(
            Built.distric, ["node", "--data", folder.path + "/other", "--http", "127.0.0.1:0", "--rpc", "none"],
            environment: ["DISTRIC_LOG_FILE": "/proc/none/x"])
        #expect(refused.code == 73)
        #expect(refused.err.contains("log.file: cannot append to /proc/none/x"))
    }
}

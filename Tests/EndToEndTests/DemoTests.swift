import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// A whole cluster in one process, whose members die while work goes on (Sources/DistriC/Demo, Sources/Command/Demo).
@Suite(.timeLimit(.minutes(4)))
struct DemoTests {
    private struct Silent: Error { let text: String }

    /// `distric demo --headless` with a folder of its own for what it announces.
    private final class HeadlessDemo {
        let process = Process()
        let folder: TemporaryFolder
        private var environment: [String: String]
        private var outPath: String { folder.path + "/out" }

        init(_ arguments: [String]) throws {
            folder = try TemporaryFolder()
            environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("DISTRIC_") }
            environment["XDG_RUNTIME_DIR"] = folder.path + "/run"
            environment["SWIFT_BACKTRACE"] = "enable=no"
            for name in ["out", "err"] { try Data().write(to: URL(filePath: folder.path + "/" + name)) }
            process.executableURL = URL(filePath: Built.distric)
            process.arguments = ["demo", "--headless"] + arguments
            process.environment = environment
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = try FileHandle(forWritingTo: URL(filePath: outPath))
            process.standardError = try FileHandle(forWritingTo: URL(filePath: folder.path + "/err"))
            try process.run()
        }

        deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

        var out: String { (try? String(contentsOfFile: outPath, encoding: .utf8)) ?? "" }
        var err: String { (try? String(contentsOfFile: folder.path + "/err", encoding: .utf8)) ?? "" }

        func command(_ words: String...) throws -> Finished {
            try run(Built.distric, ["demo"] + words, environment: ["XDG_RUNTIME_DIR": folder.path + "/run"])
        }
        /// Whoever is asked may be on its way out: asked again, another member answers.
        var status: Value {
            get throws {
                var told = try command("status", "-o", "json")
                for _ in 0..<10 where told.code != 0 {
                    print("demo status: \(told.err)")
                    usleep(300_000)
                    told = try command("status", "-o", "json")
                }
                guard told.code == 0 else { throw Silent(text: "\(told)") }
                return try JSONScanner.parse(told.out)
            }
        }

        /// Ctrl-C, and waits until it has told what it has to tell; its exit code.
        func end() async throws -> Int32 {
            kill(process.processIdentifier, SIGINT)
            let isOver = try await holds(90) { !self.process.isRunning }
            #expect(isOver, "\(out)\(err)")
            return isOver ? process.terminationStatus : -1
        }
    }

    private func member(_ demo: Value, _ id: String) -> Value? { demo["members"]?.list?.first { $0["id"]?.string == id } }

    @Test func `the leader is killed, brought back and held, a worker is killed, and nothing that was acknowledged is lost`() async throws {
        let demo = try HeadlessDemo(["--coordinators", "3", "--workers", "2", "--rate", "20"])
        try #require(try await holds(60) { demo.out.contains("w-2") }, "\(demo.out)\(demo.err)")
        try #require(try await holds(30) { (try demo.status).at("messages", "accepted")?.int ?? 0 > 20 })
        let first = try demo.status
        let leader = try #require(first["leader"]?.string)
        #expect(first["members"]?.list?.count == 5)

        let killed = try demo.command("kill", "leader")
        #expect(killed.code == 0, "\(killed.err)")
        #expect(killed.out.hasPrefix("\(leader), which led, was killed; c-"), "\(killed.out)")
        let second = try demo.status
        #expect(member(second, leader)?["state"]?.string == "killed")
        #expect(second["leader"]?.string != leader)
        let dead = try #require(member(first, leader)?["http"]?.string)
        #expect(throws: (any Error).self, "it answers though it is dead") { try raw(dead, "GET", "/health/live") }

        // A majority is lost and comes back; the last that answers is not killed.
        let next = try #require(second["leader"]?.string)
        let others = [next] + ["c-1", "c-2", "c-3"].filter { $0 != leader && $0 != next }
        let half = try demo.command("kill", next)
        #expect(half.code == 0 && half.out.contains("is a majority of the coordinators left?"), "\(half)")
        let last = try demo.command("kill", others[1])
        #expect(last.code == 1 && last.err.contains("\(others[1]) is the last coordinator that answers"), "\(last.err)")
        let twice = try demo.command("kill", others[0])
        #expect(twice.code == 1 && twice.err.contains("'distric demo restart \(others[0])' brings it back"), "\(twice.err)")
        let back = try demo.command("restart")
        #expect(back.code == 0 && back.out.contains(leader) && back.out.contains(others[0]), "\(back.out)\(back.err)")
        try #require(try await holds(30) { (try demo.status)["leader"]?.string != nil })

        // One that stands still is replaced, and takes part again.
        let paused = try demo.command("pause", "leader")
        #expect(paused.code == 0, "\(paused.err)")
        let held = String(paused.out.prefix(3))
        try #require(try await holds(30) { (try demo.status)["leader"]?.string.map { $0 != held } ?? false }, "\(held)")
        #expect(member(try demo.status, held)?["state"]?.string == "paused")
        #expect(try demo.command("resume", held).code == 0)

        #expect(try demo.command("kill", "w-1").code == 0)
        let before = (try demo.status).at("messages", "accepted")?.int ?? 0
        try #require(try await holds(30) { ((try demo.status).at("messages", "accepted")?.int ?? 0) > before + 20 })
        let again = try demo.command("restart", "w-1")
        #expect(again.code == 0 && again.out == "w-1 runs again\n", "\(again.err)")
        let data = try #require(member(first, "w-1")?["data"]?.string)
        #expect(FileManager.default.fileExists(atPath: data))

        #expect(try await demo.end() == 0, "\(demo.out)\(demo.err)")
        let told = try #require(demo.out.firstMatch(of: #/accepted (\d+), ended (\d+).*, lost (\d+)/#), "\(demo.out)")
        #expect((Int(told.1) ?? 0) > 40 && (Int(told.2) ?? 0) > 20 && told.3 == "0", "\(told.0)")
        #expect(!FileManager.default.fileExists(atPath: data))
    }

    @Test func `what a demo cannot be is refused, and a node that is none kills nobody`() throws {
        let mistakes: [([String], String)] = [
            (["--coordinators", "2"], "must be 1, 3 or 5"), (["--workers", "17"], "must be 0 to 16"),
            (["--coordinators", "3", "--workers", "0"], "--workers 0 goes with one coordinator"),
            (["--for", "5s"], "--for goes with --headless"),
            (["--headless", "--for", "soon"], "write a duration of at least 1s"), (["--rate", "-1"], "--rate"),
            (["explode"], "no command 'demo explode'"),
        ]
        for (words, says) in mistakes {
            let refused = try run(Built.distric, ["demo"] + words)
            #expect(refused.code == 64 && refused.err.contains(says), "\(words): \(refused.err)")
        }
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.path + "/kept/c-1", withIntermediateDirectories: true)
        let other = try run(Built.distric, ["demo", "--coordinators", "3", "--keep", folder.path + "/kept", "--headless", "--for", "1s"])
        #expect(other.code == 78 && other.err.contains("holds a demo with 1 coordinator, and this one has 3"), "\(other.err)")
        let node = try RunningNode(data: folder.path + "/data")
        let refused = try node.distric("demo", "kill", "leader")
        #expect(refused.code == 77 && refused.err.contains("is not a member of a demo"), "\(refused.err)")
    }
}

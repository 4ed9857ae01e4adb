import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// The `distric` that was built beside these tests.
enum Built {
    static let distric: String = {
        let folder = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
        let candidates = [folder, folder.deletingLastPathComponent(), folder.deletingLastPathComponent().deletingLastPathComponent()]
        return candidates.map { $0.appending(path: "distric").path(percentEncoded: false) }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
            ?? "distric"
    }()

    /// Where a tool that a test needs lies; nil skips the test, unless `DISTRIC_CI` is set.
    static func tool(_ name: String) -> String? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let found = folders.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
        if found == nil, ProcessInfo.processInfo.environment["DISTRIC_CI"] == "1" { Issue.record("\(name) is not installed") }
        return found
    }
}

/// What a finished command left.
struct Finished {
    var code: Int32
    var out: String
    var err: String
}

/// Runs a program to its end, for at most a minute.
func run(
    _ program: String = Built.distric, _ arguments: [String], input: String = "", in folder: String? = nil,
    environment: [String: String] = [:]
) throws -> Finished {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    if let folder { process.currentDirectoryURL = URL(filePath: folder, directoryHint: .isDirectory) }
    process.environment = base.merging(environment) { $1 }
    let place = FileManager.default.temporaryDirectory.appending(path: "distric-io-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: place) }
    let (inFile, outFile, errFile) = (place.appending(path: "in"), place.appending(path: "out"), place.appending(path: "err"))
    try Data(input.utf8).write(to: inFile)
    for file in [outFile, errFile] { try Data().write(to: file) }
    process.standardInput = try FileHandle(forReadingFrom: inFile)
    process.standardOutput = try FileHandle(forWritingTo: outFile)
    process.standardError = try FileHandle(forWritingTo: errFile)
    try process.run()
    let end = Date().addingTimeInterval(60)
    while process.isRunning, Date() < end { usleep(5000) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    return Finished(
        code: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
        out: String(decoding: try Data(contentsOf: outFile), as: UTF8.self),
        err: String(decoding: try Data(contentsOf: errFile), as: UTF8.self))
}

/// Nothing of the surroundings' settings reaches the programs under test.
private let base: [String: String] = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("DISTRIC_") }
    .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }

/// A folder that goes away with the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "distric-test-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A real `distric node` on a free port of loopback.
final class RunningNode {
    struct DidNotStart: Error, CustomStringConvertible {
        let description: String
    }

    let url: String
    let process: Process
    private let log: URL

    /// Starts a node and waits until it is ready; its log is in `<data>.log`.
    init(data: String, _ arguments: [String] = [], environment: [String: String] = [:]) throws {
        log = URL(filePath: data + ".log")
        try Data().write(to: log)
        process = Process()
        process.executableURL = URL(filePath: Built.distric)
        process.arguments = ["node", "--id", "n1", "--data", data, "--http", "127.0.0.1:0", "--rpc", "none"] + arguments
        process.environment = base.merging(environment) { $1 }
        process.currentDirectoryURL = FileManager.default.temporaryDirectory
        process.standardError = try FileHandle(forWritingTo: log)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let end = Date().addingTimeInterval(60)
        while Date() < end, process.isRunning {
            if let found = Self.readyURL(log) {
                url = found
                return
            }
            usleep(5000)
        }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        throw DidNotStart(description: (try? String(contentsOf: log, encoding: .utf8)) ?? "")
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    private static func readyURL(_ log: URL) -> String? {
        guard let text = try? String(contentsOf: log, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") where line.contains("\"message\":\"ready\"") {
            return (try? JSONScanner.parse(line.utf8))?["url"]?.string
        }
        return nil
    }

    var logText: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }
    var client: NodeClient { NodeClient(url: url, timeout: .seconds(20)) }

    /// kill -9, and waits until it is gone.
    func crash() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// SIGTERM, and waits until it is gone; its exit code.
    func stop() -> Int32 {
        process.terminate()
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// A command against this node.
    func distric(_ arguments: String..., input: String = "") throws -> Finished {
        try run(Built.distric, arguments + ["--connect", url], input: input)
    }
}

/// Asks until `condition` holds, for at most `seconds`; the last answer otherwise.
func eventually(_ seconds: Double = 20, _ ask: () async throws -> Value, until condition: (Value) -> Bool) async throws -> Value {
    let end = Date().addingTimeInterval(seconds)
    var answer = try await ask()
    while !condition(answer), Date() < end {
        try await Task.sleep(for: .milliseconds(50))
        answer = try await ask()
    }
    return answer
}

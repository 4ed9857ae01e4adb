import Foundation
import Glibc
import Primitives
import Text

/// The `distric` beside this program, as a node with a fresh folder.
final class BenchNode {
    struct DidNotStart: Error {}

    let port: Int
    let process = Process()
    let folder: String

    /// - Parameters:
    ///   - wrapper: a program with its arguments, found by PATH, that runs the node.
    ///   - program: a `distric` other than the one beside this program.
    init(_ arguments: [String] = [], under wrapper: [String] = [], program: String? = nil) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "distric-bench-\(getpid())-\(UInt32.random(in: 0...UInt32.max))")
            .path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let log = URL(filePath: folder + "/log")
        try Data().write(to: log)
        let beside = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "distric")
        let program = program.map { URL(filePath: $0) } ?? beside
        let own =
            [
                "node", "--id", "bench", "--data", folder + "/data", "--http", "127.0.0.1:0", "--rpc", "none", "--log-level", "warning",
            ] + arguments
        process.executableURL = wrapper.isEmpty ? program : URL(filePath: "/usr/bin/env")
        process.arguments = wrapper.isEmpty ? own : wrapper + [program.path(percentEncoded: false)] + own
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        // Without its log at info, the port is read from the sockets of the process.
        guard let found = Self.listeningPort(of: process) else { throw DidNotStart() }
        port = found
    }

    private static func listeningPort(of process: Process) -> Int? {
        let end = LoadClient.now() + 60
        while process.isRunning, LoadClient.now() < end {
            usleep(5000)
            let inodes = Self.sockets(of: process.processIdentifier)
            for line in ((try? String(contentsOfFile: "/proc/net/tcp", encoding: .utf8)) ?? "").split(separator: "\n").dropFirst() {
                let parts = line.split(separator: " ")
                guard parts.count > 9, parts[3] == "0A", inodes.contains(String(parts[9])) else { continue }
                return Int(parts[1].split(separator: ":")[1], radix: 16)
            }
        }
        return nil
    }

    private static func sockets(of pid: Int32) -> Set<String> {
        let folder = "/proc/\(pid)/fd"
        let links = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + $0)
        }
        return Set(links.filter { $0.hasPrefix("socket:[") }.map { String($0.dropFirst(8).dropLast()) })
    }

    /// Resident bytes.
    var residentBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * Int(getpagesize())
    }

    func get(_ path: String) throws -> Value { try JSONScanner.parse(try LoadClient.once(port, "GET", path, [])) }
    func post(_ path: String, _ body: Value) throws -> Value {
        try JSONScanner.parse(try LoadClient.once(port, "POST", path, JSONWriter.bytes(body)))
    }

    func stop() {
        process.terminate()
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: folder)
    }
}

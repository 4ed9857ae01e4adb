import CTerminal
import Foundation
import Glibc

/// A program on a terminal of its own, of which every byte is counted. Used by one thread at a time.
final class PseudoTerminal: @unchecked Sendable {
    struct Failed: Error { let what: String }

    let process = Process()
    private let main: Int32
    private var text: [UInt8] = []
    private(set) var bytes = 0
    let startedAt: Double

    init(_ program: String, _ arguments: [String], columns: Int32, rows: Int32) throws {
        var side: Int32 = -1
        main = ct_pty_open(rows, columns, &side)
        guard main >= 0 else { throw Failed(what: "no pseudo terminal") }
        defer { close(side) }
        let handle = FileHandle(fileDescriptor: side, closeOnDealloc: false)
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORTERM": ""]) {
            $1
        }
        process.standardInput = handle
        process.standardOutput = handle
        process.standardError = FileHandle.nullDevice
        startedAt = LoadClient.now()
        try process.run()
    }

    deinit { close(main) }

    /// Reads what is there, waiting for at most `seconds` for the first of it; how many bytes came.
    @discardableResult
    func read(waiting seconds: Double) -> Int {
        var watched = pollfd(fd: main, events: Int16(POLLIN), revents: 0)
        guard poll(&watched, 1, Int32(max(0, seconds * 1000))) > 0 else { return 0 }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var total = 0
        while true {
            let count = Glibc.read(main, &buffer, buffer.count)
            guard count > 0 else { break }
            total += count
            text += buffer.prefix(count)
        }
        bytes += total
        if text.count > 1 << 20 { text.removeFirst(text.count - (1 << 19)) }
        return total
    }

    /// Reads until the output holds a text; when that was, or nil after `seconds`.
    func wait(for wanted: String, seconds: Double) -> Double? {
        let end = LoadClient.now() + seconds
        while LoadClient.now() < end {
            if contains(wanted) { return LoadClient.now() }
            read(waiting: 0.001)
        }
        return nil
    }

    private func contains(_ wanted: String) -> Bool {
        let bytes = Array(wanted.utf8)
        guard text.count >= bytes.count else { return false }
        return text.indices.contains {
            $0 + bytes.count <= text.count && text[$0] == bytes[0] && text[$0..<$0 + bytes.count].elementsEqual(bytes)
        }
    }

    func send(_ keys: String) {
        let bytes = Array(keys.utf8)
        _ = Glibc.write(main, bytes, bytes.count)
    }

    /// Reads until nothing came for `seconds`.
    func settle(_ seconds: Double) { while read(waiting: seconds) > 0 {} }

    func stop() {
        process.terminate()
        let end = LoadClient.now() + 5
        while process.isRunning, LoadClient.now() < end { read(waiting: 0.01) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }
}

/// CPU seconds that a process has used, all threads.
func cpuSeconds(of pid: Int32) -> Double {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), let end = text.lastIndex(of: ")") else { return 0 }
    let parts = text[text.index(after: end)...].split(separator: " ")
    guard parts.count > 13, let user = Double(parts[11]), let system = Double(parts[12]) else { return 0 }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
}

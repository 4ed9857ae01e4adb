import Dispatch
import Foundation
import Glibc
import Synchronization

/// A program that a case runs: it can be stopped, woken, killed and started again, and its last words are kept.
final class ChildProcess: Sendable {
    struct Failed: Error, CustomStringConvertible { let description: String }

    let name: String
    private let program: String
    private let arguments: [String]
    private let log: String
    private let state = Mutex<(process: Process?, isOver: Bool)>((nil, false))

    /// - Parameters:
    ///   - program: a path, or a name that is looked up in PATH.
    ///   - log: a file for what it writes, from all its lives.
    init(_ name: String, _ program: String, _ arguments: [String], log: String) {
        self.name = name
        self.program = program
        self.arguments = arguments
        self.log = log
    }

    func start() throws {
        if !FileManager.default.fileExists(atPath: log) { try Data().write(to: URL(filePath: log)) }
        let output = try FileHandle(forWritingTo: URL(filePath: log))
        defer { try? output.close() }
        try output.seekToEnd()
        try state.withLock { state in
            guard !state.isOver else { throw Failed(description: "\(name): the bench is ending") }
            let process = Process()
            process.executableURL = URL(filePath: program.contains("/") ? program : "/usr/bin/env")
            process.arguments = program.contains("/") ? arguments : [program] + arguments
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = output
            process.standardError = output
            do { try process.run() } catch { throw Failed(description: "\(name): \(program) cannot be started: \(error)") }
            state.process = process
        }
    }

    var isRunning: Bool { state.withLock { $0.process?.isRunning ?? false } }

    /// Of the process; nil when none runs.
    var number: Int32? { state.withLock { state in state.process.flatMap { $0.isRunning ? $0.processIdentifier : nil } } }

    /// Nothing happens to one that has ended: its number may be another's by now.
    func send(_ signal: Int32) {
        state.withLock { state in
            if let process = state.process, process.isRunning { kill(process.processIdentifier, signal) }
        }
    }

    /// Whether it is gone, after at most five seconds. SIGKILL ends also what is stopped, and nobody can hold it back.
    @discardableResult
    func kill9() -> Bool {
        send(SIGKILL)
        let end = LoadClient.now() + 5
        while isRunning, LoadClient.now() < end { usleep(1000) }
        return !isRunning
    }

    /// It will not be started again.
    fileprivate func end() {
        state.withLock { $0.isOver = true }
        send(SIGKILL)
    }

    /// The end of what it wrote.
    var lastWords: String {
        let lines = ((try? String(contentsOfFile: log, encoding: .utf8)) ?? "").split(separator: "\n").suffix(5)
        return lines.isEmpty ? "it said nothing" : lines.joined(separator: "\n")
    }
}

/// All programs that a suite has started, and their folders: they end with it, with an error, and with Ctrl-C.
final class ChildProcesses: Sendable {
    private let kept = Mutex<(children: [ChildProcess], folders: [String])>(([], []))
    private let isSignalled = Switch()
    private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

    init() {
        let numbers = [SIGINT, SIGTERM, SIGHUP]
        for number in numbers { signal(number, SIG_IGN) }
        sources = numbers.map { DispatchSource.makeSignalSource(signal: $0, queue: .global()) }
        for (source, number) in zip(sources, numbers) {
            source.setEventHandler { [weak self] in
                self?.isSignalled.turnOn()
                Progress.tell("ended by a signal: all that was started is ended too")
                self?.endKept()
                _exit(128 + number)
            }
            source.resume()
        }
    }

    deinit {
        for source in sources { source.cancel() }
        for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_DFL) }
    }

    func start(_ child: ChildProcess) throws {
        kept.withLock { $0.children.append(child) }
        try child.start()
    }

    /// A new folder, on the disk that TMPDIR names.
    func folder(_ name: String) throws -> String {
        let path = FileManager.default.temporaryDirectory.appending(
            path: "distric-\(name)-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        )
        .path(percentEncoded: false)
        kept.withLock { $0.folders.append(path) }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    func endAll() {
        // A case that fails since its programs were ended under it has nothing to say, and must not leave before they are gone.
        while isSignalled.isOn { sleep(1) }
        endKept()
    }

    private func endKept() {
        let (children, folders) = kept.withLock { kept in
            defer { kept = ([], []) }
            return kept
        }
        for child in children { child.end() }
        for child in children { child.kill9() }
        for folder in folders { try? FileManager.default.removeItem(atPath: folder) }
    }
}

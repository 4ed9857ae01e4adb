import Glibc
import Primitives
import Subprocess
import Synchronization
import SystemPackage
import Text
import Wire

/// `exec@1`: a process of its own group under limits, with no environment but what it is given. Input is JSON on stdin; output is the
/// last JSON value on stdout, else its text.
struct ExecTask: TaskHandler {
    let settings: WorkerSettings
    let node: NodeID
    /// Where attempts have their working folders.
    let folder: String

    /// Milliseconds that the worker has for it.
    private static let guardSlack: Int64 = 1000
    /// A hundred years in milliseconds.
    private static let farAway: Int64 = 3_155_760_000_000

    func run(_ assignment: TaskAssignment, log: AttemptLog) async -> AttemptOutcome {
        let program: String
        let words: [String]
        do throws(TaskError) {
            words = try command(assignment.input)
            program = try allowedProgram(words[0])
        } catch {
            log.append(Array("\(error.message)\n".utf8))
            return .failed(error)
        }
        let place = "\(folder)/\(assignment.run)-\(assignment.task)-\(assignment.attempt)"
        guard mkdir(place, 0o700) == 0 || errno == EEXIST else {
            return .failed(TaskError(type: "worker_io", message: "cannot create the working folder: \(String(cString: strerror(errno)))"))
        }
        defer { removeTree(place) }
        let output = LockedBytes()
        do {
            let status = try await launch(program, words, assignment, place, output, log)
            return outcome(status, output.bytes, log.bytes)
        } catch is CancellationError {
            return .cancelled
        } catch {
            return .failed(TaskError(type: "spawn_failed", message: "cannot start \(program): \(error)"))
        }
    }

    // MARK: What to run

    private func command(_ input: Value) throws(TaskError) -> [String] {
        var words: [String] = []
        for word in input["command"]?.list ?? [] { words.append(try text(word, "an argument")) }
        guard !words.isEmpty else { throw TaskError(type: "invalid_input", message: "'command' must be a list of at least one word") }
        return words
    }

    /// Numbers and booleans are JSON text, lists and maps JSON; null is an error.
    private func text(_ value: Value, _ what: String) throws(TaskError) -> String {
        switch value {
        case .string(let text):
            guard !text.utf8.contains(0) else { throw TaskError(type: "invalid_input", message: "\(what) holds a zero byte") }
            return text
        case .null: throw TaskError(type: "invalid_input", message: "\(what) is null")
        case .bool, .int, .uint, .double, .list, .map: return JSONWriter.text(value)
        }
    }

    private func allowedProgram(_ name: String) throws(TaskError) -> String {
        let candidates = name.hasPrefix("/") ? [name] : settings.execPath.split(separator: ":").map { "\($0)/\(name)" }
        guard let found = candidates.first(where: { access($0, X_OK) == 0 }), let resolved = realpath(found, nil) else {
            throw TaskError(type: "not_found", message: "no program '\(name)' in \(settings.execPath)")
        }
        defer { free(resolved) }
        let path = String(cString: resolved)
        guard settings.allowExec.contains(where: { Wildcard($0, starCrossesSlash: false).matches(path) }) else {
            let allowed = settings.allowExec.isEmpty ? "it allows none" : "it allows \(settings.allowExec.joined(separator: ", "))"
            throw TaskError(
                type: "not_allowed", message: "worker \(node) does not allow '\(path)': \(allowed); start it with --allow-exec '\(path)'")
        }
        return path
    }

    private func environment(_ assignment: TaskAssignment) throws(TaskError) -> [Environment.Key: String] {
        var values: [Environment.Key: String] = ["PATH": settings.execPath]
        for member in assignment.input["env"]?.map?.members ?? [] {
            values[Environment.Key(stringLiteral: member.key)] = try text(member.value, "env.\(member.key)")
        }
        values["DISTRIC_RUN"] = assignment.run.description
        values["DISTRIC_TASK"] = assignment.task
        values["DISTRIC_ATTEMPT"] = String(assignment.attempt)
        values["DISTRIC_KEY"] = assignment.key
        values["DISTRIC_FENCE"] = assignment.fence.description
        values["DISTRIC_LEASE"] = "\(node)/\(assignment.fence)"
        if let trace = assignment.trace {
            values["TRACEPARENT"] = trace.traceparent
            if !trace.state.isEmpty { values["TRACESTATE"] = trace.state }
        }
        return values
    }

    private func limits(_ input: Value) -> Guard.Limits {
        var limits = Guard.Limits()
        limits.cpuSeconds = input.at("limits", "cpu_seconds")?.int.flatMap { UInt64(exactly: $0) }
        limits.memoryBytes = input.at("limits", "memory_bytes")?.int.flatMap { UInt64(exactly: $0) }
        if let files = input.at("limits", "open_files")?.int.flatMap({ UInt64(exactly: $0) }) { limits.openFiles = files }
        return limits
    }

    /// The worker ends an attempt whose time is over itself; its guard does when the worker does not.
    private func bounds(_ assignment: TaskAssignment) -> Guard.Bounds {
        var bounds = Guard.Bounds()
        bounds.worker = getpid()
        bounds.graceMilliseconds = min(settings.grace.milliseconds, Self.farAway)
        let own = bounds.graceMilliseconds + Self.guardSlack
        bounds.ends = Guard.bootMilliseconds + min(assignment.timeout.milliseconds, Self.farAway) + own
        return bounds
    }

    private func standardInput(_ input: Value) -> [UInt8] {
        switch input["stdin"] {
        case nil: []
        case .string(let text)?: Array(text.utf8)
        case let value?: JSONWriter.bytes(value)
        }
    }

    // MARK: Running

    private func launch(
        _ program: String, _ words: [String], _ assignment: TaskAssignment, _ place: String, _ output: LockedBytes, _ log: AttemptLog
    ) async throws -> TerminationStatus {
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: settings.grace)]
        let (executable, arguments): (String, [String]) =
            if let guardProgram = settings.guardProgram {
                (guardProgram, Guard.arguments(limits(assignment.input), bounds(assignment)) + [program] + words.dropFirst())
            } else {
                (program, Array(words.dropFirst()))
            }
        let limit = settings.outputBytes + 1
        let input = standardInput(assignment.input)
        let result = try await Subprocess.run(
            .path(FilePath(executable)), arguments: Arguments(arguments), environment: .custom(try environment(assignment)),
            workingDirectory: FilePath(place), platformOptions: options, input: .array(input), output: .sequence, error: .sequence
        ) { execution in
            let group = execution.processIdentifier.value
            try await withTaskCancellationHandler {
                try await withThrowingTaskGroup(of: Void.self) { readers in
                    readers.addTask {
                        for try await buffer in execution.standardOutput {
                            let bytes = buffer.withUnsafeBytes { Array($0) }
                            output.append(bytes, limit: limit)
                            log.append(bytes)
                        }
                    }
                    readers.addTask {
                        for try await buffer in execution.standardError { log.append(buffer.withUnsafeBytes { Array($0) }) }
                    }
                    try await readers.waitForAll()
                }
            } onCancel: {
                kill(-group, SIGTERM)
            }
        }
        // Whatever the program left running in its group ends with it.
        kill(-result.processIdentifier.value, SIGKILL)
        try Task.checkCancellation()
        return result.terminationStatus
    }

    private func outcome(_ status: TerminationStatus, _ output: [UInt8], _ log: [UInt8]) -> AttemptOutcome {
        switch status {
        case .exited(0):
            guard output.count <= settings.outputBytes else {
                let detail = "output exceeds \(settings.outputBytes) bytes; store it elsewhere and print its URL and hash"
                return .failed(TaskError(type: "payload_too_large", message: detail))
            }
            return .succeeded(value(of: output))
        case .exited(let code):
            return .failed(TaskError(type: "exit_code", message: "exit code \(code)\(lastLine(log))", status: Int(code)))
        case .signaled(let signal):
            return .failed(TaskError(type: "signal", message: "ended by signal \(signal)\(lastLine(log))", status: 128 + Int(signal)))
        }
    }

    /// All of it when that is JSON, else the last line that is, else the text.
    private func value(of output: [UInt8]) -> Value {
        if let whole = try? JSONScanner.parse(output) { return whole }
        for line in output.split(separator: 0x0A).reversed() {
            if let value = try? JSONScanner.parse(line) { return value }
            if !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) { break }
        }
        let text = String(decoding: output, as: UTF8.self)
        return .string(text.last == "\n" ? String(text.dropLast()) : text)
    }

    private func lastLine(_ log: [UInt8]) -> String {
        guard let line = log.split(separator: 0x0A).last else { return "" }
        return ": " + String(decoding: line.prefix(200), as: UTF8.self)
    }
}

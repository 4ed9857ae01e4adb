import Glibc

/// The hidden entry of `distric` that stands between the worker and a task's program: it sets resource limits and a process group of its own,
/// then becomes the program. It runs before anything else of the binary.
package enum Guard {
    package static let word = "--exec-guard"

    /// Limits on one process, as `setrlimit(2)` takes them.
    package struct Limits: Equatable, Sendable {
        package var cpuSeconds: UInt64?
        package var memoryBytes: UInt64?
        package var openFiles: UInt64 = 1024

        package init() {}

        var arguments: [String] {
            var list = [Guard.word, "files=\(openFiles)"]
            if let cpuSeconds { list.append("cpu=\(cpuSeconds)") }
            if let memoryBytes { list.append("memory=\(memoryBytes)") }
            return list + ["--"]
        }
    }

    /// Becomes the program when `arguments` ask for it; never returns then. Otherwise returns at once.
    package static func runIfAsked(_ arguments: [String]) {
        guard arguments.count > 1, arguments[1] == word else { return }
        guard let end = arguments.firstIndex(of: "--"), end + 1 < arguments.count else { give("no program after '--'", code: 64) }
        _ = setpgid(0, 0)
        for option in arguments[2..<end] { apply(option) }
        limit(UInt32(RLIMIT_CORE.rawValue), 0)
        let program = arguments[end + 1]
        let words = arguments[(end + 1)...].map { strdup($0) } + [nil]
        execv(program, words)
        give("cannot start \(program): \(String(cString: strerror(errno)))", code: 127)
    }

    private static func apply(_ option: String) {
        let parts = option.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let number = UInt64(parts[1]) else { give("bad limit '\(option)'", code: 64) }
        switch parts[0] {
        case "cpu": limit(UInt32(RLIMIT_CPU.rawValue), number)
        case "memory": limit(UInt32(RLIMIT_AS.rawValue), number)
        case "files": limit(UInt32(RLIMIT_NOFILE.rawValue), number)
        default: give("unknown limit '\(option)'", code: 64)
        }
    }

    private static func limit(_ resource: UInt32, _ number: UInt64) {
        var current = rlimit()
        getrlimit(__rlimit_resource_t(resource), &current)
        let value = rlim_t(min(number, UInt64(current.rlim_max)))
        var wanted = rlimit(rlim_cur: value, rlim_max: value)
        guard setrlimit(__rlimit_resource_t(resource), &wanted) == 0 else {
            give("cannot set a limit: \(String(cString: strerror(errno)))", code: 71)
        }
    }

    private static func give(_ text: String, code: Int32) -> Never {
        fputs("exec-guard: \(text)\n", stderrFile())
        exit(code)
    }

    private static func stderrFile() -> UnsafeMutablePointer<FILE>? { fdopen(2, "w") }
}

import CExecGuard
import Glibc

/// The hidden entry of `distric` between the worker and a task's program: a process that leads the group, starts the program in it under
/// limits, and ends the group when its worker is gone or the attempt has taken too long by the clock that runs on while the machine sleeps. It runs
/// before anything else of the binary, and ends as its program does.
package enum Guard {
    package static let word = "--exec-guard"

    /// Limits on one process, as `setrlimit(2)` takes them.
    package struct Limits: Equatable, Sendable {
        package var cpuSeconds: UInt64?
        package var memoryBytes: UInt64?
        package var openFiles: UInt64 = 1024

        package init() {}
    }

    /// What bounds an attempt beside the limits of its process.
    package struct Bounds: Equatable, Sendable {
        /// Whose end ends the attempt; nil: nobody's.
        package var worker: Int32?
        /// From when on the attempt is ended, in milliseconds of the boot-time clock (`CLOCK_BOOTTIME`).
        package var ends: Int64?
        /// Between the request to end and the end.
        package var graceMilliseconds: Int64 = 5000

        package init() {}
    }

    /// Milliseconds since the machine was started, with those in which it slept.
    package static var bootMilliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    static func arguments(_ limits: Limits, _ bounds: Bounds) -> [String] {
        var list = [word, "files=\(limits.openFiles)"]
        if let cpuSeconds = limits.cpuSeconds { list.append("cpu=\(cpuSeconds)") }
        if let memoryBytes = limits.memoryBytes { list.append("memory=\(memoryBytes)") }
        if let worker = bounds.worker { list.append("worker=\(worker)") }
        if let ends = bounds.ends { list.append("ends=\(ends)") }
        return list + ["grace=\(bounds.graceMilliseconds)", "--"]
    }

    /// Guards a program when `arguments` ask for it; never returns then. Otherwise returns at once.
    package static func runIfAsked(_ arguments: [String]) {
        guard arguments.count > 1, arguments[1] == word else { return }
        guard let end = arguments.firstIndex(of: "--"), end + 1 < arguments.count else { give("no program after '--'", code: 64) }
        _ = setpgid(0, 0)
        var bounds = Bounds()
        var limits = [distric_limit(resource: Int32(RLIMIT_CORE.rawValue), most: 0)]
        for option in arguments[2..<end] { read(option, &bounds, &limits) }
        // They stay pending: what the group is asked for is the program's to follow.
        block([SIGTERM, SIGINT, SIGHUP, SIGQUIT])
        let words = arguments[(end + 1)...].map { strdup($0) } + [nil]
        let child = distric_guard_start(arguments[end + 1], words, limits, Int32(limits.count))
        guard child > 0 else { give("cannot start \(arguments[end + 1]): \(String(cString: strerror(errno)))", code: 71) }
        // What came before the program was there did not reach it.
        for number in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] where isPending(number) { kill(0, number) }
        // Whoever reads what the program writes sees its end when the program closes it.
        let nothing = open("/dev/null", O_RDWR)
        for descriptor in Int32(0)...2 { dup2(nothing, descriptor) }
        GuardWatch(child: child, bounds: bounds).run()
    }

    private static func read(_ option: String, _ bounds: inout Bounds, _ limits: inout [distric_limit]) {
        let parts = option.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let number = UInt64(parts[1]), let signed = Int64(exactly: number) else {
            give("bad option '\(option)'", code: 64)
        }
        switch parts[0] {
        case "cpu": limits.append(distric_limit(resource: Int32(RLIMIT_CPU.rawValue), most: number))
        case "memory": limits.append(distric_limit(resource: Int32(RLIMIT_AS.rawValue), most: number))
        case "files": limits.append(distric_limit(resource: Int32(RLIMIT_NOFILE.rawValue), most: number))
        case "worker": bounds.worker = Int32(exactly: number)
        case "ends": bounds.ends = signed
        case "grace": bounds.graceMilliseconds = signed
        default: give("unknown option '\(option)'", code: 64)
        }
    }

    private static func block(_ numbers: [Int32]) {
        var set = sigset_t()
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        sigprocmask(SIG_BLOCK, &set, nil)
    }

    private static func isPending(_ number: Int32) -> Bool {
        var set = sigset_t()
        sigpending(&set)
        return sigismember(&set, number) == 1
    }

    private static func give(_ text: String, code: Int32) -> Never {
        fputs("exec-guard: \(text)\n", fdopen(2, "w"))
        exit(code)
    }
}

/// Waits for the program's end, for the worker's, and for the time that is given.
private struct GuardWatch {
    let child: Int32
    let bounds: Guard.Bounds
    private let childDescriptor: Int32
    private let workerDescriptor: Int32
    /// Looked at anew so often: a timer stands still while the machine sleeps, and the boot-time clock does not.
    private static let look: Int64 = 1000
    /// Where the kernel has no descriptors of processes.
    private static let shortLook: Int64 = 100

    init(child: Int32, bounds: Guard.Bounds) {
        (self.child, self.bounds) = (child, bounds)
        childDescriptor = distric_process_descriptor(child)
        workerDescriptor = bounds.worker.map { distric_process_descriptor($0) } ?? -1
    }

    func run() -> Never {
        var killAt: Int64?
        while true {
            var status: Int32 = 0
            if waitpid(child, &status, WNOHANG) == child { end(as: status) }
            let now = Guard.bootMilliseconds
            if killAt == nil, isOrphan || bounds.ends.map({ now >= $0 }) ?? false {
                kill(0, SIGTERM)
                killAt = now + bounds.graceMilliseconds
            }
            // It ends this process too.
            if let killAt, now >= killAt { kill(0, SIGKILL) }
            wait(until: killAt ?? bounds.ends, now, for: killAt == nil)
        }
    }

    /// Its worker is its parent until that has ended.
    private var isOrphan: Bool { bounds.worker.map { getppid() != $0 } ?? false }

    private func wait(until time: Int64?, _ now: Int64, for worker: Bool) {
        let isBlind = childDescriptor < 0 || (workerDescriptor < 0 && bounds.worker != nil)
        let most = isBlind ? Self.shortLook : Self.look
        let left = time.map { min(max($0 - now, 1), most) } ?? most
        let watched = [childDescriptor] + (worker ? [workerDescriptor] : [])
        var descriptors = watched.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        poll(&descriptors, nfds_t(descriptors.count), Int32(left))
    }

    private func end(as status: Int32) -> Never {
        // Nobody else ends what the program has left running.
        if isOrphan { kill(0, SIGKILL) }
        let number = status & 0x7F
        guard number != 0 else { _exit((status >> 8) & 0xFF) }
        signal(number, SIG_DFL)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        sigprocmask(SIG_UNBLOCK, &set, nil)
        raise(number)
        _exit(128 + number)
    }
}

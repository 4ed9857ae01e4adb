import CTerminal
import Glibc
import Synchronization

/// The executor of the terminal's actor is its poll loop: jobs, keys and signals are all served by one thread, so that curses is touched
/// by that thread only.
package final class LoopExecutor: SerialExecutor, @unchecked Sendable {
    private let jobs = Mutex<[UnownedJob]>([])
    private let thread = Atomic<UInt>(0)
    let wakeDescriptor: Int32

    init() { wakeDescriptor = ct_wake_create() }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isFirst = jobs.withLock { jobs in
            jobs.append(job)
            return jobs.count == 1
        }
        if isFirst { ct_wake(wakeDescriptor) }
    }

    package func isSameExclusiveExecutionContext(other: LoopExecutor) -> Bool { self === other }
    package func checkIsolated() { precondition(isCurrent, "not on the terminal's thread") }
    package func isIsolatingCurrentContext() -> Bool? { isCurrent }

    private var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    func bind() { thread.store(UInt(pthread_self()), ordering: .relaxed) }

    func clearWake() { ct_wake_clear(wakeDescriptor) }

    func runJobs() {
        let batch = jobs.withLock { jobs in
            let batch = jobs
            jobs.removeAll(keepingCapacity: true)
            return batch
        }
        for job in batch { job.runSynchronously(on: asUnownedSerialExecutor()) }
    }
}

/// Whatever touches the terminal.
@globalActor
package actor TerminalActor {
    package static let shared = TerminalActor()
    package static let executor = LoopExecutor()
    package nonisolated var unownedExecutor: UnownedSerialExecutor { Self.executor.asUnownedSerialExecutor() }

    /// Runs `body` as this actor; the caller is on its thread already.
    static func assumeIsolated(_ body: @TerminalActor () -> Void) {
        shared.preconditionIsolated()
        withoutActuallyEscaping(body) { unsafeBitCast($0, to: (() -> Void).self)() }
    }
}

/// What a signal said.
package struct LoopNote: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let resized = Self(rawValue: UInt32(CT_WINCH))
    package static let stop = Self(rawValue: UInt32(CT_TSTP))
    package static let resumed = Self(rawValue: UInt32(CT_CONT))
    package static let terminate = Self(rawValue: UInt32(CT_TERM))
    package static let interrupt = Self(rawValue: UInt32(CT_INT))
    package static let hangup = Self(rawValue: UInt32(CT_HUP))
}

/// Who is served by the loop.
@TerminalActor
package protocol LoopDelegate: AnyObject {
    func inputReady()
    func noted(_ note: LoopNote)
    /// Paints if that is due; returns the milliseconds until the next wish to be woken, -1 for none.
    func idle() -> Int32
    var isFinished: Bool { get }
}

/// The loop itself.
package enum TerminalLoop {
    /// Starts the terminal's thread and returns when the delegate has finished.
    package static func run(input: Int32 = STDIN_FILENO, _ make: @escaping @Sendable @TerminalActor () -> any LoopDelegate) async {
        let executor = TerminalActor.executor
        ct_guard_install(executor.wakeDescriptor)
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            startThread {
                executor.bind()
                ct_guard_altstack()
                TerminalActor.assumeIsolated { serve(executor, input, make()) }
                done.resume()
            }
        }
    }

    @TerminalActor
    private static func serve(_ executor: LoopExecutor, _ input: Int32, _ delegate: any LoopDelegate) {
        var descriptors = [
            pollfd(fd: input, events: Int16(POLLIN), revents: 0), pollfd(fd: executor.wakeDescriptor, events: Int16(POLLIN), revents: 0),
        ]
        while !delegate.isFinished {
            let wait = delegate.idle()
            if delegate.isFinished { return }
            let ready = poll(&descriptors, 2, wait)
            if ready < 0, errno != EINTR { return }
            if descriptors[1].revents != 0 { executor.clearWake() }
            let notes = LoopNote(rawValue: ct_guard_take())
            if !notes.isEmpty { delegate.noted(notes) }
            if ready > 0, descriptors[0].revents & Int16(POLLIN) != 0 {
                delegate.inputReady()
            } else if ready > 0, descriptors[0].revents & Int16(POLLHUP | POLLERR | POLLNVAL) != 0 {
                delegate.noted(.hangup)
                return
            }
            executor.runJobs()
        }
    }
}

private final class ThreadBody: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

func startThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let pointer = Unmanaged.passRetained(ThreadBody(body)).toOpaque()
    let result = pthread_create(
        &thread, nil,
        { pointer in
            guard let pointer else { return nil }
            Unmanaged<ThreadBody>.fromOpaque(pointer).takeRetainedValue().body()
            return nil
        }, pointer)
    precondition(result == 0, "pthread_create: \(result)")
    pthread_detach(thread)
}

import Foundation
import Glibc
import Logging
import Synchronization

/// Where log lines go. Either whoever logs writes the line itself, or a thread of its own writes what a `LogRing` holds: then logging waits
/// for no disk, and what comes faster than it can be written drops the oldest lines, counted by level.
package final class LogSink: Sendable {
    package enum Mode: String, Sendable, CaseIterable { case sync, async }

    /// Bytes that are written at a time.
    private static let batch = 256 << 10
    /// Lines that come within it are written together.
    private static let pause: UInt32 = 1000

    private struct Output: ~Copyable, @unchecked Sendable {
        let file: LogFile
    }

    private let output: Mutex<Output>
    private let ring: LogRing?
    private let hasPriorities: Bool
    private let wakeUp = DispatchSemaphore(value: 0)
    private let finished = DispatchSemaphore(value: 0)
    private let isStopping = Atomic<Bool>(false)
    private let isIdle = Atomic<Bool>(true)
    package let written = Counter()
    package let failed = Counter()

    /// Whoever logs writes.
    package convenience init(descriptor: Int32 = 2) { self.init(file: LogFile(descriptor: descriptor), queue: nil) }

    /// - Parameters:
    ///   - queue: the ring whose lines a thread of this sink writes; nil: whoever logs writes.
    ///   - hasPriorities: lines begin with `<3>` and so on, as the journal of systemd reads them (sd-daemon(3)).
    package init(file: sending LogFile, queue: LogRing?, hasPriorities: Bool = false) {
        ring = queue
        self.hasPriorities = hasPriorities
        let descriptor = file.descriptor
        output = Mutex(Output(file: file))
        guard let queue else { return }
        queue.beginQueue(descriptor: descriptor)
        let thread = Thread { [self] in drain(queue) }
        thread.name = "log"
        thread.start()
    }

    /// Whether what this process writes to stderr goes to the journal of systemd.
    package static func isJournal(_ environment: [String: String], descriptor: Int32 = 2) -> Bool {
        let parts = (environment["JOURNAL_STREAM"] ?? "").split(separator: ":").map { UInt64($0) }
        var facts = stat()
        guard parts.count == 2, fstat(descriptor, &facts) == 0 else { return false }
        return parts[0] == UInt64(facts.st_dev) && parts[1] == UInt64(facts.st_ino)
    }

    /// A line with its end, which is in the ring already if there is one.
    func take(_ line: UnsafeRawBufferPointer, _ level: Logger.Level, isAwaited: Bool) {
        guard ring == nil else { return isAwaited ? wake() : () }
        guard hasPriorities else { return put(line, lines: 1) }
        (prefix(level) + line).withUnsafeBytes { put($0, lines: 1) }
    }

    private func wake() { wakeUp.signal() }

    private func put(_ bytes: UnsafeRawBufferPointer, lines: Int) {
        let (isWhole, descriptor) = output.withLock { output in
            let (isWhole, isMoved) = output.file.write(bytes)
            return (isWhole, isMoved ? output.file.descriptor : nil)
        }
        if let descriptor { ring?.redirectTail(descriptor) }
        (isWhole ? written : failed).increment(by: lines)
    }

    private func prefix(_ level: Logger.Level) -> [UInt8] {
        switch level {
        case .trace, .debug: Array("<7>".utf8)
        case .info: Array("<6>".utf8)
        case .notice: Array("<5>".utf8)
        case .warning: Array("<4>".utf8)
        case .error: Array("<3>".utf8)
        case .critical: Array("<2>".utf8)
        }
    }

    // MARK: The thread that writes

    private func drain(_ ring: LogRing) {
        var buffer: [UInt8] = []
        buffer.reserveCapacity(Self.batch)
        while true {
            isIdle.store(false, ordering: .sequentiallyConsistent)
            let lines = ring.take(into: &buffer, limit: Self.batch, prefix: hasPriorities ? { self.prefix($0) } : nil)
            if lines > 0 {
                buffer.withUnsafeBytes { put($0, lines: lines) }
                if buffer.count < Self.batch / 4, !isStopping.load(ordering: .relaxed) { usleep(Self.pause) }
                continue
            }
            isIdle.store(true, ordering: .sequentiallyConsistent)
            if isStopping.load(ordering: .relaxed) { break }
            wakeUp.wait()
        }
        finished.signal()
    }

    /// Waits until every line that was logged before is written, for at most so many seconds.
    package func flush(seconds: Double = 2) {
        guard let ring else { return }
        let end = Date().addingTimeInterval(seconds)
        wake()
        while ring.queued > 0 || !isIdle.load(ordering: .sequentiallyConsistent), Date() < end { usleep(200) }
    }

    /// Writes what is left and ends the thread. Lines that come later stay in the ring.
    package func close() {
        guard ring != nil, !isStopping.exchange(true, ordering: .relaxed) else { return }
        wake()
        _ = finished.wait(timeout: .now() + 5)
    }
}

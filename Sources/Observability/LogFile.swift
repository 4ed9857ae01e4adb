import Foundation
import Glibc
package import Primitives

/// Where log lines are written: a descriptor that somebody gave, or a file of its own that is rotated by size and age.
/// Not safe from several threads: a `LogSink` writes from one at a time.
package final class LogFile {
    package struct Rotation: Equatable, Sendable {
        /// A file that would grow above it is put aside.
        package var bytes: Int
        /// A file that was begun longer ago is put aside.
        package var age: Duration
        /// How many put aside are kept: `node.log.1` is the newest.
        package var kept: Int

        package init(bytes: Int, age: Duration, kept: Int) {
            self.bytes = bytes
            self.age = age
            self.kept = kept
        }
    }

    package struct Failure: Error, Equatable {
        package let path: String
        package let reason: String
    }

    private(set) var descriptor: Int32
    private let path: String?
    private let rotation: Rotation
    private let clock: any NodeClock
    private var size = 0
    /// To whose end can be written without the lock of a common position.
    private var isRegular = false
    /// When it is looked next whether the file is old: not at every line.
    private var lookAt = Instant(nanoseconds: 0)
    /// When its age is that from which it is put aside, in milliseconds since 1970.
    private var due = UInt64.max

    /// Lines go where somebody else looks after them: stderr, a console's file.
    package init(descriptor: Int32) {
        self.descriptor = descriptor
        path = nil
        rotation = Rotation(bytes: .max, age: .seconds(0), kept: 0)
        clock = SystemClock()
    }

    /// Appends to a file, which is made when it is not there, readable by its owner and group.
    package init(path: String, rotation: Rotation, clock: any NodeClock) throws(Failure) {
        self.path = path
        self.rotation = rotation
        self.clock = clock
        descriptor = -1
        try reopen(path)
    }

    deinit { if path != nil, descriptor >= 0 { close(descriptor) } }

    private func reopen(_ path: String) throws(Failure) {
        let opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        guard opened >= 0 else { throw Failure(path: path, reason: String(cString: strerror(errno))) }
        if descriptor >= 0 { close(descriptor) }
        var facts = stat()
        fstat(opened, &facts)
        (descriptor, size) = (opened, Int(facts.st_size))
        isRegular = facts.st_mode & S_IFMT == S_IFREG
        // A file that was there goes on by its own age.
        let began = size == 0 ? clock.wall : ClusterTime(milliseconds: UInt64(max(0, facts.st_ctim.tv_sec)) * 1000)
        due = began.advanced(by: rotation.age).milliseconds
    }

    /// Whole lines. What could be written only in part is cut off again where the file is its own, so that no line is torn.
    /// - Returns: whether all were written, and whether the descriptor is another than before.
    func write(_ bytes: UnsafeRawBufferPointer) -> (isWhole: Bool, isMoved: Bool) {
        let isMoved = rotateIfDue(adding: bytes.count)
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            // A file that is appended to takes it at its end, whatever the place (pwrite(2), BUGS).
            let count =
                isRegular ? pwrite(descriptor, part.baseAddress, part.count, 0) : Glibc.write(descriptor, part.baseAddress, part.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if path != nil, rest.count < bytes.count { ftruncate(descriptor, off_t(size)) }
                return (false, isMoved)
            }
            rest = rest.dropFirst(count)
        }
        size += bytes.count
        return (true, isMoved)
    }

    private var isOld: Bool {
        let now = clock.coarseNow
        guard now >= lookAt else { return false }
        lookAt = now.advanced(by: .milliseconds(100))
        guard clock.wall.milliseconds >= due else { return false }
        // Whoever cannot rotate it tries again with the next line.
        lookAt = now
        return true
    }

    private func rotateIfDue(adding count: Int) -> Bool {
        guard let path, size > 0 else { return false }
        guard size + count > rotation.bytes || isOld else { return false }
        for number in stride(from: rotation.kept, to: 1, by: -1) { rename("\(path).\(number - 1)", "\(path).\(number)") }
        if rotation.kept > 0 { rename(path, "\(path).1") } else { unlink(path) }
        // When no new file can be made, lines go on into the old one, and the next line tries again.
        return (try? reopen(path)) != nil
    }
}

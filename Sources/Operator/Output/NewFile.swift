import Foundation
import Glibc

/// A file that comes to be as a whole: `FILE.part` takes what is written, and bears the name only when all of it is on disk.
final class NewFile {
    private let path: String
    private var part: String { path + ".part" }
    private let descriptor: Int32
    private var isKept = false

    /// - Parameter replaces: whether one of that name may go.
    init(_ path: String, replaces: Bool) throws(CommandFailure) {
        self.path = path
        guard replaces || access(path, F_OK) != 0 else {
            throw CommandFailure(.cannotWrite, "\(path) is there already; choose another name, or --force replaces it")
        }
        descriptor = try Self.openPart(path + ".part")
    }

    /// Not emptied before it is locked: another program may be writing it.
    private static func openPart(_ part: String) throws(CommandFailure) -> Int32 {
        let descriptor = open(part, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("written", part) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, ftruncate(descriptor, 0) == 0 else {
            defer { close(descriptor) }
            throw errno == EWOULDBLOCK
                ? CommandFailure(.temporary, "\(part) is being written by another program; wait until it has ended")
                : failure("written", part)
        }
        return descriptor
    }

    deinit {
        guard !isKept else { return }
        unlink(part)
        close(descriptor)
    }

    func write(_ bytes: [UInt8]) throws(CommandFailure) { try Self.write(bytes, to: descriptor, named: part) }

    /// Gives it its name; durable when it returns.
    func keep() throws(CommandFailure) {
        guard fsync(descriptor) == 0, rename(part, path) == 0 else { throw Self.failure("kept", path) }
        isKept = true
        close(descriptor)
        let above = (path as NSString).deletingLastPathComponent
        let folder = open(above.isEmpty ? "." : above, O_RDONLY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32, named name: String) throws(CommandFailure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("written", name) }
            rest = rest.dropFirst(count)
        }
    }

    private static func failure(_ what: String, _ path: String) -> CommandFailure {
        CommandFailure(.cannotWrite, "\(path) cannot be \(what): \(String(cString: strerror(errno)))")
    }
}

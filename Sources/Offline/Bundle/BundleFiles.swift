import Foundation
import Glibc

/// Where a bundle is written: a folder, or an archive where the name ends as one. Only its owner may read it, and nothing that is there is overwritten.
package struct BundleFiles: Sendable {
    /// Why it could not be written, with what to do.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package let output: String
    /// In the order in which they were added; names with slashes between folders.
    package private(set) var files: [(name: String, bytes: [UInt8])] = []

    /// Fails at once where something of that name is there.
    package init(_ output: String) throws(Failure) {
        guard access(output, F_OK) != 0 else { throw Failure(description: "\(output) is there already: choose another name (--output)") }
        self.output = output
    }

    private var isArchive: Bool { output.hasSuffix(".tar.gz") || output.hasSuffix(".tgz") }

    package mutating func add(_ name: String, _ bytes: [UInt8]) { files.append((name, bytes)) }

    /// Durable when it returns.
    package func write(seconds: Int) throws(Failure) {
        guard isArchive else { return try writeFolder() }
        let top = Self.name(of: output)
        var archive = TarArchive()
        for file in files {
            do throws(TarArchive.BadName) { try archive.add(top + "/" + file.name, file.bytes, seconds: seconds) } catch {
                throw Failure(description: "'\(error.name)' does not fit into an archive: write a folder instead (--output FOLDER)")
            }
        }
        try Self.write(archive.packed, to: output)
    }

    private static func name(of path: String) -> String {
        let last = path.split(separator: "/").last.map(String.init) ?? "bundle"
        for ending in [".tar.gz", ".tgz"] where last.hasSuffix(ending) && last.count > ending.count {
            return String(last.dropLast(ending.count))
        }
        return "bundle"
    }

    private func writeFolder() throws(Failure) {
        guard mkdir(output, 0o700) == 0 else { throw Self.failure(output) }
        for file in files {
            var folder = output
            for part in file.name.split(separator: "/").dropLast() {
                folder += "/" + part
                guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw Self.failure(folder) }
            }
            try Self.write(file.bytes, to: output + "/" + file.name)
        }
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(Failure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let problem = failure(path)
                unlink(path)
                throw problem
            }
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> Failure {
        let reason = errno == EEXIST ? "it is there already: choose another name (--output)" : String(cString: strerror(errno))
        return Failure(description: "cannot write \(path): \(reason)")
    }
}

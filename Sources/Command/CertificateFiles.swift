import CoreFoundation
import Foundation
import Glibc
import Operator
import SwiftASN1
import X509

/// Certificates and keys as files: read up to a bound, written whole or not at all.
enum CertificateFiles {
    /// A certificate, and the DER that it was read from.
    struct Found {
        let certificate: Certificate
        let bytes: [UInt8]
    }

    /// A file that is to be.
    struct Draft {
        let path: String
        let text: String
        let mode: mode_t
    }

    static let publicMode: mode_t = 0o644
    static let secretMode: mode_t = 0o600

    /// Longer is no file of certificates.
    private static let limit = 1 << 20

    static func path(_ folder: String, _ name: String) -> String { folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)" }

    // MARK: Reading

    static func text(of path: String) throws(CommandFailure) -> String {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(path, errno) }
        defer { Glibc.close(descriptor) }
        let size = 65536
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: size)
        while bytes.count <= limit {
            let count = Glibc.read(descriptor, &chunk, size)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            if count > 0 {
                bytes += chunk[..<count]
            } else if errno != EINTR {
                throw unreadable(path, errno)
            }
        }
        throw CommandFailure(.badData, "\(path): larger than 1 MiB, which no file of certificates is")
    }

    /// At least one.
    static func certificates(in path: String) throws(CommandFailure) -> [Found] {
        let pem = try text(of: path)
        let documents: [PEMDocument]
        do { documents = try PEMDocument.parseMultiple(pemString: pem) } catch {
            throw CommandFailure(.badData, "\(path): no certificate can be read from it: \(reason(error))")
        }
        var found: [Found] = []
        for document in documents where document.discriminator == Certificate.defaultPEMDiscriminator {
            do {
                let certificate = try Certificate(pemDocument: document)
                found.append(Found(certificate: certificate, bytes: document.derBytes))
            } catch {
                throw CommandFailure(.badData, "\(path): certificate \(found.count + 1) cannot be read: \(reason(error))")
            }
        }
        guard found.isEmpty else { return found }
        if documents.contains(where: { $0.discriminator.hasSuffix("PRIVATE KEY") }) {
            throw CommandFailure(.badData, "\(path): there is a private key in it and no certificate")
        }
        let other = documents.first.map { ", but a \($0.discriminator)" } ?? ""
        throw CommandFailure(.badData, "\(path): there is no certificate in it\(other)")
    }

    /// What went wrong, without the place in the library that noticed.
    static func reason(_ error: any Error) -> String {
        let words = "\(error)".split(separator: " ")
        return (words.last?.contains(".swift:") == true ? words.dropLast() : words[...]).joined(separator: " ")
    }

    private static func unreadable(_ path: String, _ code: Int32) -> CommandFailure {
        CommandFailure(.badData, "\(path) cannot be read: \(String(cString: strerror(code)))")
    }

    // MARK: Writing

    static func makeFolder(_ folder: String) throws(CommandFailure) {
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw CommandFailure(.cannotWrite, "cannot write into \(folder): \(error.localizedDescription)")
        }
    }

    /// Puts all of them in place, in the order given, once each is written and synced under another name beside it.
    ///
    /// - Parameter replacing: whether files that are there may be replaced.
    static func put(_ drafts: [Draft], replacing: Bool) throws(CommandFailure) {
        for draft in drafts {
            var info = stat()
            guard lstat(draft.path, &info) == 0 else { continue }
            guard info.st_mode & S_IFMT != S_IFDIR else { throw CommandFailure(.cannotWrite, "\(draft.path) is a folder") }
            guard replacing else { throw CommandFailure(.cannotWrite, "\(draft.path) is there already; --force replaces it") }
        }
        var temporaries: [String] = []
        var placed: [String] = []
        do throws(CommandFailure) {
            for draft in drafts {
                let temporary = "\(draft.path).\(UUID().uuidString)"
                temporaries.append(temporary)
                try create(temporary, draft)
            }
            for (draft, temporary) in zip(drafts, temporaries) {
                guard Glibc.rename(temporary, draft.path) == 0 else { throw unwritable(draft.path, errno) }
                placed.append(draft.path)
            }
        } catch {
            // What was replaced cannot come back; what is new goes.
            for path in temporaries + (replacing ? [] : placed) { unlink(path) }
            throw error
        }
    }

    /// Nobody but its owner can open a key at any moment: it has its mode from the call that creates it.
    private static func create(_ path: String, _ draft: Draft) throws(CommandFailure) {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, draft.mode)
        guard descriptor >= 0 else { throw unwritable(draft.path, errno) }
        defer { Glibc.close(descriptor) }
        // What the umask took comes back.
        guard fchmod(descriptor, draft.mode) == 0 else { throw unwritable(draft.path, errno) }
        var rest = Array(draft.text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                throw unwritable(draft.path, errno)
            }
        }
        guard fsync(descriptor) == 0 else { throw unwritable(draft.path, errno) }
    }

    private static func unwritable(_ path: String, _ code: Int32) -> CommandFailure {
        CommandFailure(.cannotWrite, "cannot write \(path): \(String(cString: strerror(code)))")
    }
}

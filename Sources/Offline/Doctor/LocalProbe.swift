import Foundation
import Glibc
import Observability
import Primitives
import Storage
import Transport

/// Measures this machine for a node: nothing is left behind, and no node is asked.
package struct LocalProbe: Sendable {
    /// What of a node's settings the checks need.
    package struct Wanted: Sendable {
        package var folder: String
        package var httpAddress: String
        package var rpcAddress: String
        package var lowPercent: Int
        package var criticalPercent: Int
        package var connections: Int
        /// Certificate, key and authority; empty where none are set.
        package var certificates: (certificate: String, key: String, authority: String)

        package init(
            folder: String, httpAddress: String, rpcAddress: String, lowPercent: Int, criticalPercent: Int, connections: Int,
            certificates: (certificate: String, key: String, authority: String)
        ) {
            (self.folder, self.httpAddress, self.rpcAddress) = (folder, httpAddress, rpcAddress)
            (self.lowPercent, self.criticalPercent, self.connections) = (lowPercent, criticalPercent, connections)
            self.certificates = certificates
        }
    }

    private static let appends = 200
    private static let appendBytes = 512
    /// A disk so slow is told after some appends.
    private static let patience = Duration.seconds(5)

    private let wanted: Wanted
    private let clock = SystemClock()

    package init(_ wanted: Wanted) { self.wanted = wanted }

    package func findings() -> [Finding] {
        let (folder, standing) = place
        var found = [standing]
        if let folder {
            found.append(syncs(in: folder))
            let (free, total) = FileDisk().space(at: folder)
            found.append(
                LocalVerdicts.space(
                    freeBytes: free, totalBytes: total, low: wanted.lowPercent, critical: wanted.criticalPercent, folder: folder))
        }
        found.append(LocalVerdicts.descriptors(limit: openFiles, connections: wanted.connections))
        found.append(kernelClock)
        found.append(certificate)
        found += ports
        return found + kernel
    }

    // MARK: The folder

    /// Where the data lies, or would: the folder, or the nearest above it that is there.
    private var place: (String?, Finding) {
        let folder = wanted.folder
        var about = stat()
        guard stat(folder, &about) == 0 else {
            var above = parentFolder(of: folder)
            while stat(above, &about) != 0, above != "/", above != "." { above = parentFolder(of: above) }
            guard access(above, W_OK | X_OK) == 0 else {
                return (
                    nil,
                    Finding(
                        "folder", .fail, "\(folder) is not there, and \(above) may not be written",
                        "make it, and give it to the user of the node: install -d -o USER \(folder)")
                )
            }
            return (above, Finding("folder", .ok, "\(folder) is not there yet; it can be made in \(above)"))
        }
        guard about.st_mode & S_IFMT == S_IFDIR else {
            return (nil, Finding("folder", .fail, "\(folder) is no folder", "move it away, or name another folder (--data)"))
        }
        guard access(folder, R_OK | W_OK | X_OK) == 0 else {
            return (
                nil, Finding("folder", .fail, "\(folder) may not be written", "give it to the user of the node: chown -R USER \(folder)")
            )
        }
        return (folder, Finding("folder", .ok, holder.map { "\(folder) is in use by \($0)" } ?? "\(folder) can be written"))
    }

    /// Which process has the folder; nil when none does.
    private var holder: String? {
        let descriptor = open(wanted.folder + "/LOCK", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0 else { return nil }
        var text = [UInt8](repeating: 0, count: 64)
        let count = pread(descriptor, &text, text.count, 0)
        return String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").first.map(String.init) ?? "a process"
    }

    private func syncs(in folder: String) -> Finding {
        let path = folder + "/.distric-doctor-\(getpid())"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return cannotWrite(folder) }
        defer {
            close(descriptor)
            unlink(path)
        }
        let bytes = [UInt8](repeating: 0x2E, count: Self.appendBytes)
        var times: [Duration] = []
        let end = clock.now.advanced(by: Self.patience)
        while times.count < Self.appends, clock.now < end {
            let began = clock.now
            guard write(descriptor, bytes, bytes.count) == bytes.count, fdatasync(descriptor) == 0 else { return cannotWrite(folder) }
            times.append(clock.now.duration(since: began))
        }
        return LocalVerdicts.syncs(.init(times: times, folder: folder, isVolatile: Self.isVolatile(folder)))
    }

    private func cannotWrite(_ folder: String) -> Finding {
        let reason = String(cString: strerror(errno))
        return Finding(
            "fsync", .fail, "cannot write into \(folder): \(reason)", "a node could not begin there: is the disk full, or read-only?")
    }

    /// By the mount that the folder lies on: the one with the longest name of those that it begins with.
    private static func isVolatile(_ folder: String) -> Bool {
        guard let resolved = realpath(folder, nil) else { return false }
        defer { free(resolved) }
        let path = String(cString: resolved) + "/"
        let mounts = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
        var found = (length: 0, type: "")
        for line in mounts.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 4, let dash = words.firstIndex(of: "-"), dash + 1 < words.count else { continue }
            let mount = words[4] == "/" ? "/" : String(words[4]) + "/"
            if path.hasPrefix(mount), mount.count >= found.length { found = (mount.count, String(words[dash + 1])) }
        }
        return ["tmpfs", "ramfs"].contains(found.type)
    }

    // MARK: The machine

    private var openFiles: UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        return UInt64(limit.rlim_cur)
    }

    private var kernelClock: Finding {
        guard let found = KernelClock.current else { return Finding("clock", .ok, "the kernel does not say who keeps the clock") }
        return LocalVerdicts.clock(offset: found.offset, isSynchronised: found.isSynchronised, complaint: found.complaint)
    }

    private var certificate: Finding {
        let files = wanted.certificates
        guard !files.certificate.isEmpty else { return LocalVerdicts.certificate("", expiresInDays: nil, problem: nil) }
        do throws(TransportError) {
            let source = try TLSSource(.init(certificate: files.certificate, key: files.key, authority: files.authority))
            let days = (source.expiresAt - Int(clock.wall.milliseconds / 1000)) / 86_400
            return LocalVerdicts.certificate(files.certificate, expiresInDays: days, problem: nil)
        } catch { return LocalVerdicts.certificate(files.certificate, expiresInDays: nil, problem: error.description) }
    }

    private var ports: [Finding] {
        let isHeld = holder != nil
        return [("http.address", wanted.httpAddress), ("rpc.address", wanted.rpcAddress)].compactMap { setting, text in
            guard !text.isEmpty, text != "none", let address = try? PeerAddress(text), case .tcp(let host, let port) = address, port > 0
            else { return nil }
            let found = Self.port(host, port)
            return LocalVerdicts.port(setting, text, found == .taken && isHeld ? .ofThisNode : found)
        }
    }

    private static func port(_ host: String, _ port: Int) -> LocalVerdicts.Port {
        var hints = addrinfo()
        (hints.ai_socktype, hints.ai_flags) = (Int32(SOCK_STREAM.rawValue), AI_PASSIVE)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0, let first = list else { return .impossible(String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(list) }
        let descriptor = socket(first.pointee.ai_family, first.pointee.ai_socktype, first.pointee.ai_protocol)
        guard descriptor >= 0 else { return .impossible(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        // As a node would: one that has just ended does not hold its port.
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) != 0 else { return .free }
        return errno == EADDRINUSE ? .taken : .impossible(String(cString: strerror(errno)))
    }

    private var kernel: [Finding] {
        [
            LocalVerdicts.kernel(
                "net.core.somaxconn", number("net/core/somaxconn"), atLeast: 4096, "a node asks for 4096 connections that wait to be taken"),
            LocalVerdicts.kernel(
                "net.core.rmem_max", number("net/core/rmem_max"), atLeast: 1 << 20,
                "gossip of many nodes at once is dropped in a small buffer"),
            LocalVerdicts.kernel(
                "net.core.wmem_max", number("net/core/wmem_max"), atLeast: 1 << 20, "gossip to many nodes at once waits in a small buffer"),
        ]
    }

    private func number(_ path: String) -> Int? {
        let text = try? String(contentsOfFile: "/proc/sys/" + path, encoding: .utf8)
        return text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }
}

import Primitives

/// What measures of this machine mean for a node: values in, findings out.
package enum LocalVerdicts {
    /// Appends that were synced, each by itself.
    package struct Syncs: Equatable, Sendable {
        package var times: [Duration]
        package var folder: String
        /// A file system in memory, or one whose syncs do nothing.
        package var isVolatile: Bool

        package init(times: [Duration], folder: String, isVolatile: Bool) {
            (self.times, self.folder, self.isVolatile) = (times, folder, isVolatile)
        }

        func percentile(_ share: Double) -> Duration {
            let sorted = times.sorted()
            return sorted.isEmpty ? .zero : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        }
    }

    /// An acknowledgement waits for a sync or two, an election for some: from 100 ms on nodes call it slow, and half a second is an election timeout.
    private static let slowSync = Duration.milliseconds(50)
    private static let hopelessSync = Duration.milliseconds(500)

    package static func syncs(_ syncs: Syncs) -> Finding {
        let (half, most) = (syncs.percentile(0.5), syncs.percentile(0.99))
        let measured = "p50 \(short(half)), p99 \(short(most)) of \(syncs.times.count) synced appends in \(syncs.folder)"
        if syncs.isVolatile {
            return Finding(
                "fsync", .warn, measured + ", which lies in memory",
                "nothing there survives a restart of the machine: give --data a folder on a disk, for anything but a trial")
        }
        if most >= hopelessSync {
            return Finding(
                "fsync", .fail, measured,
                "a leader on this disk loses its leadership at such a sync: put the data folder on another disk, or find what else writes to it (iostat -x 1)"
            )
        }
        if most >= slowSync {
            return Finding(
                "fsync", .warn, measured,
                "acknowledgements wait for this disk: a local SSD, or a disk that nothing else writes to, makes them quick")
        }
        return Finding("fsync", .ok, measured)
    }

    package static func space(freeBytes: UInt64, totalBytes: UInt64, low: Int, critical: Int, folder: String) -> Finding {
        guard totalBytes > 0 else {
            return Finding("disk", .warn, "the file system of \(folder) does not say how much is free", "look with df")
        }
        let percent = Int(Double(freeBytes) / Double(totalBytes) * 100)
        let measured = "\(percent) % free (\(bytes(freeBytes)) of \(bytes(totalBytes))) at \(folder)"
        if percent < critical {
            return Finding(
                "disk", .fail, measured,
                "below disk.critical_percent = \(critical) a node gives up leading: delete what is not needed, or give it a larger disk")
        }
        guard percent < low else { return Finding("disk", .ok, measured) }
        return Finding("disk", .warn, measured, "below disk.low_percent = \(low) a node refuses messages: delete what is not needed")
    }

    /// - Parameter connections: so many may be open for calls, by the settings.
    package static func descriptors(limit: UInt64, connections: Int) -> Finding {
        let wanted = UInt64(connections) + 1024
        let measured = limit == .max ? "no limit of open files" : "\(limit) open files"
        if limit < 512 {
            return Finding(
                "descriptors", .fail, measured,
                "a node needs some hundreds before anybody calls: raise the limit (ulimit -n \(wanted), or LimitNOFILE=)")
        }
        guard limit < wanted else { return Finding("descriptors", .ok, measured) }
        return Finding(
            "descriptors", .warn, measured,
            "rpc.connections = \(connections) may be open at once: raise the limit (ulimit -n \(wanted), or LimitNOFILE=), or lower the setting"
        )
    }

    /// - Parameter complaint: why the clock is not to be relied on.
    package static func clock(offset: Duration, isSynchronised: Bool, complaint: String?) -> Finding {
        if let complaint { return Finding("clock", .warn, complaint, "look after chrony, ntpd or systemd-timesyncd") }
        guard isSynchronised else {
            return Finding(
                "clock", .warn, "nobody keeps this machine's clock",
                "run chrony, ntpd or systemd-timesyncd: times of several nodes are compared by people, and by timers")
        }
        return Finding("clock", .ok, "kept, \(short(offset < .zero ? .zero - offset : offset)) off")
    }

    /// - Parameter problem: why the files cannot be used; nil when they can.
    package static func certificate(_ file: String, expiresInDays days: Int?, problem: String?) -> Finding {
        if let problem {
            return Finding("certificate", .fail, problem, "'distric certs issue' makes one, 'distric certs show' shows one")
        }
        guard let days else { return Finding("certificate", .ok, "none is set: calls on loopback need none") }
        if days < 0 {
            return Finding(
                "certificate", .fail, "\(file) expired \(-days) days ago",
                "issue another ('distric certs issue'), then send the node SIGHUP")
        }
        guard days < 14 else { return Finding("certificate", .ok, "\(file) is good for \(days) days") }
        return Finding(
            "certificate", .warn, "\(file) expires in \(days) days", "issue another ('distric certs issue'), then send the node SIGHUP")
    }

    package enum Port: Equatable, Sendable {
        case free
        case taken
        /// By the node whose folder this is.
        case ofThisNode
        case impossible(String)
    }

    package static func port(_ setting: String, _ address: String, _ port: Port) -> Finding {
        switch port {
        case .free: Finding("port", .ok, "\(setting) \(address) is free")
        case .ofThisNode: Finding("port", .ok, "\(setting) \(address) is in use, by the node that has the folder")
        case .taken:
            Finding(
                "port", .fail, "\(setting) \(address) is in use by another program",
                "stop that (ss -ltnp tells which it is), or choose another address")
        case .impossible(let why): Finding("port", .fail, "\(setting) \(address): \(why)", "name an address that this machine has")
        }
    }

    /// A value of the kernel that a node needs to be so large; nil where it cannot be read.
    package static func kernel(_ name: String, _ found: Int?, atLeast wanted: Int, _ why: String) -> Finding {
        guard let found else { return Finding("kernel", .ok, "\(name) cannot be read here") }
        guard found < wanted else { return Finding("kernel", .ok, "\(name) = \(found)") }
        return Finding("kernel", .warn, "\(name) = \(found)", "\(why): sysctl -w \(name)=\(wanted)")
    }

    // MARK: Words

    static func short(_ time: Duration) -> String {
        let microseconds = time.nanoseconds / 1000
        if microseconds < 1000 { return "\(microseconds) us" }
        if microseconds < 100_000 { return "\(microseconds / 1000).\(microseconds % 1000 / 100) ms" }
        return microseconds < 10_000_000 ? "\(microseconds / 1000) ms" : "\(microseconds / 1_000_000) s"
    }

    static func bytes(_ count: UInt64) -> String {
        for (unit, size) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] where count >> UInt64(size) > 0 {
            return "\(count >> UInt64(size)) \(unit)"
        }
        return "\(count) B"
    }
}

import API
import Coordinator
import Observability
import Primitives
import Storage
import Transport

/// What an operator may break of a node's disk, as the front door steers it.
extension ChaosDisk: DisturbedDisk {}

extension DiskGuard.Settings {
    init(_ settings: Settings) throws(DistriCError) {
        self.init()
        let (low, critical) = (settings.whole("disk.low_percent"), settings.whole("disk.critical_percent"))
        guard critical <= low else {
            throw DistriCError(
                .badConfiguration,
                "disk.critical_percent = \(critical) is more than disk.low_percent = \(low): a disk is low before it is critical; set it to \(low) or less"
            )
        }
        limits = DiskWatermarks.Limits(lowPercent: UInt64(low), criticalPercent: UInt64(critical))
        ballastBytes = settings.bytes("disk.ballast_bytes")
    }
}

/// The disk under a node's log, and what may be done to it and to the node's links on purpose.
struct NodeDisk: Sendable {
    /// For the log; for all else the machine's own.
    let log: any Disk
    /// Nil where `chaos.allow` does not say so.
    let chaos: ChaosControl?

    /// - Parameter links: the faults of all that this node sends; nil where nothing may be disturbed.
    init(_ disk: any Disk, folder: String, links: LinkFaults?, telemetry: Telemetry) {
        guard let links else {
            (log, chaos) = (disk, nil)
            return
        }
        let disturbed = ChaosDisk(disk, below: folder + "/raft", clock: telemetry.clock)
        log = disturbed
        chaos = ChaosControl(links: links, disk: disturbed, telemetry: telemetry)
        telemetry.warn(
            "chaos", "this node lets itself be broken on purpose over /api/v1/chaos: not for nodes whose work counts",
            ["setting": "chaos.allow"])
    }
}

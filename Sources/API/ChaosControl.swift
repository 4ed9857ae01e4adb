package import Observability
import Primitives
package import Transport

/// A disk whose syncs can be slowed or failed while it runs. Storage's `ChaosDisk` is one; this room knows of no disks.
package protocol DisturbedDisk: Sendable {
    /// From one stall's beginning to the next one's; each of these takes the place of the fault before it.
    func stall(_ length: Duration, every: Duration)
    func stallOnce(_ length: Duration)
    /// Final for whoever writes, though not for the disk.
    func failSyncs()
    func heal()
    var stallLength: Duration? { get }
    /// Nil for what stalls once.
    var stallEvery: Duration? { get }
    var isFailing: Bool { get }
    /// Syncs that were stalled so far.
    var stallCount: Int { get }
    var failureCount: Int { get }
    /// Syncs that stall at this moment.
    var stallingCount: Int { get }
}

/// What is done to this node on purpose: to what it sends, and to the disk under its log. There is one only where `chaos.allow` says so.
package final class ChaosControl: Sendable {
    /// What the disk under the log is told.
    enum DiskFault: Equatable, Sendable {
        case stall(Duration, every: Duration)
        case stallOnce(Duration)
        case fail
    }

    /// What a request to heal one link runs into.
    struct NoFault: Error, Equatable {
        let faulty: [NodeID]
    }

    private let telemetry: Telemetry
    /// Of all that this node sends.
    package let links: LinkFaults
    private let disk: any DisturbedDisk

    package init(links: LinkFaults, disk: any DisturbedDisk, telemetry: Telemetry) {
        self.telemetry = telemetry
        self.links = links
        self.disk = disk
        telemetry.metrics.computed(.gauge, "distric_chaos_faults", "Faults that are in force on purpose.") { [weak self] in
            Double(self?.faultCount ?? 0)
        }
    }

    /// When the node stops: a sync that stalls would hold it up.
    package func end() { disk.heal() }

    /// Links that are touched, and the disk.
    var faultCount: Int { links.all.count + (isDiskDisturbed ? 1 : 0) }

    private var isDiskDisturbed: Bool { disk.isFailing || disk.stallLength != nil }

    // MARK: Links

    /// Each takes the place of the link's fault before it; one that does nothing heals the link.
    func set(_ faults: [(node: NodeID, fault: LinkFault)]) {
        let faulty = links.all.map { $0.node }
        for (node, fault) in faults {
            let isFault = fault != LinkFault()
            guard isFault || faulty.contains(node) else { continue }
            links.set(isFault ? fault : nil, to: node)
            tell(node.text, isFault, "the link to \(node) \(isFault ? Self.text(fault) : "is whole again")", Self.value(node, fault))
        }
    }

    /// - Parameter node: nil heals all links.
    func heal(_ node: NodeID?) throws(NoFault) {
        let faulty = links.all.map { $0.node }
        if let node, !faulty.contains(node) { throw NoFault(faulty: faulty) }
        set(faulty.filter { node == nil || node == $0 }.map { ($0, LinkFault()) })
    }

    // MARK: Disk

    func set(_ fault: DiskFault) {
        switch fault {
        case .stall(let length, let every):
            disk.stall(length, every: every)
            let pace = every == .zero ? "every sync" : "one sync every \(every.text)"
            tellDisk(true, "\(pace) of the log's disk stalls for \(length.text)")
        case .stallOnce(let length):
            disk.stallOnce(length)
            tellDisk(true, "the next sync of the log's disk stalls for \(length.text)")
        case .fail:
            disk.failSyncs()
            tellDisk(true, "every sync of the log's disk fails, which stops the log for good")
        }
    }

    func healDisk() {
        guard isDiskDisturbed || disk.stallingCount > 0 else { return }
        disk.heal()
        tellDisk(false, disk.failureCount == 0 ? "the log's disk is whole again" : "the log's disk is whole again; \(Self.restart)")
    }

    /// A log that could not be written is not written again: what it held would not be known.
    private static let restart = "a sync of it failed, which is final: restart the node"

    private func tellDisk(_ isFault: Bool, _ text: String) { tell("disk", isFault, text, diskValue) }

    private func tell(_ subject: String, _ isFault: Bool, _ text: String, _ data: Value) {
        telemetry.events.emit("chaos.changed", subject: subject, severity: isFault ? .warning : .info, text, data: data)
        telemetry.warn("chaos", text, ["subject": subject])
    }

    // MARK: What there is

    /// All faults in force, as requests write them, and what they did so far.
    var value: Value {
        [
            "node": .string(telemetry.node.text), "faults": Value(faultCount),
            "links": .list(links.all.map { Self.value($0.node, $0.fault) }),
            "lost": Value(links.lostCount), "disk": diskValue,
        ]
    }

    private var diskValue: Value {
        let (length, every) = (disk.stallLength, disk.stallEvery)
        return .object([
            "stall": length.map { .string($0.text) }, "every": every.map { .string($0.text) },
            "once": length != nil && every == nil ? .bool(true) : nil, "fail": disk.isFailing ? .bool(true) : nil,
            "stalls": Value(disk.stallCount), "stalling": Value(disk.stallingCount), "failures": Value(disk.failureCount),
            "note": disk.failureCount > 0 ? .string(Self.restart) : nil,
        ])
    }

    private static func value(_ node: NodeID, _ fault: LinkFault) -> Value {
        ["to": .string(node.text), "cut": .bool(fault.isCut), "delay": .string(fault.delay.text), "loss": .double(fault.loss)]
    }

    private static func text(_ fault: LinkFault) -> String {
        if fault.isCut { return "is cut" }
        let tenths = max(1, Int((fault.loss * 1000).rounded()))
        let parts = [
            fault.delay > .zero ? "takes \(fault.delay.text) more" : nil,
            fault.loss > 0 ? "loses \(tenths / 10)\(tenths % 10 == 0 ? "" : ".\(tenths % 10)") %" : nil,
        ]
        return parts.compactMap(\.self).joined(separator: " and ")
    }
}

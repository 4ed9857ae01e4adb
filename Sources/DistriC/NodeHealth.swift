import Cluster
import Coordinator
import Foundation
import Observability
import Primitives
import ServiceLifecycle
import Storage

/// Whether what is dropped when a ring is full has been, since somebody last looked.
private struct Losses {
    private var before: [String: UInt64] = [:]

    mutating func since(_ name: String, _ count: UInt64) -> UInt64 {
        defer { before[name] = count }
        return count - min(count, before[name] ?? 0)
    }
}

/// Looks after what fails slowly: the disk's free space, the log's thread, the clock, queues that overflow.
struct HealthWatch: Service {
    let telemetry: Telemetry
    let coordinator: CoordinatorNode
    let sink: LogSink
    /// Of the queue to a collector.
    let spansDropped: Counter?

    @concurrent
    func run() async throws {
        let gauges = ClockGauges(telemetry.metrics)
        await cancelWhenGracefulShutdown {
            var losses = Losses()
            repeat {
                lookAtDisk()
                lookAtLog(&losses)
                lookAtQueues(&losses)
                lookAtClock(gauges)
            } while (try? await Task.sleep(for: .seconds(2))) != nil
        }
    }

    private func lookAtDisk() {
        if let failure = coordinator.loop.storageFailure {
            telemetry.health.set("storage", .down, reason: failure.description)
        } else {
            telemetry.health.set("storage", .up)
        }
    }

    private func lookAtLog(_ losses: inout Losses) {
        let failed = losses.since("failed", sink.failed.count)
        let dropped = losses.since("dropped", telemetry.logs.dropped.reduce(0) { $0 + $1.counter.count })
        if failed > 0 {
            telemetry.health.set("log", .degraded, reason: "\(failed) lines could not be written: is the disk under the log full?")
        } else if dropped > 0 {
            telemetry.health.set("log", .degraded, reason: "\(dropped) lines came faster than the log could be written")
        } else {
            telemetry.health.set("log", .up)
        }
    }

    private func lookAtQueues(_ losses: inout Losses) {
        let events = losses.since("events", telemetry.events.dropped.count)
        let spans = losses.since("spans", spansDropped?.count ?? 0)
        var reasons: [String] = []
        if events > 0 { reasons.append("\(events) events were not sent to followers that do not keep up") }
        if spans > 0 { reasons.append("\(spans) spans came when the queue to the collector was full") }
        telemetry.health.set("queues", reasons.isEmpty ? .up : .degraded, reason: reasons.joined(separator: "; "))
    }

    private func lookAtClock(_ gauges: ClockGauges) {
        guard let clock = KernelClock.current else { return }
        gauges.offset.set(clock.offset.seconds)
        gauges.isSynchronised.set(clock.isSynchronised ? 1 : 0)
        if let complaint = clock.complaint {
            telemetry.health.set("clock-sync", .degraded, reason: complaint)
        } else {
            telemetry.health.set("clock-sync", .up, reason: clock.isSynchronised ? "" : "nobody keeps this machine's clock")
        }
    }
}

/// What the kernel says of the wall clock.
private struct ClockGauges {
    let offset: Gauge
    let isSynchronised: Gauge

    init(_ metrics: MetricsRegistry) {
        offset = metrics.gauge("distric_clock_offset_seconds", "Distance of the wall clock from the time that is kept to.")
        isSynchronised = metrics.gauge("distric_clock_synchronized", "1 while somebody keeps this machine's clock.")
    }
}

/// Whether this node has a leader, and is as far as the others: looked at often, for whoever waits until it is ready.
struct RaftWatch: Service {
    /// What a node may be behind and be as good as the others.
    private static let fewEntries: UInt64 = 10_000
    private static let silence = Duration.seconds(2)

    let telemetry: Telemetry
    let coordinator: CoordinatorNode

    @concurrent
    func run() async throws {
        await cancelWhenGracefulShutdown {
            repeat { look() } while (try? await Task.sleep(for: .milliseconds(100))) != nil
        }
    }

    func look() {
        let status = coordinator.raft.status
        let behind = status.commitIndex.number - min(status.commitIndex.number, coordinator.loop.current.state.applied.number)
        if let index = status.removedAt {
            telemetry.health.set(
                "raft", .down,
                reason: "this node was removed from the cluster at index \(index): stop it, or add it again with 'distric raft add'")
        } else if status.voters.isEmpty {
            telemetry.health.set("raft", .down, reason: "not a member of the cluster yet: its leader has to let this node in")
        } else if status.leader == nil {
            telemetry.health.set("raft", .down, reason: "no leader is known")
        } else if behind > Self.fewEntries {
            telemetry.health.set("raft", .down, reason: "\(behind) committed entries are not applied here yet")
        } else if let reason = missing(status) {
            telemetry.health.set("raft", .degraded, reason: reason)
        } else {
            telemetry.health.set("raft", .up)
        }
        let frozen = coordinator.loop.current.state.frozen
        telemetry.health.set(
            "freeze", frozen.isEmpty ? .up : .degraded,
            reason: frozen.isEmpty
                ? "" : "\(frozen.text); 'distric cluster thaw \(frozen.intake == nil ? "dispatch" : "intake")' lets it go")
        if coordinator.loop.isHoldingTimers {
            telemetry.health.set(
                "timers", .degraded, reason: "timers are held since a backup was restored: 'distric cluster resume' lets them go")
        } else {
            telemetry.health.set("timers", .up)
        }
    }

    /// Voters that do not answer, where only the leader knows.
    private func missing(_ status: RaftStatus) -> String? {
        guard status.isLeader else { return nil }
        let silent = status.peers.filter { $0.isVoter && $0.silentFor.map { $0 > Self.silence } ?? true }.map(\.node.text)
        guard !silent.isEmpty else { return nil }
        let (have, quorum) = (status.voters.count - silent.count, status.quorum)
        return "\(have) of \(quorum.of) voters answer, \(quorum.need) are needed; silent: \(silent.joined(separator: ", "))"
    }
}

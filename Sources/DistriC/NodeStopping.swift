import Cluster
import Coordinator
import Glibc
import Logging
import Observability
import ServiceLifecycle
import UnixSignals

/// The first to hear that the node stops: it is not ready from here on, and another one leads before anything else ends, so that what comes meanwhile still finds a
/// leader through this node.
struct LeadershipService: Service {
    private static let patience = Duration.seconds(3)
    private static let look = Duration.milliseconds(20)

    let coordinator: CoordinatorNode
    let telemetry: Telemetry

    @concurrent
    func run() async throws {
        // One that is cancelled has no time for it.
        guard (try? await gracefulShutdown()) != nil else { return }
        telemetry.health.set("node", .down, reason: "this node stops")
        guard coordinator.raft.status.isLeader, coordinator.raft.status.voters.count > 1 else { return }
        let end = ContinuousClock.now + Self.patience
        // A voter may be behind, or just then not answer.
        while coordinator.raft.status.isLeader, .now < end {
            await coordinator.handOver()
            try? await Task.sleep(for: Self.look)
        }
        // Those who ask here are passed on to the next one as soon as it is known.
        while coordinator.raft.leader == nil, .now < end { try? await Task.sleep(for: Self.look) }
    }
}

/// Whoever asks twice does not wait for what runs: what was acknowledged is on disk, and what tasks have started ends with this process. Signals that come at once are one
/// request: timeout(1) and other supervisors tell a process, and then the group that it is in.
struct StopNow: Service {
    /// As of a program that is interrupted.
    private static let code: Int32 = 130
    /// Far above what lies between two signals of one supervisor, and quicker than a person.
    private static let atOnce = Duration.milliseconds(200)

    let logger: Logger
    let sink: LogSink

    @concurrent
    func run() async throws {
        await cancelWhenGracefulShutdown {
            var first: ContinuousClock.Instant?
            for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
                guard let asked = first else {
                    first = .now
                    continue
                }
                guard .now - asked >= Self.atOnce else { continue }
                logger.warning("told twice to stop: stopped now, without waiting for what runs", metadata: ["signal": "\(signal)"])
                sink.flush()
                _exit(Self.code)
            }
        }
    }
}

import API
import Cluster
import Coordinator
import Observability
import Primitives
import ServiceLifecycle
import Storage
import Transport
import Worker

struct HTTPService: Service {
    let node: Node
    let door: HealthDoor
    let ready: @Sendable (String) -> Void

    @concurrent
    func run() async throws {
        // Streams of events would keep the server from closing.
        try await withGracefulShutdownHandler {
            try await node.open(door)
            try await node.serve(ready: ready)
        } onGracefulShutdown: {
            node.closeStreams()
        }
    }
}

/// Runs the worker; when the node is asked to stop, tasks that run get until the end of the grace.
struct WorkerService: Service {
    let worker: TaskRunner
    let link: CoordinatorLink?
    let grace: Duration

    @concurrent
    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await worker.run() }
            group.addTask { await untilShutdown() }
            await group.next()
            await worker.drain(for: grace)
            await link?.sayGoodbye()
            worker.stop()
            group.cancelAll()
        }
    }

    private func untilShutdown() async { try? await gracefulShutdown() }
}

struct SpanExportService: Service {
    let export: SpanExport

    @concurrent
    func run() async throws { await cancelWhenGracefulShutdown { await export.run() } }
}

/// Events become messages for as long as the node serves.
struct EventService: Service {
    let events: EventIntake

    @concurrent
    func run() async throws {
        await cancelWhenGracefulShutdown {
            await events.run()
            // The stream ends with the node, maybe before this is told of it: a service that ends by itself would end the others.
            try? await gracefulShutdown()
        }
    }
}

/// Once a second: what rates and charts are drawn from.
struct Sampling: Service {
    let telemetry: Telemetry
    let coordinator: CoordinatorNode
    let diskGuard: DiskGuard

    /// Where all of them are to be empty, leadership must not go from one to the next all the time.
    private static let leadsAtLeast = Duration.seconds(30)

    @concurrent
    func run() async throws {
        await cancelWhenGracefulShutdown {
            var handedOver: Instant?
            repeat {
                telemetry.history.sample()
                coordinator.intake.sample()
                diskGuard.check()
                guard coordinator.loop.isLeading else { continue }
                let now = telemetry.clock.now
                if diskGuard.level == .critical {
                    coordinator.raft.handOver()
                } else if isToBeEmpty, handedOver.map({ now.duration(since: $0) >= Self.leadsAtLeast }) ?? true {
                    handedOver = now
                    coordinator.raft.handOver()
                }
            } while (try? await Task.sleep(for: .seconds(1))) != nil
        }
    }

    /// Whether an operator wants this node empty, and not merely its worker closed.
    private var isToBeEmpty: Bool { coordinator.loop.sessions.locals.contains { $0.draining != nil } }
}

/// What is matched on a node that does not lead goes to the one that does.
struct IntakeForwarding: Service {
    let forwarder: IntakeForwarder
    let client: RPCClient

    @concurrent
    func run() async throws { await cancelWhenGracefulShutdown { await forwarder.run(through: client) } }
}

/// What a snapshot passed over comes from other nodes.
struct HistoryFetching: Service {
    let fetch: HistoryFetch
    let client: RPCClient

    @concurrent
    func run() async throws { await cancelWhenGracefulShutdown { await fetch.run(through: client) } }
}

import Cluster
import Coordinator
import Observability
import Primitives
import ServiceLifecycle
import Storage
import Transport
import Worker
import Workflows

/// How a node's worker comes to whoever leads.
extension Node {
    static func worker(
        _ settings: Settings, _ folder: DataFolder, _ disk: any Disk, _ telemetry: Telemetry, _ guardProgram: String?
    ) throws(DistriCError) -> TaskRunner {
        var own = WorkerSettings()
        own.capacity = WorkerCapacity(slots: settings.whole("worker.slots"))
        own.allowExec = settings.list("worker.allow_exec")
        own.allowHTTP = settings.list("worker.allow_http")
        own.execPath = settings.text("worker.exec_path")
        own.grace = settings.duration("worker.grace")
        own.outputBytes = settings.bytes("intake.payload_bytes")
        own.guardProgram = guardProgram
        own.labels = try labels(settings)
        let chosen = own
        return try storage { () throws(StorageError) in
            try TaskRunner(node: folder.identity.node, folder: folder.path + "/worker", disk: disk, settings: chosen, telemetry: telemetry)
        }
    }

    /// - Parameter coordinator: the one in this process; nil where there is none.
    static func link(
        _ runner: TaskRunner, _ settings: Settings, _ plan: NodeCalls.Plan, _ network: NodeNetwork, coordinator: CoordinatorNode?,
        startedAt: ClusterTime, telemetry: Telemetry
    ) throws(DistriCError) -> CoordinatorLink {
        var own = CoordinatorLink.Settings()
        own.lease = try lease(settings)
        own.labels = try labels(settings)
        own.seeds = plan.seeds
        let directory = network.directory
        let here = coordinator.map { coordinator in
            CoordinatorLink.Here(
                sink: coordinator.loop, isLeading: { coordinator.loop.isLeading },
                leader: {
                    let leader = coordinator.raft.leader
                    return leader == coordinator.raft.node ? nil : leader.flatMap { directory.facts($0)?.address }
                })
        }
        return CoordinatorLink(
            runner: runner, client: network.client, epoch: network.epoch, settings: own, here: here,
            found: network.coordinatorsByGossip, telemetry: telemetry)
    }

    /// Each as name=value, by name.
    static func labels(_ settings: Settings) throws(DistriCError) -> [String] {
        let pairs = settings.table("worker.labels").sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        do throws(PlacementError) { _ = try WorkerLabels(pairs) } catch {
            throw DistriCError(.badConfiguration, "worker.labels: \(error)")
        }
        return pairs.map { "\($0.name)=\($0.value)" }
    }

    /// Long enough for some renewals.
    static func lease(_ settings: Settings) throws(DistriCError) -> Duration {
        let lease = settings.duration("worker.lease")
        guard lease >= .seconds(1), lease <= .seconds(3600) else {
            throw DistriCError(.badConfiguration, "worker.lease = \(lease.text): from 1s to 1h")
        }
        return lease
    }
}

/// Keeps the worker with whoever leads, for as long as there is something to report.
struct LinkService: Service {
    let link: CoordinatorLink

    @concurrent
    func run() async throws { await cancelWhenGracefulShutdown { await link.run() } }
}

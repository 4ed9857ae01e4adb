package import Cluster
package import Observability
package import Primitives
import Synchronization
package import Transport
package import Wire

/// What joins a worker to whoever leads. It finds the leader, attaches to it, takes assignments, keeps the lease, and sends reports until some leader has them in its
/// log. Where the leader is this very process, reports go straight to it, and nothing is sent.
package final class CoordinatorLink: ReportSink, Sendable {
    /// The coordinator in this process.
    package struct Here: Sendable {
        package var sink: any ReportSink
        package var isLeading: @Sendable () -> Bool
        /// Where the leader takes calls, as far as this node knows.
        package var leader: @Sendable () -> PeerAddress?

        package init(sink: any ReportSink, isLeading: @escaping @Sendable () -> Bool, leader: @escaping @Sendable () -> PeerAddress?) {
            (self.sink, self.isLeading, self.leader) = (sink, isLeading, leader)
        }
    }

    package struct Settings: Equatable, Sendable {
        /// Of coordinators, where this process has none.
        package var seeds: [PeerAddress] = []
        /// `key=value`, for placement.
        package var labels: [String] = []
        /// Until a leader says how long it is.
        package var lease = Duration.seconds(10)
        /// What the lease is shorter for the worker than for the leader, so that an attempt has ended before another may begin: clocks run apart by less than this.
        package var driftPercent = 2
        package var backoff = Backoff(delay: .milliseconds(50), factor: 2, maximum: .seconds(2), jitter: .full)
        package init() {}
    }

    /// How the link is, for people.
    package enum Condition: Equatable, Sendable {
        case here
        case attached(to: String)
        case searching(String)
    }

    struct State {
        var search: LeaderSearch
        var condition = Condition.searching("no coordinator was asked yet")
        /// When a renewal was sent that a leader confirmed.
        var confirmedAt: Instant?
        var lease: Duration
        var wake: AsyncStream<Void>.Continuation?
        /// Of coordinators, as the last leader said.
        var urls: [String] = []
        /// The leader that it is attached to.
        var address: PeerAddress?
        /// The pause before the next renewal.
        var rest: Task<Void, Never>?
    }

    /// How often it is looked who leads, where this process has a coordinator, and for how long nobody has been heard of.
    private static let look = Duration.milliseconds(100)
    /// Between two looks at a lease that holds.
    private static let longestPause = Duration.seconds(1)

    let runner: TaskRunner
    let client: RPCClient
    let telemetry: Telemetry
    let settings: Settings
    let epoch: UInt64
    let metrics: LinkMetrics
    let here: Here?
    /// Coordinators that gossip knows to be there: where they take calls, and the URLs of their doors.
    let found: @Sendable () -> (calls: [PeerAddress], urls: [String])
    let state: Mutex<State>

    /// - Parameters:
    ///   - epoch: of this process; rises with each start.
    ///   - here: nil in a process without a coordinator.
    package init(
        runner: TaskRunner, client: RPCClient, epoch: UInt64, settings: Settings = Settings(), here: Here? = nil,
        found: @escaping @Sendable () -> (calls: [PeerAddress], urls: [String]) = { ([], []) }, telemetry: Telemetry
    ) {
        self.found = found
        (self.runner, self.client, self.epoch, self.settings, self.here) = (runner, client, epoch, settings, here)
        self.telemetry = telemetry
        metrics = LinkMetrics(telemetry.metrics)
        state = Mutex(State(search: LeaderSearch(seeds: settings.seeds), lease: settings.lease))
    }

    package var condition: Condition { state.withLock { $0.condition } }
    /// Whom people can ask for what is not here.
    package var coordinatorURLs: [String] {
        let told = state.withLock { $0.urls }
        return told.isEmpty ? found().urls : told
    }

    package func deliver(_ reports: [TaskReport]) {
        // Whoever leads no more drops them; they are sent again, for they wait in the runner.
        if let here, here.isLeading() { return here.sink.deliver(reports) }
        state.withLock { $0.wake }?.yield()
    }

    // MARK: Running

    /// Until the surrounding task is cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.watch() }
            var (failures, generator) = (0, SeededGenerator(seed: epoch))
            while !Task.isCancelled {
                if let here, here.isLeading() {
                    failures = 0
                    await stay(here)
                    continue
                }
                let known = found().calls
                guard let address = state.withLock({ $0.search.next(known: here?.leader(), found: known) }) else {
                    search("no leader is known")
                    try? await Task.sleep(for: Self.look)
                    continue
                }
                let began = telemetry.clock.now
                let end = await attach(to: address)
                detached(end)
                failures = telemetry.clock.now.duration(since: began) > .seconds(10) ? 0 : failures + 1
                // Who was told where the leader is goes there at once.
                guard end.leaderAddress == nil || failures > 2 else { continue }
                try? await Task.sleep(for: settings.backoff.wait(afterFailures: failures, using: &generator))
            }
            group.cancelAll()
        }
        metrics.attached.set(0)
    }

    /// While the leader is in this process.
    private func stay(_ here: Here) async {
        state.withLock { $0.condition = .here }
        metrics.attached.set(1)
        telemetry.health.set("worker", .up)
        // What waited for a leader elsewhere.
        let waiting = runner.waitingReports
        if !waiting.isEmpty { here.sink.deliver(waiting) }
        while !Task.isCancelled, here.isLeading() {
            let now = telemetry.clock.now
            state.withLock { $0.confirmedAt = now }
            guard (try? await Task.sleep(for: Self.look)) != nil else { break }
        }
        search("another coordinator leads, or none")
    }

    private func detached(_ error: CallError) {
        state.withLock { state in
            state.search.note(error)
            state.wake = nil
            state.address = nil
        }
        search(error.message)
    }

    /// Without a leader the worker goes on with what it has; a node that is nothing else is not ready then.
    private func search(_ reason: String) {
        state.withLock { $0.condition = .searching(reason) }
        metrics.attached.set(0)
        telemetry.health.set("worker", here == nil ? .down : .degraded, reason: "not with a leader: \(reason)")
    }

    /// There is something that the leader should hear of before the next renewal is due.
    func renewSoon() { state.withLock { $0.rest }?.cancel() }

    /// For how long it may go on after a leader has confirmed its lease.
    func allowed(_ lease: Duration) -> Duration { lease - lease * settings.driftPercent / 100 }

    /// Ends attempts that must not go on alone. By the clock that runs on while the machine sleeps: it wakes too late rather than too early.
    private func watch() async {
        var (pause, standing) = (Self.look, runner.standing)
        while (try? await Task.sleep(for: pause)) != nil {
            runner.lookAfterDrain()
            if runner.standing != standing {
                standing = runner.standing
                renewSoon()
            }
            metrics.waiting.set(runner.waitingReportCount)
            let now = telemetry.clock.now
            let (since, lease) = state.withLock { ($0.confirmedAt, $0.lease) }
            pause = Self.look
            guard let since else { continue }
            let allowed = allowed(lease)
            // A worker that has nothing to do sleeps: nothing can be over before the lease is, and a new leader's may be shorter.
            pause = min(Self.longestPause, max(Self.look, min(lease / 10, allowed - now.duration(since: since))))
            if runner.draining != nil { pause = Self.look }
            let ended = runner.endAlone(silentFor: now.duration(since: since), lease: allowed)
            guard ended > 0 else { continue }
            metrics.endedAlone.increment(by: ended)
            telemetry.events.emit(
                "worker.ended_alone", subject: runner.node.text, severity: .warning,
                "\(ended) attempts were ended on \(runner.node): no leader confirmed its lease for \(Duration.milliseconds(now.duration(since: since).milliseconds / 100 * 100).text), and elsewhere they count as lost"
            )
        }
    }
}

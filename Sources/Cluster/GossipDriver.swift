package import NIOCore
package import Observability
package import Primitives
package import SWIM
package import Storage
import Synchronization
package import Transport
package import Wire

/// Gossips: runs one member's `SWIMCore` on an event loop of its own, its datagrams over a socket, pings and exchanges that need a connection as calls. What it finds out
/// is in `view`, for everybody to read as a hint.
package final class GossipDriver: Sendable {
    package struct Settings: Equatable, Sendable {
        package var swim = SWIMSettings()
        /// Pings and exchanges over connections at once; more are dropped and counted, and made again with the next round.
        package var callsAtOnce = 32
        package var exchangeTimeout: Duration = .seconds(3)
        /// Between two looks at whether there is something to write down, and at who there is to ask.
        package var saveInterval: Duration = .seconds(2)
        package init() {}
    }

    /// Why it does not start.
    package enum Failure: Error, Equatable, CustomStringConvertible {
        case transport(TransportError)
        case metadata(SWIMError)

        package var description: String {
            switch self {
            case .transport(let error): "\(error)"
            case .metadata(let error): "\(error)"
            }
        }
    }

    /// What it belongs to, and reaches others with.
    package struct Surroundings: Sendable {
        package var node: NodeID
        package var cluster: UUIDv7
        package var clusterEpoch: UInt64
        package var client: RPCClient
        /// Nil where datagrams and exchanges go as they are.
        package var ring: KeyRing?
        package var faults: LinkFaults?
        package var disk: any Disk
        /// The file in which it keeps its epoch, and where others were.
        package var path: String
        package var telemetry: Telemetry

        package init(
            node: NodeID, cluster: UUIDv7, clusterEpoch: UInt64 = 1, client: RPCClient, ring: KeyRing? = nil, faults: LinkFaults? = nil,
            disk: any Disk, path: String, telemetry: Telemetry
        ) {
            (self.node, self.cluster, self.clusterEpoch) = (node, cluster, clusterEpoch)
            (self.client, self.ring, self.faults) = (client, ring, faults)
            (self.disk, self.path, self.telemetry) = (disk, path, telemetry)
        }
    }

    /// A call that the core wants made.
    enum Job: Sendable {
        case ping(SWIMOutput.StreamPing)
        case exchange(SWIMOutput.Exchange)
    }

    package let settings: Settings
    package let around: Surroundings
    package let view = MembershipView()
    /// Of this process; rises when others were told of a higher one.
    package var epoch: UInt64 { kept.withLock { $0.now.epoch } }
    let loop: any EventLoop
    let metrics: GossipMetrics
    let events: GossipEvents
    let watchers = Mutex<[@Sendable (MemberChange) -> Void]>([])
    private let renewals = Mutex<[@Sendable (UInt64) -> Void]>([])
    let kept: Mutex<(now: GossipFile, written: GossipFile)>
    private let jobs: (stream: AsyncStream<Job>, continuation: AsyncStream<Job>.Continuation)
    private let openCalls = Atomic<Int>(0)
    private let running = Mutex<NIOLoopBound<GossipLoop>?>(nil)

    /// Takes the epoch of this start, above any that was used before, and writes it down.
    package init(_ around: Surroundings, settings: Settings = Settings(), startedAt: ClusterTime, loop: any EventLoop)
        throws(StorageError)
    {
        (self.around, self.settings, self.loop) = (around, settings, loop)
        var file = try GossipFile.read(around.path, disk: around.disk)
        file.epoch = max(startedAt.milliseconds, file.epoch + (file.epoch < MemberIdentity.highestEpoch ? 1 : 0))
        try file.write(around.path, disk: around.disk)
        kept = Mutex((file, file))
        metrics = GossipMetrics(around.telemetry.metrics, view)
        events = GossipEvents(around.telemetry)
        jobs = AsyncStream.makeStream(of: Job.self, bufferingPolicy: .bufferingOldest(settings.callsAtOnce))
    }

    // MARK: Starting and ending

    /// Listens for datagrams.
    ///
    /// - Parameters:
    ///   - place: what others are told of where this node takes datagrams, by the port that it got; nil for the address itself.
    ///   - metadata: what it says of itself; its `gossip` is put in.
    /// - Returns: where it listens.
    package func start(
        host: String, port: Int, place: @Sendable (Int) -> String? = { _ in nil }, _ metadata: MemberMetadata, seed: UInt64
    ) async throws(Failure) -> String {
        let socket: DatagramSocket
        do throws(TransportError) {
            socket = try await DatagramSocket.bind(
                host: host, port: port, group: loop, ring: around.ring, faults: around.faults, telemetry: around.telemetry
            ) { [weak self] batch in self?.box?.value.receive(batch) }
        } catch {
            throw .transport(error)
        }
        let bound = socket.localAddress.hostAndPort
        var own = metadata
        own.gossip = place(socket.localAddress.port ?? port) ?? bound
        let identity = MemberIdentity(node: around.node, epoch: epoch)
        let core: SWIMCore
        do throws(SWIMError) {
            core = try SWIMCore(
                identity: identity, metadata: own, settings: swimSettings, generator: SeededGenerator(seed: seed),
                now: around.telemetry.clock.now)
        } catch {
            await socket.close()
            throw .metadata(error)
        }
        let box = try? await loop.submit { [loop] in NIOLoopBound(GossipLoop(core, socket, self), eventLoop: loop) }.get()
        running.withLock { $0 = box }
        join([])
        return bound
    }

    private var swimSettings: SWIMSettings {
        var swim = settings.swim
        swim.envelopeBytes = FrameHeader.bytes + KeyRing.overhead
        return swim.validated()
    }

    private var box: NIOLoopBound<GossipLoop>? { running.withLock { $0 } }

    /// Whoever may know of others: where they take calls. Those that were known before the start are asked too.
    package func join(_ seeds: [String]) {
        let all = seeds + kept.withLock { $0.now.peers }.filter { !seeds.contains($0) }
        onLoop { $0.handle(.join(seeds: all)) }
    }

    /// Says something else of itself.
    package func update(_ change: @escaping @Sendable (inout MemberMetadata) -> Void) {
        onLoop { running in
            var metadata = running.metadata
            change(&metadata)
            // What does not fit stays unsaid: it was checked when the node started.
            guard (try? metadata.check()) != nil else { return }
            running.handle(.update(metadata))
        }
    }

    /// Tells others that it leaves; returns when they know, or after a while.
    package func leave() async {
        guard let box else { return }
        await withCheckedContinuation { continuation in loop.execute { box.value.leave { continuation.resume() } } }
    }

    package func stop() async {
        guard let box else { return }
        running.withLock { $0 = nil }
        save()
        let socket = try? await loop.submit { box.value.stop() }.get()
        await socket?.close()
    }

    // MARK: Watching

    /// Called on the loop with all that comes to be believed; it must hand over and return.
    package func watch(_ body: @escaping @Sendable (MemberChange) -> Void) { watchers.withLock { $0.append(body) } }

    /// Called on the loop when this process goes under a higher epoch.
    package func whenRenewed(_ body: @escaping @Sendable (UInt64) -> Void) { renewals.withLock { $0.append(body) } }

    func renewed(_ epoch: UInt64) {
        kept.withLock { $0.now.epoch = epoch }
        events.renewed(epoch)
        for body in renewals.withLock({ $0 }) { body(epoch) }
    }

    func enqueue(_ job: Job) {
        if case .enqueued = jobs.continuation.yield(job) { return }
        metrics.drop(.busy)
    }

    private func onLoop(_ body: @escaping @Sendable (GossipLoop) -> Void) {
        guard let box else { return }
        loop.execute { body(box.value) }
    }

    // MARK: Calls of others

    /// Another member tells what it knows.
    package func answer(_ call: Wire.PushPull, from peer: Hello) async throws(CallError) -> Wire.PushPull {
        guard let caller = peer.node, caller == call.from else {
            throw CallError(.denied, "'\(call.from)' is not who says hello (\(peer.node?.text ?? "no node"))")
        }
        guard peer.cluster == around.cluster else {
            metrics.drop(.cluster)
            throw CallError(.wrongCluster, "'\(caller)' does not say that it belongs to cluster \(around.cluster)")
        }
        let message = try opened(call)
        guard let box else { throw CallError(.unavailable, "node '\(around.node)' does not gossip yet", retryAfter: .seconds(1)) }
        let answer = try? await loop.submit { box.value.answer(message) }.get()
        guard let answer else { throw CallError(.unavailable, "node '\(around.node)' does not gossip any more") }
        return try sealed(answer)
    }

    // MARK: Running

    /// Makes the calls that gossip needs, and writes down what the next start needs. Until it is cancelled.
    ///
    /// - Parameter seeds: who is to be asked, looked at again and again.
    package func run(seeds: @escaping @Sendable () -> [String]) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keep(seeds) }
            for await job in jobs.stream {
                guard openCalls.load(ordering: .relaxed) < settings.callsAtOnce else {
                    metrics.drop(.busy)
                    continue
                }
                openCalls.add(1, ordering: .relaxed)
                group.addTask {
                    await self.perform(job)
                    self.openCalls.subtract(1, ordering: .relaxed)
                }
            }
            group.cancelAll()
        }
    }

    private func perform(_ job: Job) async {
        switch job {
        case .ping(let ping): await perform(ping)
        case .exchange(let exchange): await perform(exchange)
        }
    }

    private func perform(_ ping: SWIMOutput.StreamPing) async {
        guard let address = try? PeerAddress(ping.address) else { return }
        let call = Wire.Ping(sequence: ping.sequence, from: around.node, target: ping.target.node)
        guard let ack = try? await around.client.call(call, to: address, timeout: settings.swim.probeInterval),
            ack.sequence == ping.sequence, let epoch = ack.epoch
        else { return }
        onLoop { $0.handle(.streamAck(sequence: ping.sequence, by: MemberIdentity(node: ack.from, epoch: epoch))) }
    }

    private func perform(_ exchange: SWIMOutput.Exchange) async {
        guard let address = try? PeerAddress(exchange.address) else { return }
        if case .tcp(let host, let port) = address, await NameResolver.resolve(host, port: port) == nil {
            metrics.exchangeFailures.increment()
            return events.unresolved(exchange.address)
        }
        do throws(CallError) {
            let answer = try await around.client.call(
                try sealed(exchange.message), to: address, timeout: settings.exchangeTimeout)
            // One that only knows who is where does not gossip.
            guard answer.epoch != nil || answer.sealed != nil else { return }
            let message = try opened(answer)
            events.answered(exchange.address)
            onLoop { $0.handle(.exchanged(message)) }
        } catch {
            metrics.exchangeFailures.increment()
            if error.code == .wrongCluster { metrics.drop(.cluster) }
            guard error.code == .wrongCluster || error.code == .denied else { return }
            events.refused(exchange.address, error.message, isAlone: view.current.count(.alive) < 2)
        }
    }

    private func keep(_ seeds: @Sendable () -> [String]) async {
        var asked: [String]?
        repeat {
            let wanted = seeds()
            if box != nil, wanted != asked {
                asked = wanted
                join(wanted)
            }
            save()
        } while (try? await Task.sleep(for: settings.saveInterval)) != nil
    }
}

extension SocketAddress {
    /// `host:port`, as members tell it to each other.
    var hostAndPort: String { PeerAddress.tcp(host: ipAddress ?? "", port: port ?? 0).description }
}

extension GossipDriver {
    /// What gossip counts is there, at 0, also where a node does not gossip.
    package static func registerMetrics(_ telemetry: Telemetry) { _ = GossipMetrics(telemetry.metrics, MembershipView()) }
}

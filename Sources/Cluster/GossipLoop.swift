import NIOCore
import Observability
import Primitives
import SWIM
import Synchronization
import Transport
import Wire

/// One member at work: owns the core, and does what it wants done. Confined to its event loop.
final class GossipLoop {
    /// Pings whose answers are still waited for, for what is measured of them.
    private static let pingsKept = 16
    /// What changes without anything happening (round trips, last probes) is published no more often.
    private static let publishEvery = Duration.milliseconds(500)

    private var core: SWIMCore
    private var output = SWIMOutput()
    private let socket: DatagramSocket
    private let driver: GossipDriver
    private let mark: UInt64
    private var addresses: GossipAddresses
    private var timer: Scheduled<Void>?
    private var armedFor: Instant?
    private var pings: [(sequence: UInt64, sentAt: Instant)] = []
    private var publishedAt: Instant?
    private var conflict: String?
    private var whenLeft: (() -> Void)?
    private var isStopped = false

    init(_ core: SWIMCore, _ socket: DatagramSocket, _ driver: GossipDriver) {
        driver.loop.preconditionInEventLoop()
        (self.core, self.socket, self.driver) = (core, socket, driver)
        mark = GossipCodec.mark(of: driver.around.cluster, epoch: driver.around.clusterEpoch)
        addresses = GossipAddresses(isIPv6: socket.localAddress.protocol == .inet6)
        let now = driver.around.telemetry.clock.now
        publish(now)
        arm(now)
    }

    var metadata: MemberMetadata { core.metadata }

    // MARK: Events

    func handle(_ event: SWIMCore.Event) {
        driver.loop.assertInEventLoop()
        guard !isStopped else { return }
        perform(event)
        output.clear()
    }

    /// The answer to another's exchange; nil once it has stopped.
    func answer(_ message: SWIMMessage.PushPull) -> SWIMMessage.PushPull? {
        guard !isStopped else { return nil }
        perform(.pushPull(id: 0, message))
        defer { output.clear() }
        return output.answers.first?.message
    }

    func receive(_ batch: [DatagramSocket.Received]) {
        for item in batch {
            guard item.frame.header.id == mark else {
                driver.metrics.drop(.cluster)
                continue
            }
            do throws(WireError) {
                guard let message = try GossipCodec.read(item.frame) else {
                    driver.metrics.drop(.type)
                    continue
                }
                driver.metrics.received.increment()
                driver.metrics.bytesReceived.increment(by: FrameHeader.bytes + item.frame.header.payloadBytes)
                if case .ack(let ack) = message { measure(ack.sequence) }
                handle(.message(message, from: addresses.note(item.from)))
            } catch {
                driver.metrics.drop(.malformed)
            }
        }
    }

    func leave(_ done: @escaping () -> Void) {
        guard !isStopped, whenLeft == nil else { return done() }
        whenLeft = done
        handle(.leave)
    }

    func stop() -> DatagramSocket {
        isStopped = true
        timer?.cancel()
        whenLeft?()
        whenLeft = nil
        return socket
    }

    // MARK: What the core wants

    private func perform(_ event: SWIMCore.Event) {
        let now = driver.around.telemetry.clock.now
        core.handle(event, now: now, into: &output)
        for datagram in output.datagrams { send(datagram, now) }
        for ping in output.streamPings { driver.enqueue(.ping(ping)) }
        for exchange in output.exchanges { driver.enqueue(.exchange(exchange)) }
        if let epoch = output.renewed {
            driver.renewed(epoch)
            // Nobody else lives under its name any more.
            if conflict != nil { driver.events.isAlone() }
            conflict = nil
        }
        for conflict in output.conflicts {
            self.conflict = "\(conflict)"
            driver.events.tell(conflict, at: core.metadata.gossip)
        }
        let isChanged = !output.changes.isEmpty || !output.conflicts.isEmpty || output.renewed != nil
        if isChanged || publishedAt.map({ now.duration(since: $0) >= Self.publishEvery }) ?? true { publish(now) }
        tell()
        if output.hasLeft {
            publish(now)
            whenLeft?()
            whenLeft = nil
        }
        arm(now)
    }

    private func tell() {
        guard !output.changes.isEmpty else { return }
        let watchers = driver.watchers.withLock { $0 }
        for change in output.changes {
            driver.events.tell(change, change.member.flatMap { core.member($0.node)?.metadata })
            for watcher in watchers { watcher(change) }
        }
    }

    private func publish(_ now: Instant) {
        publishedAt = now
        var snapshot = MembershipView.Snapshot()
        (snapshot.members, snapshot.identity, snapshot.incarnation) = (core.members, core.identity, core.incarnation)
        (snapshot.counts, snapshot.localHealth, snapshot.pendingNews) = (core.counts, core.localHealth.score, core.pendingNews)
        (snapshot.at, snapshot.conflict) = (now, conflict)
        driver.view.publish(snapshot)
    }

    // MARK: Datagrams

    private func send(_ datagram: SWIMOutput.Datagram, _ now: Instant) {
        guard let address = addresses.find(datagram.address) else {
            driver.metrics.drop(.unresolved)
            return lookUp(datagram.address)
        }
        let frame = GossipCodec.frame(datagram.message, mark: mark)
        // Faults are of nodes, and are made for tests alone.
        let node = driver.around.faults == nil ? nil : core.members.first { $0.metadata.gossip == datagram.address }?.identity.node
        do throws(TransportError) { try socket.send(frame, to: address, node: node) } catch { return driver.metrics.drop(.tooLong) }
        driver.metrics.sent.increment()
        driver.metrics.bytesSent.increment(by: frame.readableBytes)
        guard case .ping(let ping) = datagram.message else { return }
        if pings.count >= Self.pingsKept { pings.removeFirst() }
        pings.append((ping.sequence, now))
    }

    private func measure(_ sequence: UInt64) {
        guard let place = pings.firstIndex(where: { $0.sequence == sequence }) else { return }
        driver.metrics.roundTrips.observe(driver.around.telemetry.clock.now.duration(since: pings.remove(at: place).sentAt))
    }

    /// Looks a name up; what was to go there meanwhile is lost, as anything on the way may be.
    private func lookUp(_ text: String) {
        guard case .tcp(let host, let port)? = try? PeerAddress(text), addresses.beginLookUp(text, now: driver.around.telemetry.clock.now)
        else { return }
        let (isIPv6, box) = (addresses.isIPv6, NIOLoopBound(self, eventLoop: driver.loop))
        driver.loop.makeFutureWithTask { await NameResolver.resolve(host, port: port, isIPv6: isIPv6) }
            .whenComplete { result in
                let found = (try? result.get()) ?? nil
                if found == nil { box.value.driver.events.unresolved(text) }
                box.value.addresses.endLookUp(text, found)
            }
    }

    // MARK: Time

    /// One timer, for the next thing that is due. One that is set for earlier stays, and sets itself again.
    private func arm(_ now: Instant) {
        let due = core.nextDeadline
        guard !isStopped, due.nanoseconds < .max, armedFor.map({ due < $0 }) ?? true else { return }
        timer?.cancel()
        armedFor = due
        timer = driver.loop.assumeIsolated().scheduleTask(in: .nanoseconds(max(0, due.nanoseconds - now.nanoseconds))) { [weak self] in
            self?.armedFor = nil
            self?.handle(.tick)
        }
    }
}

extension MemberChange {
    /// Of whom it is; nil for what is said of this member itself.
    var member: MemberIdentity? {
        switch self {
        case .joined(let member), .updated(let member), .refuted(let member), .left(let member), .forgotten(let member),
            .datagramsLost(let member), .datagramsBack(let member):
            member
        case .restarted(let member, _): member
        case .suspected(let member, _): member
        case .failed(let member, _): member
        case .accused: nil
        }
    }
}

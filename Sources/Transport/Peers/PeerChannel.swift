package import NIOCore
package import Observability
package import Primitives
package import Wire

/// A connection to another coordinator for the frames of Raft, which go one way on it; theirs come on a connection of their own. It keeps
/// itself up: after a loss it connects again, at once first and then ever more rarely. What is sent while it is down or full is dropped and
/// counted, for Raft sends again by itself.
///
/// Confined to `loop`, where all of it is called, `init` apart, and where it calls `events`; never within a call to it, so that who sends
/// need not expect to be called back. It goes on until `close`.
package final class PeerChannel: @unchecked Sendable {
    /// What its owner is told.
    package struct Events {
        /// Both have said hello: frames are taken.
        package var opened: (Peer) -> Void
        /// The other side ended it, it broke, or it never came: then `wasOpen` is false. Another try follows by itself.
        package var closed: (_ wasOpen: Bool, CallError) -> Void
        /// A frame that came back; what is about the connection is none.
        package var received: (Frame) -> Void

        package init(
            opened: @escaping (Peer) -> Void, closed: @escaping (_ wasOpen: Bool, CallError) -> Void, received: @escaping (Frame) -> Void
        ) {
            self.opened = opened
            self.closed = closed
            self.received = received
        }
    }

    /// Times of a channel.
    package struct Settings: Equatable, Sendable {
        /// For the connect, and again for the hello: about an election timeout, after which others lead.
        package var connectTimeout: Duration = .seconds(1)
        /// A channel on which nothing came for so long is asked whether the other side is there.
        package var keepAlive: Duration = .seconds(5)
        /// Without an answer for so long it is closed.
        package var pingTimeout: Duration = .seconds(3)
        /// Between tries. One that was refused counts like any other: a coordinator that starts is there within a second.
        package var backoff = Backoff(delay: .milliseconds(20), factor: 2, maximum: .seconds(1), jitter: .full)
        package init() {}
    }

    private enum State {
        /// Before `start` and after `close`.
        case idle
        case waiting(Scheduled<Void>)
        case connecting
        case open(PeerLink, since: Instant)
    }

    private enum Event {
        case opened(Peer)
        case closed(wasOpen: Bool, CallError)
        case received(Frame)
    }

    /// Who is to be at the other end.
    package let node: NodeID
    package private(set) var address: PeerAddress
    let loop: any EventLoop
    let hello: any HelloSource
    let faults: LinkFaults?
    let settings: Settings
    let telemetry: Telemetry
    let metrics: PeerMetrics
    private let tls: TLSSource?
    private let label: String
    private let bufferLimit: Int
    private let events: Events
    private var state = State.idle
    /// What an attempt that is not the last comes to is none of ours any more.
    private var attempt = 0
    /// Since it was open for a while.
    private var failures = 0
    private var generator = SeededGenerator(seed: UInt64.random(in: 0...UInt64.max))
    /// What was logged last, so that it is not said at every try.
    private var said: String?
    private var isCalled = false
    private var untold: [Event] = []

    /// - Parameters:
    ///   - hello: what each connection begins with; an `OwnHello` may change.
    ///   - label: what it is for, in metrics: control or log.
    ///   - bufferLimit: bytes that may wait to be sent; the frames that go beyond it are the last.
    package init(
        node: NodeID, address: PeerAddress, loop: any EventLoop, hello: any HelloSource, tls: TLSSource?, faults: LinkFaults?,
        telemetry: Telemetry, label: String, bufferLimit: Int, settings: Settings = Settings(), events: Events
    ) {
        self.node = node
        self.address = address
        self.loop = loop
        self.hello = hello
        self.tls = tls
        self.faults = faults
        self.telemetry = telemetry
        self.label = label
        self.bufferLimit = bufferLimit
        self.settings = settings
        self.events = events
        metrics = PeerMetrics(telemetry.metrics, link: label)
    }

    // MARK: From its owner

    package func start() {
        guard case .idle = state else { return }
        called { connect() }
    }

    package var isOpen: Bool { if case .open = state { true } else { false } }

    /// Connects anew when it is another one; what was open is closed.
    package func setAddress(_ address: PeerAddress) {
        guard address != self.address else { return }
        let before = self.address
        self.address = address
        if case .idle = state { return }
        called {
            if isOpen { tell(.closed(wasOpen: true, CallError(.unavailable, "'\(node)' moved from \(before) to \(address)"))) }
            leave()
            failures = 0
            connect()
        }
    }

    /// Nothing is told from here on.
    package func close() {
        called { leave() }
        untold = []
    }

    /// Has frames written to what is sent with the next `flush`; false, and `write` is not called, when it is not open or too much waits.
    @discardableResult
    package func send(_ write: (inout ByteBuffer) -> Void) -> Bool {
        loop.assertInEventLoop()
        guard case .open(let link, _) = state, link.append(upTo: bufferLimit, write) else {
            metrics.dropped.increment()
            return false
        }
        return true
    }

    /// Sends what has gathered: its owner calls it at the end of a turn.
    package func flush() {
        guard case .open(let link, _) = state else { return }
        called { link.flush() }
    }

    private func called(_ body: () -> Void) {
        loop.assertInEventLoop()
        let isInner = isCalled
        isCalled = true
        body()
        isCalled = isInner
    }

    // MARK: Connecting

    private func connect() {
        attempt += 1
        state = .connecting
        let number = attempt
        let dial = Dial(address: address, hello: hello, tls: tls, timeout: settings.connectTimeout)
        dial.connect(on: loop) { PeerLink(self, dial) }.whenComplete { result in self.connected(number, result) }
    }

    private func connected(_ number: Int, _ result: Result<PeerLink, any Error>) {
        guard number == attempt, case .connecting = state else {
            if case .success(let link) = result { link.leave() }
            return
        }
        switch result {
        case .success(let link):
            guard let peer = link.peer else { return failed(dialed: link.failure ?? CallError(.internal, "no hello")) }
            state = .open(link, since: telemetry.clock.coarseNow)
            said = nil
            metrics.opened.increment()
            tell(.opened(peer))
        case .failure(let failure): failed(dialed: failure as? CallError ?? CallError(.unavailable, "\(failure)"))
        }
    }

    private func failed(dialed error: CallError) {
        metrics.connectFailures.increment()
        warn(error)
        retry()
        tell(.closed(wasOpen: false, error))
    }

    private func retry() {
        failures += 1
        let wait = settings.backoff.wait(afterFailures: failures, using: &generator)
        state = .waiting(loop.scheduleTask(in: .nanoseconds(wait.nanoseconds)) { self.connect() })
    }

    private func leave() {
        let before = state
        state = .idle
        switch before {
        case .idle: break
        case .waiting(let task): task.cancel()
        case .connecting: attempt += 1
        case .open(let link, _): link.leave()
        }
    }

    // MARK: From its link

    func lost(_ link: PeerLink, _ error: CallError) {
        guard case .open(let current, let since) = state, current === link else { return }
        // Who takes connections and ends them at once is not asked again at once for ever.
        if telemetry.clock.coarseNow.duration(since: since) > settings.backoff.maximum { failures = 0 }
        warn(error)
        retry()
        tell(.closed(wasOpen: true, error))
    }

    func received(_ frame: Frame, on link: PeerLink) {
        guard case .open(let current, _) = state, current === link else { return }
        tell(.received(frame))
    }

    private func warn(_ error: CallError) {
        guard said != error.message else { return }
        said = error.message
        telemetry.warn("raft.peer", error.message, ["peer": node.text, "link": label, "reason": error.code.name])
    }

    // MARK: Telling

    /// What happens while it is called, by a write that fails most of all, is told in the loop's next turn, and what comes after it too.
    private func tell(_ event: Event) {
        guard isCalled || !untold.isEmpty else { return pass(on: event) }
        untold.append(event)
        if untold.count == 1 { loop.execute { self.tellAll() } }
    }

    private func tellAll() {
        while !untold.isEmpty { pass(on: untold.removeFirst()) }
    }

    private func pass(on event: Event) {
        switch event {
        case .opened(let peer): events.opened(peer)
        case .closed(let wasOpen, let error): events.closed(wasOpen, error)
        case .received(let frame): events.received(frame)
        }
    }
}

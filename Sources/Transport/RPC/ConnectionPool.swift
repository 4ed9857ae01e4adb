import NIOCore
import Observability
import Primitives
import Synchronization
import Wire

/// The connections to one peer: reused, opened when those that are there have much to do, at most so many; not tried for a while when the peer
/// has failed several times in a row. Who waits for one waits no longer than its call may take.
final class ConnectionPool: Sendable {
    private struct State {
        var connections: [ClientConnection] = []
        var isConnecting = false
        var waiting: [UInt64: UnsafeContinuation<Result<ClientConnection, CallError>, Never>] = [:]
        var nextWaiting: UInt64 = 0
        var breaker: CircuitBreaker
        var generator: SeededGenerator
        var budget = RetryBudget()
        var lastError: CallError?
        var isClosed = false
    }

    /// A connection with so many calls in flight is worth a second one.
    private static let crowded = 512

    let address: PeerAddress
    private let core: ClientCore
    private let state: Mutex<State>

    init(_ address: PeerAddress, _ core: ClientCore) {
        self.address = address
        self.core = core
        state = Mutex(
            State(
                breaker: CircuitBreaker(limit: core.settings.breakerLimit),
                generator: SeededGenerator(seed: UInt64.random(in: 0...UInt64.max))))
        state.withLock { $0.budget.attempts = core.settings.attempts }
    }

    /// The connection with the least to do, if there is one.
    func ready() -> ClientConnection? {
        let (found, isCrowded) = state.withLock { state -> (ClientConnection?, Bool) in
            var (best, least) = (nil as ClientConnection?, Int.max)
            for connection in state.connections {
                let load = connection.load.load(ordering: .relaxed)
                if load < least { (best, least) = (connection, load) }
            }
            let isCrowded =
                least > Self.crowded && best != nil && state.connections.count < core.settings.connectionsPerPeer && !state.isConnecting
            return (best, isCrowded)
        }
        if isCrowded { open(beside: true) }
        return found
    }

    func connection(until deadline: Instant) async throws(CallError) -> ClientConnection {
        if let found = ready() { return found }
        let id = state.withLock { state in
            state.nextWaiting += 1
            return state.nextWaiting
        }
        let left = deadline.duration(since: core.telemetry.clock.now)
        guard left > .zero else { throw CallError(.deadlineExceeded, "no connection to \(address) in time") }
        // Who waits is in the list before its time can be over.
        var timer: Scheduled<Void>?
        defer { timer?.cancel() }
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Result<ClientConnection, CallError>, Never>) in
                if let answer = join(id, continuation) { return continuation.resume(returning: answer) }
                timer = core.group.next().scheduleTask(in: .nanoseconds(left.nanoseconds)) { [self] in
                    resume(id, .failure(CallError(.deadlineExceeded, "no connection to \(address) in time\(because)")))
                }
                open()
            }
        } onCancel: {
            resume(id, .failure(CallError(.cancelled, "cancelled while connecting to \(address)")))
        }
        return try result.get()
    }

    private var because: String { state.withLock { $0.lastError.map { ": \($0.message)" } ?? "" } }

    /// Nil when there is something to wait for.
    private func join(
        _ id: UInt64, _ continuation: UnsafeContinuation<Result<ClientConnection, CallError>, Never>
    ) -> Result<ClientConnection, CallError>? {
        state.withLock { state in
            guard !state.isClosed else { return .failure(CallError(.unavailable, "the client is closed")) }
            guard !Task.isCancelled else { return .failure(CallError(.cancelled, "cancelled before connecting to \(address)")) }
            // One may have come since there was none.
            if let connection = state.connections.first { return .success(connection) }
            guard state.waiting.count < core.settings.waiting else {
                return .failure(CallError(.busy, "\(state.waiting.count) calls wait for a connection to \(address), as many as may"))
            }
            state.waiting[id] = continuation
            return nil
        }
    }

    private func resume(_ id: UInt64, _ result: Result<ClientConnection, CallError>) {
        state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: result)
    }

    /// Opens a connection, unless that is under way or the breaker is open.
    ///
    /// - Parameter beside: also where there is one already.
    private func open(beside: Bool = false) {
        enum Next {
            case connect, nothing
            case refuse(CallError)
        }
        let now = core.telemetry.clock.now
        let next: Next = state.withLock { state in
            guard !state.isConnecting, !state.isClosed, beside || state.connections.isEmpty else { return .nothing }
            if let until = state.breaker.admit(now) {
                guard state.connections.isEmpty else { return .nothing }
                let wait = until.duration(since: now)
                let why = state.lastError.map { ": \($0.message)" } ?? ""
                return .refuse(
                    CallError(.unavailable, "\(address) failed several times and is not tried now\(why)", retryAfter: max(.zero, wait)))
            }
            state.isConnecting = true
            return .connect
        }
        switch next {
        case .nothing: return
        case .refuse(let error):
            core.refusedByBreaker.increment()
            fail(error)
        case .connect:
            let connecting = ClientConnection.connect(
                address, core, on: core.group.next(), timeout: core.settings.connectTimeout
            ) { [weak self] connection in self?.remove(connection) }
            connecting.whenComplete { result in self.connected(result) }
        }
    }

    private func connected(_ result: Result<ClientConnection, any Error>) {
        switch result {
        case .success(let connection):
            let waiting = state.withLock { state in
                state.isConnecting = false
                state.breaker.succeeded()
                state.lastError = nil
                state.connections.append(connection)
                defer { state.waiting = [:] }
                return Array(state.waiting.values)
            }
            core.opened.increment()
            for continuation in waiting { continuation.resume(returning: .success(connection)) }
            // It may have ended before it was in the list.
            if connection.isClosed { remove(connection) }
            if state.withLock({ $0.isClosed }) { connection.close() }
        case .failure(let failure):
            let error = failure as? CallError ?? CallError(.unavailable, "\(failure)")
            let isOpen = state.withLock { state in
                state.isConnecting = false
                state.lastError = error
                state.breaker.failed(core.telemetry.clock.now, using: &state.generator)
                if case .open = state.breaker.state { return true } else { return false }
            }
            core.connectFailures.increment()
            core.log.warn("connect", "\(error.message)\(isOpen ? "; not tried for a while" : "")")
            fail(error)
        }
    }

    private func fail(_ error: CallError) {
        let waiting = state.withLock { state in
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume(returning: .failure(error)) }
    }

    private func remove(_ connection: ClientConnection) { state.withLock { $0.connections.removeAll { $0 === connection } } }

    // MARK: Retries

    func noteCall() { state.withLock { $0.budget.noteCall() } }

    func wait(after error: CallError, mayRepeat: Bool, failures: Int, deadline: Instant) -> Duration? {
        let now = core.telemetry.clock.now
        return state.withLock { state in
            state.budget.wait(after: error, mayRepeat: mayRepeat, failures: failures, deadline: deadline, now: now, using: &state.generator)
        }
    }

    /// As operators see it.
    var status: RPCPeerStatus {
        state.withLock { state in
            RPCPeerStatus(
                address: address.description, connections: state.connections.count,
                calls: state.connections.reduce(0) { $0 + $1.load.load(ordering: .relaxed) }, breaker: state.breaker.state.word,
                lastError: state.lastError?.description)
        }
    }

    func close() {
        let connections = state.withLock { state in
            state.isClosed = true
            return state.connections
        }
        fail(CallError(.unavailable, "the client is closed"))
        for connection in connections { connection.close() }
    }
}

import Foundation
import Glibc
import Primitives
import Synchronization

/// A member of a demo: a node that can be killed and begun again, on ports and in a folder that stay its own.
final class DemoMember: Sendable {
    enum State: Equatable, Sendable {
        case starting
        case running
        case paused
        /// Being killed.
        case dying
        case killed
        /// It ended by itself.
        case failed(String)

        var word: String {
            switch self {
            case .starting: "starting"
            case .running: "running"
            case .paused: "paused"
            case .dying: "dying"
            case .killed: "killed"
            case .failed: "failed"
            }
        }
    }

    private struct Inner {
        var state = State.killed
        var since = ClusterTime.zero
        var node: (any Mortal)?
        var serving: Task<Void, any Error>?
        /// How often it was killed.
        var deaths = 0
    }

    /// A node that does not end in so long after it died is left to itself.
    private static let patience = Duration.seconds(15)

    let place: DemoPlan.Place
    private let inner = Mutex(Inner())
    private let log: Int32
    private let now: @Sendable () -> ClusterTime

    init(_ place: DemoPlan.Place, now: @escaping @Sendable () -> ClusterTime) throws(DistriCError) {
        self.place = place
        self.now = now
        try? FileManager.default.createDirectory(atPath: place.folder, withIntermediateDirectories: true)
        log = open(place.folder + ".log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else {
            throw DistriCError(.cannotWrite, "cannot write the log \(place.folder).log: \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(log) }

    var id: String { place.id }
    var url: String { "http://127.0.0.1:\(place.http)" }
    var state: State { inner.withLock { $0.state } }
    /// Nil while it is down.
    var node: (any Mortal)? { inner.withLock { $0.node } }

    /// Takes the step when the member is in one of these states; what it is in otherwise.
    func move(from states: [State], to next: State) -> State? {
        inner.withLock { inner in
            guard states.contains(where: { $0.word == inner.state.word }) else { return inner.state }
            inner.state = next
            inner.since = now()
            return nil
        }
    }

    private func set(_ state: State) {
        inner.withLock { ($0.state, $0.since) = (state, now()) }
    }

    /// Returns when its front door answers. It must have been moved to `starting`.
    func start(_ plan: DemoPlan, _ demo: any DemoControlling) async throws {
        let (urls, ready) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingOldest(1))
        let (place, log) = (place, log)
        let serving = Task.detached { [weak self] in
            defer { ready.finish() }
            let node = try await plan.open(place, log: log, demo: demo)
            guard let self else { return }
            inner.withLock { $0.node = node }
            try await node.run(signals: []) { ready.yield($0) }
        }
        inner.withLock { $0.serving = serving }
        for await _ in urls {
            if move(from: [.starting], to: .running) == nil { watch(serving) }
            return
        }
        // Another member has failed, and this one would wait for it for ever.
        if Task.isCancelled { serving.cancel() }
        do {
            try await serving.value
            throw DistriCError(.unavailable, "\(id) ended before it was ready; \(place.folder).log says more")
        } catch {
            inner.withLock { $0.node = nil }
            set(.failed("\(error)"))
            throw error
        }
    }

    /// One that ends though nobody has ended it has failed.
    private func watch(_ serving: Task<Void, any Error>) {
        Task.detached { [weak self] in
            var reason = "it has ended"
            do { try await serving.value } catch { reason = "\(error)" }
            guard let self, state == .running || state == .paused else { return }
            inner.withLock { $0.node = nil }
            set(.failed(reason))
        }
    }

    /// It must have been moved to `dying`.
    func kill() async {
        let (node, serving) = inner.withLock { ($0.node, $0.serving) }
        node?.die()
        serving?.cancel()
        await Self.wait(for: serving, Self.patience)
        inner.withLock { inner in
            (inner.node, inner.serving) = (nil, nil)
            inner.deaths += 1
        }
        set(.killed)
    }

    /// As SIGTERM would.
    func stop() async {
        let (node, serving) = inner.withLock { ($0.node, $0.serving) }
        node?.goOn()
        // One that still waits for others has nothing to end.
        if let node { await node.shutDown() } else { serving?.cancel() }
        await Self.wait(for: serving, .seconds(8))
    }

    private static func wait(for serving: Task<Void, any Error>?, _ patience: Duration) async {
        guard let serving else { return }
        let (done, end) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
        Task.detached {
            _ = try? await serving.value
            end.finish()
        }
        let limit = Task.detached {
            try? await Task.sleep(for: patience)
            end.finish()
        }
        for await _ in done {}
        limit.cancel()
    }

    var value: Value {
        let (state, since, deaths, node) = inner.withLock { ($0.state, $0.since, $0.deaths, $0.node) }
        var reason: String?
        if case .failed(let why) = state { reason = why }
        return .object([
            "id": .string(id), "role": .string(place.isCoordinator ? "coordinator" : "worker"), "state": .string(state.word),
            "leads": .bool(state == .running && node?.isLeading == true), "since": .string(since.rfc3339), "deaths": Value(deaths),
            "http": .string(url), "rpc": .string("127.0.0.1:\(place.rpc)"), "data": .string(place.folder),
            "log": .string(place.folder + ".log"),
            "reason": reason.map(Value.string),
        ])
    }
}

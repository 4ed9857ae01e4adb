import Cluster
import NIOCore
import NIOPosix
import Observability
import Primitives
import Synchronization
import Transport
import Wire

@testable import Worker

/// A coordinator as a worker sees one, which does what a test says.
final class FalseLeader: Sendable {
    private struct State {
        var refusal: CallError?
        var holds: [HeldAssignment] = []
        var loses = false
        var forgets = false
        var attached: [WorkerAttach] = []
        var results: [TaskReport] = []
        var refused: [Refusal] = []
        var renewals: [LeaseRenew] = []
        var feed: AsyncStream<Result<[UInt8], CallError>>.Continuation?
    }

    let address: PeerAddress
    private let state: Shared
    private let server: RPCServer

    private final class Shared: Sendable { let lock = Mutex(State()) }

    init(_ name: String, lease: Duration, group: MultiThreadedEventLoopGroup) async throws {
        var hello = Hello()
        (hello.node, hello.roles) = (try NodeID(name), ["coordinator"])
        let shared = Shared()
        state = shared
        var handlers = RPCHandlers()
        handlers.stream(WorkerAttach.self) { call, _, writer throws(CallError) in
            let (feed, more) = AsyncStream.makeStream(of: Result<[UInt8], CallError>.self, bufferingPolicy: .bufferingOldest(100))
            let terms = try Self.enter(shared, call, more, lease)
            try await writer.send(Self.bytes(terms))
            for await piece in feed { try await writer.send(try piece.get()) }
            throw CallError(.cancelled, "the worker went away")
        }
        handlers.immediate(LeaseRenew.self) { call, _ throws(CallError) in
            let isKnown = shared.lock.withLock { state in
                state.renewals.append(call)
                defer { state.forgets = false }
                return !state.forgets
            }
            guard isKnown else { throw CallError(.notFound, "attach first") }
            var answer = call
            answer.leaseMilliseconds = UInt64(lease.milliseconds)
            return answer
        }
        handlers.task(TaskResults.self) { call, _ throws(CallError) in
            let loses = shared.lock.withLock { state in
                state.results += call.results
                return state.loses
            }
            if loses {
                try? await Task.sleep(for: .seconds(60))
                throw CallError(.cancelled, "not kept")
            }
            var answer = call
            answer.results = []
            answer.statuses = call.results.map { report in
                var status = TaskStatus()
                (status.run, status.task, status.fence, status.isAccepted) = (report.run, report.task, report.fence, true)
                return status
            }
            return answer
        }
        handlers.task(Refusal.self) { call, _ throws(CallError) in
            shared.lock.withLock { $0.refused.append(call) }
            var status = TaskStatus()
            (status.run, status.task, status.fence, status.isAccepted) = (call.run, call.task, call.fence, true)
            return status
        }
        server = RPCServer(hello: hello, handlers: handlers, group: group, telemetry: .quiet(node: try NodeID(name)))
        address = try await server.listen(.tcp(host: "127.0.0.1", port: 0))
    }

    private static func enter(
        _ shared: Shared, _ call: WorkerAttach, _ feed: AsyncStream<Result<[UInt8], CallError>>.Continuation, _ lease: Duration
    ) throws(CallError) -> LeaseTerms {
        let (refusal, holds) = shared.lock.withLock { state -> (CallError?, [HeldAssignment]) in
            guard state.refusal == nil else { return (state.refusal, []) }
            state.attached.append(call)
            state.feed = feed
            // What was ordered before is here, too.
            return (nil, state.holds)
        }
        if let refusal { throw refusal }
        var terms = LeaseTerms()
        (terms.leaseMilliseconds, terms.isComplete, terms.held) = (UInt64(lease.milliseconds), true, holds.map(\.told))
        return terms
    }

    private static func bytes(_ message: some WireMessage) -> [UInt8] { Array(message.frame(flags: .oneWay).readableBytesView) }

    /// What it gives is what it believes to be with the worker from then on.
    func order(_ message: some WireMessage) {
        let feed = state.lock.withLock { state in
            if let work = message as? TaskAssignment { state.holds.append(held(work)) }
            return state.feed
        }
        feed?.yield(.success(Self.bytes(message)))
    }

    /// Ends the attachment.
    func end(_ error: CallError) { state.lock.withLock { $0.feed }?.yield(.failure(error)) }

    func close() async { await server.drain(grace: .zero) }

    var attached: [WorkerAttach] { state.lock.withLock { $0.attached } }
    var results: [TaskReport] { state.lock.withLock { $0.results } }
    var refused: [Refusal] { state.lock.withLock { $0.refused } }
    var renewals: [LeaseRenew] { state.lock.withLock { $0.renewals } }
    /// What those who come are told instead.
    var refusal: CallError? {
        get { state.lock.withLock { $0.refusal } }
        set { state.lock.withLock { $0.refusal = newValue } }
    }
    /// It takes results, and never says that it has them.
    var loses: Bool {
        get { state.lock.withLock { $0.loses } }
        set { state.lock.withLock { $0.loses = newValue } }
    }
    /// The next renewal is one of somebody that it does not know.
    var forgets: Bool {
        get { state.lock.withLock { $0.forgets } }
        set { state.lock.withLock { $0.forgets = newValue } }
    }
    var holds: [HeldAssignment] {
        get { state.lock.withLock { $0.holds } }
        set { state.lock.withLock { $0.holds = newValue } }
    }
}

/// A worker, its link, and coordinators.
final class Stage: Sendable {
    let bench: Bench
    let leaders: [FalseLeader]
    private let client: RPCClient
    private let group: MultiThreadedEventLoopGroup
    private let made = Mutex<(link: CoordinatorLink, task: Task<Void, Never>)?>(nil)

    private init(leaders count: Int, lease: Duration) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let bench = try Bench()
        var leaders: [FalseLeader] = []
        for number in 1...count { leaders.append(try await FalseLeader("c-\(number)", lease: lease, group: group)) }
        var hello = Hello()
        (hello.node, hello.roles) = (bench.runner.node, ["worker"])
        var settings = RPCClient.Settings()
        settings.attempts = 1
        client = RPCClient(hello: hello, settings: settings, group: group, telemetry: bench.telemetry)
        (self.group, self.bench, self.leaders) = (group, bench, leaders)
    }

    static func with(leaders: Int = 1, lease: Duration = .seconds(30), _ body: (Stage) async throws -> Void) async throws {
        let stage = try await Stage(leaders: leaders, lease: lease)
        do { try await body(stage) } catch {
            await stage.close()
            throw error
        }
        await stage.close()
    }

    func begin(here: CoordinatorLink.Here? = nil) {
        var settings = CoordinatorLink.Settings()
        (settings.seeds, settings.labels) = (leaders.map(\.address), ["zone=north"])
        settings.backoff = Backoff(delay: .milliseconds(5), factor: 1, maximum: .milliseconds(5), jitter: .none)
        let link = CoordinatorLink(
            runner: bench.runner, client: client, epoch: 5, settings: settings, here: here, telemetry: bench.telemetry)
        bench.runner.connect(link)
        made.withLock { $0 = (link, Task { await link.run() }) }
    }

    var link: CoordinatorLink {
        guard let found = made.withLock({ $0?.link }) else { preconditionFailure("begin() comes first") }
        return found
    }

    private func close() async {
        let task = made.withLock { $0?.task }
        task?.cancel()
        await task?.value
        await bench.stop()
        bench.remove()
        client.close()
        for leader in leaders { await leader.close() }
        try? await group.shutdownGracefully()
    }
}

import Foundation
import NIOCore
import NIOPosix
import Observability
import Primitives
import Synchronization
import Transport
import Wire

/// Workers that this program plays: each attaches over a connection of its own, renews its lease, and answers what it is given, at once or
/// when it is told to.
final class PlayedWorkers: Sendable {
    struct Counts: Sendable {
        var attached = 0
        var detached = 0
        /// Assignments that wait for `letGo`.
        var held = 0
        var reported = 0
        var renewals = 0
        var failures = 0
        var lastError: String?
    }

    private struct State {
        var counts = Counts()
        var holds = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    static let slots = 16
    private static let callTimeout = Duration.seconds(10)

    private let address: PeerAddress
    private let cluster: UUIDv7
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let telemetry: Telemetry
    private let state = Mutex(State())

    init(leader port: Int, cluster: UUIDv7) throws {
        address = .tcp(host: "127.0.0.1", port: port)
        self.cluster = cluster
        telemetry = .quiet(node: try NodeID("bench"))
    }

    var counts: Counts { state.withLock { $0.counts } }

    /// Tasks that take a slot are not answered until `letGo`.
    func hold() { state.withLock { $0.holds = true } }

    func letGo() {
        let waiting = state.withLock { state in
            defer { (state.holds, state.waiting, state.counts.held) = (false, [], 0) }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Until the surrounding task is cancelled.
    func run(count: Int) async throws {
        let ids = try (1...count).map { try NodeID("p-\($0)") }
        await withDiscardingTaskGroup { tasks in
            for id in ids { tasks.addTask { await self.play(id) } }
        }
        try? await group.shutdownGracefully()
    }

    private func note(_ body: (inout Counts) -> Void) { state.withLock { body(&$0.counts) } }

    private func play(_ id: NodeID) async {
        var hello = Hello()
        (hello.node, hello.cluster, hello.roles, hello.software) = (id, cluster, ["worker"], "distric bench")
        var generator = SeededGenerator(seed: UInt64.random(in: 0...UInt64.max))
        hello.folder = UUIDv7(at: telemetry.clock.wall, using: &generator)
        var settings = RPCClient.Settings()
        (settings.connectionsPerPeer, settings.attempts) = (1, 1)
        let client = RPCClient(hello: hello, settings: settings, group: group, telemetry: telemetry)
        while !Task.isCancelled {
            do throws(CallError) { try await attach(id, client) } catch {
                let text = error.description
                note { counts in
                    counts.failures += 1
                    counts.lastError = text
                }
            }
            try? await Task.sleep(for: .milliseconds(500))
        }
        client.close()
    }

    private func attach(_ id: NodeID, _ client: RPCClient) async throws(CallError) {
        var call = WorkerAttach()
        (call.worker, call.epoch, call.slots, call.light) = (id, 1, UInt32(Self.slots), 1024)
        call.kinds = ["exec@1", "http@1", "transform@1"]
        let stream = try await client.stream(call, to: address, timeout: .seconds(86_400))
        let error = await withTaskGroup(of: CallError.self) { tasks in
            tasks.addTask { await self.takeOrders(id, stream, client) }
            tasks.addTask { await self.renew(id, client) }
            let first = await tasks.next() ?? CallError(.cancelled, "the bench ends")
            tasks.cancelAll()
            return first
        }
        note { $0.detached += 1 }
        throw error
    }

    private func renew(_ id: NodeID, _ client: RPCClient) async -> CallError {
        var lease = Duration.seconds(10)
        while true {
            guard (try? await Task.sleep(for: lease / 3)) != nil else { return CallError(.cancelled, "the bench ends") }
            var call = LeaseRenew()
            (call.worker, call.epoch, call.freeSlots) = (id, 1, UInt32(Self.slots))
            do throws(CallError) {
                let answer = try await client.call(call, to: address, timeout: lease / 3)
                lease = answer.leaseMilliseconds.map { .milliseconds(Int64(clamping: $0)) } ?? lease
                note { $0.renewals += 1 }
            } catch { return error }
        }
    }

    private func takeOrders(_ id: NodeID, _ stream: RPCStream<LeaseTerms>, _ client: RPCClient) async -> CallError {
        await withTaskGroup(of: Void.self) { answers in
            var decoder = FrameDecoder()
            do throws(CallError) {
                while let piece = try await stream.next() {
                    decoder.append(ByteBuffer(bytes: piece))
                    let (light, heavy) = try take(&decoder)
                    if !light.isEmpty { answers.addTask { await self.report(light, id, client) } }
                    if !heavy.isEmpty {
                        answers.addTask {
                            await self.wait(heavy.count)
                            await self.report(heavy, id, client)
                        }
                    }
                }
                return CallError(.unavailable, "the leader ended the attachment")
            } catch { return error }
        }
    }

    /// Those that are answered at once, and those that take a slot.
    private func take(_ decoder: inout FrameDecoder) throws(CallError) -> (light: [TaskAssignment], heavy: [TaskAssignment]) {
        var found: (light: [TaskAssignment], heavy: [TaskAssignment]) = ([], [])
        do throws(WireError) {
            while let frame = try decoder.next() {
                if frame.header.type == .leaseTerms {
                    let terms = try LeaseTerms.decode(frame.payload)
                    if terms.isComplete { note { $0.attached += 1 } }
                }
                guard frame.header.type == .taskAssignment else { continue }
                let assignment = try TaskAssignment.decode(frame.payload)
                if assignment.kind == "transform@1" { found.light.append(assignment) } else { found.heavy.append(assignment) }
            }
        } catch { throw CallError(.protocolViolation, "orders that cannot be read: \(error)") }
        return found
    }

    private func wait(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let goesOn = state.withLock { state in
                guard state.holds else { return true }
                state.counts.held += count
                state.waiting.append(continuation)
                return false
            }
            if goesOn { continuation.resume() }
        }
    }

    private func report(_ assignments: [TaskAssignment], _ id: NodeID, _ client: RPCClient) async {
        let now = telemetry.clock.wall
        var call = TaskResults()
        (call.worker, call.epoch) = (id, 1)
        call.results = assignments.map { assignment in
            TaskReport(
                run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence,
                outcome: .succeeded(.null),
                startedAt: now, endedAt: now)
        }
        while !Task.isCancelled {
            do throws(CallError) {
                _ = try await client.call(call, to: address, timeout: Self.callTimeout)
                return note { $0.reported += assignments.count }
            } catch {
                guard error.code == .busy || error.code == .deadlineExceeded else { return }
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
    }
}

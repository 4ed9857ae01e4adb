import Cluster
import NIOCore
import Observability
import Primitives
import Synchronization
import Testing
import Wire
import Workflows

@testable import Coordinator

/// Workers of other processes, as the leader knows them.
struct WorkerSessionsTests {
    private let telemetry: Telemetry
    private let clock = HandClock()
    private let sessions: WorkerSessions
    private let worker: NodeID

    init() throws {
        telemetry = .quiet(node: try NodeID("c-1"), clock: clock)
        sessions = WorkerSessions(telemetry: telemetry, lease: .seconds(10))
        worker = try NodeID("w-1")
    }

    private func hello(folder: UInt64 = 7, address: String? = nil) -> Hello {
        var hello = Hello()
        hello.address = address
        (hello.node, hello.roles, hello.folder) = (worker, ["worker"], UUIDv7(high: 1, low: folder))
        return hello
    }

    private func attach(epoch: UInt64 = 1, folder: UInt64 = 7, slots: UInt32 = 2, at address: String? = nil) throws(CallError)
        -> WorkerSession
    {
        var call = WorkerAttach()
        (call.worker, call.epoch, call.slots, call.light) = (worker, epoch, slots, 8)
        return try sessions.attach(call, hello(folder: folder, address: address)) { _ in }
    }

    private func renewal(epoch: UInt64 = 1, running: Int = 0, free: UInt32 = 2) -> LeaseRenew {
        var call = LeaseRenew()
        (call.worker, call.epoch, call.freeSlots) = (worker, epoch, free)
        call.fences = (0..<running).map { Fence(term: Term(1), assignment: UInt64($0)) }
        return call
    }

    private func refusal(_ body: () throws(CallError) -> Void) -> CallError? {
        do throws(CallError) { try body() } catch { return error }
        return nil
    }

    // MARK: Who

    @Test func `the same worker comes again in place of itself, and somebody else with its id does not`() throws {
        let first = try attach()
        let second = try attach()
        #expect(!first.isOpen && second.isOpen)
        let other = refusal { () throws(CallError) in _ = try attach(folder: 8) }
        #expect(other?.code == .denied && other?.message.contains("--id") == true)
        let restarted = try attach(epoch: 2)
        #expect(!second.isOpen && restarted.isOpen)
        let old = refusal { () throws(CallError) in _ = try attach(epoch: 1) }
        #expect(old?.code == .denied && old?.message.contains("started again since") == true)
        #expect(telemetry.events.latest(10).count { $0.kind == "worker.joined" } == 1, "who comes again is no news")
    }

    @Test func `a process with a copy of the folder waits while the first renews its lease, and one that moved does not for long`() throws {
        let first = try attach(at: "10.0.0.1:9000")
        for _ in 0..<4 {
            clock.pass(.seconds(3))
            #expect(sessions.renew(renewal(), from: worker) != nil)
            let copy = refusal { () throws(CallError) in _ = try attach(epoch: 2, at: "10.0.0.2:9000") }
            #expect(copy?.code == .denied)
            #expect(copy?.message.contains("runs at 10.0.0.1:9000") == true && copy?.message.contains("--id") == true)
        }
        #expect(first.isOpen)
        // A start at the same place needs no patience.
        let again = try attach(epoch: 3, at: "10.0.0.1:9000")
        #expect(!first.isOpen && again.isOpen)
        // The first machine is gone, and its connections stayed open.
        clock.pass(.seconds(5))
        let moved = try attach(epoch: 4, at: "10.0.0.2:9000")
        #expect(!again.isOpen && moved.isOpen)
    }

    @Test func `the id of the worker in the leader's own process is taken`() throws {
        struct Local: WorkerLink {
            let node: NodeID
            let capacity = WorkerCapacity(slots: 1)
            func assign(_ assignments: [TaskAssignment]) {}
            func cancel(_ held: HeldAssignment) {}
            func committed(_ reports: [TaskReport]) {}
            func reconcile(_ held: [HeldAssignment], term: Term) -> [TaskReport] { [] }
            func log(run: RunID, task: String, attempt: Int) -> [UInt8]? { nil }
            func logTail(run: RunID, task: String, attempt: Int, bytes: Int) -> (total: Int, tail: [UInt8]) { (0, []) }
        }
        sessions.add(local: Local(node: worker))
        let error = refusal { () throws(CallError) in _ = try attach() }
        #expect(error?.code == .denied)
        sessions.begin([worker])
        clock.pass(.seconds(1))
        #expect(sessions.silent().isEmpty)
    }

    // MARK: Leases

    @Test func `a lease that is over ends the session, and the worker has to attach again`() throws {
        let session = try attach()
        sessions.begin([worker])
        let again = try attach(epoch: 2)
        #expect(!session.isOpen)
        for _ in 0..<6 {
            clock.pass(.milliseconds(1500))
            #expect(sessions.silent().isEmpty)
        }
        #expect(sessions.renew(renewal(epoch: 2), from: worker) === again)
        #expect(sessions.renew(renewal(epoch: 1), from: worker) == nil, "a process of before")
        for _ in 0..<6 {
            clock.pass(.milliseconds(1500))
            #expect(sessions.silent().isEmpty)
        }
        clock.pass(.milliseconds(1500))
        let silent = sessions.silent()
        #expect(silent.map(\.node) == [worker] && silent.map(\.isNew) == [true])
        #expect(!again.isOpen && sessions.session(worker) == nil)
        #expect(sessions.renew(renewal(epoch: 2), from: worker) == nil)
    }

    @Test func `a worker that runs more than it has room for is given nothing more, and that is told once`() throws {
        let session = try attach(slots: 2)
        #expect(sessions.renew(renewal(running: 2, free: 0), from: worker)?.takesNew == true)
        for _ in 0..<3 { _ = sessions.renew(renewal(running: 3, free: 2), from: worker) }
        #expect(!session.takesNew && session.isDistrusted && session.standing == .draining)
        _ = sessions.renew(renewal(running: 0), from: worker)
        #expect(!session.takesNew, "who has said so once is not believed again")
        let told = telemetry.events.latest(20).filter { $0.kind == "worker.overcommitted" }
        #expect(told.count == 1 && told.first?.severity == .error)
        #expect(try attach().takesNew, "until it attaches anew")
    }

    @Test func `who refused something is left alone until it says that it has room`() throws {
        let session = try attach()
        session.holdOff()
        #expect(!session.takesNew)
        _ = sessions.renew(renewal(free: 0), from: worker)
        #expect(!session.takesNew)
        _ = sessions.renew(renewal(free: 1), from: worker)
        #expect(session.takesNew && session.standing == .available)
    }

    @Test func `capacity beyond what a setting allows is not believed`() throws {
        let session = try attach(slots: .max)
        #expect(session.offer.slots == 10_000)
    }

    // MARK: Orders

    private func orders(_ session: WorkerSession) async throws -> [MessageType] {
        var decoder = FrameDecoder()
        decoder.append(ByteBuffer(bytes: try await session.next()))
        var types: [MessageType] = []
        while let frame = try decoder.next() { types.append(frame.header.type) }
        return types
    }

    @Test func `orders come in the order in which they were given, many at once`() async throws {
        let session = try attach()
        let held = HeldAssignment(run: RunID(high: 1, low: 2), task: "t", attempt: 1, fence: .none)
        _ = session.reconcile([held], term: Term(1))
        session.assign([TaskAssignment(), TaskAssignment()])
        session.cancel(held)
        session.cordon(true)
        let types = try await orders(session)
        #expect(types == [.leaseTerms, .taskAssignment, .taskAssignment, .taskCancel, .leaseTerms])
        #expect(session.isCordoned && session.standing == .cordoned)
    }

    @Test func `whatever a leader says of leases bears its term`() async throws {
        let session = try attach()
        _ = session.reconcile([], term: Term(7))
        session.cordon(true)
        session.drain(within: .seconds(1))
        var decoder = FrameDecoder()
        decoder.append(ByteBuffer(bytes: try await session.next()))
        var terms: [UInt64?] = []
        while let frame = try decoder.next() { terms.append(try LeaseTerms.decode(frame.payload).term) }
        #expect(terms == [7, 7, 7])
    }

    @Test func `what is given to a session that has ended was never started`() async throws {
        let unsent = Mutex<[TaskReport]>([])
        var call = WorkerAttach()
        (call.worker, call.slots) = (worker, 1)
        let session = try sessions.attach(call, hello()) { reports in unsent.withLock { $0 += reports } }
        sessions.end(CallError(.notLeader, "gone"))
        session.assign([TaskAssignment()])
        #expect(unsent.withLock { $0.map(\.outcome) } == [.neverStarted])
        do throws(CallError) {
            _ = try await session.next()
            Issue.record("it has ended")
        } catch {
            #expect(error.code == .notLeader)
        }
    }

    @Test func `a worker that does not read is let go before orders fill the memory`() async throws {
        let session = try attach()
        var large = TaskAssignment()
        large.input = .string(String(repeating: "x", count: 900_000))
        for _ in 0..<6 { session.assign([large]) }
        #expect(!session.isOpen)
        let bytes = try await session.next().count
        #expect(bytes < WorkerSession.waitingLimit + (1 << 20), "what waited still goes out, and no more")
    }

    @Test func `a session that was replaced says nothing of the one in its place`() throws {
        let first = try attach()
        let second = try attach()
        sessions.detach(first, CallError(.cancelled, "cut"))
        #expect(sessions.session(worker) === second)
        sessions.detach(second, CallError(.cancelled, "cut"))
        #expect(sessions.session(worker) == nil)
        #expect(telemetry.events.latest(10).count { $0.kind == "worker.left" } == 1)
    }
}

/// A clock that a test turns.
private final class HandClock: NodeClock {
    private let time = Mutex(Instant(nanoseconds: 1_000_000_000))

    func pass(_ duration: Duration) { time.withLock { $0 = $0.advanced(by: duration) } }

    var now: Instant { time.withLock { $0 } }
    var wall: ClusterTime { ClusterTime(milliseconds: 1_700_000_000_000) }
}

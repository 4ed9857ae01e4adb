import Cluster
import Observability
import Primitives
import Testing
import Wire
import Workflows

@testable import Coordinator

/// What the leader knows of workers that it told something, and of those that empty themselves.
struct WorkerDrainTests {
    private let sessions: WorkerSessions
    private let worker: NodeID

    init() throws {
        sessions = WorkerSessions(telemetry: .quiet(node: try NodeID("c-1")), lease: .seconds(10))
        worker = try NodeID("w-1")
    }

    private func attach() throws(CallError) -> WorkerSession {
        var (call, hello) = (WorkerAttach(), Hello())
        (call.worker, call.epoch, call.slots) = (worker, 1, 4)
        (hello.node, hello.roles) = (worker, ["worker"])
        return try sessions.attach(call, hello) { _ in }
    }

    private func renew(cordoned: Bool, left: UInt64? = nil, finished: UInt32 = 0, givenBack: UInt32 = 0, running: Int = 0) throws {
        var call = LeaseRenew()
        (call.worker, call.epoch, call.freeSlots, call.isCordoned) = (worker, 1, 2, cordoned)
        (call.drainLeftMilliseconds, call.drainFinished, call.drainGivenBack) = (left, finished, givenBack)
        call.wallMilliseconds = sessions.telemetry.clock.wall.milliseconds + 60_000
        call.fences = (0..<running).map { Fence(term: Term(1), assignment: UInt64($0)) }
        _ = try #require(sessions.renew(call, from: worker))
    }

    @Test func `what a worker says of its drain is what is known of it`() throws {
        let session = try attach()
        #expect(session.room == nil && session.draining == nil)
        session.drain(within: .seconds(60))
        #expect(session.isCordoned && session.draining == DrainProgress(left: .seconds(60)) && session.standing == .draining)
        try renew(cordoned: true, left: 59_000, finished: 2, givenBack: 1, running: 3)
        #expect(session.draining == DrainProgress(left: .seconds(59), finished: 2, givenBack: 1))
        let room = try #require(session.room)
        #expect(room.running == 3 && room.free == 2)
        let offset = try #require(session.said.clockOffset)
        #expect(offset > .seconds(50) && offset < .seconds(70))
        session.cordon(false)
        #expect(session.draining == nil && session.standing == .available)
    }

    @Test func `a renewal that was on its way does not undo an order, and a worker that never heeds it is shown as it is`() throws {
        let session = try attach()
        session.cordon(true)
        try renew(cordoned: false)
        #expect(session.isCordoned, "it was sent before the order came")
        try renew(cordoned: true)
        try renew(cordoned: false)
        #expect(!session.isCordoned, "it heard the order, and lifted it since")
        session.drain(within: .seconds(60))
        for _ in 0..<2 {
            try renew(cordoned: false)
            #expect(session.draining != nil)
        }
        try renew(cordoned: false)
        #expect(session.draining == nil && !session.isCordoned)
    }

    @Test func `a worker is believed in for as long as its lease, also when it is away`() throws {
        #expect(!sessions.isBelieved(worker))
        let session = try attach()
        sessions.detach(session, CallError(.cancelled, "cut"))
        #expect(sessions.worker(worker) == nil && sessions.isBelieved(worker))
        sessions.forget(worker)
        #expect(!sessions.isBelieved(worker))
    }
}

import Cluster
import Observability
import Primitives
import SWIM
import Synchronization
import Testing
import Wire

@testable import Coordinator

/// What a leader does with gossip about workers: it gives them nothing more, and nobody else what they hold.
struct WorkerHintsTests {
    private let clock = HandClock()
    private let sessions: WorkerSessions
    private let worker: NodeID

    init() throws {
        sessions = WorkerSessions(telemetry: .quiet(node: try NodeID("c-1"), clock: clock), lease: .seconds(10))
        worker = try NodeID("w-1")
    }

    private func attach(epoch: UInt64) throws(CallError) -> WorkerSession {
        var (call, hello) = (WorkerAttach(), Hello())
        (call.worker, call.epoch, call.slots, call.light) = (worker, epoch, 2, 8)
        (hello.node, hello.roles, hello.folder) = (worker, ["worker"], UUIDv7(high: 1, low: 7))
        return try sessions.attach(call, hello) { _ in }
    }

    private func hear(_ change: (MemberIdentity) -> MemberChange, epoch: UInt64) {
        WorkerHints(sessions).hear(change(MemberIdentity(node: worker, epoch: epoch)))
    }

    @Test func `a worker that gossip has for dead is let go, and its lease lasts as long as before`() throws {
        let session = try attach(epoch: 5)
        clock.advance(by: .seconds(6))
        hear({ .failed($0, suspectedBy: []) }, epoch: 5)
        #expect(!session.isOpen)
        #expect(sessions.metrics.doubted.count == 1)
        #expect(sessions.silent().isEmpty, "what it holds is its own for four seconds more")
        clock.advance(by: .seconds(1))
        #expect(sessions.silent().isEmpty)
        clock.advance(by: .seconds(1))
        _ = sessions.silent()
        clock.advance(by: .seconds(1))
        _ = sessions.silent()
        clock.advance(by: .seconds(1))
        #expect(sessions.silent().map(\.node) == [worker])
    }

    @Test func `one that was started again since, and one that is only suspected or leaves, stays`() throws {
        let session = try attach(epoch: 5)
        hear({ .failed($0, suspectedBy: []) }, epoch: 4)
        hear({ .suspected($0, by: $0.node) }, epoch: 5)
        hear({ .left($0) }, epoch: 5)
        hear({ .forgotten($0) }, epoch: 5)
        #expect(session.isOpen && sessions.metrics.doubted.count == 0)
        let again = try attach(epoch: 6)
        hear({ .failed($0, suspectedBy: []) }, epoch: 6)
        #expect(!again.isOpen)
        // It was alive after all, and comes back at once.
        #expect(try attach(epoch: 6).isOpen)
    }

    @Test func `of somebody who is no worker nothing is done`() throws {
        hear({ .failed($0, suspectedBy: []) }, epoch: 1)
        #expect(sessions.metrics.doubted.count == 0)
    }
}

/// A clock that moves when it is told to.
private final class HandClock: NodeClock {
    private let ahead = Mutex(Duration.seconds(100))

    var now: Instant { Instant(nanoseconds: 0).advanced(by: ahead.withLock { $0 }) }
    var wall: ClusterTime { ClusterTime(milliseconds: 1_800_000_000_000) }

    func advance(by duration: Duration) { ahead.withLock { $0 += duration } }
}

import Observability
import Primitives
import Storage
import Synchronization
import Wire

@testable import Cluster

func node(_ text: String) throws -> NodeID { try NodeID(text) }

func folder(_ number: UInt64) -> UUIDv7 { UUIDv7(high: 0xF01D, low: number) }

func cluster(_ number: UInt64) -> UUIDv7 { UUIDv7(high: 0xC1, low: number) }

/// What a coordinator says of itself that listens there.
func hello(_ id: String, at address: String?, epoch: UInt64 = 1, _ change: (inout Hello) -> Void = { _ in }) throws -> Hello {
    var hello = Hello()
    (hello.node, hello.address, hello.epoch) = (try node(id), address, epoch)
    (hello.roles, hello.software) = (["coordinator"], "test")
    change(&hello)
    return hello
}

/// What somebody tells of a coordinator.
func news(_ id: String, at address: String, epoch: UInt64 = 1, _ more: [String] = []) throws -> MemberNews {
    MemberNews(node: try node(id), epoch: epoch, incarnation: 0, state: .alive, facts: ["rpc=\(address)", "roles=coordinator"] + more)
}

/// What a call throws; nil when it does not.
func storageError(_ body: () throws -> Void) -> StorageError? {
    do {
        try body()
        return nil
    } catch {
        return error as? StorageError
    }
}

/// A clock that moves when it is told to.
final class HandClock: NodeClock {
    private let ahead = Mutex(Duration.seconds(100))

    var now: Instant { Instant(nanoseconds: 0).advanced(by: ahead.withLock { $0 }) }
    var wall: ClusterTime { ClusterTime(milliseconds: 1_800_000_000_000).advanced(by: ahead.withLock { $0 }) }

    func advance(by duration: Duration) { ahead.withLock { $0 += duration } }
}

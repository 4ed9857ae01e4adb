import Primitives
import Synchronization

@testable import Storage

/// All that a log thread told.
final class LogThreadReports: Sendable {
    private let durableIndexes = Mutex<[UInt64]>([])
    private let errors = Mutex<[StorageError]>([])
    private let entryCounts = Mutex<[Int]>([])
    private let byteCounts = Mutex<[Int]>([])
    private let tickets = Mutex<[UInt64]>([])
    private let answers = Mutex<[Result<[LogEntry], StorageError>]>([])

    var durable: [UInt64] { durableIndexes.withLock { $0 } }
    var failures: [StorageError] { errors.withLock { $0 } }
    var groups: [Int] { entryCounts.withLock { $0 } }
    var bytes: [Int] { byteCounts.withLock { $0 } }
    var stored: [UInt64] { tickets.withLock { $0 } }
    var read: [Result<[LogEntry], StorageError>] { answers.withLock { $0 } }

    var observer: LogThread.Observer {
        LogThread.Observer(
            durable: { index in self.durableIndexes.withLock { $0.append(index.number) } },
            failed: { error in self.errors.withLock { $0.append(error) } },
            wrote: { entries, bytes, _ in
                self.entryCounts.withLock { $0.append(entries) }
                self.byteCounts.withLock { $0.append(bytes) }
            }, stored: { ticket in self.tickets.withLock { $0.append(ticket) } })
    }

    var answer: @Sendable (Result<[LogEntry], StorageError>) -> Void { { result in self.answers.withLock { $0.append(result) } } }
}

/// For what does not depend on time.
struct StoppedClock: NodeClock {
    var now: Instant { Instant(nanoseconds: 0) }
    var wall: ClusterTime { ClusterTime.zero }
}

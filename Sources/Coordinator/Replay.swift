import Primitives
import Storage
import Synchronization
import Wire

/// Applies a log that is read back, when a node starts alone: whoever reads it goes on reading while another thread applies what was read. Decoding costs as much as
/// applying, and is done by whichever of the two has less to do.
final class Replay {
    private static let batchEntries = 128
    /// Below it the reader hands over what it read as it is: the one that applies waits for it.
    private static let plenty = 4
    /// Batches that may wait; beyond it the reader rests. What waits should still be in the processor's cache when its turn comes.
    private static let limit = 16

    private struct Item: Sendable {
        var index: LogIndex
        var term: Term
        var decoded: ReplicaApplier.Decoded
    }

    private enum Batch: Sendable {
        case read([LogEntry])
        case decoded([Item])
    }

    /// The one that applies; nobody else touches it before `finish`.
    private struct Confined: @unchecked Sendable {
        let applier: ReplicaApplier

        func apply(_ batch: Batch) throws(StorageError) {
            var applied = Applied()
            switch batch {
            case .read(let entries):
                for entry in entries { try applier.apply(entry.index, entry.term, ReplicaApplier.decode(entry), into: &applied) }
            case .decoded(let items):
                for item in items { try applier.apply(item.index, item.term, item.decoded, into: &applied) }
            }
        }
    }

    private final class Shared: Sendable {
        let batches = Mailbox<Batch>(limit: Replay.limit)
        let waiting = Atomic(0)
        /// Batches that were applied: memory is given back by the thread that took it, and at no time more than may wait.
        let spent = Mutex<[Batch]>([])
        let failure = Mutex<StorageError?>(nil)
    }

    private let shared = Shared()
    private let thread: NamedThread
    private var coming: [LogEntry] = []

    /// - Parameter applier: not to be used by others before `finish` has returned.
    init(_ applier: ReplicaApplier) {
        let (shared, confined) = (shared, Confined(applier: applier))
        thread = NamedThread("replay") {
            while var batches = shared.batches.take(timeout: nil) {
                batches.reverse()
                while let batch = batches.popLast() {
                    defer { shared.waiting.subtract(1, ordering: .relaxed) }
                    guard shared.failure.withLock({ $0 }) == nil else { continue }
                    do throws(StorageError) { try confined.apply(batch) } catch { shared.failure.withLock { $0 = error } }
                    shared.spent.withLock { $0.append(batch) }
                }
            }
        }
    }

    deinit {
        shared.batches.close()
        thread.join()
    }

    /// Entries in their order. Throws what an earlier one has led to.
    func apply(_ entry: LogEntry) throws(StorageError) {
        coming.append(entry)
        if coming.count >= Self.batchEntries { try handOver() }
    }

    /// Everything is applied when it returns; throws when something could not be.
    func finish() throws(StorageError) {
        if !coming.isEmpty { try handOver() }
        shared.batches.close()
        thread.join()
        try check()
    }

    private func check() throws(StorageError) {
        if let failure = shared.failure.withLock({ $0 }) { throw failure }
    }

    private func handOver() throws(StorageError) {
        let batch: Batch
        if shared.waiting.load(ordering: .relaxed) < Self.plenty {
            batch = .read(coming)
        } else {
            batch = .decoded(coming.map { Item(index: $0.index, term: $0.term, decoded: ReplicaApplier.decode($0)) })
        }
        coming.removeAll(keepingCapacity: true)
        dropSpent()
        while shared.waiting.load(ordering: .relaxed) >= Self.limit { pause(milliseconds: 1) }
        try check()
        shared.waiting.add(1, ordering: .relaxed)
        shared.batches.force(batch)
    }

    /// Outside of the lock, for it takes as long as decoding.
    private func dropSpent() {
        var spent: [Batch] = []
        shared.spent.withLock { swap(&$0, &spent) }
    }
}

import Primitives
import Storage
import Synchronization
import Wire

/// Applies a log that is read back, when a node starts alone: whoever reads it goes on reading while another thread applies what was read. Decoding costs as much as
/// applying, and is done by whichever of the two has less to do.
final class Replay {
    private static let batchEntries = 256
    /// Below it the reader hands over what it read as it is: the one that applies waits for it.
    private static let plenty = 4
    /// Batches that may wait; beyond it the reader rests.
    private static let limit = 64

    private typealias Decoded = ReplicaApplier.Decoded

    private struct Batch: Sendable {
        var entries: [LogEntry]
        /// Of each entry; nothing where nobody has decoded them yet.
        var decoded: [Decoded] = []
    }

    /// The one that applies; nobody else touches it before `finish`.
    private struct Confined: @unchecked Sendable {
        let applier: ReplicaApplier

        func apply(_ batch: Batch) throws(StorageError) {
            for (place, entry) in batch.entries.enumerated() {
                _ = try applier.apply(entry, batch.decoded.isEmpty ? ReplicaApplier.decode(entry) : batch.decoded[place])
            }
        }
    }

    private final class Shared: Sendable {
        let batches = Mailbox<Batch>(limit: Replay.limit)
        let waiting = Atomic(0)
        let failure = Mutex<StorageError?>(nil)
    }

    private let shared = Shared()
    private let thread: NamedThread
    private var coming: [LogEntry] = []

    /// - Parameter applier: not to be used by others before `finish` has returned.
    init(_ applier: ReplicaApplier) {
        let (shared, confined) = (shared, Confined(applier: applier))
        thread = NamedThread("replay") {
            while let batches = shared.batches.take(timeout: nil) {
                for batch in batches {
                    defer { shared.waiting.subtract(1, ordering: .relaxed) }
                    guard shared.failure.withLock({ $0 }) == nil else { continue }
                    do throws(StorageError) { try confined.apply(batch) } catch { shared.failure.withLock { $0 = error } }
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
        var batch = Batch(entries: coming)
        coming.removeAll(keepingCapacity: true)
        if shared.waiting.load(ordering: .relaxed) >= Self.plenty { batch.decoded = batch.entries.map(ReplicaApplier.decode) }
        while shared.waiting.load(ordering: .relaxed) >= Self.limit { pause(milliseconds: 1) }
        try check()
        shared.waiting.add(1, ordering: .relaxed)
        shared.batches.force(batch)
    }
}

import Observability
import Primitives
import Storage
import Synchronization

/// Full files: whoever writes goes on in the next one at once, and a thread of its own makes them durable, with an index. Until then the log
/// still has what is in them: it is dropped below a snapshot only, and `sync` before that covers them.
extension HistoryStore {
    /// A full file that is not durable by itself yet.
    struct Unsealed: Sendable {
        let segment: Segment
        let file: any DiskFile
        let places: [UUIDv7: Int]
        var isSynced = false
    }

    /// Full files that may wait for the disk; while so many do, the one in use grows.
    static let unsealedLimit = 8
    /// An index does not reach further than some times this.
    static let largestBytes = 1 << 30

    /// Whether the file in use is to be followed by another.
    func isFull(_ state: State) -> Bool {
        guard state.active.bytes >= settings.segmentBytes else { return false }
        return state.unsealed.count < Self.unsealedLimit || state.active.bytes >= Self.largestBytes
    }

    /// Another file takes the place of the one in use. Waits for no disk but to name that file.
    func roll(_ state: inout State) throws(StorageError) {
        let number = state.active.number + 1
        let file = try disk.open(Self.path(folder, number, "records"), create: true)
        state.active.last = state.lastIndex
        state.unsealed.append(Unsealed(segment: state.active, file: state.file, places: state.places))
        state.sealed.append(state.active)
        state.file = file
        state.active = Segment(number: number, bytes: 0, newest: .zero)
        state.offsets.removeAll(keepingCapacity: true)
        state.places = [:]
        // Whoever writes does not wait for it.
        _ = NamedThread("history") { self.sealAside() }
    }

    private func sealAside() {
        // What goes wrong is thrown where something is written or synced next.
        try? sealing { () throws(StorageError) in try sealAll() }
    }

    /// Makes files durable, one thread at a time. Whoever holds this and needs the state takes that after it.
    func sealing(_ body: () throws(StorageError) -> Void) throws(StorageError) {
        let result: Result<Void, StorageError> = sealer.withLock { _ in
            do throws(StorageError) { return .success(try body()) } catch { return .failure(error) }
        }
        try result.get()
    }

    /// While `sealing`.
    func sealAll() throws(StorageError) {
        while let next = state.withLock({ $0.unsealed.first }) {
            if !next.isSynced {
                do throws(StorageError) { try next.file.sync() } catch {
                    // Whether it is durable cannot be found out by asking again: the system may have dropped what it could not write.
                    state.withLock { $0.failure = error }
                    throw error
                }
                state.withLock { if !$0.unsealed.isEmpty { $0.unsealed[0].isSynced = true } }
            }
            let index = HistoryIndex.encode(next.places, newest: next.segment.newest, lastIndex: next.segment.last)
            try disk.replace(Self.path(folder, next.segment.number, "index"), with: index)
            next.file.close()
            state.withLock { if !$0.unsealed.isEmpty { $0.unsealed.removeFirst() } }
        }
        try expire()
    }

    /// Removes the oldest files, while `sealing`.
    func expire() throws(StorageError) {
        let gone = state.withLock { state -> [UInt64] in
            let now = max(state.active.newest, state.sealed.last?.newest ?? .zero)
            var (gone, total) = ([] as [UInt64], state.sealed.reduce(0) { $0 + $1.bytes })
            for segment in state.sealed.dropLast(state.unsealed.count) {
                guard total > settings.retainedBytes || now.duration(since: segment.newest) > settings.retainedAge else { break }
                total -= segment.bytes
                gone.append(segment.number)
            }
            state.sealed.removeFirst(gone.count)
            return gone
        }
        for number in gone {
            try disk.remove(Self.path(folder, number, "records"))
            try disk.remove(Self.path(folder, number, "index"))
        }
    }
}

import Primitives
import Storage

/// A file of the history that another node sends: it lies beside the others until it is whole, its index is written first, and it is moved
/// in with one rename. Owned by one thread at a time.
final class IncomingHistory: @unchecked Sendable {
    /// Why what comes cannot be kept.
    enum Problem: Error, Equatable {
        /// Not what was asked for, or no record that this program knows.
        case wrong(String)
        case storage(StorageError)
    }

    static let ending = ".incoming"
    /// Of a file that breaks off; less is not worth one.
    private static let worthBytes = 1 << 20

    private let store: HistoryStore
    private let gap: HistoryGap
    private let after: LogIndex
    private let number: UInt64
    private let file: any DiskFile
    /// Half of a record.
    private var waiting: [UInt8] = []
    private var bytes = 0
    private var places: [UUIDv7: Int] = [:]
    private var newest = ClusterTime.zero
    private var last: LogIndex
    /// Where the records of the last entry begin, and the entry before it: more of it may be to come.
    private var wholeEntries: (bytes: Int, last: LogIndex)
    private var isOpen = true
    /// What became a part of the history.
    private(set) var movedRecords = 0
    private(set) var movedBytes = 0

    private var path: String { store.files.path(number, "records") + Self.ending }

    /// - Parameter after: what was asked for begins with the next entry.
    init(_ store: HistoryStore, _ gap: HistoryGap, after: LogIndex, number: UInt64) throws(StorageError) {
        (self.store, self.gap, self.after, self.number) = (store, gap, after, number)
        (last, wholeEntries) = (after, (0, after))
        file = try store.disk.open(store.files.path(number, "records") + Self.ending, create: true)
        try file.truncate(to: 0)
    }

    /// Takes the next bytes, however they are cut.
    func take(_ piece: [UInt8]) throws(Problem) {
        waiting += piece
        var (offset, kept) = (0, [] as [UInt8])
        while let record = try record(at: offset) {
            let end = offset + HistoryRecord.headBytes + record.payload.count
            if try isNew(record) {
                if record.index > last { wholeEntries = (bytes + kept.count, last) }
                last = max(last, record.index)
                places[record.key] = bytes + kept.count
                newest = max(newest, record.time)
                kept += waiting[offset..<end]
            }
            offset = end
        }
        waiting.removeSubrange(..<offset)
        do throws(StorageError) { try file.write(kept, at: bytes) } catch { throw .storage(error) }
        bytes += kept.count
    }

    /// Nil when more bytes are needed.
    private func record(at offset: Int) throws(Problem) -> HistoryRecord? {
        guard let length = waiting.withUnsafeBytes({ HistoryRecord.payloadBytes($0, at: offset) }) else { return nil }
        guard length <= HistoryRecord.payloadLimit else { throw .wrong("a record of \(length) bytes") }
        guard waiting.count - offset >= HistoryRecord.headBytes + length else { return nil }
        guard let record = waiting.withUnsafeBytes({ HistoryRecord.read($0, at: offset) }) else {
            throw .wrong("bytes that are no record, or one of a later version")
        }
        guard record.index > after, record.index <= gap.through else {
            throw .wrong("a record of entry \(record.index), which is not among those from \(after) to \(gap.through)")
        }
        return record
    }

    /// Of the entry with which a gap begins some may be here: the node may have ended while it wrote them.
    private func isNew(_ record: HistoryRecord) throws(Problem) -> Bool {
        guard record.index == gap.after.next else { return true }
        do throws(StorageError) { return try !store.isStored(record) } catch { throw .storage(error) }
    }

    /// All of it has come: it is a part of the history, and durable, when it returns.
    func finish() throws(Problem) {
        guard waiting.isEmpty else { throw .wrong("half a record at the end") }
        guard bytes > 0 else { return close() }
        do throws(StorageError) { try moveIn() } catch { throw .storage(error) }
    }

    /// No more comes. What is whole of it is kept, if it is much: whole are all entries but the last.
    func breakOff() throws(StorageError) {
        guard isOpen else { return }
        guard wholeEntries.bytes >= Self.worthBytes else { return close() }
        try file.truncate(to: wholeEntries.bytes)
        places = places.filter { $0.value < wholeEntries.bytes }
        (bytes, last) = wholeEntries
        try moveIn()
    }

    private func moveIn() throws(StorageError) {
        defer { close() }
        try file.sync()
        try store.disk.replace(
            store.files.path(number, "index"), with: HistoryIndex.encode(places, newest: newest, lastIndex: last))
        try store.disk.rename(path, to: store.files.path(number, "records"))
        try store.disk.syncFolder(store.folder)
        try store.adopt(.init(number: number, bytes: bytes, newest: newest, last: last))
        (movedRecords, movedBytes) = (places.count, bytes)
    }

    private func close() {
        guard isOpen else { return }
        isOpen = false
        file.close()
        // Nothing is lost when it stays: it is removed when the node starts.
        if store.disk.exists(path) { try? store.disk.remove(path) }
    }
}

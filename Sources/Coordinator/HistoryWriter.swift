import Primitives
package import Storage

/// Writes records as a backup brings them into the files of a history that does not exist yet. Owned by one thread at a time.
package final class HistoryWriter {
    private let files: HistoryFiles
    private let segmentBytes: Int
    private var number: UInt64 = 1
    private var file: (any DiskFile)?
    private var bytes = 0
    private var places: [UUIDv7: Int] = [:]
    private var newest = ClusterTime.zero
    private var lastIndex = LogIndex.zero
    /// How many records it was given.
    package private(set) var count = 0

    package init(disk: any Disk, folder: String, segmentBytes: Int = 16 << 20) throws(StorageError) {
        files = HistoryFiles(disk: disk, folder: folder)
        self.segmentBytes = segmentBytes
        try disk.makeDurableFolder(folder)
    }

    /// Takes whole records. Throws `.damaged` for bytes that are none.
    package func append(_ records: [UInt8]) throws(StorageError) {
        let path = files.path(number, "records")
        var offset = 0
        while offset < records.count {
            guard let record = records.withUnsafeBytes({ HistoryRecord.read($0, at: offset) }) else {
                throw .damaged(path: path, offset: bytes + offset, reason: "what should be written there is no record of a history")
            }
            places[record.key] = bytes + offset
            newest = max(newest, record.time)
            lastIndex = max(lastIndex, record.index)
            offset += HistoryRecord.headBytes + record.payload.count
            count += 1
        }
        if file == nil { file = try files.disk.open(path, create: true) }
        try file?.write(records, at: bytes)
        bytes += records.count
        if bytes >= segmentBytes { try roll() }
    }

    /// Everything is durable when it returns.
    package func finish() throws(StorageError) {
        try file?.sync()
        file?.close()
        file = nil
        try files.disk.syncFolder(files.folder)
    }

    private func roll() throws(StorageError) {
        try finish()
        try files.disk.replace(
            files.path(number, "index"), with: HistoryIndex.encode(places, newest: newest, lastIndex: lastIndex))
        number += 1
        bytes = 0
        places.removeAll()
        newest = .zero
    }
}

import Primitives
import Storage
import Wire

/// Hands out the records that some entries gave, in order, holding one file at a time. It ends between two entries, so that whoever asks for
/// more says after which. Owned by one thread at a time.
final class HistorySpan: @unchecked Sendable {
    private static let pieceBytes = 256 << 10

    private let files: HistoryFiles
    private let after: LogIndex
    private let end: LogIndex
    private let limit: Int
    private let lacks: Bool
    private var wanted: ArraySlice<(number: UInt64, bytes: Int)>
    private var bytes: [UInt8] = []
    private var offsets: ArraySlice<Int> = []
    /// Where the next record of the file begins, if nothing before it is damaged.
    private var expected = 0
    private var sentBytes = 0
    /// What is to be said after the last piece.
    private(set) var reply = HistoryReadReply()
    /// The file whose first record is the oldest that is kept.
    private let oldestFile: UInt64?

    /// - Parameters:
    ///   - wanted: files that may have something, and how much of each is written.
    ///   - limit: of bytes; once so many have been handed out no other entry is begun.
    ///   - lacks: whether what follows is not here.
    init(
        files: HistoryFiles, wanted: [(number: UInt64, bytes: Int)], oldest: UInt64?, after: LogIndex, through end: LogIndex, limit: Int,
        lacks: Bool
    ) {
        (self.files, self.wanted, oldestFile) = (files, wanted[...], oldest)
        (self.after, self.end, self.limit) = (after, end, limit)
        (self.lacks, reply.reached) = (lacks, after)
    }

    /// Whole records, about 256 KiB of them or one that is larger; nil at the end, and then `reply` is what there is to say.
    func next() throws(StorageError) -> [UInt8]? {
        while true {
            let piece = pieceOfFile()
            guard piece.isEmpty else { return piece }
            guard let file = wanted.popFirst() else { break }
            // One that has gone meanwhile was too old to be kept.
            bytes = try files.disk.contents(of: files.path(file.number, "records")) ?? []
            // More of the file in use may be half written.
            if bytes.count > file.bytes { bytes.removeSubrange(file.bytes...) }
            (offsets, expected) = (HistoryIndex.offsets(in: bytes).offsets[...], 0)
        }
        if !isFull { (reply.reached, reply.lacks) = (end, lacks) }
        reply.oldest = try oldest()
        return nil
    }

    private var isFull = false

    private func pieceOfFile() -> [UInt8] {
        var piece: [UInt8] = []
        while piece.count < Self.pieceBytes, let offset = offsets.popFirst() {
            guard let record = bytes.withUnsafeBytes({ HistoryRecord.read($0, at: offset) }) else { continue }
            let next = offset + HistoryRecord.headBytes + record.payload.count
            defer { expected = next }
            guard record.index > after, record.index <= end else { continue }
            if sentBytes >= limit, record.index > reply.reached {
                isFull = true
                (offsets, wanted) = ([], [])
                break
            }
            reply.unreadableBytes += UInt64(offset - expected)
            piece += bytes[offset..<next]
            sentBytes += next - offset
            reply.records += 1
            reply.reached = max(reply.reached, record.index)
        }
        return piece
    }

    private func oldest() throws(StorageError) -> LogIndex? {
        guard let oldestFile else { return nil }
        let path = files.path(oldestFile, "records")
        guard files.disk.exists(path) else { return nil }
        let file = try files.disk.open(path, create: false)
        defer { file.close() }
        return try file.read(at: 0, count: HistoryRecord.headBytes).withUnsafeBytes { HistoryRecord.index($0) }
    }
}

package import Primitives
import Storage

/// What a history lacks since a snapshot brought the state to this node: what entries after one gave, up to that of the snapshot.
package struct HistoryGap: Equatable, Sendable {
    /// Numbers of files that are kept free for what fills it: at 16 MiB each 1.6 TB.
    static let fileCount: UInt64 = 100_000

    package var after: LogIndex
    package var through: LogIndex
    /// The first of those numbers: files in order of their numbers are in order of their entries.
    package var firstFile: UInt64
    package var since: ClusterTime

    var files: Range<UInt64> { firstFile..<firstFile + Self.fileCount }
}

/// The gaps of a history as the file `gaps` has them: lines `noted INDEX` and `gap AFTER THROUGH FILE SINCE-MS`, and the CRC-32C of them
/// in a last one, `crc32c XXXXXXXX`.
struct HistoryGaps: Equatable, Sendable {
    /// One more, and the oldest is given up.
    static let limit = 64

    /// The gaps of snapshots up to this entry are known, also those that are filled.
    var noted = LogIndex.zero
    /// Oldest first; no two have an entry in common.
    var open: [HistoryGap] = []

    /// Above all numbers that are kept free.
    var firstFreeFile: UInt64 { open.map(\.files.upperBound).max() ?? 1 }

    // MARK: On disk

    private static let seal = "crc32c "

    static func path(_ folder: String) -> String { folder + "/gaps" }

    /// One that does not read back is as none, and its bytes are told: it is no reason not to start.
    static func read(_ disk: any Disk, _ folder: String) throws(StorageError) -> (gaps: HistoryGaps, unreadableBytes: Int) {
        guard let bytes = try disk.contents(of: path(folder)) else { return (HistoryGaps(), 0) }
        guard let gaps = HistoryGaps(reading: bytes) else { return (HistoryGaps(), bytes.count) }
        return (gaps, 0)
    }

    /// Durable when it returns.
    func write(_ disk: any Disk, _ folder: String) throws(StorageError) { try disk.replace(Self.path(folder), with: bytes) }

    init() {}

    var bytes: [UInt8] {
        let lines = ["noted \(noted)"] + open.map { "gap \($0.after) \($0.through) \($0.firstFile) \($0.since.milliseconds)" }
        let text = Array(lines.map { $0 + "\n" }.joined().utf8)
        return text + Array("\(Self.seal)\(hexadecimal(UInt64(checksum(text)), digits: 8))\n".utf8)
    }

    init?(reading bytes: [UInt8]) {
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n").dropLast() {
            let words = line.split(separator: " ")
            let numbers = words.dropFirst().compactMap { UInt64($0) }
            switch (words.first, numbers.count) {
            case ("noted", 1): noted = LogIndex(numbers[0])
            case ("gap", 4):
                guard numbers[2] <= .max - HistoryGap.fileCount else { return nil }
                open.append(
                    HistoryGap(
                        after: LogIndex(numbers[0]), through: LogIndex(numbers[1]), firstFile: numbers[2],
                        since: ClusterTime(milliseconds: numbers[3])))
            default: return nil
            }
        }
        // What does not come out as it was read is not what was written, its checksum included.
        guard self.bytes == bytes else { return nil }
    }
}

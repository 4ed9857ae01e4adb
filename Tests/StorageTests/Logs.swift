import Primitives
import Testing

@testable import Storage

/// An entry whose payload tells its index.
func entry(_ index: UInt64, term: UInt64 = 1, bytes: Int = 16, mark: UInt8 = 0) -> LogEntry {
    let payload = (0..<bytes).map { position in UInt8(truncatingIfNeeded: Int(index) &* 31 &+ position &+ Int(mark)) | 1 }
    return LogEntry(index: LogIndex(index), term: Term(term), kind: index == 1 ? .leaderStart : .commands, payload: payload)
}

/// Entries of one size in a row.
func entries(_ range: ClosedRange<UInt64>, bytes: Int = 16, mark: UInt8 = 0) -> [LogEntry] {
    range.map { entry($0, bytes: bytes, mark: mark) }
}

/// Opens a log at its start and syncs after each group.
func writeLog(_ folder: String, groups: [[LogEntry]], segmentBytes: Int = 4096) throws {
    let log = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: segmentBytes)
    defer { log.close() }
    _ = try log.open(from: .start) { _ in }
    for group in groups {
        try log.append(group)
        try log.sync()
    }
}

/// All that a log serves, and what opening it found.
func readLog(
    _ folder: String, from base: SegmentedLog.Position = .start, segmentBytes: Int = 4096, isInstalled: Bool = false,
    repairing: Bool = false
) throws -> (entries: [LogEntry], recovery: SegmentedLog.Recovery) {
    let log = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: segmentBytes)
    defer { log.close() }
    var served: [LogEntry] = []
    let recovery = try log.open(from: base, isInstalled: isInstalled, repairing: repairing) { record in served.append(record.entry) }
    return (served, recovery)
}

/// Opens a log, and closes it when it was used.
func withLog(
    _ folder: String, disk: any Disk = FileDisk(), from base: SegmentedLog.Position = .start, _ use: (SegmentedLog) throws -> Void
) throws {
    let log = SegmentedLog(disk: disk, folder: folder, segmentBytes: 4096)
    defer { log.close() }
    _ = try log.open(from: base) { _ in }
    try use(log)
}

/// Where a log stands after entries.
func position(after entries: some Sequence<LogEntry>, from base: SegmentedLog.Position = .start) -> SegmentedLog.Position {
    var position = base
    var bytes: [UInt8] = []
    for entry in entries {
        let chain = Record.append(entry, durable: .zero, chain: position.chain, to: &bytes)
        position = .init(index: entry.index, term: entry.term, chain: chain)
    }
    return position
}

/// The files of a log, by name.
func logFiles(_ folder: String) throws -> [String] { try FileDisk().list(folder).filter { $0.hasSuffix(".log") } }

/// Every file of a folder.
func contents(_ folder: String) throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    for name in try FileDisk().list(folder) { found[name] = try readFile(folder + "/" + name) }
    return found
}

/// A log that stands at its end, for a thread to take over.
func openedLog(_ folder: String, disk: any Disk) throws -> SegmentedLog {
    let log = SegmentedLog(disk: disk, folder: folder, segmentBytes: 4096)
    _ = try log.open(from: .start) { _ in }
    return log
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

func readFile(_ path: String) throws -> [UInt8] {
    let bytes = try FileDisk().contents(of: path)
    return try #require(bytes)
}

/// Makes a file hold exactly these bytes.
func writeFile(_ path: String, _ bytes: [UInt8]) throws {
    let file = try FileDisk().open(path, create: true)
    defer { file.close() }
    try file.truncate(to: bytes.count)
    try file.write(bytes, at: 0)
}

/// Bytes from hexadecimal text.
func bytes(hex text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }.compactMap { $0.hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
}

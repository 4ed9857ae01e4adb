import Glibc
package import Primitives

/// A log's files as they lie there, looked at without changing anything: not even a torn tail is cut.
package struct LogFiles: Sendable {
    /// One file.
    package struct File: Equatable, Sendable {
        package enum Standing: String, Sendable {
            case log
            /// A later file begins where it does or before: all of it was dropped.
            case dropped
            /// Its head does not read back.
            case unreadable
            /// What repair put aside.
            case setAside
            /// Zeros that the next file is made of.
            case spare
        }

        package var path: String
        package var standing: Standing
        /// On disk.
        package var bytes: Int
        package var generation: UInt32?
        /// What it goes on from; nil when its head does not read back.
        package var before: SegmentedLog.Position?
        /// The last entry that counts here; `before` when it has none.
        package var last: SegmentedLog.Position?
        /// Of its entries; nil when it has none.
        package var terms: ClosedRange<UInt64>?
        package var entries = 0
        /// Where its last entry ends.
        package var end = 0
        /// Where a later file ends it.
        package var limit: LogIndex?
        /// Why no more can be read after `end`.
        package var problem: String?

        fileprivate init(_ path: String, _ standing: Standing, bytes: Int) {
            (self.path, self.standing, self.bytes) = (path, standing, bytes)
        }
    }

    /// How the log is, as the node that opens it will judge.
    package enum Condition: Equatable, Sendable {
        case clean
        /// A last group that was never acknowledged and is not whole: opening cuts it.
        case torn(path: String, offset: Int)
        /// The snapshot takes the place of the log, which is not done yet: opening does it.
        case replaced
        /// What was acknowledged, or may have been, does not read back.
        case damaged(StorageError)
    }

    /// What a walk through all of it came to.
    package struct Reading: Equatable, Sendable {
        package var condition: Condition
        /// The end of what can be read.
        package var last: SegmentedLog.Position
        /// After the snapshot.
        package var entries: Int
        /// Files that a compaction, a truncation or a reset was about to remove.
        package var leftovers: [String]
    }

    /// The index that the mark beside the files says is on disk.
    package let marked: LogIndex
    /// What repair found lost, and no leader has made good yet.
    package let damage: SegmentedLog.Damage?
    private let disk: any Disk
    private let folder: String
    private let survey: LogSurvey

    /// Reads the heads of the files. Throws for a folder that cannot be read, and for a file that a newer program wrote.
    package init(disk: any Disk, folder: String) throws(StorageError) {
        (self.disk, self.folder) = (disk, folder)
        let log = SegmentedLog(disk: disk, folder: folder)
        marked = try log.readMark()
        damage = try log.readDamage()
        survey = try LogSurvey(disk: disk, folder: folder)
    }

    // MARK: Looking

    /// Every file, oldest first, with what is in it.
    package func files() throws(StorageError) -> [File] {
        var files: [File] = []
        for member in survey.members { files.append(try file(member)) }
        for path in survey.obsolete {
            var file = File(path, .dropped, bytes: try size(path))
            let head = try? SegmentHead(reading: try read(path, count: SegmentedLog.headBytes), path: path)
            (file.generation, file.before) = (head?.generation, head?.before)
            files.append(file)
        }
        for lost in survey.unreadable {
            var file = File(lost.path, .unreadable, bytes: try size(lost.path))
            file.problem = lost.reason
            files.append(file)
        }
        for name in try disk.list(folder) {
            let path = folder + "/" + name
            if name.hasSuffix(LogSurvey.setAsideSuffix) { files.append(File(path, .setAside, bytes: try size(path))) }
            if name == "next.tmp" { files.append(File(path, .spare, bytes: try size(path))) }
        }
        return files
    }

    private func file(_ member: LogSurvey.Member) throws(StorageError) -> File {
        let bytes = try contents(member.path)
        var file = File(member.path, .log, bytes: bytes.count)
        (file.generation, file.before, file.limit) = (member.head.generation, member.head.before, member.limit)
        let scan = try Self.walk(bytes, member, through: nil) { record in
            let term = record.entry.term.number
            let known = file.terms ?? term...term
            file.terms = min(known.lowerBound, term)...max(known.upperBound, term)
            file.entries += 1
        }
        (file.last, file.end, file.problem) = (scan.position, scan.offset, scan.problem)
        return file
    }

    private static func walk(
        _ bytes: [UInt8], _ member: LogSurvey.Member, through last: LogIndex?, visit: (Record) throws(StorageError) -> Void
    ) throws(StorageError) -> SegmentScan {
        var index = SparseIndex(member.head.before)
        var scan = SegmentScan(position: member.head.before, offset: SegmentedLog.headBytes)
        let limit = [member.isCut ? member.limit : nil, last].compactMap { $0 }.min()
        try scan.run(bytes, through: limit, noting: &index, visit: visit)
        return scan
    }

    /// The entries of a range as far as they can be read, in order; those that a snapshot stands for too, while they are there.
    ///
    /// - Returns: why some could not be read, or are not there; empty when the log goes on from its first entry to its end.
    package func entries(
        from first: LogIndex, through last: LogIndex?, visit: (LogEntry) throws(StorageError) -> Void
    ) throws(StorageError) -> [StorageError] {
        var problems: [StorageError] = []
        var here: LogIndex?
        for member in survey.members where last.map({ member.head.before.index < $0 }) ?? true {
            if let limit = member.limit, limit < first { continue }
            let before = member.head.before.index
            if let here, before > here { problems.append(.gap(path: member.path, expected: here.next, found: before.next)) }
            let scan = try Self.walk(try contents(member.path), member, through: last) { record throws(StorageError) in
                if record.entry.index >= first { try visit(record.entry) }
            }
            if let reason = scan.problem { problems.append(.damaged(path: member.path, offset: scan.offset, reason: reason)) }
            // What follows a place that cannot be read is said to be lost there.
            here = scan.problem == nil ? scan.position.index : nil
        }
        return problems + survey.unreadable.map { .damaged(path: $0.path, offset: 0, reason: $0.reason) }
    }

    // MARK: Judging

    /// Reads all of it from the snapshot on and judges as opening does. Nil as a snapshot takes the first file's beginning for one, where the real one is not known.
    package func reading(from snapshot: SnapshotStore.Manifest?, isKnown: Bool = true) throws(StorageError) -> Reading {
        let start = isKnown ? .start : survey.members.first?.head.before ?? .start
        let base = snapshot?.position ?? start
        var reading = LogReading(
            disk: disk, folder: folder, survey: survey, base: base, isInstalled: snapshot?.isInstalled ?? false, repairing: false,
            marked: marked)
        try reading.run { _ in }
        let end = reading.here.index < base.index ? base : reading.here
        return Reading(
            condition: condition(reading, base), last: end, entries: reading.recovery.entries,
            leftovers: reading.leftovers + survey.obsolete)
    }

    private func condition(_ reading: LogReading, _ base: SegmentedLog.Position) -> Condition {
        if let lost = survey.unreadable.first { return .damaged(.damaged(path: lost.path, offset: 0, reason: lost.reason)) }
        if let problem = reading.problem { return .damaged(problem) }
        // Compaction leaves the last file, whatever the snapshot: no file at all is a loss.
        if survey.paths.isEmpty, base.index > .zero { return .damaged(.gap(path: folder, expected: base.index, found: .zero)) }
        if reading.needsReset { return .replaced }
        guard let tail = reading.tail else { return .clean }
        return .torn(path: tail.path, offset: tail.offset)
    }

    // MARK: Reading

    private func contents(_ path: String) throws(StorageError) -> [UInt8] {
        guard let bytes = try disk.contents(of: path) else { throw .damaged(path: path, offset: 0, reason: "the file is missing") }
        return bytes
    }

    private func read(_ path: String, count: Int) throws(StorageError) -> [UInt8] {
        let file = try disk.open(path, create: false)
        defer { file.close() }
        return try file.read(at: 0, count: count)
    }

    private func size(_ path: String) throws(StorageError) -> Int {
        let file = try disk.open(path, create: false)
        defer { file.close() }
        return try file.size()
    }
}

/// What lies in a folder of snapshots.
package struct SnapshotFiles: Sendable {
    /// One that is whole, or on its way in.
    package struct Item: Equatable, Sendable {
        package var path: String
        /// Nil when it cannot be read.
        package var manifest: SnapshotStore.Manifest?
        /// Of its state, or what has come of it; nil when there is none.
        package var bytes: Int?
        package var isComing: Bool
        package var problem: String?
    }

    package let items: [Item]

    package init(disk: any Disk, folder: String) throws(StorageError) {
        var found: [Item] = []
        for name in try disk.list(folder) {
            let path = folder + "/" + name
            do throws(StorageError) {
                if name.hasSuffix(".manifest") {
                    let manifest = try SnapshotStore.Manifest(reading: try disk.contents(of: path) ?? [], path: path)
                    let state = path.dropLast(".manifest".utf8.count) + ".state"
                    found.append(Item(path: path, manifest: manifest, bytes: try Self.size(disk, String(state)), isComing: false))
                } else if name.hasSuffix(".progress") {
                    let progress = try SnapshotStore.Progress(reading: try disk.contents(of: path) ?? [], path: path)
                    found.append(Item(path: path, manifest: progress.manifest, bytes: progress.bytes, isComing: true))
                }
            } catch {
                guard case .damaged(_, _, let reason) = error else { throw error }
                found.append(Item(path: path, manifest: nil, bytes: nil, isComing: name.hasSuffix(".progress"), problem: reason))
            }
        }
        items = found
    }

    private static func size(_ disk: any Disk, _ path: String) throws(StorageError) -> Int? {
        guard disk.exists(path) else { return nil }
        let file = try disk.open(path, create: false)
        defer { file.close() }
        return try file.size()
    }
}

/// The machine's file system, to look at: files are opened for reading alone, and whatever would change something fails.
package struct ReadOnlyDisk: Disk {
    /// No file of a log, and no manifest, is larger.
    fileprivate static let limit = 2 << 30

    package init() {}

    package func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        // A pipe of that name does not block.
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw .io(operation: "open", path: path, errno: errno) }
        return ReadOnlyFile(descriptor: descriptor, path: path)
    }

    package func list(_ folder: String) throws(StorageError) -> [String] { try FileDisk().list(folder) }
    package func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
    package func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { FileDisk().space(at: path) }

    /// Why a folder that is there may not be looked into; nil when it may: then what is not found in it is not there.
    package func denied(_ folder: String) -> StorageError? {
        guard access(folder, R_OK) != 0, errno == EACCES || errno == EPERM else { return nil }
        return .io(operation: "look into", path: folder, errno: errno)
    }

    package func makeFolder(_ path: String) throws(StorageError) { throw refusal("create", path) }
    package func rename(_ path: String, to newPath: String) throws(StorageError) { throw refusal("rename", path) }
    package func remove(_ path: String) throws(StorageError) { throw refusal("remove", path) }
    /// Nothing is to be made durable.
    package func syncFolder(_ path: String) throws(StorageError) {}

    private func refusal(_ operation: String, _ path: String) -> StorageError { .io(operation: operation, path: path, errno: EROFS) }
}

private final class ReadOnlyFile: DiskFile {
    let path: String
    private let descriptor: Int32

    init(descriptor: Int32, path: String) { (self.descriptor, self.path) = (descriptor, path) }

    func size() throws(StorageError) -> Int {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw .io(operation: "stat", path: path, errno: errno) }
        return Int(info.st_size)
    }

    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        guard (0...ReadOnlyDisk.limit).contains(count) else {
            throw .damaged(path: path, offset: 0, reason: "\(count) bytes, which is more than any file here has")
        }
        return try FileDisk.read(descriptor, path, at: offset, count: count)
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) { throw .io(operation: "write", path: path, errno: EROFS) }
    func truncate(to size: Int) throws(StorageError) { throw .io(operation: "truncate", path: path, errno: EROFS) }
    /// Nothing is to be made durable.
    func sync() throws(StorageError) {}
    func close() { Glibc.close(descriptor) }
}

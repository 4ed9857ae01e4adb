package import Primitives

/// The replicated log on disk: files of a fixed size, each named for its first index, zero-filled before they are used so that
/// an append changes no file's size. Owned by one thread at a time.
///
/// A file begins with 64 bytes: `DSTRLOG1`, format u32, zero u32, the index before its first u64, term before it u64, chain before it u64,
/// zeros, CRC-32C u32 of the first 60 bytes.
package final class SegmentedLog {
    package static let format: UInt32 = 1
    static let magic = Array("DSTRLOG1".utf8)
    static let headBytes = 64

    struct Segment: Equatable {
        var first: LogIndex
        var path: String
        /// Bytes in use; what follows is zeros.
        var end: Int
        var size: Int
    }

    package struct Position: Equatable, Sendable {
        package var index: LogIndex
        package var term: Term
        package var chain: UInt64

        package init(index: LogIndex, term: Term, chain: UInt64) {
            self.index = index
            self.term = term
            self.chain = chain
        }

        package static let start = Position(index: .zero, term: Term(0), chain: 0)
    }

    /// What opening found.
    package struct Recovery: Equatable, Sendable {
        package var last: Position
        package var entries = 0
        package var bytes = 0
        /// Where a tail that was never acknowledged was cut off.
        package var cut: (path: String, offset: Int)?

        package static func == (left: Recovery, right: Recovery) -> Bool {
            left.last == right.last && left.entries == right.entries && left.cut?.offset == right.cut?.offset
        }
    }

    private let disk: any Disk
    private let folder: String
    private let segmentBytes: Int
    private var segments: [Segment] = []
    private var active: (any DiskFile)?
    private var spare: (any DiskFile)?
    /// The end of what opening has read so far.
    private var here = Position.start
    /// The highest index that the mark beside the files says is on disk.
    private var marked = LogIndex.zero
    private(set) package var last: Position
    private(set) package var durable: LogIndex

    package init(disk: any Disk, folder: String, segmentBytes: Int = 16 << 20) {
        precondition(segmentBytes >= 4096 && segmentBytes % 8 == 0, "segmentBytes \(segmentBytes)")
        self.disk = disk
        self.folder = folder
        self.segmentBytes = segmentBytes
        last = .start
        durable = .zero
    }

    /// Bytes of the records held.
    package var bytesHeld: Int { segments.reduce(0) { $0 + $1.end - Self.headBytes } }

    /// Reads the log from the entry after `base` on (the last snapshot, or the start), handing each entry to `visit`. A tail
    /// that was never acknowledged is cut; damage anywhere else throws and leaves the files as they are.
    package func open(from base: Position, visit: (Record) throws(StorageError) -> Void) throws(StorageError) -> Recovery {
        try disk.makeFolder(folder)
        marked = try readMark()
        let names = try disk.list(folder).filter { $0.hasSuffix(".log") }
        var recovery = Recovery(last: base)
        for (position, name) in names.enumerated() {
            try read(name, isLast: position == names.count - 1, base: base, &recovery, visit)
        }
        if here.index < marked, base.index < marked { throw .gap(path: folder, expected: marked, found: here.index) }
        if !segments.isEmpty, here.index < base.index { throw .gap(path: folder, expected: base.index.next, found: here.index.next) }
        last = recovery.last
        durable = last.index
        if segments.isEmpty {
            try addSegment()
        } else {
            active = try disk.open(segments[segments.count - 1].path, create: false)
            // A tail that was written and not synced counts as durable only now.
            try active?.sync()
        }
        return recovery
    }

    private func read(
        _ name: String, isLast: Bool, base: Position, _ recovery: inout Recovery, _ visit: (Record) throws(StorageError) -> Void
    ) throws(StorageError) {
        let path = folder + "/" + name
        guard let bytes = try disk.contents(of: path) else { return }
        let head = try SegmentHead(reading: bytes, path: path)
        if segments.isEmpty {
            guard head.before.index <= base.index else { throw .gap(path: path, expected: base.index.next, found: head.before.index.next) }
        } else if head.before != here {
            throw .gap(path: path, expected: here.index.next, found: head.before.index.next)
        }
        here = head.before
        var segment = Segment(first: head.before.index.next, path: path, end: Self.headBytes, size: bytes.count)
        var scan = SegmentScan(position: here, offset: Self.headBytes)
        try scan.run(bytes, path: path) { record throws(StorageError) in
            recovery.bytes += record.endOffsetFromStart
            guard record.entry.index > base.index else { return }
            recovery.entries += 1
            try visit(record)
        }
        here = scan.position
        segment.end = scan.offset
        if let problem = scan.problem {
            // What a snapshot stands for was durable before the snapshot was; so was what the mark names.
            guard isLast, !scan.wasAcknowledged, here.index >= max(base.index, marked) else {
                throw .damaged(path: path, offset: scan.offset, reason: problem)
            }
            recovery.cut = (path, scan.offset)
            try cut(path, from: scan.offset, size: bytes.count)
        }
        if here.index >= base.index { recovery.last = here }
        segments.append(segment)
    }

    private func cut(_ path: String, from offset: Int, size: Int) throws(StorageError) {
        let file = try disk.open(path, create: false)
        defer { file.close() }
        try file.write([UInt8](repeating: 0, count: size - offset), at: offset)
        try file.sync()
    }

    /// Writes entries that follow the last one; on disk only after `sync`.
    package func append(_ entries: [LogEntry]) throws(StorageError) {
        var buffer: [UInt8] = []
        for entry in entries {
            precondition(entry.index == last.index.next, "append \(entry.index) after \(last.index)")
            let size = Record.size(payload: entry.payload.count)
            if segments[segments.count - 1].end + buffer.count + size > segments[segments.count - 1].size,
                last.index >= segments[segments.count - 1].first
            {
                try flush(&buffer)
                try roll(needing: size)
            }
            let chain = Record.append(entry, durable: durable, chain: last.chain, to: &buffer)
            last = Position(index: entry.index, term: entry.term, chain: chain)
        }
        try flush(&buffer)
    }

    private func flush(_ buffer: inout [UInt8]) throws(StorageError) {
        guard !buffer.isEmpty, let active else { return }
        try active.write(buffer, at: segments[segments.count - 1].end)
        segments[segments.count - 1].end += buffer.count
        buffer.removeAll(keepingCapacity: true)
    }

    /// Makes all that was appended durable.
    package func sync() throws(StorageError) {
        try active?.sync()
        durable = last.index
    }

    /// Writes down what is durable, so that damage to the last group cannot pass for a tail that was never acknowledged. For idle moments.
    package func mark() throws(StorageError) {
        guard durable > marked else { return }
        var bytes: [UInt8] = []
        put(durable.number, &bytes)
        put(checksum(bytes), &bytes)
        try disk.replace(folder + "/durable", with: bytes)
        marked = durable
    }

    /// Zero when there is none, or none that can be read: the records themselves still prove all but the last group.
    private func readMark() throws(StorageError) -> LogIndex {
        guard let bytes = try disk.contents(of: folder + "/durable"), bytes.count == 12 else { return .zero }
        return bytes.withUnsafeBytes { raw in
            checksum(Array(bytes[..<8])) == get(raw, 8) as UInt32 ? LogIndex(get(raw, 0)) : .zero
        }
    }

    /// Prepares the file that will be needed next, so that an append need not wait for it. Cheap to call often.
    package func prepareAhead() throws(StorageError) {
        guard spare == nil, let current = segments.last, current.end > current.size / 2 else { return }
        spare = try filledFile(size: segmentBytes)
    }

    private var sparePath: String { folder + "/next.tmp" }

    private func filledFile(size: Int) throws(StorageError) -> any DiskFile {
        try disk.remove(sparePath)
        let file = try disk.open(sparePath, create: true)
        let zeros = [UInt8](repeating: 0, count: min(size, 1 << 20))
        var offset = 0
        while offset < size {
            let slice = offset + zeros.count <= size ? zeros : Array(zeros.prefix(size - offset))
            try file.write(slice, at: offset)
            offset += slice.count
        }
        try file.sync()
        return file
    }

    private func roll(needing size: Int) throws(StorageError) {
        try sync()
        active?.close()
        active = nil
        if size > segmentBytes - Self.headBytes {
            spare?.close()
            spare = try filledFile(size: size + Self.headBytes)
        }
        try addSegment()
    }

    private func addSegment() throws(StorageError) {
        let file = if let spare { spare } else { try filledFile(size: segmentBytes) }
        spare = nil
        try file.write(SegmentHead(before: last).bytes, at: 0)
        try file.sync()
        let path = folder + "/" + Self.name(last.index.next)
        try disk.rename(sparePath, to: path)
        try disk.syncFolder(folder)
        let size = try file.size()
        file.close()
        active = try disk.open(path, create: false)
        segments.append(Segment(first: last.index.next, path: path, end: Self.headBytes, size: size))
    }

    /// Removes files whose every entry is at or below `index`: they are in a snapshot.
    package func compact(through index: LogIndex) throws(StorageError) {
        while segments.count > 1, segments[1].first.number <= index.number + 1 {
            try disk.remove(segments[0].path)
            segments.removeFirst()
        }
        try disk.syncFolder(folder)
    }

    package func close() {
        active?.close()
        spare?.close()
        active = nil
        spare = nil
    }

    static func name(_ index: LogIndex) -> String {
        let digits = String(index.number)
        return String(repeating: "0", count: 20 - digits.utf8.count) + digits + ".log"
    }
}

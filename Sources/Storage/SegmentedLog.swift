package import Primitives

/// The replicated log on disk: files of a fixed size, zero-filled before they are used so that an append changes no file's size.
/// Owned by one thread at a time.
///
/// A file begins with 64 bytes: `DSTRLOG1`, format u32, generation u32, the index before its first u64, term before it u64, chain before it
/// u64, zeros, CRC-32C u32 of the first 60 bytes. No record is rewritten: a file ends every file of a lower generation at the index where
/// it begins, so that a tail which conflicts with a new leader's is dropped by one rename. Files of format 1 have no generation (it is
/// zero) and stand before all others, in the order of their first index.
package final class SegmentedLog {
    /// Of a file that has a generation, so that a program which does not know of generations refuses it by name.
    package static let format: UInt32 = 2
    static let magic = Array("DSTRLOG1".utf8)
    static let headBytes = 64
    /// Far above what any log reaches: a larger index on disk is damage, and one more never overflows.
    static let indexLimit: UInt64 = 1 << 62

    /// A place in the log: an entry, and the hash over all records up to it.
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

        /// Whether both stand for one history. A chain of zero is one that whoever wrote the position did not know.
        func agrees(with other: Position) -> Bool {
            index == other.index && term == other.term && (chain == other.chain || chain == 0 || other.chain == 0)
        }
    }

    let disk: any Disk
    let folder: String
    private let segmentBytes: Int
    var segments: [Segment] = []
    var active: (any DiskFile)?
    private var spare: (any DiskFile)?
    /// The next one, as far as it is filled.
    private var filling: (file: any DiskFile, offset: Int)?
    /// The highest generation in the folder; nil when nothing is there.
    var generation: UInt32?
    /// The highest index that the mark beside the files says is on disk.
    var marked = LogIndex.zero
    package internal(set) var last: Position
    package internal(set) var durable: LogIndex
    /// What was lost here and has not been made good by peers.
    package internal(set) var damage: Damage?

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

    /// The lowest index that can be read; one above the last when there is none.
    package var firstIndex: LogIndex { segments.first?.first ?? last.index.next }

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
            let newest = segments.count - 1
            segments[newest].index.note(last, at: segments[newest].end + buffer.count)
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

    /// Writes down what is durable, so that damage to the last group cannot pass for a tail that was never acknowledged. For idle moments: a disk without room for it
    /// may still have room for the log, which was taken before.
    package func mark() throws(StorageError) {
        guard durable > marked else { return }
        do throws(StorageError) { try write(mark: durable) } catch {
            guard case .full = error else { throw error }
        }
    }

    /// What is about to be dropped must not be missed when the log is opened.
    func lowerMark(to index: LogIndex) throws(StorageError) {
        guard marked > index else { return }
        try write(mark: index)
    }

    private func write(mark index: LogIndex) throws(StorageError) {
        var bytes: [UInt8] = []
        put(index.number, &bytes)
        put(checksum(bytes), &bytes)
        try disk.replace(folder + "/durable", with: bytes)
        marked = index
    }

    /// Zero when there is none, or none that can be read: the records themselves still prove all but the last group.
    func readMark() throws(StorageError) -> LogIndex {
        guard let bytes = try disk.contents(of: folder + "/durable"), bytes.count == 12 else { return .zero }
        return bytes.withUnsafeBytes { raw in
            checksum(Array(bytes[..<8])) == get(raw, 8) as UInt32 ? LogIndex(get(raw, 0)) : .zero
        }
    }

    /// Prepares a piece of the file that will be needed next, so that an append need not wait for it, nor for long for this. Cheap to call often.
    package func prepareAhead() throws(StorageError) {
        guard spare == nil, let current = segments.last, current.end > current.size / 2 else { return }
        do throws(StorageError) { try fill(size: segmentBytes, upTo: max(Self.leastPiece, segmentBytes / 16)) } catch {
            guard case .full = error else { throw error }
            // What is durable is so: that there is no room for more is for the append to find that needs it.
            dropSpare()
        }
    }

    private static let leastPiece = 64 << 10
    private var sparePath: String { folder + "/next.tmp" }

    private func dropSpare() {
        filling?.file.close()
        spare?.close()
        (filling, spare) = (nil, nil)
        try? disk.remove(sparePath)
    }

    /// Goes on filling the next file with zeros by so many bytes; it is the spare one once all of it is durable.
    private func fill(size: Int, upTo bytes: Int) throws(StorageError) {
        if filling == nil {
            try disk.remove(sparePath)
            filling = (try disk.open(sparePath, create: true), 0)
        }
        guard let (file, start) = filling else { return }
        let end = min(size, start + bytes)
        let zeros = [UInt8](repeating: 0, count: min(end - start, 1 << 20))
        var offset = start
        while offset < end {
            let slice = offset + zeros.count <= end ? zeros : Array(zeros.prefix(end - offset))
            try file.write(slice, at: offset)
            offset += slice.count
        }
        try file.sync()
        filling = end < size ? (file, end) : nil
        if filling == nil { spare = file }
    }

    private func filledFile(size: Int) throws(StorageError) -> any DiskFile {
        while spare == nil { try fill(size: size, upTo: size) }
        guard let file = spare else { throw .closed }
        return file
    }

    private func roll(needing size: Int) throws(StorageError) {
        try sync()
        closeActive()
        if size > segmentBytes - Self.headBytes {
            dropSpare()
            spare = try filledFile(size: size + Self.headBytes)
        }
        try addSegment()
    }

    /// Begins a file after `last`, of a generation above all others: from the moment it has its name it ends them there.
    func addSegment() throws(StorageError) {
        let file = if let spare { spare } else { try filledFile(size: segmentBytes) }
        spare = nil
        let head = SegmentHead(before: last, generation: generation.map { $0 + 1 } ?? 0)
        try file.write(head.bytes, at: 0)
        try file.sync()
        let path = folder + "/" + freeName(for: head)
        try disk.rename(sparePath, to: path)
        try disk.syncFolder(folder)
        let size = try file.size()
        file.close()
        active = try disk.open(path, create: false)
        generation = head.generation
        segments.append(Segment(head: head, path: path, size: size))
    }

    /// A name that no file bears, nor one that was set aside.
    private func freeName(for head: SegmentHead) -> String {
        let plain = SegmentName(first: head.before.index.next, generation: nil).text
        let isTaken = disk.exists(folder + "/" + plain) || disk.exists(folder + "/" + plain + SegmentName.damagedSuffix)
        guard head.generation > 0, isTaken else { return plain }
        return SegmentName(first: head.before.index.next, generation: head.generation).text
    }

    /// Removes files whose every entry is at or below `index`: they are in a snapshot.
    package func compact(through index: LogIndex) throws(StorageError) {
        while segments.count > 1, segments[1].before.index <= index {
            try disk.remove(segments[0].path)
            segments.removeFirst()
        }
        if damage == nil { try removeSetAside(through: index) }
        try disk.syncFolder(folder)
    }

    /// Another file follows: the one in use is written no more.
    func closeActive() {
        active?.close()
        active = nil
    }

    package func close() {
        closeActive()
        filling?.file.close()
        spare?.close()
        (filling, spare) = (nil, nil)
    }
}

package import Observability
package import Primitives
package import Storage
import Synchronization
package import Workflows

/// What has ended, on this coordinator's disk: accepted messages and finished runs in files of 16 MiB, each with an index sorted by key
/// once it is full. Nothing here is replicated by itself: every replica writes it while applying the same log, and replay skips what is stored.
/// Memory does not grow with what is stored. What a snapshot passed over is a gap, until it has come from another node.
package final class HistoryStore: Sendable {
    package struct Settings: Equatable, Sendable {
        package var segmentBytes = 16 << 20
        /// The oldest files go when all of them exceed this.
        package var retainedBytes = 2 << 30
        /// ... or when their youngest record is older than this.
        package var retainedAge = Duration.seconds(7 * 86_400)
        package init() {}
    }

    struct Segment: Sendable {
        var number: UInt64
        var bytes: Int
        var newest: ClusterTime
        /// No record in it or in an earlier file is of a later entry.
        var last = LogIndex.zero
    }

    struct State {
        var sealed: [Segment] = []
        var active: Segment
        var file: any DiskFile
        /// Offsets in the active file, in the order written.
        var offsets: [Int] = []
        var places: [UUIDv7: Int] = [:]
        var lastIndex: LogIndex
        var buffer: [UInt8] = []
        /// The newest items as they were written, for lists that are sorted and filtered.
        var recentRuns = RecentItems()
        var recentMessages = RecentItems()
        /// Bytes between records that could not be read when the store was opened.
        var unreadable = 0
        var gaps = HistoryGaps()
        /// How often files came from other nodes: what was listed before may lack something.
        var adoptions = 0
        /// The last of `sealed`, while they are made durable.
        var unsealed: [Unsealed] = []
        /// A file could not be made durable: nothing more is written.
        var failure: StorageError?
    }

    let disk: any Disk
    let folder: String
    let settings: Settings
    let telemetry: Telemetry
    let state: Mutex<State>
    /// Held by who makes files durable; the state is locked after it, never before.
    let sealer = Mutex<Void>(())
    /// Called when there is a gap to be filled.
    let gapWatcher = Mutex<(@Sendable () -> Void)?>(nil)
    private let written: Counter
    /// What entries up to here gave was in files that were full, and synced, when the store was opened: a replay need not look for it.
    let settledThrough: LogIndex

    package init(disk: any Disk, folder: String, settings: Settings = Settings(), telemetry: Telemetry) throws(StorageError) {
        self.disk = disk
        self.folder = folder
        self.settings = settings
        self.telemetry = telemetry
        try disk.makeDurableFolder(folder)
        let (opened, settled) = try Self.open(disk, folder)
        state = Mutex(opened)
        settledThrough = settled
        written = telemetry.metrics.counter("distric_history_records_total", "Messages and runs written to the history.")
        telemetry.metrics.computed(.gauge, "distric_history_bytes", "Bytes of the history on disk.") { [weak self] in
            Double(self?.bytes ?? 0)
        }
        telemetry.metrics.computed(.gauge, "distric_history_unsealed_bytes", "Bytes of full files of the history that are not durable yet.")
        {
            [weak self] in Double(self?.unsealedBytes ?? 0)
        }
    }

    private var unsealedBytes: Int { state.withLock { state in state.unsealed.reduce(0) { $0 + $1.segment.bytes } } }

    package var bytes: Int { state.withLock { state in state.sealed.reduce(state.active.bytes) { $0 + $1.bytes } } }

    /// Bytes that opening had to pass over.
    package var unreadableBytes: Int { state.withLock { $0.unreadable } }

    /// Its files, looked at beside this store.
    package var files: HistoryFiles { HistoryFiles(disk: disk, folder: folder) }

    /// The highest log index of which something is stored.
    package var lastIndex: LogIndex { state.withLock { $0.lastIndex } }

    // MARK: Writing

    /// Stores what one log entry gave. Items that are stored already (a replay) are skipped. Durable after `sync`.
    package func append(_ items: [HistoryItem], index: LogIndex, time: ClusterTime) throws(StorageError) {
        guard index > settledThrough else { return }
        try locked { state throws(StorageError) in
            let isReplay = index <= state.lastIndex
            for item in items {
                if isReplay, try isStored(HistoryRecord.key(of: item), state) { continue }
                let record = HistoryRecord(item, index: index, time: time)
                state.offsets.append(state.active.bytes + state.buffer.count)
                state.places[record.key] = state.active.bytes + state.buffer.count
                record.append(to: &state.buffer)
                switch item {
                case .run: state.recentRuns.append(item)
                case .message: state.recentMessages.append(item)
                }
                state.active.newest = max(state.active.newest, time)
                written.increment()
            }
            state.lastIndex = max(state.lastIndex, index)
            // A long replay must not gather its history in memory.
            if state.buffer.count >= Self.bufferBytes { try flush(&state) }
        }
    }

    private static let bufferBytes = 1 << 20

    /// Whether a replayed item is in one of the newest files; the log does not reach back further.
    private func isStored(_ key: UUIDv7, _ state: State) throws(StorageError) -> Bool {
        if state.places[key] != nil { return true }
        if state.unsealed.contains(where: { $0.places[key] != nil }) { return true }
        for segment in state.sealed.dropLast(state.unsealed.count).suffix(16).reversed() where try indexed(key, in: segment) != nil {
            return true
        }
        return false
    }

    func place(of key: UUIDv7, in segment: Segment) throws(StorageError) -> Int? {
        let unsealed = state.withLock { state in state.unsealed.first { $0.segment.number == segment.number } }
        if let unsealed { return unsealed.places[key] }
        return try indexed(key, in: segment)
    }

    private func indexed(_ key: UUIDv7, in segment: Segment) throws(StorageError) -> Int? {
        let path = Self.path(folder, segment.number, "index")
        guard disk.exists(path) else { return nil }
        let file = try disk.open(path, create: false)
        defer { file.close() }
        return try HistoryIndex.find(key, in: file)
    }

    /// Hands what was appended to the system: it survives the end of the process.
    package func flush() throws(StorageError) {
        try locked { state throws(StorageError) in
            try flush(&state)
        }
    }

    /// Makes everything durable: the log below it may then be dropped. Whoever writes meanwhile does not wait for it.
    package func sync() throws(StorageError) {
        try sealing { () throws(StorageError) in
            var file: (any DiskFile)?
            try locked { state throws(StorageError) in
                try flush(&state)
                file = state.file
            }
            // What was in use may be full by now: it is closed by who holds this, and by nobody else.
            try file?.sync()
            try sealAll()
        }
    }

    func locked(_ body: (inout State) throws(StorageError) -> Void) throws(StorageError) {
        let result: Result<Void, StorageError> = state.withLock { state in
            do throws(StorageError) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        try result.get()
    }

    func flush(_ state: inout State) throws(StorageError) {
        if let failure = state.failure { throw failure }
        guard !state.buffer.isEmpty else { return }
        try state.file.write(state.buffer, at: state.active.bytes)
        state.active.bytes += state.buffer.count
        state.buffer.removeAll(keepingCapacity: true)
        if isFull(state) { try roll(&state) }
    }

    // MARK: Reading

    /// The run with this id; nil when it has not ended or is no longer kept.
    package func run(_ id: RunID) throws(StorageError) -> WorkflowRun? {
        guard let record = try find(id, .run), case .run(let run)? = try? record.item else { return nil }
        return run
    }

    package func message(_ id: String, namespace: Namespace) throws(StorageError) -> AcceptedMessage? {
        guard let record = try find(HistoryRecord.key(messageID: id, namespace: namespace), .message),
            case .message(let accepted)? = try? record.item
        else { return nil }
        return accepted
    }

    private func find(_ key: UUIDv7, _ kind: HistoryRecord.Kind) throws(StorageError) -> HistoryRecord? {
        let (active, place, sealed, buffered) = state.withLock { state -> (Segment, Int?, [Segment], HistoryRecord?) in
            let place = state.places[key]
            let buffered = place.flatMap { place in
                place >= state.active.bytes ? state.buffer.withUnsafeBytes { HistoryRecord.read($0, at: place - state.active.bytes) } : nil
            }
            return (state.active, place, state.sealed, buffered)
        }
        if let buffered { return buffered }
        if let place { return try read(active.number, at: place) }
        for segment in sealed.reversed() {
            if let place = try self.place(of: key, in: segment), let record = try read(segment.number, at: place), record.kind == kind {
                return record
            }
        }
        return nil
    }

    func read(_ number: UInt64, at offset: Int) throws(StorageError) -> HistoryRecord? {
        let path = Self.path(folder, number, "records")
        guard disk.exists(path) else { return nil }
        let file = try disk.open(path, create: false)
        defer { file.close() }
        let head = try file.read(at: offset, count: 64 << 10)
        if let record = head.withUnsafeBytes({ HistoryRecord.read($0, at: 0) }) { return record }
        return try file.read(at: offset, count: HistoryRecord.payloadLimit).withUnsafeBytes { HistoryRecord.read($0, at: 0) }
    }

    /// Where a listing goes on.
    package struct Cursor: Equatable, Sendable {
        package var segment: UInt64
        package var offset: Int

        package init(segment: UInt64, offset: Int) {
            self.segment = segment
            self.offset = offset
        }
    }

    /// The newest records of a kind that `keep` wants, newest first, and where the next page begins (nil at the end). Looks at no
    /// more than `scanLimit` records.
    package func newest(
        _ kind: HistoryRecord.Kind, limit: Int, before cursor: Cursor? = nil, scanLimit: Int = 50_000, keep: (HistoryItem) -> Bool
    ) throws(StorageError) -> (items: [HistoryItem], next: Cursor?) {
        // On a full disk the newest items stay in memory, and what is on disk is read all the same.
        try? flush()
        let (active, activeOffsets, sealed) = state.withLock { ($0.active, $0.offsets, $0.sealed) }
        var found: [HistoryItem] = []
        var scanned = 0
        for segment in [active] + sealed.reversed() where segment.number <= cursor?.segment ?? .max {
            guard let bytes = try disk.contents(of: Self.path(folder, segment.number, "records")) else { continue }
            let offsets = segment.number == active.number ? activeOffsets : HistoryIndex.offsets(in: bytes).offsets
            let end = segment.number == cursor?.segment ? cursor?.offset ?? .max : .max
            for offset in offsets.reversed() where offset < end {
                guard found.count < limit, scanned < scanLimit else { return (found, Cursor(segment: segment.number, offset: offset + 1)) }
                scanned += 1
                guard let record = bytes.withUnsafeBytes({ HistoryRecord.read($0, at: offset) }), record.kind == kind,
                    let item = try? record.item,
                    keep(item)
                else { continue }
                found.append(item)
            }
        }
        return (found, nil)
    }

    /// The newest records of a kind, newest first, at most `recentLimit`; read from disk once, kept in memory from then on.
    package func recent(_ kind: HistoryRecord.Kind) throws(StorageError) -> [HistoryItem] {
        let known = state.withLock { state -> (items: [HistoryItem], isWhole: Bool, began: Int, adoptions: Int) in
            let recent = kind == .run ? state.recentRuns : state.recentMessages
            return (recent.newestFirst, recent.isWhole, recent.count, state.adoptions)
        }
        guard !known.isWhole, known.began < Self.recentLimit else { return known.items }
        let found = try newest(kind, limit: Self.recentLimit, scanLimit: 10_000) { _ in true }.items
        return state.withLock { state in
            // What came from another node meanwhile is not in it: whoever asks next has it.
            guard state.adoptions == known.adoptions else { return found }
            if kind == .run { state.recentRuns.fill(found) } else { state.recentMessages.fill(found) }
            return (kind == .run ? state.recentRuns : state.recentMessages).newestFirst
        }
    }

    package static let recentLimit = 1000

    // MARK: Opening

    static func path(_ folder: String, _ number: UInt64, _ ending: String) -> String {
        let digits = String(number)
        return "\(folder)/\(String(repeating: "0", count: 12 - digits.utf8.count))\(digits).\(ending)"
    }

    private static func open(_ disk: any Disk, _ folder: String) throws(StorageError) -> (State, settledThrough: LogIndex) {
        let names = try disk.list(folder)
        // What was on its way in when the node stopped comes again.
        for name in names where name.hasSuffix(IncomingHistory.ending) { try disk.remove("\(folder)/\(name)") }
        let numbers = names.filter { $0.hasSuffix(".records") }.compactMap { UInt64($0.dropLast(8)) }.sorted()
        let (gaps, unreadable) = try HistoryGaps.read(disk, folder)
        // What other nodes send lies below the file in use.
        let last = max(numbers.last ?? 1, gaps.firstFreeFile)
        var state = State(
            active: Segment(number: last, bytes: 0, newest: .zero),
            file: try disk.open(path(folder, last, "records"), create: true), lastIndex: .zero)
        (state.gaps, state.unreadable) = (gaps, unreadable)
        var (areSettled, settledThrough) = (true, LogIndex.zero)
        for number in numbers {
            if number != last, let sealed = try sealed(disk, folder, number) {
                state.lastIndex = max(state.lastIndex, sealed.last)
                state.sealed.append(sealed)
                if areSettled { settledThrough = state.lastIndex }
            } else {
                // Its index comes after its sync: without one there may be holes.
                areSettled = false
                try scan(disk, folder, number, isLast: number == last, &state)
            }
        }
        return (state, settledThrough)
    }

    /// A full file with its index: only the index is read.
    private static func sealed(_ disk: any Disk, _ folder: String, _ number: UInt64) throws(StorageError) -> Segment? {
        guard disk.exists(path(folder, number, "index")) else { return nil }
        let index = try disk.open(path(folder, number, "index"), create: false)
        defer { index.close() }
        guard let trailer = try HistoryIndex.trailer(of: index) else { return nil }
        let records = try disk.open(path(folder, number, "records"), create: false)
        defer { records.close() }
        return Segment(number: number, bytes: try records.size(), newest: trailer.newest, last: trailer.lastIndex)
    }

    /// Walks a file's records; the tail of the last one that is not whole is cut off: the log brings it again.
    private static func scan(_ disk: any Disk, _ folder: String, _ number: UInt64, isLast: Bool, _ state: inout State) throws(StorageError)
    {
        let bytes = try disk.contents(of: path(folder, number, "records")) ?? []
        var segment = Segment(number: number, bytes: 0, newest: .zero)
        var places: [UUIDv7: Int] = [:]
        let found = HistoryIndex.offsets(in: bytes)
        state.unreadable += found.unreadable
        for offset in found.offsets {
            guard let record = bytes.withUnsafeBytes({ HistoryRecord.read($0, at: offset) }) else { break }
            segment.bytes = offset + HistoryRecord.headBytes + record.payload.count
            segment.newest = max(segment.newest, record.time)
            state.lastIndex = max(state.lastIndex, record.index)
            places[record.key] = offset
            if isLast { state.offsets.append(offset) }
        }
        if isLast {
            (state.active, state.places) = (segment, places)
            if bytes.count > segment.bytes { try state.file.truncate(to: segment.bytes) }
        } else {
            segment.last = state.lastIndex
            state.sealed.append(segment)
            let index = HistoryIndex.encode(places, newest: segment.newest, lastIndex: state.lastIndex)
            try disk.replace(path(folder, number, "index"), with: index)
        }
    }

    package func close() {
        try? sync()
        sealer.withLock { _ in
            state.withLock { state in
                state.file.close()
                for unsealed in state.unsealed { unsealed.file.close() }
                state.unsealed = []
            }
        }
    }
}

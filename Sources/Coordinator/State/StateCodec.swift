import HashTreeCollections
import Primitives
package import Wire
import Workflows

/// A state as the bytes of a snapshot: a head, then one record after another, each a TLV field of its own, so that writing and
/// reading never hold more than a piece. Collections are written sorted: equal states give equal bytes.
package struct StateCodec {
    package static let version: UInt16 = 1

    private enum Tag {
        static let head: UInt16 = 1
        static let definition: UInt16 = 2
        static let pin: UInt16 = 3
        static let upload: UInt16 = 4
        static let run: UInt16 = 5
        static let generation: UInt16 = 6
        static let dedupKey: UInt16 = 7
        static let end: UInt16 = 8
    }

    /// Pieces of about 256 KiB until nil.
    package static func pieces(of state: CoordinatorState) -> () -> [UInt8]? {
        var work = records(of: state).makeIterator()
        // Of keys there may be a million, which are written while the node is at its busiest.
        var keys = KeyWriter(state.dedup.generations)
        var isEnded = false
        return {
            var writer = TLVWriter(reserving: 300_000)
            while writer.bytes.count < 256 << 10 {
                if let record = work.next() {
                    record(&writer)
                } else if keys.write(to: &writer) {
                    continue
                } else if !isEnded {
                    end(state.digest, &writer)
                    isEnded = true
                } else {
                    break
                }
            }
            return writer.bytes.isEmpty ? nil : writer.bytes
        }
    }

    package static func encode(_ state: CoordinatorState) -> [UInt8] {
        let next = pieces(of: state)
        var bytes: [UInt8] = []
        while let piece = next() { bytes += piece }
        return bytes
    }

    private typealias Record = (inout TLVWriter) -> Void

    private static func records(of state: CoordinatorState) -> some Sequence<Record> {
        let first: [Record] = [{ $0.message(Tag.head) { head(of: state, &$0) } }]
        let definitions = state.definitions.values.sorted { DefinitionKey.precedes($0.key, $1.key) }
            .map { record -> Record in { $0.definition(Tag.definition, record) } }
        let pins = state.pins.sorted {
            DefinitionKey.precedes($0.key.key, $1.key.key) || ($0.key.key == $1.key.key && $0.key.version < $1.key.version)
        }
        .map { entry -> Record in
            { writer in
                writer.message(Tag.pin) { pin in
                    pin.definition(1, entry.value.record)
                    pin.u64(2, UInt64(entry.value.openRuns))
                }
            }
        }
        let uploads = state.uploads.sorted { $0.key < $1.key }
            .map { entry -> Record in
                { writer in
                    writer.message(Tag.upload) { upload in
                        upload.id(1, entry.key)
                        upload.time(2, entry.value.since)
                        upload.bytes(3, entry.value.bytes)
                    }
                }
            }
        let runs = state.runs.keys.sorted().lazy.map { id -> Record in
            { writer in if let open = state.runs[id] { writer.run(Tag.run, open.run) } }
        }
        return [AnySequence(first), AnySequence(definitions), AnySequence(pins), AnySequence(uploads), AnySequence(runs)].joined()
    }

    /// The keys of one generation after the other, each sorted when its turn comes.
    private struct KeyWriter {
        private var generations: ArraySlice<DedupWindow.Generation>
        private var entries: [(key: StateDigest, runs: [RunID])] = []
        private var next = 0

        init(_ generations: [DedupWindow.Generation]) { self.generations = generations[...] }

        /// False when all is written.
        mutating func write(to writer: inout TLVWriter) -> Bool {
            if next < entries.count {
                let entry = entries[next]
                writer.message(Tag.dedupKey) { key in
                    key.u64(1, entry.key.high)
                    key.u64(2, entry.key.low)
                    for run in entry.runs { key.id(3, run) }
                }
                next += 1
                return true
            }
            guard let generation = generations.popFirst() else { return false }
            writer.u64(Tag.generation, generation.since.milliseconds)
            next = 0
            entries.removeAll(keepingCapacity: true)
            entries.reserveCapacity(generation.keys.count)
            for (key, runs) in generation.keys { entries.append((key, runs)) }
            entries.sort { $0.key.high == $1.key.high ? $0.key.low < $1.key.low : $0.key.high < $1.key.high }
            return true
        }
    }

    private static func end(_ digest: StateDigest, _ writer: inout TLVWriter) {
        writer.message(Tag.end) { end in
            end.u64(1, digest.high)
            end.u64(2, digest.low)
        }
    }

    private static func head(of state: CoordinatorState, _ writer: inout TLVWriter) {
        writer.u16(1, version)
        writer.id(2, state.cluster)
        writer.u64(3, state.applied.number)
        writer.u64(4, state.appliedTerm.number)
        writer.time(5, state.time)
        writer.u64(6, state.catalogVersion)
        writer.u64(7, state.assignments)
        writer.u64(8, state.totals.accepted)
        writer.u64(9, state.totals.runsStarted)
        writer.u64(10, state.totals.runsEnded)
        writer.u64(11, state.totals.tasksSucceeded)
        // Programs that know no level must be able to read what has none.
        if state.featureLevel != FeatureLevels.unspoken { writer.u16(12, state.featureLevel) }
        writer.stop(13, state.frozen.intake)
        writer.stop(14, state.frozen.dispatch)
    }

    // MARK: Reading

    /// Rebuilds the state and checks it against the digest at its end.
    package static func decode(_ bytes: [UInt8], dedup: DedupWindow) throws(WireError) -> CoordinatorState {
        try bytes.lent { bytes throws(WireError) in try decode(bytes, dedup: dedup) }
    }

    private static func decode(_ bytes: UnsafeRawBufferPointer, dedup: DedupWindow) throws(WireError) -> CoordinatorState {
        var reader = TLVReader(bytes, repeating: ~0, limit: .max)
        guard let first = try reader.next(), first.tag == Tag.head else { throw .missingField(tag: Tag.head, of: "snapshot") }
        var state = try head(first, dedup)
        var generation: DedupWindow.Generation?
        while let field = try reader.next() {
            switch field.tag {
            case Tag.definition:
                let record = try field.definition()
                state.definitions[record.key] = record
                state.recordDigest += record.stateDigest
            case Tag.pin: try pin(field, &state)
            case Tag.upload: try upload(field, &state)
            case Tag.run:
                let open = CoordinatorState.OpenRun(try field.run())
                state.runs[open.run.id] = open
                state.recordDigest += open.digest
            case Tag.generation:
                if let generation { state.dedup.restore(generation) }
                generation = DedupWindow.Generation(since: try field.time(), expected: 0)
            case Tag.dedupKey: try dedupKey(field, &generation)
            case Tag.end:
                if let generation { state.dedup.restore(generation) }
                try check(field, state)
                return state
            default: throw field.unknown
            }
        }
        throw .missingField(tag: Tag.end, of: "snapshot")
    }

    private static func head(_ field: TLVField, _ dedup: DedupWindow) throws(WireError) -> CoordinatorState {
        var reader = try field.message()
        var cluster: UUIDv7?
        var numbers: [UInt16: UInt64] = [:]
        var level = FeatureLevels.unspoken
        var frozen = Freeze()
        while let part = try reader.next() {
            switch part.tag {
            case 1:
                let found = try part.u16()
                guard found == version else { throw part.bad("snapshot version \(found); this program reads \(version)") }
            case 2: cluster = try part.id()
            case 3...11: numbers[part.tag] = try part.u64()
            case 12:
                level = try part.u16()
                guard level <= FeatureLevels.newest else { throw .unsupportedFeatureLevel(level, supported: FeatureLevels.newest) }
            case 13: frozen.intake = try part.stop()
            case 14: frozen.dispatch = try part.stop()
            default: throw part.unknown
            }
        }
        var state = CoordinatorState(cluster: try cluster.required(2, of: "snapshot"), dedup: dedup)
        state.applied = LogIndex(numbers[3] ?? 0)
        state.appliedTerm = Term(numbers[4] ?? 0)
        state.time = ClusterTime(milliseconds: numbers[5] ?? 0)
        state.catalogVersion = numbers[6] ?? 0
        state.assignments = numbers[7] ?? 0
        state.featureLevel = level
        state.frozen = frozen
        state.totals = .init(
            accepted: numbers[8] ?? 0, runsStarted: numbers[9] ?? 0, runsEnded: numbers[10] ?? 0, tasksSucceeded: numbers[11] ?? 0)
        return state
    }

    private static func pin(_ field: TLVField, _ state: inout CoordinatorState) throws(WireError) {
        var reader = try field.message()
        var record: DefinitionRecord?
        var open: UInt64 = 0
        while let part = try reader.next() {
            switch part.tag {
            case 1: record = try part.definition()
            case 2: open = try part.u64()
            default: throw part.unknown
            }
        }
        let found = try record.required(1, of: "pin")
        state.pins[.init(key: found.key, version: found.version)] = .init(record: found, openRuns: Int(clamping: open))
    }

    private static func upload(_ field: TLVField, _ state: inout CoordinatorState) throws(WireError) {
        var reader = try field.message()
        var id: UUIDv7?
        var upload = CoordinatorState.Upload(since: .zero, bytes: [])
        while let part = try reader.next() {
            switch part.tag {
            case 1: id = try part.id()
            case 2: upload.since = try part.time()
            case 3: upload.bytes = try part.bytes()
            default: throw part.unknown
            }
        }
        state.uploads[try id.required(1, of: "upload")] = upload
    }

    private static func dedupKey(_ field: TLVField, _ generation: inout DedupWindow.Generation?) throws(WireError) {
        var reader = try field.message(repeating: 1 << 3)
        var key = StateDigest()
        var runs: [RunID] = []
        while let part = try reader.next() {
            switch part.tag {
            case 1: key.high = try part.u64()
            case 2: key.low = try part.u64()
            case 3: runs.append(try part.id())
            default: throw part.unknown
            }
        }
        guard generation != nil else { throw field.bad("a key before its generation") }
        generation?.keys[key] = runs
        generation?.digest += DedupWindow.digest(of: key, runs)
    }

    private static func check(_ field: TLVField, _ state: CoordinatorState) throws(WireError) {
        var reader = try field.message()
        var digest = StateDigest()
        while let part = try reader.next() {
            switch part.tag {
            case 1: digest.high = try part.u64()
            case 2: digest.low = try part.u64()
            default: throw part.unknown
            }
        }
        guard digest == state.digest else { throw field.bad("the state's digest is \(state.digest), the snapshot says \(digest)") }
    }
}

import HashTreeCollections
import Observability
import Primitives
import Storage
import Testing
import Wire
import Workflows

@testable import Coordinator

/// A state and its history as one stream of bytes, and back (Backup/).
struct BackupTests {
    private static let node = "c-1"

    /// A small state with open runs and definitions.
    private func state() throws -> CoordinatorState {
        var rig = try Rig(slots: 1)
        _ = try rig.begin("order", 1)
        rig.submit("pause", 2)
        return rig.planner.state
    }

    private func pieces(of state: CoordinatorState, history: HistoryFiles? = nil) throws -> [[UInt8]] {
        let header = BackupHeader(
            cluster: state.cluster, node: try NodeID(Self.node), index: state.applied, term: state.appliedTerm,
            time: HistorySamples.time(5), featureLevel: state.featureLevel, hasHistory: history != nil)
        var pieces = BackupPieces(of: state, history: history, header: header)
        var found: [[UInt8]] = []
        while let piece = try pieces.next() { found.append(piece) }
        return found
    }

    private func backup(of state: CoordinatorState, history: HistoryFiles? = nil) throws -> [UInt8] {
        Array(try pieces(of: state, history: history).joined())
    }

    private struct Found {
        var contents = BackupContents()
        var history: [UInt8] = []
    }

    /// Reads all of it, in pieces of one size.
    private func read(
        _ bytes: [UInt8], by size: Int = .max, featureLevel: UInt16 = CommandCodec.featureLevel
    ) throws(BackupProblem) -> Found {
        var (reader, found, offset) = (BackupReader(featureLevel: featureLevel), Found(), 0)
        while offset < bytes.count {
            let end = min(bytes.count, offset &+ min(size, bytes.count))
            try reader.take(Array(bytes[offset..<end])) { part throws(BackupProblem) in
                found.contents.take(part, at: offset)
                if case .history(let records) = part { found.history += records }
            }
            offset = end
        }
        try reader.finish()
        #expect(reader.offset == bytes.count)
        return found
    }

    private func problem(_ bytes: [UInt8], featureLevel: UInt16 = CommandCodec.featureLevel) -> BackupProblem? {
        do throws(BackupProblem) {
            _ = try read(bytes, featureLevel: featureLevel).contents.state()
            return nil
        } catch {
            return error
        }
    }

    // MARK: There and back

    @Test func `a state comes back as it was`() throws {
        let state = try state()
        let found = try read(try backup(of: state))
        let header = try #require(found.contents.header)
        #expect(header.cluster == state.cluster && header.node.text == Self.node)
        #expect(header.index == state.applied && header.term == state.appliedTerm && header.time == HistorySamples.time(5))
        #expect(!header.hasHistory && found.history.isEmpty)
        let read = try found.contents.state()
        #expect(read.digest == state.digest)
        #expect(StateCodec.encode(read) == StateCodec.encode(state))
        #expect(!read.runs.isEmpty && !read.definitions.isEmpty)
    }

    @Test func `it may come in pieces of any size`() throws {
        let state = try state()
        let bytes = try backup(of: state)
        for size in [1, 2, 3, 7, 16, 17, 1000, bytes.count - 1, bytes.count] {
            #expect(try read(bytes, by: size).contents.state().digest == state.digest, "\(size)")
        }
    }

    @Test func `the first line can be read by people and by the programs of a shell`() throws {
        let state = try state()
        let line = String(decoding: try backup(of: state).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        let expected =
            "distric-backup 1 cluster=\(Rig.cluster) node=c-1 index=\(state.applied) term=1 time=2023-11-14T22:13:25.000Z feature=2 history=no crc32c="
        #expect(line.hasPrefix(expected), "\(line)")
    }

    @Test func `a large state is cut into sections, each made when it is wanted`() throws {
        var replica = Replica()
        for number in UInt64(1)...4 {
            try replica.apply(.stage(Stage(upload: UUIDv7(high: number, low: 0), offset: 0, bytes: [UInt8](repeating: 7, count: 700_000))))
        }
        let pieces = try pieces(of: replica.state)
        #expect(pieces.count > 10)
        #expect(pieces.allSatisfy { $0.count <= 256 << 10 + BackupFormat.headBytes })
        #expect(try read(Array(pieces.joined())).contents.state().digest == replica.state.digest)
    }

    @Test func `the history comes with it, up to the state's own entry`() throws {
        let temporary = try TemporaryFolder()
        defer { withExtendedLifetime(temporary) {} }
        let state = try state()
        let telemetry = Telemetry.quiet(node: try NodeID("n-1"))
        let store = try HistoryStore(disk: FileDisk(), folder: temporary.path + "/history", telemetry: telemetry)
        for number in 1...(state.applied.number + 3) {
            try store.append([.run(HistorySamples.run(number))], index: LogIndex(number), time: HistorySamples.time(number))
        }
        try store.flush()
        let found = try read(try backup(of: state, history: HistoryFiles(disk: FileDisk(), folder: temporary.path + "/history")))
        #expect(found.contents.header?.hasHistory == true)
        #expect(found.contents.historyBytes == found.history.count)
        let offsets = HistoryIndex.offsets(in: found.history)
        #expect(offsets.unreadable == 0)
        let indexes = offsets.offsets.compactMap { offset in
            found.history.withUnsafeBytes { HistoryRecord.read($0, at: offset)?.index.number }
        }
        #expect(indexes == Array(1...state.applied.number))
        #expect(try found.contents.state().digest == state.digest)
        store.close()
    }

    @Test func `a source gives the same bytes, each piece when it is asked for, and nothing after it is closed`() async throws {
        let state = try state()
        let source = BackupSource(of: state, history: nil, node: try NodeID(Self.node), time: HistorySamples.time(5))
        var bytes: [UInt8] = []
        while let piece = try await source.next() { bytes += piece }
        #expect(bytes == (try backup(of: state)))
        #expect(try await source.next() == nil)
        source.close()
        #expect(try await source.next() == nil)
    }

    // MARK: Damage

    @Test func `no byte can be another without being noticed`() throws {
        let whole = try backup(of: CoordinatorState(cluster: Rig.cluster).advanced())
        #expect(whole.count < 1000)
        #expect(problem(whole) == nil)
        for place in whole.indices {
            for bit in 0..<8 {
                var bytes = whole
                bytes[place] ^= 1 << bit
                #expect(problem(bytes) != nil, "bit \(bit) of byte \(place)")
            }
        }
    }

    @Test func `damage is told with its place`() throws {
        var bytes = try backup(of: try state())
        let first = try #require(bytes.firstIndex(of: UInt8(ascii: "\n"))) + 1
        bytes[first + BackupFormat.headBytes + 200] ^= 1
        guard case .damaged(let offset, _)? = problem(bytes) else {
            Issue.record("\(String(describing: problem(bytes))) is no damage")
            return
        }
        #expect(offset == first)
    }

    @Test func `it is known as cut wherever it is cut`() throws {
        let whole = try backup(of: try state())
        for length in 0..<whole.count {
            #expect(problem(Array(whole.prefix(length))) == .cut(offset: length), "\(length) of \(whole.count) bytes")
        }
    }

    @Test func `what follows its end is damage`() throws {
        let whole = try backup(of: try state())
        for more in [[0], Array("x".utf8), whole] {
            guard case .damaged(whole.count, _)? = problem(whole + more) else {
                Issue.record("\(more.count) bytes more are \(String(describing: problem(whole + more)))")
                continue
            }
        }
    }

    @Test func `a section that is missing, doubled or elsewhere is noticed`() throws {
        var replica = Replica()
        for number in UInt64(1)...2 {
            try replica.apply(.stage(Stage(upload: UUIDv7(high: number, low: 0), offset: 0, bytes: [UInt8](repeating: 7, count: 300_000))))
        }
        let pieces = try pieces(of: replica.state)
        #expect(pieces.count >= 5)
        for place in 1..<(pieces.count - 1) {
            var (without, doubled, swapped) = (pieces, pieces, pieces)
            without.remove(at: place)
            doubled.insert(pieces[place], at: place)
            if place > 1 { swapped.swapAt(place, place - 1) }
            #expect(problem(Array(without.joined())) != nil, "without \(place)")
            #expect(problem(Array(doubled.joined())) != nil, "twice \(place)")
            if place > 1 { #expect(problem(Array(swapped.joined())) != nil, "\(place) before its turn") }
        }
    }

    @Test func `an end of another backup does not fit`() throws {
        let state = try state()
        var (ours, theirs) = (try pieces(of: state), try pieces(of: state.moved(to: UUIDv7(high: 1, low: 1))))
        ours.removeLast()
        ours.append(theirs.removeLast())
        guard case .damaged? = problem(Array(ours.joined())) else {
            Issue.record("\(String(describing: problem(Array(ours.joined())))) is no damage")
            return
        }
    }

    @Test func `what is no backup is refused by its first bytes`() throws {
        for text in ["hello\n", "distric-backup\n", "distric-backup 1\n", String(repeating: "x", count: 5000)] {
            guard case .damaged(0, _)? = problem(Array(text.utf8)) else {
                Issue.record("'\(text.prefix(20))' is \(String(describing: problem(Array(text.utf8))))")
                continue
            }
        }
    }

    // MARK: Newer

    private func line(_ text: String) -> [UInt8] {
        Array(text.utf8) + Array(" crc32c=\(hexadecimal(UInt64(checksum(Array(text.utf8))), digits: 8))\n".utf8)
    }

    @Test func `one of a newer format is refused as such, whatever it says besides`() throws {
        #expect(problem(line("distric-backup 2 shape=round")) == .newer(found: "format 2", supported: "format 1"))
        #expect(problem(line("distric-backup 2.1")) == .newer(found: "format 2.1", supported: "format 1"))
    }

    @Test func `one whose feature level is above the program's is refused as such`() throws {
        let state = try state()
        let bytes = try backup(of: state)
        #expect(problem(bytes, featureLevel: state.featureLevel) == nil)
        #expect(
            problem(bytes, featureLevel: state.featureLevel - 1)
                == .newer(found: "feature level \(state.featureLevel)", supported: "feature level \(state.featureLevel - 1)"))
    }

    // MARK: Another cluster's

    @Test func `a state moved to another cluster is the same but for what hangs on the cluster's id`() throws {
        let state = try state()
        #expect(state.dedup.count > 0)
        let other = UUIDv7(high: 9, low: 9)
        let moved = state.moved(to: other)
        #expect(moved.cluster == other && moved.dedup.count == 0)
        #expect(moved.applied == state.applied && moved.appliedTerm == state.appliedTerm && moved.time == state.time)
        #expect(Set(moved.runs.keys) == Set(state.runs.keys) && moved.definitions == state.definitions)
        #expect(moved.assignments == state.assignments && moved.totals == state.totals && moved.catalogVersion == state.catalogVersion)
        #expect(try StateCodec.decode(StateCodec.encode(moved), dedup: DedupWindow()).digest == moved.digest)
        var back = moved.moved(to: state.cluster)
        back.dedup = state.dedup
        #expect(StateCodec.encode(back) == StateCodec.encode(state))
    }
}

extension CoordinatorState {
    /// With one entry applied, which a state must have to be backed up.
    fileprivate func advanced() -> CoordinatorState {
        var state = self
        state.begin(applied.next, term: Term(1), time: HistorySamples.time(1))
        return state
    }
}

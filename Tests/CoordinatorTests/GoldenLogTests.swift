import Foundation
import HashTreeCollections
import Primitives
import Storage
import Testing
import Workflows

@testable import Coordinator

/// Logs and snapshots as each feature level's programs wrote them, read for ever (Decisions/FeatureLevels.md). `DISTRIC_WRITE_GOLDEN=1` writes
/// the folders of new levels; one that is there is never written again, and a test that fails on it has found a break of the format.
struct GoldenLogTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")
    private static let levels: [UInt16] = Array(1...FeatureLevels.newest)

    init() throws {
        guard ProcessInfo.processInfo.environment["DISTRIC_WRITE_GOLDEN"] == "1" else { return }
        for level in Self.levels where !FileManager.default.fileExists(atPath: Golden.folder(level, in: Self.folder).path) {
            try Golden(try GoldenLog(level: level)).write(level, in: Self.folder)
        }
    }

    private func golden(_ level: UInt16) throws -> Golden { try Golden(reading: level, in: Self.folder) }

    @Test func `every level has a folder, and every folder a level`() throws {
        let found = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).filter { !$0.hasPrefix(".") }
        #expect(found.sorted() == Self.levels.map { "level-\($0)" })
    }

    @Test(arguments: levels) func `a log gives the state that it gave when it was written, after every entry`(level: UInt16) throws {
        let golden = try golden(level)
        let (lines, _) = try Golden.replay(golden.entries)
        #expect(lines.count == golden.expected.count)
        for (found, expected) in zip(lines, golden.expected) { #expect(found == expected) }
    }

    @Test(arguments: levels) func `a snapshot is read, and the log goes on from it`(level: UInt16) throws {
        let golden = try golden(level)
        let state = try StateCodec.decode(golden.snapshot, dedup: DedupWindow())
        let place = try #require(golden.entries.firstIndex { $0.index == state.applied })
        let line = try #require(golden.expected.dropFirst(place).first)
        #expect(line.hasPrefix("\(state.applied) \(state.digest) "))
        #expect(place > 10 && place < golden.entries.count - 5)
        let (lines, _) = try Golden.replay(Array(golden.entries[(place + 1)...]), from: golden.snapshot, at: state.applied)
        #expect(lines == Array(golden.expected[(place + 1)...]))
    }

    @Test(arguments: levels) func `this program writes the snapshot as it was written`(level: UInt16) throws {
        let golden = try golden(level)
        let state = try StateCodec.decode(golden.snapshot, dedup: DedupWindow())
        #expect(StateCodec.encode(state) == golden.snapshot)
        let upTo = golden.entries.filter { $0.index <= state.applied }
        let (_, replayed) = try Golden.replay(upTo)
        #expect(StateCodec.encode(replayed) == golden.snapshot)
    }

    @Test(arguments: levels) func `this program writes the entries as they were written`(level: UInt16) throws {
        for entry in try golden(level).entries where entry.kind == .commands {
            let (time, commands) = try CommandCodec.decode(entry.payload)
            #expect(CommandCodec.encode(commands, time: time) == entry.payload, "entry \(entry.index)")
        }
    }

    @Test(arguments: levels) func `a log holds all that its level may hold, and nothing of a higher one`(level: UInt16) throws {
        let golden = try golden(level)
        let commands = try golden.entries.filter { $0.kind == .commands }.flatMap { try CommandCodec.decode($0.payload).commands }
        var kinds: Set<UInt16> = [0x0010, 0x0011, 0x0020, 0x0021, 0x0030]
        if level >= 2 { kinds.insert(0x0012) }
        if level >= 3 { kinds.insert(0x0031) }
        if level >= 4 { kinds.insert(0x0032) }
        #expect(Set(commands.map(\.kind)) == kinds)
        #expect(commands.map(\.neededLevel).max() == level)
        let activated = commands.compactMap { if case .activate(let activate) = $0 { activate.level } else { nil } }
        #expect(Set(activated) == (level >= FeatureLevels.placement ? [1, FeatureLevels.placement] : [1]))
        #expect(Set(golden.entries.map(\.kind)) == [.commands, .leaderStart, .configuration])
        let records = commands.flatMap { Self.tasks(of: $0) }
        #expect(Set(records.map(\.state)) == Set(TaskState.allCases))
        #expect(Set(records.map(\.kind)) == Set(TaskKind.allCases))
        let (_, state) = try Golden.replay(golden.entries)
        #expect(state.featureLevel == max(level, FeatureLevels.unspoken))
    }

    @Test(arguments: levels) func `runs are in every state, and commands come to every outcome`(level: UInt16) throws {
        let golden = try golden(level)
        let applier = ReplicaApplier(cluster: Rig.cluster, dedup: DedupWindow(), history: nil)
        var states: Set<WorkflowRun.State> = []
        var reasons: Set<String> = []
        var generations = 0
        for entry in golden.entries {
            let applied = try applier.apply(entry)
            for case .run(let run) in applied.history { states.insert(run.state) }
            for open in applier.state.runs.values { states.insert(open.run.state) }
            for outcome in applied.outcomes { reasons.insert(Golden.text(outcome)) }
            generations = max(generations, applier.state.dedup.generations.count)
        }
        #expect(states == Set(WorkflowRun.State.allCases))
        let stale =
            ["stale: catalog version", "stale: run", "stale: piece", "stale: the upload"] + (level >= 3 ? ["stale: the feature"] : [])
        for start in ["done", "duplicate"] + stale { #expect(reasons.contains { $0.hasPrefix(start) }, "\(start): \(reasons.sorted())") }
        #expect(generations > 2)
        let snapshot = try StateCodec.decode(golden.snapshot, dedup: DedupWindow())
        #expect(snapshot.uploads.count == 4 && !snapshot.pins.isEmpty && !snapshot.runs.isEmpty && snapshot.dedup.count > 3)
    }

    private static func tasks(of command: Command) -> [TaskRecord] {
        switch command {
        case .submit(let submit): submit.runs.flatMap(\.tasks)
        case .settle(let settle): settle.tasks.map(\.record) + (settle.successor?.tasks ?? [])
        case .start(let start): start.run.tasks
        case .stage, .activate, .digest, .featureLevel, .freeze: []
        }
    }
}

/// One level's folder: `log.hex` has `index term kind payload` a line, `expected.txt` what each entry came to, `snapshot.hex` a state from the
/// middle.
struct Golden {
    var entries: [LogEntry]
    var snapshot: [UInt8]
    /// `index digest outcomes history`, a line for each entry.
    var expected: [String]

    static func folder(_ level: UInt16, in folder: URL) -> URL { folder.appending(path: "level-\(level)") }

    init(_ log: GoldenLog) throws {
        (entries, snapshot) = (log.entries, log.snapshot)
        expected = try Self.replay(log.entries).lines
    }

    init(reading level: UInt16, in folder: URL) throws {
        let folder = Self.folder(level, in: folder)
        func lines(_ name: String) throws -> [String] {
            try String(contentsOf: folder.appending(path: name), encoding: .utf8).split(separator: "\n").map(String.init)
        }
        entries = try lines("log.hex").map { line in
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            let kind = try #require(UInt8(words[2]).flatMap { LogEntry.Kind(rawValue: $0) }, "\(line.prefix(40))")
            return LogEntry(
                index: LogIndex(try #require(UInt64(words[0]))), term: Term(try #require(UInt64(words[1]))), kind: kind,
                payload: Self.bytes(words[3]))
        }
        snapshot = try lines("snapshot.hex").flatMap { Self.bytes($0[...]) }
        expected = try lines("expected.txt")
    }

    func write(_ level: UInt16, in folder: URL) throws {
        let folder = Self.folder(level, in: folder)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        func write(_ lines: [String], _ name: String) throws {
            try lines.map { $0 + "\n" }.joined().write(to: folder.appending(path: name), atomically: true, encoding: .utf8)
        }
        try write(entries.map { "\($0.index) \($0.term) \($0.kind.rawValue) \(Self.text($0.payload[...]))" }, "log.hex")
        let pieces = stride(from: 0, to: snapshot.count, by: 64).map { Self.text(snapshot[$0..<min($0 + 64, snapshot.count)]) }
        try write(pieces, "snapshot.hex")
        try write(expected, "expected.txt")
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { bytes.map { hexadecimal(UInt64($0), digits: 2) }.joined() }

    private static func bytes(_ text: Substring) -> [UInt8] {
        let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
    }

    /// What each entry comes to, and the state at the end.
    static func replay(_ entries: [LogEntry], from snapshot: [UInt8]? = nil, at index: LogIndex = .zero) throws -> (
        lines: [String], state: CoordinatorState
    ) {
        let applier = ReplicaApplier(cluster: Rig.cluster, dedup: DedupWindow(), history: nil)
        if let snapshot { try applier.restore(snapshot, at: index) }
        let lines = try entries.map { entry in
            let applied = try applier.apply(entry)
            let outcomes = applied.outcomes.map { text($0) }.joined(separator: "; ")
            return "\(entry.index) \(applier.state.digest) [\(outcomes)] \(applied.history.count) \(digest(of: applied.history))"
        }
        return (lines, applier.state)
    }

    static func text(_ outcome: CommandOutcome) -> String {
        switch outcome {
        case .done: "done"
        case .duplicate(let runs): "duplicate: " + runs.map(\.description).joined(separator: ",")
        case .stale(let reason): "stale: \(reason)"
        }
    }

    private static func digest(of history: [HistoryItem]) -> StateDigest {
        var sum = StateDigest()
        for item in history {
            switch item {
            case .run(let run): sum += run.stateDigest
            case .message(let accepted):
                sum += DedupWindow.digest(of: DedupWindow.key(accepted.message, cluster: Rig.cluster), accepted.runs)
            }
        }
        return sum
    }
}

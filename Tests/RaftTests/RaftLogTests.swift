import Primitives
import Testing

@testable import Raft

/// Raft section 5.3: what the core knows of its log, against a plain array.
struct RaftLogTests {
    private func log(_ terms: [UInt64], base: UInt64 = 0, baseTerm: UInt64 = 0) -> RaftLog {
        var log = RaftLog(base: LogIndex(base), term: Term(baseTerm), configuration: Configuration(voters: nodes(1...3)))
        for entry in entries(terms, from: base + 1) { log.append(entry) }
        return log
    }

    private func change(_ index: UInt64, _ term: UInt64, _ voters: [NodeID]) -> LogEntry {
        LogEntry(index: LogIndex(index), term: Term(term), kind: .configuration, payload: Configuration(voters: voters).payload)
    }

    @Test func `an empty log ends at its base`() {
        let log = log([], base: 7, baseTerm: 3)
        #expect(log.lastIndex == LogIndex(7) && log.lastTerm == Term(3))
        #expect(log.term(at: LogIndex(7)) == Term(3))
        #expect(log.term(at: LogIndex(6)) == nil && log.term(at: LogIndex(8)) == nil)
        #expect(log.firstKept == LogIndex(8))
        #expect(log.entries(from: LogIndex(8), through: LogIndex(7), maxBytes: 9) == [])
    }

    @Test func `terms are known of every entry that is not compacted`() {
        let log = log([4, 4, 6, 6, 6, 9], base: 3, baseTerm: 2)
        #expect((2...10).map { log.term(at: LogIndex($0))?.number } == [nil, 2, 4, 4, 6, 6, 6, 9, nil])
        #expect(log.firstIndex(ofTermAt: LogIndex(8)) == LogIndex(6))
        #expect(log.firstIndex(ofTermAt: LogIndex(5)) == LogIndex(4))
        #expect([3, 4, 5, 6, 8, 9, 99].map { log.lastIndex(upTo: Term($0)).number } == [3, 5, 5, 8, 8, 9, 9])
    }

    @Test func `a log is compared by its last term, then by its length`() {
        let log = log([1, 1, 3])
        #expect(log.isUpToDate(LogIndex(3), Term(3)))
        #expect(log.isUpToDate(LogIndex(1), Term(4)))
        #expect(log.isUpToDate(LogIndex(4), Term(3)))
        #expect(!log.isUpToDate(LogIndex(2), Term(3)))
        #expect(!log.isUpToDate(LogIndex(99), Term(2)))
    }

    @Test func `configurations come and go with their entries`() {
        var log = log([1, 1])
        log.append(change(3, 2, nodes(1, 2)))
        log.append(entries([2], from: 4)[0])
        log.append(change(5, 3, nodes(1)))
        #expect(log.configuration.voters == nodes(1) && log.configurationIndex == LogIndex(5))
        #expect(log.configuration(at: LogIndex(4)).voters == nodes(1, 2))
        #expect(log.configuration(at: LogIndex(2)).voters == nodes(1...3))
        log.truncate(after: LogIndex(4))
        #expect(log.configuration.voters == nodes(1, 2) && log.configurationIndex == LogIndex(3))
        log.truncate(after: LogIndex(2))
        #expect(log.configuration.voters == nodes(1...3) && log.configurationIndex == .zero)
    }

    @Test func `what is compacted leaves its term and its configuration behind`() {
        var log = log([1, 1])
        log.append(change(3, 2, nodes(1, 2)))
        for entry in entries([2, 2, 5], from: 4) { log.append(entry) }
        log.compact(through: LogIndex(4))
        #expect(log.base == LogIndex(4) && log.baseTerm == Term(2))
        #expect(log.configuration.voters == nodes(1, 2))
        #expect((3...6).map { log.term(at: LogIndex($0))?.number } == [nil, 2, 2, 5])
        log.compact(through: LogIndex(6))
        #expect(log.lastIndex == LogIndex(6) && log.lastTerm == Term(5))
        #expect(log.configuration(at: LogIndex(6)).voters == nodes(1, 2))
        log.append(entries([5], from: 7)[0])
        #expect(log.lastIndex == LogIndex(7))
    }

    @Test func `a log that is read back keeps its newest entries, and is the one that a core is given entry by entry`() {
        let all = entries([1, 1, 2], from: 1) + [change(4, 2, nodes(1, 2))] + entries([2, 3, 3, 3], from: 5)
        for bytes in [0, 60, 150, 1 << 20] {
            var core = RaftCore(
                id: nodes(1)[0], settings: RaftSettings().validated(), hardState: HardState(term: Term(3), vote: nil), snapshot: nil,
                configuration: Configuration(voters: nodes(1...3)), seed: 1, now: Instant(nanoseconds: 0))
            var (read, plain) = (core.log, core.log)
            for entry in all {
                read.restore(entry, keeping: bytes)
                plain.append(entry)
            }
            #expect(read.firstKept.number > (bytes == 1 << 20 ? 0 : 1), "\(bytes) bytes")
            #expect((1...9).map { read.term(at: LogIndex($0)) } == (1...9).map { plain.term(at: LogIndex($0)) })
            #expect(read.configuration == plain.configuration && read.configurationIndex == LogIndex(4))
            core.restore(read)
            #expect(core.log == read && core.durableIndex == LogIndex(8))
            read.truncate(after: LogIndex(3))
            plain.truncate(after: LogIndex(3))
            #expect(read.lastIndex == LogIndex(3) && read.configurationIndex == .zero)
            #expect(read.firstKept >= plain.firstKept)
        }
    }

    @Test func `a snapshot takes the place of all of it`() {
        var log = log([1, 1, 1])
        log.reset(to: mark(9, term: 4, voters: nodes(7)))
        #expect(log.base == LogIndex(9) && log.lastIndex == LogIndex(9) && log.lastTerm == Term(4))
        #expect(log.configuration.voters == nodes(7))
        #expect(log.payloadBytes(after: .zero) == 0)
    }

    @Test func `entries are given up to so many bytes, one at least`() {
        var log = log([])
        for (offset, size) in [5, 5, 1, 20, 0, 0].enumerated() {
            log.append(
                LogEntry(index: LogIndex(UInt64(offset) + 1), term: Term(1), kind: .commands, payload: Array(repeating: 0, count: size)))
        }
        func count(_ first: UInt64, _ last: UInt64, _ bytes: Int) -> Int? {
            log.entries(from: LogIndex(first), through: LogIndex(last), maxBytes: bytes)?.count
        }
        #expect(count(1, 6, 11) == 3)
        #expect(count(1, 6, 10) == 2)
        #expect(count(1, 6, 1) == 1)
        #expect(count(4, 6, 1) == 1)
        #expect(count(4, 6, 20) == 3)
        #expect(count(1, 2, 1_000) == 2)
        #expect(log.payloadBytes(after: LogIndex(2)) == 21)
    }

    @Test func `what was let go is not there, and says so`() {
        var log = log([1, 1, 1, 1, 1])
        // An entry costs its payload and 48 bytes.
        log.trim(to: 98, notAfter: LogIndex(5))
        #expect(log.firstKept == LogIndex(4))
        #expect(log.entries(from: LogIndex(3), through: LogIndex(5), maxBytes: 99) == nil)
        #expect(log.entries(from: LogIndex(4), through: LogIndex(5), maxBytes: 99)?.count == 2)
        #expect(log.term(at: LogIndex(2)) == Term(1))
        log.trim(to: 0, notAfter: LogIndex(4))
        #expect(log.firstKept == LogIndex(5), "not what is not durable and committed")
        log.truncate(after: LogIndex(2))
        #expect(log.firstKept == LogIndex(3) && log.lastIndex == LogIndex(2))
    }

    // MARK: Against an array

    private struct Model {
        var base: UInt64 = 0
        var baseTerm: UInt64 = 0
        var baseVoters = nodes(1...3)
        var entries: [LogEntry] = []
        /// The first that is kept for sure not to have been let go.
        var last: UInt64 { base + UInt64(entries.count) }

        func term(_ index: UInt64) -> UInt64? {
            if index == base { return baseTerm }
            guard index > base, index <= last else { return nil }
            return entries[Int(index - base) - 1].term.number
        }

        var voters: [NodeID] {
            entries.last { $0.kind == .configuration }.flatMap { Configuration(payload: $0.payload)?.voters } ?? baseVoters
        }
    }

    @Test func `after any appends, truncations, compactions and trims it is what an array would be`() {
        for seed in UInt64(1)...150 {
            var generator = SeededGenerator(seed: seed)
            var log = RaftLog(base: .zero, term: Term(0), configuration: Configuration(voters: nodes(1...3)))
            var model = Model()
            for _ in 0..<120 {
                step(&log, &model, &generator)
                agree(log, model, seed)
            }
        }
    }

    private func step(_ log: inout RaftLog, _ model: inout Model, _ generator: inout SeededGenerator) {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0 where model.last > model.base:
            let index = UInt64.random(in: model.base..<model.last, using: &generator)
            log.truncate(after: LogIndex(index))
            model.entries.removeLast(Int(model.last - index))
        case 1:
            let index = UInt64.random(in: model.base...model.last, using: &generator)
            let voters = voters(of: model, at: index)
            let term = model.term(index) ?? 0
            log.compact(through: LogIndex(index))
            model.entries.removeFirst(Int(index - model.base))
            (model.base, model.baseTerm, model.baseVoters) = (index, term, voters)
        case 2:
            log.trim(
                to: Int.random(in: 0...600, using: &generator), notAfter: LogIndex(UInt64.random(in: 0...model.last, using: &generator)))
        case 3 where Int.random(in: 0..<5, using: &generator) == 0:
            let mark = mark(model.last + UInt64.random(in: 0...5, using: &generator), term: (model.term(model.last) ?? 0) + 1)
            log.reset(to: mark)
            model = Model(base: mark.index.number, baseTerm: mark.term.number, baseVoters: mark.configuration.voters)
        default: append(to: &log, &model, &generator)
        }
    }

    private func append(to log: inout RaftLog, _ model: inout Model, _ generator: inout SeededGenerator) {
        let term = (model.term(model.last) ?? 0) + (Int.random(in: 0..<4, using: &generator) == 0 ? 1 : 0)
        var entry = LogEntry(
            index: LogIndex(model.last + 1), term: Term(term), kind: .commands,
            payload: Array(repeating: 1, count: Int.random(in: 0...9, using: &generator)))
        if Int.random(in: 0..<5, using: &generator) == 0 {
            entry = change(model.last + 1, term, nodes(1...Int.random(in: 1...7, using: &generator)))
        }
        log.append(entry)
        model.entries.append(entry)
    }

    private func voters(of model: Model, at index: UInt64) -> [NodeID] {
        var older = model
        older.entries.removeLast(Int(model.last - index))
        return older.voters
    }

    private func agree(_ log: RaftLog, _ model: Model, _ seed: UInt64) {
        #expect(log.base.number == model.base && log.baseTerm.number == model.baseTerm, "seed \(seed)")
        #expect(log.lastIndex.number == model.last && log.lastTerm.number == model.term(model.last), "seed \(seed)")
        #expect(log.configuration.voters == model.voters, "seed \(seed)")
        let terms = (0...model.last + 1).map { log.term(at: LogIndex($0))?.number }
        #expect(terms == (0...model.last + 1).map { model.term($0) }, "seed \(seed)")
        guard log.firstKept.number <= model.last else { return }
        let kept = log.entries(from: log.firstKept, through: log.lastIndex, maxBytes: .max)
        #expect(kept == Array(model.entries.suffix(kept?.count ?? 0)), "seed \(seed)")
        #expect(kept?.last?.index == log.lastIndex, "seed \(seed)")
        #expect(log.payloadBytes(after: LogIndex(log.firstKept.number - 1)) == kept?.reduce(0) { $0 + $1.payload.count }, "seed \(seed)")
    }
}

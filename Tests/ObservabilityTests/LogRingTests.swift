import Logging
import Primitives
import Testing

@testable import Observability

/// The last log lines of a node: who looks is told exactly how many it did not see (LogRing.swift).
struct LogRingTests {
    private let ring = LogRing()

    private func append(_ numbers: ClosedRange<Int>, level: Logger.Level = .info) {
        for number in numbers { ring.append(level: level, label: "l\(number % 3)", line: Array("\(number)".utf8)) }
    }

    private func numbers(_ entries: [LogRing.Entry]) -> [UInt64] { entries.map(\.seq) }

    private func text(_ entry: LogRing.Entry) -> String { String(decoding: entry.line, as: UTF8.self) }

    @Test func `an empty ring has nothing to tell`() {
        let (entries, missed, last) = ring.newest(after: 0, limit: 10)
        #expect(entries.isEmpty)
        #expect(missed == 0 && last == 0)
        #expect(ring.lastNumber == 0)
        #expect(ring.newest(after: .max, limit: 10).missed == 0)
    }

    @Test func `lines are numbered from one, and come oldest first`() throws {
        append(1...4)
        let (entries, missed, last) = ring.newest(after: 0, limit: 10)
        #expect(numbers(entries) == [1, 2, 3, 4])
        #expect(entries.map(text) == ["1", "2", "3", "4"])
        #expect(entries.map(\.label) == ["l1", "l2", "l0", "l1"])
        #expect(missed == 0 && last == 4)
        let later = ring.newest(after: 2, limit: 10)
        #expect(numbers(later.entries) == [3, 4])
        let none = ring.newest(after: 4, limit: 10)
        #expect(none.entries.isEmpty && none.missed == 0 && none.last == 4)
        let beyond = ring.newest(after: 900, limit: 10)
        #expect(beyond.entries.isEmpty && beyond.missed == 0 && beyond.last == 4)
    }

    @Test func `of more than the limit the newest are shown`() {
        append(1...100)
        let (entries, missed, last) = ring.newest(after: 10, limit: 3)
        #expect(numbers(entries) == [98, 99, 100])
        #expect(missed == 87 && last == 100)
    }

    @Test(arguments: [1, 5, LogRing.retained - 1, LogRing.retained, LogRing.retained + 1, 2 * LogRing.retained + 777])
    func `what is shown and what is missed are together what was sent`(sent: Int) {
        append(1...sent)
        #expect(ring.lastNumber == UInt64(sent))
        let limits: [Int] = [0, 1, 2, 1000, LogRing.retained - 1, LogRing.retained, LogRing.retained + 1, .max]
        for after in [0, 1, sent / 2, sent - 1, sent] {
            for limit in limits {
                let (entries, missed, last) = ring.newest(after: UInt64(after), limit: limit)
                #expect(last == UInt64(sent))
                #expect(entries.count + missed == sent - after, "after \(after), limit \(limit)")
                #expect(entries.count == min(limit, LogRing.retained, sent - after), "after \(after), limit \(limit)")
                let expected = Array((UInt64(sent - entries.count) + 1)..<(UInt64(sent) + 1))
                #expect(numbers(entries) == expected, "after \(after), limit \(limit)")
            }
        }
    }

    @Test func `the line that goes with a number stays with it when the ring turns`() {
        let sent = LogRing.retained + 123
        append(1...sent)
        let (entries, missed, _) = ring.newest(after: 0, limit: .max)
        #expect(missed == 123)
        #expect(entries.allSatisfy { text($0) == "\($0.seq)" })
    }

    // MARK: Filters

    @Test func `what is not wanted is neither shown nor missed`() {
        for number in 1...90 { append(number...number, level: number % 3 == 0 ? .error : .debug) }
        let few = ring.newest(after: 0, limit: 10) { $0.level >= .error }
        #expect(numbers(few.entries) == (21...30).map { UInt64($0 * 3) })
        #expect(few.missed == 20 && few.last == 90)
        let all = ring.newest(after: 45, limit: 100) { $0.level >= .error }
        #expect(numbers(all.entries) == (16...30).map { UInt64($0 * 3) })
        #expect(all.missed == 0)
        let none = ring.newest(after: 0, limit: 10) { _ in false }
        #expect(none.entries.isEmpty && none.missed == 0 && none.last == 90)
    }

    @Test func `what was overwritten is missed, since nobody knows whether it was wanted`() {
        append(1...(LogRing.retained + 50))
        let found = ring.newest(after: 20, limit: 5) { $0.seq % 2 == 0 }
        #expect(numbers(found.entries) == (0..<5).map { UInt64(LogRing.retained + 42 + 2 * $0) })
        #expect(found.missed == 30 + LogRing.retained / 2 - 5)
    }

    // MARK: Many at once

    @Test func `fifty thousand lines a second for ten seconds, looked at twice a second: what is shown and what is counted are all`() {
        let sent = 500_000
        var (shown, missed, place) = (0, 0, UInt64(0))
        for look in 0..<20 {
            append(look * sent / 20 + 1...(look + 1) * sent / 20)
            let (entries, more, last) = ring.newest(after: place, limit: 200)
            #expect(numbers(entries) == Array(last - 199...last))
            (shown, missed, place) = (shown + entries.count, missed + more, last)
        }
        #expect(shown == 20 * 200)
        #expect(shown + missed == sent)
    }

    @Test func `a ring that begins where the time of day says has missed nothing before it`() {
        let ring = LogRing(first: LogRing.first(at: ClusterTime(milliseconds: 1_800_000_000_000)))
        ring.append(level: .info, label: "x", line: [])
        let (entries, missed, last) = ring.newest(after: 0, limit: 10)
        #expect(numbers(entries) == [1_800_000_000_000_000] && missed == 0 && last == 1_800_000_000_000_000)
        #expect(ring.newest(after: last, limit: 10).missed == 0)
        // Whoever was at a line of the process before has missed none of this one's.
        #expect(ring.newest(after: 1_799_999_000_000_000, limit: 10).missed == 0)
    }

    @Test func `lines of eight threads all come, each with a number of its own and in its thread's order`() async {
        let ring = ring
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<2000 { ring.append(level: .info, label: "\(writer)", line: Array("\(number)".utf8)) }
                }
            }
        }
        let (entries, missed, last) = ring.newest(after: 0, limit: .max)
        #expect(missed == 0 && last == 16_000)
        #expect(numbers(entries) == Array(UInt64(1)...16_000))
        let byWriter = Dictionary(grouping: entries, by: \.label)
        #expect(byWriter.count == 8)
        for (writer, lines) in byWriter { #expect(lines.map(text) == (0..<2000).map { "\($0)" }, "writer \(writer)") }
    }

    @Test func `a reader beside the writers sees or misses every line, none twice`() async {
        let ring = ring
        let total = UInt64(8 * 6000)
        let (seen, missed) = await withTaskGroup(of: (seen: [UInt64], missed: Int).self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<6000 {
                        ring.append(level: .info, label: "\(writer)", line: Array("\(number)".utf8))
                        if number % 100 == 0 { await Task.yield() }
                    }
                    return (seen: [], missed: 0)
                }
            }
            group.addTask {
                var told: (seen: [UInt64], missed: Int) = ([], 0)
                var place: UInt64 = 0
                while place < total {
                    let found = ring.newest(after: place, limit: 50)
                    told.seen += found.entries.map(\.seq)
                    told.missed += found.missed
                    place = found.last
                    await Task.yield()
                }
                return told
            }
            var all: (seen: [UInt64], missed: Int) = ([], 0)
            for await part in group { all = (seen: all.seen + part.seen, missed: all.missed + part.missed) }
            return all
        }
        #expect(UInt64(seen.count + missed) == total)
        #expect(zip(seen, seen.dropFirst()).allSatisfy { $0 < $1 })
        #expect(seen.last == total)
    }

    // MARK: Where lines come from

    @Test func `the log's lines are in it as they were written, without the end of the line`() throws {
        let handler = JSONLogHandler(
            label: "worker", level: .trace, sink: LogSink(descriptor: -1), clock: TestClock(), ring: ring)
        handler.log(
            event: LogEvent(
                level: .warning, message: "two\nlines", metadata: ["run": "7"], source: "test", file: "f", function: "g", line: 1))
        let entry = try #require(ring.newest(after: 0, limit: 1).entries.first)
        #expect(entry.level == .warning)
        #expect(entry.label == "worker")
        let expected =
            #"{"time":"2026-11-23T14:32:07.012Z","level":"warning","label":"worker","message":"two\nlines","run":"7"}"#
        #expect(text(entry) == expected)
    }

    @Test func `what a logger's level leaves out is not in it`() {
        let handler = JSONLogHandler(label: "x", level: .trace, sink: LogSink(descriptor: -1), clock: TestClock(), ring: ring)
        var logger = Logger(label: "x") { _ in handler }
        logger.logLevel = .notice
        logger.info("no")
        logger.error("yes")
        #expect(ring.lastNumber == 1)
    }

    @Test func `what is overwritten while it is taken is dropped and counted, and nothing is torn`() async {
        ring.beginQueue(descriptor: -1)
        let (ring, each) = (ring, 150_000)
        let taken = await withTaskGroup(of: (lines: Int, odd: Int).self) { group in
            for label in ["a", "b"] {
                group.addTask {
                    let line = Array(String(repeating: label, count: 99).utf8)
                    for _ in 0..<each { ring.append(level: .info, label: label, line: line) }
                    return (0, 0)
                }
            }
            group.addTask {
                var buffer: [UInt8] = []
                var (lines, odd) = (0, 0)
                while ring.lastNumber < UInt64(2 * each) || ring.queued > 0 {
                    let count = ring.take(into: &buffer, limit: 256 << 10, prefix: nil)
                    let found = buffer.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast()
                    if found.count != count { odd += 1 }
                    odd += found.count { line in line.count != 99 || line.contains { $0 != line.first } }
                    lines += count
                }
                return (lines, odd)
            }
            var all = (lines: 0, odd: 0)
            for await part in group { all = (all.lines + part.lines, all.odd + part.odd) }
            return all
        }
        #expect(taken.odd == 0)
        let dropped = ring.dropped.reduce(0) { $0 + $1.counter.count }
        #expect(UInt64(taken.lines) + dropped == UInt64(2 * each))
    }
}

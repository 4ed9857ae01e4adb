import Primitives
import Testing

@testable import Offline

/// Histories of real clients, in the lines that load clients write (HistoryCheck.swift).
struct HistoryCheckTests {
    private static func line(_ process: Int, _ type: String, _ f: String, _ key: String, _ value: String, _ time: Int) -> String {
        #"{"process":\#(process),"type":"\#(type)","f":"\#(f)","key":"\#(key)","value":\#(value),"time":\#(time)}"#
    }

    private func verdict(_ lines: [String], steps: Int = 100_000) throws -> HistoryCheck.Verdict {
        try HistoryCheck(Array(lines.joined(separator: "\n").utf8)).verdict(steps: steps)
    }

    /// Written, then found.
    private static func well(_ key: String) -> [String] {
        [
            line(0, "invoke", "write", key, "1", 10), line(0, "ok", "write", key, "1", 20), line(1, "invoke", "read", key, "null", 30),
            line(1, "ok", "read", key, "1", 40),
        ]
    }

    @Test func `a history that some order explains is linearizable`() throws {
        let found = try verdict(Self.well("a"))
        #expect(found.state == .linearizable && found.lines == ["linearizable: 1 key, 2 operations in all"])
        #expect(found.value["verdict"] == "linearizable" && found.value["smallest"] == nil)
    }

    @Test func `what nobody knows of may have been done, or not`() throws {
        let unknown = [Self.line(0, "invoke", "write", "a", "1", 10), Self.line(0, "info", "write", "a", "1", 20)]
        for value in ["1", "null"] {
            let read = [Self.line(1, "invoke", "read", "a", "null", 30), Self.line(1, "ok", "read", "a", value, 40)]
            #expect(try verdict(unknown + read).state == .linearizable)
        }
        let failed = [Self.line(0, "invoke", "write", "a", "1", 10), Self.line(0, "fail", "write", "a", "1", 20)]
        let read = [Self.line(1, "invoke", "read", "a", "null", 30), Self.line(1, "ok", "read", "a", "1", 40)]
        #expect(try verdict(failed + read).state == .violated)
    }

    @Test func `of keys that are wrong the one with the shortest trouble is shown`() throws {
        let long = [
            Self.line(0, "invoke", "write", "long", "1", 10), Self.line(0, "ok", "write", "long", "1", 20),
            Self.line(0, "invoke", "write", "long", "2", 30), Self.line(0, "ok", "write", "long", "2", 40),
            Self.line(1, "invoke", "read", "long", "null", 50), Self.line(1, "ok", "read", "long", "1", 60),
        ]
        let short = [
            Self.line(2, "invoke", "write", "short", "7", 70), Self.line(2, "ok", "write", "short", "7", 80),
            Self.line(3, "invoke", "read", "short", "null", 90), Self.line(3, "ok", "read", "short", "null", 95),
        ]
        let found = try verdict(long + short)
        #expect(found.state == .violated)
        #expect(found.lines[0] == #"not linearizable: 2 of 2 keys, 5 operations in all; the smallest is "short""#)
        #expect(found.lines.last == #"> process 3, read of "short": absent (90 to 95 ns)"#)
        #expect(found.value["violated"] == ["long", "short"])
        #expect(found.value["smallest"]?["key"] == "short" && found.value["smallest"]?["endedBefore"] == 1)
    }

    @Test func `keys do not mix, also where their events do`() throws {
        let lines = zip(Self.well("a"), Self.well("b").map { $0.replacing(#""process":0"#, with: #""process":2"#) }).flatMap { own, other in
            [own, other.replacing(#""process":1"#, with: #""process":3"#)]
        }
        let found = try verdict(lines)
        #expect(found.state == .linearizable && found.value["keys"] == 2 && found.value["operations"] == 4)
    }

    @Test func `a line that is none is named by its number`() {
        let cases: [([String], String)] = [
            (Self.well("a") + ["{\"process\":1"], "line 5: not JSON"), (["[]"], "line 1: not a JSON object"),
            ([Self.line(0, "ok", "write", "a", "1", 10)], "line 1: process 0 completes an operation that it never invoked"),
            (
                [Self.line(0, "invoke", "write", "a", "1", 10), "", Self.line(1, "invoke", "read", "a", "null", 5)],
                "line 3: time goes back"
            ),
            ([Self.line(0, "invoke", "erase", "a", "1", 10)], "line 1: unknown f \"erase\""), ([""], "no operation at all"),
        ]
        for (lines, words) in cases {
            #expect { _ = try verdict(lines) } throws: { error in
                (error as? HistoryCheck.Problem)?.description.hasPrefix(words) == true
            }
        }
    }

    @Test func `what takes too many steps is left open, and said to be`() throws {
        var lines: [String] = []
        for process in 0..<12 { lines.append(Self.line(process, "invoke", "write", "a", "\(process + 1)", 10 + process)) }
        for process in 0..<12 { lines.append(Self.line(process, "ok", "write", "a", "\(process + 1)", 100 + process)) }
        for value in [3, 9, 1, 12, 5] {
            lines.append(Self.line(20 + value, "invoke", "read", "a", "null", 200))
            lines.append(Self.line(20 + value, "ok", "read", "a", "\(value)", 200))
        }
        let found = try verdict(lines, steps: 1)
        #expect(found.state == .undecided && found.lines[0].hasPrefix("not decided: 1 of 1 key, 17 operations in all, are open"))
        #expect(found.value["undecided"] == ["a"])
    }
}

import Primitives
import Testing

@testable import Simulation

/// Section "Ways in for outsiders" of the consensus design: a history is JSON lines that any linearizability checker can read.
struct HistoryTests {
    private static let lines = """
        {"process":0,"type":"invoke","f":"write","key":"x","value":1,"time":10}
        {"process":1,"type":"invoke","f":"read","key":"x","value":null,"time":12}
        {"process":0,"type":"ok","f":"write","key":"x","value":1,"time":20}
        {"process":1,"type":"ok","f":"read","key":"x","value":1,"time":21}
        {"process":1,"type":"invoke","f":"cas","key":"x","value":[1,18446744073709551615],"time":22}
        {"process":0,"type":"invoke","f":"append","key":"list","value":7,"time":22}
        {"process":1,"type":"ok","f":"cas","key":"x","value":[1,18446744073709551615],"time":30}
        {"process":0,"type":"info","f":"append","key":"list","value":7,"time":30}
        {"process":0,"type":"invoke","f":"read","key":"list","value":null,"time":31}
        {"process":1,"type":"invoke","f":"cas","key":"x","value":[null,5],"time":32}
        {"process":1,"type":"fail","f":"cas","key":"x","value":[null,5],"time":33,"error":"mismatch"}
        {"process":0,"type":"ok","f":"read","key":"list","value":[7],"time":34}
        {"process":2,"type":"invoke","f":"write","key":"y","value":0,"time":35}
        {"process":2,"type":"fail","f":"write","key":"y","value":0,"time":36}
        {"process":3,"type":"invoke","f":"read","key":"y","value":null,"time":37}

        """

    @Test func `lines read back as the operations they tell of`() throws {
        let history = try History(jsonLines: Array(Self.lines.utf8))
        #expect(
            history.operations == [
                .done(0, .write(1), 10...20),
                .done(1, .read, 12...21, .value(1)),
                .done(1, .compareAndSwap(expected: 1, new: .max), 22...30, .swapped),
                .unknown(0, .append(7), 22, key: "list"),
                .done(0, .read, 31...34, .list([7]), key: "list"),
                .done(1, .compareAndSwap(expected: nil, new: 5), 32...33, .mismatch),
                .failed(2, .write(0), 35...36, key: "y"),
                .unknown(3, .read, 37, key: "y"),
            ])
        #expect(history.kind(of: "x") == .register && history.kind(of: "list") == .list)
        #expect(history.keys == ["x", "list", "y"])
    }

    @Test func `what is written is what was read, byte for byte`() throws {
        let history = try History(jsonLines: Array(Self.lines.utf8))
        #expect(String(decoding: history.jsonLines, as: UTF8.self) == Self.lines)
    }

    @Test func `random histories survive the round trip, the order within a nanosecond included`() throws {
        for seed: UInt64 in 1...200 {
            let history = try RandomHistory.tiny(seed: seed)
            #expect(try History(jsonLines: history.jsonLines) == history, "seed \(seed)")
        }
        let execution = try RandomHistory.execution(seed: 1, operations: 1_000)
        #expect(try History(jsonLines: execution.jsonLines) == execution, "seed 1")
    }

    @Test func `members nobody knows, empty lines and carriage returns do no harm`() throws {
        let text = """
            {"process":-4,"type":"invoke","f":"read","key":"x","time":-5,"index":0,"node":"n1"}\r

            {"process":-4,"type":"ok","f":"read","key":"x","time":-5}
            """
        #expect(try History(jsonLines: Array(text.utf8)).operations == [.done(-4, .read, -5...(-5), .value(nil))])
    }

    // MARK: What is refused

    private static let begun = #"{"process":0,"type":"invoke","f":"write","key":"x","value":1,"time":10}"#
    private static let read = #"{"process":0,"type":"invoke","f":"read","key":"x","value":null,"time":10}"#
    private static let write = "process 0, write 1 of \"x\": unknown (from 10 ns)"

    static let refusals: [(lines: [String], line: Int, reason: HistoryError.Reason)] = [
        ([#"[1]"#], 1, .notAnObject),
        ([begun, begun], 2, .stillOpen(process: 0, operation: write)),
        ([#"{"process":3,"type":"ok","f":"read","key":"x","value":1,"time":10}"#], 1, .notOpen(process: 3)),
        ([#"{"process":3,"type":"info","f":"read","key":"x","time":10}"#], 1, .notOpen(process: 3)),
        ([begun, "", begun.replacing("invoke", with: "ok"), begun.replacing("invoke", with: "ok")], 4, .notOpen(process: 0)),
        ([begun.replacing(#""write""#, with: #""swap""#)], 1, .unknownFunction("swap")),
        ([begun, begun.replacing("invoke", with: "ok").replacing("10", with: "9")], 2, .timeWentBack(from: 10, to: 9)),
        ([begun, begun.replacing("invoke", with: "info").replacing("10", with: "9")], 2, .timeWentBack(from: 10, to: 9)),
        ([begun, begun.replacing("invoke", with: "ok").replacing(":1,", with: ":2,")], 2, .otherOperation(process: 0, operation: write)),
        ([begun, begun.replacing("invoke", with: "ok").replacing(":1,", with: ":null,")], 2, .wrongMember("value", expected: number)),
        (
            [begun, begun.replacing("invoke", with: "ok").replacing("\"x\"", with: "\"y\"")], 2,
            .otherOperation(process: 0, operation: write)
        ),
        ([begun, read.replacing("invoke", with: "ok")], 2, .otherOperation(process: 0, operation: write)),
        ([begun, #"{"process":1,"type":"invoke","f":"append","key":"x","value":1,"time":10}"#], 2, .mixedKinds(key: "x")),
        ([begun, #"{"process":1,"type":"invoke","f":"read","key":"x","time":10}"#, listFound], 3, .mixedKinds(key: "x")),
        ([begun.replacing("invoke", with: "begin")], 1, .wrongMember("type", expected: "invoke, ok, fail or info")),
        ([begun.replacing("\"process\":0", with: "\"process\":0.5")], 1, .wrongMember("process", expected: "an integer")),
        ([begun.replacing("\"process\":0,", with: "")], 1, .wrongMember("process", expected: "an integer")),
        ([begun.replacing("\"x\"", with: "[1]")], 1, .wrongMember("key", expected: "a string")),
        ([begun.replacing("\"time\":10", with: "\"time\":\"10\"")], 1, .wrongMember("time", expected: "an integer, in nanoseconds")),
        ([begun.replacing("\"time\":10", with: "\"time\":1e3")], 1, .wrongMember("time", expected: "an integer, in nanoseconds")),
        ([begun.replacing("\"f\":\"write\"", with: "\"f\":1")], 1, .wrongMember("f", expected: "read, write, cas or append")),
        ([begun.replacing(":1,", with: ":-1,")], 1, .wrongMember("value", expected: number)),
        ([begun.replacing(":1,", with: ":18446744073709551616,")], 1, .wrongMember("value", expected: number)),
        ([begun.replacing(":1,", with: ":[1],")], 1, .wrongMember("value", expected: number)),
        ([begun.replacing("write", with: "cas")], 1, .wrongMember("value", expected: pair)),
        ([begun.replacing("write", with: "cas").replacing(":1,", with: ":[1,null],")], 1, .wrongMember("value", expected: pair)),
        ([begun.replacing("write", with: "cas").replacing(":1,", with: ":[1,2,3],")], 1, .wrongMember("value", expected: pair)),
        ([begun.replacing("write", with: "read")], 1, .wrongMember("value", expected: "null where a read is invoked")),
        ([read, read.replacing("invoke", with: "ok").replacing("null", with: "\"1\"")], 2, .wrongMember("value", expected: number)),
        ([read, read.replacing("invoke", with: "ok").replacing("null", with: "[1,-1]")], 2, .wrongMember("value", expected: numbers)),
    ]
    private static let number = "an integer from 0 to 2^64 - 1"
    private static let numbers = "a list of integers from 0 to 2^64 - 1"
    private static let pair = "[expected, new] of a cas: integers from 0 to 2^64 - 1, expected may be null"
    private static let listFound = #"{"process":1,"type":"ok","f":"read","key":"x","value":[1],"time":10}"#

    @Test(arguments: refusals.indices) func `a line that makes no history is refused with its number and reason`(index: Int) throws {
        let (lines, line, reason) = Self.refusals[index]
        let error = #expect(throws: HistoryError.self) { try History(jsonLines: Array(lines.joined(separator: "\n").utf8)) }
        #expect(error == HistoryError(reason, line: line))
        #expect(error?.description.hasPrefix("line \(line): ") == true)
    }

    @Test(arguments: ["", "\n", "\n\n\n"]) func `a file without an operation is refused`(text: String) {
        let error = #expect(throws: HistoryError.self) { try History(jsonLines: Array(text.utf8)) }
        #expect(error == HistoryError(.empty))
    }

    @Test func `a line cut off by a crash says that it may go`() throws {
        let text = Self.begun + "\n" + Self.begun.replacing("invoke", with: "ok").prefix(40)
        let error = try #require(throws: HistoryError.self) { try History(jsonLines: Array(text.utf8)) }
        guard case .notJSON = error.reason else { throw error }
        #expect(error.line == 2 && error.description.contains("deleted"))
        #expect(try History(jsonLines: Array(Self.begun.utf8)).operations == [.unknown(0, .write(1), 10)])
    }

    @Test func `no prefix and no flipped byte of a file traps`() throws {
        let bytes = Array(Self.lines.utf8)
        for count in bytes.indices { _ = try? History(jsonLines: Array(bytes.prefix(count))) }
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<3_000 {
            var copy = bytes
            copy[Int.random(in: copy.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            guard let history = try? History(jsonLines: copy) else { continue }
            #expect(try History(jsonLines: history.jsonLines) == history)
        }
    }

    // MARK: Recording

    @Test func `answers that do not fit their call are refused`() throws {
        let pairs: [(History.Call, History.Answer)] = [
            (.read, .done), (.write(1), .value(1)), (.append(1), .list([1])), (.compareAndSwap(expected: 1, new: 2), .done),
            (.write(1), .swapped),
        ]
        for (call, answer) in pairs {
            var history = History()
            try history.invoke(process: 0, key: "x", call, at: 0)
            let error = #expect(throws: HistoryError.self) { try history.complete(process: 0, .ok(answer, at: 1)) }
            #expect(error == HistoryError(.wrongAnswer(to: history.operations[0].description)))
        }
    }

    @Test func `operations in any order make one history, ends before beginnings at one nanosecond`() throws {
        let operations: [History.Operation] = [
            .done(1, .read, 20...30, .value(1)), .unknown(0, .write(2), 20), .done(0, .write(1), 10...20),
            .done(0, .read, 40...40, .value(2)),
        ]
        let history = try History(operations: operations)
        #expect(history.operations == [operations[2], operations[0], operations[1], operations[3]])
        let events: [History.Event] = [
            .invoked(0), .completed(0), .invoked(1), .invoked(2), .completed(1), .completed(2), .invoked(3), .completed(3),
        ]
        #expect(history.events == events)
    }

    @Test func `two operations of one process at a time, or an end before its beginning, make none`() {
        #expect(throws: HistoryError.self) { try History(operations: [.done(0, .read, 0...9, .value(nil)), .done(0, .write(1), 5...7)]) }
        let backward = History.Operation(process: 0, key: "x", call: .read, invokedAt: 5, completion: .failed(at: 4))
        #expect(throws: HistoryError(.timeWentBack(from: 5, to: 4))) { try History(operations: [backward]) }
    }

    @Test func `long lists are cut where people read them`() {
        #expect(History.Answer.list(Array(1...9)).text == "[..., 4, 5, 6, 7, 8, 9] (9 elements)")
        #expect(History.Answer.list(Array(1...8)).text == "[1, 2, 3, 4, 5, 6, 7, 8]")
    }
}

extension History.Operation {
    static func done(
        _ process: Int, _ call: History.Call, _ times: ClosedRange<Int64>, _ answer: History.Answer = .done, key: String = "x"
    ) -> Self {
        Self(process: process, key: key, call: call, invokedAt: times.lowerBound, completion: .ok(answer, at: times.upperBound))
    }

    static func failed(_ process: Int, _ call: History.Call, _ times: ClosedRange<Int64>, key: String = "x") -> Self {
        Self(process: process, key: key, call: call, invokedAt: times.lowerBound, completion: .failed(at: times.upperBound))
    }

    static func unknown(_ process: Int, _ call: History.Call, _ from: Int64, key: String = "x") -> Self {
        Self(process: process, key: key, call: call, invokedAt: from, completion: .unknown)
    }
}

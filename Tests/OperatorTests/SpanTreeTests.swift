import Primitives
import Testing
import Text

@testable import Operator

/// A trace as a tree by time.
struct SpanTreeTests {
    private func span(_ id: String, in parent: String? = nil, at start: Int, for milliseconds: Double) -> Value {
        .object([
            "spanId": .string(id), "parentId": parent.map(Value.string), "name": .string("span \(id)"),
            "start": .string(ClusterTime(milliseconds: UInt64(1_000_000 + start)).rfc3339), "durationMs": .double(milliseconds),
        ])
    }

    private func ids(_ rows: some Sequence<Value>) -> [String] { rows.map { $0["spanId"]?.string ?? "" } }
    private func depths(_ rows: some Sequence<Value>) -> [Int64] { rows.map { $0["depth"]?.int ?? -1 } }
    private func critical(_ rows: some Sequence<Value>) -> [String] { ids(rows.filter { $0["criticalMs"] != nil }) }

    @Test func `spans stand below their parent, in the order they began`() {
        let rows = SpanTree.rows([
            span("late", in: "root", at: 60, for: 30), span("early", in: "root", at: 10, for: 20), span("root", at: 0, for: 100),
            span("leaf", in: "early", at: 12, for: 5), span("other", at: 50, for: 10),
        ])
        #expect(ids(rows) == ["root", "early", "leaf", "late", "other"])
        #expect(depths(rows) == [0, 1, 2, 1, 0])
    }

    @Test func `each has its share of the whole`() {
        let rows = SpanTree.rows([span("root", at: 0, for: 200), span("half", in: "root", at: 100, for: 50)])
        #expect(rows.map { $0["from"]?.number ?? -1 } == [0, 0.5])
        #expect(rows.map { $0["to"]?.number ?? -1 } == [1, 0.75])
    }

    @Test func `on the critical path is what ended last before the next began, each with the time that it alone took`() {
        let rows = SpanTree.rows([
            span("root", at: 0, for: 5), span("run", in: "root", at: 1, for: 99), span("first", in: "run", at: 2, for: 18),
            span("beside", in: "run", at: 3, for: 36), span("again", in: "run", at: 20, for: 20), span("last", in: "run", at: 60, for: 30),
            span("commit", in: "root", at: 1, for: 2),
        ])
        #expect(critical(rows) == ["root", "run", "first", "again", "last"])
        // The run waited 1 before the first, 20 before the last and 10 after it; what it runs beside held up nothing.
        #expect(rows.compactMap { $0["criticalMs"]?.number } == [1, 31, 18, 20, 30])
    }

    @Test func `starts count to the microsecond`() {
        func at(_ id: String, _ parent: Value?, _ start: String, _ length: Double) -> Value {
            .object([
                "spanId": .string(id), "parentId": parent, "start": .string("2026-11-23T14:32:07.\(start)Z"), "durationMs": .double(length),
            ])
        }
        let rows = SpanTree.rows([
            at("root", nil, "001200", 0.8), at("b", "root", "001600", 0.3), at("a", "root", "001250", 0.3), at("c", "root", "001500", 0.2),
        ])
        #expect(ids(rows) == ["root", "a", "c", "b"])
        #expect(critical(rows) == ["root", "a", "b"])
        #expect(rows.compactMap { $0["criticalMs"]?.number } == [0.2, 0.3, 0.3])
    }

    @Test func `the critical path goes from the root to the child that ends last`() {
        let rows = SpanTree.rows([
            span("root", at: 0, for: 100), span("a", in: "root", at: 0, for: 90), span("b", in: "root", at: 20, for: 75),
            span("c", in: "b", at: 21, for: 10), span("d", in: "b", at: 22, for: 70), span("e", in: "a", at: 1, for: 89),
            span("f", at: 0, for: 5),
        ])
        #expect(critical(rows) == ["root", "b", "d"])
    }

    @Test func `an orphan is a root of its own`() {
        let rows = SpanTree.rows([
            span("root", at: 0, for: 10), span("lost", in: "gone", at: 5, for: 10), span("child", in: "lost", at: 6, for: 1),
        ])
        #expect(ids(rows) == ["root", "lost", "child"])
        #expect(depths(rows) == [0, 0, 1])
    }

    @Test func `parents in a circle come once each`() {
        let circles: [[Value]] = [
            [span("a", in: "a", at: 0, for: 1)], [span("a", in: "b", at: 0, for: 1), span("b", in: "a", at: 1, for: 1)],
            [span("r", at: 0, for: 9)]
                + ["abc", "bca", "cab"].map { span(String($0.prefix(1)), in: String($0.dropFirst().prefix(1)), at: 1, for: 1) },
        ]
        for spans in circles {
            let rows = SpanTree.rows(spans)
            #expect(ids(rows).sorted() == ids(spans).sorted())
        }
    }

    @Test func `two spans of one id are both shown`() {
        let rows = SpanTree.rows([span("a", at: 0, for: 1), span("a", at: 1, for: 1), span("b", in: "a", at: 1, for: 1)])
        #expect(ids(rows).sorted() == ["a", "a", "b"])
    }

    @Test func `what is no span is left out, what is odd stays within the picture`() {
        #expect(SpanTree.rows([]).isEmpty)
        let odd: [Value] = [
            "text", .null, 5, [], span("root", at: 0, for: 10), ["spanId": "bare"],
            ["spanId": "words", "start": "noon", "durationMs": "long"],
            ["spanId": "back", "start": "1970-01-01T00:16:40.002Z", "durationMs": -50],
            ["spanId": "ever", "start": "1970-01-01T00:16:40.003Z", "durationMs": 1e300], ["parentId": 7, "spanId": 7],
        ]
        let rows = SpanTree.rows(odd)
        #expect(rows.count == 6)
        for row in rows {
            let (from, to) = (row["from"]?.number ?? -1, row["to"]?.number ?? -1)
            #expect((0...1).contains(from) && (0...1).contains(to) && from <= to, "\(row)")
        }
    }

    @Test func `random forests are complete, and their shares lie within the whole`() {
        let seed: UInt64 = 23
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let count = Int.random(in: 1...60, using: &generator)
            let spans = (0..<count).map { place -> Value in
                let parent = Int.random(in: -3..<count + 3, using: &generator)
                return span(
                    "s\(place)", in: parent < 0 ? nil : "s\(parent)", at: Int.random(in: 0...500, using: &generator),
                    for: Double(Int.random(in: 0...500, using: &generator)))
            }
            let rows = SpanTree.rows(spans)
            let isWhole = Set(ids(rows)) == Set(ids(spans)) && rows.count == count
            let isWithin = rows.allSatisfy { (0...1).contains($0["from"]?.number ?? -1) && (0...1).contains($0["to"]?.number ?? -1) }
            if !isWhole || !isWithin { Issue.record("seed \(seed): \(ids(rows)) of \(ids(spans))") }
        }
    }

    @Test func `ten thousand spans are complete, wide or deep`() {
        let wide = (0..<10_000).map { span("s\($0)", in: $0 == 0 ? nil : "s\(($0 - 1) / 7)", at: $0, for: 1) }
        let rows = SpanTree.rows(wide)
        #expect(rows.count == 10_000)
        #expect(Set(ids(rows)).count == 10_000)
        let deep = (0..<10_000).map { span("s\($0)", in: $0 == 0 ? nil : "s\($0 - 1)", at: $0, for: 1) }
        let chain = SpanTree.rows(deep)
        #expect(ids(chain) == ids(deep))
        #expect(chain.last?["depth"]?.int == 9_999)
        #expect(critical(chain).count == 10_000)
    }

    @Test func `a bar has the colour of its cause`() {
        let causes: [(name: String, attempt: Int, role: Role)] = [
            ("raft.append", 1, .traceRaft), ("task pay", 1, .traceRun), ("task pay", 2, .traceRetry),
            ("POST /api/v1/messages", 1, .traceNetwork),
            ("message order", 1, .traceNetwork), ("run order-fulfil", 1, .traceQueue), ("", 1, .traceQueue),
        ]
        for (name, attempt, role) in causes {
            let value = Value.object(["name": .string(name), "attributes": .object(["attempt": Value(attempt)])])
            #expect(SpanTree.role(value) == role, "\(name)")
        }
        #expect(SpanTree.role(["name": "raft.append", "error": "disk full"]) == .stateFail)
    }
}

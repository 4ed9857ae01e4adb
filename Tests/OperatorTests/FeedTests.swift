import Primitives
import Testing
import Text

@testable import Operator

enum FeedTables {
    static let url = "http://node"
    static let rows = #"{"total": 9, "matched": 3, "offset": 1, "ids": ["a", "b"], "rows": [{"id": "a"}, {"id": "b", "x": 1.5}]}"#
    static let lines = #"{"items": [{"seq": 1, "message": "é\n"}, {"seq": 2}], "missed": 4, "last": 2}"#
    static let value = #"{"id": "r", "tasks": {"items": [{"task": "a", "dependsOn": [{"task": "b"}]}]}}"#

    /// Of another form than the console knows: it says so, and shows nothing of it.
    static let strange: [(event: String, json: String)] = [
        ("rows", "null"), ("rows", "[]"), ("rows", "5"), ("rows", "\"rows\""), ("rows", "{}"),
        ("rows", #"{"total": 1, "matched": 1, "offset": 0}"#),
        ("rows", #"{"total": "1", "matched": 1, "offset": 0, "rows": []}"#),
        ("rows", #"{"total": 1, "matched": -1, "offset": 0, "rows": []}"#),
        ("rows", #"{"total": 1, "matched": 1, "offset": -1, "rows": []}"#),
        ("rows", #"{"total": 1.5, "matched": 1, "offset": 0, "rows": []}"#),
        ("rows", #"{"total": 18446744073709551615, "matched": 1, "offset": 0, "rows": []}"#),
        ("rows", #"{"total": 1, "matched": 1, "offset": 0, "rows": {}}"#), ("lines", "{}"), ("lines", "[]"), ("lines", #"{"items": {}}"#),
        ("lines", #"{"items": null, "missed": 3}"#),
    ]

    static let broken = [
        "", " ", "{", "{\"a\":", "nul", "'a'", "{\"a\": 1, \"a\": 2}", "[1,]", "\"\\ud800\"", "\"\u{1}\"", "{} {}", "\u{FEFF}{}", "1e999",
        String(repeating: "[", count: 600) + String(repeating: "]", count: 600),
    ]
}

/// What is known of a feed.
struct FeedDataTests {
    private let now = SampleData.now
    private func row(_ id: String, _ state: String = "running") -> Value { ["id": .string(id), "state": .string(state)] }

    @Test func `rows come with their order and stay until they change`() {
        var data = FeedData()
        #expect(!data.hasData)
        data.take(.rows(total: 9, matched: 3, offset: 1, ids: ["a", "b"], rows: [row("a"), row("b")]), idKey: "id", at: now)
        #expect(data.hasData && data.total == 9 && data.matched == 3 && data.offset == 1)
        #expect(data.row(at: 0) == nil && data.row(at: 3) == nil && data.row(at: -1) == nil)
        #expect(data.row(at: 1) == row("a") && data.row(at: 2) == row("b"))
        #expect(data.place(of: "b") == 2 && data.place(of: "c") == nil)
        data.take(.rows(total: 9, matched: 4, offset: 1, ids: nil, rows: [row("b", "failed")]), idKey: "id", at: now)
        #expect(data.ids == ["a", "b"] && data.matched == 4)
        #expect(data.row(at: 1) == row("a") && data.row(at: 2) == row("b", "failed"))
        data.take(.rows(total: 9, matched: 4, offset: 0, ids: ["b", "c", "a"], rows: [row("c")]), idKey: "id", at: now)
        #expect((0..<3).map { data.row(at: $0)?["id"]?.string } == ["b", "c", "a"])
        #expect(data.row(at: 0) == row("b", "failed"))
    }

    @Test func `a row without its id is left out, one of a number is known by it`() {
        var data = FeedData()
        let rows: [Value] = [["attempt": 2], ["attempt": nil], "text", ["attempt": "3"], ["attempt": true]]
        data.take(.rows(total: 5, matched: 5, offset: 0, ids: ["2", "3", "4"], rows: rows), idKey: "attempt", at: now)
        #expect(data.row(at: 0) == rows[0] && data.row(at: 1) == rows[3] && data.row(at: 2) == nil)
        #expect(data.rows.count == 2)
    }

    @Test func `rows that were scrolled past are forgotten`() {
        var data = FeedData()
        for page in 0..<200 {
            let ids = (page * 50..<page * 50 + 50).map { "r\($0)" }
            data.take(.rows(total: 10_000, matched: 10_000, offset: page * 50, ids: ids, rows: ids.map { row($0) }), idKey: "id", at: now)
            #expect(data.row(at: page * 50 + 49) == row("r\(page * 50 + 49)"))
        }
        #expect(data.rows.count <= 250)
    }

    @Test func `a value takes the place of the one before`() {
        var data = FeedData()
        data.take(.value(["a": 1]), idKey: "id", at: now)
        data.take(.value(["b": 2]), idKey: "id", at: now)
        #expect(data.value == ["b": 2])
        #expect(data.updatedAt == now)
    }

    @Test func `lines are kept up to a limit, and all are counted`() {
        var data = FeedData()
        data.take(.lines((0..<4000).map { Value($0) }, missed: 5), idKey: "seq", at: now)
        data.take(.lines((4000..<7000).map { Value($0) }, missed: 2), idKey: "seq", at: now)
        #expect(data.lines.count == FeedData.lineLimit && data.lines.first == 2000 && data.lines.last == 6999)
        #expect(data.received == 7000 && data.missed == 7 && data.dropped == 2000)
    }

    @Test func `a beat renews, a loss keeps the time of the last news, both keep the rows`() {
        var data = FeedData()
        data.take(.rows(total: 1, matched: 1, offset: 0, ids: ["a"], rows: [row("a")]), idKey: "id", at: now)
        let later = now.advanced(by: .seconds(3))
        let gone = CommandFailure(.unavailable, "gone")
        data.take(.failed(gone), idKey: "id", at: later)
        #expect(data.failure == gone && data.updatedAt == now)
        data.take(.alive, idKey: "id", at: later)
        #expect(data.failure == nil && data.updatedAt == later)
        data.take(.failed(gone), idKey: "id", at: later)
        #expect(data.row(at: 0) == row("a") && data.hasData)
    }

    @Test func `what was refused or lost from the start is no data`() {
        for code in [CommandFailure.Code.unavailable, .badData] {
            var data = FeedData()
            data.take(.failed(CommandFailure(code, "no")), idKey: "id", at: now)
            #expect(!data.hasData && data.failure?.code == code)
        }
        var data = FeedData()
        data.take(.rows(total: 0, matched: 0, offset: 0, ids: [], rows: []), idKey: "id", at: now)
        #expect(data.hasData)
    }

    @Test func `a request asks for its window, and leaves out what is empty`() {
        let key = FeedKey(.rows, "/api/v1/runs", ["filter": "", "sort": "-ms"])
        #expect(key.parameters.map(\.name) == ["sort"])
        let query = FeedRequest(key, offset: 40, count: 56).query
        #expect(query.map(\.0) == ["sort", "window"] && query.map(\.1) == ["-ms", "40:56"])
        #expect(FeedRequest(key).query.last?.1 == "0:1")
        #expect(FeedRequest(FeedKey(.value, "/x", ["every": "1s"])).query.map(\.0) == ["every"])
    }
}

/// What a node sends, as updates.
struct FeedDecodingTests {
    private func update(_ event: String, _ json: String) -> FeedUpdate { FeedDecoding.update(event, Array(json.utf8), FeedTables.url) }

    private func isLost(_ update: FeedUpdate) -> Bool {
        if case .failed(let failure) = update { failure.code == .protocolError && failure.message.contains(FeedTables.url) } else { false }
    }

    @Test func `rows, values, lines and problems are read`() {
        let rows: [Value] = [["id": "a"], ["id": "b", "x": 1.5]]
        #expect(update("rows", FeedTables.rows) == .rows(total: 9, matched: 3, offset: 1, ids: ["a", "b"], rows: rows))
        let same = #"{"total": 1, "matched": 1, "offset": 0, "rows": [], "more": 1}"#
        #expect(update("rows", same) == .rows(total: 1, matched: 1, offset: 0, ids: nil, rows: []))
        #expect(update("lines", FeedTables.lines) == .lines([["seq": 1, "message": "é\n"], ["seq": 2]], missed: 4))
        #expect(update("lines", #"{"items": [], "missed": -4}"#) == .lines([], missed: 0))
        #expect(update("value", "[1, null]") == .value([1, .null]))
        #expect(update("problem", #"{"status": 400, "detail": "no column"}"#) == .failed(CommandFailure(.badData, "no column")))
        #expect(update("problem", #"{"status": 404, "detail": "no run"}"#) == .failed(CommandFailure(.failed, "no run")))
        #expect(update("problem", "{}") == .failed(CommandFailure(.protocolError, "status 0")))
        #expect(update("weather", "{}") == .alive)
    }

    @Test func `what has another form is said to be, with whom it comes from`() {
        for (event, json) in FeedTables.strange { #expect(isLost(update(event, json)), "\(event): \(json)") }
    }

    @Test func `what is not JSON is said to be`() {
        for event in ["rows", "value", "lines", "problem", ""] {
            for json in FeedTables.broken { #expect(isLost(update(event, json)), "\(event): \(json.prefix(40))") }
            #expect(isLost(FeedDecoding.update(event, [0x22, 0xFF, 0x22], FeedTables.url)), "\(event)")
        }
    }

    @Test func `a text that is cut off anywhere is no news`() {
        for (event, text) in [("rows", FeedTables.rows), ("lines", FeedTables.lines), ("value", FeedTables.value)] {
            let bytes = Array(text.utf8)
            for count in 0..<bytes.count {
                #expect(isLost(FeedDecoding.update(event, Array(bytes[..<count]), FeedTables.url)), "\(count) bytes")
            }
        }
    }

    /// Places are added to each other: what no list can have is refused where it comes in.
    @Test func `numbers beyond what a list can have are not taken`() {
        let most = "\(Int64.max)"
        for json in [
            "{\"total\": \(most), \"matched\": 1, \"offset\": 0, \"rows\": []}",
            "{\"total\": 1, \"matched\": \(most), \"offset\": 0, \"rows\": []}",
            "{\"total\": 1, \"matched\": 1, \"offset\": \(most), \"rows\": []}",
        ] { #expect(isLost(update("rows", json)), "\(json)") }
        switch update("lines", "{\"items\": [], \"missed\": \(most)}") {
        case .lines(_, let missed): #expect(missed <= 1 << 53)
        case .failed: break
        case let other: Issue.record("\(other)")
        }
    }

    @Test func `an answer that is asked for once has the same form`() {
        let key = FeedKey(.rows, "/api/v1/traces")
        let answer: Value = [
            "items": [["traceId": "t", "id": nil], ["id": "a", "name": "n"], ["name": "n"], 5], "total": 7, "matched": 6, "offset": 2,
        ]
        let items = answer["items"]?.list ?? []
        let found = FeedDecoding.once(answer, FeedRequest(key))
        #expect(found == .rows(total: 7, matched: 6, offset: 2, ids: ["t", "a", "n", ""], rows: items))
        #expect(FeedDecoding.once(5, FeedRequest(FeedKey(.value, "/x"))) == .value(5))
        #expect(FeedDecoding.once(["items": [1]], FeedRequest(FeedKey(.lines, "/x"))) == .lines([1], missed: 0))
        guard case .failed = FeedDecoding.once(["rows": []], FeedRequest(key)) else {
            Issue.record("a list without items is taken")
            return
        }
    }

    @Test func `an answer with numbers below zero counts nothing below zero`() {
        let answer: Value = ["items": [], "total": -1, "matched": -2, "offset": -3]
        switch FeedDecoding.once(answer, FeedRequest(FeedKey(.rows, "/api/v1/runs"))) {
        case .rows(let total, let matched, let offset, _, _): #expect(total >= 0 && matched >= 0 && offset >= 0)
        case .failed: break
        case let other: Issue.record("\(other)")
        }
    }

    @Test func `bytes that were tampered with are read or refused, and shown without a trap`() {
        let seed: UInt64 = 57
        var generator = SeededGenerator(seed: seed)
        var read = 0
        let texts = [("rows", FeedTables.rows), ("lines", FeedTables.lines), ("value", FeedTables.value)]
        for _ in 0..<4000 {
            let (event, text) = texts[Int.random(in: texts.indices, using: &generator)]
            var bytes = Array(text.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: bytes.indices, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: place)
                default: bytes.insert(Array("{}[],:\"0-e".utf8)[Int.random(in: 0..<10, using: &generator)], at: place)
                }
            }
            var data = FeedData()
            let update = FeedDecoding.update(event, bytes, FeedTables.url)
            data.take(update, idKey: "id", at: SampleData.now)
            if !isLost(update) { read += 1 }
            for place in 0..<4 { _ = data.row(at: place) }
        }
        #expect(read > 100, "seed \(seed)")
    }
}

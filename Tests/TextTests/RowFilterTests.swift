import Primitives
import Testing

@testable import Text

enum FilterTables {
    static let columns: [String: Value] = [
        "state": "failed", "name": "w-12", "queue": 120, "age": 5000, "took": "1h30m", "note": nil, "ok": true, "ratio": 0.5,
        "data.size": 6, "größe": 2, "tags": ["a", "b"], "code": "007", "serial": "1234567890123456789",
        "level": "warning",
    ]
    static let text = "w-12 failed Order-Placed 120 http://example.org/a 12:30"

    static let words = [
        "", "   ", "failed", "FAIL", "order", "Order", "oRder", "w-12 120", "120   failed", "\tfailed\n", "\"failed order\"",
        "\"Order-Placed 120\"", "\"\"", "example.org", "http://example.org/a", "http://", "-Placed", "12", "=", ":30",
    ]
    static let wordsThatHold: Set = [
        "", "   ", "failed", "order", "Order", "w-12 120", "120   failed", "\tfailed\n", "\"failed order\"", "\"Order-Placed 120\"",
        "\"\"", "example.org", "http://example.org/a", "http://", "-Placed", "12", ":30",
    ]

    static let holding = [
        // regular expressions
        "/w-[0-9]+/", "/order/", "/Order/", "/^w/", "/30$/", "/failed order/", "/failed ord", "/example\\.org\\/a/", "//", "/", "/e/f",
        // letters in order
        "~fld", "~w12op", "~FLD", "~w-12", "~htp12:30",
        // turned round
        "!missing", "!!failed", "!!!missing", "!~zzz", "!/^x/", "!\"two words\"", "!state=done", "!FAILED",
        // texts of columns
        "state:fail", "state:FAIL", "state:\"fail\"", "state=failed", "state=FAILED", "state=\"failed\"", "state!=done", "state=/^fail/",
        "state:/ed$/", "state!=/^x/", "name=/^w-/", "name:w-1", "state>a", "state>=failed", "state<=failed", "state!=", "state!=5",
        // numbers
        "queue>100", "queue>=120", "queue<121", "queue<=120", "queue=120", "queue=120.0", "queue=1.2e2", "queue!=7", "queue:12", "queue>-1",
        "data.size>5", "größe=2", "ratio<1", "ratio=0.5", "ratio>0.25", "queue:/^12/",
        // levels, by how grave they are
        "level>=warning", "level>info", "level>=Debug", "level<critical", "level<=error", "level!=error", "level=warning",
        // lengths of time, against milliseconds and against texts
        "age>=5s", "age=5s", "age<2m", "age<5001", "age>4999ms", "age<1h30m", "age!=6s", "took>1h", "took=90m", "took<2h", "took>=5400s",
        "took:30m",
        // other values
        "code=007", "code!=7", "code>6", "serial=1234567890123456789", "ok=true", "ok:tru", "ok!=false", "tags:a", "note=", "nope=",
        "note!=1", "nope!=x", "note!=x",
        // together
        "state:fail queue>100 order", "!state=done age>=5s ~fld /^w/ \"failed order\"",
    ]

    static let failing = [
        "/W-/", "/^12/", "/failed$/", "~dliaf", "~zzz", "!failed", "!!missing", "!state=failed", "state:done", "state=fail",
        "state!=failed", "state:/ED$/", "state!=/fail/", "state<a", "state<failed", "state>failed", "state=", "state=5", "state>5",
        "state<5", "state:\"w\"", "queue>120", "queue<120", "queue!=120", "queue=121", "queue:13", "queue>=121", "queue<=119",
        "queue:/^2/", "age>5s", "age<5s", "age>1h", "age=5", "age!=5s", "took>2h", "took!=90m", "took<=89m", "ok=false", "ok>1", "tags:c",
        "level>warning", "level>=error", "level<notice", "level>=critical", "level<trace",
        "code=7", "code!=007", "serial=1234567890123456788", "note!=", "note:x", "note>1", "note<1", "note=1", "note>a", "note<a", "nope:x",
        "nope=x", "nope<=5s", "state:fail missing",
        "missing state:fail", "queue>100 queue<110", "!state=done !queue=120",
    ]

    typealias Problem = RowFilter.Problem
    private static func at(_ offset: Int, _ message: String) -> Problem { Problem(message: message, offset: offset) }

    static let refused: [(String, Problem)] = [
        ("!", at(0, "'!' needs something to turn round")),
        ("a !", at(2, "'!' needs something to turn round")),
        ("! a", at(0, "'!' needs something to turn round")),
        ("!!", at(1, "'!' needs something to turn round")),
        ("~", at(0, "'~' needs letters")),
        ("a ~ b", at(2, "'~' needs letters")),
        ("!~", at(1, "'~' needs letters")),
        ("\"abc", at(0, "the quotation is not closed")),
        ("é x \"", at(4, "the quotation is not closed")),
        ("state=\"x", at(6, "the quotation is not closed")),
        ("state:", at(6, "'state:' needs a value")),
        ("ms>>5", at(3, "'ms>' needs a value, not '>'; quote it if it is one")),
        ("queue>", at(6, "'queue>' needs a value")),
        ("queue>= 5", at(7, "'queue>=' needs a value")),
        ("x a< b", at(4, "'a<' needs a value")),
        ("größe<=", at(7, "'größe<=' needs a value")),
        ("/(/", at(1, "'(' is not closed")),
        ("a /b)/", at(4, "')' without '('")),
        ("é /[/", at(3, "'[' is not closed")),
        ("/😀é*?/", at(4, "'?' after a quantifier is not in RFC 9485")),
        ("state=/\\d/", at(7, #"'\d' is not in RFC 9485; write [0-9] or \p{Nd}"#)),
        ("!name:/a{2,1}/", at(8, "{2,1} counts down")),
    ]
}

/// Which rows are wanted, as people type it (RowFilter.swift).
struct RowFilterTests {
    private func problem(_ source: String) -> RowFilter.Problem? {
        do throws(RowFilter.Problem) {
            _ = try RowFilter(source)
            return nil
        } catch {
            return error
        }
    }

    private func holds(_ source: String) throws -> Bool {
        let filter = try RowFilter(source)
        return filter.matches(column: { FilterTables.columns[$0] }, text: { FilterTables.text })
    }

    @Test(arguments: FilterTables.words)
    func `a word is in the row's text, in any case unless it has a capital`(filter: String) throws {
        let found = try holds(filter)
        #expect(found == FilterTables.wordsThatHold.contains(filter))
    }

    @Test(arguments: FilterTables.holding)
    func `these hold`(filter: String) throws {
        let found = try holds(filter)
        #expect(found)
        guard !filter.contains(" ") else { return }
        let turned = try holds("!" + filter)
        #expect(!turned)
    }

    @Test(arguments: FilterTables.failing)
    func `these do not`(filter: String) throws {
        let found = try holds(filter)
        #expect(!found)
        guard !filter.contains(" ") else { return }
        let turned = try holds("!" + filter)
        #expect(turned)
    }

    /// As the room's words have it: "the same with spaces".
    @Test func `a quotation with a capital counts case, as a word does`() throws {
        for (filter, isFound) in [("\"ORDER-placed\"", false), ("\"Order-Placed 1\"", true), ("\"order-placed 1\"", true)] {
            let found = try holds(filter)
            #expect(found == isFound, "\(filter)")
        }
    }

    @Test(arguments: ["12:30", "http://example.org/a", "!12:31", "!23:59:59", "!https://x", "!ftp://x"])
    func `a time of day and an address are words, not columns`(filter: String) throws {
        let read = try RowFilter(filter)
        #expect(read.columns.isEmpty)
        let found = try holds(filter)
        #expect(found)
    }

    @Test(arguments: FilterTables.refused)
    func `what cannot be read is refused, with the reason and the place`(source: String, expected: RowFilter.Problem) {
        #expect(problem(source) == expected)
    }

    @Test func `places count characters, however many scalars one has`() {
        #expect(problem("e\u{301} \"")?.offset == 2)
        #expect(problem("e\u{301} /)/")?.offset == 3)
        #expect(problem("/e\u{301})/")?.offset == 2)
    }

    @Test func `a problem says what is wrong and at which character`() {
        #expect(problem("a ~")?.description == "'~' needs letters (at character 3 of the filter)")
    }

    @Test func `a filter has at most 1000 bytes`() {
        #expect(problem(String(repeating: "a", count: 1000)) == nil)
        #expect(problem(String(repeating: "a", count: 1001))?.message == "a filter has at most 1000 bytes")
        #expect(problem(String(repeating: "é", count: 501))?.message == "a filter has at most 1000 bytes")
    }

    @Test func `a row of exclamation marks turns round that often`() throws {
        for count in [1, 2, 998, 999] {
            let found = try holds(String(repeating: "!", count: count) + "0")
            #expect(found == (count % 2 == 0))
        }
    }

    @Test func `an empty filter takes every row and asks for nothing`() throws {
        for source in ["", " ", " \t\n"] {
            let filter = try RowFilter(source)
            #expect(filter.isEmpty)
            #expect(filter.columns.isEmpty)
            var asked = 0
            let found = filter.matches(
                column: { _ in
                    asked += 1
                    return nil
                },
                text: {
                    asked += 1
                    return ""
                })
            #expect(found)
            #expect(asked == 0)
        }
        let empty = try RowFilter("")
        #expect(empty == RowFilter.all)
        #expect(RowFilter.all.isEmpty)
    }

    @Test func `the text is asked for once, and only when a term needs it`() throws {
        for (source, times) in [("state=failed", 0), ("state:fail !age>9s", 0), ("state=done a", 0), ("state:fail a b ~ab /b/ !c", 1)] {
            let filter = try RowFilter(source)
            var asked = 0
            _ = filter.matches(
                column: { FilterTables.columns[$0] },
                text: {
                    asked += 1
                    return "a b"
                })
            #expect(asked == times, "\(source)")
        }
    }

    @Test func `a filter knows its columns and its source`() throws {
        let source = "state:fail !age>5s word ~fuzzy /re/ !!name=/x/ \"a b\" http://x"
        let filter = try RowFilter(source)
        let same = try RowFilter(source)
        let other = try RowFilter(source + " x")
        #expect(filter.columns == ["state", "age", "name"])
        #expect(filter.source == source)
        #expect(filter == same)
        #expect(filter != other)
    }

    private static let pieces = [
        "!", "~", "/", "\"", " ", "state", "age", "note", ":", "=", "!=", ">", ">=", "<", "<=", "a", "A", "é", "e\u{301}", "5s", "10",
        "-", ".", "\\", "(", ")", "[", "]", "{2}", "*", "://", "\u{0}", "\t", "\n", "\r\n", "😀", "nan", "inf", "-inf", "1e400", "0x1F",
        "1h", "\u{301}",
    ]
    private static let values: [Value] = [
        .null, "", "a", "é", "5s", "nan", "inf", "1e999", "1.2.3", "PT5S", "99999999d", 0, -1, .double(.nan), .double(.infinity),
        .int(.min), .uint(.max), true, ["a"], ["k": 1],
    ]

    @Test func `random filters are read or refused, and none traps`() {
        let seed: UInt64 = 77
        var generator = SeededGenerator(seed: seed)
        var read = 0
        for _ in 0..<10_000 {
            let source = (0..<Int.random(in: 0...9, using: &generator)).map { _ in
                Self.pieces[Int.random(in: Self.pieces.indices, using: &generator)]
            }
            .joined()
            do throws(RowFilter.Problem) {
                let filter = try RowFilter(source)
                read += 1
                let value = Self.values[Int.random(in: Self.values.indices, using: &generator)]
                let found = filter.matches(column: { _ in value }, text: { source })
                let opposite = "!" + source
                guard filter.terms.count == 1, opposite.first == "!", source.first?.isWhitespace == false else { continue }
                let turned = try RowFilter(opposite)
                if turned.matches(column: { _ in value }, text: { source }) == found {
                    Issue.record("seed \(seed): '\(source)' for \(value)")
                }
            } catch {
                if !(0...source.unicodeScalars.count).contains(error.offset) { Issue.record("seed \(seed): '\(source)': \(error)") }
            }
        }
        #expect(read > 1000, "seed \(seed)")
    }
}

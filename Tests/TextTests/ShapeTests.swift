import Primitives
import Testing

@testable import Text

/// A value read into a type, with every problem at its JSON Pointer (Shape.swift; RFC 6901).
struct ShapeTests {
    private let problems = Shape.Problems()

    private func shape(_ value: Value) -> Shape { Shape(value, problems: problems) }

    private var found: [String] { problems.all.map { "\($0.pointer): \($0.message)" } }

    @Test func `members and items are read at their places, without a problem`() {
        let root = shape(["text": "x", "flag": true, "count": 3, "list": ["a", ["b": 1]], "wait": "1h30m"])
        #expect(root["text"]?.string() == "x")
        #expect(root["flag"]?.bool() == true)
        #expect(root["count"]?.int(in: 1...3) == 3)
        #expect(root["wait"]?.duration() == Duration.seconds(5400))
        #expect(root["list"]?.items()?.map(\.pointer) == ["/list/0", "/list/1"])
        #expect(root["list"]?.items()?[1]["b"]?.pointer == "/list/1/b")
        let keys = root.members()?.map { $0.key }
        #expect(keys == ["text", "flag", "count", "list", "wait"])
        let missing = root["none"] == nil
        #expect(missing)
        #expect(found.isEmpty)
    }

    @Test func `what has another kind is a problem that names both`() {
        let root = shape(["a": 1, "b": "x", "c": [], "d": 0.5])
        #expect(root["a"]?.string() == nil)
        #expect(root["b"]?.bool() == nil)
        #expect(root["c"]?.fields() == nil)
        #expect(root["d"]?.int(in: 0...9) == nil)
        let items = root["b"]?.items()
        #expect(items?.count == nil)
        #expect(
            found == [
                "/a: expected text, found a number", "/b: expected true or false, found a string", "/c: expected a map, found a list",
                "/d: expected a whole number, found a number", "/b: expected a list, found a string",
            ])
    }

    @Test func `a number outside its range is a problem, however large`() {
        let root = shape(["low": 0, "large": .int(Int64.max), "beyond": .uint(UInt64.max)])
        for key in ["low", "large", "beyond"] { #expect(root[key]?.int(in: 1...100) == nil, "\(key)") }
        #expect(
            found == [
                "/low: 0 is outside 1 to 100", "/large: 9223372036854775807 is outside 1 to 100",
                "/beyond: expected a whole number, found a number",
            ])
    }

    @Test func `a duration may be text or a number of seconds`() {
        let forms: [(Value, Int64?)] = [
            ("250ms", 250_000_000), (10, 10_000_000_000), (0.5, 500_000_000), ("10", 10_000_000_000), (.int(-1), nil), ("soon", nil),
            (true, nil), (.double(1e300), nil), (.double(Double.nan), nil),
        ]
        for (value, nanoseconds) in forms {
            let duration = shape(value).duration()
            #expect(duration?.nanoseconds == nanoseconds, "\(value)")
        }
        #expect(problems.all.count == 5)
    }

    @Test func `an unknown key is told, with the one that was meant or all there are`() {
        let root = shape(["name": 1, "timout": 2, "zzz": 3, "later": 4])
        root.only(["name", "timeout"], later: ["later"])
        #expect(
            found == [
                "/timout: unknown key 'timout'; did you mean 'timeout'?", "/zzz: unknown key 'zzz'; known keys: name, timeout",
                "/later: 'later' is not supported by this version",
            ])
    }

    @Test func `a missing member is told where it should be`() {
        let root = shape(["inner": .map(Fields())])
        let missing = root["inner"]?.required("name")
        #expect(missing?.pointer == nil)
        #expect(found == ["/inner: 'name' is missing"])
    }

    @Test func `a word of a fixed set is read, another is told`() {
        enum Mode: String, CaseIterable { case always, never }
        let read = shape("never").choice(Mode.self)
        #expect(read == Mode.never)
        let near = shape("alwyas").choice(Mode.self)
        let far = shape("x").choice(Mode.self)
        #expect(near == nil)
        #expect(far == nil)
        #expect(found == [": 'alwyas' is none of always, never; did you mean 'always'?", ": 'x' is none of always, never"])
    }

    @Test func `at most 100 problems are kept`() {
        for _ in 0..<1000 { shape(1).fail("no") }
        #expect(problems.all.count == 100)
    }

    /// RFC 6901 section 3
    @Test func `tildes and slashes in keys are escaped in pointers`() {
        #expect(escapedPointer("plain") == "plain")
        #expect(escapedPointer("a/b~c") == "a~1b~0c")
        #expect(escapedPointer("~1") == "~01")
        #expect(shape(["a/b": ["~": 1]])["a/b"]?["~"]?.pointer == "/a~1b/~0")
    }

    /// RFC 6901 section 3 speaks of code points.
    @Test func `a tilde or slash under a combining mark is escaped too`() {
        #expect(sameBytes(escapedPointer("~\u{301}"), "~0\u{301}"))
        #expect(sameBytes(escapedPointer("/\u{301}"), "~1\u{301}"))
    }
}

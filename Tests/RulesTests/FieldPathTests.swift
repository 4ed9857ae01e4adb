import Rules
import Testing

/// Semantics 5: `a.b` is a path, keys with dots are quoted, or the field is a JSON Pointer (RFC 6901).
struct FieldPathTests {
    static let read: [(String, [String])] = [
        ("type", ["type"]), ("data.amount", ["data", "amount"]), (#"a."b.c""#, ["a", "b.c"]), (#""a.b".c"#, ["a.b", "c"]),
        ("a.0.b", ["a", "0", "b"]),
        ("/a/b.c", ["a", "b.c"]), ("/a~1b/~0c", ["a/b", "~c"]), ("/", [""]), ("/a/", ["a", ""]), ("/~01", ["~1"]), ("a.é", ["a", "é"]),
        ("a b", ["a b"]), ("my-key.x_y", ["my-key", "x_y"]),
    ]

    @Test(arguments: FieldPathTests.read)
    func `a path has these steps`(text: String, steps: [String]) throws {
        let path = try #require(FieldPath(text))
        #expect(path.steps == steps)
        #expect(path.text == text)
        #expect(path.description == text)
    }

    @Test(arguments: ["", ".", "a.", ".a", "a..b", #""a"#, #"a"b""#, #"a."b"c"#, #""".a"#, "/a~", "/a~2", "/~"])
    func `this is no path`(text: String) {
        #expect(FieldPath(text) == nil)
    }

    @Test func `a path has at most 32 steps`() {
        let longest = Array(repeating: "a", count: FieldPath.stepLimit)
        #expect(FieldPath(longest.joined(separator: "."))?.steps == longest)
        #expect(FieldPath((longest + ["a"]).joined(separator: ".")) == nil)
        #expect(FieldPath("/" + (longest + ["a"]).joined(separator: "/")) == nil)
    }
}

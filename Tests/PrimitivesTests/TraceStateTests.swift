import Primitives
import Testing

/// W3C Trace Context, Recommendation of 2021-11-23: sections 3.2 and 3.3, with the cases of the working group's own test suite.
struct TraceStateTests {
    static let good: [(String, String)] = [
        ("", ""), ("foo=1", "foo=1"), ("foo=1,bar=2", "foo=1,bar=2"), ("foo=1, \t bar=2", "foo=1,bar=2"), ("foo=1,,,bar=2,", "foo=1,bar=2"),
        ("foo=1,foo=2", "foo=1"), ("0tenant@vendor=x", "0tenant@vendor=x"),
        ("a_-*/z=!\"#$%&'()*+-./:;<>?@[]^_`{|}~ x", "a_-*/z=!\"#$%&'()*+-./:;<>?@[]^_`{|}~ x"),
        (String(repeating: "a", count: 256) + "=1", String(repeating: "a", count: 256) + "=1"),
        (
            "t" + String(repeating: "a", count: 240) + "@v" + String(repeating: "b", count: 13) + "=1",
            "t" + String(repeating: "a", count: 240) + "@v" + String(repeating: "b", count: 13) + "=1"
        ),
    ]

    @Test(arguments: TraceStateTests.good)
    func `a list that keeps the grammar is passed on`(header: String, expected: String) {
        #expect(TraceState.passedOn(header) == expected)
    }

    static let bad = [
        "foo", "foo=", "=1", "Foo=1", "foo =1", "foo=1=2", "foo@=1", "@foo=1", "foo@bar@baz=1", "foo@1bar=1", "1foo=1", "foo=é",
        "foo=\u{7F}",
        "foo=1,bar", String(repeating: "a", count: 257) + "=1", "foo=" + String(repeating: "v", count: 257),
        "t" + String(repeating: "a", count: 241) + "@v=1", "t@v" + String(repeating: "b", count: 14) + "=1",
        (0..<33).map { "k\($0)=1" }.joined(separator: ","),
    ]

    @Test(arguments: TraceStateTests.bad)
    func `a list that breaks it is dropped as a whole`(header: String) {
        #expect(TraceState.passedOn(header) == "")
    }

    @Test func `of a list that is too long the long members go first, then the last`() {
        let long = "long=" + String(repeating: "x", count: 200)
        let short = (0..<30).map { "k\($0)=\(String(repeating: "y", count: 14))" }
        let kept = TraceState.passedOn(([short[0], long] + short.dropFirst()).joined(separator: ","))
        #expect(kept.utf8.count <= 512)
        #expect(!kept.contains("long="))
        #expect(kept.hasPrefix("k0=yyyyyyyyyyyyyy,k1=yyyyyyyyyyyyyy,"))
        #expect(!kept.contains("k29="))
        #expect(TraceState.passedOn((0..<32).map { "k\($0)=1" }.joined(separator: ",")).split(separator: ",").count == 32)
    }

    static let parents: [(String, Bool)] = [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future", true),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
        ("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false),
        ("0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c8031.c-b7ad6b7169203331-01", false), ("", false), ("00", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01, 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
    ]

    @Test(arguments: TraceStateTests.parents)
    func `a parent is taken or refused as the recommendation says`(header: String, isTaken: Bool) {
        let context = TraceContext(traceparent: header, state: "foo=1, bar=2")
        #expect((context != nil) == isTaken)
        if isTaken { #expect(context?.state == "foo=1,bar=2") }
    }
}

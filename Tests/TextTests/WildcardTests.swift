import Primitives
import Testing

@testable import Text

/// `*` is any run, `?` one character, everything else itself (Wildcard.swift).
struct WildcardTests {
    static let matching: [(String, String)] = [
        ("", ""), ("*", ""), ("*", "anything"), ("**", "x"), ("a", "a"), ("a*", "a"), ("a*", "abc"), ("*c", "abc"), ("*c", "c"),
        ("a*c", "ac"),
        ("a*c", "abcbc"), ("*b*", "abc"), ("a?c", "abc"), ("?", "é"), ("?", "😀"), ("é?", "éé"), ("*?", "é"), ("?*", "é"),
        ("order.*", "order.placed"),
        ("*.placed", "order.placed"), ("a*b*c", "a-b-b-c-c"), ("*ab*ab", "abab"), ("*a?b", "xaab"), ("a*/c", "a/b/c"), ("[a]", "[a]"),
        ("a.c", "a.c"), ("*aab", "aaaab"), ("*é", "aéé"),
    ]

    @Test(arguments: WildcardTests.matching)
    func `these match`(pattern: String, text: String) {
        #expect(Wildcard(pattern).matches(text))
    }

    static let differing: [(String, String)] = [
        ("", "a"), ("a", ""), ("?", ""), ("a", "b"), ("a", "aa"), ("a*", "ba"), ("*a", "ab"), ("a?c", "ac"), ("?", "ab"), ("??", "é"),
        ("a*c", "ab"),
        ("a.c", "abc"), ("[a]", "a"), ("A", "a"), ("?*?", "é"), ("é", "e\u{301}"), ("*ab*ab", "ab"), ("order.*", "orders.placed"),
    ]

    @Test(arguments: WildcardTests.differing)
    func `these do not`(pattern: String, text: String) {
        #expect(!Wildcard(pattern).matches(text))
    }

    @Test func `in a file pattern a star stays within its folder`() {
        let pattern = Wildcard("flows/*.yaml", starCrossesSlash: false)
        #expect(pattern.matches("flows/a.yaml"))
        #expect(pattern.matches("flows/.yaml"))
        #expect(!pattern.matches("flows/a/b.yaml"))
        #expect(!pattern.matches("other/flows/a.yaml"))
        let two = Wildcard("*/*.json", starCrossesSlash: false)
        #expect(two.matches("a/b.json"))
        #expect(two.matches("a/b.json.json"))
        #expect(!two.matches("a/b/c.json"))
        #expect(!two.matches("b.json"))
        #expect(!Wildcard("a*", starCrossesSlash: false).matches("ab/"))
        #expect(!Wildcard("*", starCrossesSlash: false).matches("/"))
        #expect(Wildcard("flows/*.yaml").matches("flows/a/b.yaml"))
    }

    @Test func `a pattern made to be slow is not`() {
        let text = String(repeating: "a", count: 20_000)
        #expect(!Wildcard("a*a*a*a*a*b").matches(text))
        #expect(Wildcard("a*a*a*a*a*b").matches(text + "b"))
        #expect(!Wildcard(String(repeating: "*a", count: 200) + "*b").matches(text))
        #expect(Wildcard(String(repeating: "*", count: 20_000)).matches("x"))
    }

    @Test func `short patterns match as a plain recursive reading of the rule does`() {
        func matches(_ pattern: ArraySlice<Character>, _ text: ArraySlice<Character>) -> Bool {
            guard let first = pattern.first else { return text.isEmpty }
            if first == "*" { return matches(pattern.dropFirst(), text) || (!text.isEmpty && matches(pattern, text.dropFirst())) }
            guard let character = text.first, first == "?" || first == character else { return false }
            return matches(pattern.dropFirst(), text.dropFirst())
        }
        let seed: UInt64 = 42
        var generator = SeededGenerator(seed: seed)
        func draw(_ alphabet: [Character], _ limit: Int) -> [Character] {
            (0..<Int.random(in: 0...limit, using: &generator)).map { _ in alphabet[Int.random(in: alphabet.indices, using: &generator)] }
        }
        for _ in 0..<20_000 {
            let (pattern, text) = (draw(["a", "b", "é", "*", "?"], 6), draw(["a", "b", "é"], 7))
            if Wildcard(String(pattern)).matches(String(text)) != matches(pattern[...], text[...]) {
                Issue.record("seed \(seed): '\(String(pattern))' and '\(String(text))'")
            }
        }
    }
}

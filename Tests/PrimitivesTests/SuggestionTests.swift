import Testing

@testable import Primitives

/// Optimal string alignment distance, at most a third of the word.
struct SuggestionTests {
    private let words = ["timeout", "retries", "parallel", "name", "on", "backoff"]

    static let slips: [(String, String)] = [
        ("timeout", "timeout"), ("timout", "timeout"), ("timeoutt", "timeout"), ("tiemout", "timeout"), ("rimeout", "timeout"),
        ("retreis", "retries"), ("paralel", "parallel"), ("nam", "name"), ("nmae", "name"), ("no", "on"),
    ]

    @Test(arguments: SuggestionTests.slips)
    func `a slip of the fingers finds its word`(written: String, meant: String) {
        #expect(suggestion(for: written, among: words) == meant)
    }

    @Test(arguments: ["", "zzz", "completely-different", "tmt", "backwards-compatible", "NAME"])
    func `a word that is near to none finds none`(written: String) {
        #expect(suggestion(for: written, among: words) == nil)
    }

    @Test func `the nearest wins, and of equals the first`() {
        #expect(suggestion(for: "restarts", among: ["restored", "restart"]) == "restart")
        #expect(suggestion(for: "cat", among: ["bat", "hat"]) == "bat")
        #expect(suggestion(for: "cat", among: [String]()) == nil)
    }

    @Test func `words of any length are answered without a trap`() {
        let long = String(repeating: "a", count: 4000)
        #expect(suggestion(for: long, among: [long + "b", "a"]) == nil)
    }
}

import Testing

@testable import Primitives

/// What a name may be made of is a promise to the wire, the API and the disk (Identifiers.swift).
struct IdentifiersTests {
    private static let longest = String(repeating: "x", count: 63)

    private static let rule = "1 to 63 bytes of a-z, 0-9, '.' and '-', with a letter or a digit first and last"

    @Test(arguments: ["a", "0", "a.b", "0-0", "a..b", "node-1", "node.example-2", String(repeating: "x", count: 63)])
    func `a node id is 1 to 63 bytes of lower-case letters, digits, dots and hyphens`(text: String) throws {
        let id = try NodeID(text)
        #expect(id.text == text)
        #expect(id.description == text)
    }

    @Test(arguments: ["", "A", "a_b", "a b", "é", "a/b", "a\u{0}", "a\n", "node:1", String(repeating: "x", count: 64)])
    func `any other node id is refused with the rule`(text: String) {
        let expected = IdentifierError(what: "node id", text: text, rule: Self.rule)
        #expect(throws: expected) { try NodeID(text) }
    }

    @Test(arguments: [".", "..", "...", "-", "--yes", "-a", ".a", "a-", "a.", "c-1.", "-.-", String(repeating: "x", count: 62) + "."])
    func `one that a folder or an option could be taken for is refused, as text and as bytes`(text: String) {
        let expected = IdentifierError(what: "node id", text: text, rule: Self.rule)
        #expect(throws: expected) { try NodeID(text) }
        #expect(throws: expected) { try Array(text.utf8).withUnsafeBytes { bytes throws in try NodeID(utf8: bytes) } }
    }

    @Test(arguments: ["default", "a", "team-7", "0-0", String(repeating: "x", count: 63)])
    func `a namespace is 1 to 63 bytes of lower-case letters, digits and hyphens`(text: String) throws {
        let namespace = try Namespace(text)
        #expect(namespace.text == text)
    }

    @Test(arguments: ["", "a.b", "Default", "a_b", "ü", " a", String(repeating: "x", count: 64)])
    func `any other namespace is refused`(text: String) {
        #expect(throws: IdentifierError.self) { try Namespace(text) }
    }

    @Test func `the default namespace is a valid one`() throws {
        let written = try Namespace("default")
        #expect(Namespace.default == written)
    }

    @Test func `a definition may also bear underscores, and no dots`() {
        for name in ["a", "send_mail", "step-2", "_", Self.longest] { #expect(isDefinitionName(name), "\(name)") }
        for name in ["", "a.b", "A", "é", Self.longest + "x"] { #expect(!isDefinitionName(name), "\(name)") }
    }

    @Test func `a refusal shows at most 80 characters of what was given`() {
        let error = IdentifierError(what: "namespace", text: String(repeating: "Z", count: 500), rule: "r")
        #expect(error.description == "namespace '\(String(repeating: "Z", count: 80))' is not valid: r")
    }

    @Test func `node ids and namespaces sort by bytes`() throws {
        let names = ["b", "a.0", "a-0", "a0", "a", "0"]
        let sorted = ["0", "a", "a-0", "a.0", "a0", "b"]
        var nodes: [NodeID] = []
        var namespaces: [Namespace] = []
        for name in names {
            nodes.append(try NodeID(name))
            if !name.contains(".") { namespaces.append(try Namespace(name)) }
        }
        #expect(nodes.sorted().map(\.text) == sorted)
        #expect(namespaces.sorted().map(\.text) == sorted.filter { !$0.contains(".") })
    }

    @Test func `terms and indexes count up`() {
        #expect(Term(4).next == Term(5))
        #expect(LogIndex.zero.next == LogIndex(1))
        #expect(Term(4) < Term(5))
        #expect(LogIndex(9) < LogIndex(10))
        #expect("\(Term(7)) \(LogIndex(8))" == "7 8")
    }

    @Test func `a fence orders by term, then by assignment`() {
        let rising = [
            Fence.none, Fence(term: Term(0), assignment: 9), Fence(term: Term(1), assignment: 0), Fence(term: Term(1), assignment: 2),
            Fence(term: Term(2), assignment: 1),
        ]
        #expect(rising.reversed().sorted() == rising)
        #expect(rising[3].description == "1.2")
    }
}

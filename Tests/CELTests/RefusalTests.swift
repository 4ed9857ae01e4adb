import CEL
import Primitives
import Testing

/// What stands in CEL's grammar but not yet here is refused by name, and everything at its offset (Parser.swift).
struct RefusalTests {
    private static let names = ["data", "type", "threshold"]
    private let names = RefusalTests.names

    static let unsupported: [(String, CELError)] = [
        ("size(data)", CELError(.unsupported("the function 'size'"), at: 0)),
        ("has(data.x)", CELError(.unsupported("the function 'has'"), at: 0)),
        ("true && f()", CELError(.unsupported("the function 'f'"), at: 8)),
        ("data.name.startsWith('x')", CELError(.unsupported("the function 'startsWith'"), at: 9)),
        ("(1)(2)", CELError(.unsupported("a function call"), at: 3)),
        ("data[0](1)", CELError(.unsupported("a function call"), at: 7)),
        ("1 + 2", CELError(.unsupported("'+'"), at: 2)),
        ("data.n * 2", CELError(.unsupported("'*'"), at: 7)),
        ("6 / 2", CELError(.unsupported("'/'"), at: 2)),
        ("7 % 2 == 1", CELError(.unsupported("'%'"), at: 2)),
        ("2 - 1", CELError(.unsupported("the operator '-' (a name with '-' is written [\"my-name\"])"), at: 2)),
        ("data.my-name", CELError(.unsupported("the operator '-' (a name with '-' is written [\"my-name\"])"), at: 7)),
        ("true ? 1 : 2", CELError(.unsupported("'?'"), at: 5)),
        ("1 in data", CELError(.unsupported("the operator 'in'"), at: 2)),
        ("[1, 2]", CELError(.unsupported("a list literal"), at: 0)),
        ("data == [1]", CELError(.unsupported("a list literal"), at: 8)),
        ("{'a': 1}", CELError(.unsupported("'{'"), at: 0)),
        ("data{}", CELError(.unsupported("'{'"), at: 4)),
        ("b'abc'", CELError(.unsupported("a literal with prefix 'b'"), at: 0)),
        ("1 == rb\"x\"", CELError(.unsupported("a literal with prefix 'rb'"), at: 5)),
    ]

    @Test(arguments: RefusalTests.unsupported)
    func `CEL that is not here yet is refused by name`(text: String, expected: CELError) {
        #expect(refusal(text, names: names) == expected)
    }

    private static let operand = "a name, a literal or '('"
    private static let operation = "an operator or the end"
    private static let token = "an operator, a name or a literal"

    static let malformed: [(String, CELError)] = [
        ("", CELError(.unexpected("the end", expected: operand), at: 0)),
        ("  ", CELError(.unexpected("the end", expected: operand), at: 2)),
        ("1 <", CELError(.unexpected("the end", expected: operand), at: 3)),
        ("&& true", CELError(.unexpected("'&&'", expected: operand), at: 0)),
        ("true && || false", CELError(.unexpected("'||'", expected: operand), at: 8)),
        ("()", CELError(.unexpected("')'", expected: operand), at: 1)),
        ("1 2", CELError(.unexpected("a literal", expected: operation), at: 2)),
        ("data type", CELError(.unexpected("'type'", expected: operation), at: 5)),
        ("true)", CELError(.unexpected("')'", expected: operation), at: 4)),
        ("data.5", CELError(.unexpected("a literal", expected: operation), at: 4)),
        ("data.", CELError(.unexpected("the end", expected: "a field name"), at: 5)),
        ("data.'x'", CELError(.unexpected("a literal", expected: "a field name"), at: 5)),
        ("data[0", CELError(.unexpected("the end", expected: "']'"), at: 6)),
        ("(true", CELError(.unexpected("the end", expected: "')'"), at: 5)),
        ("(true]", CELError(.unexpected("']'", expected: "')'"), at: 5)),
        ("data = 1", CELError(.unexpected("'='", expected: token), at: 5)),
        ("true & false", CELError(.unexpected("'&'", expected: token), at: 5)),
        ("#", CELError(.unexpected("'#'", expected: token), at: 0)),
        ("data.é", CELError(.unexpected("'é'", expected: token), at: 5)),
        ("data\u{0}", CELError(.unexpected("'\u{0}'", expected: token), at: 4)),
    ]

    @Test(arguments: RefusalTests.malformed)
    func `what is no CEL is refused where it goes wrong`(text: String, expected: CELError) {
        #expect(refusal(text, names: names) == expected)
    }

    @Test func `an unknown name is refused with the one that was meant`() throws {
        let error = try #require(refusal("data.n > treshold", names: names))
        #expect(error == CELError(.unknownName("treshold", known: names), at: 9))
        #expect(error.description == "unknown name 'treshold'; did you mean 'threshold'? (at character 10)")
        let far = try #require(refusal("xyzzy", names: names))
        #expect(far.description.contains("known here: data, type, threshold"))
    }

    @Test func `offsets are counted from the text that holds the expression`() {
        #expect(refusal("1 + 2", base: 40) == CELError(.unsupported("'+'"), at: 42))
        #expect(refusal("'abc", base: 7) == CELError(.badLiteral("string without its closing quote"), at: 7))
        #expect(refusal("nope", base: 3) == CELError(.unknownName("nope", known: []), at: 3))
        #expect(refusal("'é' nope", base: 0) == CELError(.unexpected("'nope'", expected: Self.operation), at: 5))
    }

    // MARK: Bombs

    static let bombs: [(String, String)] = [
        ("(", ")"), ("!", ""), ("-", ""), ("!(", ")"), ("data[", "]"), ("-!", ""),
    ]

    @Test(arguments: RefusalTests.bombs)
    func `nesting has a limit, however it nests`(open: String, close: String) {
        for count in [33, 100, 250, 4000] {
            let text = String(repeating: open, count: count) + "1" + String(repeating: close, count: count)
            guard let reason = refusal(text, names: names)?.reason else {
                Issue.record("\(count) times \(open) was read")
                continue
            }
            let isLimit =
                switch reason {
                case .tooDeep, .tooLong: true
                default: false
                }
            #expect(isLimit, "\(count) times \(open): \(reason)")
        }
    }

    @Test func `32 levels are read, the 33rd is refused at its place`() throws {
        let value = try evaluate(String(repeating: "(", count: 32) + "1" + String(repeating: ")", count: 32))
        #expect(value == 1)
        let text = String(repeating: "(", count: 33) + "1" + String(repeating: ")", count: 33)
        #expect(refusal(text) == CELError(.tooDeep(limit: 32), at: 33))
    }

    @Test func `a path has a limit`() {
        #expect(refusal("data" + String(repeating: ".a", count: 32), names: names) == nil)
        #expect(refusal("data" + String(repeating: ".a", count: 33), names: names)?.reason == .tooDeep(limit: 32))
        #expect(refusal("data" + String(repeating: "[0]", count: 60), names: names)?.reason == .tooDeep(limit: 32))
    }

    @Test func `an expression has a limit of bytes and of operators`() throws {
        #expect(refusal(String(repeating: " ", count: (16 << 10) - 1) + "1") == nil)
        #expect(refusal(String(repeating: " ", count: 16 << 10) + "1") == CELError(.tooLong(limit: 16 << 10), at: 0))
        let value = try evaluate("false" + String(repeating: " || false", count: 256))
        #expect(value == .bool(false))
        for symbol in ["||", "&&", "==", "<"] {
            let text = "true" + String(repeating: " \(symbol) true", count: 257)
            #expect(refusal(text)?.reason == .tooLong(limit: 16 << 10), "\(symbol)")
        }
    }

    @Test func `every error says something of its own`() {
        let reasons: [CELError.Reason] = [
            .unexpected("x", expected: "y"), .unsupported("x"), .badLiteral("x"), .unknownName("x", known: []), .tooDeep(limit: 1),
            .tooLong(limit: 1), .noSuchField("x"), .noSuchOverload("x"), .indexOutOfRange(1, count: 1), .unterminatedTemplate,
            .notText("x"),
        ]
        #expect(Set(reasons.map { CELError($0, at: 0).description }).count == reasons.count)
    }
}

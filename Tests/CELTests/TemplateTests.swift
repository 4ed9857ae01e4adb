import Primitives
import Testing

@testable import CEL

/// "Templates are CEL in `${{ }}`: a whole-string template keeps its type" (rules and workflows, "Workflows").
struct TemplateTests {
    private let names = ["data", "type"]
    private let scope = Names(
        values: Fields([
            .init(
                "data", ["n": 5, "half": 0.5, "ok": true, "list": [1, "a"], "map": ["k": nil], "s": "text", "none": nil, "brace": "}}"]),
            .init("type", "order"),
        ]))

    private func resolved(_ value: Value) throws -> Value { try Template(value, names: names).resolve(in: scope) }

    private func problem(_ value: Value) -> Template.Problem? {
        do {
            _ = try resolved(value)
            return nil
        } catch {
            return error as? Template.Problem
        }
    }

    static let whole: [(String, Value)] = [
        ("${{ data.n }}", 5), ("${{data.half}}", 0.5), ("${{ data.ok }}", true), ("${{ data.list }}", [1, "a"]),
        ("${{ data.map }}", ["k": nil]),
        ("${{ data.none }}", nil), ("${{ data.s }}", "text"), ("${{ data.n > 4 }}", true), ("${{\n type\n}}", "order"), ("${{ 'x' }}", "x"),
    ]

    @Test(arguments: TemplateTests.whole)
    func `a string that is one expression takes its value and type`(text: String, expected: Value) throws {
        let value = try resolved(.string(text))
        #expect(value == expected)
    }

    static let mixed: [(String, String)] = [
        ("n=${{ data.n }}", "n=5"), (" ${{ data.n }}", " 5"), ("${{ data.n }} ", "5 "), ("${{ 1 }}${{ 2 }}", "12"),
        ("${{ data.ok }}, ${{ data.half }}, ${{ data.s }}", "true, 0.5, text"), ("l ${{ data.list }}", "l [1,\"a\"]"),
        ("m ${{ data.map }}!", "m {\"k\":null}!"), ("é${{ type }}é", "éorderé"), ("a}}b${{ type }}", "a}}border"),
        ("$${{ type }}", "$order"),
        ("{${{ type }}}", "{order}"),
    ]

    @Test(arguments: TemplateTests.mixed)
    func `among other text values are put into it`(text: String, expected: String) throws {
        let value = try resolved(.string(text))
        #expect(value == .string(expected))
    }

    static let quoted: [(String, Value)] = [
        ("${{ '}}' }}", "}}"), ("${{ \"a}}b\" }}", "a}}b"), (#"${{ '\'}}' }}"#, "'}}"), ("${{ data.brace == '}}' }}", true),
        ("<${{ '}}' }}>", "<}}>"), ("${{ '\"}}' }}", "\"}}"), ("${{ '${{' }}", "${{"),
    ]

    @Test(arguments: TemplateTests.quoted)
    func `braces in a string literal do not end the expression`(text: String, expected: Value) throws {
        let value = try resolved(.string(text))
        #expect(value == expected)
    }

    @Test func `lists and maps are resolved within, keys and order stay`() throws {
        let value: Value = ["${{ type }}": "${{ data.n }}", "b": ["${{ type }}", 1, ["c": "t=${{ type }}"]], "a": nil]
        let found = try resolved(value)
        let expected: Value = ["${{ type }}": 5, "b": ["order", 1, ["c": "t=order"]], "a": nil]
        #expect(found == expected)
        #expect(found.map?.members.map(\.key) == ["${{ type }}", "b", "a"])
    }

    static let constants: [Value] = [
        nil, true, 5, 2.5, "", "plain", "}}", "${ x }", "$ {{ x }}", "{{ x }}", "$${ x", ["a", ["b": "c"]], [], [:],
    ]

    @Test(arguments: TemplateTests.constants)
    func `what holds no expression is constant and stays as it is`(value: Value) throws {
        let template = try Template(value, names: [])
        #expect(template.isConstant)
        let found = try template.resolve(in: scope)
        #expect(found == value)
        #expect(template.paths.isEmpty)
    }

    @Test func `what holds one is not constant`() throws {
        let values: [Value] = ["${{ 1 }}", ["a", "${{ 1 }}"], ["a": ["b": "x${{ 1 }}"]]]
        for value in values {
            let template = try Template(value, names: [])
            #expect(!template.isConstant)
        }
    }

    @Test func `a template tells the paths that it reads`() throws {
        let value: Value = ["a": "${{ data.x }}", "b": ["t ${{ type }} ${{ data['y'].z == 1 }}", 5]]
        let template = try Template(value, names: names)
        #expect(template.paths == [["data", "x"], ["type"], ["data", "y", "z"]])
    }

    // MARK: Problems

    static let unterminated: [(String, Int)] = [
        ("${{ data.n", 0), ("ab ${{ data.n }", 3), ("${{ '}}'", 0), ("${{ 1 }} ${{", 9), ("${{ 'a }}", 0), ("${{", 0), ("${{}", 0),
    ]

    @Test(arguments: TemplateTests.unterminated)
    func `an expression that does not end is refused where it begins`(text: String, offset: Int) {
        #expect(problem(.string(text)) == Template.Problem(pointer: "", error: CELError(.unterminatedTemplate, at: offset)))
    }

    @Test func `a problem tells its place as a pointer and its offset in the string`() {
        let unknown = problem(["a": ["b", ["c/d": ["e~f": "x ${{ nope }}"]]]])
        #expect(unknown == Template.Problem(pointer: "/a/1/c~1d/e~0f", error: CELError(.unknownName("nope", known: names), at: 6)))
        let missing = problem(["k": "${{ data.missing }}"])
        #expect(missing == Template.Problem(pointer: "/k", error: CELError(.noSuchField("data.missing"), at: 8)))
        let unsupported = problem("${{ data.n + 1 }}")
        #expect(unsupported == Template.Problem(pointer: "", error: CELError(.unsupported("'+'"), at: 11)))
        let second = problem("${{ type }} ${{ data.n.x }}")
        #expect(second == Template.Problem(pointer: "", error: CELError(.noSuchOverload("field 'x' of a number"), at: 22)))
    }

    @Test func `an empty expression is refused`() {
        for text in ["${{}}", "${{ }}", "a ${{  }} b"] {
            guard case .unexpected("the end", _)? = problem(.string(text))?.error.reason else {
                Issue.record("'\(text)' was not refused as empty")
                continue
            }
        }
    }

    @Test func `null cannot stand inside text`() {
        #expect(problem(["v=${{ data.none }}"])?.error.reason == .notText("null"))
        #expect(problem(["v=${{ data.none }}"])?.pointer == "/0")
    }

    // MARK: Chance

    @Test func `random templates are read or refused, and never trap`() {
        let seed: UInt64 = 77
        var generator = SeededGenerator(seed: seed)
        let pieces = [
            "${{", "}}", "${", "$", "{", "}", "'", "\"", "\\", "data", ".n", ".s", " ", "==", "1", "text", "é", "r'", "type", "nope",
        ]
        var found = 0
        for _ in 0..<5000 {
            var text = ""
            for _ in 0..<Int.random(in: 0...12, using: &generator) { text += pieces[Int.random(in: pieces.indices, using: &generator)] }
            if (try? resolved(.string(text))) != nil { found += 1 }
        }
        #expect(found > 50, "seed \(seed)")
    }
}

import CEL
import Primitives
import Testing

/// Common Expression Language specification, "Values" and "String and Bytes Values".
struct LiteralTests {
    /// The value with the form that it has.
    private func form(_ value: Value) -> String {
        switch value {
        case .null: "null"
        case .bool(let flag): "bool \(flag)"
        case .int(let number): "int \(number)"
        case .uint(let number): "uint \(number)"
        case .double(let number): "double \(number)"
        case .string(let text): "string \(text)"
        case .list: "list"
        case .map: "map"
        }
    }

    static let numbers: [(String, String)] = [
        ("0", "int 0"), ("42", "int 42"), ("-42", "int -42"), ("9223372036854775807", "int 9223372036854775807"),
        ("-9223372036854775808", "int -9223372036854775808"), ("0x1F", "int 31"), ("-0x1f", "int -31"), ("0xabCD", "int 43981"),
        ("5u", "int 5"), ("5U", "int 5"), ("18446744073709551615u", "uint 18446744073709551615"),
        ("0xFFFFFFFFFFFFFFFFu", "uint 18446744073709551615"), ("1.5", "double 1.5"), (".5", "double 0.5"), ("-1.5", "double -1.5"),
        ("1e3", "double 1000.0"), ("1E+3", "double 1000.0"), ("25e-2", "double 0.25"), ("1.5e2", "double 150.0"), ("0.0", "double 0.0"),
        ("true", "bool true"), ("false", "bool false"), ("null", "null"),
    ]

    @Test(arguments: LiteralTests.numbers)
    func `numbers and words are read in the form they are written in`(text: String, expected: String) throws {
        let value = try evaluate(text)
        #expect(form(value) == expected)
    }

    static let strings: [(String, String)] = [
        ("''", ""), ("\"\"", ""), ("'a'", "a"), ("\"it's\"", "it's"), ("'say \"hi\"'", "say \"hi\""), ("'é😀'", "é😀"),
        (#"'\a\b\f\n\r\t\v'"#, "\u{7}\u{8}\u{C}\n\r\t\u{B}"), (#"'\\\?\"\'\`'"#, "\\?\"'`"), (#"'\x41\X42'"#, "AB"),
        (#"'\u00e9\U0001F600'"#, "é😀"), (#"r'a\nb'"#, "a\\nb"), (#"R"c:\x""#, "c:\\x"), (#"r'\'"#, "\\"),
        ("'''one\ntwo'''", "one\ntwo"), ("'''it's ''two'''", "it's ''two"), ("\"\"\"a \"quoted\" word\"\"\"", "a \"quoted\" word"),
        ("\"\"\"\"\"\"", ""), (#"'''a\tb'''"#, "a\tb"), ("r'''a\\tb\nc'''", "a\\tb\nc"),
    ]

    @Test(arguments: LiteralTests.strings)
    func `strings are read with their escapes, raw and over lines`(text: String, expected: String) throws {
        let value = try evaluate(text)
        #expect(value == .string(expected))
    }

    static let malformed: [(String, CELError)] = [
        ("'abc", CELError(.badLiteral("string without its closing quote"), at: 0)),
        ("1 == \"abc'", CELError(.badLiteral("string without its closing quote"), at: 5)),
        ("'''abc'", CELError(.badLiteral("string without its closing quote"), at: 0)),
        ("'a\nb'", CELError(.badLiteral("string without its closing quote"), at: 0)),
        ("r'a\rb'", CELError(.badLiteral("string without its closing quote"), at: 1)),
        (#"'\q'"#, CELError(.badLiteral(#"escape '\q'"#), at: 1)),
        (#"'ab\x4'"#, CELError(.badLiteral("escape"), at: 3)),
        (#"'\ud800'"#, CELError(.badLiteral("escape"), at: 1)),
        (#"'\U00110000'"#, CELError(.badLiteral("escape"), at: 1)),
        (#"'\u12'"#, CELError(.badLiteral("escape"), at: 1)),
        ("0x", CELError(.badLiteral("0x"), at: 0)),
        ("0xFFFFFFFFFFFFFFFFF", CELError(.badLiteral("0xFFFFFFFFFFFFFFFFF"), at: 0)),
        ("1e", CELError(.badLiteral("1e"), at: 0)),
        ("1.5e+", CELError(.badLiteral("1.5e+"), at: 0)),
        ("true == 1e999", CELError(.badLiteral("1e999"), at: 8)),
        ("9223372036854775809", CELError(.badLiteral("9223372036854775809"), at: 0)),
        ("18446744073709551616u", CELError(.badLiteral("18446744073709551616"), at: 0)),
    ]

    @Test(arguments: LiteralTests.malformed)
    func `a malformed literal is refused where it begins`(text: String, expected: CELError) {
        #expect(refusal(text) == expected)
    }
}

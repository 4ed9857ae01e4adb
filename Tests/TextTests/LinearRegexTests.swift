import Testing

@testable import Text

/// Patterns by the grammar of RFC 9485 section 3, with `^` and `$` as anchors.
enum RegexTables {
    typealias Problem = LinearRegex.Problem

    /// A pattern, whole texts that it takes, and some that it leaves.
    struct Sample: Sendable, CustomTestStringConvertible {
        let pattern: String
        let takes: [String]
        let leaves: [String]
        var testDescription: String { pattern }

        init(_ pattern: String, takes: [String], leaves: [String] = []) {
            self.pattern = pattern
            self.takes = takes
            self.leaves = leaves
        }
    }

    static let branches: [Sample] = [
        Sample("", takes: [""], leaves: ["a", " "]),
        Sample("a", takes: ["a"], leaves: ["", "b", "aa", "A", "é"]),
        Sample("abc", takes: ["abc"], leaves: ["ab", "abcd", "xabc"]),
        Sample("a|b", takes: ["a", "b"], leaves: ["", "ab", "c"]),
        Sample("a|", takes: ["a", ""], leaves: ["b", "aa"]),
        Sample("|", takes: [""], leaves: ["a", "|"]),
        Sample("a||b", takes: ["a", "", "b"], leaves: ["ab"]),
        Sample("ab|cd|ef", takes: ["ab", "cd", "ef"], leaves: ["abcdef", "ad", "abd"]),
        Sample("a|ab", takes: ["a", "ab"], leaves: ["aab"]),
        Sample("(a|b)c", takes: ["ac", "bc"], leaves: ["a", "c", "abc"]),
        Sample("()", takes: [""], leaves: ["()"]),
        Sample("(|a)b", takes: ["b", "ab"], leaves: ["a"]),
        Sample("((a))", takes: ["a"], leaves: ["", "aa"]),
        Sample("(a)(b)", takes: ["ab"], leaves: ["ba"]),
    ]

    static let quantifiers: [Sample] = [
        Sample("a*", takes: ["", "a", "aaaa"], leaves: ["b", "ab"]),
        Sample("a+", takes: ["a", "aaaa"], leaves: ["", "ab"]),
        Sample("a?", takes: ["", "a"], leaves: ["aa"]),
        Sample("ab*", takes: ["a", "abbb"], leaves: ["abab"]),
        Sample("(ab)*", takes: ["", "ab", "abab"], leaves: ["aba", "abb"]),
        Sample("a{0}", takes: [""], leaves: ["a"]),
        Sample("a{0}b", takes: ["b"], leaves: ["ab"]),
        Sample("a{3}", takes: ["aaa"], leaves: ["aa", "aaaa"]),
        Sample("a{03}", takes: ["aaa"], leaves: ["aa", "aaaa"]),
        Sample("a{2,4}", takes: ["aa", "aaa", "aaaa"], leaves: ["a", "aaaaa"]),
        Sample("a{2,}", takes: ["aa", "aaaaaaa"], leaves: ["", "a"]),
        Sample("a{0,}", takes: ["", "aaa"], leaves: ["b"]),
        Sample("a{0,1}b", takes: ["b", "ab"], leaves: ["aab"]),
        Sample("(a|b){2}", takes: ["ab", "ba", "aa"], leaves: ["a", "aba"]),
        Sample("(a{2}){2}", takes: ["aaaa"], leaves: ["aa", "aaa"]),
        Sample("(a?){3}", takes: ["", "a", "aaa"], leaves: ["aaaa"]),
        Sample("(a*)*", takes: ["", "aa"], leaves: ["b"]),
        Sample("(a*)+", takes: ["", "aa"], leaves: ["ab"]),
        Sample("(a|b*)*c", takes: ["c", "abbac"], leaves: ["ab", "cc"]),
        Sample("x(a{0,2}){2}y", takes: ["xy", "xaaaay"], leaves: ["xaaaaay"]),
        Sample("()*a", takes: ["a"], leaves: [""]),
        Sample(".{2}", takes: ["éé", "😀a"], leaves: ["é", "😀"]),
    ]

    static let characters: [Sample] = [
        Sample(##"!"#%&',-/09:;<=>@AZ_`az~"##, takes: [##"!"#%&',-/09:;<=>@AZ_`az~"##], leaves: [""]),
        Sample("\u{0}\n\t", takes: ["\u{0}\n\t"], leaves: ["", "\n"]),
        Sample("é", takes: ["é"], leaves: ["e\u{301}", "e", "É"]),
        Sample("\u{7F}\u{D7FF}\u{E000}\u{10FFFF}😀", takes: ["\u{7F}\u{D7FF}\u{E000}\u{10FFFF}😀"], leaves: ["😀"]),
        Sample(".", takes: ["a", "é", "中", "😀", "\u{2028}", "\u{85}", "\u{0}", "\t"], leaves: ["", "\n", "\r", "ab", "e\u{301}"]),
        Sample(#"\(\)\*\+\-\.\?\[\\\]\^\{\|\}"#, takes: [#"()*+-.?[\]^{|}"#], leaves: [#"\(\)"#, ""]),
        Sample(#"\n\r\t"#, takes: ["\n\r\t"], leaves: ["nrt", #"\n\r\t"#]),
        Sample(#"\$\/"#, takes: ["$/"], leaves: [#"\$\/"#]),
        Sample(#"\.\*"#, takes: [".*"], leaves: ["a", "aa"]),
    ]

    static let classes: [Sample] = [
        Sample("[abc]", takes: ["a", "b", "c"], leaves: ["", "d", "ab"]),
        Sample("[a-c]", takes: ["a", "b", "c"], leaves: ["d", "-", "A"]),
        Sample("[a-a]", takes: ["a"], leaves: ["b", "-"]),
        Sample("[^a-c]", takes: ["d", "-", "\n", "😀", "\u{0}"], leaves: ["a", "c", ""]),
        Sample("[-a]", takes: ["-", "a"], leaves: ["b"]),
        Sample("[a-]", takes: ["-", "a"], leaves: ["b"]),
        Sample("[-a-]", takes: ["-", "a"], leaves: ["b"]),
        Sample("[-]", takes: ["-"], leaves: ["a"]),
        Sample("[^-]", takes: ["a", "^"], leaves: ["-"]),
        Sample("[^-a]", takes: ["b"], leaves: ["-", "a"]),
        Sample("[a^]", takes: ["a", "^"], leaves: ["b"]),
        Sample("[^^]", takes: ["a"], leaves: ["^"]),
        Sample(#"[\^a]"#, takes: ["a", "^"], leaves: ["\\", "b"]),
        Sample("[.]", takes: ["."], leaves: ["a"]),
        Sample("[*+?(){}|$/]+", takes: ["*+?(){}|$/"], leaves: ["a", ""]),
        Sample("[à-é]", takes: ["à", "é"], leaves: ["e", "ê", "ß"]),
        Sample("[😀-😂]", takes: ["😀", "😁", "😂"], leaves: ["😃", "a"]),
        Sample(#"[\n\r\t]"#, takes: ["\n", "\r", "\t"], leaves: ["n", " ", "\\"]),
        Sample(#"[\-\]\[\\]"#, takes: ["-", "]", "[", "\\"], leaves: ["a"]),
        Sample(#"[a\-z]"#, takes: ["a", "-", "z"], leaves: ["b"]),
        Sample(#"[\--/]"#, takes: ["-", ".", "/"], leaves: [",", "0"]),
        Sample(#"[\t-\r]"#, takes: ["\t", "\n", "\u{C}"], leaves: ["\u{E}", " "]),
        Sample(#"[\p{Lu}0-9]"#, takes: ["A", "É", "5"], leaves: ["a", "٥"]),
        Sample(#"[^\p{L}]"#, takes: ["1", " "], leaves: ["a", "中"]),
        Sample(#"[\P{L}x]"#, takes: ["x", "1"], leaves: ["y"]),
        Sample(#"[^\P{L}]"#, takes: ["x", "é"], leaves: ["1"]),
        Sample("[ab]{2,3}", takes: ["ab", "bab"], leaves: ["a", "abab"]),
        Sample("[A-Za-z0-9._-]+@[a-z]+", takes: ["a.B-c_9@x"], leaves: ["@x", "a@", "a b@x"]),
    ]

    static let anchors: [Sample] = [
        Sample("^a$", takes: ["a"], leaves: ["", "ba", "^a$"]),
        Sample("^^a$$", takes: ["a"], leaves: ["aa"]),
        Sample("^$", takes: [""], leaves: ["a", "\n"]),
        Sample("a^b", takes: [], leaves: ["ab", "a^b", "a\nb"]),
        Sample("a$b", takes: [], leaves: ["ab", "a$b", "a\nb"]),
        Sample("(^a|b)*", takes: ["", "a", "ab", "abb"], leaves: ["aba", "aa"]),
        Sample("(a$|b)+", takes: ["a", "ba", "bb"], leaves: ["ab"]),
        Sample("^*a$?", takes: ["a"], leaves: ["^a"]),
        Sample(#"\^a\$"#, takes: ["^a$"], leaves: ["a"]),
    ]

    static let samples: [Sample] = [branches, quantifiers, characters, classes, anchors].flatMap { $0 }

    /// RFC 9485's IsCategory: a name and a character of it.
    static let categories: [(String, String)] = [
        ("Lu", "A"), ("Ll", "a"), ("Lt", "\u{1C5}"), ("Lm", "\u{2B0}"), ("Lo", "中"), ("Mn", "\u{301}"), ("Mc", "\u{903}"),
        ("Me", "\u{20DD}"), ("Nd", "٥"), ("Nl", "\u{2167}"), ("No", "²"), ("Pc", "_"), ("Pd", "-"), ("Ps", "("), ("Pe", ")"),
        ("Pi", "«"), ("Pf", "»"), ("Po", "!"), ("Sm", "+"), ("Sc", "€"), ("Sk", "^"), ("So", "©"), ("Zs", " "), ("Zl", "\u{2028}"),
        ("Zp", "\u{2029}"), ("Cc", "\u{7}"), ("Cf", "\u{200E}"), ("Co", "\u{E000}"), ("Cn", "\u{378}"),
    ]

    private static func at(_ offset: Int, _ message: String) -> Problem { Problem(message: message, offset: offset) }

    static let misplaced: [(String, Problem)] = [
        ("*", at(0, #"'*' has nothing to repeat; write \* for the character"#)),
        ("+a", at(0, #"'+' has nothing to repeat; write \+ for the character"#)),
        ("?", at(0, #"'?' has nothing to repeat; write \? for the character"#)),
        ("{2}", at(0, #"'{' has nothing to repeat; write \{ for the character"#)),
        ("a|*", at(2, #"'*' has nothing to repeat; write \* for the character"#)),
        ("(*)", at(1, #"'*' has nothing to repeat; write \* for the character"#)),
        ("]", at(0, #"']' must be written \]"#)),
        ("a}", at(1, #"'}' must be written \}"#)),
        (")", at(0, "')' without '('")),
        ("a)b", at(1, "')' without '('")),
        ("(a))", at(3, "')' without '('")),
        ("(", at(0, "'(' is not closed")),
        ("a(b", at(1, "'(' is not closed")),
        ("((a)", at(0, "'(' is not closed")),
        ("(a|b", at(0, "'(' is not closed")),
        ("(?:a)", at(0, "'(?' is not in RFC 9485; groups are plain (...)")),
        ("(?i)a", at(0, "'(?' is not in RFC 9485; groups are plain (...)")),
        ("x(?=a)", at(1, "'(?' is not in RFC 9485; groups are plain (...)")),
        ("x(?<n>a)", at(1, "'(?' is not in RFC 9485; groups are plain (...)")),
    ]

    static let quantified: [(String, Problem)] = [
        ("a**", at(2, "'*' after a quantifier is not in RFC 9485")),
        ("a*?", at(2, "'?' after a quantifier is not in RFC 9485")),
        ("a+?", at(2, "'?' after a quantifier is not in RFC 9485")),
        ("a??", at(2, "'?' after a quantifier is not in RFC 9485")),
        ("a*+", at(2, "'+' after a quantifier is not in RFC 9485")),
        ("a{2}?", at(4, "'?' after a quantifier is not in RFC 9485")),
        ("a{2}{3}", at(4, "'{' after a quantifier is not in RFC 9485")),
        ("a{", at(1, "'{' needs a number, as {2} or {2,5}")),
        ("a{}", at(1, "'{' needs a number, as {2} or {2,5}")),
        ("a{,3}", at(1, "'{' needs a number, as {2} or {2,5}")),
        ("ab{x}", at(2, "'{' needs a number, as {2} or {2,5}")),
        ("a{-1}", at(1, "'{' needs a number, as {2} or {2,5}")),
        ("a{ 1}", at(1, "'{' needs a number, as {2} or {2,5}")),
        ("a{2", at(1, "'{' is not closed")),
        ("a{2,", at(1, "'{' is not closed")),
        ("a{2,3", at(1, "'{' is not closed")),
        ("a{2;3}", at(1, "'{' is not closed")),
        ("a{2,x}", at(1, "'{' is not closed")),
        ("a{5,2}", at(1, "{5,2} counts down")),
        ("a{1,0}", at(1, "{1,0} counts down")),
        ("a{1001}", at(5, "more than 1000 repetitions")),
        ("a{1,1001}", at(7, "more than 1000 repetitions")),
        ("a{99999999999999999999}", at(5, "more than 1000 repetitions")),
    ]

    static let escapes: [(String, Problem)] = [
        (#"\d"#, at(0, #"'\d' is not in RFC 9485; write [0-9] or \p{Nd}"#)),
        (#"a\w+"#, at(1, #"'\w' is not in RFC 9485; write [A-Za-z0-9_]"#)),
        (#"\s"#, at(0, #"'\s' is not in RFC 9485; write [ \t\n\r]"#)),
        (#"[\d]"#, at(1, #"'\d' is not in RFC 9485; write [0-9] or \p{Nd}"#)),
        (#"é\d"#, at(1, #"'\d' is not in RFC 9485; write [0-9] or \p{Nd}"#)),
        (#"\D"#, at(0, #"'\D' is not in RFC 9485"#)),
        (#"\bx"#, at(0, #"'\b' is not in RFC 9485"#)),
        (#"(a)\1"#, at(3, #"'\1' is not in RFC 9485"#)),
        (#"\x41"#, at(0, #"'\x' is not in RFC 9485"#)),
        (#"\N"#, at(0, #"'\N' is not in RFC 9485"#)),
        (#"\"#, at(0, #"the pattern ends after '\'"#)),
        (#"a\"#, at(1, #"the pattern ends after '\'"#)),
        (#"[a\"#, at(2, #"the pattern ends after '\'"#)),
        (#"\p"#, at(0, #"'\p' needs a category, as \p{Lu}"#)),
        (#"a\PL"#, at(1, #"'\P' needs a category, as \P{Lu}"#)),
        (#"\p{Lu"#, at(0, #"'\p{' is not closed"#)),
        (#"\P{"#, at(0, #"'\P{' is not closed"#)),
        (#"\p{}"#, at(0, "no Unicode category ''")),
        (#"\p{Xx}"#, at(0, "no Unicode category 'Xx'")),
        (#"\p{lu}"#, at(0, "no Unicode category 'lu'")),
        (#"\p{Cs}"#, at(0, "no Unicode category 'Cs'")),
        (#"[\p{IsBasicLatin}]"#, at(1, "no Unicode category 'IsBasicLatin'")),
    ]

    static let brackets: [(String, Problem)] = [
        ("[", at(0, "'[' is not closed")),
        ("[^", at(0, "'[' is not closed")),
        ("a[b", at(1, "'[' is not closed")),
        ("a[b-", at(1, "'[' is not closed")),
        ("[a-b", at(0, "'[' is not closed")),
        ("[]", at(0, "an empty class matches nothing")),
        ("a[]b]", at(1, "an empty class matches nothing")),
        ("[^]", at(0, "an empty class matches nothing")),
        ("[[a]]", at(1, #"'[' within a class must be written \["#)),
        ("a[[:alpha:]]", at(2, #"'[' within a class must be written \["#)),
        ("[a&&[b]]", at(4, #"'[' within a class must be written \["#)),
        ("[z-a]", at(1, "a range that counts down")),
        (#"[xa-\n]"#, at(2, "a range that counts down")),
        ("[é-e]", at(1, "a range that counts down")),
    ]

    static let refused: [(String, Problem)] = [misplaced, quantified, escapes, brackets].flatMap { $0 }
}

struct LinearRegexTests {
    private func problem(_ pattern: String) -> LinearRegex.Problem? {
        do throws(LinearRegex.Problem) {
            _ = try LinearRegex(pattern)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: RegexTables.samples)
    func `a pattern takes what the grammar says, as a whole text`(sample: RegexTables.Sample) throws {
        let regex = try LinearRegex(sample.pattern)
        for text in sample.takes { #expect(regex.matchesWhole(text), "'\(text)'") }
        for text in sample.leaves { #expect(!regex.matchesWhole(text), "'\(text)'") }
    }

    @Test(arguments: RegexTables.categories)
    func `a category takes its characters, by both letters or the first`(name: String, text: String) throws {
        let stranger = name.hasPrefix("L") ? "1" : "a"
        for category in [name, String(name.prefix(1))] {
            for pattern in ["\\p{\(category)}", "[\\p{\(category)}]", "[^\\P{\(category)}]"] {
                let regex = try LinearRegex(pattern)
                #expect(regex.matchesWhole(text), "\(pattern)")
                #expect(!regex.matchesWhole(stranger), "\(pattern)")
            }
            for pattern in ["\\P{\(category)}", "[\\P{\(category)}]", "[^\\p{\(category)}]"] {
                let regex = try LinearRegex(pattern)
                #expect(!regex.matchesWhole(text), "\(pattern)")
                #expect(regex.matchesWhole(stranger), "\(pattern)")
            }
        }
    }

    @Test(arguments: RegexTables.refused)
    func `what is not in the grammar is refused, with the reason and the place`(pattern: String, expected: LinearRegex.Problem) {
        #expect(problem(pattern) == expected)
    }

    /// RFC 9485's CCchar is neither '[' nor '-': '-' stands for itself first or last only.
    @Test(arguments: ["[A-[]", "[a-b-c]", "[--a]", "[+--]", #"[\p{L}-z]"#, #"[a-\p{L}]"#])
    func `a class that the grammar does not have is refused`(pattern: String) {
        #expect(problem(pattern) != nil)
    }

    @Test func `a problem says what is wrong and at which character`() {
        #expect(problem("ab(")?.description == "'(' is not closed at character 3 of the pattern")
        #expect(problem("é😀)")?.description == "')' without '(' at character 3 of the pattern")
    }

    // MARK: Limits

    @Test func `a pattern has at most 4096 bytes`() {
        #expect(problem(String(repeating: "a", count: 4096)) == nil)
        #expect(problem(String(repeating: "é", count: 2048)) == nil)
        let long = LinearRegex.Problem(message: "the pattern has 4098 bytes, at most 4096 are taken", offset: 0)
        #expect(problem(String(repeating: "é", count: 2049)) == long)
    }

    @Test func `groups nest 64 deep, and a flood of them ends in a refusal`() {
        func nested(_ depth: Int) -> String { String(repeating: "(", count: depth) + "a" + String(repeating: ")", count: depth) }
        #expect(problem(nested(64)) == nil)
        #expect(problem(nested(65))?.message == "groups nested deeper than 64")
        #expect(problem(nested(2000))?.message == "groups nested deeper than 64")
        #expect(problem(String(repeating: "(", count: 4096))?.message == "groups nested deeper than 64")
    }

    @Test func `repetitions are written out up to 10000 steps and no further`() {
        let full = LinearRegex.Problem(message: "the pattern's repetitions make more than 10000 steps", offset: 0)
        let nearly = String(repeating: "a{1000}", count: 9)
        #expect(problem("a{1000}") == nil)
        #expect(problem(nearly + "a{999}") == nil)
        #expect(problem(nearly + "a{1000}") == full)
        #expect(problem("(a{999}){10}") == nil)
        #expect(problem("(a{1000}){10}") == full)
        #expect(problem("(a{1000}){1000}") == full)
        #expect(problem("((((((a{1000}){1000}){1000}){1000}){1000}){1000})") == full)
        #expect(problem("(a?){0,1000}{0,1000}")?.message == "'{' after a quantifier is not in RFC 9485")
        #expect(problem("((a?){0,1000}){0,1000}") == full)
        #expect(problem("((a|b){1000}){1000}") == full)
        #expect(problem("(^{1000}){1000}") == full)
    }

    /// They add no step to the program, so that its limit does not end them: this is over at once, or never.
    @Test(arguments: ["()", "a{0}", "(){5}()", "(a{0}b{0}){7}"])
    func `repetitions of nothing take no time`(nothing: String) throws {
        var pattern = nothing
        for _ in 0..<12 { pattern = "(" + pattern + "){1000}" }
        let regex = try LinearRegex(pattern)
        #expect(regex.matchesWhole(""))
        #expect(!regex.matchesWhole("a"))
    }

    @Test func `two patterns are equal when their bytes and their case rule are`() throws {
        let pattern = try LinearRegex("é")
        let same = try LinearRegex("é")
        let anyCase = try LinearRegex("é", ignoresCase: true)
        let decomposed = try LinearRegex("e\u{301}")
        #expect(pattern == same)
        #expect(pattern != anyCase)
        #expect(pattern != decomposed)
        #expect(pattern.pattern == "é")
        #expect(!pattern.ignoresCase)
    }
}

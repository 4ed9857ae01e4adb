import Primitives
import Testing

@testable import Text

enum SearchTables {
    /// A pattern, a text, and the bytes of the leftmost match, the longest of those.
    struct Search: Sendable, CustomTestStringConvertible {
        let pattern: String
        let text: String
        let found: Range<Int>?
        var testDescription: String { "\(pattern) in '\(text)'" }

        init(_ pattern: String, in text: String, _ found: Range<Int>?) {
            self.pattern = pattern
            self.text = text
            self.found = found
        }
    }

    static let longest: [Search] = [
        Search("a|ab", in: "xab", 1..<3),
        Search("ab|a", in: "xab", 1..<3),
        Search("b|abc", in: "abc", 0..<3),
        Search("bcd|ab", in: "abcd", 0..<2),
        Search("abcdx|bcd", in: "abcde", 1..<4),
        Search("abcde|bc", in: "abcde", 0..<5),
        Search("abcde|b", in: "abcdf", 1..<2),
        Search("(a|ab)(c|bcd)", in: "abcd", 0..<4),
        Search("(a|b)*abb", in: "ababbab", 0..<5),
        Search("a.*c|b", in: "xbacbc", 1..<2),
        Search("a+", in: "baaac", 1..<4),
        Search("a{2}", in: "baaaa", 1..<3),
        Search("ab", in: "aaab", 2..<4),
        Search("aab", in: "aaaab", 2..<5),
        Search("b", in: "aab", 2..<3),
        Search("b", in: "aaa", nil),
        Search("x", in: "", nil),
        Search("aa|a", in: "a", 0..<1),
    ]

    static let empty: [Search] = [
        Search("", in: "", 0..<0),
        Search("", in: "abc", 0..<0),
        Search("a*", in: "baaa", 0..<0),
        Search("x*", in: "", 0..<0),
        Search("^", in: "abc", 0..<0),
        Search("$", in: "abc", 3..<3),
        Search("^$", in: "a", nil),
        Search("^b", in: "ab", nil),
        Search("^a", in: "aa", 0..<1),
        Search("a$", in: "aab", nil),
        Search("a$", in: "aa", 1..<2),
        Search("b|^", in: "ab", 0..<0),
        Search("a^b|b", in: "ab", 1..<2),
    ]

    static let unicode: [Search] = [
        Search("é", in: "caféé", 3..<5),
        Search("é+", in: "caféé", 3..<7),
        Search(".", in: "😀a", 0..<4),
        Search("b", in: "a😀b", 5..<6),
        Search("a.b", in: "a中b", 0..<5),
        Search("[^a-z]+", in: "naïve", 2..<4),
        Search("[一-龥]+", in: "ab中文c", 2..<8),
        Search("$", in: "é", 2..<2),
        Search("x*$", in: "éxx", 2..<4),
        Search("\u{301}", in: "e\u{301}", 1..<3),
        Search(".*", in: "ab\ncd", 0..<2),
        Search(".+", in: "\r\n\nx", 3..<4),
        Search("[^x]*", in: "ab\r\ncd", 0..<6),
        Search("\u{0}", in: "a\u{0}", 1..<2),
    ]

    static let searches: [Search] = [longest, empty, unicode].flatMap { $0 }

    static let anyCase: [Search] = [
        Search("abc", in: "xABc", 1..<4),
        Search("ABC", in: "abc", 0..<3),
        Search("É+", in: "xéÉ", 1..<5),
        Search("σ", in: "Σ", 0..<2),
        Search("[a-c]+", in: "xBAc", 1..<4),
        Search("[A-C]+", in: "xBAc", 1..<4),
        Search("[à-é]", in: "É", 0..<2),
        Search("[^a-z]", in: "Q1", 1..<2),
        Search("[^A-Z]", in: "q1", 1..<2),
        Search("[^a]", in: "A", nil),
        Search("[^A]", in: "aAb", 2..<3),
        Search("[^É]", in: "é", nil),
        Search("straße", in: "STRASSE", nil),
        Search("a1_", in: "A1_", 0..<3),
        Search("x", in: "y", nil),
    ]
}

struct LinearRegexSearchTests {
    @Test(arguments: SearchTables.searches)
    func `the leftmost match is found, and the longest of those`(search: SearchTables.Search) throws {
        let regex = try LinearRegex(search.pattern)
        #expect(regex.firstMatch(in: search.text) == search.found)
        #expect(regex.matches(search.text) == (search.found != nil))
        #expect(regex.matchesWhole(search.text) == (search.found == 0..<search.text.utf8.count))
    }

    @Test(arguments: SearchTables.anyCase)
    func `case is ignored when that is asked for`(search: SearchTables.Search) throws {
        let regex = try LinearRegex(search.pattern, ignoresCase: true)
        #expect(regex.firstMatch(in: search.text) == search.found)
    }

    @Test func `case counts when nothing is asked for`() throws {
        for (pattern, text, isFound) in [("abc", "ABC", false), ("[a-c]", "B", false), ("é", "É", false), ("[^a]", "A", true)] {
            let regex = try LinearRegex(pattern)
            #expect(regex.matches(text) == isFound, "\(pattern)")
        }
    }

    // MARK: Linear time

    @Test func `patterns made to be slow are not`() throws {
        for count in [1, 10, 60] {
            let text = String(repeating: "a", count: count)
            let regex = try LinearRegex("(a?){\(count)}a{\(count)}")
            #expect(regex.matchesWhole(text))
            #expect(regex.firstMatch(in: text + text + text) == 0..<2 * count)
            #expect(!regex.matches(String(text.dropLast())))
        }
        let long = String(repeating: "a", count: 2000)
        for pattern in ["(a*)*b", "(a+)+b", "(a|a)*b", "(a|aa)+b", "([a-z]+)*b", "(.*)(.*)(.*)(.*)b", "(((a*)*)*)*b", "(a*a*)*b"] {
            let regex = try LinearRegex(pattern)
            #expect(!regex.matches(long), "\(pattern)")
            #expect(regex.firstMatch(in: long + "b") == 0..<2001, "\(pattern)")
            #expect(!regex.matchesWhole(long + "bc"), "\(pattern)")
        }
    }

    // MARK: Properties

    @Test func `small patterns match as a plain reading of the rules does`() throws {
        for seed in UInt64(0)..<500 {
            var generator = SeededGenerator(seed: seed)
            let tree = Tree.random(4, &generator)
            let regex = try LinearRegex(tree.pattern)
            for _ in 0..<8 {
                let count = Int.random(in: 0...7, using: &generator)
                let letters = (0..<count).map { _ in Bool.random(using: &generator) ? Character("a") : "b" }
                let text = String(letters)
                let ends = tree.ends(letters)
                let start = (0...count).first { !ends[$0].isEmpty }
                let expected = start.flatMap { start in ends[start].max().map { start..<$0 } }
                let whole = ends[0].contains(count)
                let found = regex.firstMatch(in: text)
                guard found == expected, regex.matchesWhole(text) == whole else {
                    let (was, wanted) = (String(describing: found), String(describing: expected))
                    Issue.record("seed \(seed): '\(tree.pattern)' in '\(text)' is \(was) and not \(wanted); whole \(whole)")
                    return
                }
            }
        }
    }

    private static let pieces = [
        "a", "b", "é", "中", "😀", "e\u{301}", "A", "\u{0}", "\n", ".", "*", "+", "?", "{2}", "{0,2}", "{1,}", "{0}", "{", "}", "|", "(",
        ")", "(?", "[", "]", "[^", "-", "^", "$", "\\", "\\n", "\\.", "\\-", "\\d", "\\p{Lu}", "\\P{L}", "\\p{", "[ab]", "[a-é]", "(a|b)",
        ",", "1",
    ]

    /// Nil when the pattern is refused; false when what it finds cannot be.
    private func isSound(_ pattern: String, _ text: String, ignoresCase: Bool) -> Bool? {
        do throws(LinearRegex.Problem) {
            let regex = try LinearRegex(pattern, ignoresCase: ignoresCase)
            let found = regex.firstMatch(in: text)
            let isWhole = found == 0..<text.utf8.count
            guard regex.matches(text) == (found != nil), regex.matchesWhole(text) == isWhole else { return false }
            guard let found else { return true }
            return [found.lowerBound, found.upperBound].allSatisfy { byte in
                (0...text.utf8.count).contains(byte)
                    && text.utf8.index(text.utf8.startIndex, offsetBy: byte).samePosition(in: text.unicodeScalars) != nil
            }
        } catch {
            return (0...pattern.unicodeScalars.count).contains(error.offset) ? nil : false
        }
    }

    @Test func `random pieces are taken or refused, and what is found is a match between characters`() {
        let seed: UInt64 = 9485
        var generator = SeededGenerator(seed: seed)
        func draw(_ limit: Int) -> String {
            (0..<Int.random(in: 0...limit, using: &generator)).map { _ in
                Self.pieces[Int.random(in: Self.pieces.indices, using: &generator)]
            }
            .joined()
        }
        var taken = 0
        for _ in 0..<8000 {
            let (pattern, text) = (draw(9), draw(6))
            switch isSound(pattern, text, ignoresCase: Bool.random(using: &generator)) {
            case true?: taken += 1
            case false?: Issue.record("seed \(seed): '\(pattern)' in '\(text)'")
            case nil: break
            }
        }
        #expect(taken > 500, "seed \(seed)")
    }

    @Test func `random bytes are taken or refused, and never trap`() {
        let seed: UInt64 = 9486
        var generator = SeededGenerator(seed: seed)
        func draw(_ limit: Int) -> String {
            let bytes = (0..<Int.random(in: 0...limit, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            return String(decoding: bytes, as: UTF8.self)
        }
        for _ in 0..<5000 {
            let (pattern, text) = (draw(24), draw(24))
            if isSound(pattern, text, ignoresCase: Bool.random(using: &generator)) == false {
                Issue.record("seed \(seed): \(Array(pattern.utf8)) in \(Array(text.utf8))")
            }
        }
    }

    @Test func `a pattern with any bytes changed is taken or refused, and never traps`() {
        let seed: UInt64 = 9487
        var generator = SeededGenerator(seed: seed)
        let whole = Array(#"^(a|[^b-d\p{Lu}]+x?){2,3}(é\.|\P{N}{0,4}[-z])*$"#.utf8)
        var taken = 0
        for _ in 0..<3000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: bytes.indices, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: place)
                default: bytes.insert(bytes[Int.random(in: bytes.indices, using: &generator)], at: place)
                }
            }
            switch isSound(String(decoding: bytes, as: UTF8.self), "aéx.zz", ignoresCase: false) {
            case true?: taken += 1
            case false?: Issue.record("seed \(seed): \(bytes)")
            case nil: break
            }
        }
        #expect(taken > 100, "seed \(seed)")
    }
}

/// A pattern as a tree, and the ends that it may reach by the letter of the rules.
private indirect enum Tree {
    case nothing, any, notA, either, start, end
    case letter(Character)
    case sequence(Tree, Tree)
    case choice(Tree, Tree)
    case repeated(Tree, least: Int, most: Int?)

    static func random(_ depth: Int, _ generator: inout SeededGenerator) -> Tree {
        switch Int.random(in: depth > 0 ? 0...19 : 10...19, using: &generator) {
        case 0...3: return .sequence(random(depth - 1, &generator), random(depth - 1, &generator))
        case 4...6: return .choice(random(depth - 1, &generator), random(depth - 1, &generator))
        case 7...9:
            let least = Int.random(in: 0...2, using: &generator)
            let most = Bool.random(using: &generator) ? nil : Optional(least + Int.random(in: 0...2, using: &generator))
            return .repeated(random(depth - 1, &generator), least: least, most: most)
        case 10: return .nothing
        case 11: return .any
        case 12: return .notA
        case 13: return .either
        case 14: return .start
        case 15: return .end
        case 16, 17: return .letter("a")
        default: return .letter("b")
        }
    }

    var pattern: String {
        switch self {
        case .nothing: return ""
        case .any: return "."
        case .notA: return "[^a]"
        case .either: return "[ab]"
        case .start: return "^"
        case .end: return "$"
        case .letter(let letter): return String(letter)
        case .sequence(let left, let right): return left.part + right.part
        case .choice(let left, let right): return left.pattern + "|" + right.pattern
        case .repeated(let inner, let least, let most): return inner.atom + Tree.quantifier(least, most)
        }
    }

    /// As it stands within a sequence.
    private var part: String { if case .choice = self { "(\(pattern))" } else { pattern } }

    /// As it stands before a quantifier.
    private var atom: String {
        switch self {
        case .nothing, .sequence, .choice, .repeated: "(\(pattern))"
        case .any, .notA, .either, .start, .end, .letter: pattern
        }
    }

    private static func quantifier(_ least: Int, _ most: Int?) -> String {
        switch (least, most) {
        case (0, nil): "*"
        case (1, nil): "+"
        case (0, 1?): "?"
        case (_, nil): "{\(least),}"
        case (_, let most?): most == least ? "{\(least)}" : "{\(least),\(most)}"
        }
    }

    /// For every place of the text, where a match that begins there may end.
    func ends(_ text: [Character]) -> [Set<Int>] {
        let places = Array(0...text.count)
        func step(_ isTaken: (Character) -> Bool) -> [Set<Int>] {
            places.map { place in place < text.count && isTaken(text[place]) ? [place + 1] : [] }
        }
        switch self {
        case .nothing: return places.map { [$0] }
        case .any, .either: return step { _ in true }
        case .notA: return step { $0 != "a" }
        case .letter(let letter): return step { $0 == letter }
        case .start: return places.map { $0 == 0 ? [$0] : [] }
        case .end: return places.map { $0 == text.count ? [$0] : [] }
        case .sequence(let left, let right): return Tree.after(left.ends(text), right.ends(text))
        case .choice(let left, let right): return zip(left.ends(text), right.ends(text)).map { $0.union($1) }
        case .repeated(let inner, let least, let most):
            let once = inner.ends(text)
            let none = [Set<Int>](repeating: [], count: places.count)
            var reached: [Set<Int>] = places.map { [$0] }
            var found = least == 0 ? reached : none
            var count = 0
            while count < most ?? (least + text.count + 1) {
                reached = Tree.after(reached, once)
                count += 1
                if count >= least { found = zip(found, reached).map { $0.union($1) } }
            }
            return found
        }
    }

    private static func after(_ first: [Set<Int>], _ second: [Set<Int>]) -> [Set<Int>] {
        first.map { ends in Set(ends.flatMap { second[$0] }) }
    }
}

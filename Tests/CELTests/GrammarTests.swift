import CEL
import Primitives
import Testing

/// Common Expression Language specification, "Syntax": what binds tighter, and to which side.
struct GrammarTests {
    static let bare: [(String, String)] = [
        ("a || b && c", "a || (b && c)"), ("a && b || c", "(a && b) || c"), ("a || b || c", "(a || b) || c"),
        ("a && b && c", "(a && b) && c"), ("!a && b", "(!a) && b"), ("!a || b", "(!a) || b"), ("!a == b", "(!a) == b"),
        ("!!a == b", "(!(!a)) == b"), ("a == b && c", "(a == b) && c"), ("a && b == c", "a && (b == c)"), ("a || b != c", "a || (b != c)"),
        ("a < b == c", "(a < b) == c"), ("a == b < c", "(a == b) < c"), ("a <= b || c && !a", "(a <= b) || (c && (!a))"),
        ("a > b >= c", "(a > b) >= c"),
    ]

    @Test(arguments: GrammarTests.bare)
    func `without parentheses it means the same as with them`(bare: String, full: String) throws {
        for bits in 0..<8 {
            let scope: Value = ["a": .bool(bits & 1 != 0), "b": .bool(bits & 2 != 0), "c": .bool(bits & 4 != 0)]
            let left = try evaluate(bare, over: scope)
            let right = try evaluate(full, over: scope)
            #expect(left == right, "\(bare) with bits \(bits)")
        }
    }

    @Test func `relations associate to the left`() throws {
        for text in ["1 < 2 == true", "2 == 2 == true", "3 > 2 != false", "'a' < 'b' == true"] {
            let value = try evaluate(text)
            #expect(value == .bool(true), "\(text)")
        }
        let value = try evaluate("3 > 2 > true")
        #expect(value == .bool(false))
    }

    @Test func `a minus sign binds tighter than a relation and looser than a path`() throws {
        let scope: Value = ["data": ["n": 5, "list": [7]]]
        for text in ["-1 < 0", "-data.n == -5", "0 > -data.list[0]", "--data.n == 5", "- 3 == -3", "-(-3) == 3", "-data.n < 1"] {
            let value = try evaluate(text, over: scope)
            #expect(value == .bool(true), "\(text)")
        }
    }

    @Test func `a path binds tighter than negation`() throws {
        let scope: Value = ["data": ["flags": [false, true]]]
        let value = try evaluate("!data.flags[0] && data.flags[1]", over: scope)
        #expect(value == .bool(true))
    }

    @Test func `blanks, line ends and comments stand between tokens`() throws {
        let scope: Value = ["data": ["n": 5]]
        for text in [
            " data . n==5 ", "data\n.n\t==\r\n5", "data.n // the count\n == 5", "data.n == 5 // nothing follows", "\u{C}data.n==5",
        ] {
            let value = try evaluate(text, over: scope)
            #expect(value == .bool(true), "\(text)")
        }
    }

    // MARK: Random trees

    private indirect enum Tree {
        case name(String)
        case not(Tree)
        case both(Tree, Tree)
        case either(Tree, Tree)

        static func random(_ depth: Int, _ generator: inout SeededGenerator) -> Tree {
            switch depth == 0 ? 0 : Int.random(in: 0..<6, using: &generator) {
            case 0: .name(["a", "b", "c"][Int.random(in: 0..<3, using: &generator)])
            case 1: .not(random(depth - 1, &generator))
            case 2, 3: .both(random(depth - 1, &generator), random(depth - 1, &generator))
            default: .either(random(depth - 1, &generator), random(depth - 1, &generator))
            }
        }

        /// With the parentheses that the grammar needs and no more.
        func text(within level: Int = 0) -> String {
            let (own, text): (Int, String) =
                switch self {
                case .name(let name): (4, name)
                case .not(let part): (3, "!" + part.text(within: 3))
                case .both(let left, let right): (2, left.text(within: 2) + " && " + right.text(within: 3))
                case .either(let left, let right): (1, left.text(within: 1) + " || " + right.text(within: 2))
                }
            return own < level ? "(\(text))" : text
        }

        func holds(_ flags: [String: Bool]) -> Bool {
            switch self {
            case .name(let name): flags[name] ?? false
            case .not(let part): !part.holds(flags)
            case .both(let left, let right): left.holds(flags) && right.holds(flags)
            case .either(let left, let right): left.holds(flags) || right.holds(flags)
            }
        }
    }

    @Test func `random logic means what its tree means`() throws {
        for seed in UInt64(1)...500 {
            var generator = SeededGenerator(seed: seed)
            let tree = Tree.random(5, &generator)
            let text = tree.text()
            for bits in 0..<8 {
                let flags = ["a": bits & 1 != 0, "b": bits & 2 != 0, "c": bits & 4 != 0]
                let scope: Value = ["a": .bool(bits & 1 != 0), "b": .bool(bits & 2 != 0), "c": .bool(bits & 4 != 0)]
                let value = try evaluate(text, over: scope)
                #expect(value == .bool(tree.holds(flags)), "seed \(seed): \(text)")
            }
        }
    }
}

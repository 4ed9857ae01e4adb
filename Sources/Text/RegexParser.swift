/// Reads a pattern by the grammar of RFC 9485 section 3, with anchors.
struct RegexParser {
    typealias Problem = LinearRegex.Problem
    typealias Node = LinearRegex.Node

    private let scalars: [Unicode.Scalar]
    private var position = 0

    init(_ pattern: String) { scalars = Array(pattern.unicodeScalars) }

    mutating func parse() throws(Problem) -> Node {
        let node = try choice(depth: 0)
        if let rest = peek { throw problem(rest == ")" ? "')' without '('" : "unexpected '\(rest)'") }
        return node
    }

    private var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private func problem(_ message: String, at place: Int? = nil) -> Problem { Problem(message: message, offset: place ?? position) }

    private mutating func choice(depth: Int) throws(Problem) -> Node {
        guard depth <= LinearRegex.depthLimit else { throw problem("groups nested deeper than \(LinearRegex.depthLimit)") }
        var branches = [try branch(depth)]
        while peek == "|" {
            position += 1
            branches.append(try branch(depth))
        }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func branch(_ depth: Int) throws(Problem) -> Node {
        var pieces: [Node] = []
        while let next = peek, next != "|", next != ")" {
            let atom = try atom(depth)
            pieces.append(try quantified(atom))
        }
        return pieces.isEmpty ? .empty : pieces.count == 1 ? pieces[0] : .sequence(pieces)
    }

    private mutating func atom(_ depth: Int) throws(Problem) -> Node {
        let start = position
        guard let next = peek else { throw problem("the pattern ends too early") }
        position += 1
        switch next {
        case ".": return .any
        case "^": return .start
        case "$": return .end
        case "(":
            if peek == "?" { throw problem("'(?' is not in RFC 9485; groups are plain (...)", at: start) }
            let inner = try choice(depth: depth + 1)
            guard peek == ")" else { throw problem("'(' is not closed", at: start) }
            position += 1
            return inner
        case "[": return .set(try characterClass(start))
        case "\\": return try escape(start)
        case "*", "+", "?", "{": throw problem("'\(next)' has nothing to repeat; write \\\(next) for the character", at: start)
        case "]", "}": throw problem("'\(next)' must be written \\\(next)", at: start)
        default: return .scalar(next.value)
        }
    }

    private mutating func quantified(_ atom: Node) throws(Problem) -> Node {
        guard let next = peek else { return atom }
        let start = position
        let node: Node
        switch next {
        case "*": node = .repeated(atom, least: 0, most: nil)
        case "+": node = .repeated(atom, least: 1, most: nil)
        case "?": node = .repeated(atom, least: 0, most: 1)
        case "{":
            position += 1
            let node = try bounds(atom, start)
            return try again(node)
        default: return atom
        }
        position += 1
        return try again(node)
    }

    /// What several engines take for lazy or possessive is refused by its name.
    private func again(_ node: Node) throws(Problem) -> Node {
        guard let next = peek, ["*", "+", "?", "{"].contains(next) else { return node }
        throw problem("'\(next)' after a quantifier is not in RFC 9485")
    }

    private mutating func bounds(_ atom: Node, _ start: Int) throws(Problem) -> Node {
        guard let least = try number() else { throw problem("'{' needs a number, as {2} or {2,5}", at: start) }
        var most: Int? = least
        if peek == "," {
            position += 1
            most = try number()
        }
        guard peek == "}" else { throw problem("'{' is not closed", at: start) }
        position += 1
        if let most, most < least { throw problem("{\(least),\(most)} counts down", at: start) }
        return .repeated(atom, least: least, most: most)
    }

    private mutating func number() throws(Problem) -> Int? {
        var value: Int?
        while let digit = peek, ("0"..."9").contains(digit) {
            value = (value ?? 0) * 10 + Int(digit.value - 48)
            guard value ?? 0 <= LinearRegex.repetitionLimit else { throw problem("more than \(LinearRegex.repetitionLimit) repetitions") }
            position += 1
        }
        return value
    }

    private mutating func escape(_ start: Int) throws(Problem) -> Node {
        if let (name, isNegated) = try category(start) { return .set(ScalarSet(categories: [(name, isNegated)])) }
        return .scalar(try escaped(start))
    }

    /// After a backslash that has been read.
    private mutating func escaped(_ start: Int) throws(Problem) -> UInt32 {
        guard let next = peek else { throw problem("the pattern ends after '\\'", at: start) }
        position += 1
        switch next {
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "(", ")", "*", "+", "-", ".", "?", "[", "\\", "]", "^", "{", "|", "}", "$", "/": return next.value
        case "d": throw problem("'\\d' is not in RFC 9485; write [0-9] or \\p{Nd}", at: start)
        case "w": throw problem("'\\w' is not in RFC 9485; write [A-Za-z0-9_]", at: start)
        case "s": throw problem("'\\s' is not in RFC 9485; write [ \\t\\n\\r]", at: start)
        default: throw problem("'\\\(next)' is not in RFC 9485", at: start)
        }
    }

    /// `\p{Lu}` or `\P{Lu}`; nil when something else stands there.
    private mutating func category(_ start: Int) throws(Problem) -> (String, Bool)? {
        guard let letter = peek, letter == "p" || letter == "P" else { return nil }
        position += 1
        guard peek == "{" else { throw problem("'\\\(letter)' needs a category, as \\\(letter){Lu}", at: start) }
        position += 1
        var name = ""
        while let next = peek, next != "}" {
            name.unicodeScalars.append(next)
            position += 1
        }
        guard peek == "}" else { throw problem("'\\\(letter){' is not closed", at: start) }
        position += 1
        guard ScalarSet.names.contains(name) else { throw problem("no Unicode category '\(name)'", at: start) }
        return (name, letter == "P")
    }

    private mutating func characterClass(_ start: Int) throws(Problem) -> ScalarSet {
        var set = ScalarSet()
        if peek == "^" {
            set.isNegated = true
            position += 1
        }
        let begin = position
        while let next = peek, next != "]" {
            let place = position
            position += 1
            if next == "-" {
                let isLast = peek == "]" || peek == nil
                guard place == begin || isLast else {
                    throw problem("'-' stands first or last in a class, else it is written \\-", at: place)
                }
                set.ranges.append(0x2D...0x2D)
            } else if next == "\\" {
                if let (name, isNegated) = try category(place) {
                    set.categories.append((name, isNegated))
                    continue
                }
                try range(from: try escaped(place), place, &set)
            } else if next == "[" {
                throw problem("'[' within a class must be written \\[", at: place)
            } else {
                try range(from: next.value, place, &set)
            }
        }
        guard peek == "]" else { throw problem("'[' is not closed", at: start) }
        position += 1
        if set.ranges.isEmpty, set.categories.isEmpty { throw problem("an empty class matches nothing", at: start) }
        return set
    }

    /// `a` or `a-z`; a '-' first or last stands for itself.
    private mutating func range(from low: UInt32, _ place: Int, _ set: inout ScalarSet) throws(Problem) {
        guard peek == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else { return set.ranges.append(low...low) }
        position += 1
        guard let next = peek else { throw problem("the pattern ends within a class") }
        let end = position
        guard next != "[", next != "-" else { throw problem("'\(next)' ends no range; it is written \\\(next)", at: end) }
        position += 1
        let high = next == "\\" ? try escaped(end) : next.value
        guard low <= high else { throw problem("a range that counts down", at: place) }
        set.ranges.append(low...high)
    }
}

/// Turns a pattern's tree into a program.
struct RegexCompiler {
    typealias Node = LinearRegex.Node
    typealias Instruction = LinearRegex.Instruction

    private(set) var program: [Instruction] = []
    private(set) var sets: [ScalarSet] = []
    private let ignoresCase: Bool

    init(ignoresCase: Bool) { self.ignoresCase = ignoresCase }

    /// False when the program is full.
    mutating func emit(_ instruction: Instruction) -> Bool {
        program.append(instruction)
        return program.count <= LinearRegex.programLimit
    }

    mutating func compile(_ node: Node) -> Bool {
        switch node {
        case .empty: return true
        case .any: return emit(.any)
        case .start: return emit(.start)
        case .end: return emit(.end)
        case .scalar(let scalar): return emit(.scalar(ignoresCase ? folded(scalar) : scalar))
        case .set(let set):
            let place = sets.firstIndex(of: set) ?? sets.count
            if place == sets.count { sets.append(set) }
            return emit(.set(place))
        case .sequence(let nodes): return nodes.allSatisfy { compile($0) }
        case .choice(let nodes): return choice(nodes)
        case .repeated(let inner, let least, let most): return repeated(inner, least, most)
        }
    }

    private mutating func choice(_ nodes: [Node]) -> Bool {
        var jumps: [Int] = []
        for (place, node) in nodes.enumerated() {
            let isLast = place == nodes.count - 1
            let split = program.count
            if !isLast, !emit(.split(0, 0)) { return false }
            guard compile(node) else { return false }
            guard !isLast else { break }
            jumps.append(program.count)
            guard emit(.jump(0)) else { return false }
            program[split] = .split(split + 1, program.count)
        }
        for jump in jumps { program[jump] = .jump(program.count) }
        return true
    }

    private mutating func repeated(_ inner: Node, _ least: Int, _ most: Int?) -> Bool {
        for _ in 0..<least {
            let before = program.count
            guard compile(inner) else { return false }
            // Nothing, however often, is nothing.
            if program.count == before { return true }
        }
        guard let most else {
            let split = program.count
            guard emit(.split(0, 0)), compile(inner), emit(.jump(split)) else { return false }
            program[split] = .split(split + 1, program.count)
            return true
        }
        var splits: [Int] = []
        for _ in least..<most {
            splits.append(program.count)
            guard emit(.split(0, 0)), compile(inner) else { return false }
            if program.count == splits[splits.count - 1] + 1 { break }
        }
        for split in splits { program[split] = .split(split + 1, program.count) }
        return true
    }
}

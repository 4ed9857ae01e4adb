import Primitives

/// A regular expression after RFC 9485 (I-Regexp), with `^` and `$` as anchors of the text. Searching takes time in proportion to text
/// times pattern whatever they hold: all alternatives are followed at once (Thompson 1968, Pike's machine), and nothing is ever tried twice.
package struct LinearRegex: Sendable {
    /// Bytes of a pattern.
    package static let patternLimit = 4096
    /// Instructions after repetitions are written out.
    package static let programLimit = 10_000
    package static let depthLimit = 64
    package static let repetitionLimit = 1000

    /// Why a pattern is refused, and at which character (Unicode scalar) of it.
    package struct Problem: Error, Equatable, Sendable, CustomStringConvertible {
        package var message: String
        package var offset: Int
        package var description: String { "\(message) at character \(offset + 1) of the pattern" }
    }

    indirect enum Node: Equatable, Sendable {
        case empty, any, start, end
        case scalar(UInt32)
        case set(ScalarSet)
        case sequence([Node])
        case choice([Node])
        case repeated(Node, least: Int, most: Int?)
    }

    enum Instruction: Equatable, Sendable {
        case scalar(UInt32)
        case any
        case set(Int)
        case split(Int, Int)
        case jump(Int)
        case start, end, match
    }

    package let pattern: String
    package let ignoresCase: Bool
    private let program: [Instruction]
    private let sets: [ScalarSet]
    /// What a match must begin with; lets a search skip over text that cannot match.
    private let first: UInt32?

    /// - Parameters:
    ///   - ignoresCase: compares by simple lower case.
    ///   - programLimit: fewer instructions where one pattern is held against very many texts.
    package init(_ pattern: String, ignoresCase: Bool = false, programLimit: Int = Self.programLimit) throws(Problem) {
        guard pattern.utf8.count <= Self.patternLimit else {
            throw Problem(message: "the pattern has \(pattern.utf8.count) bytes, at most \(Self.patternLimit) are taken", offset: 0)
        }
        var parser = RegexParser(pattern)
        let node = try parser.parse()
        var compiler = RegexCompiler(ignoresCase: ignoresCase)
        guard compiler.compile(node), compiler.emit(.match), compiler.program.count <= programLimit else {
            throw Problem(message: "the pattern's repetitions make more than \(programLimit) steps", offset: 0)
        }
        self.pattern = pattern
        self.ignoresCase = ignoresCase
        program = compiler.program
        sets = compiler.sets
        first = ignoresCase ? nil : Self.first(of: program)
    }

    private static func first(of program: [Instruction]) -> UInt32? {
        if case .scalar(let scalar)? = program.first, scalar < 0x80 { return scalar }
        return nil
    }

    /// Whether the whole text matches, as I-Regexp means it.
    package func matchesWhole(_ text: String) -> Bool {
        var found = false
        search(text) { range, count in
            found = range == 0..<count
            return found
        } anchored: {
            true
        }
        return found
    }

    /// Whether it matches anywhere.
    package func matches(_ text: String) -> Bool {
        var found = false
        search(text) { _, _ in
            found = true
            return true
        } anchored: {
            false
        }
        return found
    }

    /// The leftmost match, the longest of those, in bytes of UTF-8.
    package func firstMatch(in text: String) -> Range<Int>? {
        var best: Range<Int>?
        search(text) { range, _ in
            if let found = best, range.lowerBound > found.lowerBound || range.upperBound <= found.upperBound { return false }
            best = range
            return false
        } anchored: {
            false
        }
        return best
    }

    // MARK: The machine

    private struct Threads {
        var places: [(pc: Int, start: Int)] = []
        var seen: [Int]
        var generation = 0

        init(_ count: Int) { seen = Array(repeating: -1, count: count) }

        mutating func clear() {
            places.removeAll(keepingCapacity: true)
            generation += 1
        }
    }

    /// Hands every end of a match to `visit` until it says that it has seen enough. Threads that began earlier come first, so that a
    /// later one never hides them.
    private func search(_ text: String, visit: (Range<Int>, Int) -> Bool, anchored: () -> Bool) {
        var text = text
        text.withUTF8 { bytes in
            var (now, next) = (Threads(program.count), Threads(program.count))
            var stack: [Int] = []
            var position = 0
            let isAnchored = anchored()
            var least = Int.max
            now.clear()
            while true {
                if now.places.isEmpty, least == .max, !isAnchored || position == 0, let first {
                    while position < bytes.count, UInt32(bytes[position]) != first { position += 1 }
                }
                if least == .max, !isAnchored || position == 0 { follow(0, position, position, bytes.count, &now, &stack) }
                if now.places.isEmpty, least != .max || isAnchored || position >= bytes.count { return }
                var scalar: UInt32 = 0
                var width = 0
                if position < bytes.count { (scalar, width) = decoded(bytes, position) }
                let compared = ignoresCase ? folded(scalar) : scalar
                next.clear()
                for thread in now.places where thread.start <= least {
                    switch program[thread.pc] {
                    case .match:
                        least = min(least, thread.start)
                        if visit(thread.start..<position, bytes.count) { return }
                    case .scalar(let wanted) where width > 0 && wanted == compared:
                        follow(thread.pc + 1, thread.start, position + width, bytes.count, &next, &stack)
                    case .any where width > 0 && scalar != 0x0A && scalar != 0x0D:
                        follow(thread.pc + 1, thread.start, position + width, bytes.count, &next, &stack)
                    case .set(let set) where width > 0 && (ignoresCase ? sets[set].containsAnyCase(scalar) : sets[set].contains(scalar)):
                        follow(thread.pc + 1, thread.start, position + width, bytes.count, &next, &stack)
                    case .scalar, .any, .set, .split, .jump, .start, .end: break
                    }
                }
                guard width > 0 else { return }
                swap(&now, &next)
                position += width
            }
        }
    }

    private func follow(_ pc: Int, _ start: Int, _ position: Int, _ count: Int, _ threads: inout Threads, _ stack: inout [Int]) {
        stack.append(pc)
        while let pc = stack.popLast() {
            guard threads.seen[pc] != threads.generation else { continue }
            threads.seen[pc] = threads.generation
            switch program[pc] {
            case .jump(let target): stack.append(target)
            case .split(let one, let other):
                stack.append(other)
                stack.append(one)
            case .start: if position == 0 { stack.append(pc + 1) }
            case .end: if position == count { stack.append(pc + 1) }
            case .scalar, .any, .set, .match: threads.places.append((pc, start))
            }
        }
    }
}

extension LinearRegex: Equatable {
    package static func == (left: LinearRegex, right: LinearRegex) -> Bool {
        sameBytes(left.pattern, right.pattern) && left.ignoresCase == right.ignoresCase
    }
}

/// The scalar at a place of valid UTF-8, and its bytes.
private func decoded(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int) -> (UInt32, Int) {
    let head = UInt32(bytes[position])
    func tail(_ place: Int) -> UInt32 { position + place < bytes.count ? UInt32(bytes[position + place]) & 0x3F : 0 }
    if head < 0x80 { return (head, 1) }
    if head < 0xE0 { return ((head & 0x1F) << 6 | tail(1), 2) }
    if head < 0xF0 { return ((head & 0x0F) << 12 | tail(1) << 6 | tail(2), 3) }
    return ((head & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4)
}

/// Simple lower case of one scalar.
func folded(_ scalar: UInt32) -> UInt32 {
    if scalar < 0x80 { return (0x41...0x5A).contains(scalar) ? scalar + 32 : scalar }
    guard let known = Unicode.Scalar(scalar) else { return scalar }
    let lower = known.properties.lowercaseMapping.unicodeScalars
    return lower.count == 1 ? lower[lower.startIndex].value : scalar
}

/// Scalars by ranges and general categories.
struct ScalarSet: Equatable, Sendable {
    var ranges: [ClosedRange<UInt32>] = []
    /// `L`, `Lu`, `Nd`, ... and whether it is turned round.
    var categories: [(name: String, isNegated: Bool)] = []
    var isNegated = false

    func contains(_ scalar: UInt32) -> Bool {
        let found =
            ranges.contains { $0.contains(scalar) } || categories.contains { Self.has(scalar, $0.name) != $0.isNegated }
        return found != isNegated
    }

    func containsAnyCase(_ scalar: UInt32) -> Bool {
        guard let known = Unicode.Scalar(scalar) else { return false }
        let lower = known.properties.lowercaseMapping.unicodeScalars
        let upper = known.properties.uppercaseMapping.unicodeScalars
        let folds = [scalar] + [lower, upper].filter { $0.count == 1 }.map { $0[$0.startIndex].value }
        return isNegated ? folds.allSatisfy(contains) : folds.contains(where: contains)
    }

    static func == (left: ScalarSet, right: ScalarSet) -> Bool {
        left.ranges == right.ranges && left.isNegated == right.isNegated
            && left.categories.elementsEqual(right.categories) { $0 == $1 }
    }

    static func has(_ scalar: UInt32, _ category: String) -> Bool {
        guard let known = Unicode.Scalar(scalar) else { return false }
        let name = Self.name(known.properties.generalCategory)
        return category.utf8.count == 1 ? name.hasPrefix(category) : name == category
    }

    static let names: Set<String> = [
        "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Z",
        "Zl", "Zp", "Zs", "S", "Sc", "Sk", "Sm", "So", "C", "Cc", "Cf", "Cn", "Co",
    ]

    private static func name(_ category: Unicode.GeneralCategory) -> String {
        switch category {
        case .uppercaseLetter: "Lu"
        case .lowercaseLetter: "Ll"
        case .titlecaseLetter: "Lt"
        case .modifierLetter: "Lm"
        case .otherLetter: "Lo"
        case .nonspacingMark: "Mn"
        case .spacingMark: "Mc"
        case .enclosingMark: "Me"
        case .decimalNumber: "Nd"
        case .letterNumber: "Nl"
        case .otherNumber: "No"
        case .connectorPunctuation: "Pc"
        case .dashPunctuation: "Pd"
        case .openPunctuation: "Ps"
        case .closePunctuation: "Pe"
        case .initialPunctuation: "Pi"
        case .finalPunctuation: "Pf"
        case .otherPunctuation: "Po"
        case .mathSymbol: "Sm"
        case .currencySymbol: "Sc"
        case .modifierSymbol: "Sk"
        case .otherSymbol: "So"
        case .spaceSeparator: "Zs"
        case .lineSeparator: "Zl"
        case .paragraphSeparator: "Zp"
        case .control: "Cc"
        case .format: "Cf"
        case .surrogate: "Cs"
        case .privateUse: "Co"
        case .unassigned: "Cn"
        @unknown default: "Cn"
        }
    }
}

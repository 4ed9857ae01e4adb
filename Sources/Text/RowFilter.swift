package import Primitives

/// Which rows of a list are wanted, as people type it. Terms stand beside each other, and all must hold:
///
///     word          the row's text has it (any case, unless the word has a capital)
///     "two words"   the same with spaces; \" is a quotation mark
///     /regex/       matches (RFC 9485 with anchors)
///     ~wrd          its letters come in this order
///     !term         the term does not hold
///     state:fail    a column has it; also state=failed, state!=failed, name~^w-, queue>100, age>=5s, age<2m,
///                   level>=warning
///
/// The same text filters on the server and marks what matches on a screen.
package struct RowFilter: Equatable, Sendable {
    /// Bytes of a filter.
    package static let limit = 1000

    /// Why a filter is refused, and at which character.
    package struct Problem: Error, Equatable, Sendable, CustomStringConvertible {
        package var message: String
        package var offset: Int
        package var description: String { "\(message) (at character \(offset + 1) of the filter)" }
    }

    package enum Comparison: String, Sendable {
        case has = ":"
        case equal = "="
        case unequal = "!="
        case above = ">"
        case least = ">="
        case below = "<"
        case most = "<="
        case like = "~"
    }

    indirect enum Term: Equatable, Sendable {
        case text(String, exactCase: Bool)
        case fuzzy(String)
        case regex(LinearRegex)
        case column(String, Comparison, Operand)
        case not(Term)
    }

    enum Operand: Equatable, Sendable {
        case text(String)
        case number(Double, text: String)
        case regex(LinearRegex)
    }

    package let source: String
    let terms: [Term]

    package static let all = RowFilter()
    private init() { (source, terms) = ("", []) }

    package var isEmpty: Bool { terms.isEmpty }

    /// A text as one term.
    package static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    /// The columns that it speaks of.
    package var columns: [String] {
        func names(_ term: Term) -> [String] {
            switch term {
            case .column(let name, _, _): [name]
            case .not(let inner): names(inner)
            case .text, .fuzzy, .regex: []
            }
        }
        return terms.flatMap(names)
    }

    package init(_ source: String) throws(Problem) {
        guard source.utf8.count <= Self.limit else {
            throw Problem(message: "a filter has at most \(Self.limit) bytes", offset: Self.limit)
        }
        var reader = FilterReader(source)
        self.source = source
        terms = try reader.terms()
    }

    /// - Parameters:
    ///   - column: the value of a column; nil when there is none of that name.
    ///   - text: all that the row shows, asked for only when a term needs it.
    package func matches(column: (String) -> Value?, text: () -> String) -> Bool {
        guard !terms.isEmpty else { return true }
        var whole: String?
        func shown() -> String {
            if let whole { return whole }
            let made = text()
            whole = made
            return made
        }
        return terms.allSatisfy { holds($0, column, shown) }
    }

    private func holds(_ term: Term, _ column: (String) -> Value?, _ text: () -> String) -> Bool {
        switch term {
        case .text(let word, let exactCase): Self.has(text(), word, exactCase)
        case .fuzzy(let letters): Self.fuzzy(text(), letters)
        case .regex(let regex): regex.matches(text())
        case .column(let name, let comparison, let operand): Self.compare(column(name), comparison, operand)
        case .not(let inner): !holds(inner, column, text)
        }
    }

    private static func has(_ text: String, _ word: String, _ exactCase: Bool) -> Bool {
        let wanted = Array(word.utf8)
        var text = exactCase ? text : text.lowercased()
        return text.withUTF8 { bytes in
            guard let first = wanted.first else { return true }
            guard bytes.count >= wanted.count else { return false }
            return (0...bytes.count - wanted.count).contains { bytes[$0] == first && bytes[$0...].starts(with: wanted) }
        }
    }

    private static func fuzzy(_ text: String, _ letters: String) -> Bool {
        var rest = letters.lowercased()[...]
        for character in text.lowercased() {
            guard let next = rest.first else { return true }
            if character == next { rest = rest.dropFirst() }
        }
        return rest.isEmpty
    }

    private static func compare(_ found: Value?, _ comparison: Comparison, _ operand: Operand) -> Bool {
        let found = found ?? .null
        let text = plain(found)
        switch (comparison, operand) {
        case (.has, .regex(let regex)), (.equal, .regex(let regex)), (.like, .regex(let regex)): return regex.matches(text)
        case (.unequal, .regex(let regex)): return !regex.matches(text)
        case (.has, .text(let word)), (.has, .number(_, let word)): return has(text, word.lowercased(), false)
        case (.equal, .text(let word)): return text.lowercased() == word.lowercased()
        case (.unequal, .text(let word)): return text.lowercased() != word.lowercased()
        // Ids that are made of digits are no numbers.
        case (.equal, .number(_, let word)) where found.string != nil && Double(text) != nil: return text == word
        case (.unequal, .number(_, let word)) where found.string != nil && Double(text) != nil: return text != word
        case (_, .number(let number, let word)):
            guard let value = found.number ?? Double(text) ?? Duration(text: text).map({ Double($0.milliseconds) }) else {
                return comparison == .equal ? text == word : comparison == .unequal
            }
            return ordered(value, comparison, number)
        case (_, .text(let word)):
            if let found = severity(text), let wanted = severity(word) { return ordered(found, comparison, wanted) }
            return found == .null ? false : ordered(text.lowercased(), comparison, word.lowercased())
        case (_, .regex): return false
        }
    }

    /// Levels of log lines, as swift-log has them, and severities of events are ordered by what they mean.
    private static func severity(_ text: String) -> Int? {
        ["trace", "debug", "info", "notice", "warning", "error", "critical"].firstIndex(of: text.lowercased())
    }

    private static func ordered<T: Comparable>(_ left: T, _ comparison: Comparison, _ right: T) -> Bool {
        switch comparison {
        case .above: left > right
        case .least: left >= right
        case .below: left < right
        case .most: left <= right
        case .equal, .has, .like: left == right
        case .unequal: left != right
        }
    }

    package static func plain(_ value: Value) -> String {
        switch value {
        case .null: ""
        case .string(let text): text
        case .bool, .int, .uint, .double, .list, .map: JSONWriter.text(value)
        }
    }
}

/// Reads the terms of a filter.
private struct FilterReader {
    typealias Problem = RowFilter.Problem
    typealias Term = RowFilter.Term

    private let characters: [Character]
    private var position = 0

    init(_ source: String) { characters = Array(source) }

    mutating func terms() throws(Problem) -> [Term] {
        var terms: [Term] = []
        while true {
            while position < characters.count, characters[position].isWhitespace { position += 1 }
            guard position < characters.count else { return terms }
            if let term = try term() { terms.append(term) }
        }
    }

    private var peek: Character? { position < characters.count ? characters[position] : nil }

    private mutating func term() throws(Problem) -> Term? {
        let start = position
        switch peek {
        case "!":
            position += 1
            guard let inner = try term() else { throw Problem(message: "'!' needs something to turn round", offset: start) }
            return .not(inner)
        case "~":
            position += 1
            let letters = word()
            guard !letters.isEmpty else { throw Problem(message: "'~' needs letters", offset: start) }
            return .fuzzy(letters)
        case "/": return .regex(try regex())
        case "\"":
            let text = try quoted()
            let isExact = text.contains(where: \.isUppercase)
            return .text(isExact ? text : text.lowercased(), exactCase: isExact)
        case nil: return nil
        default: break
        }
        if peek?.isWhitespace == true { return nil }
        return try columnOrWord()
    }

    private mutating func columnOrWord() throws(Problem) -> Term {
        let start = position
        var name = ""
        while let next = peek, next.isLetter || next.isNumber || next == "_" || next == "." || next == "-" {
            name.append(next)
            position += 1
        }
        let isTime = !name.isEmpty && name.allSatisfy(\.isNumber) && peek == ":"
        if !name.isEmpty, !isTime, let comparison = comparison() {
            let place = position
            switch peek {
            case "/": return .column(name, comparison, .regex(try regex()))
            case "\"": return .column(name, comparison, .text(try quoted()))
            default: break
            }
            let text = word()
            if comparison == .like { return .column(name, comparison, .regex(try regex(text, at: place))) }
            guard !text.isEmpty || comparison == .equal || comparison == .unequal else {
                throw Problem(message: "'\(name)\(comparison.rawValue)' needs a value", offset: place)
            }
            if let first = text.first, "<>=".contains(first) {
                throw Problem(
                    message: "'\(name)\(comparison.rawValue)' needs a value, not '\(first)'; quote it if it is one", offset: place)
            }
            return .column(name, comparison, Self.operand(text))
        }
        position = start
        let text = word()
        return .text(text.contains(where: \.isUppercase) ? text : text.lowercased(), exactCase: text.contains(where: \.isUppercase))
    }

    private static func operand(_ text: String) -> RowFilter.Operand {
        if let number = Double(text), number.isFinite { return .number(number, text: text) }
        if let last = text.last, last.isLetter, text.first?.isNumber == true, let duration = Duration(text: text) {
            return .number(Double(duration.milliseconds), text: text)
        }
        return .text(text)
    }

    private mutating func comparison() -> RowFilter.Comparison? {
        for text in ["!=", ">=", "<=", ">", "<", "=", ":", "~"] where characters[position...].starts(with: text) {
            // A URL or a time of day is a word, not a column.
            if text == ":", position + 1 < characters.count, characters[position + 1] == "/", position + 2 < characters.count,
                characters[position + 2] == "/"
            {
                return nil
            }
            position += text.count
            return RowFilter.Comparison(rawValue: text)
        }
        return nil
    }

    private mutating func word() -> String {
        var text = ""
        while let next = peek, !next.isWhitespace {
            text.append(next)
            position += 1
        }
        return text
    }

    private mutating func quoted() throws(Problem) -> String {
        let start = position
        position += 1
        var text = ""
        while let next = peek, next != "\"" {
            if next == "\\", position + 1 < characters.count, characters[position + 1] == "\"" || characters[position + 1] == "\\" {
                position += 1
            }
            text.append(characters[position])
            position += 1
        }
        guard peek == "\"" else { throw Problem(message: "the quotation is not closed", offset: start) }
        position += 1
        return text
    }

    /// `/.../`; the closing slash may be left out at the end, as one types it.
    private mutating func regex() throws(Problem) -> LinearRegex {
        let start = position
        position += 1
        var pattern = ""
        while let next = peek, next != "/" {
            if next == "\\", position + 1 < characters.count {
                pattern.append(next)
                position += 1
            }
            pattern.append(characters[position])
            position += 1
        }
        if peek == "/" { position += 1 }
        return try regex(pattern, at: start + 1)
    }

    /// Instructions of a filter's expression: it is held against every row of a list.
    private static let regexLimit = 1000

    private func regex(_ pattern: String, at start: Int) throws(Problem) -> LinearRegex {
        do throws(LinearRegex.Problem) {
            return try LinearRegex(
                pattern, ignoresCase: !pattern.contains(where: \.isUppercase), programLimit: Self.regexLimit)
        } catch {
            let before = String(String.UnicodeScalarView(pattern.unicodeScalars.prefix(error.offset)))
            throw Problem(message: error.message, offset: start + before.count)
        }
    }
}

/// In which order rows are wanted: up to two keys, as `state,-age`.
package struct RowOrder: Hashable, Sendable {
    package struct SortKey: Hashable, Sendable {
        package var column: String
        package var isDescending: Bool
        package init(column: String, isDescending: Bool) {
            self.column = column
            self.isDescending = isDescending
        }
    }

    package var keys: [SortKey]

    package init(keys: [SortKey] = []) { self.keys = keys }

    /// Nil when the text has more than two keys or an empty one.
    package init?(_ text: String) {
        keys = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let isDescending = part.hasPrefix("-")
            let name = isDescending ? part.dropFirst() : part
            guard !name.isEmpty, keys.count < 2 else { return nil }
            keys.append(SortKey(column: String(name), isDescending: isDescending))
        }
    }

    package var text: String { keys.map { ($0.isDescending ? "-" : "") + $0.column }.joined(separator: ",") }

    /// Whether one row comes before another; numbers before texts, nothing last whatever the direction.
    package static func precedes(_ left: Value, _ right: Value, descending: Bool) -> Ordering {
        switch (left == .null, right == .null) {
        case (true, true): return .equal
        case (true, false): return .greater
        case (false, true): return .less
        case (false, false): break
        }
        let order: Ordering
        if let numbers = Value.compareNumbers(left, right) {
            order = numbers == .unordered ? .equal : numbers
        } else if left.number != nil || right.number != nil {
            order = left.number != nil ? .less : .greater
        } else {
            let (a, b) = (RowFilter.plain(left), RowFilter.plain(right))
            order = sameBytes(a, b) ? .equal : bytesPrecede(a, b) ? .less : .greater
        }
        return descending ? order.reversed : order
    }
}

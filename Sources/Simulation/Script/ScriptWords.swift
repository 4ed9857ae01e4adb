import Primitives

/// The words of one command, taken one by one; what nobody took is an error.
struct ScriptWords: Equatable, Sendable {
    let verb: String
    private var words: [String]

    init(_ text: String) {
        var all = text.split(whereSeparator: \.isWhitespace).map(String.init)
        verb = all.isEmpty ? "" : all.removeFirst()
        words = all
    }

    var isEmpty: Bool { words.isEmpty }

    mutating func next(_ what: String) throws(ScriptError) -> String {
        guard let word = take() else { throw ScriptError("'\(verb)' wants \(what)") }
        return word
    }

    mutating func take() -> String? { words.isEmpty ? nil : words.removeFirst() }

    /// All that is left.
    mutating func rest() -> String {
        defer { words = [] }
        return words.joined(separator: " ")
    }

    func end() throws(ScriptError) {
        if let first = words.first { throw ScriptError("'\(verb)' does not know what to do with '\(first)'") }
    }

    // MARK: Options

    /// The value of `key=value`, wherever it stands.
    mutating func option(_ key: String) -> String? {
        guard let place = words.firstIndex(where: { $0.hasPrefix(key + "=") }) else { return nil }
        return String(words.remove(at: place).dropFirst(key.count + 1))
    }

    func hasOption(_ key: String) -> Bool { words.contains { $0.hasPrefix(key + "=") } }

    mutating func flag(_ name: String) -> Bool {
        guard let place = words.firstIndex(of: name) else { return false }
        words.remove(at: place)
        return true
    }

    mutating func number(_ key: String, in range: ClosedRange<UInt64>) throws(ScriptError) -> UInt64? {
        guard let text = option(key) else { return nil }
        return try Self.number(text, key, in: range)
    }

    mutating func nodes(_ key: String) throws(ScriptError) -> [NodeID]? {
        guard let text = option(key) else { return nil }
        var nodes: [NodeID] = []
        for name in text.split(separator: ",") { nodes.append(try Self.node(String(name))) }
        return nodes
    }

    // MARK: Words

    static func number(_ text: String, _ what: String, in range: ClosedRange<UInt64>) throws(ScriptError) -> UInt64 {
        guard let number = UInt64(text), range.contains(number) else {
            throw ScriptError("\(what) is a number from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
        }
        return number
    }

    static func node(_ text: String) throws(ScriptError) -> NodeID {
        do throws(IdentifierError) { return try NodeID(text) } catch { throw ScriptError(error.description) }
    }

    /// `[from->to] [kind] [count]`, in any order; a star stands for every server.
    mutating func filter() throws(ScriptError) -> (filter: MessageFilter, count: Int?) {
        var filter = MessageFilter()
        var count: Int?
        while let word = take() {
            if word.contains("->") {
                (filter.from, filter.to) = try Self.link(word)
            } else if let kind = MessageFilter.Kind(rawValue: word) {
                filter.kind = kind
            } else if word.allSatisfy(\.isNumber) {
                count = Int(try Self.number(word, "a count", in: 1...1_000_000))
            } else {
                throw ScriptError("'\(word)' is neither a link (n1->n2), a kind of message nor a count")
            }
        }
        return (filter, count)
    }

    private static func link(_ word: String) throws(ScriptError) -> (from: NodeID?, to: NodeID?) {
        let ends = word.split(separator: "->", omittingEmptySubsequences: false).map(String.init)
        guard ends.count == 2 else { throw ScriptError("'\(word)' is no link: one is written n1->n2") }
        return (ends[0] == "*" ? nil : try node(ends[0]), ends[1] == "*" ? nil : try node(ends[1]))
    }
}

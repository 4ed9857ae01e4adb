import Primitives
import Text

/// Every command with its options, as the parser of the command line describes itself: what completion and hints are made of.
package struct CommandIndex: Equatable, Sendable {
    package struct Option: Equatable, Sendable {
        package var names: [String]
        package var help: String
        package var takesValue: Bool
        package var values: [String]
    }

    package struct Node: Equatable, Sendable {
        package var name: String
        package var help: String
        package var children: [Node]
        package var options: [Option]
        package var positionals: [String]
    }

    package var root: Node

    package init() { root = Node(name: "distric", help: "", children: [], options: [], positionals: []) }

    /// - Parameter description: what `--experimental-dump-help` prints.
    package init?(json description: String) {
        guard let value = try? JSONScanner.parse(description, maximumDepth: 256), let command = value["command"] else { return nil }
        root = Self.node(command)
    }

    private static func node(_ value: Value) -> Node {
        var options: [Option] = []
        var positionals: [String] = []
        for argument in value["arguments"]?.list ?? [] {
            guard argument["shouldDisplay"]?.bool != false else { continue }
            let names = (argument["names"]?.list ?? []).compactMap { name -> String? in
                guard let text = name["name"]?.string else { return nil }
                return (name["kind"]?.string == "short" ? "-" : "--") + text
            }
            if argument["kind"]?.string == "positional" {
                positionals.append(argument["valueName"]?.string ?? "value")
            } else {
                options.append(
                    Option(
                        names: names, help: argument["abstract"]?.string ?? "", takesValue: argument["kind"]?.string == "option",
                        values: (argument["allValues"]?.list ?? []).compactMap(\.string)))
            }
        }
        let children = (value["subcommands"]?.list ?? []).filter { $0["shouldDisplay"]?.bool != false }.map(node)
        return Node(
            name: value["commandName"]?.string ?? "", help: value["abstract"]?.string ?? "",
            children: children.filter { $0.name != "help" },
            options: options, positionals: positionals)
    }

    /// One way to go on with a line.
    package struct Completion: Equatable, Sendable {
        package var text: String
        package var hint: String
    }

    /// The kinds of live objects that a word may name.
    package enum Objects: String, CaseIterable, Sendable {
        case runs, tasks, rules, workflows, messages, traces, nodes
        /// Members of the Raft group.
        case raft

        package var plural: String { self == .raft ? "members" : rawValue }
    }

    /// What the last word of a line may become.
    ///
    /// - Parameter names: live objects by kind.
    package func completions(of line: String, names: [String: [String]]) -> [Completion] {
        let (words, partial) = Self.split(line)
        var node = root
        var rest = words[...]
        while let word = rest.first, let child = node.children.first(where: { $0.name == word }) {
            node = child
            rest = rest.dropFirst()
        }
        if let last = rest.last, let option = node.options.first(where: { $0.names.contains(last) }), option.takesValue {
            let named = option.values.isEmpty ? objects(along: words).map { names[$0.rawValue] ?? [] } ?? [] : option.values
            return named.filter { $0.hasPrefix(partial) }.map { Completion(text: $0, hint: "") }
        }
        if partial.hasPrefix("-") {
            return node.options.compactMap { option in
                option.names.first { $0.hasPrefix("--") && $0.hasPrefix(partial) }.map { Completion(text: $0, hint: option.help) }
            }
        }
        if !node.children.isEmpty, rest.isEmpty {
            return Self.best(node.children.map { Completion(text: $0.name, hint: $0.help) }, partial)
        }
        guard let kind = objects(along: words) else { return [] }
        return Self.best((names[kind.rawValue] ?? []).map { Completion(text: $0, hint: "") }, partial)
    }

    /// Those that begin so; else those that have it somewhere.
    private static func best(_ all: [Completion], _ partial: String) -> [Completion] {
        let first = all.filter { $0.text.hasPrefix(partial) }
        return first.isEmpty && partial.utf8.count > 2 ? all.filter { $0.text.contains(partial) } : first
    }

    /// What the next word of a command names, when that is a live object.
    package func objects(along words: [String]) -> Objects? {
        if words.count == 2, words[0] == "cluster", ["join", "leave"].contains(words[1]) { return .nodes }
        if words.count == 2, words[0] == "demo", ["kill", "restart", "pause", "resume"].contains(words[1]) { return .nodes }
        guard let noun = words.first, words.count >= 2, let kind = Objects(rawValue: noun) else { return nil }
        switch (kind, words[1]) {
        case (.raft, "remove"), (.raft, "promote"): return words.count == 2 ? .raft : nil
        // Whoever may join is a node that is there.
        case (.raft, "add"): return words.count == 2 ? .nodes : nil
        case (.raft, "transfer"): return words.last == "--to" ? .raft : nil
        case (.raft, "log"):
            return words.last == "--node" || words.count > 2 && words.count < 5 && words[2] == "diff" ? .raft : nil
        default:
            let verbs = ["show", "cancel", "retry", "watch", "logs", "resolve", "why", "delete", "cordon", "uncordon", "drain"]
            return verbs.contains(words[1]) && words.count == 2 ? kind : nil
        }
    }

    /// What a command still wants, or says of itself.
    package func hint(for line: String) -> String {
        let (words, partial) = Self.split(line)
        var node = root
        var used = 0
        for word in words + (partial.isEmpty ? [] : [partial]) {
            guard let child = node.children.first(where: { $0.name == word }) else { break }
            node = child
            used += 1
        }
        guard used > 0 else { return "" }
        if node.children.isEmpty {
            let given = words.count + (partial.isEmpty ? 0 : 1) - used
            let wanted = node.positionals.dropFirst(given).map { "<\($0)>" }.joined(separator: " ")
            return wanted.isEmpty ? node.help : "\(wanted)   \(node.help)"
        }
        return node.children.map(\.name).joined(separator: " | ")
    }

    /// Whole words, and the one that is being typed.
    static func split(_ line: String) -> ([String], String) {
        let words = line.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        guard let last = line.last, last != " ", let partial = words.last else { return (words, "") }
        return (Array(words.dropLast()), partial)
    }
}

/// Words of a line as a shell takes them.
package enum ShellWords {
    package struct Unclosed: Error, Equatable { package let quote: Character }

    /// Splits at spaces; quotes and backslashes as in sh. Scalar by scalar: to a shell a quote is a quote, whatever mark follows it.
    package static func split(_ line: String) throws(Unclosed) -> [String] {
        var words: [String] = []
        var word: String.UnicodeScalarView?
        var quote: Unicode.Scalar?
        var rest = line.unicodeScalars[...]
        func with(_ scalar: Unicode.Scalar) -> String.UnicodeScalarView {
            var longer = word ?? String.UnicodeScalarView()
            longer.append(scalar)
            return longer
        }
        while let scalar = rest.popFirst() {
            switch (scalar, quote) {
            case ("\\", nil): if let next = rest.popFirst() { word = with(next) }
            case ("\\", "\""?):
                if let next = rest.first, next == "\"" || next == "\\" {
                    rest = rest.dropFirst()
                    word = with(next)
                } else {
                    word = with(scalar)
                }
            case ("\"", nil), ("'", nil):
                quote = scalar
                word = word ?? String.UnicodeScalarView()
            case (let mark, let open?) where mark == open: quote = nil
            case (_, .some): word = with(scalar)
            case (_, nil) where scalar.properties.isWhitespace:
                if let done = word { words.append(String(done)) }
                word = nil
            case (_, nil): word = with(scalar)
            }
        }
        if let quote { throw Unclosed(quote: Character(quote)) }
        if let word { words.append(String(word)) }
        return words
    }

    /// A word as it must be typed.
    package static func quoted(_ word: String) -> String {
        let isPlain =
            !word.isEmpty
            && word.unicodeScalars.allSatisfy { scalar in
                scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || "-_./:=,@%+".unicodeScalars.contains(scalar)
            }
        if isPlain { return word }
        var out = "'".unicodeScalars
        for scalar in word.unicodeScalars {
            if scalar == "'" { out.append(contentsOf: "'\\''".unicodeScalars) } else { out.append(scalar) }
        }
        out.append("'")
        return String(out)
    }
}

import Primitives
import Testing

@testable import Operator

enum CommandTables {
    static let names = ["runs": ["019a-8842", "019a-8841", "77"], "workflows": ["order-fulfil", "refund"], "rules": ["orders"]]

    static let completions: [(line: String, words: [String])] = [
        ("", ["status", "raft", "runs", "tasks", "rules", "workflows", "messages"]), ("r", ["raft", "runs", "rules"]),
        ("ru", ["runs", "rules"]),
        ("status", ["status"]), ("work", ["workflows"]), ("ask", ["tasks"]), ("sk", []), ("x", []),
        ("runs ", ["list", "show", "cancel", "retry"]),
        ("runs c", ["cancel"]), ("  runs   c", ["cancel"]), ("runs list --", ["--limit", "--output", "--open"]),
        ("runs list --o", ["--output", "--open"]),
        ("runs list -o ", ["table", "json", "jsonl"]), ("runs list --output j", ["json", "jsonl"]), ("runs list --output x", []),
        ("runs list --open ", []), ("runs cancel ", ["019a-8842", "019a-8841", "77"]), ("runs cancel 019", ["019a-8842", "019a-8841"]),
        ("runs cancel 8841", ["019a-8841"]), ("runs cancel 42", []), ("runs cancel 77 ", []), ("workflows delete o", ["order-fulfil"]),
        ("rules delete ", ["orders"]), ("tasks resolve x --as ", ["succeeded", "failed", "retry"]), ("nonsense ", []),
        ("runs nonsense ", []),
        ("de", []), ("hel", []), ("runs list --s", []), ("status -", ["--output"]),
    ]

    static let hints: [(line: String, hint: String)] = [
        ("", ""), ("zzz", ""), ("runs", "list | show | cancel | retry"), ("runs cancel", "<id>   Cancel an open run."),
        ("runs cancel ", "<id>   Cancel an open run."), ("runs cancel 77", "Cancel an open run."), ("runs list", "Runs, newest first."),
        ("tasks resolve", "<id> <reason>   Say what became of a task."), ("tasks resolve x", "<reason>   Say what became of a task."),
        ("status", "The cluster at a glance."),
    ]

    static let split: [(line: String, words: [String])] = [
        ("", []), ("   ", []), ("a b", ["a", "b"]), ("  a\t b \n", ["a", "b"]), ("'a b'", ["a b"]), ("\"a b\"", ["a b"]),
        ("a' 'b", ["a b"]),
        ("''", [""]), ("\"\" x ''", ["", "x", ""]), ("a\\ b", ["a b"]), ("\\'", ["'"]), ("'a\\b'", ["a\\b"]), ("\"a\\\"b\"", ["a\"b"]),
        ("\"a\\\\b\"", ["a\\b"]), ("\"a\\nb\"", ["a\\nb"]), ("'\"'", ["\""]), ("\"'\"", ["'"]), ("a\\", ["a"]), ("é'中 文'", ["é中 文"]),
        ("a\r\nb", ["a", "b"]),
    ]

    static let unclosed: [(line: String, quote: Character)] = [("'a", "'"), ("a \"b", "\""), ("'it''s", "'"), ("\"a\\\"", "\"")]

    static let pieces = [
        "'", "\"", "\\", " ", "\n", "\r\n", "\t", "\u{301}", "\u{200D}", "\u{345}", "a", "é", "e\u{301}", "中", "$", "`", "!", ";", "|", "&",
        "#",
        "~", "*", "?", "(", "-", "=", "👩\u{200D}💻", "🇫", "\u{0}", "\u{7F}", "\u{A0}",
    ]
}

/// What completion and hints are made of.
struct CommandIndexTests {
    @Test func `a line is completed by commands, options, their values and live names`() {
        for (line, words) in CommandTables.completions {
            let found = SampleCommands.index.completions(of: line, names: CommandTables.names).map(\.text)
            #expect(found == words, "'\(line)'")
        }
    }

    @Test func `completions say what they are`() {
        let found = SampleCommands.index.completions(of: "runs c", names: [:])
        #expect(found == [.init(text: "cancel", hint: "Cancel an open run.")])
        let option = SampleCommands.index.completions(of: "runs list --l", names: [:])
        #expect(option == [.init(text: "--limit", hint: "How many at most.")])
    }

    @Test func `a hint says what is wanted still`() {
        for (line, hint) in CommandTables.hints {
            #expect(SampleCommands.index.hint(for: line) == hint, "'\(line)'")
        }
    }

    @Test func `names are known where a command takes one`() {
        let index = SampleCommands.index
        for verb in ["show", "cancel", "retry", "watch", "logs", "resolve", "why", "delete"] {
            for kind in CommandIndex.Objects.allCases { #expect(index.objects(along: [kind.rawValue, verb]) == kind, "\(kind) \(verb)") }
        }
        for words in [[], ["runs"], ["runs", "list"], ["runs", "show", "x"], ["status", "show"]] {
            #expect(index.objects(along: words) == nil)
        }
    }

    @Test func `members of the Raft group complete what changes it, nodes what takes one in`() {
        let names = ["raft": ["c-1", "c-2"], "nodes": ["c-1", "c-2", "w-07"]]
        let completions: [(line: String, words: [String])] = [
            ("raft re", ["remove"]), ("raft remove ", ["c-1", "c-2"]), ("raft remove c-2", ["c-2"]), ("raft promote ", ["c-1", "c-2"]),
            ("raft remove c-1 ", []), ("raft add w", ["w-07"]), ("raft transfer ", []), ("raft transfer --to ", ["c-1", "c-2"]),
            ("raft transfer --connect x --to c-2", ["c-2"]), ("raft transfer --connect ", []), ("raft transfer --to c-2 ", []),
            ("raft status ", []),
        ]
        for (line, words) in completions {
            let found = SampleCommands.index.completions(of: line, names: names).map(\.text)
            #expect(found == words, "'\(line)'")
        }
        #expect(CommandIndex.Objects.raft.plural == "members" && CommandIndex.Objects.runs.plural == "runs")
    }

    @Test func `what is hidden and help stay out`() {
        let root = SampleCommands.index.root
        #expect(root.name == "distric")
        #expect(root.children.map(\.name) == ["status", "raft", "runs", "tasks", "rules", "workflows", "messages"])
        let list = root.children[2].children[0]
        #expect(list.options.map(\.names) == [["--limit"], ["-o", "--output"], ["--open"]])
        #expect(list.options.map(\.takesValue) == [true, true, false])
        #expect(list.options[1].values == ["table", "json", "jsonl"])
        #expect(root.children[3].children[1].positionals == ["id", "reason"])
    }

    @Test func `what describes no command is refused, whatever it is`() {
        for text in ["", "{", "[]", "null", "{}", "{\"serializationVersion\": 0}", "\u{0}"] {
            #expect(CommandIndex(json: text) == nil, "\(text)")
        }
        for text in [
            "{\"command\": null}", "{\"command\": 5}", "{\"command\": {\"subcommands\": 5, \"arguments\": [1, null, {\"names\": 7}]}}",
        ] {
            let index = CommandIndex(json: text)
            #expect(index?.completions(of: "x", names: [:]).isEmpty ?? true)
        }
    }

    @Test func `an empty index completes nothing`() {
        #expect(CommandIndex().completions(of: "ru", names: [:]).isEmpty)
        #expect(CommandIndex().hint(for: "runs list") == "")
    }

    @Test func `random lines are completed without a trap`() {
        let seed: UInt64 = 31
        var generator = SeededGenerator(seed: seed)
        let words = [
            "runs", "list", "cancel", "--output", "-o", "--as", "resolve", "tasks", " ", "  ", "-", "--", "77", "é", "\u{301}", "'", "",
        ]
        for _ in 0..<3000 {
            var line = ""
            for _ in 0..<Int.random(in: 0...7, using: &generator) {
                line += words[Int.random(in: words.indices, using: &generator)] + (Bool.random(using: &generator) ? " " : "")
            }
            let found = SampleCommands.index.completions(of: line, names: CommandTables.names)
            let (_, partial) = CommandIndex.split(line)
            if !found.allSatisfy({ $0.text.contains(partial) || partial.isEmpty }) { Issue.record("seed \(seed): '\(line)': \(found)") }
            _ = SampleCommands.index.hint(for: line)
        }
    }
}

/// Words as a shell takes them.
struct ShellWordsTests {
    @Test func `lines are split as sh does`() throws {
        for (line, words) in CommandTables.split {
            let found = try ShellWords.split(line)
            #expect(found == words, "'\(line)'")
        }
    }

    @Test func `a quotation that is not closed is refused`() {
        for (line, quote) in CommandTables.unclosed {
            let problem = #expect(throws: ShellWords.Unclosed.self) { try ShellWords.split(line) }
            #expect(problem?.quote == quote, "\(line)")
        }
    }

    @Test func `plain words stand as they are`() {
        for word in ["runs", "019aa1c2-7d3e", "a/b:c=d,e@f%g+h.i_j", "täsk", "中文"] { #expect(ShellWords.quoted(word) == word) }
        #expect(ShellWords.quoted("") == "''")
        #expect(ShellWords.quoted("it's") == "'it'\\''s'")
    }

    @Test func `what is quoted is read back`() {
        let seed: UInt64 = 41
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<3000 {
            let words = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                    CommandTables.pieces[Int.random(in: CommandTables.pieces.indices, using: &generator)]
                }
                .joined()
            }
            let line = words.map(ShellWords.quoted).joined(separator: " ")
            let found = (try? ShellWords.split(line)) ?? []
            guard found.map({ Array($0.utf8) }) == words.map({ Array($0.utf8) }) else {
                Issue.record(
                    "seed \(seed): \(words.map(\.debugDescription)) as \(line.debugDescription) is \(found.map(\.debugDescription))")
                return
            }
        }
    }

    /// A line is pasted into a real shell, which knows nothing of characters that are made of several: a quote is a byte to it.
    @Test func `what is quoted is one word to a shell that reads bytes`() {
        let words = CommandTables.pieces.flatMap { piece in
            ["x\(piece)y", "\(piece)x", "x'\(piece)", "'\(piece)", "x'\(piece); rm -rf ~ #"]
        }
        for word in words {
            #expect(ByteShell.read(ShellWords.quoted(word)) == [Array(word.utf8)], "\(word.debugDescription)")
        }
    }
}

/// Just enough of sh, by bytes: quotes and backslashes; nil when something else than words would come of it.
private enum ByteShell {
    static func read(_ line: String) -> [[UInt8]]? {
        var words: [[UInt8]] = []
        var word: [UInt8]?
        var rest = Array(line.utf8)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "'"):
                guard let end = rest.firstIndex(of: UInt8(ascii: "'")) else { return nil }
                word = (word ?? []) + rest[..<end]
                rest = rest[(end + 1)...]
            case UInt8(ascii: "\\"):
                guard let next = rest.popFirst() else { return nil }
                word = (word ?? []) + [next]
            case UInt8(ascii: " "), UInt8(ascii: "\t"):
                if let done = word { words.append(done) }
                word = nil
            case _ where "\"$`;&|<>(){}*?[]!~#\n\r".utf8.contains(byte): return nil
            default: word = (word ?? []) + [byte]
            }
        }
        if let word { words.append(word) }
        return words
    }
}

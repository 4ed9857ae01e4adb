import Cells
import Primitives
import Testing
import Text

@testable import Operator

enum Hostile {
    /// Pieces that a message, a program or a log line may hold to lead a terminal astray.
    static let pieces = [
        "\u{1B}]0;owned\u{7}\u{1B}[2J\u{1B}[?1049l", "\u{9B}31m\u{90}q\u{9C}", "\u{202E}gpj.exe\u{2066}\u{200F}", "中文字한글😀",
        "\r\n\t\u{0}\u{7F}\u{85}",
        "\u{2028}\u{2029}\u{FEFF}\u{200B}\u{AD}", "e\u{301}\u{302}\u{303}👩\u{200D}💻❤\u{FE0F}", "\u{301}\u{345}\u{600}",
        "\u{FFFE}\u{FFFF}\u{10FFFF}\u{E0041}",
        "\"'\\`$(x){}[]<&>|;#%s%n", String(repeating: "Ｗ", count: 300),
    ]

    /// Marks that turn the direction of what follows.
    static let turns: Set<UInt32> = Set([0x61C, 0x200E, 0x200F]).union(0x202A...0x202E).union(0x2066...0x2069)

    /// Every text of a value with the piece before and after it; times stay readable. The same text becomes the same.
    static func poisoned(_ value: Value, _ piece: String) -> Value {
        switch value {
        case .string(let text): return ClusterTime(rfc3339: text) == nil ? .string(piece + text + piece) : value
        case .list(let items): return .list(items.map { poisoned($0, piece) })
        case .map(let fields):
            var members = fields.members.map { Fields.Member($0.key, poisoned($0.value, piece)) }
            members.append(Fields.Member("key " + piece, .string(piece)))
            return .map(Fields(members))
        case .null, .bool, .int, .uint, .double: return value
        }
    }

    static func poisoned(_ update: FeedUpdate, _ piece: String) -> FeedUpdate {
        switch update {
        case .rows(let total, let matched, let offset, let ids, let rows):
            .rows(
                total: total, matched: matched, offset: offset, ids: ids?.map { piece + $0 + piece }, rows: rows.map { poisoned($0, piece) }
            )
        case .value(let value): .value(poisoned(value, piece))
        case .lines(let lines, let missed): .lines(lines.map { poisoned($0, piece) }, missed: missed)
        case .failed(let failure): .failed(CommandFailure(failure.code, piece + failure.message))
        case .alive: .alive
        }
    }

    /// A cell that a terminal would take for more than a character.
    static func fault(_ surface: Surface) -> String? {
        for y in 0..<surface.height {
            for x in 0..<surface.width {
                let cell = surface[x, y]
                for scalar in [cell.scalar, cell.mark1, cell.mark2] where scalar != 0 {
                    let isControl = scalar < 0x20 || (0x7F...0x9F).contains(scalar)
                    if isControl || turns.contains(scalar) || Unicode.Scalar(scalar) == nil {
                        return "0x\(hexadecimal(UInt64(scalar), digits: 6)) at \(x), \(y)"
                    }
                }
            }
        }
        return surface.isWhole ? nil : "half a wide character"
    }

    static let numbers: [Value] = [
        .int(.min), .int(.max), .uint(.max), -1, 0, 1, .double(1e300), .double(-1e300), .double(1.7976931348623157e308),
        .double(.leastNonzeroMagnitude),
        1e19, -0.5,
        9.999, 59_999.6,
    ]
}

/// Nothing that a message or a program wrote reaches the terminal as a command.
struct HostileTextTests {
    @Test(arguments: SampleNode.views)
    func `hostile text in every field of what a node sends stays text`(view: View) {
        for (number, piece) in Hostile.pieces.enumerated() {
            for size in [Size(120, 40), Size(80, 24), Size(37, 13)] {
                var state = SampleNode.empty(view, size: size)
                SampleNode.feed(&state) { Hostile.poisoned($0, piece) }
                state.hit("Down")
                let fault = Hostile.fault(state.draw(theme: .plain))
                #expect(fault == nil, "piece \(number) in \(view) at \(size): \(fault ?? "")")
            }
        }
    }

    @Test(arguments: [View.messages, .logs, .task, .metrics])
    func `so does what is chosen, copied, filtered and said of it`(view: View) {
        for (number, piece) in Hostile.pieces.enumerated() {
            var state = SampleNode.empty(view)
            state.settings.context = piece
            SampleNode.feed(&state) { Hostile.poisoned($0, piece) }
            for keys in [["c"], ["Enter"], ["y"], ["m"], ["Esc"], ["/"], ["Esc"], [":"]] {
                for key in keys { state.hit(key) }
                if state.prompt != nil { _ = state.update(.key(.paste(piece))) }
                let fault = Hostile.fault(state.draw(theme: .plain))
                #expect(fault == nil, "piece \(number) in \(view) after \(keys): \(fault ?? "")")
            }
        }
    }

    @Test func `so do notices, questions, output and refusals`() {
        for (number, piece) in Hostile.pieces.enumerated() {
            let arguments = ["runs", "cancel", piece]
            let events: [ConsoleEvent] = [
                .note(piece, isProblem: true), .edited(path: piece, kind: "workflow", name: piece, namespace: ""),
                .finished(CommandResult(arguments: arguments, code: 0, out: piece, problem: "")),
                .finished(CommandResult(arguments: arguments, code: 0, out: "a\n\(piece)\nb", problem: piece)),
                .finished(CommandResult(arguments: arguments, code: 1, out: "", problem: piece)),
                .names(["runs": [piece, "runs " + piece]]),
            ]
            for event in events {
                var state = SampleNode.state(.runs)
                _ = state.update(event)
                if case .names = event {
                    state.hit(":")
                    state.write("runs cancel ")
                    state.hit("Tab", "Tab")
                }
                let fault = Hostile.fault(state.draw(theme: .plain))
                #expect(fault == nil, "piece \(number): \(fault ?? "")")
            }
            for update in [FeedUpdate.failed(CommandFailure(.failed, piece)), .failed(CommandFailure(.unavailable, piece))] {
                var state = SampleNode.empty(.runs)
                if let key = state.rowsFeed { _ = state.update(.feed(key, update)) }
                let fault = Hostile.fault(state.draw(theme: .plain))
                #expect(fault == nil, "piece \(number): \(fault ?? "")")
            }
        }
    }

    @Test func `so do the names of a graph`() {
        for (number, piece) in Hostile.pieces.enumerated() {
            let graph = TaskGraph([(piece, piece, 1, []), ("b" + piece, "succeeded", 1, [piece]), ("c", "", 2, ["b" + piece])])
            let fault = graph.flatMap { Hostile.fault($0.drawn(theme: .plain, level: .braille, selected: piece)) }
            #expect(fault == nil, "piece \(number): \(fault ?? "")")
        }
    }

    @Test func `an output of a megabyte is one line of the table`() {
        let long = String(repeating: "x\u{1B}[31m中", count: 1 << 17)
        var state = SampleNode.empty(.run)
        SampleNode.feed(&state) { update in
            guard case .value(.map(var fields)) = update, case .map(var tasks)? = fields["tasks"], case .list(var items)? = tasks["items"],
                case .map(var first)? = items.first
            else { return update }
            first["output"] = .string(long)
            items[0] = .map(first)
            tasks["items"] = .list(items)
            fields["tasks"] = Value.map(tasks)
            return .value(.map(fields))
        }
        let surface = state.draw(theme: .plain)
        #expect(Hostile.fault(surface) == nil)
        #expect(surface.height == 40)
    }

    /// Numbers come from JSON, which knows no bounds.
    @Test(arguments: SampleNode.views)
    func `numbers of any size are shown without a trap`(view: View) {
        func replaced(_ value: Value, _ number: Value) -> Value {
            switch value {
            case .int, .uint, .double: number
            case .list(let items): .list(items.map { replaced($0, number) })
            case .map(let fields): .map(Fields(fields.members.map { Fields.Member($0.key, replaced($0.value, number)) }))
            case .null, .bool, .string: value
            }
        }
        for number in Hostile.numbers {
            var state = SampleNode.empty(view)
            SampleNode.feed(&state) { update in
                switch update {
                case .rows(let total, let matched, let offset, let ids, let rows):
                    .rows(total: total, matched: matched, offset: offset, ids: ids, rows: rows.map { replaced($0, number) })
                case .value(let value): .value(replaced(value, number))
                case .lines(let lines, let missed): .lines(lines.map { replaced($0, number) }, missed: missed)
                case .failed, .alive: update
                }
            }
            state.hit("Down", "End")
            #expect(Hostile.fault(state.draw(theme: .plain)) == nil, "\(number) in \(view)")
        }
    }

    @Test func `what is no number, no text or no list where one is wanted is shown as nothing`() {
        func other(_ value: Value) -> Value {
            switch value {
            case .null: "text"
            case .bool: .list([])
            case .int, .uint, .double: .object(["a": 1])
            case .string: 7
            case .list(let items): .object(["0": items.first ?? .null])
            case .map(let fields): .map(Fields(fields.members.map { Fields.Member($0.key, other($0.value)) }))
            }
        }
        for view in SampleNode.views {
            var state = SampleNode.empty(view)
            SampleNode.feed(&state) { update in
                switch update {
                case .rows(let total, let matched, let offset, let ids, let rows):
                    .rows(total: total, matched: matched, offset: offset, ids: ids, rows: rows.map(other))
                case .value(let value): .value(other(value))
                case .lines(let lines, let missed): .lines(lines.map(other), missed: missed)
                case .failed, .alive: update
                }
            }
            state.hit("Down", "Enter", "Esc")
            #expect(Hostile.fault(state.draw(theme: .plain)) == nil, "\(view)")
        }
    }
}

/// Texts as lines of some columns.
struct WrappingTests {
    @Test func `words are wrapped to the width, and nothing is lost`() {
        for text in [
            "one two three four five", String(repeating: "x", count: 95), String(repeating: "中", count: 40), "中文 abc 한글 def 😀", "a  b", "",
        ] {
            for width in [5, 7, 20, 33] {
                let lines = Words.wrapped(text, width: width)
                for line in lines { #expect(CharacterWidth.of(line) <= width, "'\(line)' of \(width)") }
                #expect(lines.joined().filter { $0 != " " } == text.filter { $0 != " " }, "\(width)")
            }
        }
    }

    @Test func `paragraphs stay apart, control characters go`() {
        #expect(Words.wrapped("a b\n\nc\td\u{1B}[m", width: 20) == ["a b", "", "c d [m"])
    }

    @Test func `one line holds no character that moves the cursor`() {
        for piece in Hostile.pieces {
            for text in [Words.oneLine(piece), Words.expanded(piece)] {
                #expect(text.unicodeScalars.allSatisfy { CharacterWidth.of($0) >= 0 && $0 != "\u{2028}" && $0 != "\u{2029}" })
            }
        }
        #expect(Words.oneLine(String(repeating: "x", count: 5000)).count == 2000)
        #expect(Words.expanded("a\tb") == "a    b")
    }

    @Test func `times and amounts are short`() {
        let times: [(Value?, String)] = [
            (nil, "-"), (.null, "-"), ("x", "-"), (0, "0ms"), (9, "9ms"), (9.25, "9.25ms"), (42.4, "42ms"), (999, "999ms"), (4100, "4.1s"),
            (60_000, "1m"), (7_200_000, "2h"), (172_800_000, "2d"),
        ]
        for (value, text) in times { #expect(Words.milliseconds(value) == text) }
        let counts: [(Double, String)] = [
            (0, "0"), (0.25, "0.25"), (12.34, "12.3"), (999, "999"), (1234, "1.2k"), (96_214, "96.2k"), (3_400_000, "3.4M"), (7e9, "7G"),
            (-1500, "-1.5k"),
        ]
        for (number, text) in counts { #expect(Words.count(number) == text, "\(number)") }
        let ages: [(Int64, String)] = [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_399, "23h"), (86_400, "1d")]
        for (seconds, text) in ages { #expect(Words.short(seconds) == text) }
        #expect(Words.clock("2026-11-23T14:32:07.123Z") == "14:32:07")
        #expect(Words.clock("noon") == "-")
    }
}

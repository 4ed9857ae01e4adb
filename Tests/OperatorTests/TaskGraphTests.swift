import Cells
import Primitives
import Testing
import Text

@testable import Operator

/// Requirement 11: a run's tasks as a graph of box characters, its longest chain bold.
struct TaskGraphTests {
    private typealias Item = (name: String, state: String, duration: Double, dependencies: [String])

    private static let diamond: [Item] = [
        ("a", "succeeded", 10, []), ("b", "leased", 100, ["a"]), ("c", "succeeded", 5, ["a"]), ("d", "pending", 10, ["b", "c"]),
    ]

    private func graph(_ tasks: [Item]) throws -> TaskGraph { try #require(TaskGraph(tasks)) }

    private func drawn(_ tasks: [Item], level: GlyphLevel = .braille) throws -> String {
        try graph(tasks).drawn(theme: .plain, level: level, selected: nil).plain
    }

    @Test func `a diamond is drawn as one`() throws {
        let wanted = """
            [ ● a ]─┬───[ ▶ b ]─┬───[ ○ d ]
                    ╰───( ● c )─╯

            """
        let text = try drawn(Self.diamond)
        #expect(text == wanted, "\(ScreenTables.difference(text, wanted) ?? "")")
    }

    @Test func `a chain is a line, and tasks by themselves stand below each other`() throws {
        let chain = try drawn([("a", "", 0, []), ("bb", "", 0, ["a"]), ("c", "", 0, ["bb"])])
        #expect(chain == "[ a ]─────[ bb ]─────[ c ]\n")
        let alone = try drawn([("a", "failed", 3, []), ("b", "skipped", 0, [])])
        #expect(alone == "[ ✗ a ]\n( · b )\n")
    }

    @Test func `a task lies after all that it depends on`() throws {
        let graph = try graph(Self.diamond)
        #expect(graph.nodes.map(\.layer) == [0, 1, 1, 2])
        #expect(graph.nodes.map(\.row) == [0, 0, 1, 0])
        #expect(graph.layerCount == 3)
        #expect(graph.rows == 2)
        #expect(graph.layer(of: "d") == 2 && graph.row(of: "c") == 1)
        #expect(graph.layer(of: "e") == nil && graph.row(of: "") == nil)
    }

    @Test func `the chain that took longest is critical`() throws {
        let graph = try graph(Self.diamond)
        #expect(graph.nodes.map(\.isCritical) == [true, true, false, true])
        var other = Self.diamond
        other[2].duration = 500
        let slow = try #require(TaskGraph(other))
        #expect(slow.nodes.map(\.isCritical) == [true, false, true, true])
        let unstarted = try self.graph([("a", "", 0, []), ("b", "", 0, ["a"]), ("c", "", 0, [])])
        #expect(unstarted.nodes.map(\.isCritical) == [true, true, false])
    }

    @Test func `it is drawn bold and in brackets, the selected task in its own look`() throws {
        let text = "[style]\n\"dag.critical\" = \"1\"\n\"dag.edge\" = \"2\"\n\"dag.selected\" = \"0 on 6\"\n\"state.ok\" = \"3\""
        let theme = try Theme(toml: Array(text.utf8), file: "t.toml")
        let surface = try graph(Self.diamond).drawn(theme: theme, level: .block, selected: "c")
        func style(_ character: Character, _ row: Int) throws -> Style {
            let column = try #require(Array(surface.text(row: row)).firstIndex(of: character))
            return surface[column, row].style
        }
        #expect(try style("a", 0) == Style(.index(3), on: .standard, .bold))
        #expect(try style("c", 1) == theme[.dagSelected])
        #expect(try style("[", 0).foreground == .index(1))
        #expect(try style("(", 1).foreground == .index(2))
        #expect(try style("─", 0).foreground == .index(1))
        #expect(try style("─", 1).foreground == .index(2))
    }

    @Test func `circles, unknown names and names that come twice do not hang it`() throws {
        let graphs: [[Item]] = [
            [("a", "", 1, ["a"])], [("a", "", 1, ["b"]), ("b", "", 1, ["a"])],
            [("a", "", 1, []), ("b", "", 1, ["a", "d"]), ("c", "", 1, ["b"]), ("d", "", 1, ["c"])],
            [("a", "", 1, ["nobody"]), ("b", "", 1, ["a", "a", "a"])], [("a", "", 1, []), ("a", "", 2, ["a"]), ("", "", 0, [""])],
            (0..<40).map { ("t\($0)", "", 1, ["t\(($0 + 1) % 40)"]) },
        ]
        for tasks in graphs {
            let graph = try graph(tasks)
            #expect(graph.nodes.count == tasks.count)
            let text = graph.drawn(theme: .plain, level: .braille, selected: "a").plain
            for (name, _, _, _) in tasks { #expect(text.contains(" \(name) "), "\(name) of \(tasks.count)") }
            #expect(Set(graph.nodes.map { [$0.layer, $0.row] }).count == tasks.count)
        }
        #expect(TaskGraph([]) == nil)
        #expect(TaskGraph(run: .null) == nil)
        #expect(TaskGraph(definition: ["tasks": "none"]) == nil)
    }

    /// Lines that join are told apart by where they lead, so that this holds where each task has one way in.
    @Test func `a line leads only to tasks that depend on its beginning`() throws {
        let tasks: [Item] = [
            ("a", "", 0, []), ("b", "", 0, ["a"]), ("c", "", 0, ["a"]), ("d", "", 0, ["b"]), ("e", "", 0, ["d", "c"]),
        ]
        let surface = try graph(tasks).drawn(theme: .plain, level: .braille, selected: nil)
        let picture = GraphPicture(surface)
        #expect(picture.reached(from: "a") == ["b", "c"])
        #expect(picture.reached(from: "b") == ["d"])
        #expect(picture.reached(from: "c") == ["e"], "\(surface.plain)")
        #expect(picture.reached(from: "d") == ["e"])
    }

    @Test func `edges are box characters, and nothing else is drawn`() throws {
        let seed: UInt64 = 11
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let tasks = random(Int.random(in: 1...30, using: &generator), &generator)
            let surface = try graph(tasks).drawn(theme: .plain, level: .braille, selected: nil)
            let strange = surface.cells.map(\.scalar).filter { scalar in
                let isLabel = scalar < 0x7F && Unicode.Scalar(scalar).map { " ()[]t0123456789".unicodeScalars.contains($0) } ?? false
                return !isLabel && !(0x2500...0x257F).contains(scalar)
            }
            #expect(strange.isEmpty, "seed \(seed): \(surface.plain)")
        }
    }

    @Test func `two hundred tasks are laid out and drawn`() throws {
        let seed: UInt64 = 5
        var generator = SeededGenerator(seed: seed)
        let tasks = random(200, &generator)
        let graph = try graph(tasks)
        for node in graph.nodes {
            for before in node.dependencies { #expect(graph.nodes[before].layer < node.layer, "seed \(seed): \(node.name)") }
        }
        #expect(Set(graph.nodes.map { [$0.layer, $0.row] }).count == 200, "seed \(seed)")
        let surface = graph.drawn(theme: .plain, level: .braille, selected: nil)
        let words = Set(surface.plain.split { $0 == " " || $0 == "\n" })
        for task in tasks { #expect(words.contains(task.name[...]), "seed \(seed): \(task.name)") }
        #expect(surface.height == graph.rows)
    }

    /// Each task depends on up to three of those before it.
    private func random(_ count: Int, _ generator: inout SeededGenerator) -> [Item] {
        (0..<count).map { place in
            let before = place == 0 ? 0 : Int.random(in: 0...3, using: &generator)
            let names = (0..<before).map { _ in "t\(Int.random(in: max(0, place - 20)..<place, using: &generator))" }
            return ("t\(place)", "", Double(Int.random(in: 0...50, using: &generator)), names)
        }
    }

    @Test func `runs and definitions are read in the forms that there are`() throws {
        let run = try #require(TaskGraph(run: SampleData.wholeRun(SampleData.newest)))
        #expect(run.nodes.map(\.name) == SampleData.steps.map(\.name))
        #expect(run.nodes.map(\.layer) == [0, 1, 1, 2, 3, 3, 4, 5, 6])
        let map = try #require(TaskGraph(definition: SampleData.workflow("w")["definition"] ?? .null))
        #expect(map.nodes.map(\.layer) == run.nodes.map(\.layer))
        let list: Value = [
            "tasks": [
                ["name": "a"], ["id": "b", "depends_on": "a"], ["name": "c", "depends_on": ["a": "succeeded"]],
                ["name": "d", "depends_on": [["task": "b", "result": "failed"], "c"]],
            ]
        ]
        let read = try #require(TaskGraph(definition: list))
        #expect(read.nodes.map(\.name) == ["a", "b", "c", "d"])
        #expect(read.nodes.map(\.layer) == [0, 1, 1, 2])
    }

    @Test func `long and wide names are cut to the room they have`() throws {
        let text = try drawn([("一二三四五六七八九十一二三", "", 0, []), (String(repeating: "x", count: 99), "", 0, [])])
        let lines = text.split(separator: "\n")
        #expect(lines == ["[ 一二三四五六七八… ]", "( xxxxxxxxxxxxxxxxx… )"])
    }
}

/// Reads a picture of tasks with names of one letter: where do the lines lead?
private struct GraphPicture {
    private static let ways: [UInt32: [(Int, Int)]] = [
        0x2500: [(1, 0), (-1, 0)], 0x2502: [(0, 1), (0, -1)], 0x256D: [(1, 0), (0, 1)], 0x256E: [(-1, 0), (0, 1)],
        0x256F: [(-1, 0), (0, -1)],
        0x2570: [(1, 0), (0, -1)], 0x251C: [(1, 0), (0, 1), (0, -1)], 0x2524: [(-1, 0), (0, 1), (0, -1)],
        0x252C: [(1, 0), (-1, 0), (0, 1)],
        0x2534: [(1, 0), (-1, 0), (0, -1)], 0x253C: [(1, 0), (-1, 0), (0, 1), (0, -1)],
    ]
    private let surface: Surface
    private var names: [Point: Character] = [:]

    init(_ surface: Surface) {
        self.surface = surface
        for y in 0..<surface.height {
            for x in 0..<surface.width {
                guard let scalar = Unicode.Scalar(surface[x, y].scalar), scalar.properties.isAlphabetic else { continue }
                names[Point(x, y)] = Character(scalar)
            }
        }
    }

    /// The tasks whose left end the lines from a task's right end come to.
    func reached(from name: Character) -> Set<Character> {
        guard let place = names.first(where: { $0.value == name })?.key else { return [] }
        var open = [Point(place.x + 3, place.y)]
        var seen: Set<Point> = []
        var found: Set<Character> = []
        while let here = open.popLast() {
            guard seen.insert(here).inserted else { continue }
            for (x, y) in Self.ways[surface[here.x, here.y].scalar] ?? [] {
                let next = Point(here.x + x, here.y + y)
                if x == 1, let end = names[Point(next.x + 2, next.y)] { found.insert(end) } else { open.append(next) }
            }
        }
        return found
    }
}

package import Cells
package import Primitives

/// A workflow's tasks as layers from left to right.
package struct TaskGraph: Sendable {
    package struct Node: Equatable, Sendable {
        package var name: String
        package var state: String
        package var duration: Double
        /// Places of the tasks before it.
        package var dependencies: [Int]
        package fileprivate(set) var layer = 0
        package fileprivate(set) var row = 0
        package fileprivate(set) var isCritical = false
    }

    package private(set) var nodes: [Node]
    private var layers: [[Int]] = []
    package private(set) var rows = 0

    /// Of a run: `tasks.items` with `dependsOn`.
    package init?(run: Value) {
        let items = run.at("tasks", "items")?.list ?? []
        self.init(
            items.map { item in
                (
                    item["task"]?.string ?? "", item["state"]?.string ?? "", item["durationMs"]?.number ?? 0,
                    (item["dependsOn"]?.list ?? []).compactMap { $0["task"]?.string }
                )
            })
    }

    /// Of a definition as its author wrote it: tasks as a map or a list, `depends_on` as a list or a map.
    package init?(definition: Value) {
        var tasks: [(String, String, Double, [String])] = []
        func names(_ value: Value?) -> [String] {
            if let map = value?.map { return map.members.map(\.key) }
            return (value?.list ?? [value].compactMap { $0 }).compactMap { $0.string ?? $0["task"]?.string }
        }
        for member in definition["tasks"]?.map?.members ?? [] { tasks.append((member.key, "", 0, names(member.value["depends_on"]))) }
        for item in definition["tasks"]?.list ?? [] {
            tasks.append((item["name"]?.string ?? item["id"]?.string ?? "", "", 0, names(item["depends_on"])))
        }
        self.init(tasks)
    }

    package init?(_ tasks: [(name: String, state: String, duration: Double, dependencies: [String])]) {
        guard !tasks.isEmpty else { return nil }
        let places = Dictionary(tasks.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        nodes = tasks.enumerated().map { place, task in
            Node(
                name: task.name, state: task.state, duration: task.duration,
                dependencies: task.dependencies.compactMap { places[$0] }.filter { $0 != place })
        }
        assignLayers()
        markCriticalPath()
        assignRows()
    }

    /// A task lies one layer after the last that it depends on; what goes round in a circle stays where it is.
    private mutating func assignLayers() {
        var waiting = nodes.map(\.dependencies.count)
        var after = Array(repeating: [Int](), count: nodes.count)
        for (place, node) in nodes.enumerated() { for before in node.dependencies { after[before].append(place) } }
        var ready = nodes.indices.filter { waiting[$0] == 0 }
        while let place = ready.popLast() {
            for next in after[place] {
                nodes[next].layer = max(nodes[next].layer, nodes[place].layer + 1)
                waiting[next] -= 1
                if waiting[next] == 0 { ready.append(next) }
            }
        }
        layers = Array(repeating: [], count: (nodes.map(\.layer).max() ?? 0) + 1)
        for (place, node) in nodes.enumerated() { layers[node.layer].append(place) }
    }

    /// The chain whose tasks took longest together; by number of tasks where nothing has run.
    private mutating func markCriticalPath() {
        var best = Array(repeating: 0.0, count: nodes.count)
        var before = Array(repeating: -1, count: nodes.count)
        for place in nodes.indices.sorted(by: { nodes[$0].layer < nodes[$1].layer }) {
            for dependency in nodes[place].dependencies where nodes[dependency].layer < nodes[place].layer && best[dependency] > best[place]
            {
                best[place] = best[dependency]
                before[place] = dependency
            }
            best[place] += nodes[place].duration + (nodes[place].state == "skipped" ? 0 : 0.001)
        }
        var here = best.indices.max { best[$0] < best[$1] } ?? -1
        while here >= 0, !nodes[here].isCritical {
            nodes[here].isCritical = true
            here = before[here]
        }
    }

    /// Each as near to the middle of those before it as order and room allow.
    private mutating func assignRows() {
        for layer in layers.indices {
            func middle(_ place: Int) -> Double {
                let rows = nodes[place].dependencies.filter { nodes[$0].layer < layer }.map { Double(nodes[$0].row) }
                return rows.isEmpty ? .infinity : rows.reduce(0, +) / Double(rows.count)
            }
            let wanted = layers[layer].map { ($0, layer == 0 ? 0 : middle($0)) }.sorted { ($0.1, $0.0) < ($1.1, $1.0) }
            var next = 0
            for (place, row) in wanted {
                let row = max(next, row.isFinite && layer > 0 ? Int(row.rounded(.down)) : next)
                nodes[place].row = row
                next = row + 1
            }
            layers[layer] = wanted.map(\.0)
            rows = max(rows, next)
        }
    }

    /// The picture at its natural size: a row of text for a row of tasks.
    package func drawn(theme: Theme, level: GlyphLevel, selected: String?, labelLimit: Int = 18) -> Surface {
        let labels = nodes.map { node in
            let glyph = node.state.isEmpty ? "" : "\(theme.glyph(StateLook(word: node.state), level)) "
            return " \(glyph)\(CharacterWidth.cut(Words.oneLine(node.name), to: labelLimit)) "
        }
        let channel = 5
        var starts: [Int] = []
        var x = 0
        for layer in layers {
            starts.append(x)
            x += (layer.map { CharacterWidth.of(labels[$0]) }.max() ?? 0) + 2 + channel
        }
        let ends = layers.indices.map { layer in starts[layer] + (layers[layer].map { CharacterWidth.of(labels[$0]) }.max() ?? 0) + 2 }
        let width = min(4000, max(1, x - channel))
        var canvas = EdgeCanvas(width: width, height: rows)
        for (place, node) in nodes.enumerated() {
            for before in node.dependencies where nodes[before].layer < node.layer {
                let isCritical = node.isCritical && nodes[before].isCritical
                let from = (starts[nodes[before].layer] + CharacterWidth.of(labels[before]) + 2, nodes[before].row)
                // An edge over several layers keeps its row where nothing stands in it, else leaves it at once.
                let isFree = (nodes[before].layer + 1..<node.layer).allSatisfy { layer in
                    layers[layer].allSatisfy { nodes[$0].row != nodes[before].row }
                }
                let last = ends[node.layer - 1] + channel / 2 - 1
                canvas.route(
                    from: from, turn: isFree ? last : min(last, ends[nodes[before].layer] + channel / 2 - 1),
                    to: (starts[node.layer] - 1, nodes[place].row), isCritical: isCritical)
            }
        }
        var surface = canvas.surface(theme)
        for (place, node) in nodes.enumerated() {
            let role: Role = node.name == selected ? .dagSelected : node.state.isEmpty ? .dagNode : StateLook(word: node.state).role
            var style = theme[role]
            if node.isCritical { style.attributes.insert(.bold) }
            let (left, right) = node.isCritical ? ("[", "]") : ("(", ")")
            let edge = theme[node.isCritical ? .dagCritical : .dagEdge]
            var column = starts[node.layer]
            column += surface.put(left, column, node.row, edge)
            column += surface.put(labels[place], column, node.row, style)
            surface.put(right, column, node.row, edge)
        }
        return surface
    }

    /// Where a task is drawn: columns and rows of `drawn`.
    package func row(of name: String) -> Int? { nodes.first { sameBytes($0.name, name) }?.row }
    package func layer(of name: String) -> Int? { nodes.first { sameBytes($0.name, name) }?.layer }
    package var layerCount: Int { layers.count }
}

/// Lines of a graph: each cell knows into which of the four directions it leads.
private struct EdgeCanvas {
    private static let (north, east, south, west): (UInt8, UInt8, UInt8, UInt8) = (1, 2, 4, 8)
    private let width: Int
    private let height: Int
    private var cells: [UInt8]
    private var critical: [Bool]

    init(width: Int, height: Int) {
        self.width = width
        self.height = height
        cells = Array(repeating: 0, count: width * height)
        critical = Array(repeating: false, count: width * height)
    }

    private mutating func mark(_ x: Int, _ y: Int, _ directions: UInt8, _ isCritical: Bool) {
        guard x >= 0, x < width, y >= 0, y < height else { return }
        cells[y * width + x] |= directions
        if isCritical { critical[y * width + x] = true }
    }

    /// Right to the column `turn`, up or down there, right to the target.
    mutating func route(from: (Int, Int), turn: Int, to: (Int, Int), isCritical: Bool) {
        let turn = max(from.0, turn)
        for x in from.0..<max(from.0, turn) { mark(x, from.1, Self.east | Self.west, isCritical) }
        if from.1 == to.1 {
            mark(turn, from.1, Self.east | Self.west, isCritical)
        } else {
            let goesDown = to.1 > from.1
            mark(turn, from.1, Self.west | (goesDown ? Self.south : Self.north), isCritical)
            for y in min(from.1, to.1) + 1..<max(from.1, to.1) { mark(turn, y, Self.north | Self.south, isCritical) }
            mark(turn, to.1, Self.east | (goesDown ? Self.north : Self.south), isCritical)
        }
        if turn + 1 <= to.0 { for x in turn + 1...to.0 { mark(x, to.1, Self.east | Self.west, isCritical) } }
    }

    func surface(_ theme: Theme) -> Surface {
        // By bits: north 1, east 2, south 4, west 8.
        let glyphs: [UInt32] = [
            0x20, 0x2575, 0x2576, 0x2570, 0x2577, 0x2502, 0x256D, 0x251C, 0x2574, 0x256F, 0x2500, 0x2534, 0x256E, 0x2524, 0x252C, 0x253C,
        ]
        var surface = Surface(width: width, height: height, style: theme[.dagEdge])
        for y in 0..<height {
            for x in 0..<width where cells[y * width + x] != 0 {
                surface[x, y] = Cell(glyphs[Int(cells[y * width + x])], theme[critical[y * width + x] ? .dagCritical : .dagEdge])
            }
        }
        return surface
    }
}

import Cells
package import Primitives

/// A trace as a tree by time.
package enum SpanTree {
    private struct Node {
        var value: Value
        var start: Double
        var end: Double
        var children: [Int] = []
    }

    /// Spans in the order of a depth-first walk, with `depth`, `from` and `to` (shares of the whole), and `critical`. Linear but for sorting.
    package static func rows(_ spans: [Value]) -> [Value] {
        var nodes: [Node] = []
        var places: [String: Int] = [:]
        for span in spans {
            let start = Double(Words.time(span["start"])?.milliseconds ?? 0)
            places[span["spanId"]?.string ?? ""] = nodes.count
            nodes.append(Node(value: span, start: start, end: start + max(0, span["durationMs"]?.number ?? 0)))
        }
        guard let first = nodes.map(\.start).min(), let last = nodes.map(\.end).max() else { return [] }
        var roots: [Int] = []
        for place in nodes.indices {
            if let parent = nodes[place].value["parentId"]?.string.flatMap({ places[$0] }), parent != place {
                nodes[parent].children.append(place)
            } else {
                roots.append(place)
            }
        }
        let critical = criticalPath(nodes, roots)
        let whole = max(0.001, last - first)
        var rows: [Value] = []
        var seen = Array(repeating: false, count: nodes.count)
        var stack = sorted(roots, nodes).reversed().map { ($0, 0) }
        func visit(_ place: Int, _ depth: Int) {
            guard case .map(let fields) = nodes[place].value else { return }
            let own = ["depth", "from", "to", "critical"]
            let kept = fields.members.filter { !own.contains($0.key) }
            rows.append(
                .map(
                    Fields(
                        kept + [
                            .init("depth", Value(depth)), .init("from", .double((nodes[place].start - first) / whole)),
                            .init("to", .double((nodes[place].end - first) / whole)), .init("critical", .bool(critical.contains(place))),
                        ])))
        }
        while let (place, depth) = stack.popLast() {
            guard !seen[place] else { continue }
            seen[place] = true
            visit(place, depth)
            for child in sorted(nodes[place].children, nodes).reversed() { stack.append((child, depth + 1)) }
        }
        // Parents that point at each other belong to no root.
        for place in nodes.indices where !seen[place] { visit(place, 0) }
        return rows
    }

    private static func sorted(_ places: [Int], _ nodes: [Node]) -> [Int] {
        places.sorted { (nodes[$0].start, $0) < (nodes[$1].start, $1) }
    }

    /// From the root down, always the child that ends last: what the whole waited for.
    private static func criticalPath(_ nodes: [Node], _ roots: [Int]) -> Set<Int> {
        var path: Set<Int> = []
        var here = roots.max { nodes[$0].end < nodes[$1].end }
        while let place = here, path.insert(place).inserted {
            here = nodes[place].children.max { nodes[$0].end < nodes[$1].end }
        }
        return path
    }

    /// The cause that a span's bar stands for.
    static func role(_ span: Value) -> Role {
        let name = span["name"]?.string ?? ""
        if span["error"]?.string != nil { return .stateFail }
        if name.hasPrefix("raft.") { return .traceRaft }
        if name.hasPrefix("task ") { return (span.at("attributes", "attempt")?.int ?? 1) > 1 ? .traceRetry : .traceRun }
        if name.hasPrefix("POST ") || name.hasPrefix("GET ") || name.hasPrefix("message ") { return .traceNetwork }
        return .traceQueue
    }

    static func header(_ value: Value?, _ context: HeaderContext) -> [Line] {
        guard let value else { return [] }
        let rows = rows(value["spans"]?.list ?? [])
        let legend: [(String, Role)] = [
            ("network", .traceNetwork), ("raft", .traceRaft), ("run", .traceRun), ("retry", .traceRetry), ("queue and rest", .traceQueue),
        ]
        let mark = context.level == .ascii ? "#" : "█"
        var line = Line("")
        for (name, role) in legend { line = line + Line("\(mark) ", role) + Line("\(name)  ", .dim) }
        let path = rows.filter { $0["critical"]?.bool == true }.map { Words.oneLine(Words.plain($0["name"])) }
        return [
            .fact("trace", Words.plain(value["traceId"]), .bright) + Line("   \(rows.count) spans", .dim),
            .fact("critical", path.joined(separator: " > ")), line, Line(),
        ]
    }
}

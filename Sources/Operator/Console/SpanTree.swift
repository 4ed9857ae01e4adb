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

    /// Spans with their children, and those that have no parent among them.
    private static func linked(_ spans: [Value]) -> (nodes: [Node], roots: [Int]) {
        var nodes: [Node] = []
        nodes.reserveCapacity(spans.count)
        var places: [String: Int] = [:]
        places.reserveCapacity(spans.count)
        for span in spans {
            let start = Double(Words.time(span["start"])?.milliseconds ?? 0)
            places[span["spanId"]?.string ?? ""] = nodes.count
            nodes.append(Node(value: span, start: start, end: start + max(0, span["durationMs"]?.number ?? 0)))
        }
        var roots: [Int] = []
        for place in nodes.indices {
            if let parent = nodes[place].value["parentId"]?.string.flatMap({ places[$0] }), parent != place {
                nodes[parent].children.append(place)
            } else {
                roots.append(place)
            }
        }
        return (nodes, roots)
    }

    /// Spans in the order of a depth-first walk, with `depth`, `from` and `to` (shares of the whole), and `critical`. Linear but for sorting.
    package static func rows(_ spans: [Value]) -> [Value] {
        let (nodes, roots) = linked(spans)
        guard let first = nodes.lazy.map(\.start).min(), let last = nodes.lazy.map(\.end).max() else { return [] }
        let critical = Set(criticalPath(nodes, roots))
        let whole = max(0.001, last - first)
        var rows: [Value] = []
        rows.reserveCapacity(nodes.count)
        var seen = Array(repeating: false, count: nodes.count)
        var stack = sorted(roots, nodes).reversed().map { ($0, 0) }
        func visit(_ place: Int, _ depth: Int) {
            guard case .map(let fields) = nodes[place].value else { return }
            let own: [Fields.Member] = [
                .init("depth", Value(depth)), .init("from", .double((nodes[place].start - first) / whole)),
                .init("to", .double((nodes[place].end - first) / whole)), .init("critical", .bool(critical.contains(place))),
            ]
            // What a span calls the same gives way.
            let isTaken = own.contains { fields[$0.key] != nil }
            let kept = isTaken ? fields.members.filter { member in !own.contains { $0.key == member.key } } : fields.members
            rows.append(.map(Fields(kept + own)))
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
    private static func criticalPath(_ nodes: [Node], _ roots: [Int]) -> [Int] {
        var path: [Int] = []
        var here = roots.max { nodes[$0].end < nodes[$1].end }
        // A root has no parent, so that the way down from it never comes back.
        while let place = here {
            path.append(place)
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
        let (nodes, roots) = linked(value["spans"]?.list ?? [])
        let legend: [(String, Role)] = [
            ("network", .traceNetwork), ("raft", .traceRaft), ("run", .traceRun), ("retry", .traceRetry), ("queue and rest", .traceQueue),
        ]
        let mark = context.level == .ascii ? "#" : "█"
        var line = Line("")
        for (name, role) in legend { line = line + Line("\(mark) ", role) + Line("\(name)  ", .dim) }
        let path = criticalPath(nodes, roots).map { Words.oneLine(Words.plain(nodes[$0].value["name"])) }
        return [
            .fact("trace", Words.plain(value["traceId"]), .bright) + Line("   \(nodes.count) spans", .dim),
            .fact("critical", path.joined(separator: " > ")), line, Line(),
        ]
    }
}

import Cells
package import Primitives

/// A trace as a tree by time.
package enum SpanTree {
    /// What the tree needs of the spans, place by place; the values themselves are read once and stay where they are.
    private struct Tree {
        var starts: [Double] = []
        var ends: [Double] = []
        var roots: [Int] = []
        /// The first child of each place and the next of the same parent, by start; `none` where there is none.
        var firstChild: [Int] = []
        var nextSibling: [Int] = []
        static let none = -1

        init(_ spans: [Value]) {
            var parents: [String?] = []
            var places: [String: Int] = [:]
            places.reserveCapacity(spans.count)
            parents.reserveCapacity(spans.count)
            starts.reserveCapacity(spans.count)
            ends.reserveCapacity(spans.count)
            for (place, span) in spans.enumerated() {
                var (id, parent, start, duration) = ("", String?.none, 0.0, 0.0)
                if case .map(let fields) = span {
                    for member in fields.members {
                        // By length first: most keys are none of these, and two texts that differ are dear to compare.
                        switch member.key.utf8.count {
                        case 5 where member.key == "start":
                            start = Double(member.value.string.flatMap { ClusterTime(rfc3339: $0) }?.milliseconds ?? 0)
                        case 6 where member.key == "spanId": id = member.value.string ?? ""
                        case 8 where member.key == "parentId": parent = member.value.string
                        case 10 where member.key == "durationMs": duration = max(0, member.value.number ?? 0)
                        default: break
                        }
                    }
                }
                places[id] = place
                parents.append(parent)
                starts.append(start)
                ends.append(start + duration)
            }
            firstChild = Array(repeating: Self.none, count: spans.count)
            nextSibling = firstChild
            // Later ones first, each put before its siblings.
            for place in spans.indices.sorted(by: { (starts[$0], $0) > (starts[$1], $1) }) {
                if let parent = parents[place].flatMap({ places[$0] }), parent != place {
                    nextSibling[place] = firstChild[parent]
                    firstChild[parent] = place
                } else {
                    roots.append(place)
                }
            }
            roots.reverse()
        }

        func children(of place: Int) -> some Sequence<Int> {
            sequence(state: firstChild[place]) { next in
                guard next != Self.none else { return nil }
                defer { next = nextSibling[next] }
                return next
            }
        }

        /// From the root down, always the child that ends last: what the whole waited for.
        var criticalPath: [Int] {
            var path: [Int] = []
            var here = roots.max { ends[$0] < ends[$1] }
            // A root has no parent, so that the way down from it never comes back.
            while let place = here {
                path.append(place)
                here = children(of: place).max { ends[$0] < ends[$1] }
            }
            return path
        }

        /// A depth-first walk, earlier ones first.
        func walk(_ visit: (_ place: Int, _ depth: Int) -> Void) {
            var seen = Array(repeating: false, count: starts.count)
            var stack = roots.reversed().map { ($0, 0) }
            while let (place, depth) = stack.popLast() {
                seen[place] = true
                visit(place, depth)
                let base = stack.count
                for child in children(of: place) { stack.append((child, depth + 1)) }
                stack[base...].reverse()
            }
            // Parents that point at each other belong to no root.
            for place in seen.indices where !seen[place] { visit(place, 0) }
        }
    }

    /// Spans in the order of a depth-first walk, with `depth`, `from` and `to` (shares of the whole), and `critical`, made when they are asked
    /// for. Linear but for sorting.
    package static func rows(_ spans: [Value]) -> RowList {
        let tree = Tree(spans)
        guard let first = tree.starts.min(), let last = tree.ends.max() else { return RowList([]) }
        var isCritical = Array(repeating: false, count: spans.count)
        for place in tree.criticalPath { isCritical[place] = true }
        var order: [(place: Int, depth: Int)] = []
        order.reserveCapacity(spans.count)
        tree.walk { place, depth in if case .map = spans[place] { order.append((place, depth)) } }
        let whole = max(0.001, last - first)
        return RowList(count: order.count) { [order, isCritical] row in
            let (place, depth) = order[row]
            var fields = spans[place].map ?? Fields()
            // What a span calls the same gives way.
            fields["depth"] = Value(depth)
            fields["from"] = .double((tree.starts[place] - first) / whole)
            fields["to"] = .double((tree.ends[place] - first) / whole)
            fields["critical"] = .bool(isCritical[place])
            return .map(fields)
        }
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
        let spans = value["spans"]?.list ?? []
        let legend: [(String, Role)] = [
            ("network", .traceNetwork), ("raft", .traceRaft), ("run", .traceRun), ("retry", .traceRetry), ("queue and rest", .traceQueue),
        ]
        let mark = context.level == .ascii ? "#" : "█"
        var line = Line("")
        for (name, role) in legend { line = line + Line("\(mark) ", role) + Line("\(name)  ", .dim) }
        let path = Tree(spans).criticalPath.map { Words.oneLine(Words.plain(spans[$0]["name"])) }
        return [
            .fact("trace", Words.plain(value["traceId"]), .bright) + Line("   \(spans.count) spans", .dim),
            .fact("critical", path.joined(separator: " > ")), line, Line(),
        ]
    }
}

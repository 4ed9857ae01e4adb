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
        /// Whether a span has a member that a row is given.
        var hidesOwn: [Bool] = []
        static let none = -1

        init(_ spans: [Value]) {
            var parents: [String?] = []
            var places: [String: Int] = [:]
            places.reserveCapacity(spans.count)
            parents.reserveCapacity(spans.count)
            starts.reserveCapacity(spans.count)
            ends.reserveCapacity(spans.count)
            for (place, span) in spans.enumerated() {
                var (id, parent, start, duration, hides) = ("", String?.none, 0.0, 0.0, false)
                if case .map(let fields) = span {
                    for member in fields.members {
                        switch (member.key, member.value) {
                        case ("spanId", .string(let text)): id = text
                        case ("parentId", .string(let text)): parent = text
                        case ("start", .string(let text)): start = Double(ClusterTime(rfc3339: text)?.milliseconds ?? 0)
                        case ("durationMs", let value): duration = max(0, value.number ?? 0)
                        case ("depth", _), ("from", _), ("to", _), ("critical", _): hides = true
                        default: break
                        }
                    }
                }
                places[id] = place
                parents.append(parent)
                starts.append(start)
                ends.append(start + duration)
                hidesOwn.append(hides)
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

    /// Spans in the order of a depth-first walk, with `depth`, `from` and `to` (shares of the whole), and `critical`. Linear but for sorting.
    package static func rows(_ spans: [Value]) -> [Value] {
        let tree = Tree(spans)
        guard let first = tree.starts.min(), let last = tree.ends.max() else { return [] }
        var isCritical = Array(repeating: false, count: spans.count)
        for place in tree.criticalPath { isCritical[place] = true }
        let whole = max(0.001, last - first)
        var rows: [Value] = []
        rows.reserveCapacity(spans.count)
        tree.walk { place, depth in
            guard case .map(let fields) = spans[place] else { return }
            var members: [Fields.Member] = []
            members.reserveCapacity(fields.count + 4)
            // What a span calls the same gives way.
            if tree.hidesOwn[place] {
                members += fields.members.filter { !["depth", "from", "to", "critical"].contains($0.key) }
            } else {
                members += fields.members
            }
            members.append(.init("depth", Value(depth)))
            members.append(.init("from", .double((tree.starts[place] - first) / whole)))
            members.append(.init("to", .double((tree.ends[place] - first) / whole)))
            members.append(.init("critical", .bool(isCritical[place])))
            rows.append(.map(Fields(members)))
        }
        return rows
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

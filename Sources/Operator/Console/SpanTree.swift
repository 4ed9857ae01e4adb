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
                        case 5 where member.key == "start": start = member.value.string.map(Self.milliseconds) ?? 0
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

        /// Since 1970, to the microsecond where the text has it.
        private static func milliseconds(_ text: String) -> Double {
            guard let time = ClusterTime(rfc3339: text) else { return 0 }
            let micros = text.utf8.count == 27 ? Int(text.utf8.dropFirst(23).prefix(3).reduce(0) { $0 * 10 + Int($1) - 48 }) : 0
            return Double(time.milliseconds) + Double(micros) / 1000
        }

        /// What the whole waited for, with the time in which each alone held it up: from the end back, always the child that ended last before
        /// the one after it began; the rest of the time is the parent's own. Of the root that is at work last.
        var criticalPath: [(place: Int, own: Double)] {
            // What a span began may outlast it.
            var reach = ends
            var order: [Int] = []
            walk { place, _ in order.append(place) }
            for place in order.reversed() { for child in children(of: place) { reach[place] = max(reach[place], reach[child]) } }
            var path: [(place: Int, own: Double)] = []
            // A root has no parent, so that the way down from it never comes back.
            var stack = roots.max { reach[$0] < reach[$1] }.map { [$0] } ?? []
            while let place = stack.popLast() {
                var own = reach[place] - starts[place]
                var limit = Double.infinity
                // Times are rounded to microseconds.
                for child in children(of: place).sorted(by: { reach[$0] > reach[$1] }) where reach[child] <= limit + 0.002 {
                    stack.append(child)
                    own -= reach[child] - starts[child]
                    limit = starts[child]
                }
                path.append((place, max(0, own)))
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

    /// Spans in the order of a depth-first walk, with `depth`, `from` and `to` (shares of the whole), and on the critical path `criticalMs`, made
    /// when they are asked for. Linear but for sorting.
    package static func rows(_ spans: [Value]) -> RowList {
        let tree = Tree(spans)
        guard let first = tree.starts.min(), let last = tree.ends.max() else { return RowList([]) }
        var critical = [Double?](repeating: nil, count: spans.count)
        for (place, own) in tree.criticalPath { critical[place] = own }
        var order: [(place: Int, depth: Int)] = []
        order.reserveCapacity(spans.count)
        tree.walk { place, depth in if case .map = spans[place] { order.append((place, depth)) } }
        let whole = max(0.001, last - first)
        return RowList(count: order.count) { [order, critical] row in
            let (place, depth) = order[row]
            var fields = spans[place].map ?? Fields()
            // What a span calls the same gives way.
            fields["depth"] = Value(depth)
            fields["from"] = .double((tree.starts[place] - first) / whole)
            fields["to"] = .double((tree.ends[place] - first) / whole)
            fields["criticalMs"] = critical[place].map { .double(($0 * 1000).rounded() / 1000) }
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
        return [
            .fact("trace", Words.plain(value["traceId"]), .bright) + Line("   \(spans.count) spans", .dim),
            .fact("critical", waits(spans)), line, Line(),
        ]
    }

    /// What held the whole up most: `run pay 224ms, 2 x task ship 28ms`.
    private static func waits(_ spans: [Value]) -> String {
        var byName: [String: (count: Int, own: Double)] = [:]
        for (place, own) in Tree(spans).criticalPath {
            let known = byName[Words.plain(spans[place]["name"])] ?? (0, 0)
            byName[Words.plain(spans[place]["name"])] = (known.count + 1, known.own + own)
        }
        let longest = byName.sorted { ($1.value.own, $0.key) < ($0.value.own, $1.key) }.prefix(4)
        return longest.map { name, found in
            (found.count > 1 ? "\(found.count) x " : "") + Words.oneLine(name) + " " + Words.milliseconds(.double(found.own))
        }.joined(separator: ", ")
    }

    /// One span: what it is, then what was noted in it and what it is linked to.
    static func detail(_ row: Value, _ context: HeaderContext) -> [Line] {
        func plain(_ key: String) -> String { Words.oneLine(Words.plain(row[key])) }
        var lines = [
            Line.fact("span", plain("name"), .bright) + Line("   \(plain("service")) on \(plain("node"))", .dim)
                + Line(row["kind"] == nil ? "" : "   \(plain("kind"))", .dim),
            .fact("began", plain("start")) + Line("   took ", .dim) + Line(Words.milliseconds(row["durationMs"]))
                + (row["criticalMs"].map { Line("   held the whole up for ", .dim) + Line(Words.milliseconds($0), .accent) } ?? Line()),
        ]
        if row["error"] != nil {
            for (number, text) in Words.wrapped(plain("error"), width: max(20, context.width - 14)).enumerated() {
                lines.append(.fact(number == 0 ? "error" : "", text, .stateFail))
            }
        }
        lines += attributes(row["attributes"], "")
        for event in row["events"]?.list ?? [] {
            lines.append(
                .fact("event", Words.oneLine(Words.plain(event["name"])), .accent) + Line("   " + Words.plain(event["time"]), .dim))
            lines += attributes(event["attributes"], "  ")
        }
        for link in row["links"]?.list ?? [] {
            lines.append(.fact("link", "trace \(Words.plain(link["traceId"])) span \(Words.plain(link["spanId"]))", .accent))
            lines += attributes(link["attributes"], "  ")
        }
        return lines + [
            .fact("id", "\(plain("spanId"))   parent \(plain("parentId"))", .dim), Line("enter: the log lines of the trace", .dim),
        ]
    }

    private static func attributes(_ value: Value?, _ indent: String) -> [Line] {
        (value?.map?.members ?? []).map { .fact(indent + Words.oneLine($0.key), Words.oneLine(Words.plain($0.value))) }
    }
}

package import Primitives

/// Something that a view shows and a node sends: a list's window, one thing, or lines as they come.
package struct FeedKey: Hashable, Sendable {
    package enum Kind: Hashable, Sendable { case rows, value, lines }

    package struct Parameter: Hashable, Sendable {
        package var name: String
        package var value: String
    }

    package var kind: Kind
    package var path: String
    package var parameters: [Parameter]

    package init(_ kind: Kind, _ path: String, _ parameters: KeyValuePairs<String, String> = [:]) {
        self.kind = kind
        self.path = path
        self.parameters = parameters.filter { !$0.value.isEmpty }.map { Parameter(name: $0.key, value: $0.value) }
    }
}

/// A feed with the part of it that is wanted.
package struct FeedRequest: Hashable, Sendable {
    package var key: FeedKey
    /// Of a list, the rows that the screen shows and a little around them.
    package var offset = 0
    package var count = 0
    /// Of lines, the number of the last one that is here already. A stream that is open goes on by itself: it makes no other request.
    package var after: Int64?
    /// Of a list, a row that the window goes with, and how many rows before it are wanted.
    package var anchor: Anchor?

    package struct Anchor: Hashable, Sendable {
        package var id: String
        package var before: Int
    }

    package init(_ key: FeedKey, offset: Int = 0, count: Int = 0, after: Int64? = nil, anchor: Anchor? = nil) {
        self.key = key
        self.offset = offset
        self.count = count
        self.after = after
        self.anchor = anchor
    }

    /// A window that goes with a row is the same wherever the row has gone.
    private var place: Int { anchor == nil ? offset : 0 }

    package static func == (left: FeedRequest, right: FeedRequest) -> Bool {
        left.key == right.key && left.place == right.place && left.count == right.count && left.anchor == right.anchor
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(key)
        hasher.combine(place)
        hasher.combine(count)
        hasher.combine(anchor)
    }

    package var query: [(String, String?)] {
        var query: [(String, String?)] = key.parameters.map { ($0.name, $0.value) }
        if let after { query.append(("after", String(after))) }
        if key.kind == .rows { query.append(("window", "\(offset):\(max(1, count))")) }
        if let anchor { query += [("anchor", anchor.id), ("before", String(anchor.before))] }
        return query
    }
}

/// What came of a feed.
package enum FeedUpdate: Equatable, Sendable {
    /// `ids` is nil when the order is as before; `rows` are those that changed.
    case rows(total: Int, matched: Int, offset: Int, ids: [String]?, rows: [Value])
    case value(Value)
    case lines([Value], missed: Int)
    /// Nothing new, and the node is there.
    case alive
    /// The node says no, cannot be reached, or sends what is not understood.
    case failed(CommandFailure)
}

/// What is known of a feed.
package struct FeedData: Equatable, Sendable {
    /// Lines that are kept; older ones are dropped, counted.
    package static let lineLimit = 5000

    package private(set) var ids: [String] = []
    package private(set) var rows: [String: Value] = [:]
    package private(set) var offset = 0
    package private(set) var total = 0
    package private(set) var matched = 0
    package private(set) var value: Value?
    package private(set) var lines: [Value] = []
    /// Lines that came, those that the node could not send in time, and those dropped here.
    package private(set) var received = 0
    package private(set) var missed = 0
    package private(set) var dropped = 0
    package private(set) var failure: CommandFailure?
    package private(set) var updatedAt: ClusterTime?
    /// Rises with every change of what is known.
    package private(set) var version = 0

    package init() {}

    package var hasData: Bool { value != nil || updatedAt != nil && failure == nil || !ids.isEmpty || !lines.isEmpty }

    /// The row at a place of the whole list; nil when it is not loaded.
    package func row(at place: Int) -> Value? {
        let index = place - offset
        return ids.indices.contains(index) ? rows[ids[index]] : nil
    }

    package func place(of id: String) -> Int? { ids.firstIndex { sameBytes($0, id) }.map { $0 + offset } }

    package mutating func take(_ update: FeedUpdate, idKey: String, at now: ClusterTime) {
        switch update {
        case .rows(let total, let matched, let offset, let ids, let changed):
            (self.total, self.matched, self.offset) = (total, matched, offset)
            for row in changed { if let id = Self.id(row, idKey) { rows[id] = row } }
            if let ids {
                self.ids = ids
                if rows.count > ids.count * 2 + 100 {
                    let wanted = Set(ids)
                    rows = rows.filter { wanted.contains($0.key) }
                }
            }
        case .value(let value): self.value = value
        case .lines(let items, let missed):
            received += items.count
            self.missed += missed
            lines += items
            if lines.count > Self.lineLimit {
                dropped += lines.count - Self.lineLimit
                lines.removeFirst(lines.count - Self.lineLimit)
            }
        case .alive: break
        case .failed(let failure):
            self.failure = failure
            return
        }
        failure = nil
        updatedAt = now
        if update != .alive { version += 1 }
    }

    /// Only the loaded rows that are kept, for the moment until the node has answered.
    mutating func narrow(_ keeps: (Value) -> Bool) {
        ids = ids.filter { rows[$0].map(keeps) ?? false }
        (offset, matched) = (0, ids.count)
        version += 1
    }

    static func id(_ row: Value, _ key: String) -> String? {
        // What is unique over all namespaces, where a row has it.
        let own = row["rowKey"]
        return switch own == nil || own == .null ? row[key] : own {
        case .string(let text)?: text
        case .int(let number)?: String(number)
        default: nil
        }
    }
}

import Cells
package import Primitives
package import Text

/// Every view of the console. Those with a name of their own can be typed after `:`; the others are reached by opening something.
package enum View: String, CaseIterable, Sendable {
    case pulse, nodes, raft, gossip, connections, messages, rules, workflows, runs, tasks, traces, metrics, logs, events, help
    case node, message, rule, workflow, run, task, trace, output
    case raftLog = "raft-log"

    /// Typed after `:`.
    package static let top: [View] = [
        .pulse, .nodes, .raft, .gossip, .connections, .messages, .rules, .workflows, .runs, .tasks, .traces, .metrics, .logs, .events,
        .help,
    ]

    package var isTop: Bool { Self.top.contains(self) }

    package var summary: String {
        switch self {
        case .pulse: "the cluster at a glance"
        case .nodes: "coordinators and workers: role, state, what each takes and runs"
        case .raft: "roles over time, term, commit and lag of each coordinator"
        case .gossip: "who is alive"
        case .connections: "who is connected for calls"
        case .messages: "what came in, and what it meant"
        case .rules: "evaluations, hits, errors of every rule"
        case .workflows: "graphs of tasks, and their runs"
        case .runs: "runs, open and ended"
        case .tasks: "tasks by state, with attempts and logs"
        case .traces: "where the time went"
        case .metrics: "every metric with its last minutes"
        case .logs: "log lines as they come"
        case .events: "what happened, numbered"
        case .help: "all keys"
        case .node: "one node and the tasks on it"
        case .message: "one message: its runs, and why each rule did or did not match"
        case .rule: "one rule, its numbers, and the messages it matched"
        case .workflow: "one workflow, its graph, and its runs"
        case .run: "one run: its graph and its tasks"
        case .task: "one task: why it is where it is, its attempts and their logs"
        case .trace: "the spans of one trace"
        case .output: "what a command printed"
        case .raftLog: "the log of one member of the Raft group, entry by entry, alone or beside that of another"
        }
    }
}

/// One view as a person left it: what it shows, where the cursor is.
package struct Place: Equatable, Sendable {
    package var view: View
    /// The id of the thing that a detail view shows.
    package var subject: String
    package var namespace: String
    package var filter = ""
    /// Rows that do not match are shown all the same; those that do are marked.
    package var highlights = false
    package var order = RowOrder()
    package var selectedID: String?
    /// The row that the window of the list goes with; near the selected one.
    var anchor: String?
    package var row = 0
    package var top = 0
    /// Marked rows as they were, since a marked row need not be loaded any more.
    package var marks: [String: Value] = [:]
    package var lastMark: String?
    /// First line that is shown, of views that are text.
    package var scroll = 0
    package var column = 0
    package var follows = true
    /// The number of the last line when the view was held.
    package var heldAt: Int?
    package var tab = 0
    /// A member whose log stands beside the one that is shown.
    package var against: String?
    /// What `output` shows.
    package var text: [Line] = []

    package init(_ view: View, _ subject: String = "", namespace: String = "") {
        self.view = view
        self.subject = subject
        self.namespace = namespace
    }
}

/// A column of a view.
struct ConsoleColumn: Sendable {
    enum Width: Sendable {
        case fixed(Int)
        /// At least so wide, and a share of what is left.
        case flexible(Int)
    }

    let title: String
    /// What `filter` and `sort` call it.
    let key: String
    let width: Width
    let isRight: Bool
    /// Columns of a high number go first when there is no room.
    let rank: Int
    let text: @Sendable (Value, ClusterTime) -> String
    /// The state that the text stands for; glyph and colour follow from it.
    var state: (@Sendable (Value) -> String)?
    /// Drawn as a sparkline.
    var numbers: (@Sendable (Value) -> [Double])?
    /// Drawn as a bar: from, to (0 to 1), and its role.
    var bar: (@Sendable (Value) -> (Double, Double, Role)?)?
    /// Drawn as what a member of the Raft group was over time.
    var lane: (@Sendable (Value) -> String?)?
    /// A picture, which is no text to save or to read out.
    var isDrawn: Bool { numbers != nil || bar != nil || lane != nil }

    init(
        _ title: String, _ key: String, _ width: Width, right: Bool = false, rank: Int = 1,
        _ text: @escaping @Sendable (Value, ClusterTime) -> String
    ) {
        self.title = title
        self.key = key
        self.width = width
        isRight = right
        self.rank = rank
        self.text = text
    }

    /// The value under a key, as it is.
    static func plain(_ title: String, _ key: String, _ width: Width, path: String? = nil, right: Bool = false, rank: Int = 1)
        -> ConsoleColumn
    {
        let steps = (path ?? key).split(separator: ".").map(String.init)
        return ConsoleColumn(title, key, width, right: right, rank: rank) { row, _ in
            var here: Value? = row
            for step in steps { here = here?[step] }
            return Words.oneLine(Words.plain(here))
        }
    }

    static func state(_ title: String, _ key: String, rank: Int = 0) -> ConsoleColumn {
        var column = ConsoleColumn(title, key, .fixed(12), rank: rank) { row, _ in Words.plain(row[key]) }
        column.state = { row in row[key]?.string ?? "" }
        return column
    }

    static func age(_ title: String, _ key: String, path: String, rank: Int = 1) -> ConsoleColumn {
        ConsoleColumn(title, key, .fixed(5), right: true, rank: rank) { row, now in Words.age(row[path], now: now) }
    }

    static func spark(_ title: String, _ key: String, _ width: Int, rank: Int = 2) -> ConsoleColumn {
        var column = ConsoleColumn(title, "", .fixed(width), rank: rank) { _, _ in "" }
        column.numbers = { row in Words.numbers(row[key]) }
        return column
    }
}

/// What can be done with a row.
struct ActionSpec: Sendable {
    let action: KeyAction
    let title: String
    /// Nil when the action does not fit the row, with the reason.
    let command: @Sendable (Value) -> Result<[String], Refusal>
    /// What it will do, of this row; nil for what it does to any.
    var effect: (@Sendable (Value) -> String)?

    struct Refusal: Error { let reason: String }
}

/// How a view gets its data and draws it.
struct ViewSpec: Sendable {
    enum Rows: Sendable {
        case none
        case remote(@Sendable (Place) -> FeedKey)
        /// Out of the view's value.
        case local(@Sendable (Value, Place) -> RowList)
        case lines(@Sendable (Place) -> FeedKey)
    }

    var title: String
    var rows: Rows = .none
    var idKey = "id"
    /// One thing that the view is about.
    var value: (@Sendable (Place) -> FeedKey)?
    /// A list that knows more of that thing than it says itself.
    var aside: Aside?

    struct Aside: Sendable {
        /// Nil while the thing itself says all.
        let feed: @Sendable (Value) -> FeedKey?
        let complete: @Sendable (Value, [Value]) -> Value
    }

    /// A second list of the same things, with which the first is compared row by row.
    var against: Against?

    struct Against: Sendable {
        /// Nil while nothing is compared.
        let feed: @Sendable (Place) -> FeedKey?
        /// A row of the first list with what the second has in its place.
        let mark: @Sendable (Value, FeedData?) -> Value
    }

    var columns: [ConsoleColumn] = []
    /// Above the rows.
    var header: (@Sendable (Value?, HeaderContext) -> [Line])?
    /// Drawn above the rows, after the header.
    var graph: (@Sendable (Value) -> TaskGraph?)?
    /// Beside or below the rows, of the selected one.
    var detail: (@Sendable (Value, HeaderContext) -> [Line])?
    /// A feed of its own for the selected row.
    var detailFeed: (@Sendable (Value) -> FeedKey?)?
    var open: (@Sendable (Value, Place) -> Place?)?
    /// Where `m` leads.
    var source: (@Sendable (Value, Value?) -> Place?)?
    var actions: [ActionSpec] = []
    var empty = "nothing yet"
}

/// What a header may know besides its value.
struct HeaderContext: Sendable {
    var now: ClusterTime
    var width: Int
    var theme: Theme
    var level: GlyphLevel
    var detail: FeedData?
    /// What a detail view is about.
    var subject = ""
    /// Nothing is drawn: what explains a drawing is left out.
    var isLinear = false
    /// What the list is compared with.
    var comparison: Comparison?

    struct Comparison: Sendable {
        var with: String
        var failure: String?
        /// The lowest of the rows on the screen that differs.
        var differsAt: String?
    }
}

/// Rows of a view's value; of ten thousand only those that are shown need be made.
package struct RowList: RandomAccessCollection, Sendable {
    package let endIndex: Int
    private let make: @Sendable (Int) -> Value

    package init(count: Int, make: @escaping @Sendable (Int) -> Value) {
        endIndex = count
        self.make = make
    }

    package init(_ rows: [Value]) { self.init(count: rows.count) { rows[$0] } }

    package var startIndex: Int { 0 }
    package subscript(place: Int) -> Value { make(place) }
}

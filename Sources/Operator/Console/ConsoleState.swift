package import Cells
package import Primitives
import Synchronization
import Text

/// What happens to the console.
package enum ConsoleEvent: Equatable, Sendable {
    case key(Key)
    case resized(Size)
    /// The wall clock, once a second.
    case tick(ClusterTime)
    case feed(FeedKey, FeedUpdate)
    /// A command line has ended.
    case finished(CommandResult)
    /// What can be typed.
    case commands(CommandIndex)
    /// A definition was edited and saved as a file; it is to be applied.
    case edited(path: String, kind: String, name: String, namespace: String)
    case note(String, isProblem: Bool)
    /// Names of live objects, for completion.
    case names([String: [String]])
}

/// What a command line came to.
package struct CommandResult: Equatable, Sendable {
    package var arguments: [String]
    package var code: Int32
    package var out: String
    package var problem: String

    package init(arguments: [String], code: Int32, out: String, problem: String) {
        self.arguments = arguments
        self.code = code
        self.out = out
        self.problem = problem
    }
}

/// What the console wants done; none of it waits.
package enum ConsoleEffect: Equatable, Sendable {
    case quit
    case suspend
    case redraw
    case run([String])
    /// Fetch a definition, open it in `$EDITOR`, and come back with `.edited`.
    case edit(kind: String, name: String, namespace: String)
    case copy(String)
    /// The view as it is, in the format that the file's ending names.
    case save(String)
    case theme(String)
}

/// A question before an action.
package struct Dialog: Equatable, Sendable {
    package var title: String
    package var effect: [String]
    package var commands: [[String]]
    /// What must be typed; nil for yes or no.
    package var wanted: String?
    package var typed = ""
    package var isYesFocused = false

    /// What it asks, for where there is no screen.
    package var question: String {
        ([title] + effect + commands.prefix(5).map(ConsoleState.shown)).joined(separator: "\n")
            + "\n\(wanted.map { "type \($0) to go on" } ?? "y to go on"), anything else to leave it: "
    }
}

/// A line that is being typed.
package struct Prompt: Equatable, Sendable {
    package enum Kind: Sendable { case palette, filter }

    package var kind: Kind
    package var text = ""
    package var cursor = 0
    package var problem: String?
    /// Completions of the last Tab, and which one is shown.
    package var candidates: [String] = []
    package var candidate = -1
    package var historyPlace: Int?
    /// What Esc goes back to.
    package var before = ""
}

/// Everything that the console shows, as a value: events in, effects out, and `draw` makes a screen of it.
package struct ConsoleState: Equatable, Sendable {
    package enum Mode: Equatable, Sendable {
        case normal
        case prompt(Prompt)
        /// Choosing a column to sort by.
        case sorting(column: Int)
        case dialog(Dialog)
    }

    /// What the surroundings say, and stays.
    package struct Settings: Sendable, Equatable {
        package var url: String
        package var context: String
        package var isReadOnly = false
        package var isProtected = false
        package var glyphs = GlyphLevel.braille
        package var keymap = Keymap.standard
        package var commands = CommandIndex()
        package var themes: [String] = []
        package var hasTour = false
        /// Of a demo with members that can be killed.
        package var isDemo = false

        package init(url: String, context: String = "") {
            self.url = url
            self.context = context
        }
    }

    package var settings: Settings
    package var size: Size
    package var now: ClusterTime
    package var mode = Mode.normal
    /// From the top view to the one that is shown.
    package var stack: [Place]
    package var feeds: [FeedKey: FeedData] = [:]
    var back: [[Place]] = []
    var forward: [[Place]] = []
    var lastStack: [Place]?
    package var toast: (text: String, isProblem: Bool, until: ClusterTime)?
    var promptHistory: [String] = []
    var pendingResults: [CommandResult] = []
    /// How many results belong together, in the order in which they were asked for.
    var batches: [Int] = []
    var interruptedAt: ClusterTime?
    package var names: [String: [String]] = [:]
    /// What the members of the Raft group were, as far as this console has seen.
    var raftHistory = RaftHistory()
    package var showsDetail = true
    private var local = LocalRows()
    /// Lists are wanted as a whole (up to a thousand rows), not as far as a screen shows them.
    package var wantsWholeLists = false
    /// Rows that the screen has room for.
    package var pageRows: Int { max(1, Layout(self).rows.height) }

    package init(settings: Settings, size: Size, now: ClusterTime, view: View = .pulse) {
        self.settings = settings
        self.size = size
        self.now = now
        stack = [Place(view)]
    }

    package static func == (left: ConsoleState, right: ConsoleState) -> Bool {
        left.settings == right.settings && left.size == right.size && left.now == right.now && left.mode == right.mode
            && left.stack == right.stack && left.feeds == right.feeds && left.toast?.text == right.toast?.text
            && left.showsDetail == right.showsDetail && left.raftHistory == right.raftHistory
    }

    package var place: Place {
        get { stack[stack.count - 1] }
        set { stack[stack.count - 1] = newValue }
    }

    var spec: ViewSpec { Views.spec(place.view) }

    // MARK: Data

    /// Everything is to be asked for anew.
    package mutating func forgetData() {
        feeds = [:]
        local = LocalRows()
    }

    /// What the screen needs right now. The driver opens and closes streams after it.
    package var wantedFeeds: [FeedRequest] {
        var wanted = [FeedRequest(Views.statusFeed)]
        if let value = spec.value { wanted.append(FeedRequest(value(place))) }
        if let feed = asideFeed { wanted.append(FeedRequest(feed, count: 100)) }
        if let feed = rowsFeed {
            switch feed.kind {
            case .rows:
                guard !wantsWholeLists else {
                    wanted.append(FeedRequest(feed, count: 1000))
                    break
                }
                let page = pageRows
                let first = max(0, place.top - page / 2)
                let count = min(1000, (page * 2 + 15) / 8 * 8)
                if let id = place.anchor, let at = feeds[feed]?.place(of: id), at >= first, place.heldAt == nil {
                    let before = (at - first + 7) / 8 * 8
                    wanted.append(FeedRequest(feed, offset: max(0, at - before), count: count, anchor: .init(id: id, before: before)))
                } else {
                    wanted.append(FeedRequest(feed, offset: first / 8 * 8, count: count))
                }
            case .lines: wanted.append(FeedRequest(feed, after: feeds[feed]?.lines.last?["seq"]?.int))
            case .value: wanted.append(FeedRequest(feed))
            }
        }
        if settings.isDemo, place.view == .pulse { wanted.append(FeedRequest(Views.demoFeed)) }
        if let against = againstRequest { wanted.append(against) }
        if showsDetail, let row = selectedRow, let feed = spec.detailFeed?(row) { wanted.append(FeedRequest(feed, count: 1)) }
        var seen: Set<FeedKey> = []
        return wanted.filter { seen.insert($0.key).inserted }
    }

    var rowsFeed: FeedKey? {
        switch spec.rows {
        case .remote(let make), .lines(let make): make(place)
        case .none, .local: nil
        }
    }

    package var valueFeed: FeedKey? { spec.value?(place) }
    private var told: Value? { valueFeed.flatMap { feeds[$0]?.value } }
    private var asideFeed: FeedKey? { told.flatMap { spec.aside?.feed($0) } }

    /// What the view is about, with all that is known of it.
    package var value: Value? {
        guard let told, let aside = spec.aside, let data = asideFeed.flatMap({ feeds[$0] }), data.failure == nil else { return told }
        return aside.complete(told, data.ids.compactMap { data.rows[$0] })
    }

    package var status: Value? { feeds[Views.statusFeed]?.value }

    /// The rows of the view, wherever they come from.
    var rows: RowsData {
        switch spec.rows {
        case .none: return RowsData(count: 0, total: 0) { _ in nil }
        case .remote:
            guard let data = rowsFeed.flatMap({ feeds[$0] }) else { return RowsData(count: 0, total: 0) { _ in nil } }
            return RowsData(count: data.matched, total: data.total, loaded: data.offset..<data.offset + data.ids.count) {
                data.row(at: $0).map(compared)
            }
        case .local(let make):
            guard let value, let feed = valueFeed else { return RowsData(count: 0, total: 0) { _ in nil } }
            let key = LocalRows.Key(
                feed: feed, version: feeds[feed]?.version ?? 0,
                aside: asideFeed.flatMap { feeds[$0] }.map { $0.failure == nil ? $0.version : -1 },
                filter: place.highlights ? "" : place.filter, order: place.order)
            let (kept, total) = local.rows(for: key) {
                let all = make(value, place)
                return (arranged(all), all.count)
            }
            return RowsData(count: kept.count, total: total) { kept.indices.contains($0) ? .some(kept[$0]) : .none }
        case .lines:
            var lines = rowsFeed.flatMap { feeds[$0]?.lines } ?? []
            if let held = place.heldAt { lines = Array(lines.prefix { ($0["seq"]?.int ?? 0) <= Int64(held) }) }
            return RowsData(count: lines.count, total: lines.count) { lines.indices.contains($0) ? .some(lines[$0]) : .none }
        }
    }

    /// Local rows, filtered and sorted as a node would.
    private func arranged(_ all: RowList) -> RowList {
        var rows = all
        if !place.highlights, !place.filter.isEmpty, let filter = try? RowFilter(place.filter) {
            rows = RowList(rows.filter { matches($0, filter) })
        }
        guard !place.order.keys.isEmpty else { return rows }
        let columns = place.order.keys.compactMap { key in spec.columns.first { $0.key == key.column }.map { ($0, key.isDescending) } }
        let keyed = rows.enumerated().map { place, row in (place, row, columns.map { column, _ in sortValue(row, column) }) }
        let sorted = keyed.sorted { left, right in
            for (number, (_, isDescending)) in columns.enumerated() {
                switch RowOrder.precedes(left.2[number], right.2[number], descending: isDescending) {
                case .less: return true
                case .greater: return false
                case .equal, .unordered: continue
                }
            }
            return left.0 < right.0
        }
        return RowList(sorted.map(\.1))
    }

    /// What a node calls by its short name, a row has under its long one.
    private static let longNames = [
        "ms": "durationMs", "created": "createdAt", "ended": "endedAt", "queued": "queuedAt", "started": "startedAt",
        "accepted": "acceptedAt",
        "message": "messageId",
    ]

    func sortValue(_ row: Value, _ column: ConsoleColumn) -> Value {
        row[Self.longNames[column.key] ?? column.key] ?? row[column.key] ?? .string(column.text(row, now))
    }

    func matches(_ row: Value, _ filter: RowFilter) -> Bool {
        filter.matches(
            column: { name in
                row[name] ?? spec.columns.first { $0.key == name }.map { .string($0.text(row, now)) }
            },
            text: { spec.columns.isEmpty ? RowText.plain(row) : spec.columns.map { $0.text(row, now) }.joined(separator: " ") })
    }

    package var selectedRow: Value? { rows.at(place.row) }

    func id(of row: Value) -> String { FeedData.id(row, spec.idKey) ?? "" }

    /// How fresh what the view shows is.
    package enum Freshness: Equatable, Sendable {
        case live
        case stale(seconds: Int64, reason: String?)
        case none(CommandFailure)
    }

    package var freshness: Freshness {
        let keys = ([valueFeed, rowsFeed].compactMap { $0 } + [Views.statusFeed])
        var worst: Freshness = .live
        for key in keys {
            let data = feeds[key] ?? FeedData()
            guard data.hasData, let updated = data.updatedAt else {
                return .none(data.failure ?? CommandFailure(.unavailable, "asking \(settings.url)"))
            }
            let age = max(0, now.duration(since: updated).milliseconds / 1000)
            if data.failure != nil || age > 5 {
                if case .stale(let seconds, _) = worst, seconds >= age { continue }
                worst = .stale(seconds: age, reason: data.failure?.message)
            }
        }
        return worst
    }

    package mutating func say(_ text: String, isProblem: Bool = false) {
        toast = (Words.oneLine(text), isProblem, now.advanced(by: .seconds(isProblem ? 8 : 4)))
    }
}

/// Rows made of a view's value, kept until the value, the filter or the order changes: a frame asks for them many times.
private final class LocalRows: Sendable {
    struct Key: Equatable {
        var feed: FeedKey
        var version: Int
        /// That of the list which completes the value.
        var aside: Int?
        var filter: String
        var order: RowOrder
    }

    private let kept = Mutex<(key: Key, rows: RowList, total: Int)?>(nil)

    func rows(for key: Key, make: () -> (rows: RowList, total: Int)) -> (RowList, Int) {
        if let found = kept.withLock({ $0 }), found.key == key { return (found.rows, found.total) }
        let (rows, total) = make()
        kept.withLock { $0 = (key, rows, total) }
        return (rows, total)
    }
}

/// Rows by place; those that are not loaded are nil.
struct RowsData {
    let count: Int
    let total: Int
    let loaded: Range<Int>
    let at: (Int) -> Value?

    /// - Parameter loaded: nil when all are.
    init(count: Int, total: Int, loaded: Range<Int>? = nil, at: @escaping (Int) -> Value?) {
        self.count = count
        self.total = total
        self.loaded = loaded ?? 0..<count
        self.at = at
    }
}

enum RowText {
    static func plain(_ row: Value) -> String { JSONWriter.text(row) }
}

import Primitives

/// The view of one member's log: newest first, entry by entry as they lie on its disk, and where they differ from those of another member.
enum RaftLogView {
    static let path = "/api/v1/raft/log"

    static let spec = ViewSpec(
        title: "raft log", rows: .remote { feed(of: $0.subject, $0) }, value: { _ in Views.raftFeed },
        against: .init(
            feed: { place in place.against.map { FeedKey(.rows, path, ["node": $0]) } },
            mark: { RaftLogLines.marked($0, against: $1) }),
        columns: columns, header: { value, context in RaftLogLines.header(value, context) },
        detail: { row, context in RaftLogLines.detail(row, context) }, open: { row, place in page(of: row, place) },
        empty: "no entry is kept here")

    static func feed(of node: String, _ place: Place) -> FeedKey { Views.list(path, place, ["node": node]) }

    private static let columns: [ConsoleColumn] = {
        // What differs from the other log weighs more than how far the entry is.
        @Sendable func word(_ row: Value) -> String {
            let mark = row["diff"]?.string
            return (mark == "same" ? nil : mark) ?? row["state"]?.string ?? ""
        }
        var state = ConsoleColumn("STATE", "state", .fixed(12), rank: 0) { row, _ in word(row) }
        state.state = word
        return [
            .plain("INDEX", "index", .fixed(10), right: true, rank: 0), .plain("TERM", "term", .fixed(6), right: true),
            .plain("KIND", "kind", .fixed(13), rank: 2), .plain("BYTES", "bytes", .fixed(8), right: true), state,
            .plain("CHECKSUM", "checksum", .fixed(8), rank: 3), .plain("NAMESPACES", "namespaces", .fixed(12), rank: 4),
            ConsoleColumn("WHAT", "text", .flexible(16), rank: 0) { row, _ in RaftLogLines.what(row) },
        ]
    }()

    /// An entry does not change any more: all of it as a page.
    private static func page(of row: Value, _ place: Place) -> Place? {
        guard let index = row["index"]?.int else { return nil }
        var page = Place(.output, "entry \(index) of \(place.subject)")
        page.text = RaftLogLines.whole(row, of: place)
        return page
    }
}

extension ConsoleState {
    /// How many entries the other log is read further than this one, so that one which is a little longer is read as far.
    private static let slack: UInt64 = 64

    /// What of the other log stands beside the rows that are loaded.
    var againstRequest: FeedRequest? {
        guard let key = spec.against?.feed(place) else { return nil }
        let data = rowsFeed.flatMap { feeds[$0] }
        guard let newest = data?.ids.first.flatMap({ UInt64($0) }), let count = data?.ids.count else { return FeedRequest(key, count: 8) }
        // Another request only once in so many entries, however fast the log grows.
        let anchor = (newest / Self.slack + 1) * Self.slack
        return FeedRequest(
            key, count: min(1000, (count + 2 * Int(Self.slack) + 7) / 8 * 8), anchor: .init(id: String(anchor), before: 0))
    }

    /// A row with what the other log has in its place.
    func compared(_ row: Value) -> Value {
        guard let against = spec.against, let key = against.feed(place) else { return row }
        return against.mark(row, feeds[key])
    }

    var comparison: HeaderContext.Comparison? {
        guard let with = place.against, let key = spec.against?.feed(place) else { return nil }
        let rows = rows
        let seen = rows.loaded.clamped(to: place.top..<place.top + 200)
        let differing = seen.last { rows.at($0)?["diff"]?.string == "differs" }
        return .init(
            with: with, failure: feeds[key]?.failure?.message,
            differsAt: differing.flatMap { rows.at($0)?["index"] }.map { Words.oneLine(Words.plain($0)) })
    }

    // MARK: Keys

    /// The log of the member that is selected.
    mutating func openLog() {
        switch place.view {
        case .raftLog: say("this is the log of \(Words.oneLine(place.subject))")
        case .raft, .nodes:
            guard let row = selectedRow, let id = row["id"]?.string else { return say("nothing is selected") }
            guard place.view == .raft || row["raft"]?.string != nil else {
                return say("\(id) is no member of the Raft group and keeps no log")
            }
            push(Place(.raftLog, id))
        default: say("a log is that of a member: select one in :raft")
        }
    }

    /// The members whose logs there are, as the node that is asked knows them.
    private var logMembers: [String] { (value.map { RaftGroup($0) }?.members ?? []).filter { $0.vote != .none }.map(\.id) }

    /// The log of the next member, at the entry that is selected here.
    mutating func nextLog(_ by: Int) {
        let members = logMembers
        guard members.count > 1 else { return say("there is no other member") }
        let here = members.firstIndex { sameBytes($0, place.subject) } ?? 0
        let next = members[(here + by % members.count + members.count) % members.count]
        if place.against == next { place.against = place.subject }
        place.subject = next
        say("the log of \(next)")
    }

    /// Compares with the next member, then with the one after it, then with none.
    mutating func compareLog() {
        guard place.view == .raftLog else { return say("only logs of members are compared: 'L' in :raft opens one") }
        let others = logMembers.filter { !sameBytes($0, place.subject) }
        guard !others.isEmpty else { return say("there is no other member to compare with") }
        let next = place.against.map { against in others.firstIndex { sameBytes($0, against) }.map { $0 + 1 } ?? 0 } ?? 0
        place.against = others.indices.contains(next) ? others[next] : nil
        say(place.against.map { "compared with \($0)" } ?? "compared with none")
    }

    /// To the newest entry, and with it.
    mutating func followLog() {
        (place.row, place.top, place.selectedID, place.anchor, place.heldAt) = (0, 0, nil, nil, nil)
        say("following the newest entry")
    }
}

import Cells
import Primitives

/// A log and its entries in words.
enum RaftLogLines {
    private static let groupLimit = 200

    // MARK: The log

    static func header(_ raft: Value?, _ context: HeaderContext) -> [Line] {
        let node = Words.oneLine(context.subject)
        var lines = [Line.fact("log of", node, .bright)]
        if let raft {
            let group = RaftGroup(raft)
            if let member = group.members.first(where: { sameBytes($0.id, context.subject) }) {
                lines[0] = lines[0] + Line("  ") + .state(member.word, context.theme, context.level)
                if member.isHere { lines.append(.fact("entries", RaftWords.log(raft))) }
            } else {
                lines[0] = lines[0] + Line("  no member of the group", .warning)
            }
        }
        if let beside = context.comparison {
            lines.append(.fact("beside it", Words.oneLine(beside.with), .bright) + Line("   ") + summary(beside))
        }
        return lines + (context.isLinear ? [] : [Line()])
    }

    /// What the marks of the rows come to.
    private static func summary(_ beside: HeaderContext.Comparison) -> Line {
        if let failure = beside.failure { return Line(Words.oneLine(failure), .warning) }
        guard let index = beside.differsAt else { return Line("no difference among the entries on the screen", .dim) }
        return Line("they differ from \(index) on, as far as is loaded", .error)
    }

    // MARK: One entry

    /// `submit, 3 settle`, or who belongs to the group.
    static func what(_ row: Value) -> String {
        if let problem = row["problem"]?.string { return Words.oneLine("cannot be read: \(problem)") }
        guard let commands = row["commands"]?.list else { return Words.oneLine(Words.plain(row["text"])) }
        return commands.isEmpty ? "no command" : Words.oneLine(commands.prefix(groupLimit).map(group).joined(separator: ", "))
    }

    private static func group(_ group: Value) -> String {
        let count = group["count"]?.int ?? 1
        return count == 1 ? Words.plain(group["kind"]) : "\(count) \(Words.plain(group["kind"]))"
    }

    static func detail(_ row: Value, _ context: HeaderContext) -> [Line] {
        func text(_ key: String) -> String { Words.oneLine(Words.plain(row[key])) }
        var lines = [
            Line.fact("entry", text("index"), .bright) + Line("   term ", .dim) + Line(text("term")) + Line("  ")
                + .state(text("state"), context.theme, context.level),
            .fact("kind", "\(text("kind")), \(text("bytes")) bytes"), .fact("checksum", text("checksum")),
            .fact("chain", text("chain")),
        ]
        if row["time"]?.string != nil { lines.append(.fact("time", "\(text("time")) (\(Words.age(row["time"], now: context.now)) ago)")) }
        if row["featureLevel"]?.number != nil { lines.append(.fact("level", text("featureLevel"))) }
        for (place, group) in (row["commands"]?.list ?? []).prefix(groupLimit).enumerated() {
            let space = Words.plain(group["namespace"])
            let words = "\(self.group(group))\(space.isEmpty ? "" : " in \(space)"), \(Words.plain(group["bytes"])) bytes"
            lines.append(.fact(place == 0 ? "commands" : "", Words.oneLine(words)))
        }
        if let configuration = row["configuration"] {
            for key in ["voters", "outgoing", "learners", "target"] where configuration[key]?.list?.isEmpty == false {
                lines.append(.fact(key, RaftWords.names(configuration[key])))
            }
        }
        if let problem = row["problem"]?.string { lines.append(.fact("problem", Words.oneLine(problem), .error)) }
        return lines + difference(row)
    }

    private static func difference(_ row: Value) -> [Line] {
        guard let word = row["diff"]?.string, let other = row["other"] else { return [] }
        let isSame = word == "same"
        var lines = [Line(), Line.fact("beside it", sentence(word), isSame ? .text : .warning)]
        guard !isSame, other != .null else { return lines }
        for key in ["term", "kind", "bytes", "checksum", "chain", "state"] where other[key] != row[key] {
            lines.append(.fact(key, "\(Words.oneLine(Words.plain(other[key]))) there", .warning))
        }
        return lines
    }

    private static func sentence(_ word: String) -> String {
        switch word {
        case "same": "the same, and all before it"
        case "differs": "another entry"
        case "after": "the same entry, after one that differs"
        case "missing": "not there yet"
        default: "not loaded"
        }
    }

    /// The entry as a page of its own.
    static func whole(_ row: Value, of place: Place) -> [Line] {
        let context = HeaderContext(now: .zero, width: 120, theme: .plain, level: .ascii, detail: nil)
        guard case .map(var fields) = row else { return [] }
        fields["time"] = nil
        var lines = [Line.fact("log of", Words.oneLine(place.subject), .bright)] + detail(.map(fields), context)
        lines += [Line(), Line("as 'distric raft log list --from \(Words.plain(row["index"])) --limit 1 -o json' prints it", .dim)]
        fields = row.map ?? Fields()
        (fields["diff"], fields["other"]) = (nil, nil)
        return lines + Words.json(.map(fields))
    }

    // MARK: Two logs

    /// A row with `diff`, what it is beside the other log's: same, differs, after, missing; nothing where that part of the other is not loaded.
    static func marked(_ row: Value, against data: FeedData?) -> Value {
        guard case .map(var fields) = row, let id = row["id"]?.string, let data, let newest = data.ids.first.flatMap({ UInt64($0) }) else {
            return row
        }
        let other = data.rows[id].flatMap { data.place(of: id) == nil ? nil : $0 }
        fields["other"] = other ?? .null
        guard let other else {
            let isBeyond = data.offset == 0 && (UInt64(id) ?? 0) > newest
            fields["diff"] = isBeyond ? "missing" : nil
            return .map(fields)
        }
        let isSame = LogDifference.isSame(row, other)
        fields["diff"] = !isSame ? "differs" : row["chain"] == other["chain"] ? "same" : "after"
        return .map(fields)
    }
}

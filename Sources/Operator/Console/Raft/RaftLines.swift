import Primitives

/// The Raft group in words and lanes.
enum RaftLines {
    /// Elections above the table; the row of the node that tells of them has all.
    private static let electionCount = 2

    static func header(_ value: Value?, _ context: HeaderContext) -> [Line] {
        guard let value else { return [] }
        var lines = [leader(value), .fact("quorum", RaftWords.quorum(value), RaftWords.isLost(value) ? .error : .text)]
        if let joint = RaftWords.joint(value) { lines.append(.fact("joint", joint, .warning)) }
        if let next = value["transferTo"]?.string { lines.append(.fact("handover", "\(Words.oneLine(next)) is to lead", .warning)) }
        if value["isRecovering"]?.bool == true {
            lines.append(.fact("recovering", "this node does not count before it has the whole log", .warning))
        }
        lines += [.fact("log", RaftWords.log(value)), .fact("snapshot", RaftWords.snapshot(value))]
        for (place, election) in RaftWords.elections(value).prefix(electionCount).enumerated() {
            lines.append(.fact(place == 0 ? "election" : "before", RaftWords.election(election, now: context.now)))
        }
        return lines + (context.isLinear ? [] : [legend, Line()])
    }

    private static func leader(_ value: Value) -> Line {
        let (here, role) = (Words.oneLine(Words.plain(value["node"])), Words.oneLine(Words.plain(value["role"])))
        let term = Line("   term ", .dim) + Line(Words.oneLine(Words.plain(value["term"])))
        let asked = Line("   asked ", .dim) + Line("\(here), \(RaftWords.spaced(role))")
        guard let leader = value["leader"]?.string else { return .fact("leader", "none", .error) + term + asked }
        return .fact("leader", Words.oneLine(leader), .bright) + term + asked
    }

    private static var legend: Line {
        RaftMark.allCases.reduce(Line("lanes       ", .dim)) { line, mark in
            line + Line(mark.letter, mark.role) + Line(mark == .unknown ? " unheard" : " \(mark.word)", .dim) + Line("  ")
        } + Line("\(RaftHistory.stepMilliseconds / 1000) s each", .dim)
    }

    // MARK: One member

    static func detail(_ row: Value, _ context: HeaderContext) -> [Line] {
        let role = Words.oneLine(Words.plain(row["role"]))
        var lines = [
            Line.fact("member", Words.oneLine(Words.plain(row["id"])), .bright) + Line("  ") + .state(role, context.theme, context.level)
                + Line("  \(Words.oneLine(Words.plain(row["vote"])))", .dim)
        ]
        guard row["isHere"]?.bool == true else { return lines + peer(row) }
        lines += [
            .fact("log", RaftWords.log(row)), .fact("snapshot", RaftWords.snapshot(row)),
            .fact("members", "voters \(RaftWords.names(row["voters"])); learners \(RaftWords.names(row["learners"]))"),
            .fact("in force", "since entry \(Words.oneLine(Words.plain(row["configurationIndex"])))"),
        ]
        for (place, election) in RaftWords.elections(row).enumerated() {
            lines.append(.fact(place == 0 ? "elections" : "", RaftWords.election(election, now: context.now)))
        }
        return lines + [Line(), Line("enter: the entries of its log; 'distric raft log inspect DATA' reads them on its machine", .dim)]
    }

    private static func peer(_ row: Value) -> [Line] {
        func text(_ key: String) -> String { Words.oneLine(Words.plain(row[key])) }
        let heard = row["silentForMs"]?.number == nil ? "" : ", last heard \(Words.milliseconds(row["silentForMs"])) ago"
        var lines = [
            Line.fact("link", text("link") + heard, row["link"]?.string == "up" ? .text : .warning),
            .fact("address", text("address")) + Line("   http ", .dim) + Line(text("http")),
            .fact("log", "\(text("state")), match \(text("matchIndex")), next \(text("nextIndex")), lag \(text("lag"))"),
            .fact("in flight", RaftWords.inFlight(row)),
        ]
        let note = RaftWords.note(row)
        if !note.isEmpty { lines.append(.fact("note", note, .warning)) }
        if row["featureLevel"]?.number != nil { lines.append(.fact("level", text("featureLevel"))) }
        if row["matchIndex"]?.number == nil, row["here"]?.string != nil {
            lines += [Line(), Line("what it has of the log the leader knows: 'distric raft peers' asks it", .dim)]
        }
        return lines
    }

    // MARK: The first screen

    /// All members in so many lines: one each with its lane, or those that are in one state together where they are more.
    static func pulse(_ status: Value, _ canvas: Canvas, width: Int, rows: Int, lane: (String, Int) -> [RaftMark?]) -> [Line] {
        let group = RaftGroup.of(status: status)
        guard group.members.count < rows else { return packed(together(group, canvas), width: width) + [numbers(status)] }
        let heads = group.members.map { member in
            Line.state(member.word, canvas.theme, canvas.level) + Line(" \(Words.oneLine(member.id))", .bright) + Line("  lag ", .dim)
                + Line(Words.oneLine(Words.plain(member.facts["lag"])))
        }
        let left = (heads.map(\.width).max() ?? 0) + 2
        let room = width - left
        return zip(group.members, heads).map { member, head in
            guard room >= 6 else { return head }
            return head + Line(String(repeating: " ", count: left - head.width)) + line(lane(member.id, room))
        } + [numbers(status)]
    }

    /// All members in one line.
    static func brief(_ status: Value, _ canvas: Canvas) -> [Line] { together(RaftGroup.of(status: status), canvas) + [numbers(status)] }

    /// `● leader c-1`, `▶ follower c-2`, `c-3`: who leads first, then whoever is not well; what is in a state follows the first that is.
    private static func together(_ group: RaftGroup, _ canvas: Canvas) -> [Line] {
        let words = ["leader", "candidate", "down", "silent", "unknown", "follower", "learner"]
        return words.flatMap { word in
            group.members.filter { $0.word == word }.enumerated().map { place, member in
                let id = Line(Words.oneLine(member.id), .bright)
                return place == 0 ? .state(word, canvas.theme, canvas.level) + Line(" ") + id : id
            }
        }
    }

    private static func packed(_ pieces: [Line], width: Int) -> [Line] {
        pieces.reduce(into: [Line]()) { lines, piece in
            if let last = lines.last, last.width + 2 + piece.width <= width {
                lines[lines.count - 1] = last + Line("  ") + piece
            } else {
                lines.append(piece)
            }
        }
    }

    private static func numbers(_ status: Value) -> Line {
        Line("term ", .dim) + Line(Words.plain(status["term"])) + Line("  commit ", .dim) + Line(Words.plain(status["commitIndex"]))
            + Line("  log ", .dim) + Line(Words.count(status.at("raft", "logBytes")) + "B")
    }

    private static func line(_ marks: [RaftMark?]) -> Line {
        Line(marks.map { Line.Piece(text: $0?.letter ?? " ", role: $0?.role ?? .text) })
    }
}

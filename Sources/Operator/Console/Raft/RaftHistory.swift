import Primitives

/// What each member of the Raft group was and when, as far as the console has looked on: what the lanes are drawn from.
package struct RaftHistory: Equatable, Sendable {
    private struct Span: Equatable, Sendable {
        var since: ClusterTime
        var mark: RaftMark
    }

    /// Changes that are kept of a member; older ones are forgotten.
    static let spanLimit = 256
    static let memberLimit = 64
    /// The time that one letter stands for.
    static let stepMilliseconds: UInt64 = 2_000

    private var spans: [String: [Span]] = [:]

    package init() {}

    var members: [String] { spans.keys.sorted(by: bytesPrecede) }

    /// What they are from `now` on; of those that are no longer among them nothing is known.
    mutating func take(_ marks: [(node: String, mark: RaftMark)], at now: ClusterTime) {
        let told = Set(marks.map(\.node))
        for node in members where !told.contains(node) {
            // Room is for those that are members.
            if spans.count >= Self.memberLimit { spans[node] = nil } else { add(.unknown, to: node, at: now) }
        }
        for (node, mark) in marks where spans[node] != nil || spans.count < Self.memberLimit { add(mark, to: node, at: now) }
    }

    /// Nobody tells of them any more since `time`.
    mutating func lose(at time: ClusterTime) { for node in spans.keys { add(.unknown, to: node, at: time) } }

    private mutating func add(_ mark: RaftMark, to node: String, at time: ClusterTime) {
        var own = spans[node] ?? []
        guard own.last?.mark != mark else { return }
        // A clock that was set back makes no past of what is.
        own.append(Span(since: max(time, own.last?.since ?? time), mark: mark))
        if own.count > Self.spanLimit { own.removeFirst(own.count - Self.spanLimit) }
        spans[node] = own
    }

    /// The newest letter on the right; nil for what was before the console looked. Letters stand for whole steps of the clock, so that a lane
    /// moves once a step and not with every second. Of what changed within one an election is shown first, then that it was gone.
    func lane(of node: String, width: Int, now: ClusterTime) -> [RaftMark?] {
        guard width > 0, let own = spans[node] else { return Array(repeating: nil, count: max(0, width)) }
        let step = Self.stepMilliseconds
        let last = now.milliseconds / step
        var marks = [RaftMark?](repeating: nil, count: width)
        for (place, span) in own.enumerated() {
            let since = span.since.milliseconds
            // Up to the change after it, which is no longer its own.
            let end = own.indices.contains(place + 1) ? max(since + 1, own[place + 1].since.milliseconds) - 1 : max(since, now.milliseconds)
            let (from, to) = (since / step, min(last, end / step))
            guard from <= to else { continue }
            let oldest = last >= UInt64(width) ? last - UInt64(width) + 1 : 0
            for cell in max(from, oldest)...max(to, oldest) where cell <= to {
                let column = width - 1 - Int(last - cell)
                if column >= 0, Self.weight(span.mark) >= Self.weight(marks[column]) { marks[column] = span.mark }
            }
        }
        marks[width - 1] = own.last?.mark
        return marks
    }

    private static func weight(_ mark: RaftMark?) -> Int {
        switch mark {
        case .candidate?: 3
        case .unknown?: 2
        case .leader?, .follower?, .learner?: 1
        case nil: 0
        }
    }
}

extension ConsoleState {
    /// What a status says of the group becomes a piece of the lanes, whatever view is shown.
    mutating func observeRaft(_ key: FeedKey, _ update: FeedUpdate) {
        guard key == Views.raftFeed || key == Views.statusFeed else { return }
        switch update {
        case .value(let value):
            let group = key == Views.raftFeed ? RaftGroup(value) : RaftGroup.of(status: value)
            // The group's own words weigh more than those of the members.
            guard key == Views.raftFeed || value.at("raft", "voters") != nil || !isHeard(Views.raftFeed) else { return }
            raftHistory.take(group.members.map { ($0.id, $0.mark) }, at: now)
        case .failed:
            guard !isHeard(key == Views.raftFeed ? Views.statusFeed : Views.raftFeed) else { return }
            raftHistory.lose(at: feeds[key]?.updatedAt ?? now)
        case .rows, .lines, .alive: break
        }
    }

    private func isHeard(_ key: FeedKey) -> Bool {
        guard let data = feeds[key], data.failure == nil, let updated = data.updatedAt else { return false }
        return now.duration(since: updated) <= .seconds(5)
    }
}

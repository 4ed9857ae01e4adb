package import Primitives
import Raft

// Time and messages.
extension ScriptedCluster {
    // MARK: Messages

    /// Hands over the oldest message that may go on.
    package mutating func deliverNext(_ filter: MessageFilter = MessageFilter()) -> Bool {
        let listening = listening
        guard let envelope = network.takeFirst(filter, where: { listening.contains($0) }) else { return false }
        hand(envelope)
        return true
    }

    /// The same for so many, or all that are there now, each told with what came of it.
    package mutating func deliver(_ filter: MessageFilter = MessageFilter(), count: Int? = nil) {
        let listening = listening
        let there = network.count(filter) { listening.contains($0) }
        for _ in 0..<min(count ?? there, there) {
            guard let envelope = network.takeFirst(filter, where: { listening.contains($0) }) else { return }
            say(envelope.text)
            let before = lines.count
            if !hand(envelope) { say("\(envelope.to) is down") }
            for place in lines.indices.dropFirst(before) { lines[place] = "  " + lines[place] }
        }
    }

    /// False when whom it is for is down.
    @discardableResult
    private mutating func hand(_ envelope: ScriptedNetwork.Envelope) -> Bool {
        guard let place = place(of: envelope.to) else { return false }
        return handle(.message(envelope.message, from: envelope.from), at: place)
    }

    /// Delivers until no message is under way that may go on; false when that is not so after `limit` of them.
    @discardableResult
    package mutating func stabilize(limit: Int = 10_000) -> Bool {
        for _ in 0..<limit { guard deliverNext() else { return true } }
        let listening = listening
        return network.count(MessageFilter(), where: { listening.contains($0) }) == 0
    }

    private var listening: [NodeID] { servers.filter { !$0.isPaused }.map(\.id) }

    package mutating func hold(_ filter: MessageFilter, count: Int? = nil) -> Int { network.hold(filter, count: count) }

    package mutating func release(_ filter: MessageFilter = MessageFilter()) { network.release(filter) }

    package mutating func drop(_ filter: MessageFilter = MessageFilter(), count: Int? = nil) -> [ScriptedNetwork.Envelope] {
        network.drop(filter, count: count)
    }

    package mutating func duplicate(_ filter: MessageFilter = MessageFilter(), count: Int? = nil) -> [ScriptedNetwork.Envelope] {
        network.duplicate(filter, count: count)
    }

    /// Both ways, or only from the first to the second. What is under way is lost.
    package mutating func cut(_ one: NodeID, _ other: NodeID, oneWay: Bool = false) {
        network.cut(one, other)
        if !oneWay { network.cut(other, one) }
    }

    /// From everybody.
    package mutating func isolate(_ id: NodeID) { for server in servers where server.id != id { cut(id, server.id) } }

    package mutating func heal(_ filter: MessageFilter = MessageFilter()) { network.heal(filter) }

    // MARK: Time

    /// Time passes; those whom it is about act on it, each when its timer runs out. Messages wait, or go on at once.
    package mutating func advance(_ duration: Duration, only place: Int? = nil, delivering: Bool = false) {
        let end = now.advanced(by: duration)
        if delivering { stabilize() }
        var last = (at: now, ticks: 0)
        while let next = nextTimer(only: place), next.at <= end {
            now = max(now, next.at)
            last = last.at == now ? (now, last.ticks + 1) : (now, 0)
            guard last.ticks < Self.timerLimit else { return fault("\(servers[next.place].id) has a timer that does not go on") }
            handle(.tick, at: next.place)
            if delivering { stabilize() }
        }
        now = max(now, end)
    }

    private static let timerLimit = 1_000

    private func nextTimer(only place: Int?) -> (at: Instant, place: Int)? {
        var next: (at: Instant, place: Int)?
        for (number, server) in servers.enumerated() where place == nil || place == number {
            guard let deadline = server.deadline, next.map({ deadline < $0.at }) ?? true else { continue }
            next = (deadline, number)
        }
        return next
    }

    /// Lets a server's election timer run out, whatever the others' do; false when it does not campaign.
    package mutating func campaign(_ place: Int) -> Bool {
        let before = campaigns
        for _ in 0..<Self.timerLimit {
            guard let core = servers[place].core, core.role != .leader, let deadline = servers[place].deadline else { return false }
            now = max(now, deadline)
            handle(.tick, at: place)
            if campaigns > before { return true }
            // A follower has one timer.
            if core.role == .follower { return false }
        }
        return false
    }
}

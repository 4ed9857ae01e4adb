import Primitives
import Raft

// Requests, time, messages, and what befalls servers.
extension ScriptCommands {
    // MARK: Requests

    mutating func request(_ verb: Verb, _ words: inout ScriptWords) throws(ScriptError) -> [String] {
        let place = try running(&words)
        let id = cluster.servers[place].id
        switch verb {
        case .campaign:
            if cluster[id]?.role == .leader { throw ScriptError("\(id) leads") }
            if !cluster.campaign(place) { cluster.say("\(id) does not campaign") }
        case .propose:
            let text = words.rest()
            guard !text.isEmpty else { throw ScriptError("'propose' wants a text") }
            cluster.propose(Array(text.utf8), at: place)
        case .fill: try fill(place, &words)
        case .read:
            let number = try ScriptWords.number(try words.next("a number for the read"), "a read's number", in: 1...1_000_000)
            cluster.read(number, at: place)
        case .change:
            let voters = try words.nodes("voters") ?? []
            let learners = try words.nodes("learners") ?? []
            let basedOn = try words.number("based", in: 0...1_000_000).map { LogIndex($0) }
            cluster.change(voters: voters, learners: learners, basedOn: basedOn, at: place)
        case .transfer:
            let target: NodeID? = if let name = words.take() { try ScriptWords.node(name) } else { nil }
            cluster.transfer(to: target, at: place)
        default:
            let chunks = try words.number("chunks", in: 1...1_000) ?? 1
            if !cluster.takeSnapshot(place, chunks: chunks) { throw ScriptError("\(id) has applied nothing since its last snapshot") }
        }
        return []
    }

    private mutating func fill(_ place: Int, _ words: inout ScriptWords) throws(ScriptError) {
        let bytes = Int(try words.number("bytes", in: 1...1 << 20) ?? 1)
        let count = try ScriptWords.number(try words.next("a count"), "a count", in: 1...10_000)
        let payload = Array(repeating: UInt8(ascii: "x"), count: bytes)
        for _ in 0..<count { cluster.propose(payload, at: place) }
    }

    // MARK: Time

    mutating func pass(_ verb: Verb, _ words: inout ScriptWords) throws(ScriptError) -> [String] {
        switch verb {
        case .tick:
            let place = try running(&words)
            cluster.advance(try duration(&words), only: place)
        case .advance: cluster.advance(try duration(&words))
        case .run: cluster.advance(try duration(&words), delivering: true)
        case .clock:
            let place = try place(&words)
            cluster.setClock(
                place, percent: Int64(try ScriptWords.number(try words.next("a rate in percent"), "a rate in percent", in: 50...200)))
        default: cluster.pause(try place(&words), verb == .pause)
        }
        return []
    }

    private func duration(_ words: inout ScriptWords) throws(ScriptError) -> Duration {
        .milliseconds(try ScriptWords.number(try words.next("milliseconds"), "milliseconds", in: 1...3_600_000))
    }

    // MARK: Messages

    mutating func carry(_ verb: Verb, _ words: inout ScriptWords) throws(ScriptError) -> [String] {
        switch verb {
        case .stabilize:
            var limit = 10_000
            if let text = words.take() { limit = Int(try ScriptWords.number(text, "a limit", in: 1...1_000_000)) }
            if !cluster.stabilize(limit: limit) { cluster.say("not quiet after \(limit) messages") }
            return []
        case .cut: try cut(&words)
        case .heal:
            guard !words.isEmpty else {
                cluster.heal()
                return []
            }
            let (one, other) = (try known(&words), try known(&words))
            cluster.heal(MessageFilter(from: one, to: other))
            cluster.heal(MessageFilter(from: other, to: one))
        default: try move(verb, try words.filter())
        }
        return []
    }

    private mutating func move(_ verb: Verb, _ wanted: (filter: MessageFilter, count: Int?)) throws(ScriptError) {
        let (filter, count) = wanted
        for end in [filter.from, filter.to] {
            if let end, cluster.place(of: end) == nil { throw ScriptError("there is no server '\(end)'") }
        }
        switch verb {
        case .deliver:
            let before = cluster.network.queue.count
            cluster.deliver(filter, count: count)
            if cluster.network.queue.count == before, cluster.lines.isEmpty { cluster.say("nothing to deliver") }
        case .drop:
            for envelope in cluster.drop(filter, count: count) { cluster.say("lost: \(envelope.text)") }
        case .duplicate:
            for envelope in cluster.duplicate(filter, count: count) { cluster.say("again: \(envelope.text)") }
        case .hold: _ = cluster.hold(filter, count: count)
        default: cluster.release(filter)
        }
    }

    private mutating func cut(_ words: inout ScriptWords) throws(ScriptError) {
        let oneWay = words.flag("one-way")
        let one = try known(&words)
        guard !words.isEmpty else {
            if oneWay { throw ScriptError("'cut' wants both ends of what is cut one way") }
            return cluster.isolate(one)
        }
        let other = try known(&words)
        guard one != other else { throw ScriptError("'\(one)' has no link to itself") }
        cluster.cut(one, other, oneWay: oneWay)
    }

    // MARK: What befalls servers

    mutating func befall(_ verb: Verb, _ words: inout ScriptWords) throws(ScriptError) -> [String] {
        switch verb {
        case .restart:
            let place = try place(&words)
            guard cluster.servers[place].core == nil else { throw ScriptError("\(cluster.servers[place].id) is up") }
            cluster.restart(place, try damage(place, &words))
            return []
        case .stall: cluster.stall(try place(&words))
        case .unstall: cluster.unstall(try place(&words))
        case .spoil: cluster.spoil(try place(&words))
        case .unreadable: cluster.losesSnapshots(try running(&words))
        case .store:
            let place = try running(&words)
            var count = Int.max
            if let text = words.take(), text != "all" { count = Int(try ScriptWords.number(text, "a count", in: 1...1_000_000)) }
            cluster.store(count, at: place)
        case .crash:
            let place = try place(&words)
            guard cluster.servers[place].core != nil else { throw ScriptError("\(cluster.servers[place].id) is down") }
            let pending = UInt64(cluster.servers[place].pending.count)
            cluster.crash(place, losing: try words.number("lose", in: 0...pending).map { Int($0) })
        default:
            let place = try running(&words)
            let peer = try known(&words)
            guard peer != cluster.servers[place].id else { throw ScriptError("'\(peer)' has no connection to itself") }
            cluster.handle(verb == .close ? .disconnected(peer) : .unreachable(peer), at: place)
        }
        return []
    }

    private func damage(_ place: Int, _ words: inout ScriptWords) throws(ScriptError) -> ScriptedCluster.Damage {
        if words.flag("lost-vote") { return .lostVote }
        if words.flag("wiped") { return .wiped }
        let disk = cluster.servers[place].durable
        let base = max(disk.base, disk.snapshot?.index ?? .zero)
        guard words.hasOption("damaged") else { return .none }
        guard disk.last > base else { throw ScriptError("\(cluster.servers[place].id) has no entry that could be damaged") }
        let range = base.next.number...disk.last.number
        return .log(from: LogIndex(try words.number("damaged", in: range) ?? range.upperBound))
    }
}

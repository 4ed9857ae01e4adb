package import Primitives
package import Raft

/// A few `RaftCore`s in one process, with every message, every write and the time under control: what `RaftScript` runs, and what tests drive
/// by hand.
///
/// Time is one for all (unless a clock is set to run at another rate) and passes only when it is told to; a timer that ran out acts when its
/// server is given the time. Messages wait in `network`. Writes are durable at once, but on a server that is stalled.
package struct ScriptedCluster: Sendable {
    package internal(set) var now = Instant(nanoseconds: 0)
    package internal(set) var servers: [ScriptedServer] = []
    package internal(set) var network = ScriptedNetwork()
    package internal(set) var reads: [ScriptedRead] = []
    /// What happened, and was not taken yet.
    var lines: [String] = []
    /// Only what must not be is told.
    var isQuiet = false
    var checks = ScriptedChecks()
    /// How many have begun.
    var campaigns = 0
    private var nextRequest: UInt64 = 1 << 32

    package init() {}

    /// - Parameter spare: servers that belong to no configuration yet.
    package init(voters: [NodeID], learners: [NodeID] = [], spare: [NodeID] = [], settings: RaftSettings = RaftSettings()) {
        let configuration = Configuration(voters: voters, learners: learners)
        for (place, id) in (voters + learners + spare).enumerated() {
            let initial = spare.contains(id) ? Configuration() : configuration
            var server = ScriptedServer(id: id, number: UInt64(place) + 1, settings: settings, initial: initial)
            server.start(at: now)
            servers.append(server)
        }
    }

    /// What happened since it was last asked for, a line each.
    package mutating func takeLines() -> [String] {
        defer { lines = [] }
        return lines
    }

    package func place(of id: NodeID) -> Int? { servers.firstIndex { $0.id == id } }

    package subscript(_ id: NodeID) -> RaftCore? { servers.first { $0.id == id }?.core }

    // MARK: Events

    /// Gives an event to a server, and does what it wants done, until it wants nothing more. False when it is down.
    @discardableResult
    package mutating func handle(_ event: RaftCore.Event, at place: Int) -> Bool {
        guard servers[place].core != nil else { return false }
        var events = [event]
        var count = 0
        while !events.isEmpty {
            guard count < Self.restlessness else {
                fault("\(servers[place].id) does not come to rest")
                break
            }
            count += 1
            var output = RaftOutput()
            let now = servers[place].own(now)
            servers[place].core?.handle(events.removeFirst(), now: now, into: &output)
            events += perform(output, at: place)
        }
        return true
    }

    private static let restlessness = 10_000

    private mutating func perform(_ output: RaftOutput, at place: Int) -> [RaftCore.Event] {
        let id = servers[place].id
        fault(servers[place].take(output.writes, isTrusted: output.isTrusted).map { "\(id) \($0)" })
        for accepted in output.accepted where accepted.count > 0 { say("\(id) accepts \(accepted.first)@\(accepted.term)") }
        for refused in output.refused { refuse(refused, at: place) }
        for transition in output.transitions { note(transition, at: place) }
        for outgoing in output.messages {
            fault(checks.sends(outgoing.message, from: servers[place], to: outgoing.to))
            network.send(outgoing.message, from: id, to: outgoing.to)
        }
        if let mark = output.restored { servers[place].appliedIndex = mark.index }
        if let index = output.commit { apply(through: index, at: place) }
        for ready in output.readsReady { answer(ready, at: place) }
        var events = output.fetches.map { RaftCore.Event.fetched(peer: $0.peer, servers[place].written.fetch($0)) }
        if let mark = output.incoming { events.append(.snapshotResumes(mark, chunk: servers[place].resumes(mark))) }
        if !servers[place].isStalled { events += stored(servers[place].pending.count, at: place) }
        return events
    }

    private mutating func stored(_ count: Int, at place: Int) -> [RaftCore.Event] {
        let (events, reason) = servers[place].store(count)
        fault(reason.map { "\(servers[place].id) \($0)" })
        return events
    }

    private mutating func note(_ transition: RaftTransition, at place: Int) {
        say("\(servers[place].id) \(transition.text)")
        switch transition {
        case .becamePreCandidate, .becameCandidate: campaigns += 1
        case .becameLeader:
            guard let core = servers[place].core else { return }
            for reason in checks.leads(core) { fault(reason) }
        default: return
        }
    }

    private mutating func apply(through index: LogIndex, at place: Int) {
        say("\(servers[place].id) commits \(index)")
        while servers[place].appliedIndex < index {
            let next = servers[place].appliedIndex.next
            guard let entry = servers[place].written.entry(at: next) else {
                return fault("\(servers[place].id) has no entry \(next) to apply")
            }
            fault(checks.applied(entry, at: servers[place].id))
            servers[place].appliedIndex = next
        }
    }

    // MARK: Storage

    package mutating func stall(_ place: Int) { servers[place].isStalled = true }

    /// Makes the oldest writes of a server durable.
    package mutating func store(_ count: Int = .max, at place: Int) {
        let count = min(count, servers[place].pending.count)
        guard count > 0 else { return }
        for event in stored(count, at: place) { handle(event, at: place) }
    }

    package mutating func unstall(_ place: Int) {
        servers[place].isStalled = false
        store(at: place)
    }

    // MARK: Requests

    package mutating func propose(_ payload: [UInt8], at place: Int) { handle(.propose(id: request(), [payload]), at: place) }

    package mutating func read(_ id: UInt64, at place: Int) {
        reads.append(ScriptedRead(id: id, server: servers[place].id, asked: checks.committedIndex))
        handle(.read(id: id), at: place)
    }

    package mutating func change(voters: [NodeID], learners: [NodeID] = [], basedOn: LogIndex? = nil, at place: Int) {
        handle(.change(id: request(), voters: voters, learners: learners, basedOn: basedOn), at: place)
    }

    package mutating func transfer(to target: NodeID?, at place: Int) { handle(.transfer(id: request(), to: target), at: place) }

    /// Above any number that a read is given.
    private mutating func request() -> UInt64 {
        nextRequest += 1
        return nextRequest
    }

    private mutating func refuse(_ refused: RaftOutput.Refused, at place: Int) {
        let id = servers[place].id
        guard refused.id < 1 << 32 else { return say("\(id) refuses: \(refused.reason.text)") }
        say("\(id) refuses read \(refused.id): \(refused.reason.text)")
        guard let read = waiting(refused.id, at: id) else { return }
        reads[read].outcome = .refused(refused.reason)
    }

    private mutating func answer(_ ready: RaftOutput.Ready, at place: Int) {
        let id = servers[place].id
        say("\(id) may answer read \(ready.id) at \(ready.index)")
        // A second answer, or one to a request from before a crash: a host lets it be.
        guard let read = waiting(ready.id, at: id) else { return }
        fault(checks.isReady(reads[read], at: ready.index))
        reads[read].outcome = .ready(ready.index)
    }

    private func waiting(_ id: UInt64, at server: NodeID) -> Int? {
        reads.firstIndex { $0.id == id && $0.server == server && $0.outcome == .waiting }
    }

    // MARK: Telling

    mutating func say(_ line: String) { if !isQuiet { lines.append(line) } }

    mutating func fault(_ reason: String?) { if let reason { lines.append("!! " + reason) } }
}

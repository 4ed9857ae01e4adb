package import Primitives
import Raft

// What befalls servers: start states, crashes, damage, snapshots.
extension ScriptedCluster {
    /// How a server comes back.
    package enum Damage: Equatable, Sendable {
        case none
        /// Term and vote cannot be read any more.
        case lostVote
        /// All entries from here on are unreadable.
        case log(from: LogIndex)
        case wiped
    }

    /// Puts a server in a state that it could have come to: entries of these terms, the first of them compacted behind a snapshot of `base`,
    /// which is taken as committed.
    package mutating func begin(_ place: Int, terms: [Term], base: LogIndex = .zero, state: HardState) {
        var disk = ScriptedDisk()
        disk.hardState = state
        disk.entries = terms.enumerated().map { offset, term in
            let index = LogIndex(UInt64(offset) + 1)
            return LogEntry(index: index, term: term, kind: .commands, payload: Array("\(index)@\(term)".utf8))
        }
        if base > .zero {
            for entry in disk.entries where entry.index <= base { fault(checks.applied(entry, at: servers[place].id)) }
            disk.snapshot = SnapshotMark(
                index: base, term: terms[Int(base.number) - 1], chain: checks.chain(at: base), configuration: servers[place].initial,
                bytes: UInt64(servers[place].settings.chunkBytes), checksum: 0)
            disk.entries.removeAll { $0.index <= base }
            disk.base = base
        }
        servers[place].durable = disk
        servers[place].pending = []
        servers[place].start(at: now)
    }

    /// - Parameter lost: that many of the writes that are not durable; nil: all of them.
    package mutating func crash(_ place: Int, losing lost: Int? = nil) {
        let id = servers[place].id
        let count = servers[place].pending.count
        fault(servers[place].crash(losing: min(lost ?? count, count)).map { "\(id) \($0)" })
        for read in reads.indices where reads[read].server == id && reads[read].outcome == .waiting { reads[read].outcome = .lost }
    }

    package mutating func restart(_ place: Int, _ damage: Damage = .none) {
        var disk = servers[place].durable
        switch damage {
        case .none: break
        case .lostVote:
            disk.hardState = HardState(term: disk.knownTerm, vote: nil)
            disk.isRecovering = true
        case .log(let index):
            disk.entries.removeAll { $0.index >= index }
            disk.isRecovering = true
        case .wiped:
            disk = ScriptedDisk()
            disk.isRecovering = true
        }
        servers[place].durable = disk
        servers[place].start(at: now)
    }

    /// A snapshot of all that is applied; false when there is nothing new to stand for.
    package mutating func takeSnapshot(_ place: Int, chunks: UInt64 = 1) -> Bool {
        let (index, size) = (servers[place].appliedIndex, UInt64(servers[place].settings.chunkBytes))
        guard let core = servers[place].core, index > core.snapshot?.index ?? .zero, let term = core.log.term(at: index) else {
            return false
        }
        let mark = SnapshotMark(
            index: index, term: term, chain: checks.chain(at: index), configuration: core.log.configuration(at: index),
            bytes: chunks * size, checksum: 0)
        servers[place].took(mark)
        handle(.snapshotTaken(mark), at: place)
        return true
    }

    /// Whoever is sent a snapshot by this server cannot be sent it any more.
    package mutating func losesSnapshots(_ place: Int) {
        for peer in servers[place].core?.progress ?? [] {
            if case .snapshot(let transfer) = peer.state { handle(.snapshotUnreadable(transfer.mark), at: place) }
        }
    }

    /// The next snapshot that a server gets is found to be damaged.
    package mutating func spoil(_ place: Int) { servers[place].isSpoiled = true }

    /// A server that is paused gets neither time nor messages.
    package mutating func pause(_ place: Int, _ isPaused: Bool) { servers[place].isPaused = isPaused }

    package mutating func setClock(_ place: Int, percent: Int64) { servers[place].setRate(percent, at: now) }

    /// What keeps the servers that are up from having one log, committed and applied to its end, in one configuration.
    package var disagreements: [String] {
        let up = servers.filter { $0.core != nil }
        guard let longest = up.compactMap({ $0.core?.log.lastIndex }).max(), let first = up.first?.core?.configuration else { return [] }
        return up.compactMap { server in
            guard let core = server.core else { return nil }
            if core.isRecovering { return "\(server.id) does not trust its log" }
            if core.log.lastIndex < longest { return "\(server.id) has its log to \(core.log.lastIndex), the longest ends at \(longest)" }
            if server.appliedIndex < longest { return "\(server.id) has applied \(server.appliedIndex) of \(longest)" }
            if core.durableIndex < longest { return "\(server.id) has \(core.durableIndex) of \(longest) on its disk" }
            return core.configuration == first ? nil : "\(server.id) has another configuration than \(up[0].id)"
        }
    }
}

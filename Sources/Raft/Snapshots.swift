import Primitives

// Raft section 7. A follower whose entries are compacted gets the state machine's snapshot in chunks, of which it says which one it wants: so a transfer goes on where
// it was cut off. The bytes are the driver's; here is only which chunk goes where.
extension RaftCore {
    // MARK: Compaction

    mutating func snapshotTaken(_ mark: SnapshotMark, _ now: Instant) {
        // One that was begun before a leader's took its place is of no interest.
        guard mark.index > snapshot?.index ?? .zero else { return }
        precondition(
            mark.index <= min(commitIndex, durableIndex), "a snapshot of \(mark.index), \(commitIndex) and \(durableIndex) on disk")
        snapshot = mark
        compact(now)
    }

    /// Keeps what followers are about to need: a tail for those that are a little behind, and all that follows a snapshot that is on its way.
    private mutating func compact(_ now: Instant) {
        guard let snapshot else { return }
        var end = LogIndex(snapshot.index.number - min(snapshot.index.number, settings.tailEntries))
        // Neither more entries nor more bytes than that: what is not in memory any more is too much.
        end = max(end, min(snapshot.index, LogIndex(log.firstKept.number - 1)))
        for peer in progress {
            if case .snapshot(let transfer) = peer.state, isNear(peer, now), !mutated(.compactsUnderTransfer) {
                end = min(end, transfer.mark.index)
            }
        }
        end = mutated(.compactsUncommitted) ? log.lastIndex : min(end, durableIndex)
        guard end > log.base else { return }
        log.compact(through: end)
        _ = writing { $0.compactThrough = end }
    }

    // MARK: Sending

    mutating func beginSnapshot(_ place: Int, _ now: Instant, _ output: inout RaftOutput) {
        // Compaction is behind a snapshot always; its mark is known before.
        guard let snapshot, snapshot.index >= log.base else { return }
        progress[place].becomeSnapshot(snapshot, now: now)
        output.transitions.append(.snapshotSent(to: progress[place].id, snapshot.index))
        sendChunks(place, now, &output)
    }

    mutating func sendChunks(_ place: Int, _ now: Instant, _ output: inout RaftOutput) {
        guard case .snapshot(var transfer) = progress[place].state else { return }
        let count = transfer.mark.chunks(of: settings.chunkBytes)
        // The first one alone: it is not taken, and its answer says where to go on.
        let window = transfer.isBegun ? settings.chunksInFlight : 1
        while transfer.sent < count, transfer.sent < transfer.acknowledged + window {
            let chunk = RaftMessage.SnapshotChunk(term: term, snapshot: transfer.mark, chunk: transfer.sent, round: round)
            send(.installSnapshot(chunk), to: progress[place].id, after: nil, &output)
            transfer.sent += 1
        }
        progress[place].state = .snapshot(transfer)
    }

    mutating func installSnapshotReply(
        _ message: RaftMessage.SnapshotAnswer, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput
    ) {
        guard role == .leader, let place = progress.firstIndex(where: { $0.id == sender }) else { return }
        // It says nothing of losses, and so confirms no round.
        heard(place, 0, now)
        defer { confirmReads(now, &output) }
        guard case .snapshot(var transfer) = progress[place].state, transfer.mark.index == message.index else { return }
        guard !message.isInstalled else {
            guard progress[place].recovery == nil else {
                // It may be from before the loss: the answer to what is sent next says what is there.
                progress[place].becomeProbe()
                return progress[place].nextIndex = message.index.next
            }
            return matched(place, message.index, now, &output)
        }
        // All of them have come: the last one is asked about until it is installed.
        let next = min(message.nextChunk, transfer.mark.chunks(of: settings.chunkBytes) - 1)
        if !transfer.isBegun {
            transfer.isBegun = true
            transfer.sent = next
        } else if next < transfer.acknowledged {
            // Fewer than it had: it lost them, or the answer is an old one. To believe each would be to send more for every answer that comes, and so without end.
            if let rewound = transfer.rewoundAt, now.duration(since: rewound) <= settings.heartbeat * 2 { return }
            transfer.rewoundAt = now
            transfer.sent = next
        } else if next > transfer.acknowledged {
            // Further than was sent: it has them from before.
            transfer.sent = max(transfer.sent, next)
        } else {
            // Nothing new. An answer that sends what it answers would be a loop, and every duplicate one more of it: what is lost is for the heartbeats to see.
            return
        }
        transfer.movedAt = now
        transfer.acknowledged = next
        progress[place].state = .snapshot(transfer)
        sendChunks(place, now, &output)
    }

    mutating func snapshotUnreadable(_ mark: SnapshotMark) {
        for place in progress.indices {
            guard case .snapshot(let transfer) = progress[place].state, transfer.mark == mark else { continue }
            // Again with the next heartbeat, and with the newest there is then.
            progress[place].becomeProbe()
            waitForProbe(place)
        }
    }

    // MARK: Receiving

    mutating func installSnapshot(_ message: RaftMessage.SnapshotChunk, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        precondition(role != .leader, "two leaders in term \(term): \(id) and \(sender)")
        hear(sender, now, &output)
        let mark = message.snapshot
        // A stale one changes nothing: all that it stands for is here.
        guard mark.index > commitIndex || mutated(.installsStaleSnapshots) && mark.index > log.base else {
            return answer(message, next: 0, isInstalled: true, after: waitsFor(min(mark.index, log.lastIndex)), &output)
        }
        // All of it is here, and it is answered when the log has made room for it.
        guard installing == nil else { return }
        // What it stands for is here already.
        if log.term(at: mark.index) == mark.term {
            commitIndex = mark.index
            return answer(message, next: 0, isInstalled: true, after: waitsFor(mark.index), &output)
        }
        if let old = incoming?.mark, old.index > mark.index { return }
        if incoming?.mark != mark {
            incoming = (mark, nil)
            output.incoming = mark
            return
        }
        guard let next = incoming?.next else { return }
        guard message.chunk == next else { return answer(message, next: next, isInstalled: false, after: hardTicket, &output) }
        incoming?.next = next + 1
        let ticket = writing { $0.chunk = message }
        // The last one is answered when the whole has been looked at.
        if next + 1 < mark.chunks(of: settings.chunkBytes) { answer(message, next: next + 1, isInstalled: false, after: ticket, &output) }
    }

    private mutating func answer(
        _ message: RaftMessage.SnapshotChunk, next: UInt32, isInstalled: Bool, after ticket: UInt64, _ output: inout RaftOutput
    ) {
        answer(message.snapshot, next: next, isInstalled: isInstalled, round: message.round, after: ticket, &output)
    }

    private mutating func answer(
        _ mark: SnapshotMark, next: UInt32, isInstalled: Bool, round: UInt64 = 0, after ticket: UInt64, _ output: inout RaftOutput
    ) {
        guard let leader else { return }
        send(
            .installSnapshotReply(.init(term: term, index: mark.index, nextChunk: next, isInstalled: isInstalled, round: round)),
            to: leader, after: max(ticket, hardTicket), &output)
    }

    mutating func snapshotResumes(_ mark: SnapshotMark, _ chunk: UInt32, _ output: inout RaftOutput) {
        guard incoming?.mark == mark else { return }
        incoming?.next = chunk
        if chunk > 0 { output.transitions.append(.snapshotResumed(mark.index, chunk: chunk)) }
        answer(mark, next: chunk, isInstalled: false, after: hardTicket, &output)
    }

    mutating func snapshotReceived(_ mark: SnapshotMark, _ isWhole: Bool, _ output: inout RaftOutput) {
        guard incoming?.mark == mark else { return }
        incoming = nil
        guard isWhole else { return answer(mark, next: 0, isInstalled: false, after: hardTicket, &output) }
        guard mark.index > commitIndex || mutated(.installsStaleSnapshots) else { return }
        install(mark, &output)
        answer(mark, next: 0, isInstalled: true, after: installing?.ticket ?? ticket(for: mark.index) ?? 0, &output)
    }

    /// A log that has the snapshot's last entry keeps what follows (section 7) and takes what comes before as committed; any other one is replaced.
    private mutating func install(_ mark: SnapshotMark, _ output: inout RaftOutput) {
        if log.term(at: mark.index) == mark.term {
            commitIndex = mark.index
            return
        }
        snapshot = mark
        log.reset(to: mark)
        (commitIndex, toldCommit) = (mark.index, mark.index)
        for place in inFlight.indices { inFlight[place].last = .zero }
        durableIndex = .zero
        let ticket = writing { $0.install = mark }
        installing = (ticket, mark)
        output.transitions.append(.configuration(mark.index, mark.configuration))
    }
}

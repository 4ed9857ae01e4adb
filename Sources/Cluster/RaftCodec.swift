package import NIOCore
package import Primitives
package import Raft
package import Wire

/// Raft's messages as frames. Each is a frame of its own that nobody answers by its id: the answer is a message like any other.
package enum RaftCodec {
    /// What came in, and from whom it says it is; the driver compares that with whose connection it came on.
    package struct Incoming: Equatable, Sendable {
        package var from: NodeID
        package var message: RaftMessage
    }

    /// Appends a frame.
    package static func encode(_ message: RaftMessage, from sender: NodeID, chunkBytes: Int, into buffer: inout ByteBuffer) {
        switch message {
        case .preVote(let own):
            put(PreVote(term: own.asked, candidate: sender, lastIndex: own.lastIndex, lastTerm: own.lastTerm), &buffer)
        case .preVoteReply(let own):
            put(PreVoteReply(term: own.term, asked: own.asked, voter: sender, isGranted: own.isGranted), &buffer)
        case .requestVote(let own):
            put(
                RequestVote(
                    term: own.term, candidate: sender, lastIndex: own.lastIndex, lastTerm: own.lastTerm, isTransfer: own.isTransfer),
                &buffer)
        case .requestVoteReply(let own): put(RequestVoteReply(term: own.term, voter: sender, isGranted: own.isGranted), &buffer)
        case .append(let own):
            put(
                AppendEntries(
                    term: own.term, leader: sender, previousIndex: own.previousIndex, previousTerm: own.previousTerm,
                    commitIndex: own.commitIndex, entries: own.entries, round: own.round, trusts: own.trusts), &buffer)
        case .appendReply(let own): put(answer(own, from: sender), &buffer)
        case .installSnapshot(let own): put(chunk(own, from: sender, chunkBytes), &buffer)
        case .installSnapshotReply(let own):
            var answer = InstallSnapshotReply()
            (answer.term, answer.follower, answer.nextChunk, answer.isInstalled) = (own.term, sender, own.nextChunk, own.isInstalled)
            (answer.lastIndex, answer.round) = (own.index, own.round)
            put(answer, &buffer)
        case .timeoutNow(let term): put(TimeoutNow(term: term, leader: sender), &buffer)
        case .readIndex(let term, let id):
            var ask = ReadIndex()
            (ask.requester, ask.read, ask.term) = (sender, id, term)
            put(ask, &buffer)
        case .readIndexReply(let term, let id, let index):
            var answer = ReadIndexReply()
            (answer.term, answer.index, answer.read, answer.responder) = (term, index ?? .zero, id, sender)
            answer.isRefused = index == nil ? true : nil
            put(answer, &buffer)
        }
    }

    private static func put(_ message: some WireMessage, _ buffer: inout ByteBuffer) {
        message.encode(FrameHeader(type: type(of: message).type, flags: .oneWay), nil, into: &buffer)
    }

    private static func answer(_ own: RaftMessage.AppendAnswer, from sender: NodeID) -> AppendEntriesReply {
        switch own.outcome {
        case .matched(let index):
            return AppendEntriesReply(
                term: own.term, follower: sender, isSuccess: true, matchIndex: index, round: own.round, recovery: own.recovery)
        case .rejected(let previous, let conflictIndex, let conflictTerm):
            return AppendEntriesReply(
                term: own.term, follower: sender, isSuccess: false, matchIndex: .zero, conflictIndex: conflictIndex,
                conflictTerm: conflictTerm, round: own.round, rejectedIndex: previous, recovery: own.recovery)
        }
    }

    private static func chunk(_ own: RaftMessage.SnapshotChunk, from sender: NodeID, _ chunkBytes: Int) -> InstallSnapshot {
        var message = InstallSnapshot()
        let (mark, configuration) = (own.snapshot, own.snapshot.configuration)
        (message.term, message.leader, message.lastIndex, message.lastTerm) = (own.term, sender, mark.index, mark.term)
        (message.totalBytes, message.checksum, message.chunk) = (mark.bytes, mark.checksum, own.chunk)
        (message.offset, message.data, message.round) = (UInt64(own.chunk) * UInt64(chunkBytes), own.data, own.round)
        (message.voters, message.learners) = (configuration.voters, configuration.learners)
        (message.outgoing, message.target, message.chain) = (configuration.outgoing, configuration.target, mark.chain)
        return message
    }

    /// Nil for a frame that is none of Raft's.
    package static func decode(_ frame: Frame) throws(WireError) -> Incoming? {
        let payload = frame.payload
        switch frame.header.type {
        case .preVote:
            let own = try PreVote.decode(payload)
            // Whoever asks for a term is one below it.
            guard own.term.number > 0 else { throw .badValue(tag: 2, reason: "an election of term 0", at: 0) }
            return Incoming(
                from: own.candidate,
                message: .preVote(
                    .init(term: Term(own.term.number - 1), asked: own.term, lastIndex: own.lastIndex, lastTerm: own.lastTerm)))
        case .preVoteReply:
            let own = try PreVoteReply.decode(payload)
            return Incoming(from: own.voter, message: .preVoteReply(.init(term: own.term, asked: own.asked, isGranted: own.isGranted)))
        case .requestVote:
            let own = try RequestVote.decode(payload)
            return Incoming(
                from: own.candidate,
                message: .requestVote(
                    .init(term: own.term, lastIndex: own.lastIndex, lastTerm: own.lastTerm, isTransfer: own.isTransfer)))
        case .requestVoteReply:
            let own = try RequestVoteReply.decode(payload)
            return Incoming(from: own.voter, message: .requestVoteReply(.init(term: own.term, isGranted: own.isGranted)))
        case .appendEntries: return try append(AppendEntries.decode(payload))
        case .appendEntriesReply: return try reply(AppendEntriesReply.decode(payload))
        case .installSnapshot: return chunk(try InstallSnapshot.decode(payload))
        case .installSnapshotReply:
            let own = try InstallSnapshotReply.decode(payload)
            return Incoming(
                from: own.follower,
                message: .installSnapshotReply(
                    .init(
                        term: own.term, index: own.lastIndex ?? .zero, nextChunk: own.nextChunk, isInstalled: own.isInstalled,
                        round: own.round ?? 0)))
        case .timeoutNow:
            let own = try TimeoutNow.decode(payload)
            return Incoming(from: own.leader, message: .timeoutNow(term: own.term))
        case .readIndex:
            let own = try ReadIndex.decode(payload)
            guard let read = own.read, let term = own.term else { return nil }
            return Incoming(from: own.requester, message: .readIndex(term: term, id: read))
        case .readIndexReply:
            let own = try ReadIndexReply.decode(payload)
            guard let read = own.read, let sender = own.responder else { return nil }
            return Incoming(
                from: sender, message: .readIndexReply(term: own.term, id: read, index: own.isRefused == true ? nil : own.index))
        default: return nil
        }
    }

    /// Entries follow each other, and their terms do not fall or go beyond the message's: what does not is not from a server of ours.
    private static func append(_ own: AppendEntries) throws(WireError) -> Incoming {
        var (index, term) = (own.previousIndex, own.previousTerm)
        guard own.term >= term else { throw .badValue(tag: 5, reason: "term \(term) of an entry in term \(own.term)", at: 0) }
        for entry in own.entries {
            guard index.number < .max, entry.index == index.next, entry.term >= term, entry.term <= own.term else {
                throw .badValue(tag: 7, reason: "entry \(entry.index) of term \(entry.term) after \(index) of term \(term)", at: 0)
            }
            guard entry.kind != .configuration || Configuration(payload: entry.payload) != nil else {
                throw .badValue(tag: 7, reason: "entry \(entry.index) is a configuration that cannot be read", at: 0)
            }
            (index, term) = (entry.index, entry.term)
        }
        return Incoming(
            from: own.leader,
            message: .append(
                .init(
                    term: own.term, previousIndex: own.previousIndex, previousTerm: own.previousTerm, commitIndex: own.commitIndex,
                    entries: own.entries, round: own.round, trusts: own.trusts)))
    }

    private static func reply(_ own: AppendEntriesReply) throws(WireError) -> Incoming {
        let outcome: RaftMessage.AppendAnswer.Outcome
        if own.isSuccess {
            outcome = .matched(own.matchIndex)
        } else {
            guard let previous = own.rejectedIndex, let conflict = own.conflictIndex else {
                throw .missingField(tag: own.rejectedIndex == nil ? 9 : 6, of: "AppendEntriesReply")
            }
            outcome = .rejected(previous: previous, conflictIndex: conflict, conflictTerm: own.conflictTerm)
        }
        return Incoming(
            from: own.follower,
            message: .appendReply(.init(term: own.term, outcome: outcome, round: own.round, recovery: own.recovery)))
    }

    private static func chunk(_ own: InstallSnapshot) -> Incoming {
        let configuration = Configuration(voters: own.voters, outgoing: own.outgoing, learners: own.learners, target: own.target)
        let mark = SnapshotMark(
            index: own.lastIndex, term: own.lastTerm, chain: own.chain ?? 0, configuration: configuration, bytes: own.totalBytes,
            checksum: own.checksum)
        return Incoming(
            from: own.leader,
            message: .installSnapshot(
                .init(term: own.term, snapshot: mark, chunk: own.chunk, data: own.data, round: own.round ?? 0)))
    }
}

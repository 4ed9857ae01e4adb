import Primitives
import Raft

// How messages, transitions and states are spelled in a script.

extension LogEntry {
    /// `3@2`: index 3, term 2.
    var position: String { "\(index)@\(term)" }

    var text: String {
        switch kind {
        case .commands: "\(position) '\(String(decoding: payload, as: UTF8.self))'"
        case .leaderStart: "\(position) start"
        case .configuration: "\(position) (\(Configuration(payload: payload)?.text ?? "unreadable"))"
        }
    }
}

extension Configuration {
    /// Only the lists that have anybody in them.
    var text: String {
        let lists = [("voters", voters), ("outgoing", outgoing), ("learners", learners), ("target", target)]
        let parts = lists.filter { !$0.1.isEmpty }.map { name, nodes in name + "=" + nodes.map(\.text).joined(separator: ",") }
        return parts.isEmpty ? "nobody" : parts.joined(separator: " ")
    }
}

extension ScriptedNetwork.Envelope {
    var text: String { "\(from)->\(to) \(MessageFilter.Kind(message).rawValue) term=\(message.term)\(message.detail)" }
}

extension RaftMessage {
    fileprivate var detail: String {
        switch self {
        case .preVote(let request): " asked=\(request.asked) last=\(request.lastIndex)@\(request.lastTerm)"
        case .preVoteReply(let answer): " asked=\(answer.asked) \(answer.isGranted ? "granted" : "refused")"
        case .requestVote(let request):
            " last=\(request.lastIndex)@\(request.lastTerm)" + (request.isTransfer ? " transfer" : "")
        case .requestVoteReply(let answer): answer.isGranted ? " granted" : " refused"
        case .append(let append): append.detail
        case .appendReply(let answer): answer.detail
        case .installSnapshot(let chunk):
            " of=\(chunk.snapshot.index)@\(chunk.snapshot.term) chunk=\(chunk.chunk)"
        case .installSnapshotReply(let answer):
            " of=\(answer.index) " + (answer.isInstalled ? "installed" : "next=\(answer.nextChunk)")
        case .timeoutNow: ""
        case .readIndex: ""
        case .readIndexReply(_, _, let index): index.map { " index=\($0)" } ?? " refused"
        }
    }
}

extension RaftMessage.Append {
    fileprivate var detail: String {
        let entries = self.entries.map(\.position).joined(separator: ",")
        return " prev=\(previousIndex)@\(previousTerm)" + (entries.isEmpty ? "" : " entries=\(entries)") + " commit=\(commitIndex)"
            + (trusts == nil ? "" : " trusted")
    }
}

extension RaftMessage.AppendAnswer {
    fileprivate var detail: String {
        let mark = recovery == nil ? "" : " recovering"
        switch outcome {
        case .matched(let index): return " matched=\(index)" + mark
        case .rejected(let previous, let index, let term):
            return " rejected=\(previous) conflict=\(index)" + (term.map { "@\($0)" } ?? "") + mark
        }
    }
}

extension RaftRefusal {
    var text: String {
        switch self {
        case .notLeader(let hint): "it does not lead" + (hint.map { ", \($0) does" } ?? "")
        case .busy: "busy"
        case .transferring: "leadership is being transferred"
        case .notReady: "no entry of its term is committed yet"
        case .changeInProgress: "a change is in progress"
        case .staleConfiguration(let index): "the configuration is that of \(index)"
        case .noVoters: "no voters"
        case .withoutQuorum(let answering, let count): "of \(count) voters only \(answering) answer"
        case .notAVoter(let node): "\(node) is no voter it could hand over to"
        case .transferFailed(let node): "transfer-failed \(node)"
        }
    }
}

extension RaftTransition {
    var text: String {
        switch self {
        case .becameFollower(let term, let leader, let reason):
            "follows \(leader?.text ?? "nobody") in term \(term) (\(reason.rawValue))"
        case .becamePreCandidate(let term, let reason): "is pre-candidate in term \(term) (\(reason.rawValue))"
        case .becameCandidate(let term, let reason): "is candidate in term \(term) (\(reason.rawValue))"
        case .becameLeader(let term): "leads term \(term)"
        case .foundLeader(let term, let leader): "hears \(leader), leader of term \(term)"
        case .truncated(let index): "truncates its log after \(index)"
        case .configuration(let index, let configuration): "has configuration \(index): \(configuration.text)"
        case .configurationCommitted(let index): "knows configuration \(index) to be committed"
        case .transferBegan(let target): "begins to hand over to \(target)"
        case .transferEnded(let target, let isDone): isDone ? "has handed over to \(target)" : "gives up handing over to \(target)"
        case .snapshotSent(let peer, let index): "sends \(peer) its snapshot of \(index)"
        case .snapshotResumed(let index, let chunk): "goes on with the snapshot of \(index) at chunk \(chunk)"
        case .snapshotInstalled(let index): "installs the snapshot of \(index)"
        case .peerRecovering(let peer): "learns that \(peer) lost something"
        case .trusted(let index): "is trusted again, at \(index)"
        }
    }
}

extension ScriptedServer {
    /// One line of `state`.
    var text: String {
        guard let core else {
            return "\(id) down term=\(durable.hardState.term) vote=\(durable.hardState.vote?.text ?? "-") last=\(durable.last)"
                + (durable.isRecovering ? " recovering" : "")
        }
        var parts = [
            "\(id) \(core.role.rawValue)", "term=\(core.term)", "vote=\(core.hardState.vote?.text ?? "-")",
            "leader=\(core.leader?.text ?? "-")", "commit=\(core.commitIndex)", "last=\(core.log.lastIndex)@\(core.log.lastTerm)",
            "durable=\(core.durableIndex)",
        ]
        if core.log.base > .zero { parts.append("base=\(core.log.base)") }
        if let mark = core.snapshot { parts.append("snapshot=\(mark.index)") }
        if core.isRecovering { parts.append("recovering") }
        if !pending.isEmpty { parts.append("pending=\(pending.count)") }
        if isPaused { parts.append("paused") }
        return parts.joined(separator: " ") + " " + core.configuration.text
    }

    /// One line of `log`.
    var logText: String {
        let (disk, applied) = (written, appliedIndex)
        let entries = disk.entries.map { ($0.index <= applied ? "" : "?") + $0.text }
        let base = disk.base > .zero ? ["(to \(disk.base))"] : []
        return ([id.text] + base + entries).joined(separator: " ")
    }
}

extension Progress {
    var text: String {
        var parts = [id.text]
        switch state {
        case .probe(let isWaiting): parts.append(isWaiting ? "probe, waiting" : "probe")
        case .replicate: parts.append("replicate")
        case .snapshot(let transfer): parts.append("snapshot \(transfer.mark.index) chunk \(transfer.acknowledged)")
        }
        parts += ["match=\(matchIndex)", "next=\(nextIndex)"]
        if let recovery { parts.append("recovering to \(recovery.entry)") }
        return parts.joined(separator: " ")
    }
}

extension ScriptedRead {
    var text: String {
        let outcome =
            switch self.outcome {
            case .waiting: "waits"
            case .ready(let index): "may be answered at \(index)"
            case .refused(let reason): "refused: \(reason.text)"
            case .lost: "lost with its server"
            }
        return "read \(id) at \(server) \(outcome)"
    }
}

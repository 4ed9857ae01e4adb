import Cluster
import Primitives
import Raft
import Simulation

/// What happens in a simulated cluster as objects that a model checker can follow. Names and fields are those of etcd's raft (`state_trace.go`)
/// where it has them.
struct SimulationTrace {
    static func value(_ event: TraceEvent) -> Value {
        let (name, more) = told(event)
        var fields = Fields([
            .init("name", .string(name)), .init("nid", .string(event.server.text)), .init("role", .string(event.role)),
            .init(
                "state",
                ["term": Value(event.state.term.number), "vote": vote(event.state.vote), "commit": Value(event.commit.number)]),
            .init("log", Value(event.last.number)),
            .init("conf", [names(event.configuration.voters), names(event.configuration.outgoing)]),
        ])
        for (key, value) in more { fields[key] = value }
        fields["event"] = Value(event.event)
        fields["time"] = .int(event.nanoseconds)
        return .map(fields)
    }

    /// Empty for none, so that it is text always.
    private static func vote(_ node: NodeID?) -> Value { .string(node?.text ?? "") }
    private static func names(_ nodes: [NodeID]) -> Value { .list(nodes.map { .string($0.text) }) }

    private static func told(_ event: TraceEvent) -> (String, [(String, Value)]) {
        switch event.what {
        case .started: return (event.boot == 1 ? "InitState" : "Restart", [("boot", Value(UInt64(event.boot)))])
        case .crashed: return ("Crash", [])
        case .sent(let message, let peer): return ("Send" + name(of: message), [("msg", told(message, from: event.server, to: peer))])
        case .received(let message, let peer):
            return ("Receive" + name(of: message), [("msg", told(message, from: peer, to: event.server))])
        case .changed(let transition): return told(transition)
        case .appended(let entry):
            let index = ("index", Value(entry.index.number))
            guard entry.kind == .configuration, let configuration = Configuration(payload: entry.payload) else {
                return ("Replicate", [index])
            }
            return ("ChangeConf", [index, ("cc", EntryText.value(configuration))])
        case .committed: return ("Commit", [])
        }
    }

    // MARK: Transitions

    private static func told(_ transition: RaftTransition) -> (String, [(String, Value)]) {
        func index(_ index: LogIndex) -> (String, Value) { ("index", Value(index.number)) }
        func peer(_ node: NodeID) -> (String, Value) { ("peer", .string(node.text)) }
        func reason(_ reason: RaftTransition.Reason) -> (String, Value) { ("reason", .string(reason.rawValue)) }
        switch transition {
        case .becameFollower(_, let leader, let why): return ("BecomeFollower", [("leader", vote(leader)), reason(why)])
        case .becamePreCandidate(_, let why): return ("BecomePreCandidate", [reason(why)])
        case .becameCandidate(_, let why): return ("BecomeCandidate", [reason(why)])
        case .becameLeader: return ("BecomeLeader", [])
        case .foundLeader(_, let leader): return ("FindLeader", [("leader", vote(leader))])
        case .truncated(let after): return ("Truncate", [index(after)])
        case .configuration(let at, let configuration): return ("ApplyConfChange", [index(at), ("cc", EntryText.value(configuration))])
        case .configurationCommitted(let at): return ("CommitConfChange", [index(at)])
        case .transferBegan(let target): return ("BeginTransfer", [peer(target)])
        case .transferEnded(let target, let isDone): return ("EndTransfer", [peer(target), ("done", .bool(isDone))])
        case .snapshotSent(let to, let at): return ("BeginSnapshot", [peer(to), index(at)])
        case .snapshotResumed(let at, let chunk): return ("ResumeSnapshot", [index(at), ("chunk", Value(UInt64(chunk)))])
        case .snapshotInstalled(let at): return ("InstallSnapshot", [index(at)])
        case .peerRecovering(let node): return ("FindRecovering", [peer(node)])
        case .trusted(let at): return ("Trust", [index(at)])
        }
    }

    // MARK: Messages

    private static func name(of message: RaftMessage) -> String {
        switch message {
        case .preVote: "RequestPreVoteRequest"
        case .preVoteReply: "RequestPreVoteResponse"
        case .requestVote: "RequestVoteRequest"
        case .requestVoteReply: "RequestVoteResponse"
        case .append: "AppendEntriesRequest"
        case .appendReply: "AppendEntriesResponse"
        case .installSnapshot: "Snapshot"
        case .installSnapshotReply: "SnapshotResponse"
        case .timeoutNow: "TimeoutNow"
        case .readIndex: "ReadIndexRequest"
        case .readIndexReply: "ReadIndexResponse"
        }
    }

    private static func told(_ message: RaftMessage, from sender: NodeID, to receiver: NodeID) -> Value {
        var fields = Fields([
            .init("type", .string(name(of: message))), .init("term", Value(message.term.number)), .init("from", .string(sender.text)),
            .init("to", .string(receiver.text)),
        ])
        func put(_ members: KeyValuePairs<String, Value?>) {
            for (key, value) in members { if let value { fields[key] = value } }
        }
        switch message {
        case .preVote(let own):
            put(["asked": Value(own.asked.number), "index": Value(own.lastIndex.number), "logTerm": Value(own.lastTerm.number)])
        case .preVoteReply(let own): put(["asked": Value(own.asked.number), "reject": .bool(!own.isGranted)])
        case .requestVote(let own):
            put(["index": Value(own.lastIndex.number), "logTerm": Value(own.lastTerm.number), "transfer": .bool(own.isTransfer)])
        case .requestVoteReply(let own): put(["reject": .bool(!own.isGranted)])
        case .append(let own):
            put([
                "entries": Value(own.entries.count), "index": Value(own.previousIndex.number), "logTerm": Value(own.previousTerm.number),
                "commit": Value(own.commitIndex.number), "round": Value(own.round), "trusts": own.trusts.map { Value($0) },
            ])
        case .appendReply(let own):
            switch own.outcome {
            case .matched(let index): put(["index": Value(index.number), "reject": false])
            case .rejected(let previous, let conflict, let term):
                put([
                    "index": Value(previous.number), "reject": true, "rejectHint": Value(conflict.number),
                    "rejectTerm": term.map { Value($0.number) },
                ])
            }
            put(["round": Value(own.round), "recovery": own.recovery.map { Value($0) }])
        case .installSnapshot(let own):
            put([
                "index": Value(own.snapshot.index.number), "logTerm": Value(own.snapshot.term.number), "chunk": Value(UInt64(own.chunk)),
                "round": Value(own.round),
            ])
        case .installSnapshotReply(let own):
            put([
                "index": Value(own.index.number), "chunk": Value(UInt64(own.nextChunk)), "installed": .bool(own.isInstalled),
                "round": Value(own.round),
            ])
        case .timeoutNow: break
        case .readIndex(_, let id): put(["read": Value(id)])
        case .readIndexReply(_, let id, let index):
            put(["read": Value(id), "index": index.map { Value($0.number) }, "reject": .bool(index == nil)])
        }
        return .map(fields)
    }
}

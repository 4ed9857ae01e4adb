import Observability
import Primitives
import Wire
import Workflows

/// A batch as it goes to the leader and is read there: a `submit` command for each message, as the log has them.
enum ForwardedBatch {
    /// Clocks that differ by less are taken as they are: times of runs are moved to the leader's beyond it.
    private static let skew = Duration.seconds(1)

    static func call(_ submissions: [Planner.Submission], traces: [TraceContext?], time: ClusterTime) -> ForwardMessages {
        var batch = CommandCodec.CommandBatch(time: time)
        for submission in submissions {
            batch.append(
                .submit(
                    Submit(
                        message: submission.message, catalogVersion: submission.catalogVersion, matched: submission.matched,
                        runs: submission.runs)))
        }
        var call = ForwardMessages()
        call.entry = batch.bytes
        call.traces = traces.enumerated().compactMap { place, trace in trace.map { ForwardedTrace(place: place, trace: $0) } }
        return call
    }

    /// What another coordinator has matched, on this one's clock.
    static func read(_ call: ForwardMessages, wall: ClusterTime) throws(CallError) -> (
        submissions: [Planner.Submission], traces: [TraceContext?]
    ) {
        let found: (time: ClusterTime, commands: [Command])
        do throws(WireError) { found = try CommandCodec.decode(call.entry) } catch {
            throw CallError(.invalid, "a batch of messages that cannot be read: \(error)")
        }
        let lead = wall.duration(since: found.time)
        let shift = lead > Self.skew || lead < .zero - Self.skew ? lead : .zero
        var submissions: [Planner.Submission] = []
        for command in found.commands {
            guard case .submit(let submit) = command, submit.runs.allSatisfy({ $0.namespace == submit.message.namespace }) else {
                throw CallError(.invalid, "a batch of messages with a command that is none of one message")
            }
            submissions.append(
                Planner.Submission(
                    message: submit.message, catalogVersion: submit.catalogVersion, matched: submit.matched,
                    runs: shift == .zero ? submit.runs : submit.runs.map { $0.moved(by: shift) }))
        }
        guard !submissions.isEmpty else { throw CallError(.invalid, "a batch without a message") }
        var traces = [TraceContext?](repeating: nil, count: submissions.count)
        for item in call.traces where Int(item.place) < traces.count { traces[Int(item.place)] = item.trace }
        return (submissions, traces)
    }

    static func answer(_ result: ForwardResult) -> Planner.Answer {
        switch result.outcome {
        case .accepted: .accepted(runs: result.runs, duplicate: result.isDuplicate ?? false)
        case .rematch: .rematch(result.catalogVersion ?? 0)
        case .busy: .busy(result.detail ?? "the leader is busy; send it again in a second")
        case .full: .full(result.detail ?? "too many runs are open")
        case .uncertain: .uncertain(result.detail ?? "the leader lost its leadership; send it again under the same id")
        }
    }

    static func result(_ answer: Planner.Answer) -> ForwardResult {
        switch answer {
        case .accepted(let runs, let isDuplicate): ForwardResult(.accepted, runs: runs, isDuplicate: isDuplicate)
        case .rematch(let version): ForwardResult(.rematch, catalogVersion: version)
        case .busy(let why), .conflict(let why), .notFound(let why): ForwardResult(.busy, detail: why)
        case .full(let why): ForwardResult(.full, detail: why)
        case .uncertain(let why): ForwardResult(.uncertain, detail: why)
        case .activated, .done, .started: ForwardResult(.busy, detail: "an answer to something else")
        }
    }
}

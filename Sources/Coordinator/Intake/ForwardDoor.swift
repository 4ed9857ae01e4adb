import Cluster
import Observability
import Primitives
import Synchronization
package import Transport
package import Wire

/// What the leader answers coordinators that pass on messages: they are in the log, or are to be matched again, or nothing was done. A batch that comes again gets the
/// answer of the first.
package final class ForwardDoor: Sendable {
    private typealias Sessions = ForwardSessions<CheckedContinuation<ForwardMessagesReply?, Never>>

    private static let messagesAtOnce = 4096

    private let intake: Intake
    private let loop: CoordinatorLoop
    private let directory: PeerDirectory
    private let telemetry: Telemetry
    private let metrics: ForwardMetrics
    private let sessions = Mutex(Sessions())

    init(intake: Intake, loop: CoordinatorLoop, directory: PeerDirectory, telemetry: Telemetry, metrics: ForwardMetrics) {
        (self.intake, self.loop, self.directory) = (intake, loop, directory)
        (self.telemetry, self.metrics) = (telemetry, metrics)
    }

    package func add(to handlers: inout RPCHandlers) {
        handlers.task(ForwardMessages.self, isShort: { $0 <= RPCHandlers.shortBytes }) { [self] call, context throws(CallError) in
            try await answer(call, context)
        }
    }

    package func answer(_ call: ForwardMessages, _ context: RPCContext) async throws(CallError) -> ForwardMessagesReply {
        let node = try caller(context)
        guard call.group == 0, let session = context.session, let sequence = context.sequence else {
            throw CallError(.invalid, "messages are passed on to group 0, with a session and the number of the batch in it")
        }
        return try await answer(call, from: node, session, sequence)
    }

    /// Who asks must be one of the cluster's coordinators.
    private func caller(_ context: RPCContext) throws(CallError) -> NodeID {
        guard let node = context.node else {
            throw CallError(.denied, "only coordinators pass on messages; programs send them with ClientSubmit")
        }
        if let refusal = directory.refusal(of: node, folder: context.peer.hello.folder) { throw CallError(.denied, refusal) }
        let status = loop.raft.status
        guard (status.voters + status.learners + status.outgoing).contains(node) else {
            throw CallError(.denied, "node '\(node)' is no coordinator of this cluster, as far as node '\(loop.raft.node)' knows")
        }
        return node
    }

    func answer(
        _ call: ForwardMessages, from node: NodeID, _ session: UInt64, _ sequence: UInt64
    ) async throws(CallError) -> ForwardMessagesReply {
        guard await intake.leads() else { throw notLeading }
        switch sessions.withLock({ $0.begin(node, session, sequence, answered: call.answered) }) {
        case .fresh: break
        case .replay(let reply):
            metrics.replayed.increment()
            return reply
        case .running:
            guard let reply = await first(node, session, sequence) else { throw notLeading }
            metrics.replayed.increment()
            return reply
        case .over: throw CallError(.invalid, "batch \(sequence) was answered, and its sender has said that it knows")
        case .tooMany:
            throw CallError(.busy, "more than \(Sessions.window) batches of '\(node)' are open", retryAfter: .milliseconds(100))
        }
        var reply: ForwardMessagesReply?
        defer { finish(node, session, sequence, reply) }
        let done = try await take(call, from: node)
        // What is not certain may be asked for again, of whoever leads then.
        if !done.results.contains(where: { $0.outcome == .uncertain }) { reply = done }
        return done
    }

    private func first(_ node: NodeID, _ session: UInt64, _ sequence: UInt64) async -> ForwardMessagesReply? {
        await withCheckedContinuation { continuation in
            if !sessions.withLock({ $0.wait(node, session, sequence, continuation) }) { continuation.resume(returning: nil) }
        }
    }

    private func finish(_ node: NodeID, _ session: UInt64, _ sequence: UInt64, _ reply: ForwardMessagesReply?) {
        let waiters = sessions.withLock { $0.finish(node, session, sequence, reply) }
        for waiter in waiters { waiter.resume(returning: reply) }
    }

    private func take(_ call: ForwardMessages, from node: NodeID) async throws(CallError) -> ForwardMessagesReply {
        if let why = intake.refusal { throw CallError(.busy, why, retryAfter: .seconds(1)) }
        let found = try ForwardedBatch.read(call, wall: telemetry.clock.wall)
        var submissions = found.submissions
        guard submissions.count <= Self.messagesAtOnce else {
            throw CallError(.tooLarge, "\(submissions.count) messages at once; send at most \(Self.messagesAtOnce)")
        }
        metrics.taken.increment(by: submissions.count)
        let ticket: IntakeLoad.Ticket
        switch intake.gate.enter(submissions.count, bytes: call.entry.count, isForwarded: true) {
        case .success(let found): ticket = found
        case .failure(let shed): throw CallError(.busy, shed.text, retryAfter: .seconds(1))
        }
        defer { intake.gate.leave(ticket, answered: submissions.count) }
        let spans = found.traces.map { telemetry.spans.begin("raft.propose", service: "coordinator", in: $0) }
        for (place, span) in spans.enumerated() { submissions[place].trace = span.flatMap { ProposalTrace($0) } }
        let answers = await loop.ask(submissions.map { .submit($0) })
        for span in spans { telemetry.spans.end(span, ["from": .string(node.text)]) }
        // What was refused since this node leads no more was never planned: the next leader is asked.
        guard loop.isLeading || answers.contains(where: { !$0.isBusy }) else { throw notLeading }
        return ForwardMessagesReply(
            answers.map { $0.isBusy && !loop.isLeading ? ForwardResult(.uncertain, detail: loop.notLeading) : ForwardedBatch.result($0) })
    }

    private var notLeading: CallError {
        guard let leader = loop.raft.leader, leader != loop.raft.node else {
            return CallError(.notLeader, "no coordinator leads that node '\(loop.raft.node)' knows of", retryAfter: .milliseconds(200))
        }
        return CallError(
            .notLeader, "node '\(loop.raft.node)' does not lead, '\(leader)' does", leader: leader,
            leaderAddress: directory.facts(leader)?.address.description)
    }
}

extension Planner.Answer {
    /// Refused for now; nothing was kept.
    var isBusy: Bool { if case .busy = self { true } else { false } }
}

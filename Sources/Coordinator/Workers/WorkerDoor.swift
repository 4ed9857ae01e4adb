package import Cluster
import Observability
import Primitives
import Synchronization
package import Transport
import Wire
import Workflows

/// What a coordinator answers workers: those of other processes attach here, renew their leases and report. Who does not lead sends them to who does.
package struct WorkerDoor: Sendable {
    private static let pieceBytes = RPCStreamWriter.pieceLimit
    private static let resultsAtOnce = 1024
    private static let labelsAtOnce = 64
    private static let runningAtOnce = 100_000

    private let loop: CoordinatorLoop
    private let directory: PeerDirectory

    package init(loop: CoordinatorLoop, directory: PeerDirectory) { (self.loop, self.directory) = (loop, directory) }

    package func add(to handlers: inout RPCHandlers) {
        handlers.stream(WorkerAttach.self) { call, context, writer throws(CallError) in try await attach(call, context, writer) }
        handlers.immediate(LeaseRenew.self) { call, context throws(CallError) in try renew(call, context) }
        // The desk bounds how many wait, for each worker and for all: clients that ask too much do not keep finished work out.
        handlers.task(TaskResults.self, boundBy: .handler, isShort: { $0 <= RPCHandlers.shortBytes }) { call, context throws(CallError) in
            try await take(call, context)
        }
        handlers.task(Refusal.self, boundBy: .handler) { call, context throws(CallError) in try await take(call, context) }
    }

    // MARK: Who

    /// The node that calls, if this is where its call belongs.
    private func caller(_ context: RPCContext) throws(CallError) -> NodeID {
        guard let node = context.node else {
            throw CallError(.denied, "workers are nodes, and this caller is none: 'distric node --role worker --join ...' starts one")
        }
        if let refusal = directory.refusal(of: node, folder: context.peer.hello.folder) { throw CallError(.denied, refusal) }
        guard loop.isLeading else { throw notLeading }
        return node
    }

    private var notLeading: CallError {
        guard let leader = loop.raft.leader, leader != loop.raft.node else {
            return CallError(.notLeader, "no coordinator leads that this node knows of", retryAfter: .milliseconds(200))
        }
        return CallError(
            .notLeader, "node '\(loop.raft.node)' does not lead, '\(leader)' does", leader: leader,
            leaderAddress: directory.facts(leader)?.address.description)
    }

    /// The session of who calls: only who attached may say something.
    private func session(_ context: RPCContext, epoch: UInt64?) throws(CallError) -> WorkerSession {
        let node = try caller(context)
        guard let session = loop.sessions.session(node), epoch.map({ $0 == session.origin.epoch }) ?? true else {
            throw CallError(.notFound, "worker '\(node)' is not attached here: attach first")
        }
        return session
    }

    // MARK: Attaching

    private func attach(_ call: WorkerAttach, _ context: RPCContext, _ writer: RPCStreamWriter) async throws(CallError) -> LeaseTerms {
        let node = try caller(context)
        guard call.worker == node else { throw CallError(.denied, "'\(call.worker)' is not who says hello ('\(node)')") }
        guard context.peer.hello.roles.contains("worker") else {
            throw CallError(.denied, "node '\(node)' has not the role worker: start it with --role worker, or with both")
        }
        guard call.labels.count <= Self.labelsAtOnce, call.kinds.count <= Self.labelsAtOnce, call.running.count <= Self.runningAtOnce else {
            throw CallError(.invalid, "more labels, kinds or attempts than a worker has")
        }
        do throws(PlacementError) { _ = try WorkerLabels(pairs(call.labels)) } catch {
            throw CallError(.invalid, "labels of worker '\(node)': \(error)")
        }
        let loop = loop
        let session = try loop.sessions.attach(call, context.peer.hello) { reports in
            loop.sessions.metrics.unsent.increment(by: reports.count)
            loop.deliver(reports)
        }
        session.greeting.withLock { terms in
            terms.leaseMilliseconds = UInt64(max(0, loop.sessions.lease.milliseconds))
            let all = directory.all.filter { $0.roles.contains("coordinator") }
            terms.coordinators = all.map(\.address.description)
            terms.coordinatorURLs = all.compactMap(\.http)
        }
        directory.heard(context.peer.hello)
        loop.join(session)
        do throws(CallError) {
            while true {
                let orders = try await session.next()
                for start in stride(from: 0, to: orders.count, by: Self.pieceBytes) {
                    try await writer.send(Array(orders[start..<min(orders.count, start + Self.pieceBytes)]))
                }
            }
        } catch {
            loop.sessions.detach(session, error)
            loop.news(.left(node, session: session.number))
            throw error.code == .notLeader ? notLeading : error
        }
    }

    // MARK: Renewing

    private func renew(_ call: LeaseRenew, _ context: RPCContext) throws(CallError) -> LeaseRenew {
        let node = try caller(context)
        guard call.worker == node else { throw CallError(.denied, "'\(call.worker)' is not who says hello ('\(node)')") }
        guard let session = loop.sessions.renew(call, from: node) else {
            throw CallError(.notFound, "worker '\(node)' has no lease here: attach first")
        }
        directory.heard(context.peer.hello)
        if call.isLeaving == true { loop.news(.gone(node, session: session.number)) }
        loop.news(.room(node, session: session.number, free: session.said.freeSlots, session.standing))
        var answer = LeaseRenew()
        (answer.worker, answer.epoch) = (node, call.epoch)
        answer.leaseMilliseconds = UInt64(max(0, loop.sessions.lease.milliseconds))
        return answer
    }

    // MARK: Reports

    private func take(_ call: TaskResults, _ context: RPCContext) async throws(CallError) -> TaskResults {
        let session = try session(context, epoch: call.epoch)
        guard call.results.count <= Self.resultsAtOnce else {
            throw CallError(.invalid, "\(call.results.count) reports at once; send at most \(Self.resultsAtOnce)")
        }
        var answer = TaskResults()
        (answer.worker, answer.epoch) = (session.node, call.epoch)
        answer.statuses = try await settle(call.results, session) { [loop] in loop.deliver($0) }
        return answer
    }

    private func take(_ call: Refusal, _ context: RPCContext) async throws(CallError) -> TaskStatus {
        let session = try session(context, epoch: nil)
        session.holdOff()
        loop.sessions.metrics.refusals.increment()
        let report = TaskReport(
            run: call.run, task: call.task, attempt: 0, fence: call.fence, outcome: .neverStarted, startedAt: .zero, endedAt: .zero)
        let statuses = try await settle([report], session) { [loop] in
            for report in $0 { loop.news(.refused(session.node, session: session.number, report)) }
        }
        guard let status = statuses.first else { throw CallError(.internal, "a refusal without an answer") }
        return status
    }

    private func settle(_ reports: [TaskReport], _ session: WorkerSession, _ hand: @Sendable ([TaskReport]) -> Void) async throws(CallError)
        -> [TaskStatus]
    {
        let (loop, error) = (loop, notLeading)
        do throws(CallError) {
            return try await loop.sessions.desk.settle(reports, of: session.node) { reports in
                hand(reports)
                // Whoever leads no more drops them.
                if !loop.isLeading { loop.sessions.desk.fail(error) }
            }
        } catch {
            if error.code == .busy { loop.sessions.metrics.busy.increment() }
            throw error
        }
    }
}

/// `key=value` as a pair; what has no '=' has an empty value.
func pairs(_ labels: [String]) -> [(name: String, value: String)] {
    labels.map { label in
        let halves = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(halves[0]), halves.count == 2 ? String(halves[1]) : "")
    }
}

extension WorkerSession {
    /// Whether it is given something, and why not.
    var standing: Placement.Standing { takesNew ? .available : isCordoned && draining == nil ? .cordoned : .draining }

    /// What placement is told of it. The labels were read when it came.
    var offer: Placement.Offer {
        let labels = (try? WorkerLabels(pairs(origin.labels))) ?? .none
        // What this program does not know it cannot give to anybody either.
        let kinds = origin.kinds.isEmpty ? nil : Set(origin.kinds.compactMap { TaskKind(name: $0) })
        return Placement.Offer(slots: capacity.slots, light: capacity.light, labels: labels, kinds: kinds)
    }
}

import Cluster
import Coordinator
import HTTPTypes
import Hummingbird
import Observability
import Primitives
import Raft
import Text

/// `/api/v1/nodes`: every node in one view, and what operators say to workers. The worker itself keeps what it was told, so that a leader that comes after finds it.
struct NodesRoutes: Sendable {
    private static let usualDeadline = Duration.seconds(60)
    private static let longestDeadline = Duration.seconds(86_400)
    /// For the planner to have heard of it.
    private static let hearing = Duration.seconds(2)

    let info: NodeInfo
    private var rows: NodeRows { NodeRows(info: info) }
    private var loop: CoordinatorLoop { info.coordinator.loop }

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.get("nodes") { request, context in try list(request, context) }
        router.get("nodes/{id}") { request, context in
            let node = try node(context)
            return try info.object(request) { try row(node) }
        }
        router.post("nodes/{id}:cordon") { request, context in try await cordon(true, request, context) }
        router.post("nodes/{id}:uncordon") { request, context in try await cordon(false, request, context) }
        router.post("nodes/{id}:drain") { request, context in try await drain(request, context) }
    }

    // MARK: Looking

    private func list(_ request: Request, _ context: NodeRequestContext) throws -> Response {
        var also = Fields()
        let (consensus, leader) = (info.consensus, info.consensus.leader)
        if !consensus.isLeading {
            let reason = context.shortfall ?? "consistency=leader asks it"
            also["partial"] = true
            also["reason"] = .string("node \(info.node) does not lead, and only the leader knows how workers are: \(reason)")
        }
        return try info.rows(request, NodeRows.columns, also: also, holds: { consensus.leader == leader }) { rows.values }
    }

    private func node(_ context: NodeRequestContext) throws -> NodeID {
        let text = try context.parameter("id")
        do throws(IdentifierError) { return try NodeID(text) } catch { throw Problem.badRequest("invalid_id", error.description) }
    }

    private func row(_ node: NodeID) throws -> Value {
        guard let row = rows.value(node) else { throw unknown(node) }
        return row
    }

    private func unknown(_ node: NodeID) -> Problem {
        // None is guessed: who stops the wrong one loses more than a moment.
        let known = rows.members.map(\.node.text).joined(separator: ", ")
        return .notFound("no node '\(node)' is known here; they are \(known)")
    }

    // MARK: Workers

    /// The worker, if it is there to be told something.
    private func worker(_ node: NodeID) throws -> any WorkerLink {
        if let worker = loop.sessions.worker(node) { return worker }
        guard let member = rows.members.first(where: { $0.node == node }) else { throw unknown(node) }
        guard member.roles.contains("worker") else {
            throw Problem.conflict(
                "not_a_worker",
                "'\(node)' has the role \(member.roles.joined(separator: ",")) and takes no tasks: there is nothing to cordon")
        }
        throw Problem.conflict(
            "worker_away",
            "worker '\(node)' is not with the leader and cannot be told anything: it gets no tasks meanwhile, and what it has is lost when its lease is over; tell it when it is back ('distric nodes show \(node)')"
        )
    }

    private func cordon(_ flag: Bool, _ request: Request, _ context: NodeRequestContext) async throws -> Response {
        _ = try await request.jsonFields([])
        let node = try node(context)
        let worker = try worker(node)
        let isNew = worker.isCordoned != flag || !flag && worker.draining != nil
        if isNew {
            loop.cordon(node, flag)
            try await heard { worker.isCordoned == flag }
            info.noteAction(
                flag ? "node.cordoned" : "node.uncordoned", subject: node.text,
                flag ? "an operator cordoned \(node): it takes nothing new" : "an operator uncordoned \(node): it takes tasks again")
        }
        return .json(["id": .string(node.text), "changed": .bool(isNew), "node": try row(node)])
    }

    /// The planner hears of it in its turn; one that hears nothing has other troubles, and the answer says how it is.
    private func heard(_ condition: () -> Bool) async throws {
        let end = info.telemetry.clock.now.advanced(by: Self.hearing)
        while !condition(), info.telemetry.clock.now < end { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// `{"deadline": "60s", "force": false, "leaving": false}`; with `leaving` only where the others can do without it.
    private func drain(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let body = try await request.jsonFields(["deadline", "force", "leaving"])
        let deadline = try deadline(body["deadline"])
        let (isForced, leaves) = (try flag("force", body), try flag("leaving", body))
        let node = try node(context)
        let leads = node == info.node && info.consensus.status.isLeader
        let isWorker = loop.sessions.worker(node) != nil
        if !isWorker, try !isCoordinator(node) { _ = try worker(node) }
        if leaves { try checkRest(without: node) }
        if isWorker { try await empty(node, within: deadline, isForced: isForced) } else if leads { try checkSuccessor() }
        var answer = Fields()
        answer["id"] = .string(node.text)
        answer["changed"] = .bool(isWorker || leads)
        answer["node"] = try row(node)
        // Last: what comes after it is another leader's.
        if leads { answer["leader"] = Value(try await moveLeadership()?.text) }
        return .json(.map(answer), status: .accepted)
    }

    private func deadline(_ value: Value?) throws(Problem) -> Duration {
        guard let value, value != .null else { return Self.usualDeadline }
        guard let deadline = value.string.flatMap({ Duration(text: $0) }), deadline >= .zero, deadline <= Self.longestDeadline else {
            throw .badRequest("invalid_duration", "deadline is a duration up to 24h, as 60s", pointer: "/deadline")
        }
        return deadline
    }

    private func flag(_ name: String, _ body: Fields) throws(Problem) -> Bool {
        guard let flag = (body[name] ?? false).bool else {
            throw .badRequest("invalid_request", "\(name) is true or false", pointer: "/\(name)")
        }
        return flag
    }

    /// The voters that would be left must be able to go on. Looked at before anything is done; the log looks again.
    private func checkRest(without node: NodeID) throws(Problem) {
        let status = info.consensus.status
        guard status.voters.contains(node) else { return }
        let rest = status.voters.filter { $0 != node }
        guard !rest.isEmpty else {
            throw .conflict(
                "last_voter",
                "'\(node)' is the last voter, and a cluster without one is none: add another voter first, or stop the node to end the cluster"
            )
        }
        var others = status
        others.voters = rest
        others.outgoing = []
        let answering = Quorum(others).have
        guard answering <= rest.count / 2 else { return }
        throw .refusal(.withoutQuorum(answering: answering, of: rest.count), status)
    }

    private func isCoordinator(_ node: NodeID) throws -> Bool {
        guard let member = rows.members.first(where: { $0.node == node }) else { throw unknown(node) }
        return member.roles.contains("coordinator")
    }

    private func empty(_ node: NodeID, within deadline: Duration, isForced: Bool) async throws {
        let worker = try worker(node)
        let isNew = worker.draining == nil
        if isNew, !isForced { try checkOthers(node) }
        loop.drain(node, within: deadline)
        try await heard { worker.draining != nil }
        guard isNew else { return }
        info.noteAction(
            "node.draining", subject: node.text, "an operator wants \(node) empty: what runs there may go on for \(deadline.text)")
    }

    /// Somebody else must take what comes.
    private func checkOthers(_ node: NodeID) throws(Problem) {
        let sessions = loop.sessions
        let others = sessions.attached.map { $0.session as any WorkerLink } + sessions.locals
        guard !others.contains(where: { $0.node != node && !$0.isCordoned }) else { return }
        let queue = loop.queue
        let why = sessions.worker(node)?.isCordoned == true ? "no worker takes tasks now" : "'\(node)' is the last worker that takes tasks"
        throw .conflict(
            "last_worker",
            "\(why): \(queue.queued) that are queued, what it gives back of \(queue.running) that run, and all that come would wait. Start another worker, uncordon one, or do it all the same with force (--force)"
        )
    }

    // MARK: Coordinators

    private func checkSuccessor() throws(Problem) {
        guard info.consensus.status.voters.count < 2 else { return }
        throw .conflict(
            "last_voter",
            "'\(info.node)' is the only voter: nobody can lead in its place. Stop it with SIGTERM, or add a voter first ('distric raft add')"
        )
    }

    /// Nil where there is nobody to lead in its place: its worker is emptied all the same.
    private func moveLeadership() async throws -> NodeID? {
        let consensus = info.consensus
        guard consensus.status.voters.count > 1 else { return nil }
        do throws(RaftRefusal) {
            let leader = try await consensus.transfer(to: nil)
            info.noteAction(
                "raft.transferred", subject: leader.text, "leadership went to \(leader), since an operator wants \(info.node) empty")
            return leader
        } catch {
            throw Problem.refusal(error, consensus.status)
        }
    }
}

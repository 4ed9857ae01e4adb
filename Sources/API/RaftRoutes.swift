import Cluster
import HTTPTypes
import Hummingbird
import NIOCore
import Observability
import Primitives
import Raft
import Text

/// `/api/v1/raft`: how the consensus is, who belongs to it, and who leads. What changes it says with `basedOn` which configuration it was
/// decided on; else it is the one that this node has when it is asked.
struct RaftRoutes: Sendable {
    /// For changes of members, where newcomers catch up first.
    static let patience = Duration.seconds(60)
    /// Between two looks at how far a change is.
    private static let look = Duration.milliseconds(20)

    let info: NodeInfo
    private var consensus: any Consensus { info.consensus }

    func add(to router: RouterGroup<NodeRequestContext>) {
        let pulse = Pulse(info: info)
        router.get("raft/status") { request, _ in try info.object(request) { pulse.raftValue } }
        router.get("raft/peers") { request, context in try peers(request, context) }
        router.post("raft/members") { request, _ in try await add(request) }
        router.delete("raft/members/{id}") { request, context in try await remove(request, context) }
        router.post("raft/members/{id}:promote") { request, context in try await promote(request, context) }
        router.post("raft:transfer") { request, _ in try await transfer(request) }
        router.post("raft:snapshot") { request, _ in try await snapshot(request) }
    }

    // MARK: Peers

    /// A follower has seen nothing of what the others have: then the answer says that it is partial, and why.
    private func peers(_ request: Request, _ context: NodeRequestContext) throws -> Response {
        let consensus = consensus
        let status = consensus.status
        var also = Fields()
        if !status.isLeader {
            let reason = context.shortfall ?? "consistency=leader asks it"
            also["partial"] = true
            also["reason"] = .string("node \(status.node) does not lead, and only the leader knows how far the others are: \(reason)")
        }
        let holds = { @Sendable in consensus.leader == status.leader }
        return try info.rows(request, RaftRows.columns, also: also, holds: holds) { RaftRows(consensus.status, consensus.members).values }
    }

    // MARK: Members

    /// `{"add": "c-4", "role": "voter" | "learner"}`.
    private func add(_ request: Request) async throws -> Response {
        let body = try await request.jsonFields(["add", "role", "basedOn"])
        let node = try node(body["add"], "/add")
        let role = body["role"]?.string ?? (body["role"] == nil ? "voter" : "")
        guard role == "voter" || role == "learner" else {
            throw Problem.badRequest("invalid_request", "role is voter or learner", pointer: "/role")
        }
        let status = try leading()
        try checkJoined(node)
        if role == "learner" {
            guard !status.voters.contains(node) else {
                throw Problem.conflict("already_voter", "'\(node)' votes already: remove it first, then add it as a learner")
            }
            guard !status.learners.contains(node) else { return unchanged(status) }
            return try await change(
                request, body, status, voters: status.voters, learners: status.learners + [node], "added \(node) as a learner")
        }
        return try await vote(node, request, body, status, "added \(node) as a voter")
    }

    private func promote(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let body = try await request.jsonFields(["basedOn"])
        let node = try node(.string(try context.parameter("id")), nil)
        let status = try leading()
        guard status.voters.contains(node) || status.learners.contains(node) else { throw notAMember(node, status) }
        return try await vote(node, request, body, status, "promoted \(node) to a voter")
    }

    private func vote(
        _ node: NodeID, _ request: Request, _ body: Fields, _ status: RaftStatus, _ done: String
    ) async throws -> Response {
        guard !status.voters.contains(node) else { return unchanged(status) }
        return try await change(
            request, body, status, voters: status.voters + [node], learners: status.learners.filter { $0 != node }, done)
    }

    private func remove(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let body = try await request.jsonFields(["basedOn"])
        let node = try node(.string(try context.parameter("id")), nil)
        let status = try leading()
        guard status.voters.contains(node) || status.learners.contains(node) else { throw notAMember(node, status) }
        guard status.voters != [node] else {
            throw Problem.conflict(
                "last_voter",
                "'\(node)' is the last voter, and a cluster without one is none: add another voter first, or stop the node to end the cluster"
            )
        }
        return try await change(
            request, body, status, voters: status.voters.filter { $0 != node }, learners: status.learners.filter { $0 != node },
            "removed \(node)")
    }

    /// A coordinator that runs and has found this cluster.
    private func checkJoined(_ node: NodeID) throws(Problem) {
        guard let member = consensus.member(node) else {
            throw Problem(
                status: .notFound, type: "unknown_node", title: "The members were not changed",
                detail:
                    "no node '\(node)' has come here yet: start it with --join first ('distric node --id \(node) --join \(seed)'), then add it"
            )
        }
        guard member.roles.contains("coordinator") else {
            throw .conflict(
                "not_a_coordinator",
                "'\(node)' has the role \(member.roles.joined(separator: ",")) and keeps no log: start it with --role coordinator")
        }
    }

    private var seed: String { consensus.member(info.node)?.address ?? "HOST:PORT" }

    private func notAMember(_ node: NodeID, _ status: RaftStatus) -> Problem {
        let known = (status.voters + status.learners).map(\.text)
        // None is guessed: who removes the wrong one loses more than a moment.
        return .notFound("'\(node)' is no member: they are \(known.joined(separator: ", "))")
    }

    /// Waits until the change is in force: newcomers catch up first, and two configurations hold together for a moment (Raft section 6).
    private func change(
        _ request: Request, _ body: Fields, _ status: RaftStatus, voters: [NodeID], learners: [NodeID], _ done: String
    ) async throws -> Response {
        // Who is on the way to be a voter is not forgotten by a change that knows nothing of it.
        guard status.target.allSatisfy({ voters.contains($0) || !(voters + learners).contains($0) }) else {
            throw Problem.refusal(.changeInProgress, status)
        }
        let basedOn = try basedOn(request, body) ?? status.configurationIndex
        let (consensus, clock) = (consensus, info.telemetry.clock)
        let patience = try request.timeout(default: Self.patience)
        let end = clock.now.advanced(by: patience)
        let answer = await outcome(within: patience) { () async throws(RaftRefusal) in
            try await consensus.change(voters: voters, learners: learners, basedOn: basedOn)
        }
        if case .failure(let refusal)? = answer { throw Problem.refusal(refusal, consensus.status) }
        while answer != nil, clock.now < end {
            let status = consensus.status
            if status.has(voters, learners) {
                info.noteAction("raft.members_changed", subject: info.node.text, "an operator \(done)")
                return .json(status.members(changed: true))
            }
            guard status.isLeader else { throw Problem.changeUncertain(info.node, leader: status.leader) }
            try await Task.sleep(for: Self.look)
        }
        let detail =
            "the change is under way after \(patience.text), and goes on: a newcomer catches up before it votes. GET /api/v1/raft/status shows when it is in force"
        return .json(["done": false, "detail": .string(detail)], status: .accepted)
    }

    private func unchanged(_ status: RaftStatus) -> Response { .json(status.members(changed: false)) }

    // MARK: Leadership and snapshots

    /// `{"to": "c-2"}`, or null for whoever is furthest.
    private func transfer(_ request: Request) async throws -> Response {
        let body = try await request.jsonFields(["to", "basedOn"])
        var wanted: NodeID?
        if let to = body["to"], to != .null { wanted = try node(to, "/to") }
        let status = try leading()
        try check(try basedOn(request, body), status)
        if let wanted, wanted == status.node { return .json(["leader": .string(wanted.text), "changed": false]) }
        let (consensus, successor) = (consensus, wanted)
        let patience = try request.timeout(default: .seconds(10))
        let answer = await outcome(within: patience) { () async throws(RaftRefusal) in try await consensus.transfer(to: successor) }
        switch answer {
        case .success(let leader)?:
            info.noteAction("raft.transferred", subject: leader.text, "an operator handed leadership to \(leader)")
            return .json(["leader": .string(leader.text), "changed": true])
        case .failure(let refusal)?: throw Problem.refusal(refusal, consensus.status)
        case nil:
            let detail = "leadership is still being handed over after \(patience.text); GET /api/v1/raft/status shows who leads"
            return .json(["done": false, "detail": .string(detail)], status: .accepted)
        }
    }

    /// Of this node's own log, whether it leads or not.
    private func snapshot(_ request: Request) async throws -> Response {
        let body = try await request.jsonFields(["basedOn"])
        let status = consensus.status
        try check(try basedOn(request, body), status)
        consensus.requestSnapshot()
        return .json(
            [
                "node": .string(info.node.text), "requested": true, "appliedIndex": Value(consensus.applied.index.number),
                "snapshotIndex": Value(status.snapshotIndex.number),
            ], status: .accepted)
    }

    private func check(_ basedOn: LogIndex?, _ status: RaftStatus) throws(Problem) {
        guard let basedOn, basedOn != status.configurationIndex else { return }
        throw .refusal(.staleConfiguration(at: status.configurationIndex), status)
    }

    // MARK: Reading

    /// Who asks here was passed on, or this node leads: what is decided is decided on what the leader knows.
    private func leading() throws(Problem) -> RaftStatus {
        let status = consensus.status
        guard status.isLeader else { throw .refusal(.notLeader(hint: status.leader), status) }
        return status
    }

    private func node(_ value: Value?, _ pointer: String?) throws(Problem) -> NodeID {
        guard let text = value?.string else { throw .badRequest("invalid_request", "expected a node's id, as c-2", pointer: pointer) }
        do throws(IdentifierError) { return try NodeID(text) } catch {
            throw .badRequest("invalid_id", error.description, pointer: pointer)
        }
    }

    /// In the body, or `?basedOn=`.
    private func basedOn(_ request: Request, _ body: Fields) throws(Problem) -> LogIndex? {
        if let text = request.uri.queryParameters["basedOn"] {
            guard let number = UInt64(text) else { throw .badRequest("invalid_request", "basedOn is a log index, as 42") }
            return LogIndex(number)
        }
        guard let value = body["basedOn"], value != .null else { return nil }
        guard let number = value.int.flatMap({ UInt64(exactly: $0) }) else {
            throw .badRequest("invalid_request", "basedOn is a log index, as 42", pointer: "/basedOn")
        }
        return LogIndex(number)
    }
}

extension RaftStatus {
    /// Whether these, and nobody else, belong to it for certain.
    fileprivate func has(_ voters: [NodeID], _ learners: [NodeID]) -> Bool {
        self.voters == voters.sorted() && self.learners == learners.sorted() && outgoing.isEmpty && configurationIndex <= commitIndex
    }

    /// Who belongs to it now.
    fileprivate func members(changed: Bool) -> Value {
        [
            "done": true, "changed": .bool(changed), "configurationIndex": Value(configurationIndex.number),
            "voters": .list(voters.map { .string($0.text) }), "learners": .list(learners.map { .string($0.text) }),
        ]
    }
}

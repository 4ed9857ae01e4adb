import Cluster
import Coordinator
import Hummingbird
import Observability
import Primitives

/// `/api/v1/cluster/upgrade`: what the members' programs know, and the level of the cluster's commands, which an operator raises when all
/// know more (Decisions/FeatureLevels).
struct UpgradeRoutes: Sendable {
    let info: NodeInfo

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.get("cluster/upgrade") { request, _ in try info.object(request) { levels.value } }
        router.post("cluster/upgrade:finalize") { _, _ in try await finalize() }
    }

    private var levels: UpgradeLevels {
        UpgradeLevels(info.consensus, current: info.coordinator.loop.current.state.featureLevel, version: info.version)
    }

    /// To the most that a voter knows: one that knows less is named, instead of being left behind.
    private func finalize() async throws -> Response {
        let levels = levels
        switch await info.coordinator.loop.ask([.raiseFeatureLevel(levels.target, announced: levels.announced)])[0] {
        case .done:
            if levels.target > levels.current {
                info.noteAction(
                    "cluster.upgraded", subject: info.cluster.description,
                    "the feature level was raised from \(levels.current) to \(levels.target) by an operator: programs that know less cannot come back"
                )
            }
            return .json(["featureLevel": Value(Int(levels.target)), "before": Value(Int(levels.current))])
        case .conflict(let what): throw Problem.conflict("feature_level", what, title: "The feature level stays as it is")
        case .busy(let why): throw Problem.busy(why)
        case .uncertain(let why): throw Problem.uncertain(why)
        case .notFound, .full, .started, .accepted, .activated, .rematch: throw Problem.busy("unexpected answer")
        }
    }
}

/// What the members know, as this node knows it, beside what is in force.
struct UpgradeLevels {
    private struct Member {
        var node: NodeID
        var isVoter: Bool
        /// 0 while it is not connected.
        var level: UInt16
        var software: String
    }

    private let members: [Member]
    let current: UInt16

    /// - Parameter version: of this node's own program.
    init(_ consensus: any Consensus, current: UInt16, version: String) {
        self.current = current
        let status = consensus.status
        let voters = status.voters + status.outgoing.filter { !status.voters.contains($0) }
        members = (voters + status.learners.filter { !voters.contains($0) }).sorted().map { node in
            let facts = consensus.member(node)
            let isSelf = node == consensus.node
            return Member(
                node: node, isVoter: voters.contains(node),
                level: isSelf ? CommandCodec.featureLevel : facts.map { $0.isConnected ? $0.featureLevel : 0 } ?? 0,
                software: facts?.software ?? (isSelf ? version : ""))
        }
    }

    /// What each voter says that it knows.
    var announced: [NodeID: UInt16] {
        Dictionary(uniqueKeysWithValues: members.filter(\.isVoter).map { ($0.node, $0.level) })
    }

    var target: UInt16 { FeatureLevels.target(from: current, announced) }

    private var state: (word: String, reason: String?) {
        guard target > current else { return ("finalized", nil) }
        let refusal = FeatureLevels.refusal(of: target, from: current, announced: announced)
        return (refusal == nil ? "ready" : "waiting", refusal)
    }

    var value: Value {
        let (word, reason) = state
        return .object([
            "featureLevel": Value(Int(current)), "target": Value(Int(target)), "state": .string(word), "reason": Value(reason),
            "items": .list(
                members.map { member in
                    .object([
                        "id": .string(member.node.text), "role": .string(member.isVoter ? "voter" : "learner"),
                        "connected": .bool(member.level > 0), "featureLevel": member.level > 0 ? Value(Int(member.level)) : .null,
                        "software": .string(member.software), "ready": .bool(member.level >= target),
                    ])
                }),
        ])
    }
}

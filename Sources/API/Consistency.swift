import Cluster
import HTTPTypes
import Hummingbird
import Observability
import Primitives
import Raft

/// How fresh an answer is to be.
enum Consistency: String, CaseIterable, Sendable {
    /// What this node has applied, quorum or not.
    case stale
    /// What the leader has.
    case leader
    /// Everything that was acknowledged before the question came (ReadIndex, thesis section 6.4), on whichever node.
    case linearizable
}

extension Request {
    var isRead: Bool { method == .get || method == .head }

    /// `?consistency=`; nil when nothing is asked for.
    func consistency() throws(Problem) -> Consistency? {
        guard let text = uri.queryParameters["consistency"] else { return nil }
        if let known = Consistency(rawValue: String(text)) { return known }
        let words = Consistency.allCases.map(\.rawValue)
        let meant = suggestion(for: String(text.prefix(40)), among: words).map { "; did you mean '\($0)'?" } ?? ""
        throw .badRequest("invalid_consistency", "consistency is \(words.joined(separator: ", ")), not '\(text.prefix(40))'\(meant)")
    }

    /// `?timeout=`: how long the answer may take.
    func timeout(default usual: Duration) throws(Problem) -> Duration {
        guard let text = uri.queryParameters["timeout"] else { return usual }
        guard let timeout = Duration(text: String(text)), timeout >= .milliseconds(10), timeout <= .seconds(600) else {
            throw .badRequest("invalid_timeout", "timeout is a duration from 10ms to 10m, not '\(text.prefix(40))'")
        }
        return timeout
    }
}

/// Holds a linearizable read until this node may answer it, and says with every read how old the answer is.
struct ReadFreshness: RouterMiddleware {
    typealias Context = NodeRequestContext

    private static let patience = Duration.seconds(5)
    private static let pause = Duration.milliseconds(50)

    let consensus: any Consensus
    let clock: any NodeClock

    @concurrent
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard request.isRead else { return try await next(request, context) }
        if try request.consistency() == .linearizable { try await confirm(within: try request.timeout(default: Self.patience)) }
        // Taken before the answer is made, which may hold more than this, and never less.
        let (index, time) = consensus.applied
        var response = try await next(request, context)
        // Another node has answered, and said how old that is.
        guard response.headers[.servedBy] == nil else { return response }
        response.headers[.appliedIndex] = index.description
        if time > .zero { response.headers[.appliedAge] = String(max(0, clock.wall.duration(since: time).milliseconds)) }
        response.headers[.districLeader] = (consensus.isLeading ? consensus.node : consensus.leader)?.text
        if let reason = consensus.standstill { response.headers[.districStale] = reason }
        return response
    }

    private func confirm(within patience: Duration) async throws {
        let end = clock.now.advanced(by: patience)
        var rest = patience
        while rest > .zero {
            let consensus = consensus
            switch await outcome(within: rest, of: { () async throws(RaftRefusal) in try await consensus.readIndex() }) {
            case .success(let index)?:
                guard await consensus.waitApplied(index, timeout: max(.zero, end.duration(since: clock.now))) else {
                    throw Problem.behind(consensus.node, has: consensus.applied.index, needs: index)
                }
                return
            case .failure(.busy)?: throw Problem.busy("too many reads wait to be confirmed; try again in a second")
            case .failure?:
                // While there is a majority it elects somebody, and the next question may be answered.
                let quorum = Quorum(consensus.status)
                guard quorum.isThere else { throw Problem.noQuorum(quorum) }
                try await Task.sleep(for: Self.pause)
            case nil: break
            }
            rest = end.duration(since: clock.now)
        }
        throw Problem.noQuorum(Quorum(consensus.status))
    }
}

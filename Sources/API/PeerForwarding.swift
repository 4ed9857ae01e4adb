import AsyncHTTPClient
import HTTPTypes
import Hummingbird
import Primitives
import Text

/// Passes a read on to one certain node: what only that node has, its log and what tasks wrote there. It is not passed on again.
struct PeerForwarding: Sendable {
    private static let patience = Duration.seconds(10)
    private static let margin = Duration.seconds(1)

    let info: NodeInfo

    /// The node that `?node=` names; nil for this one, and where none is named.
    func target(_ request: Request) throws(Problem) -> NodeID? {
        guard let text = request.uri.queryParameters["node"] else { return nil }
        let node: NodeID
        do throws(IdentifierError) { node = try NodeID(String(text)) } catch { throw .badRequest("invalid_id", error.description) }
        return node == info.node ? nil : node
    }

    /// What that node answers.
    func ask(_ node: NodeID, _ request: Request, _ context: NodeRequestContext) async throws -> Response {
        guard request.headers[.districForwarded] == nil else {
            throw Problem.nodeUnreachable(
                node, "was asked for through '\(info.node)', which is another node", instead: "ask '\(node)' itself")
        }
        guard let member = info.consensus.member(node) else {
            let known = info.consensus.members.map(\.node.text)
            let meant =
                suggestion(for: node.text, among: known).map { "; did you mean '\($0)'?" } ?? "; they are \(known.joined(separator: ", "))"
            throw Problem.notFound("no node '\(node)' is known here\(meant)")
        }
        guard let url = member.http else {
            throw Problem.nodeUnreachable(
                node, "has not said yet where its HTTP address is", instead: "try again in a second, or ask it there")
        }
        let base = LeaderForwarding.base(url)
        return try await info.forwarder.forward(
            LeaderForwarding.head(request, context, base), isStream: request.isStream,
            to: Forwarder.Target(node: node, url: base, leads: false), within: try request.timeout(default: Self.patience) + Self.margin)
    }
}

import Foundation
import Glibc
import Primitives
import Synchronization
import Text

/// What a prompt and completion know of the cluster: cached, fetched in the background, never waited for longer than 150 ms.
package final class LiveFacts: Sendable {
    private static let patience = 0.15
    private static let freshness = 3.0
    private static let nameLimit = 90

    private struct State {
        var client: NodeClient
        var node: String?
        var role = ""
        var term = ""
        var problem: String?
        var names: [String: [String]] = [:]
        var fetchedAt: [String: Date] = [:]
        var fetching: Set<String> = []
        var answers = 0
    }

    private let state: Mutex<State>

    package init(session: Session) { state = Mutex(State(client: Self.client(session))) }

    private static func client(_ session: Session) -> NodeClient {
        NodeClient(url: Session.$current.withValue(session) { RunningNodes.url(asked: nil) }, timeout: .seconds(2))
    }

    package func move(to session: Session) { state.withLock { $0 = State(client: Self.client(session)) } }

    package var position: (node: String?, role: String, term: String) { state.withLock { ($0.node, $0.role, $0.term) } }
    package var problem: String? { state.withLock { $0.problem } }
    package var names: [String: [String]] { state.withLock { $0.names } }

    /// Asks for role and term, for at most 150 ms; the answer counts when it comes later too.
    package func refresh() async {
        let before = state.withLock { $0.answers }
        Task {
            await self.ask()
            self.state.withLock { $0.answers += 1 }
        }
        let end = Date().addingTimeInterval(Self.patience)
        while Date() < end, state.withLock({ $0.answers }) == before { try? await Task.sleep(for: .milliseconds(3)) }
    }

    private func ask() async {
        let client = state.withLock { $0.client }
        do {
            let raft = try await client.get("/api/v1/raft/status")
            state.withLock { state in
                state.node = raft["node"]?.string
                state.role = raft["role"]?.string.map(RaftWords.spaced) ?? "?"
                state.term = Words.plain(raft["term"])
                state.problem = nil
            }
        } catch {
            state.withLock { state in
                state.node = nil
                state.problem = (error as? CommandFailure)?.message ?? "\(error)"
            }
        }
    }

    /// Names of a kind of object; those of three seconds ago are asked for again.
    package func wait(for kind: CommandIndex.Objects) {
        let needs = state.withLock { state -> Bool in
            let age = state.fetchedAt[kind.rawValue].map { Date().timeIntervalSince($0) } ?? .infinity
            guard age > Self.freshness, state.fetching.insert(kind.rawValue).inserted else { return false }
            return true
        }
        if needs { Task { await self.fetch(kind) } }
        guard names[kind.rawValue] == nil else { return }
        let end = Date().addingTimeInterval(Self.patience)
        while Date() < end, names[kind.rawValue] == nil { usleep(3000) }
    }

    /// What a console asks for, without waiting.
    package func fetchAll() async { for kind in CommandIndex.Objects.allCases { await fetch(kind) } }

    private func fetch(_ kind: CommandIndex.Objects) async {
        let client = state.withLock { $0.client }
        let (path, key): (String, String) =
            switch kind {
            case .runs: ("/api/v1/runs", "id")
            case .tasks: ("/api/v1/tasks", "id")
            case .rules: ("/api/v1/rules", "name")
            case .workflows: ("/api/v1/workflows", "name")
            case .messages: ("/api/v1/messages", "id")
            case .traces: ("/api/v1/traces", "traceId")
            case .nodes: ("/api/v1/nodes", "id")
            case .raft: ("/api/v1/raft/peers", "node")
            }
        let answer = try? await client.get(path, [("window", "0:\(Self.nameLimit)")])
        state.withLock { state in
            state.fetching.remove(kind.rawValue)
            guard let items = answer?["items"]?.list else { return }
            state.fetchedAt[kind.rawValue] = Date()
            state.names[kind.rawValue] = items.compactMap { $0[key]?.string }
        }
    }
}

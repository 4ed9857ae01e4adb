import Foundation
import Operator
import Primitives
import Synchronization
import Text

/// Sends messages under ids of its own, one after the other, until it is told to stop: each again and again, to one node after the other, until one acknowledges it.
final class MessageStream: Sendable {
    private struct State {
        var acknowledged: [(id: String, runs: [String])] = []
        var wrong: [String] = []
        var isOver = false
    }

    /// For one message, in seconds: far above any election.
    private static let patience = 60.0

    private let state = Mutex(State())
    private let tasks = Mutex<[Task<Void, Never>]>([])

    /// - Parameters:
    ///   - senders: that send at once.
    ///   - type: of the messages.
    ///   - prefix: of their ids.
    init(to members: [ClusterMember], senders: Int = 3, type: String, prefix: String = "s") {
        // One that is stopped lets nobody wait for long.
        let clients = members.map { NodeClient(url: $0.url, timeout: .seconds(2)) }
        tasks.withLock { tasks in
            for sender in 0..<senders { tasks.append(Task { [self] in await send("\(prefix)\(sender)-", sender, clients, type) }) }
        }
    }

    private func send(_ prefix: String, _ sender: Int, _ clients: [NodeClient], _ type: String) async {
        var number = 0
        while !state.withLock({ $0.isOver }) {
            let id = prefix + String(number)
            number += 1
            let body = JSONWriter.bytes(["id": .string(id), "type": .string(type), "data": Value(number)])
            var turn = sender
            let end = Date().addingTimeInterval(Self.patience)
            while true {
                guard Date() < end else { return state.withLock { $0.wrong.append("\(id): nobody acknowledged it in time") } }
                let answer = try? await clients[turn % clients.count].send("POST", "/api/v1/messages", body: body)
                turn += 1
                if let answer, answer.status == 202 {
                    note(id, answer.value)
                    break
                }
                // Whatever else is said of it, it is not that the message is wrong.
                if let answer, answer.status != 503 {
                    state.withLock { $0.wrong.append("\(id): \(answer.status) \(JSONWriter.text(answer.value))") }
                }
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    private func note(_ id: String, _ answer: Value) {
        state.withLock { $0.acknowledged.append((id, answer["runs"]?.list?.compactMap(\.string) ?? [])) }
    }

    var count: Int { state.withLock { $0.acknowledged.count } }

    /// Whether so many more are acknowledged, in a time that is long for every machine.
    func goesOn(by more: Int = 30) async throws -> Bool {
        let before = count
        return try await holds(30) { count >= before + more }
    }

    /// Ends it once what is under way is acknowledged: all that was, and answers that should not have come.
    func finish() async -> (acknowledged: [(id: String, runs: [String])], wrong: [String]) {
        state.withLock { $0.isOver = true }
        for task in tasks.withLock({ $0 }) { await task.value }
        return state.withLock { ($0.acknowledged, $0.wrong) }
    }
}

import Foundation
import Primitives
import Synchronization
import Wire

/// When proposals are acknowledged, and for how long none was.
final class PauseWatch: Sendable {
    struct Span: Sendable {
        var seconds: Double
        var acknowledged: Int
        /// Seconds.
        var longestPause: Double
    }

    private let state: Mutex<(since: Double, last: Double, longest: Double, count: Int)>

    init() {
        let now = LoadClient.now()
        state = Mutex((now, now, 0, 0))
    }

    func note(_ now: Double) {
        state.withLock { state in
            state.longest = max(state.longest, now - state.last)
            state.last = max(state.last, now)
            state.count += 1
        }
    }

    /// What was since the last time that this was asked. A pause that lasts counts as far as it has come.
    func take() -> Span {
        let now = LoadClient.now()
        return state.withLock { state in
            defer { state = (now, now, 0, 0) }
            return Span(seconds: now - state.since, acknowledged: state.count, longestPause: max(state.longest, now - state.last))
        }
    }
}

/// Set once, from whichever thread.
final class Switch: Sendable {
    private let value = Atomic(false)
    var isOn: Bool { value.load(ordering: .relaxed) }
    func turnOn() { value.store(true, ordering: .relaxed) }
}

/// Clients of which each has one proposal under way, sharing a connection to the leader.
struct ProposalLoad {
    struct Failed: Error, CustomStringConvertible { let description: String }

    struct Outcome: Sendable {
        var acknowledged = 0
        var failures = 0
        var seconds = 0.0
        /// Seconds for each that was acknowledged.
        var latencies: [Double] = []
        var lastError: CallError?

        var rate: Double { Double(acknowledged) / seconds }

        fileprivate mutating func add(_ other: Outcome) {
            acknowledged += other.acknowledged
            failures += other.failures
            latencies += other.latencies
            lastError = other.lastError ?? lastError
        }
    }

    let client: ProposalClient
    let clients: Int
    var kind = ProposalClient.Kind.observed
    var bytes = 256
    /// Proposals a second over all clients; nil for as many as they can.
    var rate: Double?
    var watch: PauseWatch?
    /// Who writes down what was asked and told; messages are read besides then, and the figures are not those of without it.
    var history: RaftHistory?
    /// For each; short enough that a client that is told to come back in a second asks another node at once.
    var timeout: Duration = .seconds(1)
    /// After a failure, seconds until a client tries again.
    private static let rest = 0.005
    private static let readers = 2

    func run(seconds: Double) async throws -> Outcome {
        let end = LoadClient.now() + seconds
        return try await run { LoadClient.now() < end }
    }

    /// - Parameter goesOn: asked before each proposal.
    func run(while goesOn: @escaping @Sendable () -> Bool) async throws -> Outcome {
        let began = LoadClient.now()
        var all = Outcome()
        try await withThrowingTaskGroup(of: Outcome.self) { tasks in
            for number in 0..<clients {
                tasks.addTask { try await one(number, began, goesOn) }
            }
            if let history {
                for _ in 0..<Self.readers {
                    tasks.addTask {
                        try await HistoryReader(client: client, history: history).run(while: goesOn)
                        return Outcome()
                    }
                }
            }
            for try await outcome in tasks { all.add(outcome) }
        }
        all.seconds = LoadClient.now() - began
        guard all.acknowledged > 0 else {
            throw Failed(description: "no proposal was acknowledged: \(all.lastError?.description ?? "none was made")")
        }
        return all
    }

    private func one(_ number: Int, _ began: Double, _ goesOn: @Sendable () -> Bool) async throws -> Outcome {
        var outcome = Outcome()
        var process = history?.newProcess() ?? 0
        let interval = rate.map { Double(clients) / $0 }
        var due = began + Double(number) * (interval ?? 0) / Double(clients)
        while goesOn() {
            if let interval {
                try await wait(until: due)
                // What a pause held up is made good, up to a second of it.
                due = max(due, LoadClient.now() - 1) + interval
            }
            let (message, register) = client.registered(kind, bytes: bytes)
            history?.invokesWrite(process, register)
            let sent = LoadClient.now()
            do throws(CallError) {
                try await client.propose(message, timeout: timeout)
                let now = LoadClient.now()
                history?.wrote(process, register)
                outcome.acknowledged += 1
                outcome.latencies.append(now - sent)
                watch?.note(now)
            } catch {
                if let history { process = history.failed(process, register, error) }
                guard error.isRetryable || error.code == .deadlineExceeded else {
                    throw Failed(description: "a proposal was refused for good: \(error)")
                }
                outcome.failures += 1
                outcome.lastError = error
                try await wait(until: LoadClient.now() + Self.rest)
            }
        }
        return outcome
    }

    private func wait(until time: Double) async throws {
        let left = time - LoadClient.now()
        if left > 0 { try await Task.sleep(for: .seconds(left)) }
    }
}

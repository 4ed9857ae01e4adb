import DistriC
import Foundation
import Operator
import Primitives
import Text

/// Sends example messages at a steady rate until it is cancelled. One that was not acknowledged is sent again by the same id, to whoever answers: so it is never lost,
/// and never counted twice.
struct DemoFeed: Sendable {
    /// Messages that may wait to be acknowledged; none is made while there are more.
    private static let waitingLimit = 10_000
    private static let batch = 500

    let urls: [String]
    let rate: Int
    let seed: UInt64
    let tally: DemoTally

    private struct Item {
        var line: [UInt8]
        var tries = 0
    }

    func run() async {
        guard rate > 0 else { return }
        let client = NodeClient(url: urls.joined(separator: ","), timeout: .seconds(3))
        var messages = ExampleMessages(seed: seed)
        let start = Date()
        let name = String(Int(start.timeIntervalSince1970), radix: 36)
        var sent = 0
        var waiting: [Item] = []
        while !Task.isCancelled {
            let due = Int(Date().timeIntervalSince(start) * Double(rate)) + 1
            // After a pause (a laptop's lid, a stopped process) the feed goes on at its rate, without making up for it.
            if due - sent > rate * 2 { sent = due - rate }
            for _ in 0..<min(Self.batch, max(0, due - sent)) where waiting.count < Self.waitingLimit {
                sent += 1
                guard case .map(var fields) = messages.message(sent) else { continue }
                fields["id"] = .string("demo-\(name)-\(sent)")
                waiting.append(Item(line: JSONWriter.bytes(.map(fields)) + [0x0A]))
                tally.made(1)
            }
            if !waiting.isEmpty { await send(&waiting, client) }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    /// The oldest of those that wait; what is answered waits no more.
    private func send(_ waiting: inout [Item], _ client: NodeClient) async {
        let count = min(Self.batch, waiting.count)
        let again = waiting.prefix(count).count { $0.tries > 0 }
        for place in 0..<count { waiting[place].tries += 1 }
        if again > 0 { tally.resent(again) }
        let body = Array(waiting.prefix(count).map(\.line).joined())
        do {
            let answer = try await client.send("POST", "/api/v1/messages", body: body, type: "application/x-ndjson")
            let items = try NodeClient.value(answer)["items"]?.list ?? []
            var kept: [Item] = []
            for (item, result) in zip(waiting.prefix(count), items) where !tally.take(result) { kept.append(item) }
            waiting.replaceSubrange(0..<min(count, items.count), with: kept)
            tally.failed(nil)
        } catch { tally.failed((error as? CommandFailure)?.message ?? "\(error)") }
    }
}

/// Looks what became of the runs of acknowledged messages until it is cancelled.
struct DemoWatch: Sendable {
    /// A run that is not among the newest after so long is asked for by itself.
    private static let patience = Duration.seconds(10)
    /// For so long a leader may say that it has no such run, and be wrong.
    private static let doubt = Duration.seconds(20)

    let urls: [String]
    let tally: DemoTally

    private var client: NodeClient { NodeClient(url: urls.joined(separator: ","), timeout: .seconds(5), consistency: "leader") }

    func run() async {
        let client = client
        while !Task.isCancelled {
            if tally.openCount > 0 { await look(client) }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func look(_ client: NodeClient) async {
        let page = min(1000, tally.openCount + 200)
        if let answer = try? await client.get("/api/v1/runs", [("limit", String(page))]) { answer["items"]?.list?.forEach(tally.saw) }
        await ask(client, tally.open(for: Self.patience, limit: 50), doubt: Self.doubt)
    }

    /// Each of them by itself: only the leader's word counts.
    private func ask(_ client: NodeClient, _ ids: [String], doubt: Duration) async {
        for id in ids {
            guard !Task.isCancelled, let answer = try? await client.send("GET", "/api/v1/runs/\(id)") else { return }
            switch answer.status {
            case 200: tally.saw(answer.value)
            case 404: tally.missed(id, patience: doubt)
            default: return
            }
        }
    }

    /// Once no more is sent: until all have ended, or for so long; then every run that is still open is asked for.
    func settle(within limit: Duration) async {
        let (client, end) = (client, ContinuousClock.now + limit)
        while tally.openCount > 0, ContinuousClock.now < end {
            await look(client)
            try? await Task.sleep(for: .milliseconds(500))
        }
        await ask(client, tally.openIDs, doubt: .zero)
        // A run that is missing is missing only when that is said twice.
        await ask(client, tally.openIDs, doubt: .zero)
    }
}

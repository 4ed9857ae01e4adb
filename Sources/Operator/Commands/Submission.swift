import Foundation
import Primitives

/// A submission under way: batches of lines, sent again until it is known what became of each, counted by that.
///
/// What was not answered may have been accepted. It is sent again under the same ids, and then is known as the same; what has no id is not
/// sent twice.
struct Submission {
    private static let batchItems = 200
    private static let batchBytes = 4 << 20
    private static let firstPause = Duration.milliseconds(100)
    private static let longestPause = Duration.seconds(1)
    /// A node that stands still is left for another one after so long at least.
    private static let leastTry = Duration.seconds(1)

    /// How long it may take, retries included.
    enum Patience: Equatable {
        /// All of it.
        case whole(Duration)
        /// Each batch by itself.
        case batch(Duration)

        fileprivate var limit: Duration {
            switch self {
            case .whole(let limit), .batch(let limit): limit
            }
        }
    }

    /// What it stands on.
    struct Surroundings {
        /// How many nodes may be asked.
        var nodes = 1
        /// Sends lines, and waits for the answer no longer than that.
        var send: (_ body: [UInt8], _ patience: Duration) async throws -> NodeClient.Answer
        var now: () -> ContinuousClock.Instant
        var pause: (Duration) async throws -> Void

        static func real(_ client: NodeClient, namespace: String?) -> Surroundings {
            Surroundings(
                nodes: client.urls.count,
                send: { body, patience in
                    try await client.send(
                        "POST", "/api/v1/messages", [("namespace", namespace)], body: body, type: "application/x-ndjson", patience: patience
                    )
                }, now: { .now }, pause: { try await Task.sleep(for: $0) })
        }
    }

    let total: Int
    let file: String
    let patience: Patience
    private let around: Surroundings
    private(set) var accepted = 0
    private(set) var duplicates = 0
    private(set) var unmatched = 0
    private(set) var refused = 0
    private(set) var runs = 0
    /// Of all that was not refused.
    private(set) var ids: [String] = []
    /// Those that were set here, with their lines.
    private(set) var made: [(line: Int, id: String)] = []
    /// Where to go on, after a failure; empty when all was sent.
    private(set) var place = ""
    private let began: ContinuousClock.Instant
    private var lastShown: ContinuousClock.Instant?

    init(total: Int, file: String, patience: Patience, around: Surroundings) {
        (self.total, self.file, self.patience, self.around) = (total, file, patience, around)
        began = around.now()
    }

    private var done: Int { accepted + duplicates + unmatched + refused }
    private var seconds: Double { max(0.001, (around.now() - began).seconds) }

    var sentence: String {
        let rate = Int(Double(done) / seconds)
        return
            "\(accepted) accepted (\(runs) runs), \(unmatched) unmatched, \(duplicates) duplicate, \(refused) refused in \(String(format: "%.2f", seconds)) s, \(rate)/s"
    }

    var summary: Value {
        [
            "accepted": Value(accepted), "runs": Value(runs), "unmatched": Value(unmatched), "duplicate": Value(duplicates),
            "refused": Value(refused),
            "seconds": .double(seconds), "ids": .list(ids.map(Value.string)),
        ]
    }

    mutating func run(_ lines: [MessageLine], rate: Int) async throws {
        var rest = lines[...]
        while !rest.isEmpty {
            let batch = Self.batch(of: &rest, items: rate > 0 ? min(Self.batchItems, max(1, rate / 10)) : Self.batchItems)
            let end =
                switch patience {
                case .whole(let limit): began + limit
                case .batch(let limit): around.now() + limit
                }
            try await send(batch, until: end, next: rest.first?.number)
            show(isLast: rest.isEmpty)
            guard rate > 0, !rest.isEmpty else { continue }
            var due = began + .seconds(Double(done) / Double(rate))
            if case .whole = patience { due = min(due, end) }
            if due > around.now() { try await around.pause(due - around.now()) }
        }
    }

    private static func batch(of rest: inout ArraySlice<MessageLine>, items: Int) -> [MessageLine] {
        var batch: [MessageLine] = []
        var bytes = 0
        while let line = rest.first, batch.count < items, batch.isEmpty || bytes + line.bytes.count < batchBytes {
            batch.append(line)
            bytes += line.bytes.count + 1
            rest = rest.dropFirst()
        }
        return batch
    }

    // MARK: One batch

    /// - Parameter next: the line that the next batch begins with.
    private mutating func send(_ batch: [MessageLine], until end: ContinuousClock.Instant, next: Int?) async throws {
        var (open, pause) = (batch, Self.firstPause)
        var reason = CommandFailure(.temporary, "the time that --timeout gives was over before all was sent: give it more")
        while true {
            let left = end - around.now()
            guard left > .zero else { throw unfinished(open, of: batch, reason, next) }
            do {
                let answer = try await around.send(Array(open.map(\.bytes).joined(separator: [0x0A])), wait(for: open, left))
                reason = try take(answer, &open)
            } catch let failure as CommandFailure {
                reason = failure
                if failure.isUncertain { for line in open.indices { open[line].isUncertain = true } }
                // What was sent before may have been accepted, and the only way to know is to send it again.
                guard open.contains(where: \.isUncertain), open.allSatisfy(\.isRepeatable) else {
                    throw unfinished(open, of: batch, reason, next)
                }
            }
            guard !open.isEmpty else { return }
            guard open.allSatisfy({ !$0.isUncertain || $0.isRepeatable }) else { throw unfinished(open, of: batch, reason, next) }
            try await around.pause(max(.zero, min(pause, end - around.now())))
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// So that there is time for every node. What must not be sent twice gets all of it.
    private func wait(for open: [MessageLine], _ left: Duration) -> Duration {
        guard around.nodes > 1, open.allSatisfy(\.isRepeatable) else { return left }
        return min(left, max(Self.leastTry, patience.limit / around.nodes))
    }

    /// Counts what is settled by an answer, and leaves in `open` what is to be sent again.
    ///
    /// - Returns: why.
    private mutating func take(_ answer: NodeClient.Answer, _ open: inout [MessageLine]) throws -> CommandFailure {
        if [429, 502, 503, 504].contains(answer.status) {
            // A proxy does not know how far its request came.
            if answer.json?["uncertain"]?.bool ?? (answer.status == 502 || answer.status == 504) {
                for line in open.indices { open[line].isUncertain = true }
            }
            return NodeClient.refusal(answer)
        }
        guard answer.status == 200, let items = answer.value["items"]?.list, items.count == open.count else {
            throw NodeClient.refusal(answer)
        }
        var again: [MessageLine] = []
        var reason = CommandFailure(.temporary, "the node is busy")
        for (line, item) in zip(open, items) {
            var line = line
            let status = item["status"]?.int
            if status == 413, line.strip() {
                again.append(line)
            } else if status == 503 || status == 429 {
                line.isUncertain = line.isUncertain || item["uncertain"]?.bool == true
                again.append(line)
                reason = NodeClient.refusal(status: Int(status ?? 503), item)
            } else {
                count(line, item, status)
            }
        }
        open = again
        return reason
    }

    private mutating func count(_ line: MessageLine, _ item: Value, _ status: Int64?) {
        switch status {
        case 202:
            // An earlier try was accepted, and its answer lost.
            let isDuplicate = item["duplicate"]?.bool == true && !(line.isUncertain && line.madeID != nil)
            if isDuplicate { duplicates += 1 } else { accepted += 1 }
            runs += isDuplicate ? 0 : item["runs"]?.list?.count ?? 0
        case 200: unmatched += 1
        default:
            refused += 1
            clear()
            return Session.current.note("\(file):\(line.number): \(item["detail"]?.string ?? "refused")\n")
        }
        guard let id = line.madeID ?? item["messageId"]?.string else { return }
        ids.append(id)
        if line.madeID != nil { made.append((line.number, id)) }
    }

    /// Tells where to go on, and of what nobody knows whether it was accepted.
    private mutating func unfinished(_ open: [MessageLine], of batch: [MessageLine], _ reason: CommandFailure, _ next: Int?)
        -> CommandFailure
    {
        clear()
        for line in open where line.isUncertain {
            guard let id = line.madeID else { continue }
            Session.current.note(
                "\(file):\(line.number): it is not known whether it was accepted, as \(id): 'distric messages show \(id)' tells\n")
        }
        let numbers = open.map(\.number)
        if batch.suffix(open.count).map(\.number) == numbers {
            place = numbers.first.map { "; go on from \(file):\($0)" } ?? ""
        } else {
            let rest = next.map { ", and go on from \(file):\($0)" } ?? ""
            place = "; not accepted were lines \(numbers.map(String.init).joined(separator: ", ")): submit them again\(rest)"
        }
        return reason
    }

    // MARK: Progress

    /// A bar on a terminal, at most ten times a second.
    private mutating func show(isLast: Bool) {
        guard Session.current.notesAreInteractive, total > 1 else { return }
        if isLast { return clear() }
        guard lastShown.map({ around.now() - $0 > .milliseconds(100) }) ?? true else { return }
        lastShown = around.now()
        let width = 30
        let filled = width * done / max(1, total)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
        Session.current.note("\r[\(bar)] \(done)/\(total)  \(Int(Double(done) / seconds))/s")
    }

    private func clear() { if Session.current.notesAreInteractive, total > 1 { Session.current.note("\r\u{1B}[K") } }
}

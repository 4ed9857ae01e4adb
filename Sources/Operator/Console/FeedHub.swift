import Foundation
import Primitives
import Synchronization
import Text

/// Keeps the streams open that the screen needs, and no others. What they say is handed on; none of it waits for the screen.
package final class FeedHub: Sendable {
    private struct Open {
        var request: FeedRequest
        var task: Task<Void, Never>
    }

    private static let firstPause = Duration.milliseconds(200)
    private static let longestPause = Duration.seconds(2)

    private let client: NodeClient
    private let deliver: @Sendable (FeedKey, FeedUpdate) -> Void
    private let open = Mutex<[FeedKey: Open]>([:])

    package init(client: NodeClient, deliver: @escaping @Sendable (FeedKey, FeedUpdate) -> Void) {
        self.client = client
        self.deliver = deliver
    }

    deinit { close() }

    /// Opens what is new, moves windows, closes what is no longer shown.
    package func want(_ requests: [FeedRequest]) {
        open.withLock { open in
            let wanted = Set(requests.map(\.key))
            let paths = Set(open.keys.map(\.path))
            for (key, held) in open where !wanted.contains(key) {
                held.task.cancel()
                open[key] = nil
            }
            for request in requests where open[request.key]?.request != request {
                // The same list through another window or another filter.
                let isMove = paths.contains(request.key.path)
                open[request.key]?.task.cancel()
                open[request.key] = Open(request: request, task: start(request, pause: isMove ? .milliseconds(15) : .zero))
            }
        }
    }

    package func close() { want([]) }

    private func start(_ request: FeedRequest, pause: Duration) -> Task<Void, Never> {
        let (client, deliver) = (client, deliver)
        return Task.detached {
            // Windows that are only passed through while scrolling are not asked for, nor filters of half a word.
            if pause > .zero { try? await Task.sleep(for: pause) }
            var wait = Self.firstPause
            var request = request
            while !Task.isCancelled {
                var hasAnswered = false
                do {
                    var name = ""
                    try await client.stream(request.key.path, request.query + [("watch", "true")], beats: true) { line in
                        hasAnswered = true
                        if line.hasPrefix("event: ") { return name = String(line.dropFirst(7)) }
                        if line.hasPrefix(":") { return deliver(request.key, .alive) }
                        guard line.hasPrefix("data: ") else { return }
                        guard !Task.isCancelled else { throw CancellationError() }
                        let update = FeedDecoding.update(name, Array(line.dropFirst(6).utf8), client.url)
                        if case .lines(let items, _) = update { request.after = items.last?["seq"]?.int ?? request.after }
                        deliver(request.key, update)
                    }
                    guard !Task.isCancelled else { return }
                    deliver(request.key, .failed(CommandFailure(.unavailable, "\(client.url) ended the stream")))
                } catch let failure as CommandFailure {
                    guard !Task.isCancelled else { return }
                    deliver(request.key, .failed(failure))
                    if [.badData, .failed, .denied, .usage].contains(failure.code) { wait = Self.longestPause }
                } catch {
                    guard !Task.isCancelled else { return }
                    deliver(request.key, .failed(CommandFailure(.unavailable, "\(error)")))
                }
                if hasAnswered { wait = Self.firstPause }
                try? await Task.sleep(for: wait)
                wait = min(Self.longestPause, wait * 2)
            }
        }
    }

    /// Asks once for everything: for screens that are printed.
    package static func once(_ requests: [FeedRequest], _ client: NodeClient) async -> [(FeedKey, FeedUpdate)] {
        var found: [(FeedKey, FeedUpdate)] = []
        for request in requests {
            do {
                let query = request.query.filter { $0.0 != "every" }
                let answer = try await client.get(request.key.path, query + (request.key.kind == .lines ? [("limit", "500")] : []))
                found.append((request.key, FeedDecoding.once(answer, request)))
            } catch {
                found.append((request.key, .failed(error as? CommandFailure ?? CommandFailure(.unavailable, "\(error)"))))
            }
        }
        return found
    }
}

/// What a node sends, as updates; what is not understood is said to be so.
enum FeedDecoding {
    /// More rows or lines than any list has.
    private static let countLimit: Int64 = 1 << 40

    private static func strange(_ words: String) -> FeedUpdate { .failed(CommandFailure(.protocolError, words)) }

    static func update(_ name: String, _ bytes: [UInt8], _ url: String) -> FeedUpdate {
        guard let value = try? JSONScanner.parse(bytes, maximumDepth: 512) else {
            return strange("\(url) sends what this program does not understand")
        }
        switch name {
        case "rows":
            guard let rows = value["rows"]?.list, let total = value["total"]?.int, let matched = value["matched"]?.int,
                let offset = value["offset"]?.int, [total, matched, offset].allSatisfy({ (0...countLimit).contains($0) })
            else { return strange("\(url) sends rows in another form; is it of another version?") }
            let ids = value["ids"]?.list.map { $0.compactMap(\.string) }
            return .rows(total: Int(total), matched: Int(matched), offset: Int(offset), ids: ids, rows: rows)
        case "value": return .value(value)
        case "lines":
            guard let items = value["items"]?.list else { return strange("\(url) sends lines in another form; is it of another version?") }
            return .lines(items, missed: Int(min(countLimit, max(0, value["missed"]?.int ?? 0))))
        case "problem": return .failed(NodeClient.refusal(status: Int(clamping: value["status"]?.int ?? 0), value))
        default: return .alive
        }
    }

    static func once(_ answer: Value, _ request: FeedRequest) -> FeedUpdate {
        switch request.key.kind {
        case .value: return .value(answer)
        case .lines: return .lines(answer["items"]?.list ?? [], missed: 0)
        case .rows:
            guard let items = answer["items"]?.list else { return strange("the node answers in another form; is it of another version?") }
            let ids = items.map { row in
                ["rowKey", "id", "traceId", "name", "spanId"].lazy.compactMap { row[$0]?.string }.first ?? ""
            }
            func count(_ key: String, _ usual: Int) -> Int { Int(min(countLimit, max(0, answer[key]?.int ?? Int64(usual)))) }
            return .rows(
                total: count("total", items.count), matched: count("matched", items.count), offset: count("offset", 0), ids: ids,
                rows: items)
        }
    }
}

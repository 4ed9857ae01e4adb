import Primitives
import Workflows

/// The newest items of the history in memory: a ring of `HistoryStore.recentLimit`.
struct RecentItems: Sendable {
    private var items: [HistoryItem] = []
    private var start = 0
    /// Whether everything that the disk had before has been asked for.
    private(set) var isWhole = false

    var count: Int { items.count }

    var newestFirst: [HistoryItem] { Array((items[start...] + items[..<start]).reversed()) }

    mutating func append(_ item: HistoryItem) {
        if items.count < HistoryStore.recentLimit {
            items.append(item)
        } else {
            items[start] = item
            start = (start + 1) % items.count
        }
    }

    /// What was read from disk, newest first, laid under what came meanwhile.
    mutating func fill(_ found: [HistoryItem]) {
        guard !isWhole else { return }
        isWhole = true
        let known = Set(newestFirst.map(Self.key))
        let older = found.filter { !known.contains(Self.key($0)) }
        items = Array((newestFirst + older).prefix(HistoryStore.recentLimit).reversed())
        start = 0
    }

    private static func key(_ item: HistoryItem) -> String {
        switch item {
        case .run(let run): run.id.description
        case .message(let accepted):
            "\(accepted.message.namespace)/\(accepted.message.source)/\(accepted.message.id)/\(accepted.acceptedAt.milliseconds)"
        }
    }
}

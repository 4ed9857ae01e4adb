import Foundation
import Operator
import Primitives
import Synchronization

/// What became of the messages that a demo sends: each that was acknowledged is followed until its runs have ended.
final class DemoTally: Sendable {
    /// Runs that are followed at once; more are counted, and not followed.
    static let limit = 20_000

    struct Run {
        var id: String
        var since: ContinuousClock.Instant
        /// When the leader first said that there is no such run; nil while it has one.
        var missingSince: ContinuousClock.Instant?
        var isHeld = false
    }

    private struct Inner {
        var made = 0
        var accepted = 0
        var unmatched = 0
        var refused = 0
        var resent = 0
        var begun = 0
        var unfollowed = 0
        var succeeded = 0
        var failed = 0
        var lost: [String] = []
        var open: [String: Run] = [:]
        /// Of the feed: why the last request was not answered.
        var trouble: String?
    }

    private let inner = Mutex(Inner())

    // MARK: The feed's side

    func made(_ count: Int) { inner.withLock { $0.made += count } }
    func resent(_ count: Int) { inner.withLock { $0.resent += count } }
    func failed(_ why: String?) { inner.withLock { $0.trouble = why } }

    /// - Returns: whether it needs to be sent no more.
    func take(_ answer: Value) -> Bool {
        let status = answer["status"]?.int ?? 0
        return inner.withLock { inner in
            switch status {
            case 202:
                inner.accepted += 1
                for run in answer["runs"]?.list ?? [] {
                    guard let id = run.string, inner.open[id] == nil else { continue }
                    inner.begun += 1
                    if inner.open.count < Self.limit { inner.open[id] = Run(id: id, since: .now) } else { inner.unfollowed += 1 }
                }
            case 200: inner.unmatched += 1
            case 400..<500 where status != 429: inner.refused += 1
            default: return false
            }
            return true
        }
    }

    // MARK: The watch's side

    /// Those that have been open for so long, the oldest first.
    func open(for age: Duration, limit: Int) -> [String] {
        inner.withLock { inner in
            Array(inner.open.values.filter { $0.since + age < .now && !$0.isHeld }.sorted { $0.since < $1.since }.prefix(limit).map(\.id))
        }
    }

    var openIDs: [String] { inner.withLock { Array($0.open.keys) } }

    func saw(_ run: Value) {
        guard let id = run["id"]?.string, let state = run["state"]?.string else { return }
        inner.withLock { inner in
            guard inner.open[id] != nil else { return }
            inner.open[id]?.missingSince = nil
            switch state {
            case "running": inner.open[id]?.isHeld = false
            case "held": inner.open[id]?.isHeld = true
            case "succeeded":
                inner.open[id] = nil
                inner.succeeded += 1
            default:
                inner.open[id] = nil
                inner.failed += 1
            }
        }
    }

    /// The leader has no such run. One that has just begun to lead may still be fetching what others keep of it, so that it is asked again for a while.
    func missed(_ id: String, patience: Duration) {
        inner.withLock { inner in
            guard let run = inner.open[id] else { return }
            guard let since = run.missingSince, since + patience < .now else {
                inner.open[id]?.missingSince = run.missingSince ?? .now
                return
            }
            inner.open[id] = nil
            inner.lost.append(id)
        }
    }

    // MARK: What there is to tell

    var openCount: Int { inner.withLock { $0.open.values.count { !$0.isHeld } } }
    var lostCount: Int { inner.withLock { $0.lost.count } }

    var value: Value {
        inner.withLock { inner in
            let held = inner.open.values.count(where: \.isHeld)
            return .object([
                "made": Value(inner.made), "accepted": Value(inner.accepted), "unmatched": Value(inner.unmatched),
                "refused": Value(inner.refused),
                "resent": Value(inner.resent), "runs": Value(inner.begun), "succeeded": Value(inner.succeeded),
                "failed": Value(inner.failed),
                "open": Value(inner.open.count - held), "held": Value(held), "unfollowed": Value(inner.unfollowed),
                "lost": Value(inner.lost.count), "lostRuns": .list(inner.lost.prefix(20).map(Value.string)),
                "trouble": inner.trouble.map(Value.string),
            ])
        }
    }
}

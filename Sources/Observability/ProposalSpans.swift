package import Primitives
import Synchronization

/// The trace of something that is proposed: of the span that waits for it, and since when.
package struct ProposalTrace: Equatable, Sendable {
    package var context: TraceContext
    package var began: Instant

    package init(context: TraceContext, began: Instant) { (self.context, self.began) = (context, began) }

    /// Nil where the trace is not recorded.
    package init?(_ span: OpenSpan) {
        guard span.context.isSampled else { return nil }
        self.init(context: span.context, began: span.started)
    }
}

/// Where the time of a traced proposal goes, as children of the span that waits for it:
///
///     raft.queue      until the leader's log has it
///     raft.append     until it is durable on the leader's disk
///     raft.replicate  at the same time: until so many others have it as make a majority with the leader; none where it is alone
///     raft.commit     from the later of the two until it is committed
///     raft.apply      until it is applied, and whoever waits is answered
///
/// Whoever handles proposals asks `isWatching` first, which is false while no proposal that is recorded is under way.
package final class ProposalSpans: Sendable {
    private struct Watched {
        var trace: ProposalTrace
        var index: LogIndex
        var taken: Instant
        var durable: Instant?
        var replicated: Instant?
        var committed: Instant?
    }

    /// Proposals that are watched at once; of more there are no stages.
    private static let limit = 256

    private let store: SpanStore
    private let count = Atomic<Int>(0)
    private let watched = Mutex<[Watched]>([])

    package init(_ store: SpanStore) { self.store = store }

    @inline(__always)
    package var isWatching: Bool { count.load(ordering: .relaxed) > 0 }

    /// What is about to be put into the log.
    ///
    /// - Parameters:
    ///   - traced: by the token that each is answered under.
    ///   - answers: at which entry each token is.
    ///   - first: the first entry that is proposed; what is answered by one before it was there already.
    package func take(_ traced: [(token: Int, trace: ProposalTrace)], at answers: [(index: LogIndex, token: Int)], from first: LogIndex) {
        let now = store.clock.now
        change { watched in
            for item in traced {
                guard watched.count < Self.limit, let index = answers.first(where: { $0.token == item.token })?.index, index >= first else {
                    continue
                }
                watched.append(Watched(trace: item.trace, index: index, taken: now))
            }
        }
    }

    /// The log did not take them: they are proposed anew, or refused.
    package func drop(from index: LogIndex) { change { $0.removeAll { $0.index >= index } } }

    /// How far the leader's log is.
    ///
    /// - Parameter replicated: what so many others have as make a majority with the leader; nil where it is alone.
    package func see(durable: LogIndex, replicated: LogIndex?, committed: LogIndex) {
        let now = store.clock.now
        change { watched in
            for place in watched.indices {
                let index = watched[place].index
                if watched[place].durable == nil, index <= durable { watched[place].durable = now }
                if watched[place].replicated == nil, let replicated, index <= replicated { watched[place].replicated = now }
                if watched[place].committed == nil, index <= committed { watched[place].committed = now }
            }
        }
    }

    /// What is applied and answered.
    package func applied(through index: LogIndex) {
        let done = change { watched -> [Watched] in
            defer { watched.removeAll { $0.index <= index } }
            return watched.filter { $0.index <= index }
        }
        guard !done.isEmpty else { return }
        let now = store.clock.now
        for item in done { record(item, ended: now, error: nil) }
    }

    /// What becomes of the rest is not known here any more.
    package func abandon(_ reason: String) {
        let left = change { watched -> [Watched] in
            defer { watched = [] }
            return watched
        }
        let now = store.clock.now
        for item in left { record(item, ended: now, error: reason) }
    }

    private func change<T>(_ body: (inout [Watched]) -> T) -> T {
        watched.withLock { watched in
            defer { count.store(watched.count, ordering: .relaxed) }
            return body(&watched)
        }
    }

    // MARK: Recording

    /// The stage in which it ended fails with it.
    private func record(_ item: Watched, ended: Instant, error: String?) {
        span("raft.queue", item, item.trace.began, item.taken, nil)
        let durable = item.durable ?? item.committed
        span("raft.append", item, item.taken, durable ?? ended, durable == nil ? error : nil)
        if let replicated = item.replicated { span("raft.replicate", item, item.taken, replicated, nil) }
        guard let durable else { return }
        let ready = max(durable, item.replicated ?? durable)
        span("raft.commit", item, ready, item.committed ?? ended, item.committed == nil ? error : nil)
        if let committed = item.committed { span("raft.apply", item, committed, ended, error) }
    }

    private func span(_ name: String, _ item: Watched, _ from: Instant, _ to: Instant, _ error: String?) {
        let ago = max(0, store.clock.now.nanoseconds - from.nanoseconds)
        let wall = store.clock.wallNanoseconds
        let started = wall - min(wall, UInt64(ago))
        store.finish(
            Span(
                context: item.trace.context.child(span: store.newSpanID()), parent: item.trace.context.span, name: name,
                service: "coordinator", node: store.node, start: ClusterTime(milliseconds: started / 1_000_000),
                nanoseconds: UInt32(started % 1_000_000), duration: .nanoseconds(max(0, to.nanoseconds - from.nanoseconds)), error: error,
                attributes: Fields([.init("index", Value(item.index.number))])))
    }
}

package import Primitives
import Synchronization

/// Something that happened to the cluster, numbered per node.
package struct Event: Equatable, Sendable {
    package enum Severity: String, Sendable { case info, warning, error }

    /// What an event belongs to.
    package struct Origin: Equatable, Sendable {
        /// That of the run; what is about no run is of `default`.
        package var namespace: Namespace
        /// The entry of the log that it came with: its order in the cluster. Nil for what only this node knows.
        package var index: LogIndex?
        /// About a run that an event began: no message is made of it, or a failing rule would feed itself.
        package var isEcho: Bool

        package init(namespace: Namespace = .default, index: LogIndex? = nil, isEcho: Bool = false) {
            self.namespace = namespace
            self.index = index
            self.isEcho = isEcho
        }
    }

    package var seq: UInt64
    package var node: NodeID
    package var time: ClusterTime
    /// `node.started`, `catalog.changed`, `task.failed`, ...
    package var kind: String
    /// What it is about: a run, a task, a rule set.
    package var subject: String
    package var severity: Severity
    package var text: String
    package var data: Value
    package var origin = Origin()

    package var value: Value {
        .object([
            "seq": Value(seq), "node": .string(node.text), "time": .string(time.rfc3339), "kind": .string(kind),
            "subject": .string(subject),
            "severity": .string(severity.rawValue), "text": .string(text), "data": data,
            "namespace": .string(origin.namespace.text), "index": origin.index.map { Value($0.number) },
        ])
    }
}

/// The last events of a node, and whoever follows them. What a slow follower missed, it can ask for again by number while the
/// ring still holds it.
package final class EventRing: Sendable {
    package static let retained = 8192
    private static let followerBuffer = 1024
    package static let followerLimit = 256

    private struct State {
        var events: [Event] = []
        var start = 0
        var next: UInt64
        var followers: [Int: AsyncStream<Event>.Continuation] = [:]
        var nextFollower = 0
        var isClosed = false
    }

    private let node: NodeID
    private let clock: any NodeClock
    private let state: Mutex<State>
    /// The number that this process began with.
    package let first: UInt64
    package let dropped = Counter()

    /// - Parameter first: the number of the first event; above every number that this node gave before.
    package init(node: NodeID, clock: any NodeClock, first: UInt64) {
        self.node = node
        self.clock = clock
        self.first = max(1, first)
        state = Mutex(State(next: max(1, first)))
    }

    package func emit(
        _ kind: String, subject: String, severity: Event.Severity = .info, _ text: String, data: Value = .map(Fields()),
        origin: Event.Origin = Event.Origin()
    ) {
        let time = clock.wall
        state.withLock { state in
            let event = Event(
                seq: state.next, node: node, time: time, kind: kind, subject: subject, severity: severity, text: text, data: data,
                origin: origin)
            state.next += 1
            if state.events.count < Self.retained {
                state.events.append(event)
            } else {
                state.events[state.start] = event
                state.start = (state.start + 1) % Self.retained
            }
            for follower in state.followers.values {
                if case .dropped = follower.yield(event) { dropped.increment() }
            }
        }
    }

    /// Events numbered above `seq` that are still held, oldest first.
    package func events(after seq: UInt64, limit: Int = retained) -> [Event] {
        state.withLock { state in
            let ordered = state.events[state.start...] + state.events[..<state.start]
            return Array(ordered.drop { $0.seq <= seq }.prefix(limit))
        }
    }

    /// The newest events, oldest first.
    package func latest(_ count: Int) -> [Event] {
        state.withLock { state in Array((state.events[state.start...] + state.events[..<state.start]).suffix(count)) }
    }

    package var lastNumber: UInt64 { state.withLock { $0.next - 1 } }

    /// What is held above `seq`, then everything that comes; nil when too many follow already.
    package func follow(after seq: UInt64) -> AsyncStream<Event>? {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Event.self, bufferingPolicy: .bufferingOldest(Self.followerBuffer + Self.retained))
        let id: Int? = state.withLock { state in
            guard !state.isClosed, state.followers.count < Self.followerLimit else { return nil }
            for event in state.events[state.start...] + state.events[..<state.start] where event.seq > seq { continuation.yield(event) }
            state.nextFollower += 1
            state.followers[state.nextFollower] = continuation
            return state.nextFollower
        }
        guard let id else { return nil }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { _ = $0.followers.removeValue(forKey: id) } }
        return stream
    }

    /// Whether the node is stopping: who waits for something should not any longer.
    package var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Ends every follower's stream.
    package func close() {
        let followers = state.withLock { state in
            state.isClosed = true
            return Array(state.followers.values)
        }
        for follower in followers { follower.finish() }
    }
}

import Coordinator
import HTTPTypes
import Hummingbird
import NIOCore
import Observability
import Primitives
import Synchronization
import Text

/// Streams of changes: a list's window or one thing, sent when it changed, twice a second unless another pace is asked for. What is dear
/// to compute is computed more rarely, so that a stream takes about a quarter of a per cent of a core; but not more rarely than every four seconds.
struct Watching: Sendable {
    static let streamLimit = 256
    private static let interval = Duration.milliseconds(500)
    private static let leastInterval = Duration.milliseconds(100)
    private static let heartbeat = Duration.seconds(2)
    private static let costShare: Int64 = 400
    private static let longestRest = Duration.seconds(4)

    let info: NodeInfo

    private func pace(_ request: Request) throws -> Duration {
        guard let text = request.uri.queryParameters["every"] else { return Self.interval }
        guard let every = Duration(text: String(text)), every >= Self.leastInterval, every <= .seconds(60) else {
            throw Problem.badRequest("invalid_every", "every is a duration from 100ms to 60s")
        }
        return every
    }

    /// Sends what `next` makes, at `pace`, for as long as `holds`; nil sends nothing.
    func stream(
        _ request: Request, version: @escaping @Sendable () -> UInt64?, holds: @escaping @Sendable () -> Bool = { true },
        next: @escaping @Sendable () throws -> (String, [UInt8])?
    ) throws -> Response {
        let pace = try pace(request)
        guard info.watchers.enter() else { throw Problem.busy("\(Self.streamLimit) streams are open already") }
        let ticket = info.watchers.ticket()
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-cache"],
            body: .init { writer in
                defer {
                    ticket.close()
                    if info.watchers.isEmpty { info.openWork.forget() }
                }
                var turn = Turn(info: info, pace: pace)
                while !info.telemetry.events.isClosed, holds() {
                    if let text = try turn.text(version(), next) { try await writer.write(text) }
                    try await Task.sleep(for: turn.wait)
                }
                try await writer.finish(nil)
            })
    }

    /// What one stream sends when.
    private struct Turn {
        let info: NodeInfo
        let pace: Duration
        private(set) var wait: Duration
        private var lastVersion: UInt64?
        private var lastProblem: [UInt8]?
        private var lastSent: Instant
        private var due: Instant

        init(info: NodeInfo, pace: Duration) {
            self.info = info
            self.pace = pace
            wait = pace
            lastSent = info.telemetry.clock.now
            due = lastSent
        }

        mutating func text(_ version: UInt64?, _ next: () throws -> (String, [UInt8])?) throws -> ByteBuffer? {
            let clock = info.telemetry.clock
            wait = min(pace, Watching.heartbeat)
            if clock.now >= due, version == nil || version != lastVersion {
                lastVersion = version
                let began = clock.now
                let message = event(next)
                let cost = clock.now.duration(since: began)
                let rest = max(pace, min(Watching.longestRest, .nanoseconds(cost.nanoseconds * Watching.costShare)))
                due = began.advanced(by: rest)
                wait = min(Watching.heartbeat, rest)
                if let (name, bytes) = message {
                    var text = ByteBuffer(string: "event: \(name)\ndata: ")
                    text.writeBytes(bytes)
                    text.writeString("\n\n")
                    info.watchers.bytes.increment(by: text.readableBytes)
                    lastSent = clock.now
                    return text
                }
            }
            guard clock.now.duration(since: lastSent) >= Watching.heartbeat else { return nil }
            lastSent = clock.now
            return ByteBuffer(string: ":\n\n")
        }

        /// What there is to say; a problem is said once, until something else is.
        private mutating func event(_ next: () throws -> (String, [UInt8])?) -> (String, [UInt8])? {
            let problem: Problem
            do {
                let message = try next()
                lastProblem = nil
                return message
            } catch {
                problem = error as? Problem ?? .busy("\(error)")
            }
            let bytes = JSONWriter.bytes(problem.value)
            guard bytes != lastProblem else { return nil }
            lastProblem = bytes
            return ("problem", bytes)
        }
    }
}

/// How many streams are open, and what they sent.
package final class Watchers: Sendable {
    /// One open stream; closing twice is once.
    final class Ticket: Sendable {
        private let watchers: Watchers
        private let isOpen = Atomic<Bool>(true)

        init(_ watchers: Watchers) { self.watchers = watchers }
        deinit { close() }
        func close() { if isOpen.exchange(false, ordering: .relaxed) { watchers.leave() } }
    }

    private let open = Mutex<Int>(0)
    private let gauge: Gauge
    let refused: Counter
    let bytes: Counter

    init(_ metrics: MetricsRegistry) {
        gauge = metrics.gauge("distric_watch_streams", "Streams of changes that are open: consoles, shells, curl.")
        refused = metrics.counter("distric_watch_refused_total", "Streams refused because too many were open.")
        bytes = metrics.counter("distric_watch_bytes_total", "Bytes sent on streams of changes.")
    }

    func enter() -> Bool {
        let isIn = open.withLock { streams in
            guard streams < Watching.streamLimit else { return false }
            streams += 1
            gauge.set(streams)
            return true
        }
        if !isIn { refused.increment() }
        return isIn
    }

    func ticket() -> Ticket { Ticket(self) }

    var isEmpty: Bool { open.withLock { $0 == 0 } }

    fileprivate func leave() {
        open.withLock { streams in
            streams -= 1
            gauge.set(streams)
        }
    }
}

/// What a stream has told so far, so that only changes follow.
private final class Told: Sendable {
    private struct State {
        var rows: [String: [UInt8]] = [:]
        var prints: [String: UInt64] = [:]
        var order: [String]?
        var counts = (-1, -1)
        var last: [UInt8]?
    }

    private let state = Mutex(State())

    /// `{total, matched, offset, ids, rows}` as JSON, with only the rows that changed; nil when nothing did.
    func change(_ page: Page) -> [UInt8]? {
        state.withLock { state in
            let ids = page.rows.map(\.id)
            var changed: [[UInt8]] = []
            var next: [String: [UInt8]] = [:]
            var prints: [String: UInt64] = [:]
            for row in page.rows {
                prints[row.id] = row.fingerprint
                if let print = row.fingerprint, state.prints[row.id] == print, let known = state.rows[row.id] {
                    next[row.id] = known
                    continue
                }
                let bytes = JSONWriter.bytes(row.value())
                if state.rows[row.id] != bytes { changed.append(bytes) }
                next[row.id] = bytes
            }
            state.prints = prints
            let isSameOrder = state.order == ids
            guard !changed.isEmpty || !isSameOrder || state.counts != (page.total, page.matched) else { return nil }
            state.rows = next
            state.order = ids
            state.counts = (page.total, page.matched)
            let head = JSONWriter.bytes(
                .object([
                    "total": Value(page.total), "matched": Value(page.matched), "offset": Value(page.offset),
                    "ids": isSameOrder ? nil : .list(ids.map(Value.string)),
                ]))
            return head.dropLast() + Array(",\"rows\":[".utf8) + changed.joined(separator: [0x2C]) + Array("]}".utf8)
        }
    }

    /// One thing as JSON; nil when it is as before.
    func change(_ value: Value) -> [UInt8]? {
        let bytes = JSONWriter.bytes(value)
        return state.withLock { state in
            guard state.last != bytes else { return nil }
            state.last = bytes
            return bytes
        }
    }
}

extension NodeInfo {
    /// A window of a list, once or as a stream.
    ///
    /// - Parameters:
    ///   - also: what else there is to say of the list, where it is asked for once.
    ///   - holds: whether a stream still is what was asked for; it ends when not, and whoever listens asks again.
    func rows(
        _ request: Request, _ window: Window, _ source: some RowSource, also: Fields = Fields(),
        holds: @escaping @Sendable () -> Bool = { true }
    ) throws -> Response {
        // What cannot be answered is refused before a stream begins; the first look is the stream's first event, unless it is old by then.
        let (version, index) = (source.version, applied)
        let page = try source.page(window)
        guard request.isWatching else {
            let fields: [Fields.Member] = [
                .init("items", .list(page.rows.map { $0.value() })), .init("total", Value(page.total)),
                .init("matched", Value(page.matched)), .init("offset", Value(page.offset)), .init("next", .null),
                .init("appliedIndex", Value(index.number)),
            ]
            return .json(.map(Fields(fields + also.members)))
        }
        let (told, first) = (Told(), First(page))
        return try Watching(info: self).stream(request, version: { source.version }, holds: holds) {
            let page = first.take().flatMap { source.version == version ? $0 : nil }
            return try told.change(page ?? source.page(window)).map { ("rows", $0) }
        }
    }

    /// A small list.
    ///
    /// - Parameter version: changes when the list may have; nil when only making it tells.
    func rows(
        _ request: Request, _ columns: [String], id: String = "id", also: Fields = Fields(),
        version: @escaping @Sendable () -> UInt64? = { nil }, holds: @escaping @Sendable () -> Bool = { true },
        _ make: @escaping @Sendable () throws -> [Value]
    ) throws -> Response {
        let index = applied
        guard let window = try Window(request) else { return list(try make(), at: index, also: also) }
        return try rows(request, window, ValueRows(columns: columns, idKey: id, changes: version, make: make), also: also, holds: holds)
    }

    /// One thing, once or as a stream of its changes.
    func object(_ request: Request, _ make: @escaping @Sendable () throws -> Value) throws -> Response {
        let value = try make()
        guard request.isWatching else { return .json(value) }
        let (told, first) = (Told(), First(value))
        return try Watching(info: self).stream(request, version: { nil }) {
            told.change(try first.take() ?? make()).map { ("value", $0) }
        }
    }

    /// Lines as they come: `take` gives those after a number, how many are missed, and the new number.
    func lines(
        _ request: Request, after: UInt64, _ take: @escaping @Sendable (UInt64) throws -> (items: [Value], missed: Int, last: UInt64)
    ) throws -> Response {
        let place = LineCursor(after)
        return try Watching(info: self).stream(request, version: { nil }) {
            let (items, missed, last) = try take(place.number)
            guard last > place.number else { return nil }
            place.number = last
            guard !items.isEmpty || missed > 0 else { return nil }
            return ("lines", JSONWriter.bytes(["items": .list(items), "missed": Value(missed), "last": Value(last)]))
        }
    }
}

/// What was made to see whether it can be: used once, not made twice.
private final class First<Made: Sendable>: Sendable {
    private let made: Mutex<Made?>
    init(_ made: Made) { self.made = Mutex(made) }

    func take() -> Made? {
        made.withLock { made in
            defer { made = nil }
            return made
        }
    }
}

/// Where a stream of lines is.
private final class LineCursor: Sendable {
    private let place: Mutex<UInt64>
    init(_ number: UInt64) { place = Mutex(number) }
    var number: UInt64 {
        get { place.withLock { $0 } }
        set { place.withLock { $0 = newValue } }
    }
}

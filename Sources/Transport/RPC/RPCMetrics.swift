import Observability
import Primitives
import Synchronization
import Wire

/// What is counted of one side's calls, by method.
package struct RPCMetrics: Sendable {
    /// Of one message type. Successes are counted where they happen; of failures a counter is made with the first.
    struct Method: Sendable {
        let name: String
        let succeeded: Counter
        let duration: Histogram
    }

    private let metrics: MetricsRegistry
    private let side: String
    private let methods: [UInt16: Method]
    private let other: Method
    private let failures = KnownFailures()
    let bytesIn: Counter
    let bytesOut: Counter
    let connections: Gauge
    let inFlight: Gauge

    /// - Parameter side: `server` or `client`.
    init(_ metrics: MetricsRegistry, side: String) {
        self.metrics = metrics
        self.side = side
        func method(_ name: String) -> Method {
            Method(
                name: name,
                succeeded: metrics.counter(
                    "distric_rpc_calls_total", "Calls by side, method and how they ended.",
                    labels: [("side", side), ("method", name), ("code", "ok")]),
                duration: metrics.histogram(
                    "distric_rpc_call_duration_seconds", "How long calls took, as each side saw it.",
                    labels: [("side", side), ("method", name)], scale: .latency))
        }
        methods = Dictionary(uniqueKeysWithValues: RPCMetrics.called.map { ($0.number, method($0.description)) })
        other = method("other")
        bytesIn = metrics.counter("distric_rpc_bytes_total", "Bytes of calls, by side and direction.", ["side": side, "direction": "in"])
        bytesOut = metrics.counter("distric_rpc_bytes_total", "Bytes of calls, by side and direction.", ["side": side, "direction": "out"])
        connections = metrics.gauge("distric_rpc_connections", "Open connections for calls.", ["side": side])
        inFlight = metrics.gauge("distric_rpc_calls_in_flight", "Calls that wait for their answer.", ["side": side])
        // So that it is there before the first.
        _ = cutCounter("idle")
    }

    /// Types of frames that are calls.
    private static let called: [MessageType] = [
        .requestVote, .appendEntries, .installSnapshot, .preVote, .readIndex, .propose, .changeMembers, .historyRead, .ping, .pushPull,
        .taskAssignment, .taskCancel, .taskLog, .leaseRenew, .clientSubmit, .clientQuery, .forward,
    ]

    func method(_ type: MessageType) -> Method { methods[type.number] ?? other }

    func failed(_ method: Method, _ code: CallError.Code) {
        // Under overload most calls end here: to look a counter up by its labels costs more than to refuse the call.
        failures.counter(method.name, code) {
            metrics.counter(
                "distric_rpc_calls_total", "Calls by side, method and how they ended.",
                labels: [("side", side), ("method", method.name), ("code", code.name)])
        }.increment()
    }

    /// A connection that was refused or cut, and why.
    func cut(_ reason: String) { cutCounter(reason).increment() }

    private func cutCounter(_ reason: String) -> Counter {
        metrics.counter(
            "distric_rpc_connections_cut_total", "Connections that were refused or cut, by side and reason.",
            labels: [("side", side), ("reason", reason)])
    }
}

/// Counters of calls that failed, each from its first failure on: methods times codes of them at most.
private final class KnownFailures: Sendable {
    private struct Key: Hashable {
        var method: String
        var code: CallError.Code
    }

    private let counters = Mutex<[Key: Counter]>([:])

    func counter(_ method: String, _ code: CallError.Code, make: () -> Counter) -> Counter {
        let key = Key(method: method, code: code)
        if let known = counters.withLock({ $0[key] }) { return known }
        let made = make()
        counters.withLock { $0[key] = made }
        return made
    }
}

/// Says once a second at most, for each reason, what goes on; and how often it was not said.
final class RareLog: Sendable {
    private struct Said {
        var at: Instant
        var suppressed = 0
    }

    private let telemetry: Telemetry
    private let label: String
    private let said = Mutex<[String: Said]>([:])

    init(_ telemetry: Telemetry, _ label: String) {
        self.telemetry = telemetry
        self.label = label
    }

    /// - Parameter reason: one of a few words.
    func warn(_ reason: String, _ text: @autoclosure () -> String) {
        let now = telemetry.clock.coarseNow
        let suppressed: Int? = said.withLock { said in
            guard let last = said[reason] else {
                said[reason] = Said(at: now)
                return 0
            }
            guard now.duration(since: last.at) >= .seconds(1) else {
                said[reason]?.suppressed += 1
                return nil
            }
            said[reason] = Said(at: now)
            return last.suppressed
        }
        guard let suppressed else { return }
        telemetry.warn(label, text(), ["reason": reason, "suppressed": "\(suppressed)"])
    }
}

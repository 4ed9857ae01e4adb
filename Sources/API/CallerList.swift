import Primitives
import Synchronization
package import Transport
import Wire

/// Who is connected for calls, once the node's server for them is there.
package final class CallerList: Sendable {
    /// A closure that lies in a lock by itself is wrapped once more each time that it is looked at.
    private struct Source: Sendable {
        var callers: @Sendable () -> [RPCCaller] = { [] }
    }

    private let source = Mutex(Source())

    package func connect(_ callers: @escaping @Sendable () -> [RPCCaller]) { source.withLock { $0.callers = callers } }

    var rows: [Value] {
        let callers = source.withLock { $0.callers }()
        return callers.sorted { bytesPrecede($0.remote, $1.remote) }.map { caller in
            .object([
                "id": .string(caller.remote), "node": Value(caller.node?.text), "identity": Value(caller.identity),
                "software": .string(caller.software), "protocol": Value(caller.version?.description), "calls": Value(caller.calls),
                "idleMs": .int(caller.idle.milliseconds),
            ])
        }
    }
}

import Primitives
import Synchronization
package import Transport
import Wire

/// Who is connected for calls, once the node's server for them is there.
package final class CallerList: Sendable {
    private let source = Mutex<(@Sendable () -> [RPCCaller])?>(nil)

    package func connect(_ callers: @escaping @Sendable () -> [RPCCaller]) { source.withLock { $0 = callers } }

    var rows: [Value] {
        let callers = source.withLock { $0 }?() ?? []
        return callers.sorted { bytesPrecede($0.remote, $1.remote) }.map { caller in
            .object([
                "id": .string(caller.remote), "node": Value(caller.node?.text), "identity": Value(caller.identity),
                "software": .string(caller.software), "protocol": Value(caller.version?.description), "calls": Value(caller.calls),
                "idleMs": .int(caller.idle.milliseconds),
            ])
        }
    }
}

package import Cluster
package import Primitives
package import Transport
import Wire

extension CallDoor {
    /// What a node answers to calls of programs while it has no cluster: pings, and to the rest for what it waits.
    package static func waiting(
        _ node: NodeID, clock: any NodeClock, _ waiting: @escaping @Sendable () -> ClusterWait
    ) -> RPCHandlers {
        var handlers = RPCHandlers()
        handlers.immediate(Ping.self) { ping, _ throws(CallError) in
            if let target = ping.target, target != node { throw CallError(.notFound, "this is node '\(node)', not '\(target)'") }
            return Ack(sequence: ping.sequence, from: node, padding: ping.padding, time: clock.wall)
        }
        handlers.task(ClientSubmit.self) { _, _ throws(CallError) in throw refusal(waiting()) }
        handlers.task(ClientQuery.self) { _, _ throws(CallError) in throw refusal(waiting()) }
        return handlers
    }

    private static func refusal(_ wait: ClusterWait) -> CallError {
        CallError(.busy, "this node has no cluster yet: \(wait.detail)", retryAfter: .seconds(1))
    }
}

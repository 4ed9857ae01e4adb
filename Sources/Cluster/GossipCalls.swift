import Observability
import Primitives
package import Transport
package import Wire

/// What other members are answered over connections.
extension GossipDriver {
    package func add(to handlers: inout RPCHandlers) {
        add(to: &handlers, refusal: { _ in nil }) { _, _ throws(CallError) in
            throw CallError(.invalid, "an exchange without an epoch is none of gossip")
        }
    }

    /// - Parameters:
    ///   - refusal: what is against a node that would gossip.
    ///   - plain: answers those who only say who is where.
    package func add(
        to handlers: inout RPCHandlers, refusal: @escaping @Sendable (Hello) -> String?,
        plain: @escaping @Sendable (PushPull, Hello) throws(CallError) -> PushPull
    ) {
        let (node, clock) = (around.node, around.telemetry.clock)
        handlers.immediate(Ping.self) { [weak self] ping, _ throws(CallError) in
            if let target = ping.target, target != node { throw CallError(.notFound, "this is node '\(node)', not '\(target)'") }
            var ack = Ack(sequence: ping.sequence, from: node, padding: ping.padding, time: clock.wall)
            ack.epoch = self?.epoch
            return ack
        }
        handlers.task(PushPull.self) { [weak self] call, context async throws(CallError) in
            guard call.epoch != nil || call.sealed != nil else { return try plain(call, context.peer.hello) }
            if let refusal = refusal(context.peer.hello) { throw CallError(.denied, refusal) }
            guard let self else { throw CallError(.unavailable, "node '\(node)' stops") }
            return try await answer(call, from: context.peer.hello)
        }
    }
}

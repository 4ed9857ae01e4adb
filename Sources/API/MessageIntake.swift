import Coordinator
import Observability
import Primitives

/// What holds for messages however they come, by HTTP or by calls.
extension NodeInfo {
    /// Why no more messages are taken now, counted as one that came; nil while they are. Asked before a byte of them is read: what is refused is to cost little.
    func refuseExcess() -> String? {
        guard let why = coordinator.intake.gate.refusal() else { return nil }
        coordinator.metrics.received.increment()
        coordinator.metrics.refused.increment()
        return why
    }

    /// Whether messages are matched here and go to the leader, another node, in batches of their own.
    var passesMessagesOn: Bool {
        guard let leader = consensus.leader, leader != node else { return false }
        return coordinator.forwarder.takes(for: leader)
    }
}

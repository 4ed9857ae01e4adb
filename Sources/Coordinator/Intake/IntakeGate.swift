import Observability
import Primitives
import Synchronization

/// The door of the intake: refuses early what would only wait, so that what is let in is done in time.
package final class IntakeGate: Sendable {
    private struct State {
        var load: IntakeLoad
        /// When something was refused last.
        var shedAt: Instant?
        var held = 0
    }

    /// One episode of refusing is told once.
    private static let calm = Duration.seconds(10)
    /// Of the node's health.
    private static let part = "intake"
    /// Who comes again at once costs more than one who is answered a little later.
    private static let hold = Duration.milliseconds(50)
    private static let heldAtOnce = 4096

    private let state: Mutex<State>
    private let telemetry: Telemetry
    private let tooMany: Counter
    private let tooLarge: Counter
    private let tooLate: Counter
    private let tooManyRuns: Counter

    init(_ limits: IntakeLoad.Limits, telemetry: Telemetry) {
        self.telemetry = telemetry
        state = Mutex(State(load: IntakeLoad(limits)))
        let metrics = telemetry.metrics
        func shed(_ reason: String) -> Counter {
            metrics.counter(
                "distric_intake_shed_total", "Messages refused at the door, since too many were being taken.", ["reason": reason])
        }
        tooMany = shed("messages")
        tooLarge = shed("bytes")
        tooLate = shed("delay")
        tooManyRuns = shed("open_runs")
        metrics.computed(.gauge, "distric_intake_waiting", "Messages that are being taken, and are not answered yet.") { [weak self] in
            Double(self?.state.withLock { $0.load.messages } ?? 0)
        }
        metrics.computed(.gauge, "distric_intake_waiting_bytes", "Bytes of messages that are being taken.") { [weak self] in
            Double(self?.state.withLock { $0.load.bytes } ?? 0)
        }
    }

    /// Why one more message would be refused; nil when it would not. Asked before anything is read of it.
    package func refusal() -> String? {
        let now = telemetry.clock.now
        let refusal = state.withLock { $0.load.refusal(1, bytes: 0, now: now) }
        return refusal.map { note($0, 1, now) }
    }

    /// Lets messages in, or says why not.
    ///
    /// - Parameter isForwarded: another coordinator has let them in already.
    func enter(_ count: Int, bytes: Int, isForwarded: Bool = false) -> Result<IntakeLoad.Ticket, Shed> {
        let now = telemetry.clock.now
        return state.withLock { state -> Result<IntakeLoad.Ticket, IntakeLoad.Refusal> in
            if let refusal = state.load.refusal(count, bytes: bytes, now: now, isForwarded: isForwarded) { return .failure(refusal) }
            return .success(state.load.enter(count, bytes: bytes, now: now))
        }
        .mapError { Shed(text: note($0, count, now)) }
    }

    struct Shed: Error { var text: String }

    func leave(_ ticket: IntakeLoad.Ticket, answered: Int) {
        let now = telemetry.clock.now
        state.withLock { $0.load.leave(ticket, answered: answered, now: now) }
    }

    /// Holds an answer that refuses for a moment: a client that asks again without waiting takes the processor from those that were let in.
    package func holdRefusal() async {
        let isHeld = state.withLock { state in
            guard state.held < Self.heldAtOnce else { return false }
            state.held += 1
            return true
        }
        guard isHeld else { return }
        try? await Task.sleep(for: Self.hold)
        state.withLock { $0.held -= 1 }
    }

    /// One message that would have begun a run was refused, since as many are open as may be.
    func noteFull(_ why: String) {
        tooManyRuns.increment()
        tell(why, telemetry.clock.now)
    }

    /// Called once a second: for as long as something was refused lately, the node is not as it should be.
    func sample() {
        let now = telemetry.clock.now
        let isCalm = state.withLock { $0.shedAt.map { now.duration(since: $0) >= Self.calm } ?? true }
        if isCalm { telemetry.health.set(Self.part, .up) }
    }

    private func tell(_ why: String, _ now: Instant) {
        let isNew = state.withLock { state in
            defer { state.shedAt = now }
            return state.shedAt.map { now.duration(since: $0) >= Self.calm } ?? true
        }
        guard isNew else { return }
        telemetry.health.set(Self.part, .degraded, reason: "messages are refused: \(why)")
        telemetry.events.emit("intake.shedding", subject: telemetry.node.text, severity: .warning, "messages are refused: \(why)")
    }

    private func note(_ refusal: IntakeLoad.Refusal, _ count: Int, _ now: Instant) -> String {
        let why: String
        switch refusal {
        case .messages(let waiting):
            tooMany.increment(by: count)
            why = "\(waiting) messages are being taken, and no more may be at once (intake.max_waiting)"
        case .bytes(let bytes):
            tooLarge.increment(by: count)
            why = "\(bytes) bytes of messages are being taken, and no more may be at once (intake.max_waiting_bytes)"
        case .delay(let age):
            tooLate.increment(by: count)
            why = "messages come faster than they are done, and the oldest has waited for \(age.milliseconds) ms (intake.max_delay)"
        }
        tell(why, now)
        return "\(why); send it again in a second, or through another coordinator"
    }
}

package import Observability
package import Primitives

/// Makes messages of the node's events, so that rules can act on what happens in the cluster itself.
///
/// What a run does that such a message began comes to no rule, and no client may use the source: an event never leads to itself.
package struct EventMessages: Sendable {
    /// Seconds at the full rate that may come at once.
    private static let burst = 10.0

    private let perSecond: Double
    private var allowance: Double
    private var countedAt: Instant
    /// Events that a rule waited for and that came too fast, since the last message.
    private var missed = 0

    package init(perSecond: Int, now: Instant) {
        self.perSecond = Double(perSecond)
        allowance = self.perSecond * Self.burst
        countedAt = now
    }

    /// Type `distric.KIND`, id `distric-NODE-SEQ`, the event's subject, time and namespace, and the rest of it as data. Nil for what a run did
    /// that an event began.
    package static func message(of event: Event) -> Message? {
        guard !event.origin.isEcho else { return nil }
        return Message(
            id: "distric-\(event.node)-\(event.seq)", source: Message.eventSource,
            type: "\(Message.eventSource).\(event.kind)", time: event.time.rfc3339,
            subject: event.subject, namespace: event.origin.namespace,
            data: .object([
                "node": .string(event.node.text), "seq": Value(event.seq), "index": event.origin.index.map { Value($0.number) },
                "severity": .string(event.severity.rawValue), "text": .string(event.text), "details": event.data,
            ]))
    }

    /// The message as it may be sent now; nil while too many come, which the next one tells of in `data.missed`.
    package mutating func admitted(_ message: Message, at now: Instant) -> Message? {
        allowance = min(perSecond * Self.burst, allowance + now.duration(since: countedAt).seconds * perSecond)
        countedAt = now
        guard allowance >= 1 else {
            missed += 1
            return nil
        }
        allowance -= 1
        guard missed > 0, case .map(var fields) = message.data else { return message }
        fields["missed"] = Value(missed)
        missed = 0
        var message = message
        message.data = .map(fields)
        return message
    }
}

/// Follows the events and submits what rules wait for.
package struct EventIntake: Sendable {
    /// A message that the node is too busy for is tried so often, after 50 ms, then twice as long each time.
    private static let attempts = 8

    private let intake: Intake
    private let telemetry: Telemetry
    private let perSecond: Int
    private let submitted: Counter
    private let tooMany: Counter
    private let refused: Counter

    /// - Parameter perSecond: messages that may be made of events, on average; ten times as many at once.
    package init(intake: Intake, telemetry: Telemetry, perSecond: Int) {
        (self.intake, self.telemetry, self.perSecond) = (intake, telemetry, perSecond)
        submitted = telemetry.metrics.counter("distric_event_messages_total", "Messages made of events, since a rule waited for them.")
        func dropped(_ reason: String) -> Counter {
            telemetry.metrics.counter(
                "distric_event_messages_dropped_total", "Events that a rule waited for and that became no message.", ["reason": reason])
        }
        (tooMany, refused) = (dropped("rate"), dropped("busy"))
    }

    /// Until the events end or the task is cancelled.
    @concurrent
    package func run() async {
        guard let events = telemetry.events.follow(after: telemetry.events.first - 1) else { return }
        var messages = EventMessages(perSecond: perSecond, now: telemetry.clock.now)
        for await event in events {
            guard let message = EventMessages.message(of: event), intake.isWanted(message) else { continue }
            guard let admitted = messages.admitted(message, at: telemetry.clock.now) else {
                tooMany.increment()
                continue
            }
            await (submit(admitted) ? submitted : refused).increment()
        }
    }

    private func submit(_ message: Message) async -> Bool {
        for attempt in 0..<Self.attempts {
            switch await intake.submit(own: message) {
            case .accepted, .unmatched: return true
            case .busy, .full, .uncertain:
                guard (try? await Task.sleep(for: .milliseconds(50 << attempt))) != nil else { return false }
            }
        }
        telemetry.warn("intake", "an event became no message, the node was too busy", ["id": message.id, "type": message.type])
        return false
    }
}

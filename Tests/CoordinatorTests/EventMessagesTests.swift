import Observability
import Primitives
import Testing

@testable import Coordinator

/// Events as messages (EventMessages.swift): what they say, which are none, and how many may come.
struct EventMessagesTests {
    private func event(_ origin: Observability.Event.Origin = .init()) throws -> Observability.Event {
        let ring = EventRing(node: try NodeID("c-1"), clock: SystemClock(), first: 7)
        ring.emit("run.failed", subject: "r-1", severity: .error, "it failed", data: ["workflow": "pay"], origin: origin)
        return try #require(ring.latest(1).first)
    }

    @Test func `an event is a message of its node, kind, subject, time and namespace`() throws {
        let team = try Namespace("team")
        let event = try event(.init(namespace: team, index: LogIndex(42)))
        let message = EventMessages.message(of: event)
        let expected = Message(
            id: "distric-c-1-7", source: "distric", type: "distric.run.failed", time: event.time.rfc3339, subject: "r-1",
            namespace: team,
            data: [
                "node": "c-1", "seq": 7, "index": 42, "severity": "error", "text": "it failed", "details": ["workflow": "pay"],
            ])
        #expect(message == expected)
    }

    @Test func `what only this node knows has no place in the log`() throws {
        let message = try #require(EventMessages.message(of: try event()))
        #expect(message.data["index"] == Value?.none)
        #expect(message.namespace == .default)
    }

    @Test func `what an event led to leads to nothing`() throws {
        let echo = EventMessages.message(of: try event(.init(isEcho: true)))
        #expect(echo == nil)
    }

    @Test func `the source tells what an event began`() {
        func began(_ source: String) -> Bool { Message(id: "1", source: source, type: "t", data: nil).isEvent }
        #expect(began("distric"))
        #expect(["", "Distric", "distric/", "/distric", "http"].allSatisfy { !began($0) })
    }

    @Test func `ten seconds' worth may come at once, then so many a second, and the next says how many were left out`() throws {
        let clock = Instant(nanoseconds: 0)
        var messages = EventMessages(perSecond: 2, now: clock)
        let message = try #require(EventMessages.message(of: try event()))
        let admitted = (0..<25).compactMap { _ in messages.admitted(message, at: clock) }
        #expect(admitted == Array(repeating: message, count: 20))
        let early = messages.admitted(message, at: clock.advanced(by: .milliseconds(499)))
        #expect(early == nil)
        let next = messages.admitted(message, at: clock.advanced(by: .milliseconds(501)))
        #expect(next?.data["missed"] == 6)
        let another = messages.admitted(message, at: clock.advanced(by: .milliseconds(1002)))
        #expect(another == message)
        let afterRest = (0..<25).compactMap { _ in messages.admitted(message, at: clock.advanced(by: .seconds(3600))) }
        #expect(afterRest.count == 20)
    }
}

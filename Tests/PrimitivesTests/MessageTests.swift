import Testing

@testable import Primitives

/// CloudEvents 1.0 section 3.
struct MessageTests {
    private let message = Message(
        id: "1", source: "/shop", type: "order.placed", time: "2026-11-23T14:32:07Z", subject: "o-7",
        extensions: Fields([.init("region", "eu")]), data: ["total": 12])

    @Test func `an attribute, an extension or the data is found by name`() {
        #expect(message[attribute: "id"] == Value.string("1"))
        #expect(message[attribute: "source"] == Value.string("/shop"))
        #expect(message[attribute: "type"] == Value.string("order.placed"))
        #expect(message[attribute: "time"] == Value.string("2026-11-23T14:32:07Z"))
        #expect(message[attribute: "subject"] == Value.string("o-7"))
        #expect(message[attribute: "region"] == Value.string("eu"))
        #expect(message[attribute: "data"]?["total"] == Value.int(12))
    }

    @Test func `what a message does not say is absent`() {
        let bare = Message(id: "1", source: "s", type: "t", data: .null)
        for name in ["time", "subject", "region"] { #expect(bare[attribute: name].map(\.kind) == nil, "\(name)") }
        #expect(bare[attribute: "data"] == Value.null)
        #expect(bare.namespace == Namespace.default)
        #expect(bare.value.map?.members.map(\.key) == ["id", "source", "type", "data"])
    }

    @Test func `the value holds every attribute in order, data last`() {
        #expect(message.value.map?.members.map(\.key) == ["id", "source", "type", "time", "subject", "region", "data"])
    }
}

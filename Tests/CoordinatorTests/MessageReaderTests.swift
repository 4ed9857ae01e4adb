import Primitives
import Testing

@testable import Coordinator

/// Rules and workflows, "Messages"; CloudEvents 1.0, JSON event format.
struct MessageReaderTests {
    private let reader = MessageReader()

    private func read(_ text: String, namespace: Namespace = .default) throws -> Message {
        try reader.read(Array(text.utf8), namespace: namespace, client: "client-1", makeID: { "made" })
    }

    private func problem(_ text: String, namespace: Namespace = .default) -> MessageProblem? {
        do {
            _ = try read(text, namespace: namespace)
            return nil
        } catch {
            return error as? MessageProblem
        }
    }

    // MARK: Plain

    static let plain: [(String, Message)] = [
        (#"{"amount": 5}"#, Message(id: "made", source: "client-1", type: "message", data: ["amount": 5])),
        (
            #"{"id": "x-1", "type": "order", "amount": 5}"#,
            Message(id: "x-1", source: "client-1", type: "order", data: ["id": "x-1", "type": "order", "amount": 5])
        ),
        (#"{"event_type": "order"}"#, Message(id: "made", source: "client-1", type: "order", data: ["event_type": "order"])),
        (#"{"id": 5, "type": ""}"#, Message(id: "made", source: "client-1", type: "message", data: ["id": 5, "type": ""])),
        (#"{"data": 1, "more": 2}"#, Message(id: "made", source: "client-1", type: "message", data: ["data": 1, "more": 2])),
        ("{}", Message(id: "made", source: "client-1", type: "message", data: [:])),
        ("[1, 2]", Message(id: "made", source: "client-1", type: "message", data: [1, 2])),
        ("\"text\"", Message(id: "made", source: "client-1", type: "message", data: "text")),
        ("null", Message(id: "made", source: "client-1", type: "message", data: nil)),
    ]

    @Test(arguments: MessageReaderTests.plain)
    func `any JSON is data as a whole`(text: String, expected: Message) throws {
        let message = try read(text)
        #expect(message == expected)
    }

    // MARK: Attributes

    static let attributes: [(String, Message)] = [
        (#"{"data": {"a": 1}}"#, Message(id: "made", source: "client-1", type: "message", data: ["a": 1])),
        (#"{"type": "order", "data": null}"#, Message(id: "made", source: "client-1", type: "order", data: nil)),
        (#"{"event_type": "order", "data": 1}"#, Message(id: "made", source: "client-1", type: "order", data: 1)),
        (#"{"type": "a", "event_type": "b", "data": 1}"#, Message(id: "made", source: "client-1", type: "a", data: 1)),
        (
            #"{"id": "i", "source": "s", "type": "t", "time": "2026-11-23T14:32:07+01:00", "subject": "u", "data": [1]}"#,
            Message(id: "i", source: "s", type: "t", time: "2026-11-23T14:32:07+01:00", subject: "u", data: [1])
        ),
        (#"{"id": null, "subject": null, "data": 1}"#, Message(id: "made", source: "client-1", type: "message", data: 1)),
    ]

    @Test(arguments: MessageReaderTests.attributes)
    func `attributes beside data are the message's own`(text: String, expected: Message) throws {
        let message = try read(text)
        #expect(message == expected)
    }

    @Test func `a message has its request's namespace`() throws {
        let shop = try Namespace("shop")
        let own = try read(#"{"namespace": "shop", "data": 1}"#)
        #expect(own.namespace == shop)
        let same = try read(#"{"namespace": "shop", "data": 1}"#, namespace: shop)
        #expect(same.namespace == shop)
        let plain = try read("5", namespace: shop)
        #expect(plain.namespace == shop)
        let other = problem(#"{"namespace": "bank", "data": 1}"#, namespace: shop)
        #expect(other?.pointer == "/namespace")
        #expect(other?.detail == "the message is of namespace 'bank', the request of 'shop'")
        let bad = problem(#"{"namespace": "No!", "data": 1}"#)
        #expect(bad?.pointer == "/namespace")
    }

    // MARK: CloudEvents

    @Test func `a CloudEvent is read with its extensions`() throws {
        let message = try read(
            #"""
            {"specversion": "1.0", "id": "A234-1234-1234", "source": "/mycontext", "type": "com.example.someevent",
             "time": "2018-04-05T17:31:00Z", "subject": "s", "datacontenttype": "application/json", "dataschema": "x",
             "comexampleextension1": "value", "comexampleothervalue": 5, "namespace": "ext", "data": {"appinfoA": "abc"}}
            """#)
        let extensions = Fields([
            .init("comexampleextension1", "value"), .init("comexampleothervalue", 5), .init("namespace", "ext"),
        ])
        #expect(
            message
                == Message(
                    id: "A234-1234-1234", source: "/mycontext", type: "com.example.someevent", time: "2018-04-05T17:31:00Z", subject: "s",
                    extensions: extensions, data: ["appinfoA": "abc"]))
        #expect(message[attribute: "comexampleothervalue"] == .int(5))
    }

    @Test func `a CloudEvent may have no data`() throws {
        let message = try read(#"{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}"#)
        #expect(message == Message(id: "1", source: "/s", type: "t", data: nil))
    }

    // MARK: Refusals

    static let refused: [(String, MessageProblem)] = [
        (#"{"specversion": "0.3", "id": "1", "source": "s", "type": "t"}"#, invalid("specversion must be \"1.0\"", "/specversion")),
        (#"{"specversion": 1.0, "id": "1", "source": "s", "type": "t"}"#, invalid("specversion must be \"1.0\"", "/specversion")),
        (#"{"specversion": "1.0", "source": "s", "type": "t"}"#, invalid("a CloudEvent needs 'id'", "")),
        (#"{"specversion": "1.0", "id": "1", "type": "t"}"#, invalid("a CloudEvent needs 'source'", "")),
        (#"{"specversion": "1.0", "id": "1", "source": "s"}"#, invalid("a CloudEvent needs 'type'", "")),
        (
            #"{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": "AA=="}"#,
            invalid("data_base64 is not supported; send JSON in 'data'", "/data_base64")
        ),
        (#"{"specversion": "1.0", "id": "", "source": "s", "type": "t"}"#, invalid("'id' must be text of 1 to 1024 bytes", "/id")),
        (#"{"type": 5, "data": 1}"#, invalid("'type' must be text of 1 to 1024 bytes", "/type")),
        (#"{"event_type": [], "data": 1}"#, invalid("'event_type' must be text of 1 to 1024 bytes", "/event_type")),
        (#"{"source": "", "data": 1}"#, invalid("'source' must be text of 1 to 1024 bytes", "/source")),
        (#"{"subject": {}, "data": 1}"#, invalid("'subject' must be text of 1 to 1024 bytes", "/subject")),
        (#"{"time": "yesterday", "data": 1}"#, invalid("'time' is no RFC 3339 time", "/time")),
        (#"{"time": 5, "data": 1}"#, invalid("'time' must be text of 1 to 1024 bytes", "/time")),
    ]

    private static func invalid(_ detail: String, _ pointer: String) -> MessageProblem {
        MessageProblem(code: "invalid_message", detail: detail, pointer: pointer, offset: nil)
    }

    @Test(arguments: MessageReaderTests.refused)
    func `a malformed attribute is refused at its place`(text: String, expected: MessageProblem) {
        #expect(problem(text) == expected)
    }

    @Test func `an attribute has at most 1024 bytes`() throws {
        let longest = String(repeating: "x", count: 1024)
        let message = try read(#"{"id": "\#(longest)", "data": 1}"#)
        #expect(message.id == longest)
        #expect(problem(#"{"id": "\#(longest)x", "data": 1}"#)?.pointer == "/id")
    }

    @Test func `what is no JSON is refused with its offset`() {
        let cases: [(String, Int)] = [
            ("", 0), ("{\"a\": }", 6), ("{\"a\": 1", 7), ("{\"a\":1}x", 7), ("{\"a\":1,\"a\":2}", 7), ("nope", 0),
        ]
        for (text, offset) in cases {
            let found = problem(text)
            #expect(found?.code == "invalid_json", "\(text)")
            #expect(found?.offset == offset, "\(text)")
            #expect(found?.pointer == "", "\(text)")
        }
    }

    @Test func `a message above the limit is refused whatever it holds`() throws {
        let small = MessageReader(limit: 10)
        let fits = try small.read(Array("\"12345678\"".utf8), namespace: .default, client: "c", makeID: { "i" })
        #expect(fits.data == .string("12345678"))
        let above = Array("\"123456789\"".utf8)
        do throws(MessageProblem) {
            _ = try small.read(above, namespace: .default, client: "c", makeID: { "i" })
            Issue.record("11 bytes were taken")
        } catch {
            #expect(error.code == "payload_too_large")
            #expect(error.detail.hasPrefix("the message has 11 bytes, at most 10 are taken"))
        }
        let full = String(repeating: " ", count: MessageReader.payloadLimit - 1) + "1"
        let most = try read(full)
        #expect(most.data == 1)
        #expect(problem(" " + full)?.code == "payload_too_large")
    }
}

import Primitives
import Testing
import Text

@testable import Observability

/// OTLP 1.x (opentelemetry/proto/trace/v1/trace.proto): field numbers and types are its own.
struct OTLPEncodingTests {
    private let span: Observability.Span
    private let resource: OTLPEncoding.Resource

    init() throws {
        let node = try NodeID("n1")
        span = Observability.Span(
            context: TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: true, state: "a=b"), parent: 4, name: "task pay",
            service: "worker", node: node, start: ClusterTime(milliseconds: 1000), duration: .microseconds(5), error: "no",
            attributes: Fields([
                .init("attempt", 1), .init("ok", true), .init("share", .double(0.5)), .init("kind", "exec@1"), .init("none", .null),
                .init("list", [1, "x"]), .init("map", ["k": -1]),
            ]))
        resource = OTLPEncoding.Resource(service: "distric", node: node, cluster: "c", version: "1")
    }

    @Test func `the golden JSON stays`() throws {
        let value = try JSONScanner.parse(OTLPEncoding.json.encode([span], resource))
        let scope = value["resourceSpans"]?.list?.first?["scopeSpans"]?.list?.first
        #expect(scope?["scope"] == ["name": "distric.worker"])
        let expected: Value = [
            "traceId": "00000000000000010000000000000002", "spanId": "0000000000000003", "traceState": "a=b",
            "parentSpanId": "0000000000000004", "name": "task pay", "kind": 1, "startTimeUnixNano": "1000000000",
            "endTimeUnixNano": "1000005000",
            "attributes": [
                ["key": "attempt", "value": ["intValue": "1"]], ["key": "ok", "value": ["boolValue": true]],
                ["key": "share", "value": ["doubleValue": 0.5]], ["key": "kind", "value": ["stringValue": "exec@1"]],
                ["key": "none", "value": .map(Fields())],
                ["key": "list", "value": ["arrayValue": ["values": [["intValue": "1"], ["stringValue": "x"]]]]],
                ["key": "map", "value": ["kvlistValue": ["values": [["key": "k", "value": ["intValue": "-1"]]]]]],
            ],
            "status": ["code": 2, "message": "no"],
        ]
        #expect(scope?["spans"]?.list == [expected])
        let attributes = value["resourceSpans"]?.list?.first?["resource"]?["attributes"]?.list ?? []
        #expect(attributes.first == ["key": "service.name", "value": ["stringValue": "distric"]])
    }

    /// Fields of a message: number, and a number or bytes.
    private enum Content: Equatable {
        case number(UInt64)
        case bytes([UInt8])
    }

    private func fields(_ bytes: [UInt8]) throws -> [(number: UInt64, content: Content)] {
        var place = 0
        func varint() throws -> UInt64 {
            var (number, shift) = (UInt64(0), UInt64(0))
            while true {
                try #require(place < bytes.count)
                let byte = bytes[place]
                place += 1
                number |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return number }
                shift += 7
            }
        }
        var found: [(number: UInt64, content: Content)] = []
        while place < bytes.count {
            let tag = try varint()
            switch tag & 7 {
            case 0: found.append((tag >> 3, .number(try varint())))
            case 1:
                try #require(place + 8 <= bytes.count)
                found.append((tag >> 3, .number((0..<8).reduce(0) { $0 | UInt64(bytes[place + $1]) << UInt64($1 * 8) })))
                place += 8
            case 2:
                let count = Int(try varint())
                try #require(place + count <= bytes.count)
                found.append((tag >> 3, .bytes(Array(bytes[place..<place + count]))))
                place += count
            default: Issue.record("wire type \(tag & 7)")
            }
        }
        return found
    }

    private func inner(_ bytes: [UInt8], _ number: UInt64) throws -> [UInt8] {
        let found = try fields(bytes).first { $0.number == number }?.content
        guard case .bytes(let content)? = found else {
            Issue.record("no message \(number)")
            return []
        }
        return content
    }

    @Test func `the protobuf has the fields by their numbers`() throws {
        let request = OTLPEncoding.protobuf.encode([span, span], resource)
        let resourceSpans = try inner(request, 1)
        let scopeSpans = try inner(resourceSpans, 2)
        #expect(try inner(inner(scopeSpans, 1), 1) == Array("distric.worker".utf8))
        #expect(try fields(scopeSpans).count { $0.number == 2 } == 2)
        let found = try fields(inner(scopeSpans, 2))
        func content(_ number: UInt64) -> Content? { found.first { $0.number == number }?.content }
        #expect(content(1) == .bytes([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]))
        #expect(content(2) == .bytes([0, 0, 0, 0, 0, 0, 0, 3]))
        #expect(content(3) == .bytes(Array("a=b".utf8)))
        #expect(content(4) == .bytes([0, 0, 0, 0, 0, 0, 0, 4]))
        #expect(content(5) == .bytes(Array("task pay".utf8)))
        #expect(content(6) == .number(1))
        #expect(content(7) == .number(1_000_000_000))
        #expect(content(8) == .number(1_000_005_000))
        #expect(found.count { $0.number == 9 } == 7)
        // key "attempt", value { int_value: 1 }
        #expect(content(9) == .bytes([0x0A, 7] + Array("attempt".utf8) + [0x12, 2, 0x18, 1]))
        #expect(content(15) == .bytes([0x12, 2] + Array("no".utf8) + [0x18, 2]))
    }

    private var marked: Observability.Span {
        var marked = span
        (marked.kind, marked.nanoseconds) = (.client, 7)
        marked.events = [Span.Event(name: "half", nanoseconds: 5, attributes: Fields([.init("ok", true)]))]
        marked.links = [
            Span.Link(context: TraceContext(traceHigh: 0, traceLow: 9, span: 8, isSampled: true, state: "v=1"), attributes: Fields())
        ]
        return marked
    }

    @Test func `kind, events, links and nanoseconds are in the JSON`() throws {
        let value = try JSONScanner.parse(OTLPEncoding.json.encode([marked], resource))
        let sent = value["resourceSpans"]?.list?.first?["scopeSpans"]?.list?.first?["spans"]?.list?.first
        #expect(sent?["kind"] == 3)
        #expect(sent?["startTimeUnixNano"] == "1000000007" && sent?["endTimeUnixNano"] == "1000005007")
        #expect(
            sent?["events"] == [
                ["timeUnixNano": "5", "name": "half", "attributes": [["key": "ok", "value": ["boolValue": true]]]]
            ])
        #expect(
            sent?["links"] == [
                ["traceId": "00000000000000000000000000000009", "spanId": "0000000000000008", "traceState": "v=1", "attributes": []]
            ])
    }

    @Test func `kind, events, links and nanoseconds are in the protobuf`() throws {
        let found = try fields(inner(inner(inner(OTLPEncoding.protobuf.encode([marked], resource), 1), 2), 2))
        func content(_ number: UInt64) -> Content? { found.first { $0.number == number }?.content }
        #expect(content(6) == .number(3))
        #expect(content(7) == .number(1_000_000_007))
        // time fixed64, name, key "ok" with value { bool_value: true }
        let attribute: [UInt8] = [0x1A, 8, 0x0A, 2] + Array("ok".utf8) + [0x12, 2, 0x10, 1]
        #expect(content(11) == .bytes([0x09, 5, 0, 0, 0, 0, 0, 0, 0, 0x12, 4] + Array("half".utf8) + attribute))
        let (trace, state) = ([UInt8](repeating: 0, count: 15) + [9], Array("v=1".utf8))
        #expect(content(13) == .bytes([0x0A, 16] + trace + [0x12, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0x1A, 3] + state))
    }

    @Test func `what a root without failure has not is left out`() throws {
        var root = span
        (root.parent, root.error, root.context.state, root.attributes) = (0, nil, "", Fields())
        let value = try JSONScanner.parse(OTLPEncoding.json.encode([root], resource))
        let sent = value["resourceSpans"]?.list?.first?["scopeSpans"]?.list?.first?["spans"]?.list?.first
        #expect(sent?["parentSpanId"] == nil && sent?["traceState"] == nil)
        #expect(sent?["status"] == .map(Fields()))
        let found = try fields(inner(inner(inner(OTLPEncoding.protobuf.encode([root], resource), 1), 2), 2))
        #expect(found.map(\.number) == [1, 2, 5, 6, 7, 8])
    }
}

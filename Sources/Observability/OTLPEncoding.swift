package import Primitives
import Text

/// Spans as OTLP 1.x takes them over HTTP (opentelemetry/proto/collector/trace/v1): `ExportTraceServiceRequest` in JSON or in protobuf.
package enum OTLPEncoding: String, Sendable, CaseIterable {
    case json, protobuf

    package var contentType: String { self == .json ? "application/json" : "application/x-protobuf" }

    /// What the node is for whoever collects.
    package struct Resource: Sendable {
        let attributes: [(key: String, value: String)]

        /// By the semantic conventions: the service, its instance and version.
        package init(service: String, node: NodeID, cluster: String, version: String) {
            attributes = [
                ("service.name", service), ("service.instance.id", node.text), ("service.version", version), ("distric.cluster", cluster),
            ]
        }
    }

    package func encode(_ spans: [Span], _ resource: Resource) -> [UInt8] {
        var scopes: [(name: String, spans: [Span])] = []
        for span in spans {
            if let place = scopes.firstIndex(where: { $0.name == span.service }) {
                scopes[place].spans.append(span)
            } else {
                scopes.append((span.service, [span]))
            }
        }
        return self == .json ? JSONWriter.bytes(Self.value(scopes, resource)) : Self.message(scopes, resource)
    }

    private static func endNanoseconds(_ span: Span) -> UInt64 { span.startNanoseconds &+ UInt64(max(0, span.duration.nanoseconds)) }

    // MARK: JSON

    private static func value(_ scopes: [(name: String, spans: [Span])], _ resource: Resource) -> Value {
        [
            "resourceSpans": [
                [
                    "resource": ["attributes": .list(resource.attributes.map { keyed($0.key, .string($0.value)) })],
                    "scopeSpans": .list(
                        scopes.map { scope in
                            ["scope": ["name": .string("distric." + scope.name)], "spans": .list(scope.spans.map(value))]
                        }),
                ]
            ]
        ]
    }

    private static func value(_ span: Span) -> Value {
        .object([
            "traceId": .string(span.context.traceID), "spanId": .string(span.context.spanID),
            "traceState": span.context.state.isEmpty ? nil : .string(span.context.state),
            "parentSpanId": span.parent == 0 ? nil : .string(hexadecimal(span.parent)), "name": .string(span.name),
            "kind": Value(UInt64(span.kind.rawValue)), "startTimeUnixNano": .string(String(span.startNanoseconds)),
            "endTimeUnixNano": .string(String(endNanoseconds(span))),
            "attributes": list(span.attributes),
            "events": span.events.isEmpty
                ? nil
                : .list(
                    span.events.map {
                        [
                            "timeUnixNano": .string(String($0.nanoseconds)), "name": .string($0.name), "attributes": list($0.attributes),
                        ]
                    }),
            "links": span.links.isEmpty ? nil : .list(span.links.map(value)),
            "status": span.error.map { ["code": 2, "message": .string($0)] } ?? .map(Fields()),
        ])
    }

    private static func value(_ link: Span.Link) -> Value {
        .object([
            "traceId": .string(link.context.traceID), "spanId": .string(link.context.spanID),
            "traceState": link.context.state.isEmpty ? nil : .string(link.context.state), "attributes": list(link.attributes),
        ])
    }

    private static func list(_ fields: Fields) -> Value { .list(fields.members.map { keyed($0.key, $0.value) }) }

    private static func keyed(_ key: String, _ value: Value) -> Value { ["key": .string(key), "value": any(value)] }

    private static func any(_ value: Value) -> Value {
        switch value {
        case .null: .map(Fields())
        case .bool(let flag): ["boolValue": .bool(flag)]
        // 64-bit numbers are text in the JSON form of protobuf.
        case .int(let number): ["intValue": .string(String(number))]
        case .uint(let number): ["intValue": .string(String(Int64(clamping: number)))]
        case .double(let number): ["doubleValue": .double(number)]
        case .string(let text): ["stringValue": .string(text)]
        case .list(let items): ["arrayValue": ["values": .list(items.map(any))]]
        case .map(let fields): ["kvlistValue": ["values": .list(fields.members.map { keyed($0.key, $0.value) })]]
        }
    }

    // MARK: Protobuf

    private static func message(_ scopes: [(name: String, spans: [Span])], _ resource: Resource) -> [UInt8] {
        var request = ProtobufWriter()
        request.message(1) { resourceSpans in
            resourceSpans.message(1) { own in
                for attribute in resource.attributes { own.message(1) { keyed(attribute.key, .string(attribute.value), &$0) } }
            }
            for scope in scopes {
                resourceSpans.message(2) { scopeSpans in
                    scopeSpans.message(1) { $0.text(1, "distric." + scope.name) }
                    for span in scope.spans { scopeSpans.message(2) { message(span, &$0) } }
                }
            }
        }
        return request.bytes
    }

    private static func message(_ span: Span, _ writer: inout ProtobufWriter) {
        writer.bytes(1, big(span.context.traceHigh) + big(span.context.traceLow))
        writer.bytes(2, big(span.context.span))
        if !span.context.state.isEmpty { writer.text(3, span.context.state) }
        if span.parent != 0 { writer.bytes(4, big(span.parent)) }
        writer.text(5, span.name)
        writer.varint(6, UInt64(span.kind.rawValue))
        writer.fixed(7, span.startNanoseconds)
        writer.fixed(8, endNanoseconds(span))
        attributes(9, span.attributes, &writer)
        for event in span.events {
            writer.message(11) { inner in
                inner.fixed(1, event.nanoseconds)
                inner.text(2, event.name)
                attributes(3, event.attributes, &inner)
            }
        }
        for link in span.links {
            writer.message(13) { inner in
                inner.bytes(1, big(link.context.traceHigh) + big(link.context.traceLow))
                inner.bytes(2, big(link.context.span))
                if !link.context.state.isEmpty { inner.text(3, link.context.state) }
                attributes(4, link.attributes, &inner)
            }
        }
        if let error = span.error {
            writer.message(15) { status in
                status.text(2, error)
                status.varint(3, 2)
            }
        }
    }

    private static func attributes(_ field: UInt64, _ fields: Fields, _ writer: inout ProtobufWriter) {
        for member in fields.members { writer.message(field) { keyed(member.key, member.value, &$0) } }
    }

    private static func keyed(_ key: String, _ value: Value, _ writer: inout ProtobufWriter) {
        writer.text(1, key)
        writer.message(2) { any(value, &$0) }
    }

    private static func any(_ value: Value, _ writer: inout ProtobufWriter) {
        switch value {
        case .null: break
        case .bool(let flag): writer.varint(2, flag ? 1 : 0)
        case .int(let number): writer.varint(3, UInt64(bitPattern: number))
        case .uint(let number): writer.varint(3, UInt64(min(number, UInt64(Int64.max))))
        case .double(let number): writer.fixed(4, number.bitPattern)
        case .string(let text): writer.text(1, text)
        case .list(let items): writer.message(5) { list in for item in items { list.message(1) { any(item, &$0) } } }
        case .map(let fields):
            writer.message(6) { list in for member in fields.members { list.message(1) { keyed(member.key, member.value, &$0) } } }
        }
    }

    private static func big(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - $0 * 8)) } }
}

/// The wire format of Protocol Buffers: fields by number, of four of its types.
private struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    private mutating func varint(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private mutating func tag(_ field: UInt64, _ type: UInt64) { varint(field << 3 | type) }

    mutating func varint(_ field: UInt64, _ number: UInt64) {
        tag(field, 0)
        varint(number)
    }

    mutating func fixed(_ field: UInt64, _ number: UInt64) {
        tag(field, 1)
        for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(shift))) }
    }

    mutating func bytes(_ field: UInt64, _ content: some Collection<UInt8>) {
        tag(field, 2)
        varint(UInt64(content.count))
        bytes.append(contentsOf: content)
    }

    mutating func text(_ field: UInt64, _ text: String) { bytes(field, Array(text.utf8)) }

    mutating func message(_ field: UInt64, _ body: (inout ProtobufWriter) -> Void) {
        var inner = ProtobufWriter()
        body(&inner)
        bytes(field, inner.bytes)
    }
}

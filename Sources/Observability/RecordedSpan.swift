package import Primitives

/// One timed piece of work within a trace.
package struct Span: Equatable, Sendable {
    package var context: TraceContext
    /// 0 for the root.
    package var parent: UInt64
    package var name: String
    /// The part of the node that did the work: `api`, `coordinator`, `worker`.
    package var service: String
    package var node: NodeID
    package var start: ClusterTime
    /// Of the start, beyond its whole milliseconds.
    package var nanoseconds: UInt32
    package var duration: Duration
    package var error: String?
    package var attributes: Fields
    package var kind: Kind
    package var events: [Event]
    package var links: [Link]

    /// What the work is to its parent, by the numbers of OTLP.
    package enum Kind: UInt8, Sendable {
        case `internal` = 1
        case server, client, producer, consumer

        var name: String { "\(self)" }
    }

    /// Something that happened within the work.
    package struct Event: Equatable, Sendable {
        package var name: String
        /// Since 1970.
        package var nanoseconds: UInt64
        package var attributes: Fields
    }

    /// Another span that this one has to do with, of whatever trace.
    package struct Link: Equatable, Sendable {
        package var context: TraceContext
        package var attributes: Fields
    }

    package init(
        context: TraceContext, parent: UInt64, name: String, service: String, node: NodeID, start: ClusterTime, nanoseconds: UInt32 = 0,
        duration: Duration, error: String?, attributes: Fields, kind: Kind? = nil, events: [Event] = [], links: [Link] = []
    ) {
        self.context = context
        self.parent = parent
        self.name = name
        self.service = service
        self.node = node
        self.start = start
        self.nanoseconds = nanoseconds
        self.duration = duration
        self.error = error
        self.attributes = attributes
        // What the front door answers is a server's.
        self.kind = kind ?? (service == "api" ? .server : .internal)
        self.events = events
        self.links = links
    }

    /// Since 1970.
    package var startNanoseconds: UInt64 { start.milliseconds &* 1_000_000 &+ UInt64(nanoseconds) }

    /// To the microsecond: `2026-11-23T14:32:07.012345Z`.
    fileprivate static func rfc3339(_ nanoseconds: UInt64) -> String {
        let micros = String(nanoseconds / 1000 % 1000)
        let zeros = String(repeating: "0", count: 3 - micros.utf8.count)
        return ClusterTime(milliseconds: nanoseconds / 1_000_000).rfc3339.dropLast() + zeros + micros + "Z"
    }

    package var value: Value {
        .object([
            "traceId": .string(context.traceID), "spanId": .string(context.spanID),
            "parentId": parent == 0 ? nil : .string(hexadecimal(parent)),
            "name": .string(name), "service": .string(service), "node": .string(node.text),
            "start": .string(Self.rfc3339(startNanoseconds)),
            "durationMs": .double((Double(duration.nanoseconds) / 1000).rounded() / 1000), "error": error.map(Value.string),
            "attributes": .map(attributes), "kind": kind == .internal ? nil : .string(kind.name),
            "events": events.isEmpty ? nil : .list(events.map(\.value)), "links": links.isEmpty ? nil : .list(links.map(\.value)),
        ])
    }
}

extension Span.Event {
    fileprivate var value: Value {
        [
            "name": .string(name), "time": .string(Span.rfc3339(nanoseconds)),
            "attributes": .map(attributes),
        ]
    }
}

extension Span.Link {
    fileprivate var value: Value {
        ["traceId": .string(context.traceID), "spanId": .string(context.spanID), "attributes": .map(attributes)]
    }
}

/// What came in: CloudEvents 1.0 attributes and `data`, whatever form the sender used.
package struct Message: Equatable, Sendable {
    package var id: String
    package var source: String
    package var type: String
    /// When it happened as the sender says, RFC 3339; empty when not said.
    package var time: String
    package var subject: String?
    package var namespace: Namespace
    /// CloudEvents extension attributes.
    package var extensions: Fields
    package var data: Value

    package init(
        id: String, source: String, type: String, time: String = "", subject: String? = nil, namespace: Namespace = .default,
        extensions: Fields = Fields(), data: Value
    ) {
        self.id = id
        self.source = source
        self.type = type
        self.time = time
        self.subject = subject
        self.namespace = namespace
        self.extensions = extensions
        self.data = data
    }

    /// The source of what is made of the cluster's own events; nobody else's.
    package static let eventSource = "distric"

    /// Whether it was made of an event of the cluster.
    package var isEvent: Bool { sameBytes(source, Self.eventSource) }

    /// An attribute, an extension, or `data`, by its top-level name; nil when the message has none.
    package subscript(attribute name: String) -> Value? {
        switch name {
        case "data": data
        case "type": .string(type)
        case "id": .string(id)
        case "source": .string(source)
        case "time": time.isEmpty ? nil : .string(time)
        case "subject": subject.map(Value.string)
        default: extensions[name]
        }
    }

    /// The message as one value, as `message` and `input` see it in a workflow.
    package var value: Value {
        var fields = Fields([.init("id", .string(id)), .init("source", .string(source)), .init("type", .string(type))])
        if !time.isEmpty { fields["time"] = .string(time) }
        if let subject { fields["subject"] = .string(subject) }
        for member in extensions.members { fields[member.key] = member.value }
        fields["data"] = data
        return .map(fields)
    }
}

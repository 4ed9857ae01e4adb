package import Primitives

/// Messages for the cluster: the same that `POST /api/v1/messages` takes.
package struct ClientSubmit: WireCall {
    package typealias Reply = ClientResponse
    package static let type = MessageType.clientSubmit
    package var namespace: Namespace?
    /// `application/json` or `application/msgpack`; each of `messages` is one of that kind.
    package var contentType = "application/json"
    package var messages: [[UInt8]] = []

    package init() {}

    package init(namespace: Namespace? = nil, contentType: String = "application/json", messages: [[UInt8]]) {
        self.namespace = namespace
        self.contentType = contentType
        self.messages = messages
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "namespace", &namespace)
        try coder.field(2, "content_type", &contentType)
        try coder.list(3, "messages", &messages)
    }
}

/// What became of one message.
package struct SubmitResult: WireRecord {
    /// As HTTP has it: 202 taken and durable, 200 no rule matched, 400 and 413 refused, 503 try again.
    package var status: UInt16 = 0
    package var messageID: String?
    package var catalogVersion: UInt64?
    /// `set/rule` of each rule that held.
    package var matched: [String] = []
    package var runs: [UUIDv7] = []
    package var isDuplicate: Bool?
    package var code: String?
    package var detail: String?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "status", &status)
        try coder.field(2, "message_id", &messageID)
        try coder.field(3, "catalog_version", &catalogVersion)
        try coder.list(4, "matched", &matched)
        try coder.list(5, "runs", &runs)
        try coder.field(6, "is_duplicate", &isDuplicate)
        try coder.field(7, "code", &code)
        try coder.field(8, "detail", &detail)
    }
}

/// The answer to `ClientSubmit`, one result a message in order, or to `ClientQuery`, a body.
package struct ClientResponse: WireMessage {
    package static let type = MessageType.clientResponse
    package var results: [SubmitResult] = []
    package var contentType: String?
    package var body: [UInt8]?
    /// The log index up to which what is told has been applied.
    package var appliedIndex: LogIndex?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.list(1, "results", &results)
        try coder.field(2, "content_type", &contentType)
        try coder.field(3, "body", &body)
        try coder.field(4, "applied_index", &appliedIndex)
    }
}

/// A question: the path that the HTTP API has for it, after `/api/v1/`.
package struct ClientQuery: WireCall {
    package typealias Reply = ClientResponse
    package static let type = MessageType.clientQuery
    package static let isIdempotent = true
    /// Any that is read: `cluster/status`, `messages/ID`, `runs/ID?wait=5s`.
    package var path = ""
    package var namespace: Namespace?

    package init() {}

    package init(path: String, namespace: Namespace? = nil) {
        self.path = path
        self.namespace = namespace
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "path", &path)
        try coder.field(2, "namespace", &namespace)
    }
}

/// A call passed on by a node that cannot answer it, to one that can.
package struct Forward: WireCall {
    package typealias Reply = Forward
    package static let type = MessageType.forward
    package var origin = NodeID.unnamed
    /// How often it was passed on already; more than 2 is refused.
    package var hops: UInt8 = 0
    package var call = MessageType(number: 0)
    package var payload: [UInt8] = []

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "origin", &origin)
        try coder.field(2, "hops", &hops)
        try coder.field(3, "call", &call)
        try coder.field(4, "payload", &payload)
    }
}

package import Primitives
import Text
import Wire

/// Why a message was refused, in words for its sender.
package struct MessageProblem: Error, Equatable {
    /// `invalid_json`, `invalid_msgpack`, `payload_too_large`, `invalid_message`.
    package var code: String
    package var detail: String
    /// JSON Pointer to what is wrong; empty for the whole.
    package var pointer: String
    /// Bytes from the start of the message, for JSON that cannot be read.
    package var offset: Int?
}

/// Reads a message: CloudEvents 1.0 in JSON, or any JSON.
package struct MessageReader: Sendable {
    package static let payloadLimit = 64 << 10
    private static let attributes: Set<String> = ["id", "source", "type", "event_type", "time", "subject", "namespace", "data"]

    /// Messages, inputs and outputs up to this many bytes.
    package let limit: Int

    package init(limit: Int = payloadLimit) { self.limit = limit }

    /// - Parameters:
    ///   - client: the source of a message that names none.
    ///   - makeID: the id of a message that names none.
    package func read(_ bytes: some Collection<UInt8>, namespace: Namespace, client: String, makeID: () -> String) throws(MessageProblem)
        -> Message
    {
        try check(bytes.count)
        let value: Value
        do throws(JSONError) { value = try JSONScanner.parse(bytes) } catch {
            throw MessageProblem(code: "invalid_json", detail: "not JSON: \(error)", pointer: "", offset: error.offset)
        }
        return try read(value, namespace: namespace, client: client, makeID: makeID)
    }

    /// The same of a message in MessagePack.
    package func read(packed bytes: [UInt8], namespace: Namespace, client: String, makeID: () -> String) throws(MessageProblem) -> Message {
        try check(bytes.count)
        let value: Value
        do throws(MessagePack.Failure) { value = try MessagePack.read(bytes) } catch {
            throw MessageProblem(code: "invalid_msgpack", detail: "not MessagePack: \(error)", pointer: "", offset: nil)
        }
        return try read(value, namespace: namespace, client: client, makeID: makeID)
    }

    private func check(_ count: Int) throws(MessageProblem) {
        guard count > limit else { return }
        throw MessageProblem(
            code: "payload_too_large",
            detail: "the message has \(count) bytes, at most \(limit) are taken; store the payload elsewhere and send its URL and hash",
            pointer: "", offset: nil)
    }

    package func read(_ value: Value, namespace: Namespace, client: String, makeID: () -> String) throws(MessageProblem) -> Message {
        guard case .map(let fields) = value else { return try plain(value, Fields(), namespace, client, makeID) }
        if fields["specversion"] != nil { return try cloudEvent(fields, namespace, client, makeID) }
        if fields["data"] != nil, fields.members.allSatisfy({ Self.attributes.contains($0.key) }) {
            return try message(fields, data: fields["data"] ?? .null, extensions: Fields(), namespace, client, makeID)
        }
        return try plain(value, fields, namespace, client, makeID)
    }

    /// Any other JSON is the data as a whole; its type and id are taken out of it where they are text.
    private func plain(_ value: Value, _ fields: Fields, _ namespace: Namespace, _ client: String, _ makeID: () -> String)
        throws(MessageProblem) -> Message
    {
        let id = fields["id"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        let type = (fields["type"] ?? fields["event_type"])?.string.flatMap { $0.isEmpty ? nil : $0 }
        return Message(id: id ?? makeID(), source: client, type: type ?? "message", namespace: namespace, data: value)
    }

    private func cloudEvent(_ fields: Fields, _ namespace: Namespace, _ client: String, _ makeID: () -> String) throws(MessageProblem)
        -> Message
    {
        guard fields["specversion"]?.string == "1.0" else { throw problem("specversion must be \"1.0\"", "/specversion") }
        for name in ["id", "source", "type"] where fields[name] == nil { throw problem("a CloudEvent needs '\(name)'", "") }
        if fields["data_base64"] != nil { throw problem("data_base64 is not supported; send JSON in 'data'", "/data_base64") }
        var extensions = Fields()
        let known: Set<String> = ["specversion", "id", "source", "type", "time", "subject", "data", "datacontenttype", "dataschema"]
        for member in fields.members where !known.contains(member.key) { extensions[member.key] = member.value }
        return try message(fields, data: fields["data"] ?? .null, extensions: extensions, namespace, client, makeID)
    }

    private func message(
        _ fields: Fields, data: Value, extensions: Fields, _ namespace: Namespace, _ client: String, _ makeID: () -> String
    ) throws(MessageProblem) -> Message {
        let (named, original) = (try text(fields, "type"), try text(fields, "event_type"))
        let type = named ?? original
        let written = try text(fields, "time")
        let time = written ?? ""
        if !time.isEmpty, ClusterTime(rfc3339: time) == nil { throw problem("'time' is no RFC 3339 time", "/time") }
        let (id, source) = (try text(fields, "id"), try text(fields, "source"))
        guard source.map({ !sameBytes($0, Message.eventSource) }) ?? true else {
            throw problem("'\(Message.eventSource)' is the source of the cluster's own events; name the sender", "/source")
        }
        return Message(
            id: id ?? makeID(), source: source ?? client, type: type ?? "message", time: time,
            subject: try text(fields, "subject"), namespace: try own(fields, namespace), extensions: extensions, data: data)
    }

    private func own(_ fields: Fields, _ requested: Namespace) throws(MessageProblem) -> Namespace {
        guard fields["specversion"] == nil, let written = try text(fields, "namespace") else { return requested }
        guard let namespace = try? Namespace(written) else { throw problem("'\(written.prefix(80))' is no namespace", "/namespace") }
        guard namespace == requested || requested == .default else {
            throw problem("the message is of namespace '\(namespace)', the request of '\(requested)'", "/namespace")
        }
        return namespace
    }

    private func text(_ fields: Fields, _ name: String) throws(MessageProblem) -> String? {
        guard let value = fields[name], value != .null else { return nil }
        guard let text = value.string, !text.isEmpty, text.utf8.count <= 1024 else {
            throw problem("'\(name)' must be text of 1 to 1024 bytes", "/\(name)")
        }
        return text
    }

    private func problem(_ detail: String, _ pointer: String) -> MessageProblem {
        MessageProblem(code: "invalid_message", detail: detail, pointer: pointer, offset: nil)
    }
}

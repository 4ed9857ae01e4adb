package import Primitives

/// The fixed head of every log payload, a promise to every later version: `{version u8, feature level u16, cluster time u64 ms,
/// namespace (u8 length, bytes), command kind u16}`, then the command's fields.
package struct LogEnvelope: Equatable, Sendable {
    package static let version: UInt8 = 1

    /// The least feature level that a reader needs.
    package var featureLevel: UInt16
    package var time: ClusterTime
    /// Empty for commands that concern the cluster itself.
    package var namespace: String
    package var kind: UInt16

    package init(featureLevel: UInt16, time: ClusterTime, namespace: String, kind: UInt16) {
        self.featureLevel = featureLevel
        self.time = time
        self.namespace = namespace
        self.kind = kind
    }

    package func encode(into writer: inout TLVWriter) {
        writer.fixed(Self.version)
        writer.fixed(featureLevel)
        writer.fixed(time.milliseconds)
        writer.fixed(UInt8(namespace.utf8.count))
        writer.fixed(namespace.utf8)
        writer.fixed(kind)
    }

    /// Splits a payload into its envelope and its fields.
    package static func decode(_ payload: ArraySlice<UInt8>) throws(WireError) -> (LogEnvelope, fields: ArraySlice<UInt8>) {
        guard let version = payload.first else { throw .truncated(at: payload.startIndex) }
        guard version == Self.version else { throw .unsupportedEnvelope(version: version) }
        let start = payload.startIndex
        guard payload.count >= 12 else { throw .truncated(at: payload.endIndex) }
        let level: UInt16 = bigEndian(payload, at: start + 1)
        let time: UInt64 = bigEndian(payload, at: start + 3)
        let length = Int(payload[start + 11])
        guard payload.count >= 14 + length else { throw .truncated(at: payload.endIndex) }
        guard let namespace = String(validating: payload[(start + 12)..<(start + 12 + length)], as: UTF8.self) else {
            throw .badText(tag: 0, at: start + 12)
        }
        let kind: UInt16 = bigEndian(payload, at: start + 12 + length)
        let envelope = LogEnvelope(featureLevel: level, time: ClusterTime(milliseconds: time), namespace: namespace, kind: kind)
        return (envelope, payload[(start + 14 + length)...])
    }
}

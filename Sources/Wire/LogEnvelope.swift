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

    /// The envelope alone.
    package static func head(of payload: [UInt8]) throws(WireError) -> LogEnvelope {
        try payload.lent { bytes throws(WireError) in try decode(bytes).0 }
    }

    /// Splits a payload into its envelope and the place where its fields begin.
    package static func decode(_ payload: UnsafeRawBufferPointer) throws(WireError) -> (LogEnvelope, fields: Int) {
        guard let version = payload.first else { throw .truncated(at: 0) }
        guard version == Self.version else { throw .unsupportedEnvelope(version: version) }
        guard payload.count >= 12 else { throw .truncated(at: payload.count) }
        let level: UInt16 = payload.integer(at: 1)
        let time: UInt64 = payload.integer(at: 3)
        let length = Int(payload[11])
        guard payload.count >= 14 + length else { throw .truncated(at: payload.count) }
        guard let namespace = textOf(UnsafeRawBufferPointer(rebasing: payload[12..<(12 + length)])) else { throw .badText(tag: 0, at: 12) }
        let kind: UInt16 = payload.integer(at: 12 + length)
        let envelope = LogEnvelope(featureLevel: level, time: ClusterTime(milliseconds: time), namespace: namespace, kind: kind)
        return (envelope, 14 + length)
    }
}

package import Primitives

/// What a call bears beside its message: the trace it belongs to, the client's session, and the key under which it counts once.
package struct FrameExtension: WireRecord {
    package var trace: TraceContext?
    /// Which client, over connections.
    package var session: UInt64?
    /// Rises by one with each of the session's calls that change something.
    package var sequence: UInt64?
    package var idempotencyKey: String?

    /// Bytes of one at most.
    package static let limit = 8 << 10

    package init() {}

    package init(trace: TraceContext?, session: UInt64? = nil, sequence: UInt64? = nil, idempotencyKey: String? = nil) {
        self.trace = trace
        self.session = session
        self.sequence = sequence
        self.idempotencyKey = idempotencyKey
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "trace", &trace)
        try coder.field(2, "session", &session)
        try coder.field(3, "sequence", &sequence)
        try coder.field(4, "idempotency_key", &idempotencyKey)
    }
}

/// Trace id 16 bytes, span id 8, flags u8 (1: sampled), then the tracestate, if any.
extension TraceContext: FieldValue {
    package static var fieldType: TLVType { .bytes }
    package var fieldBytes: Int { 25 + state.utf8.count }
    @discardableResult package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        bytes.storeBytes(of: traceHigh.bigEndian, as: UInt64.self)
        bytes.storeBytes(of: traceLow.bigEndian, toByteOffset: 8, as: UInt64.self)
        bytes.storeBytes(of: span.bigEndian, toByteOffset: 16, as: UInt64.self)
        bytes.storeBytes(of: isSampled ? 1 : 0, toByteOffset: 24, as: UInt8.self)
        return 25 + state.write(to: bytes + 25)
    }
    package init(_ source: FieldSource) throws(WireError) {
        guard source.bytes.count >= 25 else { throw source.bad("a trace of \(source.bytes.count) bytes") }
        let (high, low): (UInt64, UInt64) = (source.bytes.integer(at: 0), source.bytes.integer(at: 8))
        let span: UInt64 = source.bytes.integer(at: 16)
        guard high | low != 0, span != 0 else { throw source.bad("a trace with ids of zeros") }
        let state = try source.part(25, source.bytes.count - 25, tag: source.tag, deeper: false).text()
        self.init(
            traceHigh: high, traceLow: low, span: span, isSampled: source.bytes[24] & 1 == 1, state: TraceState.passedOn(state))
    }
    package var fieldText: String { traceparent + (state.isEmpty ? "" : " \(state)") }
}

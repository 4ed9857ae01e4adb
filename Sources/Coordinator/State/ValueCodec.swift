package import Primitives
import Text
package import Wire
import Workflows

/// All words that a field may have. To make one of its raw value takes far longer than to look at them all, and every task has two.
struct Words<Word: Sendable>: Sendable {
    let known: [(text: String, word: Word)]
}

extension Words where Word: RawRepresentable & CaseIterable, Word.RawValue == String {
    fileprivate init(_ type: Word.Type) { known = Word.allCases.map { ($0.rawValue, $0) } }
}

extension Words where Word == TaskKind { static let kinds = Words(TaskKind.self) }
extension Words where Word == TaskState { static let states = Words(TaskState.self) }
extension Words where Word == WorkflowRun.State { static let runStates = Words(WorkflowRun.State.self) }
extension Words where Word == Freeze.Part { static let parts = Words(Freeze.Part.self) }

/// How deep a stored value may nest; above what any message or result may have.
private let storedDepth = 256

extension TLVWriter {
    /// A JSON value, as its text in a bytes field; nothing for nil.
    mutating func value(_ tag: UInt16, _ value: Value?) { if let value { bytes(tag, JSONWriter.bytes(value)) } }
    mutating func time(_ tag: UInt16, _ time: ClusterTime?) { if let time { u64(tag, time.milliseconds) } }
    mutating func string(optional tag: UInt16, _ text: String?) { if let text { string(tag, text) } }

    mutating func id(_ tag: UInt16, _ id: UUIDv7?) {
        guard let id else { return }
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { bytes(tag, $0) }
    }

    mutating func fence(_ tag: UInt16, _ fence: Fence) {
        guard fence != .none else { return }
        message(tag) { writer in
            writer.u64(1, fence.term.number)
            writer.u64(2, fence.assignment)
        }
    }

    mutating func error(_ tag: UInt16, _ error: TaskError?) {
        guard let error else { return }
        message(tag) { writer in
            writer.string(1, error.type)
            writer.string(2, error.message)
            if let status = error.status { writer.i64(3, Int64(status)) }
        }
    }

    mutating func trace(_ tag: UInt16, _ trace: TraceContext?) {
        guard let trace else { return }
        message(tag) { writer in
            writer.u64(1, trace.traceHigh)
            writer.u64(2, trace.traceLow)
            writer.u64(3, trace.span)
            writer.bool(4, trace.isSampled)
            if !trace.state.isEmpty { writer.string(5, trace.state) }
        }
    }

    package mutating func message(_ tag: UInt16, _ message: Message) {
        self.message(tag) { writer in
            writer.string(1, message.id)
            writer.string(2, message.source)
            writer.string(3, message.type)
            if !message.time.isEmpty { writer.string(4, message.time) }
            writer.string(optional: 5, message.subject)
            writer.string(6, message.namespace.text)
            if !message.extensions.isEmpty { writer.value(7, .map(message.extensions)) }
            writer.value(8, message.data)
        }
    }
}

extension Optional {
    /// The field's value, or the error that names what lacks it.
    func required(_ tag: UInt16, of what: String) throws(WireError) -> Wrapped {
        guard let self else { throw .missingField(tag: tag, of: what) }
        return self
    }
}

extension TLVField {
    func value() throws(WireError) -> Value {
        let text = try rawBytes()
        do throws(JSONError) { return try JSONScanner.parse(text, maximumDepth: storedDepth) } catch { throw bad("JSON: \(error)") }
    }

    func time() throws(WireError) -> ClusterTime { ClusterTime(milliseconds: try u64()) }

    func id() throws(WireError) -> UUIDv7 {
        let bytes = try rawBytes()
        guard bytes.count == 16 else { throw bad("an id of \(bytes.count) bytes") }
        let (high, low) = (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        return UUIDv7(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
    }

    func namespace() throws(WireError) -> Namespace {
        guard let namespace = try? Namespace(try string()) else { throw bad("no namespace") }
        return namespace
    }

    func node() throws(WireError) -> NodeID {
        guard let node = try? NodeID(try string()) else { throw bad("no node id") }
        return node
    }

    func word<T>(_ words: Words<T>) throws(WireError) -> T {
        let text = try string()
        for known in words.known where known.text == text { return known.word }
        throw bad("'\(text)' is unknown to this program")
    }

    func fence() throws(WireError) -> Fence {
        var reader = try message()
        var fence = Fence.none
        while let field = try reader.next() {
            switch field.tag {
            case 1: fence.term = Term(try field.u64())
            case 2: fence.assignment = try field.u64()
            default: throw field.unknown
            }
        }
        return fence
    }

    func taskError() throws(WireError) -> TaskError {
        var reader = try message()
        var error = TaskError(type: "", message: "")
        while let field = try reader.next() {
            switch field.tag {
            case 1: error.type = try field.string()
            case 2: error.message = try field.string()
            case 3: error.status = Int(try field.i64())
            default: throw field.unknown
            }
        }
        return error
    }

    func trace() throws(WireError) -> TraceContext {
        var reader = try message()
        var trace = TraceContext(traceHigh: 0, traceLow: 0, span: 0, isSampled: false)
        while let field = try reader.next() {
            switch field.tag {
            case 1: trace.traceHigh = try field.u64()
            case 2: trace.traceLow = try field.u64()
            case 3: trace.span = try field.u64()
            case 4: trace.isSampled = try field.bool()
            case 5: trace.state = try field.string()
            default: throw field.unknown
            }
        }
        return trace
    }

    package func storedMessage() throws(WireError) -> Message {
        var reader = try message()
        var message = Message(id: "", source: "", type: "", data: .null)
        while let field = try reader.next() {
            switch field.tag {
            case 1: message.id = try field.string()
            case 2: message.source = try field.string()
            case 3: message.type = try field.string()
            case 4: message.time = try field.string()
            case 5: message.subject = try field.string()
            case 6: message.namespace = try field.namespace()
            case 7: message.extensions = try field.value().map ?? Fields()
            case 8: message.data = try field.value()
            default: throw field.unknown
            }
        }
        return message
    }
}

package import Logging
package import Primitives
import ServiceContextModule

/// The way of one label's lines: what is written when, in which form, and where to. One JSON object a line (RFC 8259): time, level, label,
/// message, then what is known of it.
package struct LogChannel: Sendable {
    /// What is told of a hot event without making a dictionary: its key is known when the program is built.
    package struct Field: Sendable {
        fileprivate enum Content: Sendable {
            case int(Int64)
            case double(Double)
            case bool(Bool)
            case text(String)
            case milliseconds(Duration)
        }

        fileprivate let key: StaticString
        fileprivate let content: Content

        package static func int(_ key: StaticString, _ number: Int) -> Field { Field(key: key, content: .int(Int64(number))) }
        package static func int(_ key: StaticString, _ number: some BinaryInteger) -> Field {
            Field(key: key, content: .int(Int64(clamping: number)))
        }
        package static func double(_ key: StaticString, _ number: Double) -> Field { Field(key: key, content: .double(number)) }
        package static func bool(_ key: StaticString, _ flag: Bool) -> Field { Field(key: key, content: .bool(flag)) }
        package static func text(_ key: StaticString, _ text: String) -> Field { Field(key: key, content: .text(text)) }
        /// With microseconds behind the point.
        package static func milliseconds(_ key: StaticString, _ duration: Duration) -> Field {
            Field(key: key, content: .milliseconds(duration))
        }
    }

    private static let stackBytes = 2048

    let label: String
    private let level: LogLevels.Cell
    private let sink: LogSink
    private let clock: any NodeClock
    private let ring: LogRing?
    /// The label's in the ring.
    private let number: UInt32
    /// What stands between time and message, by level: the same in each line.
    private let middles: [[UInt8]]
    /// The machine's own, which is asked without looking up whose it is; else `clock`.
    private let hasSystemClock: Bool

    /// - Parameter ring: the same as the sink's, if that has one.
    package init(label: String, level: LogLevels.Cell, sink: LogSink, clock: any NodeClock, ring: LogRing?) {
        self.label = label
        self.level = level
        self.sink = sink
        self.clock = clock
        self.ring = ring
        number = ring?.number(of: label) ?? 0
        hasSystemClock = clock is SystemClock
        middles = Logger.Level.allCases.map { level in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.stackBytes) { memory in
                var line = LineBuffer(memory)
                line.raw(",\"level\":")
                line.write(level.rawValue)
                line.raw(",\"label\":")
                line.write(label)
                line.raw(",\"message\":")
                return Array(line.bytes)
            }
        }
    }

    /// The least level that is logged now.
    package var least: Logger.Level { level.level }

    /// Writes an event whose keys are known when the program is built; what is below the level in force costs one comparison.
    package func log(_ level: Logger.Level, _ message: StaticString, _ fields: Field...) {
        guard level >= self.level.level else { return }
        line(level) { line in
            line.write(message)
            Self.writeTrace(&line)
            for field in fields { Self.write(field, &line) }
        }
    }

    /// The same for up to three, which need no array.
    package func log(_ level: Logger.Level, _ message: StaticString, _ first: Field, _ second: Field? = nil, _ third: Field? = nil) {
        guard level >= self.level.level else { return }
        line(level) { line in
            line.write(message)
            Self.writeTrace(&line)
            Self.write(first, &line)
            if let second { Self.write(second, &line) }
            if let third { Self.write(third, &line) }
        }
    }

    @inline(__always)
    private static func write(_ field: Field, _ line: inout LineBuffer) {
        line.member(field.key)
        write(field.content, &line)
    }

    private static func write(_ content: Field.Content, _ line: inout LineBuffer) {
        switch content {
        case .int(let number): line.write(number)
        case .double(let number): line.write(number)
        case .bool(let flag): flag ? line.raw("true") : line.raw("false")
        case .text(let text): line.write(text)
        case .milliseconds(let duration):
            let microseconds = max(0, duration.nanoseconds / 1000)
            line.write(microseconds / 1000)
            line.raw(UInt8(ascii: "."))
            for divisor in [100, 10, 1] as [Int64] { line.raw(UInt8(truncatingIfNeeded: microseconds % 1000 / divisor % 10) + 0x30) }
        }
    }

    /// The ids of the trace that the current task works for, so that a line leads to its trace and a trace to its lines.
    static func writeTrace(_ line: inout LineBuffer) {
        guard let trace = TraceContext.current else { return }
        line.raw(",\"trace_id\":\"")
        line.writeHexadecimal(trace.traceHigh)
        line.writeHexadecimal(trace.traceLow)
        line.raw("\",\"span_id\":\"")
        line.writeHexadecimal(trace.span)
        line.raw("\"")
    }

    /// - Parameter body: writes the message as a JSON string, and what follows it.
    func line(_ level: Logger.Level, _ body: (inout LineBuffer) -> Void) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.stackBytes) { memory in
            var line = begin(level, memory)
            body(&line)
            line.raw("}\n")
            put(level, line.count <= LogRing.lineLimit ? line : tooLong(level, line.count, memory))
        }
    }

    private func begin(_ level: Logger.Level, _ memory: UnsafeMutableBufferPointer<UInt8>) -> LineBuffer {
        var line = LineBuffer(memory)
        line.raw("{\"time\":")
        line.write(hasSystemClock ? SystemClock().wall : clock.wall)
        line.raw(middles[Self.place(level)])
        return line
    }

    /// Of a level in the list of all.
    private static func place(_ level: Logger.Level) -> Int {
        switch level {
        case .trace: 0
        case .debug: 1
        case .info: 2
        case .notice: 3
        case .warning: 4
        case .error: 5
        case .critical: 6
        }
    }

    private func put(_ level: Logger.Level, _ line: borrowing LineBuffer) {
        let isAwaited = ring?.append(level: level, label: number, line: line.bytes) ?? false
        sink.take(line.bytes, level, isAwaited: isAwaited)
    }

    /// What stands for a line that nobody would read.
    private func tooLong(_ level: Logger.Level, _ count: Int, _ memory: UnsafeMutableBufferPointer<UInt8>) -> LineBuffer {
        var line = begin(level, memory)
        line.raw("\"a log line too long to be kept\",\"bytes\":")
        line.write(Int64(count))
        line.raw("}\n")
        return line
    }
}

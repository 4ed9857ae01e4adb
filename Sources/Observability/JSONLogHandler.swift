import Glibc
package import Logging
package import Primitives
import Synchronization
import Text

/// Where log lines go: a file descriptor, one whole line a write, so that lines of several threads never mix.
package final class LogSink: Sendable {
    private let descriptor: Int32
    private let lock = Mutex<Void>(())
    package let written = Counter()
    package let failed = Counter()

    package init(descriptor: Int32 = 2) { self.descriptor = descriptor }

    func write(_ line: [UInt8]) {
        lock.withLock { _ in
            var rest = line[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return failed.increment() }
                rest = rest.dropFirst(count)
            }
            written.increment()
        }
    }
}

/// One JSON object a line: time, level, label, message, then metadata. Valid whatever the text holds.
package struct JSONLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    private let label: String
    private let sink: LogSink
    private let clock: any NodeClock
    private let ring: LogRing?

    package init(label: String, level: Logger.Level, sink: LogSink, clock: any NodeClock, ring: LogRing? = nil) {
        self.label = label
        self.sink = sink
        self.clock = clock
        self.ring = ring
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var writer = JSONWriter(reserving: 256)
        writer.raw("{\"time\":")
        writer.write(clock.wall.rfc3339)
        writer.raw(",\"level\":")
        writer.write(event.level.rawValue)
        writer.raw(",\"label\":")
        writer.write(label)
        writer.raw(",\"message\":")
        writer.write(event.message.description)
        if let error = event.error {
            writer.raw(",\"error\":")
            writer.write("\(error)")
        }
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        var used: Set = event.error == nil ? ["time", "level", "label", "message"] : ["time", "level", "label", "message", "error"]
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            var name = key
            while !used.insert(name).inserted { name += "_" }
            writer.raw(",")
            writer.write(name)
            writer.raw(":")
            write(value, &writer)
        }
        writer.raw("}\n")
        sink.write(writer.bytes)
        ring?.append(level: event.level, label: label, line: Array(writer.bytes.dropLast()))
    }

    private func write(_ value: Logger.Metadata.Value, _ writer: inout JSONWriter) {
        switch value {
        case .string(let text): writer.write(text)
        case .stringConvertible(let item): writer.write(item.description)
        case .array(let items):
            writer.raw("[")
            for (position, item) in items.enumerated() {
                if position > 0 { writer.raw(",") }
                write(item, &writer)
            }
            writer.raw("]")
        case .dictionary(let members):
            writer.raw("{")
            for (position, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if position > 0 { writer.raw(",") }
                writer.write(member.key)
                writer.raw(":")
                write(member.value, &writer)
            }
            writer.raw("}")
        }
    }
}

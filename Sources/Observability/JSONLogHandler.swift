package import Logging
package import Primitives

/// What swift-log calls: one JSON object a line, valid whatever the text holds.
package struct JSONLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let channel: LogChannel
    /// Of this logger alone; else the label's, which changes while the node runs.
    private var ownLevel: Logger.Level?

    package init(channel: LogChannel) { self.channel = channel }

    /// For a logger whose level nobody else changes.
    package init(label: String, level: Logger.Level, sink: LogSink, clock: any NodeClock, ring: LogRing? = nil) {
        self.init(channel: LogChannel(label: label, level: LogLevels.Cell(level), sink: sink, clock: clock, ring: ring))
    }

    package var logLevel: Logger.Level {
        get { ownLevel ?? channel.least }
        set { ownLevel = newValue }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        channel.line(event.level) { line in
            line.write(event.message.description)
            if let error = event.error {
                line.raw(",\"error\":")
                line.write("\(error)")
            }
            LogChannel.writeTrace(&line)
            writeFacts(event, &line)
        }
    }

    // MARK: Metadata

    private func writeFacts(_ event: LogEvent, _ line: inout LineBuffer) {
        let provided = metadataProvider?.get()
        let given = event.metadata ?? [:]
        guard !(given.isEmpty && metadata.isEmpty && provided?.isEmpty ?? true) else { return }
        // What is nearest to the statement counts.
        var facts = given.isEmpty ? metadata : given
        if !given.isEmpty, !metadata.isEmpty { facts.merge(metadata) { own, _ in own } }
        if let provided { facts.merge(provided) { own, _ in own } }
        // Written as they come, and then brought into the order of their keys: to look at keys and values where they lie in a dictionary
        // takes longer than to move what was written of them.
        withUnsafeTemporaryAllocation(of: Range<Int>.self, capacity: facts.count) { members in
            var count = 0
            for (key, value) in facts {
                let start = line.count
                line.raw(UInt8(ascii: ","))
                if Self.isOwn(key, event.error != nil) { line.write(unique(key, among: facts)) } else { line.write(key) }
                line.raw(UInt8(ascii: ":"))
                if case .string(let text) = value { line.write(text) } else { Self.write(value, &line) }
                var hole = count
                while hole > 0, line.precedes(start..<line.count, members[hole - 1]) {
                    members[hole] = members[hole - 1]
                    hole -= 1
                }
                members[hole] = start..<line.count
                count += 1
            }
            line.arrange(UnsafeBufferPointer(members))
        }
    }

    /// A key that is the line's own gets as many low lines as it takes.
    private func unique(_ key: String, among facts: Logger.Metadata) -> String {
        var name = key + "_"
        while facts[name] != nil { name += "_" }
        return name
    }

    /// By length first: most keys are none of these, and two texts that differ are dear to compare.
    private static func isOwn(_ key: String, _ hasError: Bool) -> Bool {
        switch key.utf8.count {
        case 4: key == "time"
        case 5: key == "level" || key == "label" || hasError && key == "error"
        case 7: key == "message" || key == "span_id"
        case 8: key == "trace_id"
        default: false
        }
    }

    private static func write(_ value: Logger.Metadata.Value, _ line: inout LineBuffer) {
        switch value {
        case .string(let text): line.write(text)
        case .stringConvertible(let item): line.write(item.description)
        case .array(let items):
            line.raw(UInt8(ascii: "["))
            for (position, item) in items.enumerated() {
                if position > 0 { line.raw(UInt8(ascii: ",")) }
                write(item, &line)
            }
            line.raw(UInt8(ascii: "]"))
        case .dictionary(let members):
            line.raw(UInt8(ascii: "{"))
            for (position, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if position > 0 { line.raw(UInt8(ascii: ",")) }
                line.write(member.key)
                line.raw(UInt8(ascii: ":"))
                write(member.value, &line)
            }
            line.raw(UInt8(ascii: "}"))
        }
    }
}

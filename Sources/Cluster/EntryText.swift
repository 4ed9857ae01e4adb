package import Primitives
package import Raft
import Wire

/// What can be said of a log entry without the state machine that it is for.
package enum EntryText {
    /// Numbers on disk and their names, as DataOnDisk lists them.
    private static let names: [(UInt16, String)] = [
        (0x0010, "submit"), (0x0011, "settle"), (0x0012, "start"), (0x0020, "stage"), (0x0021, "activate"), (0x0031, "feature-level"),
        (0x0030, "digest"),
    ]

    private static let batchKind: UInt16 = 1

    private struct Command {
        var kind: UInt16
        var namespace: String
        var bytes: Int

        var name: String { EntryText.names.first { $0.0 == kind }?.1 ?? "0x" + hexadecimal(UInt64(kind), digits: 4) }
    }

    /// The entry as one object; `text` is what people read of it.
    ///
    /// - Parameter isBrief: commands of one kind and namespace stand together, with how many there are.
    package static func value(_ entry: LogEntry, isBrief: Bool = false) -> Value {
        var fields = Fields([
            .init("index", Value(entry.index.number)), .init("term", Value(entry.term.number)),
            .init("kind", .string(name(of: entry.kind))), .init("bytes", Value(entry.payload.count)),
        ])
        switch entry.kind {
        case .leaderStart: fields["text"] = "a leader begins its term"
        case .configuration: describe(Configuration(payload: entry.payload), &fields)
        case .commands:
            do throws(WireError) { try describe(entry.payload, isBrief, &fields) } catch {
                fields["problem"] = .string(error.description)
                fields["text"] = .string("cannot be read: \(error.description)")
            }
        }
        return .map(fields)
    }

    private static func name(of kind: LogEntry.Kind) -> String {
        switch kind {
        case .commands: "commands"
        case .leaderStart: "leader-start"
        case .configuration: "configuration"
        }
    }

    // MARK: Configurations

    private static func describe(_ configuration: Configuration?, _ fields: inout Fields) {
        guard let configuration else {
            fields["problem"] = "no configuration that this program can read"
            fields["text"] = "no configuration that this program can read"
            return
        }
        fields["configuration"] = value(configuration)
        fields["text"] = .string(configuration.description)
    }

    package static func value(_ configuration: Configuration) -> Value {
        func names(_ nodes: [NodeID]) -> Value { .list(nodes.map { .string($0.text) }) }
        return .object([
            "voters": names(configuration.voters), "outgoing": names(configuration.outgoing), "learners": names(configuration.learners),
            "target": names(configuration.target),
        ])
    }

    // MARK: Commands

    private static func describe(_ payload: [UInt8], _ isBrief: Bool, _ fields: inout Fields) throws(WireError) {
        try payload.lent { bytes throws(WireError) in try describe(bytes, isBrief, &fields) }
    }

    private static func describe(_ payload: UnsafeRawBufferPointer, _ isBrief: Bool, _ fields: inout Fields) throws(WireError) {
        let (envelope, start) = try LogEnvelope.decode(payload)
        fields["time"] = .string(envelope.time.rfc3339)
        fields["featureLevel"] = Value(Int(envelope.featureLevel))
        guard envelope.kind == batchKind else { throw .unknownCommand(kind: envelope.kind) }
        let commands = try commands(UnsafeRawBufferPointer(rebasing: payload[start...]), at: start)
        let groups = groups(of: commands)
        fields["commands"] = .list(
            isBrief
                ? groups.map {
                    ["kind": .string($0.name), "namespace": .string($0.namespace), "count": Value($0.count), "bytes": Value($0.bytes)]
                }
                : commands.map { ["kind": .string($0.name), "namespace": .string($0.namespace), "bytes": Value($0.bytes)] })
        fields["text"] = .string(envelope.time.rfc3339 + " " + text(of: groups))
    }

    private static func commands(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(WireError) -> [Command] {
        var reader = TLVReader(bytes, offset: offset, repeating: 1 << 1)
        var commands: [Command] = []
        while let field = try reader.next() {
            guard field.tag == 1 else { throw field.unknown }
            var parts = try field.message()
            var command = Command(kind: 0, namespace: "", bytes: field.value.count)
            while let part = try parts.next() {
                switch part.tag {
                case 1: command.namespace = try part.string()
                case 2: command.kind = try part.u16()
                default: continue
                }
            }
            commands.append(command)
        }
        return commands
    }

    /// Commands of one kind and namespace.
    private struct Group {
        var name: String
        var namespace: String
        var count = 0
        var bytes = 0

        var text: String { (count == 1 ? "" : "\(count) ") + (namespace.isEmpty ? name : "\(name) \(namespace)") }
    }

    /// In the order in which they first come.
    private static func groups(of commands: [Command]) -> [Group] {
        var groups: [Group] = []
        for command in commands {
            let place = groups.firstIndex { $0.name == command.name && sameBytes($0.namespace, command.namespace) } ?? groups.count
            if place == groups.count { groups.append(Group(name: command.name, namespace: command.namespace)) }
            groups[place].count += 1
            groups[place].bytes += command.bytes
        }
        return groups
    }

    /// `submit default, 3 settle default`.
    private static func text(of groups: [Group]) -> String { groups.isEmpty ? "no command" : groups.map(\.text).joined(separator: ", ") }
}

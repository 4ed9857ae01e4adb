package import Primitives
package import Wire
import Workflows

/// One entry's commands as bytes: an envelope of kind `batch`, then each command with its own namespace and kind.
package enum CommandCodec {
    /// What this program writes and the most it reads.
    package static let featureLevel = FeatureLevels.newest
    private static let batchKind: UInt16 = 1

    package static func encode(_ commands: [Command], time: ClusterTime) -> [UInt8] {
        var batch = CommandBatch(time: time)
        for command in commands { batch.append(command) }
        return batch.bytes
    }

    package static func decode(_ payload: [UInt8]) throws(WireError) -> (time: ClusterTime, commands: [Command]) {
        try payload.withUnsafeBufferPointer { bytes throws(WireError) in try decode(UnsafeRawBufferPointer(bytes)) }
    }

    private static func decode(_ payload: UnsafeRawBufferPointer) throws(WireError) -> (time: ClusterTime, commands: [Command]) {
        let (envelope, fields) = try LogEnvelope.decode(payload)
        guard envelope.featureLevel <= featureLevel else {
            throw .unsupportedFeatureLevel(envelope.featureLevel, supported: featureLevel)
        }
        guard envelope.kind == batchKind else { throw .unknownCommand(kind: envelope.kind) }
        var reader = TLVReader(UnsafeRawBufferPointer(rebasing: payload[fields...]), offset: fields, repeating: 1 << 1)
        var commands: [Command] = []
        while let field = try reader.next() {
            guard field.tag == 1 else { throw field.unknown }
            commands.append(try command(field))
        }
        return (envelope.time, commands)
    }

    private static func command(_ field: TLVField) throws(WireError) -> Command {
        var reader = try field.message()
        var kind: UInt16?
        var command: Command?
        while let part = try reader.next() {
            switch part.tag {
            case 1: _ = try part.string()
            case 2: kind = try part.u16()
            case 3:
                switch try kind.required(2, of: "command") {
                case 0x0010: command = .submit(try Submit(part))
                case 0x0011: command = .settle(try Settle(part))
                case 0x0012: command = .start(try Start(part))
                case 0x0020: command = .stage(try Stage(part))
                case 0x0021: command = .activate(try Activate(part))
                case 0x0030: command = .digest(try digest(part))
                case 0x0031: command = .featureLevel(try level(part))
                case 0x0032: command = .freeze(try FreezeChange(part))
                case let other: throw .unknownCommand(kind: other)
                }
            default: throw part.unknown
            }
        }
        return try command.required(3, of: "command")
    }

    private static func digest(_ field: TLVField) throws(WireError) -> StateDigest {
        var reader = try field.message()
        var digest = StateDigest()
        while let part = try reader.next() {
            switch part.tag {
            case 1: digest.high = try part.u64()
            case 2: digest.low = try part.u64()
            default: throw part.unknown
            }
        }
        return digest
    }

    /// A level that this program does not know forbids what follows, whatever the entry's envelope says.
    private static func level(_ field: TLVField) throws(WireError) -> UInt16 {
        var reader = try field.message()
        var level: UInt16?
        while let part = try reader.next() {
            guard part.tag == 1 else { throw part.unknown }
            level = try part.u16()
        }
        let found = try level.required(1, of: "feature level")
        guard found <= featureLevel else { throw .unsupportedFeatureLevel(found, supported: featureLevel) }
        return found
    }

    /// An entry that is being filled.
    package struct CommandBatch: Sendable {
        private var fields = TLVWriter(reserving: 4096)
        private let time: ClusterTime
        private var level: UInt16 = 1
        package private(set) var count = 0

        package init(time: ClusterTime) { self.time = time }

        package var byteCount: Int { fields.bytes.count }

        /// The whole entry; it asks no more of its reader than what is in it.
        package var bytes: [UInt8] {
            var head = TLVWriter(reserving: 32)
            LogEnvelope(featureLevel: level, time: time, namespace: "", kind: batchKind).encode(into: &head)
            return head.bytes + fields.bytes
        }

        package mutating func append(_ command: Command) {
            count += 1
            level = max(level, command.neededLevel)
            fields.message(1) { writer in
                writer.string(1, command.namespace)
                writer.u16(2, command.kind)
                writer.message(3) { command.encode(into: &$0) }
            }
        }
    }
}

extension Command {
    fileprivate func encode(into writer: inout TLVWriter) {
        switch self {
        case .submit(let submit):
            writer.message(1, submit.message)
            writer.u64(2, submit.catalogVersion)
            for rule in submit.matched { writer.string(3, rule) }
            for run in submit.runs { writer.run(4, run) }
        case .settle(let settle): settle.encode(into: &writer)
        case .start(let start): writer.run(1, start.run)
        case .stage(let stage):
            writer.id(1, stage.upload)
            writer.u64(2, stage.offset)
            writer.bytes(3, stage.bytes)
        case .activate(let activate):
            writer.u64(1, activate.expectedVersion)
            writer.id(2, activate.upload)
            for definition in activate.definitions { writer.definition(3, definition) }
            for key in activate.removed { writer.message(4) { $0.definitionKey(key) } }
            if activate.level > 1 { writer.u16(5, activate.level) }
        case .digest(let digest):
            writer.u64(1, digest.high)
            writer.u64(2, digest.low)
        case .featureLevel(let level): writer.u16(1, level)
        case .freeze(let change): change.encode(into: &writer)
        }
    }
}

extension Start {
    fileprivate init(_ field: TLVField) throws(WireError) {
        var reader = try field.message()
        var run: WorkflowRun?
        while let part = try reader.next() {
            guard part.tag == 1 else { throw part.unknown }
            run = try part.run()
        }
        self.run = try run.required(1, of: "start")
    }
}

extension Submit {
    fileprivate init(_ field: TLVField) throws(WireError) {
        var reader = try field.message(repeating: 1 << 3 | 1 << 4)
        var message: Message?
        var known: KnownMessage?
        var version: UInt64?
        (matched, runs) = ([], [])
        while let part = try reader.next() {
            switch part.tag {
            case 1:
                let read = try part.storedMessage()
                (message, known) = (read, KnownMessage(field: part, message: read))
            case 2: version = try part.u64()
            case 3: matched.append(try part.string())
            case 4: runs.append(try part.run(of: known))
            default: throw part.unknown
            }
        }
        self.message = try message.required(1, of: "submit")
        catalogVersion = try version.required(2, of: "submit")
    }
}

extension Settle {
    fileprivate func encode(into writer: inout TLVWriter) {
        writer.string(1, namespace.text)
        writer.id(2, run)
        writer.u64(3, expectedRevision)
        writer.u64(4, revision)
        writer.string(5, state.rawValue)
        writer.time(6, endedAt)
        writer.value(7, output)
        writer.error(8, error)
        for change in tasks {
            writer.message(9) { writer in
                writer.u32(1, UInt32(change.place))
                writer.task(2, change.record)
            }
        }
        if let successor { writer.run(10, successor) }
    }

    fileprivate init(_ field: TLVField) throws(WireError) {
        var reader = try field.message(repeating: 1 << 9)
        var namespace: Namespace?
        var run: RunID?
        var state: WorkflowRun.State?
        var tasks: [ChangedTask] = []
        var numbers: (expected: UInt64, revision: UInt64) = (0, 0)
        var rest: (endedAt: ClusterTime?, output: Value?, error: TaskError?, successor: WorkflowRun?)
        while let part = try reader.next() {
            switch part.tag {
            case 1: namespace = try part.namespace()
            case 2: run = try part.id()
            case 3: numbers.expected = try part.u64()
            case 4: numbers.revision = try part.u64()
            case 5: state = try part.word(.runStates)
            case 6: rest.endedAt = try part.time()
            case 7: rest.output = try part.value()
            case 8: rest.error = try part.taskError()
            case 9: tasks.append(try Self.change(part))
            case 10: rest.successor = try part.run()
            default: throw part.unknown
            }
        }
        self.init(
            namespace: try namespace.required(1, of: "settle"), run: try run.required(2, of: "settle"), expectedRevision: numbers.expected,
            revision: numbers.revision, state: try state.required(5, of: "settle"), endedAt: rest.endedAt, output: rest.output,
            error: rest.error,
            tasks: tasks, successor: rest.successor)
    }

    private static func change(_ field: TLVField) throws(WireError) -> ChangedTask {
        var reader = try field.message()
        var place: Int?
        var record: TaskRecord?
        while let part = try reader.next() {
            switch part.tag {
            case 1: place = Int(try part.u32())
            case 2: record = try part.task()
            default: throw part.unknown
            }
        }
        return ChangedTask(place: try place.required(1, of: "changed task"), record: try record.required(2, of: "changed task"))
    }
}

extension Stage {
    fileprivate init(_ field: TLVField) throws(WireError) {
        var reader = try field.message()
        var upload: UUIDv7?
        (offset, bytes) = (0, [])
        while let part = try reader.next() {
            switch part.tag {
            case 1: upload = try part.id()
            case 2: offset = try part.u64()
            case 3: bytes = try part.bytes()
            default: throw part.unknown
            }
        }
        self.upload = try upload.required(1, of: "stage")
    }
}

extension Activate {
    fileprivate init(_ field: TLVField) throws(WireError) {
        var reader = try field.message(repeating: 1 << 3 | 1 << 4)
        (expectedVersion, upload, definitions, removed) = (0, nil, [], [])
        while let part = try reader.next() {
            switch part.tag {
            case 1: expectedVersion = try part.u64()
            case 2: upload = try part.id()
            case 3: definitions.append(try part.definition())
            case 4: removed.append(try part.definitionKey())
            case 5: level = try part.u16()
            default: throw part.unknown
            }
        }
    }
}

extension TLVWriter {
    mutating func definitionKey(_ key: DefinitionKey) {
        string(1, key.kind)
        string(2, key.namespace)
        string(3, key.name)
    }

    package mutating func definition(_ tag: UInt16, _ record: DefinitionRecord) {
        message(tag) { writer in
            writer.message(1) { $0.definitionKey(record.key) }
            writer.u64(2, record.version)
            writer.bytes(3, record.json)
        }
    }
}

extension TLVField {
    func definitionKey() throws(WireError) -> DefinitionKey {
        var reader = try message()
        var key = DefinitionKey(kind: "", namespace: "", name: "")
        while let part = try reader.next() {
            switch part.tag {
            case 1: key.kind = try part.string()
            case 2: key.namespace = try part.string()
            case 3: key.name = try part.string()
            default: throw part.unknown
            }
        }
        return key
    }

    package func definition() throws(WireError) -> DefinitionRecord {
        var reader = try message()
        var key: DefinitionKey?
        var version: UInt64 = 0
        var json: [UInt8] = []
        while let part = try reader.next() {
            switch part.tag {
            case 1: key = try part.definitionKey()
            case 2: version = try part.u64()
            case 3: json = try part.bytes()
            default: throw part.unknown
            }
        }
        return DefinitionRecord(key: try key.required(1, of: "definition"), version: version, json: json)
    }
}

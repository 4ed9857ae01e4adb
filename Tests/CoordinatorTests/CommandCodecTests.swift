import Primitives
import Testing
import Wire
import Workflows

@testable import Coordinator

/// Commands as bytes: what is written reads back equal, and what cannot be read is refused (CommandCodec.swift).
struct CommandCodecTests {
    private let time = ClusterTime(milliseconds: 0x018F_3B1E_7C2A)

    // MARK: Samples

    /// A run that has gone through much: attempts, errors, outputs, traces.
    private func run() throws -> WorkflowRun {
        var replica = Replica()
        try replica.activate([
            workflowText(
                "rich",
                #"""
                {"a": {"use": "exec", "with": {"command": ["a"], "stdin": {"x": [1.5, null, "é"]}}, "retry": 3, "timeout": {"total": "1h"}},
                 "b": {"depends_on": ["a"], "use": "transform", "with": {"value": "${{ tasks.a.output }}"}},
                 "c": {"use": "wait", "with": {"duration": "5m"}}}
                """#, top: #""timeout": "2h", "#)
        ])
        let begun = try replica.begun("rich", 5)
        let params: Value = ["p": [1, .uint(.max), .double(-0.5)]]
        var run = WorkflowRun(
            id: begun.id, namespace: try Namespace("shop"), workflow: "rich", definitionVersion: 7, version: "1.4.0", rule: "set/rule",
            message: try message(), params: params,
            trace: TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: true, state: "vendor=1"), createdAt: begun.createdAt,
            deadline: begun.deadline, retriesLeft: 3, retryOf: RunID(high: 9, low: 8), tasks: begun.tasks)
        run.tasks[0].state = .waiting
        run.tasks[0].attempts = 2
        run.tasks[0].failures = 1
        run.tasks[0].losses = 1
        run.tasks[0].fence = Fence(term: Term(3), assignment: 77)
        run.tasks[0].worker = try NodeID("w-1.rack-2")
        run.tasks[0].startedAt = time
        run.tasks[0].endedAt = time.advanced(by: .seconds(1))
        run.tasks[0].error = TaskError(type: "exit_code", message: "it ended with 3 \u{0}", status: 3)
        let output: Value = ["deep": [["list"], 1e300]]
        run.tasks[0].output = output
        run.revision = 12
        run.state = .held
        run.endedAt = time
        run.output = .null
        run.error = TaskError(type: "x", message: "")
        return run
    }

    private func message() throws -> Message {
        Message(
            id: "m-1", source: "/source", type: "order.placed", time: "2026-11-23T14:32:07Z", subject: "s",
            namespace: try Namespace("shop"),
            extensions: Fields([.init("traceparent", "00"), .init("n", 5)]), data: ["amount": 25_000, "items": [["sku": "gc-1"]], "é": nil])
    }

    private func samples() throws -> [Command] {
        let run = try run()
        let plain = Message(id: "", source: "", type: "", data: nil)
        var later = run
        later.tasks[1].state = .skipped
        later.revision += 1
        later.state = .failed
        let settle = Settle(from: run, to: later)
        let full = Settle(from: run, to: later, successor: run)
        let definition = try record(Rig.definitions[1], version: 3)
        return [
            .submit(Submit(message: run.message, catalogVersion: 7, matched: ["a/b", "c/d"], runs: [run, later])),
            .submit(Submit(message: plain, catalogVersion: 0, matched: [], runs: [])), .settle(settle), .settle(full),
            .start(Start(run: run)), .start(Start(run: later)),
            .stage(Stage(upload: UUIDv7(high: 1, low: 2), offset: 3, bytes: [0, 255])),
            .stage(Stage(upload: UUIDv7(high: 1, low: 2), offset: .max, bytes: [])),
            .activate(Activate(expectedVersion: 4, upload: nil, definitions: [definition, definition], removed: [definition.key])),
            .activate(Activate(expectedVersion: 4, upload: UUIDv7(high: .max, low: .max), definitions: [], removed: [])),
            .digest(StateDigest(high: 1, low: .max)), .featureLevel(0), .featureLevel(3),
        ]
    }

    // MARK: Round trips

    @Test func `every command reads back equal`() throws {
        for command in try samples() {
            let bytes = CommandCodec.encode([command], time: time)
            let (readTime, commands) = try CommandCodec.decode(bytes)
            #expect(readTime == time)
            #expect(commands == [command])
        }
    }

    @Test func `commands of one entry keep their order`() throws {
        let all = try samples()
        let (_, commands) = try CommandCodec.decode(CommandCodec.encode(all, time: time))
        #expect(commands == all)
        let (_, none) = try CommandCodec.decode(CommandCodec.encode([], time: time))
        #expect(none.isEmpty)
    }

    @Test func `the same commands give the same bytes, and reading and writing again changes none`() throws {
        let all = try samples()
        let bytes = CommandCodec.encode(all, time: time)
        #expect(CommandCodec.encode(all, time: time) == bytes)
        let (readTime, commands) = try CommandCodec.decode(bytes)
        #expect(CommandCodec.encode(commands, time: readTime) == bytes)
    }

    @Test func `an entry filled piece by piece is the entry written at once`() throws {
        let all = try samples()
        var batch = CommandCodec.CommandBatch(time: time)
        for command in all { batch.append(command) }
        #expect(batch.bytes == CommandCodec.encode(all, time: time))
        #expect(batch.count == all.count)
    }

    @Test func `a run reads back with the digest that it had`() throws {
        let run = try run()
        let command = Command.submit(Submit(message: run.message, catalogVersion: 1, matched: [], runs: [run]))
        let (_, commands) = try CommandCodec.decode(CommandCodec.encode([command], time: time))
        guard case .submit(let submit)? = commands.first else {
            Issue.record("\(commands)")
            return
        }
        #expect(submit.runs.map(\.stateDigest) == [run.stateDigest])
    }

    @Test func `what a planner proposes reads back to the same bytes`() throws {
        var rig = try Rig(slots: 2)
        var open: [TaskAssignment] = []
        for number in 1...12 {
            open += rig.submit(["order", "note", "fragile", "pause"][number % 4], number).assignments
            guard let first = open.popLast() else { continue }
            let outcome: AttemptOutcome =
                number % 3 == 0 ? .failed(TaskError(type: "exit_code", message: "é", status: 2)) : .succeeded(["n": Value(number)])
            open += rig.end(first, outcome).assignments
        }
        for proposal in rig.log {
            let (time, commands) = try CommandCodec.decode(proposal.payload)
            #expect(CommandCodec.encode(commands, time: time) == proposal.payload, "entry \(proposal.index)")
        }
    }

    @Test func `the numbers of the commands are these for ever`() throws {
        let kinds = Set(try samples().map(\.kind))
        let expected: Set<UInt16> = [0x0010, 0x0011, 0x0012, 0x0020, 0x0021, 0x0030, 0x0031]
        #expect(kinds == expected)
        let namespaces = try samples().map(\.namespace)
        #expect(namespaces == ["shop", "default", "shop", "shop", "shop", "shop", "", "", "", "", "", "", ""])
    }

    // MARK: Refusals

    /// An entry with this envelope and these fields.
    private func entry(level: UInt16 = CommandCodec.featureLevel, kind: UInt16 = 1, _ fields: (inout TLVWriter) -> Void) -> [UInt8] {
        var writer = TLVWriter()
        LogEnvelope(featureLevel: level, time: time, namespace: "", kind: kind).encode(into: &writer)
        fields(&writer)
        return writer.bytes
    }

    /// An entry with one command of this kind and these fields.
    private func command(_ kind: UInt16, _ fields: (inout TLVWriter) -> Void) -> [UInt8] {
        entry { writer in
            writer.message(1) { writer in
                writer.string(1, "")
                writer.u16(2, kind)
                writer.message(3) { fields(&$0) }
            }
        }
    }

    private func refusal(_ payload: [UInt8]) -> WireError? {
        do throws(WireError) {
            _ = try CommandCodec.decode(payload)
            return nil
        } catch {
            return error
        }
    }

    private func isUnknownField(_ error: WireError?, _ wanted: UInt16) -> Bool {
        if case .unknownField(let tag, _)? = error { return tag == wanted }
        return false
    }

    @Test func `another version, a higher feature level and another kind of entry are refused`() {
        var payload = entry { _ in }
        #expect(refusal(payload) == nil)
        payload[0] = 2
        #expect(refusal(payload) == .unsupportedEnvelope(version: 2))
        #expect(refusal(entry(level: 5) { _ in }) == .unsupportedFeatureLevel(5, supported: 4))
        #expect(refusal(entry(level: .max) { _ in }) == .unsupportedFeatureLevel(.max, supported: 4))
        #expect(refusal(entry(kind: 2) { _ in }) == .unknownCommand(kind: 2))
        #expect(refusal([]) == .truncated(at: 0))
    }

    @Test func `entries of every level up to this program's are read, and it writes the least that suffices`() throws {
        #expect(CommandCodec.featureLevel == 4)
        for level: UInt16 in [0, 1, 2, 3, 4] { #expect(refusal(entry(level: level) { _ in }) == nil, "level \(level)") }
        let envelope = try LogEnvelope.head(of: CommandCodec.encode([], time: time))
        #expect(envelope.featureLevel == 1)
    }

    @Test func `a run's own message is not taken for the one beside it`() throws {
        let run = try run()
        for (place, data) in [Value.map(Fields([.init("amount", 25_001)])), ["amount": 25_000], nil].enumerated() {
            var message = run.message
            message.data = data
            let command = Command.submit(Submit(message: message, catalogVersion: 1, matched: [], runs: [run, run]))
            #expect(try CommandCodec.decode(CommandCodec.encode([command], time: time)).commands == [command], "\(place)")
        }
    }

    @Test func `a missing field is named`() throws {
        let (absent, present): (UInt8?, UInt8?) = (nil, 4)
        #expect(throws: WireError.missingField(tag: 3, of: "a task")) { try absent.required(3, of: "a task") }
        #expect(try present.required(3, of: "a task") == 4)
    }

    @Test func `an unknown command is refused by its number`() {
        #expect(refusal(command(0x7777) { _ in }) == .unknownCommand(kind: 0x7777))
        #expect(refusal(command(0) { _ in }) == .unknownCommand(kind: 0))
    }

    @Test func `an unknown field is refused wherever it stands`() {
        #expect(isUnknownField(refusal(entry { $0.u8(2, 1) }), 2))
        #expect(isUnknownField(refusal(entry { $0.message(1) { $0.u8(9, 1) } }), 9))
        for kind: UInt16 in [0x0010, 0x0011, 0x0012, 0x0020, 0x0021, 0x0030, 0x0031] {
            #expect(isUnknownField(refusal(command(kind) { $0.u8(60, 1) }), 60), "kind \(kind)")
        }
        let inRun = command(0x0010) { writer in writer.message(4) { $0.u8(40, 1) } }
        #expect(isUnknownField(refusal(inRun), 40))
        let inMessage = command(0x0010) { writer in writer.message(1) { $0.u8(41, 1) } }
        #expect(isUnknownField(refusal(inMessage), 41))
        let inTask = command(0x0011) { writer in writer.message(9) { $0.message(2) { $0.u8(42, 1) } } }
        #expect(isUnknownField(refusal(inTask), 42))
        let inStart = command(0x0012) { writer in writer.message(1) { $0.u8(44, 1) } }
        #expect(isUnknownField(refusal(inStart), 44))
        let inDefinition = command(0x0021) { writer in writer.message(3) { $0.message(1) { $0.u8(43, 1) } } }
        #expect(isUnknownField(refusal(inDefinition), 43))
    }

    @Test func `a command without what it needs is refused`() {
        let cases: [(UInt16, WireError)] = [
            (0x0010, .missingField(tag: 1, of: "submit")), (0x0011, .missingField(tag: 1, of: "settle")),
            (0x0012, .missingField(tag: 1, of: "start")), (0x0020, .missingField(tag: 1, of: "stage")),
            (0x0031, .missingField(tag: 1, of: "feature level")),
        ]
        for (kind, expected) in cases { #expect(refusal(command(kind) { _ in }) == expected) }
        #expect(refusal(entry { $0.message(1) { _ in } }) == .missingField(tag: 3, of: "command"))
        let withoutKind = entry { $0.message(1) { $0.message(3) { _ in } } }
        #expect(refusal(withoutKind) == .missingField(tag: 2, of: "command"))
        let emptyRun = command(0x0010) { $0.message(4) { _ in } }
        #expect(refusal(emptyRun) == .missingField(tag: 1, of: "run"))
    }

    @Test func `words and names that are none are refused`() throws {
        let state = command(0x0011) { $0.string(5, "sleeping") }
        let namespace = command(0x0011) { $0.string(1, "No!") }
        let id = command(0x0011) { $0.bytes(2, [1, 2, 3]) }
        let output = command(0x0011) { $0.bytes(7, Array("{".utf8)) }
        for payload in [state, namespace, id, output] {
            guard case .badValue? = refusal(payload) else {
                Issue.record("\(String(describing: refusal(payload)))")
                continue
            }
        }
    }

    // MARK: Chance

    @Test func `an entry with any bytes changed is read or refused, and never traps`() throws {
        let run = try run()
        var later = run
        later.tasks[0].state = .succeeded
        later.revision += 1
        let whole = CommandCodec.encode(
            [
                .submit(Submit(message: run.message, catalogVersion: 7, matched: ["a/b"], runs: [run])),
                .settle(Settle(from: run, to: later)), .start(Start(run: later)),
                .digest(StateDigest(high: 1, low: 2)),
            ], time: time)
        let seed: UInt64 = 31
        var generator = SeededGenerator(seed: seed)
        var read = 0
        for _ in 0..<20_000 {
            var mutated = whole
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: mutated.indices, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: mutated[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                case 1: mutated[place] = UInt8.random(in: 0...255, using: &generator)
                case 2: mutated.insert(UInt8.random(in: 0...20, using: &generator), at: place)
                default: mutated.remove(at: place)
                }
            }
            if Int.random(in: 0..<10, using: &generator) == 0 { mutated.removeLast(Int.random(in: 0...mutated.count, using: &generator)) }
            if refusal(mutated) == nil { read += 1 }
        }
        #expect(read > 0, "seed \(seed)")
    }
}

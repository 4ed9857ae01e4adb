import HashTreeCollections
import Primitives
import Testing
import Wire
import Workflows

@testable import Coordinator

/// A log that has in it whatever a log of its level may have: made by a planner, and by hand where a planner would not come to it.
/// It is made once, written to Golden and never again: what is read there is a promise, not what planners do today.
struct GoldenLog {
    private(set) var entries: [LogEntry] = []
    /// The state in the middle of the log.
    private(set) var snapshot: [UInt8] = []

    private let level: UInt16
    private var rig: Rig
    /// Where the hand took over from the planner, and gave back to it.
    private var state: CoordinatorState
    private var open: [TaskAssignment] = []
    private var ended: [WorkflowRun] = []
    private let exit = TaskError(type: "exit_code", message: "it ended with 3 \u{0} é", status: 3)

    private static let definitions: [String] =
        [
            ruleSetText(
                "["
                    + [
                        ruleText("order", starts: "order"), ruleText("note", starts: "note"), ruleText("pause", starts: "pause"),
                        ruleText("fragile", starts: "fragile", more: #", "retry": 2"#), ruleText("slow", starts: "slow"),
                        ruleText("stubborn", starts: "stubborn"),
                    ].joined(separator: ", ") + "]")
        ] + Rig.definitions.dropFirst() + [
            workflowText("slow", #"{"rest": {"use": "wait", "with": {"duration": "5m"}}}"#, top: #""timeout": "1m", "#),
            workflowText(
                "stubborn",
                #"{"knock": {"use": "exec", "with": {"command": ["knock"]}, "retry": 3, "idempotent": true, "timeout": {"attempt": "5s", "total": "1h"}}}"#
            ),
        ]

    init(level: UInt16) throws {
        self.level = level
        var limits = Planner.Limits()
        (limits.stageBytes, limits.entryBytes, limits.digestEvery) = (400, 2000, 5)
        rig = try Rig(limits: limits, definitions: Self.definitions, slots: 1)
        state = rig.planner.state
        take(rig.log.count)
        try firstTerm()
        try secondTerm()
        try thirdTerm(limits)
    }

    // MARK: As planned

    private mutating func firstTerm() throws {
        if level >= 3 { handle([.raiseFeatureLevel(to: level, announced: [rig.worker: level], token: 0)]) }
        for (number, type) in ["order", "order", "note", "pause", "fragile"].enumerated() { submit(type, number + 1) }
        finish("pay", .succeeded(["receipt": 5, "é": [nil, 0.5]]))
        finish("write", .succeeded(.uint(.max)))
        finish("ship", .succeeded([["deep": ["list", true]]]))
        finish("pay", .failed(exit))
        finish("try", .failed(exit))
        finish("try", .timedOut(TaskError(type: "timeout", message: "5s are over")))
        finish("try", .succeeded("at last"))
        try doubts()
        submit("order", 9)
        handle([.cancel(try running("pay"), reason: "not wanted", token: 0)])
        pass(.seconds(91))
        submit("slow", 10)
        pass(.seconds(61))
        submit("stubborn", 11)
        finish("knock", .failed(exit))
        pass(.seconds(600))
        finish("knock", .neverStarted)
        finish("knock", .lost)
        pass(.seconds(700))
        submit("note", 12)
        if level >= 2 {
            handle([.retry(try #require(ended.first { $0.workflow == "order" && $0.state == .failed }), trace: nil, token: 0)])
        }
        try change()
    }

    /// Attempts of which nobody knows how they ended: resolved in each way, and one that is left.
    private mutating func doubts() throws {
        for (number, verdict) in [WorkflowRun.Verdict.retry, .failed("no"), .succeeded(["by": "hand"])].enumerated() {
            submit("order", 6 + 10 * number)
            let run = try running("pay")
            finish("pay", .lost)
            handle([.resolve(run, task: "pay", verdict, token: 0)])
            finish(number == 0 ? "pay" : "ship", .succeeded(1))
        }
        submit("order", 8)
        finish("pay", .lost)
    }

    /// Open runs keep what they began with; one definition goes.
    private mutating func change() throws {
        let placement =
            level >= 4 ? #", "priority": 7, "cost": 2, "prefer": [{"labels": {"zone": "north"}}], "sticky": "group", "group": "g""# : ""
        let order = workflowText("order", #"{"only": {"use": "transform", "with": {"value": "new"}\#(placement)}}"#)
        let rules = ruleSetText("[\(ruleText("order", starts: "order")), \(ruleText("fragile", starts: "fragile"))]")
        let input = try rig.activation([order, rules], removing: [workflowKey("slow")])
        handle([input])
    }

    private mutating func thirdTerm(_ limits: Planner.Limits) throws {
        snapshot = StateCodec.encode(state)
        begin(Term(3), .leaderStart)
        let (catalog, unreadable) = Catalog.compile(state)
        #expect(unreadable.isEmpty)
        rig.planner = Planner(term: Term(3), state: state, catalog: catalog, seed: 7, wall: rig.wall, limits: limits)
        handle([.join(rig.worker, slots: 3, light: 8)])
        if level >= 4 { handle([.freeze(FreezeChange(.intake, isFrozen: false), token: 0)]) }
        for (number, type) in ["order", "fragile", "order"].enumerated() { submit(type, 41 + number) }
        finish("only", .succeeded("new"))
        finish("try", .failed(exit))
        let held = state.runs.values.map(\.run).filter { $0.state == .held && $0.workflow == "order" }.map(\.id).min()
        handle([.resolve(try #require(held), task: "pay", .succeeded(8), token: 0)])
        pass(.seconds(65))
        finish("only", .succeeded("newer"))
    }

    // MARK: By hand

    private mutating func secondTerm() throws {
        state = rig.planner.state
        begin(Term(2), .leaderStart)
        begin(Term(2), .configuration, payload: Array("voters=w-1 outgoing= learners=w-2 target=".utf8))
        try messages()
        try uploads()
        if level >= 3 { try keep([.featureLevel(3), .featureLevel(2), .featureLevel(1)]) }
        if level >= 4 { try freezes() }
        try keep([], endsWithDigest: true)
    }

    /// Both parts are stopped again, one is let go, and one stays so in the snapshot.
    private mutating func freezes() throws {
        let (intake, dispatch) = (FreezeChange(.intake, isFrozen: true, reason: "moving é"), FreezeChange(.dispatch, isFrozen: true))
        try keep([.freeze(intake), .freeze(dispatch), .freeze(FreezeChange(.intake, isFrozen: true, reason: "later"))])
        try keep([.freeze(FreezeChange(.dispatch, isFrozen: false)), .freeze(FreezeChange(.dispatch, isFrozen: false))])
    }

    /// A run that has whatever a run can have.
    private func rich(_ number: UInt64) throws -> WorkflowRun {
        let time = ClusterTime(milliseconds: 0x018F_3B1E_7C2A)
        let space = try Namespace("shop")
        let message = Message(
            id: "m-\(number)", source: "/source", type: "order.placed", time: "2026-11-23T14:32:07Z", subject: "s", namespace: space,
            extensions: Fields([.init("traceparent", "00"), .init("n", 5)]),
            data: ["amount": 25_000, "items": [["sku": "gc-1"]], "é": nil])
        var pay = TaskRecord(name: "pay", kind: .http)
        (pay.state, pay.attempts, pay.failures, pay.losses) = (.waiting, 2, 1, 1)
        (pay.fence, pay.worker, pay.key) = (Fence(term: Term(2), assignment: 700 + number), try NodeID("w-1.rack-2"), "key-\(number)")
        (pay.input, pay.output, pay.error) = (["x": [1.5, nil]], ["deep": [["list"], 1e300]], exit)
        (pay.readyAt, pay.startedAt, pay.endedAt) = (time, time, time.advanced(by: .seconds(1)))
        (pay.dueAt, pay.totalDueAt) = (time.advanced(by: .seconds(5)), time.advanced(by: .seconds(50)))
        var run = WorkflowRun(
            id: RunID(high: 9, low: number), namespace: space, workflow: "rich", definitionVersion: 7, version: "1.4.0", rule: "set/rule",
            message: message, params: ["p": [1, .uint(.max), .double(-0.5)]],
            trace: TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: true, state: "vendor=1"), createdAt: time,
            deadline: time.advanced(by: .seconds(7200)), retriesLeft: 3, retryOf: RunID(high: 9, low: 8),
            tasks: [pay, TaskRecord(name: "ship", kind: .wait)])
        (run.revision, run.output, run.error) = (12, .null, TaskError(type: "x", message: ""))
        return run
    }

    private mutating func messages() throws {
        let (run, other) = (try rich(1), try rich(2))
        let submit = Submit(message: run.message, catalogVersion: state.catalogVersion, matched: ["a/b", "c/d"], runs: [run])
        let late = Submit(message: other.message, catalogVersion: 1, matched: [], runs: [other])
        let silent = Submit(
            message: Message(id: "", source: "", type: "", data: nil), catalogVersion: state.catalogVersion, matched: [], runs: [])
        try keep([.submit(submit), .submit(submit), .submit(late), .submit(silent)])
        var next = run
        (next.state, next.revision, next.endedAt) = (.failed, 13, run.createdAt)
        (next.tasks[0].state, next.tasks[1].state) = (.failed, .skipped)
        let settle = Settle(from: run, to: next, successor: other)
        var outside = Settle(from: other, to: other)
        outside.tasks = [.init(place: 9, record: other.tasks[0])]
        try keep([.settle(settle), .settle(settle), .settle(outside)])
        // The next one says an earlier time than the state has, and another revision than the run.
        var again = Settle(from: other, to: other)
        again.expectedRevision = 11
        try keep([.settle(again)], time: ClusterTime(milliseconds: 5))
        guard level >= 2 else { return }
        let third = try rich(3)
        try keep([.start(Start(run: third)), .start(Start(run: third)), .start(Start(run: next))])
    }

    private mutating func uploads() throws {
        func stage(_ number: UInt64, _ offset: UInt64, _ bytes: [UInt8]) -> Command {
            .stage(Stage(upload: UUIDv7(high: 4, low: number), offset: offset, bytes: bytes))
        }
        try keep([stage(1, 0, [1, 2, 3]), stage(1, 3, [4]), stage(1, 9, [5]), stage(2, 0, [0, 255])])
        try keep([stage(3, 0, []), stage(4, 0, [7]), stage(5, 0, [8])])
        func activate(_ version: UInt64, _ upload: UInt64?) -> Command {
            .activate(
                Activate(
                    expectedVersion: version, upload: upload.map { UUIDv7(high: 4, low: $0) }, definitions: [], removed: [workflowKey("?")])
            )
        }
        try keep([activate(0, nil), activate(state.catalogVersion, 2), activate(state.catalogVersion, 77)])
        try keep([activate(state.catalogVersion, nil)])
    }

    // MARK: Entries

    private mutating func begin(_ term: Term, _ kind: LogEntry.Kind, payload: [UInt8] = []) {
        state.begin(state.applied.next, term: term, time: state.time)
        entries.append(LogEntry(index: state.applied, term: term, kind: kind, payload: payload))
    }

    /// An entry of the second term.
    private mutating func keep(_ commands: [Command], time: ClusterTime? = nil, endsWithDigest: Bool = false) throws {
        let time = time ?? state.time.advanced(by: .milliseconds(7))
        var (commands, applied) = (commands, Applied())
        state.begin(state.applied.next, term: Term(2), time: time)
        for command in commands { try state.apply(command, into: &applied) }
        if endsWithDigest { commands.append(.digest(state.digest)) }
        let payload = CommandCodec.encode(commands, time: time)
        entries.append(LogEntry(index: state.applied, term: Term(2), kind: .commands, payload: payload))
    }

    /// The last so many of the planner's.
    private mutating func take(_ count: Int) {
        entries += rig.log.suffix(count).map { LogEntry(index: $0.index, term: rig.planner.term, kind: .commands, payload: $0.payload) }
    }

    private mutating func note(_ output: Planner.Output) {
        take(output.proposals.count)
        open += output.assignments
        ended += output.ended
    }

    private mutating func handle(_ inputs: [Planner.Input]) { note(rig.handle(inputs)) }
    private mutating func submit(_ type: String, _ number: Int) { note(rig.submit(type, number)) }
    private mutating func pass(_ duration: Duration) { note(rig.pass(duration)) }

    /// The oldest attempt at a task of this name ends.
    private mutating func finish(_ task: String, _ outcome: AttemptOutcome) {
        guard let place = open.firstIndex(where: { $0.task == task }) else {
            Issue.record("no attempt at \(task) to end: \(open.map(\.task))")
            return
        }
        note(rig.end(open.remove(at: place), outcome))
    }

    /// The run of the newest attempt at a task of this name.
    private func running(_ task: String) throws -> RunID { try #require(open.last { $0.task == task }).run }
}

import Coordinator
import Primitives
import Workflows

/// Items of a history.
enum HistorySamples {
    static func time(_ seconds: UInt64) -> ClusterTime { ClusterTime(milliseconds: 1_700_000_000_000 + seconds * 1000) }
    static func id(_ number: UInt64) -> RunID { RunID(high: 0x18F, low: number) }

    static func message(_ number: UInt64) -> Message { Message(id: "m-\(number)", source: "s", type: "t", data: ["n": Value(number)]) }

    /// One that has ended.
    static func run(_ number: UInt64, bytes: Int = 0) -> WorkflowRun {
        var run = WorkflowRun(
            id: id(number), namespace: .default, workflow: "flow", definitionVersion: 1, version: nil, rule: "a/b",
            message: message(number),
            params: nil, trace: nil, createdAt: time(number), deadline: nil, retriesLeft: 0, retryOf: nil,
            tasks: [TaskRecord(name: "a", kind: .transform)])
        run.state = .succeeded
        run.output = .string(String(repeating: "x", count: bytes))
        return run
    }
}

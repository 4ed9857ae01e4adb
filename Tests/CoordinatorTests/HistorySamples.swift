import Primitives
import Storage
import Workflows

@testable import Coordinator

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

    static func accepted(_ number: UInt64) -> AcceptedMessage {
        AcceptedMessage(message: message(number), catalogVersion: 3, matched: ["a/b"], runs: [id(number)], acceptedAt: time(number))
    }

    /// Items of one entry, as they lie in a file: a message and a run.
    static func entry(_ number: UInt64, bytes: Int = 0) -> [HistoryItem] { [.message(accepted(number)), .run(run(number, bytes: bytes))] }

    /// Those of several entries, one after the other.
    static func records(_ numbers: ClosedRange<UInt64>, bytes: Int = 0) -> [UInt8] {
        var found: [UInt8] = []
        for number in numbers {
            for item in entry(number, bytes: bytes) {
                HistoryRecord(item, index: LogIndex(number), time: time(number)).append(to: &found)
            }
        }
        return found
    }
}

extension HistoryStore {
    /// An entry each, as a node writes them.
    func write(_ numbers: ClosedRange<UInt64>, bytes: Int = 0) throws {
        for number in numbers {
            try append(HistorySamples.entry(number, bytes: bytes), index: LogIndex(number), time: HistorySamples.time(number))
            try flush()
            keepUp()
        }
    }

    /// What is done with full files is done, as where the disk is fast. What goes wrong is told where something is written next.
    func keepUp() { try? sealing { () throws(StorageError) in try sealAll() } }

    /// The numbers of all runs, or of all messages, newest first, read page by page.
    func listed(_ kind: HistoryRecord.Kind = .run, page: Int = 7) throws -> [UInt64] {
        var numbers: [UInt64] = []
        var cursor: Cursor?
        repeat {
            let (items, next) = try newest(kind, limit: page, before: cursor) { _ in true }
            for item in items {
                switch item {
                case .run(let run): numbers.append(run.id.low)
                case .message(let accepted): numbers.append(UInt64(accepted.message.id.dropFirst(2)) ?? 0)
                }
            }
            cursor = next
        } while cursor != nil
        return numbers
    }

    /// The same by what is kept in memory.
    func recentRuns() throws -> [UInt64] {
        try recent(.run).compactMap { item in
            guard case .run(let run) = item else { return nil }
            return run.id.low
        }
    }

    /// Whether both items of an entry are found by their ids.
    func has(_ number: UInt64) throws -> Bool {
        let found = (try run(HistorySamples.id(number)), try message("m-\(number)", namespace: .default))
        return found.0?.id == HistorySamples.id(number) && found.1 == HistorySamples.accepted(number)
    }
}

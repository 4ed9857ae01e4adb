import Cluster
import Primitives
import Storage
import Text
import Wire

/// Journal entries as bytes.
enum JournalCodec {
    private static let headBytes = 8
    private static let recordLimit = 4 << 20

    static func append(_ entry: Journal.Entry, to bytes: inout [UInt8]) {
        let text = JSONWriter.bytes(value(of: entry))
        for number in [UInt32(text.count), checksum(text)] { withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) } }
        bytes += text
    }

    /// Everything up to the first record that is not whole, and whether something stood after it.
    static func entries(in bytes: [UInt8]) -> (entries: [Journal.Entry], isWhole: Bool) {
        var entries: [Journal.Entry] = []
        var offset = 0
        while offset + headBytes <= bytes.count {
            let (length, sum) = bytes.withUnsafeBytes { raw in
                (
                    Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self))),
                    UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
                )
            }
            let start = offset + headBytes
            guard (1...recordLimit).contains(length), start + length <= bytes.count else { break }
            let text = Array(bytes[start..<start + length])
            guard checksum(text) == sum, let value = try? JSONScanner.parse(text, maximumDepth: 256), let entry = entry(from: value) else {
                break
            }
            entries.append(entry)
            offset = start + length
        }
        return (entries, offset == bytes.count)
    }

    private static func value(of entry: Journal.Entry) -> Value {
        switch entry {
        case .started(let held): ["v": 1, "started": value(of: held)]
        case .finished(let report): ["v": 1, "finished": value(of: report)]
        case .forgotten(let list): ["v": 1, "forgotten": .list(list.map { value(of: $0) })]
        case .torn: ["v": 1, "torn": true]
        case .settled: ["v": 1, "settled": true]
        }
    }

    private static func value(of held: HeldAssignment) -> Value {
        [
            "run": .string(held.run.description), "task": .string(held.task), "attempt": Value(held.attempt),
            "term": Value(held.fence.term.number), "assignment": Value(held.fence.assignment),
        ]
    }

    private static func value(of report: TaskReport) -> Value {
        let held = HeldAssignment(run: report.run, task: report.task, attempt: report.attempt, fence: report.fence)
        guard case .map(var fields) = value(of: held) else { return .null }
        fields["started"] = Value(report.startedAt.milliseconds)
        fields["ended"] = Value(report.endedAt.milliseconds)
        switch report.outcome {
        case .succeeded(let output): fields["succeeded"] = output
        case .failed(let error): fields["failed"] = error.value
        case .timedOut(let error): fields["timedOut"] = error.value
        case .cancelled: fields["cancelled"] = true
        case .lost: fields["lost"] = true
        case .neverStarted: fields["neverStarted"] = true
        }
        return .map(fields)
    }

    private static func entry(from value: Value) -> Journal.Entry? {
        guard value["v"]?.int == 1 else { return nil }
        if let started = value["started"] { return held(from: started).map { .started($0) } }
        if let finished = value["finished"] { return report(from: finished).map { .finished($0) } }
        if value["torn"] != nil { return .torn }
        if value["settled"] != nil { return .settled }
        return value["forgotten"]?.list.map { .forgotten($0.compactMap { held(from: $0) }) }
    }

    private static func unsigned(_ value: Value?) -> UInt64? {
        switch value {
        case .int(let number)?: UInt64(exactly: number)
        case .uint(let number)?: number
        default: nil
        }
    }

    private static func held(from value: Value) -> HeldAssignment? {
        guard let run = value["run"]?.string.flatMap({ UUIDv7($0) }), let task = value["task"]?.string, let attempt = value["attempt"]?.int,
            let term = unsigned(value["term"]), let assignment = unsigned(value["assignment"])
        else { return nil }
        return HeldAssignment(run: run, task: task, attempt: Int(attempt), fence: Fence(term: Term(term), assignment: assignment))
    }

    private static func report(from value: Value) -> TaskReport? {
        guard let held = held(from: value), let started = unsigned(value["started"]), let ended = unsigned(value["ended"]),
            let outcome = outcome(from: value)
        else { return nil }
        return TaskReport(
            run: held.run, task: held.task, attempt: held.attempt, fence: held.fence, outcome: outcome,
            startedAt: ClusterTime(milliseconds: started), endedAt: ClusterTime(milliseconds: ended))
    }

    private static func outcome(from value: Value) -> AttemptOutcome? {
        if let output = value["succeeded"] { return .succeeded(output) }
        if let error = value["failed"] { return .failed(taskError(error)) }
        if let error = value["timedOut"] { return .timedOut(taskError(error)) }
        if value["cancelled"] != nil { return .cancelled }
        if value["lost"] != nil { return .lost }
        return value["neverStarted"] != nil ? .neverStarted : nil
    }

    private static func taskError(_ value: Value) -> TaskError {
        TaskError(type: value["type"]?.string ?? "", message: value["message"]?.string ?? "", status: value["status"]?.int.map { Int($0) })
    }
}

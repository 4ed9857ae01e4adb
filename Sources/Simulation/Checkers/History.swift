import Primitives
package import Text

/// What clients asked and what they were told, in the order in which it happened.
///
/// A process has at most one operation open, time never falls, a key holds one kind of object (register or list), and an answer fits its
/// call: `invoke` and `complete` refuse the rest. Between two events of one nanosecond the order of these calls decides which was first.
package struct History: Equatable, Sendable {
    package enum Call: Hashable, Sendable {
        case read
        case write(UInt64)
        /// nil expects that the key does not exist.
        case compareAndSwap(expected: UInt64?, new: UInt64)
        case append(UInt64)
    }

    package enum Answer: Hashable, Sendable {
        /// A write or an append took effect.
        case done
        case swapped
        /// A compare-and-swap found another value than it expected and changed nothing.
        case mismatch
        /// What a read found in a register; nil when the key does not exist.
        case value(UInt64?)
        case list([UInt64])
    }

    /// How an operation ended; times in nanoseconds.
    package enum Completion: Hashable, Sendable {
        case ok(Answer, at: Int64)
        /// It never happened, for certain.
        case failed(at: Int64)
        /// It may take effect at any time after its invocation, or never.
        case unknown
    }

    package struct Operation: Hashable, Sendable {
        package var process: Int
        package var key: String
        package var call: Call
        /// Nanoseconds since an arbitrary start, one for the whole history.
        package var invokedAt: Int64
        package var completion: Completion

        package init(process: Int, key: String, call: Call, invokedAt: Int64, completion: Completion) {
            (self.process, self.key, self.call) = (process, key, call)
            (self.invokedAt, self.completion) = (invokedAt, completion)
        }
    }

    /// Each names its operation by its place in `operations`.
    package enum Event: Hashable, Sendable {
        case invoked(Int)
        case completed(Int)
    }

    package enum Kind: Hashable, Sendable { case register, list }

    /// In the order of invocation; one that is still open is `unknown`.
    package private(set) var operations: [Operation] = []
    package private(set) var events: [Event] = []
    private var open: [Int: Int] = [:]
    private var kinds: [String: Kind] = [:]
    private var latest = Int64.min

    package init() {}

    /// Takes operations in any order. Of two at one nanosecond the one that ends there precedes the one that begins.
    package init(operations: [Operation]) throws(HistoryError) {
        var order: [(time: Int64, rank: Int, operation: Int)] = []
        for (index, operation) in operations.enumerated() {
            order.append((operation.invokedAt, 1, index))
            guard let end = operation.endedAt else { continue }
            guard end >= operation.invokedAt else { throw HistoryError(.timeWentBack(from: operation.invokedAt, to: end)) }
            order.append((end, end == operation.invokedAt ? 2 : 0, index))
        }
        var current: [Int: Completion] = [:]
        for (_, rank, index) in order.sorted(by: <) {
            let operation = operations[index]
            if rank != 1 {
                try complete(process: operation.process, operation.completion)
                continue
            }
            if current[operation.process] == .unknown { try complete(process: operation.process, .unknown) }
            try invoke(process: operation.process, key: operation.key, operation.call, at: operation.invokedAt)
            current[operation.process] = operation.completion
        }
    }

    /// Begins an operation; answers its place in `operations`.
    @discardableResult
    package mutating func invoke(process: Int, key: String, _ call: Call, at time: Int64) throws(HistoryError) -> Int {
        if let earlier = open[process] { throw HistoryError(.stillOpen(process: process, operation: operations[earlier].description)) }
        try advance(to: time)
        switch call {
        case .read: break
        case .append: try note(.list, of: key)
        case .write, .compareAndSwap: try note(.register, of: key)
        }
        open[process] = operations.count
        events.append(.invoked(operations.count))
        operations.append(Operation(process: process, key: key, call: call, invokedAt: time, completion: .unknown))
        return operations.count - 1
    }

    /// Ends the open operation of a process.
    package mutating func complete(process: Int, _ completion: Completion) throws(HistoryError) {
        guard let index = open[process] else { throw HistoryError(.notOpen(process: process)) }
        switch completion {
        case .ok(let answer, let time):
            guard answer.fits(operations[index].call) else { throw HistoryError(.wrongAnswer(to: operations[index].description)) }
            try advance(to: time)
            switch answer {
            case .value(.some): try note(.register, of: operations[index].key)
            case .list: try note(.list, of: operations[index].key)
            case .value(nil), .done, .swapped, .mismatch: break
            }
        case .failed(let time): try advance(to: time)
        case .unknown: break
        }
        operations[index].completion = completion
        open[process] = nil
        events.append(.completed(index))
    }

    /// What a key holds; a key that was only ever read as absent counts as a register.
    package func kind(of key: String) -> Kind { kinds[key] ?? .register }

    /// Every key, in the order of first use.
    package var keys: [String] {
        var seen: Set<String> = []
        return operations.compactMap { seen.insert($0.key).inserted ? $0.key : nil }
    }

    package static func == (left: History, right: History) -> Bool { left.operations == right.operations && left.events == right.events }

    private mutating func advance(to time: Int64) throws(HistoryError) {
        guard time >= latest else { throw HistoryError(.timeWentBack(from: latest, to: time)) }
        latest = time
    }

    private mutating func note(_ kind: Kind, of key: String) throws(HistoryError) {
        guard kinds[key] ?? kind == kind else { throw HistoryError(.mixedKinds(key: key)) }
        kinds[key] = kind
    }
}

extension History.Answer {
    fileprivate func fits(_ call: History.Call) -> Bool {
        switch (call, self) {
        case (.read, .value), (.read, .list), (.write, .done), (.append, .done): true
        case (.compareAndSwap, .swapped), (.compareAndSwap, .mismatch): true
        case (.read, _), (.write, _), (.append, _), (.compareAndSwap, _): false
        }
    }

    package var text: String {
        switch self {
        case .done: "ok"
        case .swapped: "swapped"
        case .mismatch: "mismatch"
        case .value(let number): number.map(String.init) ?? "absent"
        case .list(let items) where items.count > 8:
            "[..., \(items.suffix(6).map(String.init).joined(separator: ", "))] (\(items.count) elements)"
        case .list(let items): "[\(items.map(String.init).joined(separator: ", "))]"
        }
    }
}

extension History.Call {
    package var text: String {
        switch self {
        case .read: "read"
        case .write(let value): "write \(value)"
        case .compareAndSwap(let expected, let new): "compare-and-swap \(expected.map(String.init) ?? "absent") to \(new)"
        case .append(let element): "append \(element)"
        }
    }
}

extension History.Operation: CustomStringConvertible {
    /// nil when the outcome is unknown.
    package var endedAt: Int64? {
        switch completion {
        case .ok(_, let time), .failed(let time): time
        case .unknown: nil
        }
    }

    /// nil unless it is known to have happened.
    package var answer: History.Answer? { if case .ok(let answer, _) = completion { answer } else { nil } }

    /// `process 2, read of "x": 7 (1000 to 2000 ns)`
    package var description: String {
        let head = "process \(process), \(call.text) of \"\(key)\""
        return switch completion {
        case .ok(let answer, let time): "\(head): \(answer.text) (\(invokedAt) to \(time) ns)"
        case .failed(let time): "\(head): failed (\(invokedAt) to \(time) ns)"
        case .unknown: "\(head): unknown (from \(invokedAt) ns)"
        }
    }
}

/// Why operations or lines make no history, and what to do about it.
package struct HistoryError: Error, Equatable, CustomStringConvertible {
    package enum Reason: Equatable, Sendable {
        case empty
        case notJSON(JSONError)
        case notAnObject
        case wrongMember(String, expected: String)
        case unknownFunction(String)
        case stillOpen(process: Int, operation: String)
        case notOpen(process: Int)
        case otherOperation(process: Int, operation: String)
        case timeWentBack(from: Int64, to: Int64)
        case wrongAnswer(to: String)
        case mixedKinds(key: String)
    }

    package let reason: Reason
    /// From 1; nil for a history that was not read from lines.
    package let line: Int?

    package init(_ reason: Reason, line: Int? = nil) {
        (self.reason, self.line) = (reason, line)
    }

    package var description: String { (line.map { "line \($0): " } ?? "") + reasonText }

    private var reasonText: String {
        switch reason {
        case .empty: "no operation at all; check that the client wrote to this file"
        case .notJSON(let error): "not JSON: \(error); a line cut off by a crash can be deleted, its operation then counts as unknown"
        case .notAnObject: "not a JSON object; write one object a line with process, type, f, key, value and time"
        case .wrongMember(let member, let expected): "\"\(member)\" must be \(expected)"
        case .unknownFunction(let name): "unknown f \"\(name.prefix(60))\"; write read, write, cas or append"
        case .stillOpen(let process, let operation):
            "process \(process) invokes before its last operation ended (\(operation)); end that with ok, fail or info first"
        case .notOpen(let process): "process \(process) completes an operation that it never invoked; write its invoke before"
        case .otherOperation(let process, let operation):
            "process \(process) completes another operation than it invoked (\(operation)); repeat its f, key and value"
        case .timeWentBack(let earlier, let time): "time goes back from \(earlier) to \(time) ns; sort the events by one monotonic clock"
        case .wrongAnswer(let operation): "the answer does not fit the call (\(operation))"
        case .mixedKinds(let key): "\"\(key.prefix(60))\" is used as a register and as a list; use one key for each"
        }
    }
}

extension History {
    /// One JSON object a line with process, type (invoke, ok, fail, info), f (read, write, cas, append), key, value and time (ns). A
    /// compare-and-swap has `[expected, new]` for its value; one that found another value ends with type fail and error `mismatch`, which
    /// other checkers read, rightly, as "never happened". Other members are ignored. An operation without an end is unknown.
    package init(jsonLines bytes: [UInt8]) throws(HistoryError) {
        self.init()
        for (place, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() where !line.isEmpty {
            do throws(HistoryError) { try add(HistoryLine(line)) } catch { throw HistoryError(error.reason, line: place + 1) }
        }
        guard !operations.isEmpty else { throw HistoryError(.empty) }
    }

    package var jsonLines: [UInt8] {
        var writer = JSONWriter(reserving: events.count * 96)
        var time: Int64 = 0
        for event in events {
            switch event {
            case .invoked(let index):
                time = operations[index].invokedAt
                writer.write(operations[index].line("invoke", operations[index].call.written.value, time))
            case .completed(let index):
                time = operations[index].endedAt ?? time
                writer.write(operations[index].endLine(time))
            }
            writer.raw("\n")
        }
        return writer.bytes
    }

    private mutating func add(_ line: HistoryLine) throws(HistoryError) {
        guard line.type != "invoke" else {
            try invoke(process: line.process, key: line.key, line.call(), at: line.time)
            return
        }
        guard let index = open[line.process] else { throw HistoryError(.notOpen(process: line.process)) }
        let operation = operations[index]
        var isSame = line.key == operation.key && line.function == operation.call.written.function
        if isSame, operation.call != .read, line.type == "ok" || line.value != .null { isSame = try line.call() == operation.call }
        guard isSame else { throw HistoryError(.otherOperation(process: line.process, operation: operation.description)) }
        try advance(to: line.time)
        try complete(process: line.process, line.completion(of: operation.call))
    }
}

extension History.Call {
    fileprivate var written: (function: String, value: Value) {
        switch self {
        case .read: ("read", .null)
        case .write(let value): ("write", Value(value))
        case .compareAndSwap(let expected, let new): ("cas", .list([expected.map { Value($0) } ?? .null, Value(new)]))
        case .append(let element): ("append", Value(element))
        }
    }
}

extension History.Operation {
    fileprivate func line(_ type: String, _ value: Value, _ time: Int64, error: String? = nil) -> Value {
        .object([
            "process": Value(process), "type": .string(type), "f": .string(call.written.function), "key": .string(key), "value": value,
            "time": .int(time), "error": error.map(Value.string),
        ])
    }

    fileprivate func endLine(_ time: Int64) -> Value {
        switch completion {
        case .ok(.value(let number), _): line("ok", number.map { Value($0) } ?? .null, time)
        case .ok(.list(let items), _): line("ok", .list(items.map { Value($0) }), time)
        case .ok(.done, _), .ok(.swapped, _): line("ok", call.written.value, time)
        case .ok(.mismatch, _): line("fail", call.written.value, time, error: "mismatch")
        case .failed: line("fail", call.written.value, time)
        case .unknown: line("info", call.written.value, time)
        }
    }
}

private struct HistoryLine {
    private static let (types, functions) = (["invoke", "ok", "fail", "info"], ["read", "write", "cas", "append"])
    let process: Int
    let type: String
    let function: String
    let key: String
    let value: Value
    let time: Int64
    let error: String?

    init(_ bytes: ArraySlice<UInt8>) throws(HistoryError) {
        let object: Value
        do throws(JSONError) { object = try JSONScanner.parse(bytes) } catch { throw HistoryError(.notJSON(error)) }
        guard object.map != nil else { throw HistoryError(.notAnObject) }
        guard let process = object["process"]?.int.flatMap({ Int(exactly: $0) }) else { throw Self.wrong("process", "an integer") }
        guard let type = object["type"]?.string, Self.types.contains(type) else { throw Self.wrong("type", "invoke, ok, fail or info") }
        guard let function = object["f"]?.string else { throw Self.wrong("f", "read, write, cas or append") }
        guard let key = object["key"]?.string else { throw Self.wrong("key", "a string") }
        guard let time = object["time"]?.int else { throw Self.wrong("time", "an integer, in nanoseconds") }
        guard Self.functions.contains(function) else { throw HistoryError(.unknownFunction(function)) }
        (self.process, self.type, self.function, self.key, self.time) = (process, type, function, key, time)
        value = object["value"] ?? .null
        error = object["error"]?.string
    }

    func call() throws(HistoryError) -> History.Call {
        switch function {
        case "write": return .write(try number())
        case "append": return .append(try number())
        case "cas":
            guard let pair = value.list, pair.count == 2, let new = pair[1].unsigned, pair[0] == .null || pair[0].unsigned != nil else {
                throw Self.wrong("value", "[expected, new] of a cas: integers from 0 to 2^64 - 1, expected may be null")
            }
            return .compareAndSwap(expected: pair[0].unsigned, new: new)
        default:
            guard value == .null else { throw Self.wrong("value", "null where a read is invoked") }
            return .read
        }
    }

    func completion(of call: History.Call) throws(HistoryError) -> History.Completion {
        switch type {
        case "ok" where call == .read: return .ok(try found(), at: time)
        case "ok": return .ok(function == "cas" ? .swapped : .done, at: time)
        case "fail" where function == "cas" && error == "mismatch": return .ok(.mismatch, at: time)
        case "fail": return .failed(at: time)
        default: return .unknown
        }
    }

    private func found() throws(HistoryError) -> History.Answer {
        if value == .null { return .value(nil) }
        guard let items = value.list else { return .value(try number()) }
        let numbers = items.compactMap(\.unsigned)
        guard numbers.count == items.count else { throw Self.wrong("value", "a list of integers from 0 to 2^64 - 1") }
        return .list(numbers)
    }

    private func number() throws(HistoryError) -> UInt64 {
        guard let number = value.unsigned else { throw Self.wrong("value", "an integer from 0 to 2^64 - 1") }
        return number
    }

    private static func wrong(_ member: String, _ expected: String) -> HistoryError {
        HistoryError(.wrongMember(member, expected: expected))
    }
}

extension Value {
    fileprivate var unsigned: UInt64? {
        switch self {
        case .int(let number): UInt64(exactly: number)
        case .uint(let number): number
        case .null, .bool, .double, .string, .list, .map: nil
        }
    }
}

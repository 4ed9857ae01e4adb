/// What any correct store keeps, checked in time proportional to the history: less than linearizability, but each violation names the
/// operations it takes to see it. The session guarantees are those of Terry et al. (1994).
///
/// A linearizable history has none of these violations. Who wrote a value must be plain to see: `readYourWrites`, `monotonicReads` and
/// `compareAndSwapChain` pass over the registers in `ambiguousKeys`.
package struct SessionGuarantees: Sendable {
    package enum Violation: Equatable, Sendable {
        /// A read (nil: the final one) found what nobody wrote; `writer` failed for certain or began only after the read.
        case phantom(value: UInt64, key: String, read: History.Operation?, writer: History.Operation?)
        /// A list (read nil: the final one) holds an element more often than it was appended.
        case repeated(element: UInt64, key: String, read: History.Operation?)
        /// Acknowledged, and neither there at the end nor replaced by another write.
        case lostWrite(History.Operation, final: History.Answer)
        /// A process found a state from before its own acknowledged write.
        case missedOwnWrite(History.Operation, read: History.Operation)
        /// A process found a state from before one that it had found earlier.
        case wentBack(History.Operation, read: History.Operation)
        /// Two compare-and-swaps replaced one and the same value (nil: the absent one).
        case twoSuccessors(of: UInt64?, History.Operation, History.Operation)
    }

    /// Registers of which two operations may have written the same value.
    package let ambiguousKeys: [String]
    private let keys: [KeySession]

    package init(_ history: History) {
        keys = KeyHistory.all(of: history).map { KeySession($0, history) }
        ambiguousKeys = keys.filter { $0.kind == .register && $0.isAmbiguous }.map(\.key)
    }

    /// Every check; `finalReads` states what keys held when all was over.
    package func violations(finalReads: [String: History.Answer] = [:]) -> [Violation] {
        phantoms() + lostWrites(finalReads: finalReads) + readYourWrites() + monotonicReads() + compareAndSwapChain()
    }

    /// At most one a read.
    package func phantoms() -> [Violation] {
        keys.flatMap { key in
            key.rows.compactMap { key.phantom(in: $0.entry.found, before: $0.entry.end, read: $0.operation) }
        }
    }

    /// `finalReads` states what each key held after every operation had ended or could no longer happen; other keys are passed over.
    package func lostWrites(finalReads: [String: History.Answer]) -> [Violation] {
        keys.flatMap { key -> [Violation] in
            switch finalReads[key.key] {
            case nil: return []
            case .value(let value) where key.kind == .register: return key.lost(final: value)
            case .list(let items) where key.kind == .list || key.isOnlyRead: return key.lost(final: items)
            case .value(nil): return key.lost(final: [])
            case .some(let answer): preconditionFailure("finalReads[\"\(key.key)\"], \(answer.text), is no read of a \(key.kind)")
            }
        }
    }

    package func readYourWrites() -> [Violation] {
        keys.flatMap { $0.kind == .list ? $0.ownAppendsMissed() : $0.isAmbiguous ? [] : $0.ownWritesMissed() }
    }

    package func monotonicReads() -> [Violation] {
        keys.flatMap { $0.kind == .list ? $0.listsCutShort() : $0.isAmbiguous ? [] : $0.readsGoneBack() }
    }

    /// Each value has at most one successor by compare-and-swap, counting those of unknown outcome whose value was found later.
    package func compareAndSwapChain() -> [Violation] {
        keys.flatMap { $0.kind == .list || $0.isAmbiguous ? [] : $0.forks() }
    }
}

extension SessionGuarantees.Violation: CustomStringConvertible {
    package var description: String {
        switch self {
        case .phantom(let value, let key, let read, let writer):
            "\(Self.reader(read, key)) found \(value), which "
                + (writer.map { "was not written by then (\($0))" } ?? "no operation ever wrote")
        case .repeated(let element, let key, let read): "\(Self.reader(read, key)) found \(element) more often than it was appended"
        case .lostWrite(let write, let final): "lost (\(write)): at the end the key holds \(final.text)"
        case .missedOwnWrite(let write, let read): "a process does not see its own write (\(write)) in (\(read))"
        case .wentBack(let first, let read): "a process that saw (\(first)) sees an older state in (\(read))"
        case .twoSuccessors(let value, let first, let second):
            "\(value.map(String.init) ?? "the absent value") was replaced twice: (\(first)) and (\(second))"
        }
    }

    private static func reader(_ read: History.Operation?, _ key: String) -> String {
        read.map { "(\($0))" } ?? "the final read of \"\(key)\""
    }
}

/// The operations of one key and who wrote what.
private struct KeySession {
    typealias Violation = SessionGuarantees.Violation

    struct Row {
        var entry: KeyHistory.Entry
        var operation: History.Operation
    }

    let key: String
    let kind: History.Kind
    /// In the order of invocation.
    let rows: [Row]
    /// By value, the rows that may have written it, and one that did not, for certain.
    private var writers: [UInt64: [Int]] = [:]
    private var failed: [UInt64: Int] = [:]
    /// By value, the earliest end of an operation that found it: by then it was written.
    private var firstFound: [UInt64: Int] = [:]

    /// Then it may be either kind.
    var isOnlyRead: Bool { rows.allSatisfy { $0.entry.call == .read } }
    var isAmbiguous: Bool { writers.values.contains { $0.count > 1 } }

    init(_ key: KeyHistory, _ history: History) {
        self.key = key.key
        kind = history.kind(of: key.key)
        rows = key.entries.map { Row(entry: $0, operation: history.operations[$0.operation]) }
        for (place, entry) in key.entries.enumerated() {
            for value in entry.found { firstFound[value] = min(firstFound[value] ?? .max, entry.end) }
            guard let value = entry.written else { continue }
            if entry.mayHaveHappened { writers[value, default: []].append(place) } else { failed[value] = place }
        }
    }

    func phantom(in values: [UInt64], before end: Int, read: History.Operation?) -> Violation? {
        var seen: [UInt64: Int] = [:]
        for value in values {
            let all = writers[value] ?? []
            guard let first = all.first, rows[first].entry.begin < end else {
                let other = all.first ?? failed[value]
                return .phantom(value: value, key: key, read: read, writer: other.map { rows[$0].operation })
            }
            guard kind == .list else { continue }
            seen[value, default: 0] += 1
            if seen[value, default: 0] > all.count { return .repeated(element: value, key: key, read: read) }
        }
        return nil
    }
}

extension KeySession {
    /// The final value is that of a write which no acknowledged one follows.
    func lost(final value: UInt64?) -> [Violation] {
        if let value, let phantom = phantom(in: [value], before: .max, read: nil) { return [phantom] }
        guard let last = rows.last(where: { $0.entry.written != nil && $0.entry.isAcknowledged }) else { return [] }
        let all = value.flatMap { writers[$0] } ?? []
        let isCurrent = all.count > 1 ? all.contains { rows[$0].entry.end > last.entry.begin } : writtenBy(value) > last.entry.begin
        return isCurrent ? [] : [.lostWrite(last.operation, final: .value(value))]
    }

    func lost(final items: [UInt64]) -> [Violation] {
        let held = Set(items)
        let lost = rows.filter { row in row.entry.isAcknowledged && row.entry.written.map { !held.contains($0) } ?? false }
        return (phantom(in: items, before: .max, read: nil).map { [$0] } ?? [])
            + lost.map { .lostWrite($0.operation, final: .list(items)) }
    }

    func ownWritesMissed() -> [Violation] {
        var violations: [Violation] = []
        var last: [Int: Row] = [:]
        for row in rows where row.entry.isAcknowledged {
            let process = row.operation.process
            if let value = row.entry.seen, let own = last[process], writtenBy(value) < own.entry.begin {
                violations.append(.missedOwnWrite(own.operation, read: row.operation))
            }
            if row.entry.written != nil { last[process] = row }
        }
        return violations
    }

    func ownAppendsMissed() -> [Violation] {
        var violations: [Violation] = []
        var own: [Int: [Row]] = [:]
        for row in rows where row.entry.isAcknowledged {
            if row.entry.written != nil { own[row.operation.process, default: []].append(row) }
            guard let items = row.entry.items else { continue }
            let held = Set(items)
            let missed = own[row.operation.process]?.first { $0.entry.written.map { !held.contains($0) } ?? false }
            if let missed { violations.append(.missedOwnWrite(missed.operation, read: row.operation)) }
        }
        return violations
    }

    func readsGoneBack() -> [Violation] {
        struct View {
            var value: UInt64?
            var row: Row
            /// The value seen whose write began last, and who saw it.
            var newest: (begin: Int, row: Row)
            /// Values replaced since: each was written once, so none comes again.
            var left: [UInt64?: Row] = [:]
        }
        var violations: [Violation] = []
        var views: [Int: View] = [:]
        for row in rows where row.entry.isAcknowledged {
            guard let value = row.entry.seen else { continue }
            let begin = value.flatMap { writers[$0]?.first }.map { rows[$0].entry.begin } ?? -1
            // Taken out while it changes: else each change would copy all that the process has left behind.
            var view = views.removeValue(forKey: row.operation.process) ?? View(value: value, row: row, newest: (begin, row))
            if view.value != value {
                if let earlier = view.left[value] ?? (writtenBy(value) < view.newest.begin ? view.newest.row : nil) {
                    violations.append(.wentBack(earlier.operation, read: row.operation))
                }
                view.left[view.value] = row
            }
            (view.value, view.row) = (value, row)
            if begin > view.newest.begin { view.newest = (begin, row) }
            views[row.operation.process] = view
        }
        return violations
    }

    func listsCutShort() -> [Violation] {
        var violations: [Violation] = []
        var last: [Int: (items: [UInt64], operation: History.Operation)] = [:]
        for row in rows {
            guard let items = row.entry.items else { continue }
            if let earlier = last[row.operation.process], !items.starts(with: earlier.items) {
                violations.append(.wentBack(earlier.operation, read: row.operation))
            }
            last[row.operation.process] = (items, row.operation)
        }
        return violations
    }

    func forks() -> [Violation] {
        var violations: [Violation] = []
        var winner: [UInt64?: History.Operation] = [:]
        for row in rows {
            guard case .compareAndSwap(let expected, let new) = row.operation.call, row.entry.mayHaveHappened else { continue }
            guard row.entry.isAcknowledged || firstFound[new] != nil else { continue }
            if let first = winner[expected] { violations.append(.twoSuccessors(of: expected, first, row.operation)) }
            winner[expected] = winner[expected] ?? row.operation
        }
        return violations
    }

    /// The place of an event by which a value was written: its write's end, or the end of the first that found it.
    private func writtenBy(_ value: UInt64?) -> Int {
        guard let value, let writer = writers[value]?.first else { return -1 }
        return min(rows[writer].entry.end, firstFound[value] ?? .max)
    }
}

extension KeyHistory.Entry {
    /// What a list held when it was read.
    fileprivate var items: [UInt64]? {
        switch answer {
        case .list(let items): items
        case .value(nil): []
        case .value(.some), .done, .swapped, .mismatch, nil: nil
        }
    }
}

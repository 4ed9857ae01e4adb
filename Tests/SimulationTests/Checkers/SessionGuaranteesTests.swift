import Testing

@testable import Simulation

/// Check C2 of the consensus design; the session guarantees of Terry et al. (1994).
struct SessionGuaranteesTests {
    typealias Operation = History.Operation
    typealias Violation = SessionGuarantees.Violation

    static let cases: [(name: String, operations: [Operation], final: [String: History.Answer], violations: [Violation])] = {
        var all: [(name: String, operations: [Operation], final: [String: History.Answer], violations: [Violation])] = []
        func add(
            _ name: String, _ operations: [Operation], final: [String: History.Answer] = [:], _ violations: ([Operation]) -> [Violation]
        ) { all.append((name, operations, final, violations(operations))) }

        // Phantoms.
        add("read of what nobody wrote", [.done(0, .read, 0...1, .value(7))]) {
            [.phantom(value: 7, key: "x", read: $0[0], writer: nil)]
        }
        add("read of a failed write", [.failed(0, .write(1), 0...1), .done(1, .read, 2...3, .value(1))]) {
            [.phantom(value: 1, key: "x", read: $0[1], writer: $0[0])]
        }
        add("read of a later write", [.done(0, .read, 0...1, .value(1)), .done(1, .write(1), 2...3)]) {
            [.phantom(value: 1, key: "x", read: $0[0], writer: $0[1])]
        }
        add(
            "value of a compare-and-swap that did not match",
            [.done(0, .compareAndSwap(expected: 5, new: 6), 0...1, .mismatch), .done(1, .read, 2...3, .value(6))]
        ) { [.phantom(value: 6, key: "x", read: $0[1], writer: $0[0])] }
        add("compare-and-swap from what nobody wrote", [.done(0, .compareAndSwap(expected: 5, new: 6), 0...1, .swapped)]) {
            [.phantom(value: 5, key: "x", read: $0[0], writer: nil)]
        }
        add("element that nobody appended", [.done(0, .append(1), 0...1), .done(0, .read, 2...3, .list([1, 2]))]) {
            [.phantom(value: 2, key: "x", read: $0[1], writer: nil)]
        }
        add("element applied twice", [.done(0, .append(1), 0...1), .done(0, .read, 2...3, .list([1, 1]))]) {
            [.repeated(element: 1, key: "x", read: $0[1])]
        }
        add("element appended twice", [.done(0, .append(1), 0...1), .unknown(1, .append(1), 0), .done(0, .read, 2...3, .list([1, 1]))]) {
            _ in
            []
        }
        add("final read of what nobody wrote", [.done(0, .read, 0...1, .value(nil))], final: ["x": .value(3)]) { _ in
            [.phantom(value: 3, key: "x", read: nil, writer: nil)]
        }

        // Lost writes.
        add("nothing lost", [.done(0, .write(1), 0...1), .done(0, .write(2), 2...3)], final: ["x": .value(2)]) { _ in [] }
        add("write side by side with the last", [.done(0, .write(1), 0...5), .done(1, .write(2), 4...9)], final: ["x": .value(1)]) { _ in []
        }
        add("unknown write after the last", [.unknown(1, .write(9), 0), .done(0, .write(2), 2...3)], final: ["x": .value(9)]) { _ in [] }
        add("write lost", [.done(0, .write(1), 0...1), .done(0, .write(2), 2...3)], final: ["x": .value(1)]) {
            [.lostWrite($0[1], final: .value(1))]
        }
        add("only write lost", [.done(0, .write(1), 0...1)], final: ["x": .value(nil)]) { [.lostWrite($0[0], final: .value(nil))] }
        add(
            "write lost to an unknown one that was seen before it",
            [.unknown(1, .write(9), 0), .done(0, .read, 1...2, .value(9)), .done(2, .write(2), 3...4)], final: ["x": .value(9)]
        ) { [.lostWrite($0[2], final: .value(9))] }
        add("append lost", [.done(0, .append(1), 0...1), .unknown(1, .append(2), 0)], final: ["x": .list([])]) {
            [.lostWrite($0[0], final: .list([]))]
        }
        add("a list that nobody ever read with an answer", [.unknown(0, .read, 0)], final: ["x": .list([])]) { _ in [] }
        add("an element that nobody appended", [.unknown(0, .read, 0)], final: ["x": .list([4])]) { _ in
            [.phantom(value: 4, key: "x", read: nil, writer: nil)]
        }
        add("other keys are passed over", [.done(0, .write(1), 0...1)], final: ["y": .value(nil)]) { _ in [] }

        // Read your writes.
        add("own write missed", [.done(1, .write(1), 0...1), .done(0, .write(2), 2...3), .done(0, .read, 4...5, .value(1))]) {
            [.missedOwnWrite($0[1], read: $0[2])]
        }
        add("own first write missed", [.done(0, .write(2), 2...3), .done(0, .read, 4...5, .value(nil))]) {
            [.missedOwnWrite($0[0], read: $0[1])]
        }
        add(
            "own write replaced by one beside it",
            [.done(1, .write(1), 0...3), .done(0, .write(2), 2...3), .done(0, .read, 4...5, .value(1))]
        ) {
            _ in []
        }
        add("own append missed", [.done(0, .append(1), 0...1), .done(0, .read, 2...3, .list([]))]) { [.missedOwnWrite($0[0], read: $0[1])] }

        // Monotonic reads.
        add(
            "reads go back",
            [
                .done(0, .write(1), 0...1), .done(0, .write(2), 2...9), .done(1, .read, 3...4, .value(2)),
                .done(1, .read, 5...6, .value(1)),
                .done(1, .read, 7...8, .value(1)),
            ]
        ) { [.wentBack($0[2], read: $0[3])] }
        add(
            "a value comes again",
            [
                .unknown(0, .write(1), 0), .unknown(2, .write(2), 0), .done(1, .read, 3...4, .value(2)), .done(1, .read, 5...6, .value(1)),
                .done(1, .read, 7...8, .value(2)),
            ]
        ) { [.wentBack($0[3], read: $0[4])] }
        add("a key is gone again", [.unknown(0, .write(1), 0), .done(1, .read, 3...4, .value(1)), .done(1, .read, 5...6, .value(nil))]) {
            [.wentBack($0[1], read: $0[2])]
        }
        add(
            "another process may lag only in real time, which is not a session's matter",
            [.done(0, .write(1), 0...1), .done(0, .write(2), 2...9), .done(1, .read, 3...4, .value(2)), .done(2, .read, 5...6, .value(1))]
        ) { _ in [] }
        add(
            "a list is cut short",
            [
                .unknown(0, .append(1), 0), .unknown(2, .append(2), 0), .done(1, .read, 1...2, .list([1, 2])),
                .done(1, .read, 3...4, .list([1])),
            ]
        ) { [.wentBack($0[2], read: $0[3])] }

        // Predecessors of compare-and-swap.
        add(
            "two successors of one value",
            [
                .done(0, .write(1), 0...1), .done(1, .compareAndSwap(expected: 1, new: 2), 2...5, .swapped),
                .done(2, .compareAndSwap(expected: 1, new: 3), 3...6, .swapped),
            ]
        ) { [.twoSuccessors(of: 1, $0[1], $0[2])] }
        add(
            "two successors of the absent value, one of unknown outcome but seen",
            [
                .unknown(1, .compareAndSwap(expected: nil, new: 2), 0), .done(2, .compareAndSwap(expected: nil, new: 3), 3...6, .swapped),
                .done(3, .read, 7...8, .value(2)),
            ]
        ) { [.twoSuccessors(of: nil, $0[0], $0[1])] }
        add(
            "one of unknown outcome that nobody saw",
            [.unknown(1, .compareAndSwap(expected: nil, new: 2), 0), .done(2, .compareAndSwap(expected: nil, new: 3), 3...6, .swapped)]
        ) { _ in [] }
        return all
    }()

    @Test(arguments: cases.indices) func `each check finds what it names and nothing else`(index: Int) throws {
        let (name, operations, final, violations) = Self.cases[index]
        let session = SessionGuarantees(try History(operations: operations))
        #expect(session.violations(finalReads: final) == violations, "\(name)")
        #expect(session.ambiguousKeys.isEmpty, "\(name)")
    }

    @Test func `registers whose values do not tell their writer are named and passed over`() throws {
        let operations: [Operation] = [
            .done(0, .write(1), 0...1), .done(0, .write(2), 2...3), .done(0, .write(1), 4...5), .done(0, .read, 6...7, .value(2)),
            .failed(0, .write(3), 8...9, key: "y"), .done(0, .write(3), 10...11, key: "y"),
        ]
        let session = SessionGuarantees(try History(operations: operations))
        #expect(session.ambiguousKeys == ["x"])
        #expect(session.violations() == [])
        #expect(session.lostWrites(finalReads: ["x": .value(2)]) == [.lostWrite(operations[2], final: .value(2))])
    }

    @Test func `a correct execution has no violation, with reads at the end`() throws {
        for seed: UInt64 in 1...5 {
            let history = try RandomHistory.execution(seed: seed, operations: 2_000)
            #expect(SessionGuarantees(history).violations() == [], "seed \(seed)")
            #expect(SessionGuarantees(history).ambiguousKeys == [], "seed \(seed)")
        }
    }

    @Test func `what is linearizable has no violation`() throws {
        var found = 0
        for seed: UInt64 in 1...2_000 {
            var history = try RandomHistory.tiny(seed: seed)
            guard case .linearizable = Linearizability().check(history) else {
                found += SessionGuarantees(history).violations().isEmpty ? 0 : 1
                continue
            }
            #expect(SessionGuarantees(history).violations() == [], "seed \(seed)")
            let before = history
            for value: UInt64? in [nil, 1, 2, 3] {
                history = before
                let end = history.operations.compactMap(\.endedAt).max() ?? 0
                let time = max(end, history.operations.last?.invokedAt ?? 0)
                try history.invoke(process: 9, key: "x", .read, at: time)
                try history.complete(process: 9, .ok(.value(value), at: time))
                guard case .linearizable = Linearizability().check(history) else { continue }
                #expect(SessionGuarantees(before).lostWrites(finalReads: ["x": .value(value)]) == [], "seed \(seed), \(value ?? 0)")
            }
        }
        #expect(found > 200)
    }

    @Test func `violations read as sentences`() {
        let write = Operation.done(0, .write(1), 0...1)
        let read = Operation.done(1, .read, 2...3, .value(nil))
        #expect(Violation.lostWrite(write, final: .value(nil)).description == "lost (\(write)): at the end the key holds absent")
        #expect(
            Violation.phantom(value: 7, key: "x", read: nil, writer: nil).description
                == "the final read of \"x\" found 7, which no operation ever wrote")
        #expect(
            Violation.missedOwnWrite(write, read: read).description
                == "a process does not see its own write (process 0, write 1 of \"x\": ok (0 to 1 ns)) in "
                + "(process 1, read of \"x\": absent (2 to 3 ns))")
    }
}

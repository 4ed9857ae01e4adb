import Testing

@testable import Simulation

/// Check C1 of the consensus design. Herlihy and Wing 1990; Wing and Gong 1993; Lowe 2017; Horn and Kroening 2015.
struct LinearizabilityTests {
    typealias Operation = History.Operation

    static let good: [(name: String, operations: [Operation])] = [
        ("nothing happened", []),
        ("a read of what was never written is absent", [.done(0, .read, 0...1, .value(nil))]),
        ("a read sees the write before it", [.done(0, .write(1), 0...1), .done(1, .read, 2...3, .value(1))]),
        ("a read beside a write sees the old value", [.done(0, .write(1), 0...9), .done(1, .read, 2...3, .value(nil))]),
        ("a read beside a write sees the new value", [.done(0, .write(1), 0...9), .done(1, .read, 2...3, .value(1))]),
        (
            "reads beside two writes see them in one order",
            [
                .done(0, .write(1), 0...20), .done(1, .write(2), 0...20), .done(2, .read, 1...2, .value(2)),
                .done(2, .read, 3...4, .value(1)),
                .done(3, .read, 1...3, .value(2)),
            ]
        ),
        (
            "a write of unknown outcome appears late",
            [
                .unknown(0, .write(1), 0), .done(1, .read, 1...2, .value(nil)), .done(1, .write(2), 3...4),
                .done(1, .read, 5...6, .value(2)),
                .done(1, .read, 7...8, .value(1)),
            ]
        ),
        ("a write of unknown outcome never appears", [.unknown(0, .write(1), 0), .done(1, .read, 1...2, .value(nil))]),
        ("a failed write changes nothing", [.failed(0, .write(1), 0...1), .done(1, .read, 2...3, .value(nil))]),
        (
            "one of two compare-and-swaps wins",
            [
                .done(0, .write(1), 0...1), .done(1, .compareAndSwap(expected: 1, new: 2), 2...5, .swapped),
                .done(2, .compareAndSwap(expected: 1, new: 3), 2...5, .mismatch), .done(0, .read, 6...7, .value(2)),
            ]
        ),
        (
            "a chain of unknown operations leads to a value",
            [
                .unknown(0, .write(1), 0), .unknown(1, .compareAndSwap(expected: 1, new: 2), 0),
                .unknown(2, .compareAndSwap(expected: 2, new: 3), 0), .done(3, .read, 1...2, .value(nil)),
                .done(3, .read, 3...4, .value(3)),
            ]
        ),
        (
            "a chain of unknown operations, each of which two could be, leads to a value",
            [
                .unknown(0, .write(1), 0), .unknown(1, .write(1), 0), .unknown(2, .compareAndSwap(expected: 1, new: 2), 0),
                .unknown(3, .compareAndSwap(expected: 1, new: 2), 0), .done(4, .read, 1...2, .value(nil)),
                .done(4, .read, 3...4, .value(2)),
            ]
        ),
        (
            "a value that is overwritten is written again",
            [.done(0, .write(1), 0...1), .done(0, .write(2), 2...3), .done(0, .write(1), 4...5), .done(0, .read, 6...7, .value(1))]
        ),
        (
            "of two equal appends the one that ends later comes later",
            [
                .done(0, .append(1), 0...20), .done(1, .append(1), 0...3), .done(2, .append(1), 0...30), .done(3, .read, 5...6, .list([1])),
                .done(3, .read, 7...8, .list([1])), .done(3, .read, 40...41, .list([1, 1, 1])),
            ]
        ),
        (
            "a mismatch shows that a write of unknown outcome happened",
            [.done(0, .write(1), 0...1), .unknown(1, .write(9), 2), .done(2, .compareAndSwap(expected: 1, new: 2), 3...4, .mismatch)]
        ),
        (
            "an absent key is swapped once",
            [
                .done(0, .compareAndSwap(expected: nil, new: 1), 0...1, .swapped),
                .done(1, .compareAndSwap(expected: nil, new: 2), 2...3, .mismatch),
            ]
        ),
        (
            "appends side by side stand in either order",
            [.done(0, .append(1), 0...5), .done(1, .append(2), 0...5), .done(0, .read, 6...7, .list([2, 1]))]
        ),
        (
            "an append of unknown outcome appears late",
            [
                .unknown(0, .append(1), 0), .done(1, .append(2), 1...2), .done(1, .read, 3...4, .list([2])), .done(1, .append(3), 5...6),
                .done(1, .read, 7...8, .list([2, 3, 1])),
            ]
        ),
        ("an empty list may read as absent", [.done(0, .read, 0...1, .value(nil)), .done(0, .append(1), 2...3)]),
        (
            "keys do not touch each other",
            [
                .done(0, .write(1), 0...1, key: "x"), .done(0, .write(2), 2...3, key: "y"), .done(1, .read, 4...5, .value(1), key: "x"),
                .done(1, .read, 6...7, .value(2), key: "y"),
            ]
        ),
    ]

    @Test(arguments: good.indices) func `a history that some order explains is linearizable, in that order`(index: Int) throws {
        let history = try History(operations: Self.good[index].operations)
        guard case .linearizable(let order) = Linearizability().check(history) else {
            Issue.record("\(Self.good[index].name): \(Linearizability().check(history))")
            return
        }
        #expect(explains(order, history), "\(Self.good[index].name): \(order)")
    }

    static let bad: [(name: String, operations: [Operation], prefix: Int, culprit: Operation)] = {
        var all: [(name: String, operations: [Operation], prefix: Int, culprit: Operation)] = []
        func add(_ name: String, _ operations: [Operation], prefix: Int, _ culprit: Int) {
            all.append((name, operations, prefix, operations[culprit]))
        }
        add(
            "stale read",
            [.done(0, .write(1), 0...1), .done(0, .write(2), 2...3), .done(1, .read, 4...5, .value(1)), .done(1, .read, 6...7, .value(2))],
            prefix: 2, 2)
        add(
            "lost update",
            [
                .done(0, .write(1), 0...1), .done(1, .compareAndSwap(expected: 1, new: 2), 2...3, .swapped),
                .done(2, .compareAndSwap(expected: 1, new: 3), 4...5, .swapped), .done(0, .read, 6...7, .value(3)),
            ], prefix: 2, 2)
        add(
            "split brain: two compare-and-swaps side by side win",
            [
                .done(0, .write(1), 0...1), .done(1, .compareAndSwap(expected: 1, new: 2), 2...5, .swapped),
                .done(2, .compareAndSwap(expected: 1, new: 3), 3...6, .swapped),
            ], prefix: 2, 2)
        add("read of a failed write", [.failed(0, .write(1), 0...1), .done(1, .read, 2...3, .value(1))], prefix: 0, 1)
        add("read of what nobody wrote", [.done(0, .write(1), 0...1), .done(1, .read, 2...3, .value(7))], prefix: 1, 1)
        add(
            "write visible, then gone",
            [.done(0, .write(1), 0...20), .done(1, .read, 1...2, .value(1)), .done(2, .read, 3...4, .value(nil))], prefix: 1, 2)
        add(
            "write of unknown outcome visible, then gone",
            [.unknown(0, .write(1), 0), .done(1, .read, 1...2, .value(1)), .done(2, .read, 3...4, .value(nil))], prefix: 1, 2)
        add(
            "write of unknown outcome used twice",
            [
                .unknown(0, .write(1), 0), .done(1, .read, 1...2, .value(1)), .done(1, .write(2), 3...4), .done(2, .read, 5...6, .value(1)),
            ], prefix: 2, 3)
        add("read before the invocation of its write", [.done(0, .read, 0...1, .value(1)), .unknown(1, .write(1), 2)], prefix: 0, 0)
        add(
            "two readers see two orders",
            [
                .done(0, .write(1), 0...20), .done(1, .write(2), 0...20), .done(2, .read, 1...2, .value(1)),
                .done(2, .read, 3...4, .value(2)),
                .done(3, .read, 5...6, .value(1)),
            ], prefix: 2, 4)
        add(
            "mismatch although the value was there",
            [.done(0, .write(1), 0...1), .done(1, .compareAndSwap(expected: 1, new: 2), 2...3, .mismatch)], prefix: 1, 1)
        add(
            "acknowledged write never there", [.done(0, .write(1), 0...1), .done(1, .read, 2...3, .value(nil))], prefix: 1, 1)
        add(
            "list read in two orders",
            [
                .done(0, .append(1), 0...5), .done(1, .append(2), 0...5), .done(0, .read, 6...7, .list([1, 2])),
                .done(1, .read, 8...9, .list([2, 1])),
            ], prefix: 3, 3)
        add(
            "list against the order of its appends",
            [.done(0, .append(1), 0...1), .done(1, .append(2), 2...3), .done(0, .read, 6...7, .list([2, 1]))], prefix: 2, 2)
        add(
            "acknowledged append missing",
            [.done(0, .append(1), 0...1), .done(1, .append(2), 2...3), .done(0, .read, 6...7, .list([2]))], prefix: 2, 2)
        add("element of nobody", [.done(0, .read, 0...1, .list([0])), .done(1, .append(0), 2...3)], prefix: 0, 0)
        add("one append there twice", [.done(0, .append(1), 0...1), .done(0, .read, 6...7, .list([1, 1]))], prefix: 1, 1)
        add(
            "append of unknown outcome there, then gone",
            [.unknown(0, .append(1), 0), .done(1, .read, 1...2, .list([1])), .done(1, .read, 3...4, .list([]))], prefix: 1, 2)
        return all
    }()

    @Test(arguments: bad.indices) func `a history that no order explains names its shortest prefix and operation`(index: Int) throws {
        let (name, operations, prefix, culprit) = Self.bad[index]
        let history = try History(operations: operations)
        guard case .violation(let violation) = Linearizability().check(history) else {
            Issue.record("\(name): \(Linearizability().check(history))")
            return
        }
        #expect(violation.key == "x" && violation.prefixLength == prefix && violation.isShortest, "\(name)")
        #expect(history.operations[violation.operation] == culprit, "\(name)")
        #expect(violation.explanation.hasPrefix(culprit.description), "\(name)")
        #expect(!bruteForce(history), "\(name)")
    }

    @Test func `the explanation says what the key may hold instead`() throws {
        let operations: [Operation] = [
            .done(0, .write(1), 0...9), .done(1, .write(2), 1...9), .done(2, .write(3), 10...11), .done(3, .write(4), 10...20),
            .done(2, .read, 12...13, .value(1)),
        ]
        guard case .violation(let violation) = Linearizability().check(try History(operations: operations)) else {
            Issue.record("linearizable")
            return
        }
        #expect(
            violation.explanation == """
                process 2, read of "x": 1 (12 to 13 ns) has no place: the 3 that ended before it have an order, \
                but where it may stand, the key holds 3 or 4
                """)
    }

    // MARK: Against brute force

    @Test(arguments: [6, 9]) func `2,000 random tiny histories are decided as by trying every order`(operations: Int) throws {
        var linearizable = 0
        for seed: UInt64 in 1...2_000 {
            let history = try RandomHistory.tiny(seed: seed, operations: operations)
            switch Linearizability().check(history) {
            case .linearizable(let order):
                linearizable += 1
                #expect(bruteForce(history) && explains(order, history), "seed \(seed)")
            case .violation(let violation):
                #expect(!bruteForce(history), "seed \(seed)")
                let fits = try (0...operations).prefix { try bruteForce(prefix(of: history, key: violation.key, ended: $0)) }
                #expect(violation.prefixLength == fits.last && violation.isShortest, "seed \(seed)")
                #expect(ended(history, key: violation.key)[violation.prefixLength] == violation.operation, "seed \(seed)")
            case .undecided: Issue.record("seed \(seed)")
            }
        }
        #expect((500...1_500).contains(linearizable))
    }

    // MARK: Large histories

    @Test func `5,000 operations of 8 processes are decided far below the step bound`() throws {
        for seed: UInt64 in 1...3 {
            let history = try RandomHistory.execution(seed: seed, operations: 5_000)
            #expect(history.operations.count == 5_000 && history.operations.count { $0.completion == .unknown } > 50)
            guard case .linearizable(let order) = Linearizability(stepLimit: 100_000).check(history) else {
                Issue.record("seed \(seed): \(Linearizability(stepLimit: 100_000).check(history))")
                continue
            }
            #expect(explains(order, history), "seed \(seed)")
        }
    }

    @Test func `one stale read among 2,000 operations is found and named`() throws {
        for seed: UInt64 in 1...5 {
            var operations = try RandomHistory.execution(seed: seed, operations: 2_000).operations
            // A read that answers what the register held hundreds of operations ago.
            let reads = operations.indices.filter { operations[$0].key == "r0" && operations[$0].registerRead != nil }
            let stale = reads[reads.count * 3 / 4]
            guard let end = operations[stale].endedAt, let old = operations[reads[reads.count / 4]].registerRead else { continue }
            operations[stale].completion = .ok(.value(old), at: end)
            let history = try History(operations: operations)
            guard case .violation(let violation) = Linearizability(stepLimit: 200_000).check(history) else {
                Issue.record("seed \(seed): \(Linearizability(stepLimit: 200_000).check(history))")
                continue
            }
            #expect(history.operations[violation.operation] == operations[stale] && violation.isShortest, "seed \(seed)")
        }
    }

    @Test func `one history has one answer`() throws {
        for seed: UInt64 in 1...50 {
            let history = try RandomHistory.tiny(seed: seed)
            #expect(Linearizability().check(history) == Linearizability().check(history), "seed \(seed)")
        }
        let history = try RandomHistory.execution(seed: 9, operations: 1_000)
        #expect(Linearizability().check(history) == Linearizability().check(history))
    }

    @Test func `10,000 operations on one key need no deep stack`() throws {
        var operations: [Operation] = []
        for number in 0..<10_000 {
            let time = Int64(number * 10)
            operations.append(.done(number % 100, .append(UInt64(number)), time...time + 500))
        }
        operations.append(.done(0, .read, 200_000...200_001, .list(Array(0..<10_000).reversed().map { UInt64($0) })))
        guard case .violation(let violation) = Linearizability(stepLimit: 100_000).check(try History(operations: operations)) else {
            Issue.record("linearizable")
            return
        }
        #expect(violation.prefixLength == 10_000)
        operations[10_000].completion = .ok(.list(Array(0..<10_000)), at: 200_001)
        guard case .linearizable = Linearizability(stepLimit: 100_000).check(try History(operations: operations)) else {
            Issue.record("no order")
            return
        }
    }

    @Test func `the bound ends a search without an answer, and a violation elsewhere is still found`() throws {
        // Writers side by side, each of whose values some mismatch looks at: every subset of them is a configuration, and no order ends
        // in the value that was read.
        var operations: [Operation] = (0..<20).map { .done($0, .write(UInt64($0)), 0...100, key: "a") }
        operations += (0..<20).map { .done($0 + 20, .compareAndSwap(expected: UInt64($0), new: 50), 0...100, .mismatch, key: "a") }
        operations.append(.done(0, .read, 101...102, .value(99), key: "a"))
        let bounded = Linearizability(stepLimit: 20_000)
        #expect(bounded.check(try History(operations: operations)) == .undecided(key: "a", after: 20_000))
        operations.append(.done(1, .read, 103...104, .value(7), key: "b"))
        guard case .violation(let violation) = bounded.check(try History(operations: operations)) else {
            Issue.record("no violation")
            return
        }
        #expect(violation.key == "b")
    }
}

extension History.Operation {
    fileprivate var registerRead: UInt64? { if case .value(let value) = answer { value } else { nil } }
}

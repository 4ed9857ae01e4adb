import Testing

@testable import Primitives

/// Numbers compare by value, strings by bytes (Value.swift; RFC 8259 section 8.3).
struct ValueTests {
    private struct Comparison {
        let left: Value
        let right: Value
        let ordering: Ordering

        init(_ left: Value, _ ordering: Ordering, _ right: Value) {
            self.left = left
            self.right = right
            self.ordering = ordering
        }
    }

    private let comparisons: [Comparison] = [
        Comparison(.int(9_007_199_254_740_993), .greater, .double(9_007_199_254_740_992)),
        Comparison(.int(9_007_199_254_740_992), .equal, .double(9_007_199_254_740_992)),
        Comparison(.int(9_007_199_254_740_991), .less, .double(9_007_199_254_740_992)),
        Comparison(.int(.max), .less, .double(9_223_372_036_854_775_808)),
        Comparison(.int(.min), .equal, .double(-9_223_372_036_854_775_808)),
        Comparison(.uint(.max), .less, .double(18_446_744_073_709_551_616)),
        Comparison(.uint(9_223_372_036_854_775_808), .equal, .double(9_223_372_036_854_775_808)),
        Comparison(.uint(9_223_372_036_854_775_809), .greater, .double(9_223_372_036_854_775_808)),
        Comparison(.uint(.max), .greater, .int(-1)),
        Comparison(.uint(.max), .greater, .int(.max)),
        Comparison(.uint(5), .equal, .int(5)),
        Comparison(.uint(5), .less, .int(6)),
        Comparison(.uint(0), .greater, .double(-0.5)),
        Comparison(.int(0), .equal, .double(-0.0)),
        Comparison(.uint(0), .equal, .double(-0.0)),
        Comparison(.double(0.0), .equal, .double(-0.0)),
        Comparison(.int(1), .less, .double(1.5)),
        Comparison(.int(2), .greater, .double(1.5)),
        Comparison(.int(-1), .greater, .double(-1.5)),
        Comparison(.int(-2), .less, .double(-1.5)),
        Comparison(.int(.max), .less, .double(Double.infinity)),
        Comparison(.int(.min), .greater, .double(-Double.infinity)),
        Comparison(.uint(.max), .less, .double(Double.infinity)),
        Comparison(.uint(0), .greater, .double(-1e300)),
        Comparison(.int(0), .less, .double(Double.leastNonzeroMagnitude)),
        Comparison(.int(0), .unordered, .double(Double.nan)),
        Comparison(.uint(0), .unordered, .double(Double.nan)),
        Comparison(.double(Double.nan), .unordered, .double(Double.nan)),
    ]

    @Test func `numbers compare exactly whatever their forms`() {
        for pair in comparisons {
            let (left, right) = (pair.left, pair.right)
            #expect(Value.compareNumbers(left, right) == pair.ordering, "\(left) \(right)")
            #expect(Value.compareNumbers(right, left) == pair.ordering.reversed, "\(right) \(left)")
            #expect((left == right) == (pair.ordering == Ordering.equal), "\(left) \(right)")
        }
    }

    @Test func `large integers beside their nearest doubles compare as 128-bit integers do`() {
        let seed: UInt64 = 53
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<5000 {
            let integer = Int64(bitPattern: generator.next())
            guard integer.magnitude > 1 << 54 else { continue }
            for double in [Double(integer), Double(integer).nextUp, Double(integer).nextDown] {
                let (a, b) = (Int128(integer), Int128(double))
                let expected: Ordering = a < b ? .less : a > b ? .greater : .equal
                #expect(Value.compareNumbers(.int(integer), .double(double)) == expected, "seed \(seed), \(integer) \(double)")
            }
        }
    }

    @Test func `what is no number does not compare as one`() {
        let others: [Value] = [.null, .bool(true), .string("1"), .list([.int(1)]), .map(Fields())]
        for other in others {
            #expect(Value.compareNumbers(other, .int(1)) == nil)
            #expect(Value.compareNumbers(.int(1), other) == nil)
            #expect(other != Value.int(1))
            #expect(other == other)
        }
    }

    @Test func `NaN equals nothing, itself included`() {
        #expect(Value.double(Double.nan) != Value.double(Double.nan))
        #expect(Value.list([.double(Double.nan)]) != Value.list([.double(Double.nan)]))
    }

    @Test func `canonically equivalent strings of different bytes differ`() {
        let (composed, decomposed) = ("é", "e\u{301}")
        #expect(composed == decomposed)
        #expect(!sameBytes(composed, decomposed))
        #expect(Value.string(composed) != Value.string(decomposed))
        #expect(Value.map(Fields([.init(composed, .null)])) != Value.map(Fields([.init(decomposed, .null)])))
        #expect(bytesPrecede(decomposed, composed))
        #expect(!bytesPrecede(composed, decomposed))
        #expect(sameBytes("a\u{0}b", "a\u{0}b"))
        #expect(!sameBytes("a", "ab"))
    }

    @Test func `lists compare in order, maps without`() {
        #expect(Value.list([.int(1), .int(2)]) == Value.list([.double(1), .uint(2)]))
        #expect(Value.list([.int(1), .int(2)]) != Value.list([.int(2), .int(1)]))
        let forward: Value = ["a": 1, "b": [true, nil]]
        let backward: Value = ["b": [true, nil], "a": 1.0]
        #expect(forward == backward)
        let longer: Value = ["a": 1, "b": [true, nil], "c": nil]
        #expect(forward != longer)
        let other: Value = ["a": 1, "c": [true, nil]]
        #expect(forward != other)
    }

    @Test func `a member that is null is there, a missing one is not`() {
        let value: Value = ["a": nil, "b": ["c": ["d": 7]]]
        #expect(value["a"] == Value.null)
        #expect(isAbsent(value["x"]))
        #expect(value.at("b", "c", "d") == Value.int(7))
        #expect(isAbsent(value.at("b", "x", "d")))
        #expect(isAbsent(value.at("a", "c")))
        #expect(isAbsent(Value.int(1)["a"]))
        #expect(value.at() == value)
    }

    @Test func `members keep the order they were written in`() {
        var fields = Fields([.init("b", 1), .init("a", 2)])
        #expect(fields.count == 2)
        fields["c"] = .int(3)
        fields["b"] = .int(4)
        #expect(fields.members.map(\.key) == ["b", "a", "c"])
        #expect(fields["b"] == Value.int(4))
        fields["a"] = Value?.none
        fields["missing"] = Value?.none
        #expect(fields.members.map(\.key) == ["b", "c"])
        fields["é"] = .null
        fields["e\u{301}"] = .bool(true)
        #expect(fields.count == 4)
        #expect(fields["é"] == Value.null)
        #expect(Fields().isEmpty)
    }

    @Test func `an object leaves out what has no value`() {
        let absent: Value? = Value?.none
        let object = Value.object(["a": .string("x"), "b": absent, "c": .null])
        #expect(object.map?.members.map(\.key) == ["a", "c"])
    }

    @Test func `a value says what it is and gives what it holds`() {
        let kinds: [(Value, String)] = [
            (.null, "null"), (.bool(true), "bool"), (.int(1), "number"), (.uint(1), "number"), (.double(1), "number"),
            (.string(""), "string"),
            (.list([]), "list"), (.map(Fields()), "map"),
        ]
        for (value, kind) in kinds { #expect(value.kind == kind) }
        #expect(Value.string("x").string == "x")
        #expect(Value.bool(false).bool == false)
        #expect(Value.int(3).int == 3)
        #expect(Value.uint(3).int == nil)
        #expect(Value.list([.null]).list?.count == 1)
        #expect(Value.uint(.max).number == Double(UInt64.max))
        #expect(Value.int(-2).number == -2.0)
        #expect(Value.double(0.5).number == 0.5)
        #expect(Value.string("1").number == nil)
        #expect(Value.null.string == nil)
    }

    @Test func `an unsigned number takes the signed form when it fits`() {
        if case .int(let number) = Value(UInt64(Int64.max)) { #expect(number == Int64.max) } else { Issue.record("not an int") }
        if case .uint(let number) = Value(UInt64(Int64.max) + 1) { #expect(number == UInt64(1) << 63) } else { Issue.record("not a uint") }
        let text: String? = nil
        #expect(Value(text) == Value.null)
        #expect(Value(Optional("x")) == Value.string("x"))
    }

    private func isAbsent(_ value: Value?) -> Bool { if case .none = value { true } else { false } }
}

import Primitives
import Testing

@testable import Text

enum OrderTables {
    typealias SortKey = RowOrder.SortKey

    static let read: [(String, [SortKey])] = [
        ("state", [SortKey(column: "state", isDescending: false)]),
        ("-age", [SortKey(column: "age", isDescending: true)]),
        ("state,-age", [SortKey(column: "state", isDescending: false), SortKey(column: "age", isDescending: true)]),
        ("-größe,data.x", [SortKey(column: "größe", isDescending: true), SortKey(column: "data.x", isDescending: false)]),
    ]

    /// The first stands to the second as the third says, upwards.
    struct Pair: Sendable, CustomTestStringConvertible {
        let left: Value
        let right: Value
        let order: Ordering
        var testDescription: String { "\(left) \(right)" }

        init(_ left: Value, _ right: Value, _ order: Ordering) {
            self.left = left
            self.right = right
            self.order = order
        }
    }

    static let pairs: [Pair] = [
        Pair(1, 2, .less), Pair(2, 1, .greater), Pair(1, 1, .equal), Pair(1, 1.0, .equal), Pair(1.5, 2, .less),
        Pair(-1, .uint(.max), .less),
        Pair(9_007_199_254_740_993, .double(9_007_199_254_740_992), .greater),
        Pair("a", "b", .less), Pair("a", "a", .equal), Pair("B", "a", .less), Pair("z", "é", .less), Pair("e\u{301}", "é", .less),
        Pair("", "a", .less), Pair("10", "9", .less), Pair("a", "ab", .less),
        Pair(1, "a", .less), Pair("0", 5, .greater), Pair(.double(.infinity), "", .less), Pair(true, 1, .greater),
        Pair(false, true, .less), Pair(true, true, .equal), Pair(["a"], ["b"], .less),
    ]
}

/// In which order rows are wanted (RowFilter.swift).
struct RowOrderTests {
    @Test(arguments: OrderTables.read)
    func `one or two columns are read and written, '-' for downwards`(text: String, keys: [RowOrder.SortKey]) {
        let order = RowOrder(text)
        #expect(order?.keys == keys)
        #expect(order?.text == text)
        #expect(order == RowOrder(keys: keys))
    }

    @Test(arguments: ["", ",", "-", "a,", ",a", "a,-", "a,b,c", "a,,b", "-,-"])
    func `an empty column or a third is refused`(text: String) {
        #expect(RowOrder(text) == nil)
    }

    @Test(arguments: OrderTables.pairs)
    func `numbers come by value and before texts, texts by their bytes`(pair: OrderTables.Pair) {
        let (left, right) = (pair.left, pair.right)
        #expect(RowOrder.precedes(left, right, descending: false) == pair.order)
        #expect(RowOrder.precedes(right, left, descending: false) == pair.order.reversed)
        #expect(RowOrder.precedes(left, right, descending: true) == pair.order.reversed)
        #expect(RowOrder.precedes(right, left, descending: true) == pair.order)
    }

    @Test(arguments: [false, true])
    func `nothing comes last whatever the direction`(isDescending: Bool) {
        let values: [Value] = [0, -1, "", "a", true, .double(.infinity), ["a"]]
        for value in values {
            #expect(RowOrder.precedes(.null, value, descending: isDescending) == .greater)
            #expect(RowOrder.precedes(value, .null, descending: isDescending) == .less)
        }
        #expect(RowOrder.precedes(.null, .null, descending: isDescending) == .equal)
    }

    @Test func `rows sort up and down`() {
        let values: [Value] = [3, .null, "b", 1, .null, "a", 2.5]
        let up: [Value] = [1, 2.5, 3, "a", "b", .null, .null]
        let down: [Value] = ["b", "a", 3, 2.5, 1, .null, .null]
        let ascending = values.sorted { RowOrder.precedes($0, $1, descending: false) == .less }
        let descending = values.sorted { RowOrder.precedes($0, $1, descending: true) == .less }
        #expect(ascending == up)
        #expect(descending == down)
    }
}

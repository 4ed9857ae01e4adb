/// A JSON-like value. Numbers keep the form they were written in, so that Int64, UInt64 and Double compare exactly;
/// strings and keys compare as UTF-8 bytes, never by canonical equivalence.
package enum Value: Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    /// Only what does not fit Int64.
    case uint(UInt64)
    case double(Double)
    case string(String)
    case list([Value])
    case map(Fields)
}

/// The members of an object in the order they were written. Keys are unique; who builds one keeps that.
package struct Fields: Sendable {
    package struct Member: Sendable {
        package var key: String
        package var value: Value
        package init(_ key: String, _ value: Value) {
            self.key = key
            self.value = value
        }
    }

    package private(set) var members: [Member]

    package init() { members = [] }
    package init(_ members: [Member]) { self.members = members }

    package var count: Int { members.count }
    package var isEmpty: Bool { members.isEmpty }

    package subscript(key: String) -> Value? {
        get { index(of: key).map { members[$0].value } }
        set {
            switch (index(of: key), newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(key, value))
            case (nil, nil): break
            }
        }
    }

    private func index(of key: String) -> Int? { members.firstIndex { sameBytes($0.key, key) } }
}

/// Whether two strings are the same UTF-8 bytes. `==` on String would call "é" and "e\u{301}" equal.
package func sameBytes(_ left: String, _ right: String) -> Bool {
    let same = left.utf8.withContiguousStorageIfAvailable { a in
        right.utf8.withContiguousStorageIfAvailable { b in
            a.count == b.count && a.elementsEqual(b)
        }
    }
    if case .some(.some(let answer)) = same { return answer }
    return left.utf8.elementsEqual(right.utf8)
}

/// UTF-8 byte order.
package func bytesPrecede(_ left: String, _ right: String) -> Bool {
    // Most are short and lie in one piece; the general way is some times slower.
    let fast = left.utf8.withContiguousStorageIfAvailable { left in
        right.utf8.withContiguousStorageIfAvailable { right in
            let count = min(left.count, right.count)
            var place = 0
            while place < count, left[place] == right[place] { place += 1 }
            return place < count ? left[place] < right[place] : left.count < right.count
        }
    }
    return (fast ?? nil) ?? left.utf8.lexicographicallyPrecedes(right.utf8)
}

extension Value {
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "bool"
        case .int, .uint, .double: "number"
        case .string: "string"
        case .list: "list"
        case .map: "map"
        }
    }

    package var string: String? { if case .string(let text) = self { text } else { nil } }
    package var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    package var list: [Value]? { if case .list(let items) = self { items } else { nil } }
    package var map: Fields? { if case .map(let fields) = self { fields } else { nil } }
    package var int: Int64? { if case .int(let number) = self { number } else { nil } }

    /// The number as Double, rounded when it is a large integer; nil for what is no number.
    package var number: Double? {
        switch self {
        case .int(let number): Double(number)
        case .uint(let number): Double(number)
        case .double(let number): number
        case .null, .bool, .string, .list, .map: nil
        }
    }

    /// The member of a map; nil for a missing key and for what is no map.
    package subscript(key: String) -> Value? { map?[key] }

    /// Follows a path of keys through maps.
    package func at(_ path: String...) -> Value? {
        var here: Value? = self
        for key in path { here = here?[key] }
        return here
    }

    package static func object(_ members: KeyValuePairs<String, Value?>) -> Value {
        .map(Fields(members.compactMap { key, value in value.map { Fields.Member(key, $0) } }))
    }
}

/// How two numbers stand to each other; `unordered` when one is NaN.
package enum Ordering: Sendable { case less, equal, greater, unordered }

extension Value {
    /// Compares two numbers exactly, whatever their forms; nil when one of them is no number.
    package static func compareNumbers(_ left: Value, _ right: Value) -> Ordering? {
        switch (left, right) {
        case (.int(let a), .int(let b)): order(a, b)
        case (.uint(let a), .uint(let b)): order(a, b)
        case (.double(let a), .double(let b)): order(a, b)
        case (.int(let a), .uint(let b)): a < 0 ? .less : order(UInt64(a), b)
        case (.uint(let a), .int(let b)): b < 0 ? .greater : order(a, UInt64(b))
        case (.int(let a), .double(let b)): order(a, b)
        case (.double(let a), .int(let b)): order(b, a).reversed
        case (.uint(let a), .double(let b)): order(a, b)
        case (.double(let a), .uint(let b)): order(b, a).reversed
        default: nil
        }
    }

    private static func order<T: Comparable>(_ a: T, _ b: T) -> Ordering { a < b ? .less : a > b ? .greater : a == b ? .equal : .unordered }

    /// An integer beside a double, without rounding the integer: compare with the double's floor, then its fraction.
    private static func order<I: FixedWidthInteger>(_ integer: I, _ double: Double) -> Ordering {
        guard !double.isNaN else { return .unordered }
        let floor = double.rounded(.down)
        guard let whole = I(exactly: floor) else { return double < 0 ? .greater : .less }
        if integer != whole { return integer < whole ? .less : .greater }
        return floor < double ? .less : .equal
    }
}

extension Ordering {
    package var reversed: Ordering {
        switch self {
        case .less: .greater
        case .greater: .less
        case .equal: .equal
        case .unordered: .unordered
        }
    }
}

extension Value: Equatable {
    /// Numbers by value, strings by bytes, maps whatever their order.
    package static func == (left: Value, right: Value) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.string(let a), .string(let b)): sameBytes(a, b)
        case (.list(let a), .list(let b)): a == b
        case (.map(let a), .map(let b)): a == b
        default: compareNumbers(left, right) == .equal
        }
    }
}

extension Fields: Equatable {
    package static func == (left: Fields, right: Fields) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
    }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .int(value) }
    package init(floatLiteral value: Double) { self = .double(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: Value...) { self = .list(elements) }
    package init(dictionaryLiteral elements: (String, Value)...) { self = .map(Fields(elements.map { Fields.Member($0.0, $0.1) })) }
    package init(nilLiteral: ()) { self = .null }
}

extension Value {
    package init(_ number: UInt64) { self = Int64(exactly: number).map(Value.int) ?? .uint(number) }
    package init(_ number: Int) { self = .int(Int64(number)) }
    package init(_ text: String?) { self = text.map(Value.string) ?? .null }
}

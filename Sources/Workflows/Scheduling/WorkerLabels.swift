/// Why labels, or what is asked of them, were refused. Each says what to do.
package enum PlacementError: Error, Equatable, CustomStringConvertible {
    case name(String)
    case value(String, of: String)
    case repeated(String)
    case tooMany(String, Int, limit: Int)
    case noValues(String)
    case unknownStrategy(String)

    package var description: String {
        switch self {
        case .name(let name):
            "label '\(Self.short(name))' is no label's name: use 1 to \(WorkerLabels.nameLimit) bytes of a-z, 0-9, '.', '_', '-' and '/'"
        case .value(let value, let name):
            "the value '\(Self.short(value))' of label '\(Self.short(name))' cannot be used: at most \(WorkerLabels.valueLimit) visible ASCII characters, no spaces"
        case .repeated(let name): "label '\(Self.short(name))' is given twice: keep one of them"
        case .tooMany(let what, let count, let limit): "\(count) \(what) are more than the \(limit) that one may have: leave some out"
        case .noValues(let name): "no value of label '\(Self.short(name))' is asked for: name at least one, or ask whether it exists"
        case .unknownStrategy(let name):
            "no placement strategy '\(Self.short(name))': choose round-robin, least-loaded or two-random-choices"
        }
    }

    private static func short(_ text: String) -> String { String(text.prefix(40)) + (text.count > 40 ? "..." : "") }
}

/// What a worker says of itself: names with values, such as `zone=north`. A value may be empty.
package struct WorkerLabels: Hashable, Sendable, CustomStringConvertible {
    package struct Label: Hashable, Sendable {
        package let name: String
        package let value: String
    }

    package static let none = WorkerLabels()
    package static let limit = 64
    package static let nameLimit = 63
    package static let valueLimit = 128

    /// In the order of their names. All are ASCII, so that equal strings are equal bytes.
    package let all: [Label]

    private init() { all = [] }

    package init(_ pairs: [(name: String, value: String)]) throws(PlacementError) {
        guard pairs.count <= Self.limit else { throw .tooMany("labels", pairs.count, limit: Self.limit) }
        for pair in pairs {
            try Self.check(name: pair.name)
            try Self.check(value: pair.value, of: pair.name)
        }
        let sorted = pairs.map { Label(name: $0.name, value: $0.value) }.sorted { $0.name < $1.name }
        for (left, right) in zip(sorted, sorted.dropFirst()) where left.name == right.name { throw .repeated(left.name) }
        all = sorted
    }

    package subscript(name: String) -> String? { all.first { $0.name == name }?.value }

    package var description: String { all.map { "\($0.name)=\($0.value)" }.joined(separator: ",") }

    static func check(name: String) throws(PlacementError) {
        let isFine = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "/"): true
            default: false
            }
        }
        guard isFine, (1...nameLimit).contains(name.utf8.count) else { throw .name(name) }
    }

    static func check(value: String, of name: String) throws(PlacementError) {
        guard value.utf8.count <= valueLimit, value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { throw .value(value, of: name) }
    }
}

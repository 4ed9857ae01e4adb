import Primitives

/// Where the logs of two nodes part: found by the hash over all entries up to one, which is the same on both only where all before it is.
struct LogDifference: Sendable {
    /// A node's part of its log, as `/api/v1/raft/log` answers.
    typealias Fetch = @Sendable (_ node: String, _ from: UInt64?, _ limit: Int) async throws -> Value

    enum Verdict: Equatable, Sendable {
        /// Of the entries that both keep.
        case same(from: UInt64, through: UInt64)
        /// The first entry in which they differ, on both.
        case parts(at: UInt64, Value, Value)
        /// One has compacted all that the other has.
        case nothingInCommon
    }

    /// The first and the last entry that a node keeps.
    struct Ends: Equatable, Sendable {
        var first: UInt64
        var last: UInt64
    }

    private static let pieces = 1_000

    let (left, right): (String, String)
    let fetch: Fetch

    init(_ left: String, _ right: String, fetch: @escaping Fetch) {
        (self.left, self.right) = (left, right)
        self.fetch = fetch
    }

    func ends(of node: String) async throws -> Ends {
        let answer = try await fetch(node, nil, 1)
        guard let first = answer["firstIndex"]?.int, let last = answer["lastIndex"]?.int, first > 0, last >= first - 1 else {
            throw strange(node)
        }
        return Ends(first: UInt64(first), last: UInt64(last))
    }

    /// - Parameter from: nothing before it is looked at.
    func find(_ one: Ends, _ other: Ends, from: UInt64 = 1) async throws -> Verdict {
        var low = max(one.first, other.first, from)
        var high = min(one.last, other.last)
        guard low <= high else { return .nothingInCommon }
        let start = low
        if try await haveSameChain(at: high) { return .same(from: start, through: high) }
        guard try await haveSameChain(at: low) else { return try await walk(start, high) }
        // The same at `low`, not at `high`.
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if try await haveSameChain(at: middle) { low = middle } else { high = middle }
        }
        return .parts(at: high, try await entry(left, high), try await entry(right, high))
    }

    /// They part in what one of them has compacted, or one does not know the hash of what its snapshot stands for: then each entry is looked at for itself.
    private func walk(_ start: UInt64, _ high: UInt64) async throws -> Verdict {
        var next = start
        while next <= high {
            let (ours, theirs) = (try await items(left, next, Self.pieces), try await items(right, next, Self.pieces))
            let count = min(ours.count, theirs.count, Int(high - next) + 1)
            guard count > 0 else { throw strange(ours.isEmpty ? left : right) }
            for place in 0..<count where !Self.isSame(ours[place], theirs[place]) {
                return .parts(at: next + UInt64(place), ours[place], theirs[place])
            }
            next += UInt64(count)
        }
        return .same(from: start, through: high)
    }

    /// One entry for another, whatever stands before them.
    static func isSame(_ one: Value, _ other: Value) -> Bool {
        ["index", "term", "kind", "bytes", "checksum"].allSatisfy { one[$0] == other[$0] }
    }

    private func haveSameChain(at index: UInt64) async throws -> Bool {
        let (ours, theirs) = (try await entry(left, index), try await entry(right, index))
        guard let one = ours["chain"]?.string, let other = theirs["chain"]?.string else { throw strange(left) }
        return sameBytes(one, other)
    }

    private func entry(_ node: String, _ index: UInt64) async throws -> Value {
        guard let entry = try await items(node, index, 1).first else { throw strange(node) }
        return entry
    }

    private func items(_ node: String, _ from: UInt64, _ limit: Int) async throws -> [Value] {
        let items = try await fetch(node, from, limit)["items"]?.list ?? []
        guard items.first.map({ $0["index"]?.int == Int64(exactly: from) }) ?? true else { throw strange(node) }
        return items
    }

    private func strange(_ node: String) -> CommandFailure {
        CommandFailure(.temporary, "'\(node)' answers with another part of its log than was asked for: it changes just now; try again")
    }
}

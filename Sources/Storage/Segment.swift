import Primitives

extension SegmentedLog {
    /// One file of the log.
    struct Segment: Equatable {
        let before: Position
        let path: String
        /// Bytes in use; what follows is zeros, or was dropped by a file of a higher generation.
        var end = SegmentedLog.headBytes
        let size: Int
        var index: SparseIndex

        init(head: SegmentHead, path: String, size: Int) {
            before = head.before
            self.path = path
            self.size = size
            index = SparseIndex(head.before)
        }

        var first: LogIndex { before.index.next }
        var isEmpty: Bool { end == SegmentedLog.headBytes }
    }
}

/// Where some of a segment's records begin, about one every 64 KiB, so that a read starts near what it wants.
struct SparseIndex: Equatable {
    /// A record's first byte, and the log up to the record before it.
    struct Point: Equatable {
        var before: SegmentedLog.Position
        var offset: Int
    }

    static let spacingBytes = 64 << 10

    private(set) var points: [Point]

    init(_ before: SegmentedLog.Position) { points = [Point(before: before, offset: SegmentedLog.headBytes)] }

    mutating func note(_ before: SegmentedLog.Position, at offset: Int) {
        guard offset - points[points.count - 1].offset >= Self.spacingBytes else { return }
        points.append(Point(before: before, offset: offset))
    }

    mutating func cut(after index: LogIndex) {
        while points.count > 1, points[points.count - 1].before.index > index { points.removeLast() }
    }

    /// The last point that stands at or before `index`; the first one when none does.
    func point(notAfter index: LogIndex) -> Point {
        var (lower, upper) = (0, points.count)
        while upper - lower > 1 {
            let middle = (lower + upper) / 2
            if points[middle].before.index <= index { lower = middle } else { upper = middle }
        }
        return points[lower]
    }
}

/// A segment's name: its first index in 20 digits, then its generation where another file has that name already.
struct SegmentName: Equatable {
    static let suffix = ".log"
    /// What a name gets when its file is set aside.
    static let damagedSuffix = ".damaged"

    let first: LogIndex
    let generation: UInt32?

    init(first: LogIndex, generation: UInt32?) {
        self.first = first
        self.generation = generation
    }

    /// Of a file in use or one that was set aside; nil for a name that no log gives.
    init?(_ text: String) {
        let name = text.hasSuffix(Self.damagedSuffix) ? text.dropLast(Self.damagedSuffix.count) : text[...]
        guard name.hasSuffix(Self.suffix) else { return nil }
        let parts = name.dropLast(Self.suffix.count).split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ $0.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } }),
            let first = parts.first.flatMap({ UInt64($0) }), (1...SegmentedLog.indexLimit + 1).contains(first)
        else { return nil }
        let generation = parts.count == 2 ? UInt32(parts[1]) : nil
        guard parts.count == 1 || generation != nil else { return nil }
        self.init(first: LogIndex(first), generation: generation)
    }

    var text: String {
        let digits = String(first.number)
        let stem = String(repeating: "0", count: 20 - digits.utf8.count) + digits
        return stem + (generation.map { ".\($0)" } ?? "") + Self.suffix
    }
}

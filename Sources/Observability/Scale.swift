/// How a histogram sorts what it observes.
package enum Scale: Equatable, Sendable {
    /// One bucket up to each bound, and one above them all.
    case bounds([Double])
    /// Whole units, 32 buckets an octave: a quantile is within 1.6 % of what was observed, up to 2^50 units (13 days of nanoseconds).
    /// What is exposed are 20 buckets: powers of two from 2^`firstEdge` units, fifteen in steps of two and four in steps of four.
    case logLinear(unit: Double, firstEdge: Int)

    /// Nanoseconds, exposed from 66 us to 275 s: requests, commits, tasks.
    package static let latency = Scale.logLinear(unit: nanosecond, firstEdge: 16)
    /// Nanoseconds, exposed from 1 us to 4.3 s: work that takes no wait.
    package static let quick = Scale.logLinear(unit: nanosecond, firstEdge: 10)
    /// Whole things: bytes, entries; exposed from 1 to 4 million.
    package static let counts = Scale.logLinear(unit: 1, firstEdge: 0)

    static let nanosecond = 1e-9
    private static let octave = 32
    private static let largest: UInt64 = 1 << 50
    static let logLinearCells = 1472

    /// How many cells it takes.
    var cells: Int {
        switch self {
        case .bounds(let bounds): bounds.count + 1
        case .logLinear: Self.logLinearCells
        }
    }

    /// The cell of so many units. One unit below, so that a power of two is the last of its cell and an exposed bucket holds exactly what
    /// its bound says.
    @inline(__always)
    static func cell(of units: UInt64) -> Int {
        let below = min(max(units, 1), largest) &- 1
        let exponent = 63 &- (below | 31).leadingZeroBitCount
        let shift = max(exponent &- 5, 0)
        return shift &* octave &+ Int(truncatingIfNeeded: below &>> UInt64(shift))
    }

    /// The largest number of units that falls in a cell.
    static func top(of cell: Int) -> UInt64 {
        let shift = max(0, cell / octave - 1)
        return UInt64(cell - shift * octave + 1) << UInt64(shift)
    }

    /// The cell whose exposed bucket ends at 2^`exponent` units, and all below it, are the cells under this number.
    private static func cells(upTo exponent: Int) -> Int { cell(of: 1 << UInt64(exponent)) + 1 }

    /// What is exposed: bounds with the number of cells at or below each. The bucket above them all is not among them.
    var edges: [(bound: Double, cells: Int)] {
        switch self {
        case .bounds(let bounds): bounds.enumerated().map { ($1, $0 + 1) }
        case .logLinear(let unit, let first):
            (Array(first..<first + 15) + stride(from: first + 16, through: first + 22, by: 2)).map {
                (Double(UInt64(1) << UInt64($0)) * unit, Self.cells(upTo: $0))
            }
        }
    }

    /// What an observation in the middle of a cell would be.
    func middle(of cell: Int) -> Double {
        switch self {
        case .bounds(let bounds): return bounds.isEmpty ? .nan : bounds[min(cell, bounds.count - 1)]
        case .logLinear(let unit, _):
            let low = cell == 0 ? 1 : Self.top(of: cell - 1) + 1
            return Double(low + Self.top(of: cell)) / 2 * unit
        }
    }
}

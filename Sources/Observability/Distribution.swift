/// What a histogram had counted at one moment.
package struct Distribution: Equatable, Sendable {
    package let scale: Scale
    /// The cell that `counts` begins with: cells before it and after its end are empty.
    private let first: Int
    private let counts: [UInt64]
    package let count: UInt64
    package let sum: Double

    init(scale: Scale, cells: [UInt64], sum: Double) {
        self.scale = scale
        self.sum = sum
        let begin = cells.firstIndex { $0 > 0 } ?? 0
        let end = (cells.lastIndex { $0 > 0 } ?? -1) + 1
        first = begin
        counts = begin < end ? Array(cells[begin..<end]) : []
        count = counts.reduce(0, &+)
    }

    private func count(in cell: Int) -> UInt64 { counts.indices.contains(cell - first) ? counts[cell - first] : 0 }

    /// What came in after `earlier`; all of it when nothing did.
    package func since(_ earlier: Distribution?) -> Distribution {
        guard let earlier, earlier.scale == scale, earlier.count < count else { return self }
        let cells = (0..<first + counts.count).map { cell in
            let (now, before) = (count(in: cell), earlier.count(in: cell))
            return now > before ? now - before : 0
        }
        return Distribution(scale: scale, cells: cells, sum: sum - earlier.sum)
    }

    /// Observations at or below each exposed bound, then all of them.
    package var cumulative: [(bound: Double, count: UInt64)] {
        var (total, next) = (UInt64(0), first)
        var exposed: [(bound: Double, count: UInt64)] = []
        for (bound, cells) in scale.edges {
            while next < min(cells, first + counts.count) {
                total += counts[next - first]
                next += 1
            }
            exposed.append((bound, total))
        }
        return exposed + [(.infinity, count)]
    }

    /// The value that a share of the observations is at or below: within 1.6 % on a log-linear scale, within its bucket as a straight line
    /// would have it under bounds (as Prometheus' histogram_quantile). Nil when there is nothing to tell.
    package func quantile(_ share: Double) -> Double? {
        guard count > 0 else { return nil }
        guard case .bounds(let bounds) = scale else { return ranked(share) }
        let rank = share * Double(count)
        let exposed = cumulative
        guard !bounds.isEmpty, let place = exposed.firstIndex(where: { Double($0.count) >= rank }) else { return nil }
        guard place < bounds.count else { return bounds.last }
        let (low, below) = place == 0 ? (0, 0) : (bounds[place - 1], Double(exposed[place - 1].count))
        let within = Double(exposed[place].count) - below
        return within <= 0 ? bounds[place] : low + (bounds[place] - low) * (rank - below) / within
    }

    private func ranked(_ share: Double) -> Double? {
        let rank = max(1, UInt64((min(max(share, 0), 1) * Double(count)).rounded(.up)))
        var total: UInt64 = 0
        for (place, number) in counts.enumerated() {
            total += number
            if total >= rank { return scale.middle(of: first + place) }
        }
        return nil
    }
}

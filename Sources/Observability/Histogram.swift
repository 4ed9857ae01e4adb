package import Primitives
import Synchronization

/// Counts of observations by size, in seconds for times. Observing takes no lock and shares no cache line with another thread.
package final class Histogram: Sendable {
    /// An observation that can be looked up as a trace.
    package struct Exemplar: Equatable, Sendable {
        let traceHigh: UInt64
        let traceLow: UInt64
        package let value: Double

        package var traceID: String { hexadecimal(traceHigh) + hexadecimal(traceLow) }
    }

    package let scale: Scale
    private let cellCount: Int
    /// Upper ends of the exposed buckets.
    private let bounds: [Double]
    /// Units of the scale a second or thing; 0 under bounds.
    private let unitsPerOne: Double
    /// One block of cells for each group of threads, made when a thread of it first observes: a sum, then the cells.
    private nonisolated(unsafe) let blocks: UnsafeMutablePointer<Atomic<UnsafeMutableRawPointer?>>
    /// The newest of each exposed bucket.
    private let exemplars = Mutex<[Exemplar?]>([])

    package init(scale: Scale) {
        if case .bounds(let bounds) = scale {
            precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds must rise: \(bounds)")
        }
        self.scale = scale
        cellCount = scale.cells
        bounds = scale.edges.map(\.bound)
        if case .logLinear(let unit, _) = scale { unitsPerOne = (1 / unit).rounded() } else { unitsPerOne = 0 }
        blocks = .allocate(capacity: Cells.count)
        for place in 0..<Cells.count { (blocks + place).initialize(to: Atomic(nil)) }
    }

    package convenience init(bounds: [Double]) { self.init(scale: .bounds(bounds)) }

    deinit {
        for place in 0..<Cells.count { blocks[place].load(ordering: .acquiring)?.deallocate() }
        blocks.deinitialize(count: Cells.count)
        blocks.deallocate()
    }

    // MARK: Observing

    package func observe(_ duration: Duration) { observe(nanoseconds: duration.nanoseconds) }

    /// A time that a clock told in whole nanoseconds: the cheapest way.
    package func observe(nanoseconds: Int64) {
        guard unitsPerOne == 1e9 else { return observe(Double(nanoseconds) / 1e9) }
        count(units: UInt64(max(0, nanoseconds)))
    }

    /// What is no number, or below zero on a log-linear scale, counts as the smallest.
    package func observe(_ number: Double) {
        guard case .bounds(let bounds) = scale else {
            let units = number * unitsPerOne
            return count(units: units > 0 ? UInt64(min(units.rounded(), 0x1p62)) : 0)
        }
        var (low, high) = (0, bounds.count)
        while low < high {
            let middle = (low + high) / 2
            if number <= bounds[middle] { high = middle } else { low = middle + 1 }
        }
        let words = block
        words[1 + low].wrappingAdd(1, ordering: .relaxed)
        AtomicDouble.add(number, to: words[0])
    }

    /// A time that a trace can be looked up for, if there is one.
    package func observe(_ duration: Duration, in trace: TraceContext?) {
        let nanoseconds = duration.nanoseconds
        observe(nanoseconds: nanoseconds)
        guard let trace, trace.isSampled else { return }
        let seconds = Double(nanoseconds) / 1e9
        let place = bounds.firstIndex { seconds <= $0 } ?? bounds.count
        // Who finds another writing leaves it at that: an exemplar is an example.
        _ = exemplars.withLockIfAvailable { exemplars in
            if exemplars.isEmpty { exemplars = Array(repeating: nil, count: bounds.count + 1) }
            exemplars[place] = Exemplar(traceHigh: trace.traceHigh, traceLow: trace.traceLow, value: seconds)
        }
    }

    @inline(__always)
    private func count(units: UInt64) {
        let words = block
        words[1 + Scale.cell(of: units)].wrappingAdd(1, ordering: .relaxed)
        words[0].wrappingAdd(units, ordering: .relaxed)
    }

    @inline(__always)
    private var block: UnsafeMutablePointer<Atomic<UInt64>> {
        let own = Cells.own
        guard let found = blocks[own].load(ordering: .acquiring) else { return makeBlock(own) }
        return found.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    @inline(never)
    private func makeBlock(_ place: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        let bytes = (cellCount + 1) * 8
        let made = UnsafeMutableRawPointer.allocate(byteCount: (bytes + Cells.line - 1) & ~(Cells.line - 1), alignment: Cells.line)
        let words = made.bindMemory(to: Atomic<UInt64>.self, capacity: cellCount + 1)
        for word in 0...cellCount { (words + word).initialize(to: Atomic(0)) }
        let (exchanged, other) = blocks[place].compareExchange(expected: nil, desired: made, ordering: .acquiringAndReleasing)
        guard !exchanged, let other else { return words }
        made.deallocate()
        return other.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    // MARK: Reading

    package var distribution: Distribution {
        var cells = [UInt64](repeating: 0, count: cellCount)
        var (units, sum) = (UInt64(0), 0.0)
        for place in 0..<Cells.count {
            guard let found = blocks[place].load(ordering: .acquiring) else { continue }
            let words = found.assumingMemoryBound(to: Atomic<UInt64>.self)
            for cell in 0..<cellCount { cells[cell] &+= words[1 + cell].load(ordering: .relaxed) }
            let word = words[0].load(ordering: .relaxed)
            if unitsPerOne > 0 { units &+= word } else { sum += Double(bitPattern: word) }
        }
        return Distribution(scale: scale, cells: cells, sum: unitsPerOne > 0 ? Double(units) / unitsPerOne : sum)
    }

    package var sum: Double { distribution.sum }
    package var count: UInt64 { distribution.count }

    /// By exposed bucket; empty when there are none.
    package var latestExemplars: [Exemplar?] { exemplars.withLock { $0 } }
}

/// Quantiles of what was observed in the last minute, told by the node itself.
package final class Summary: Sendable {
    package static let shares = [0.5, 0.9, 0.99]
    /// Turns of five seconds that the quantiles reach back.
    private static let turns = 12

    private let histogram: Histogram
    private let window = Mutex<[Distribution]>([])

    package init(scale: Scale) { histogram = Histogram(scale: scale) }

    package func observe(_ number: Double) { histogram.observe(number) }

    /// Called every five seconds.
    func turn() {
        let now = histogram.distribution
        window.withLock { window in
            if window.count >= Self.turns { window.removeFirst() }
            window.append(now)
        }
    }

    package var distribution: Distribution { histogram.distribution }

    /// Nil when the last minute brought none.
    package var quantiles: [Double?] {
        let now = histogram.distribution
        let earlier = window.withLock { $0.first }
        if let earlier, earlier.count == now.count { return Self.shares.map { _ in nil } }
        let lately = now.since(earlier)
        return Self.shares.map { lately.quantile($0) }
    }
}

import CThreadSlot
import Synchronization

/// How many cells a total is spread over: threads take them in turn, so that two that count at once touch different cache lines
/// (Decisions/CellsPerThread).
enum Cells {
    static let count = 8
    /// Bytes of a cache line.
    static let line = 64
    /// The cell of the calling thread.
    @inline(__always) static var own: Int { Int(distric_thread_slot()) & (count - 1) }
}

/// A number that only grows. Incrementing takes no lock and shares no cache line with another thread's.
package final class Counter: Sendable {
    private nonisolated(unsafe) let cells: UnsafeMutableRawPointer

    package init() {
        cells = .allocate(byteCount: Cells.count * Cells.line, alignment: Cells.line)
        for place in 0..<Cells.count { cell(place).initialize(to: Atomic(0)) }
    }

    deinit {
        for place in 0..<Cells.count { cell(place).deinitialize(count: 1) }
        cells.deallocate()
    }

    @inline(__always)
    private func cell(_ place: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (cells + place * Cells.line).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// - Parameter amount: what is below zero counts as nothing.
    package func increment(by amount: Int = 1) {
        cell(Cells.own).pointee.wrappingAdd(UInt64(max(0, amount)), ordering: .relaxed)
    }

    package var count: UInt64 {
        var total: UInt64 = 0
        for place in 0..<Cells.count { total &+= cell(place).pointee.load(ordering: .relaxed) }
        return total
    }
}

/// A number that goes up and down.
package final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    package init() {}

    package func set(_ number: Double) { bits.store(number.bitPattern, ordering: .relaxed) }
    package func set(_ number: Int) { set(Double(number)) }
    package func add(_ amount: Double) { AtomicDouble.add(amount, to: bits) }
    package var number: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// A double within an atomic word.
enum AtomicDouble {
    static func add(_ amount: Double, to bits: borrowing Atomic<UInt64>) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }
}

import Primitives

/// What becomes of each sync of a disk that is disturbed on purpose, and what became of those before.
struct SyncFaults: Equatable, Sendable {
    enum Fault: Equatable, Sendable {
        /// One sync stalls, and the next one that begins at least `every` after it.
        case stalls(Duration, every: Duration)
        case stallsOnce(Duration)
        case fails
    }

    enum Fate: Equatable, Sendable {
        case done
        case stalled(Duration)
        case failed
    }

    private(set) var fault: Fault?
    private(set) var stalled = 0
    private(set) var failed = 0
    /// No stall before; nil: the next sync.
    private var stallsFrom: Instant?

    /// Nil takes the fault away; what it did stays counted.
    mutating func set(_ fault: Fault?) {
        self.fault = fault
        stallsFrom = nil
    }

    mutating func fate(now: Instant) -> Fate {
        switch fault {
        case nil: return .done
        case .fails:
            failed += 1
            return .failed
        case .stallsOnce(let length):
            set(nil)
            stalled += 1
            return .stalled(length)
        case .stalls(let length, let every):
            if let stallsFrom, now < stallsFrom { return .done }
            stallsFrom = now.advanced(by: every)
            stalled += 1
            return .stalled(length)
        }
    }

    /// Of a sync that has stalled: whether it fails now.
    mutating func failsNow() -> Bool {
        guard fault == .fails else { return false }
        failed += 1
        return true
    }
}

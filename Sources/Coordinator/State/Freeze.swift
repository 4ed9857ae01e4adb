package import Primitives

/// What an operator has stopped in the whole cluster, and since when. It is the cluster's and not the leader's, so that it holds whoever leads. Since feature level 4.
package struct Freeze: Equatable, Sendable {
    package enum Part: String, CaseIterable, Sendable {
        /// No message is taken.
        case intake
        /// No task is given to a worker.
        case dispatch
    }

    package struct Stop: Equatable, Sendable {
        package var since: ClusterTime
        package var reason: String
    }

    package internal(set) var intake: Stop?
    package internal(set) var dispatch: Stop?

    package var isEmpty: Bool { intake == nil && dispatch == nil }

    package subscript(part: Part) -> Stop? {
        get {
            switch part {
            case .intake: intake
            case .dispatch: dispatch
            }
        }
        set {
            switch part {
            case .intake: intake = newValue
            case .dispatch: dispatch = newValue
            }
        }
    }

    /// Why no message is taken, for whoever sent it; nil while they are.
    package var intakeRefusal: String? { intake.map { "\(text(.intake, $0)); send it again after 'distric cluster thaw intake'" } }

    /// Both parts in words; empty where nothing is stopped.
    package var text: String { Part.allCases.compactMap { part in self[part].map { text(part, $0) } }.joined(separator: "; ") }

    private func text(_ part: Part, _ stop: Stop) -> String {
        "\(part) is frozen by an operator since \(stop.since.rfc3339)\(stop.reason.isEmpty ? "" : ": \(stop.reason)")"
    }
}

/// Stops a part of the cluster, or lets it go again.
package struct FreezeChange: Equatable, Sendable {
    package var part: Freeze.Part
    package var isFrozen: Bool
    package var reason: String

    package init(_ part: Freeze.Part, isFrozen: Bool, reason: String = "") {
        (self.part, self.isFrozen, self.reason) = (part, isFrozen, reason)
    }

    /// Of a reason, in bytes.
    package static let reasonBytes = 400
}

extension CoordinatorState {
    /// Stopped again it has the newer reason, and the older time.
    mutating func apply(_ change: FreezeChange) -> CommandOutcome {
        guard change.isFrozen else {
            guard frozen[change.part] != nil else { return .stale("\(change.part) is not frozen") }
            frozen[change.part] = nil
            return .done
        }
        frozen[change.part] = Freeze.Stop(since: frozen[change.part]?.since ?? time, reason: change.reason)
        return .done
    }
}

extension StableHasher {
    /// Of programs that know none of it nothing is frozen: their digests stay.
    mutating func combine(_ frozen: Freeze) {
        for (number, part) in Freeze.Part.allCases.enumerated() {
            guard let stop = frozen[part] else { continue }
            combine(UInt64(0xF0 + number))
            combine(stop.since.milliseconds)
            combine(stop.reason)
        }
    }
}

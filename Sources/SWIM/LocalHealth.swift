/// How much a member blames itself for what it does not hear (Lifeguard section IV-A, Local Health Multiplier): the worse it stands, the slower it probes and the
/// longer it waits. 0 is healthy.
package struct LocalHealth: Equatable, Sendable {
    package enum Evidence: Equatable, Sendable {
        case probeAnswered
        case probeFailed
        /// Helpers that were asked and said nothing at all, not even that the target did not answer.
        case nacksMissed(Int)
        /// Others thought this member suspect or dead.
        case accused
        /// This process stood still.
        case stoodStill
    }

    package private(set) var score = 0
    let limit: Int

    init(limit: Int) { self.limit = limit }

    package var multiplier: Int { score + 1 }

    mutating func note(_ evidence: Evidence) {
        let change =
            switch evidence {
            case .probeAnswered: -1
            case .probeFailed, .accused, .stoodStill: 1
            case .nacksMissed(let count): count
            }
        score = min(max(score + change, 0), limit - 1)
    }
}

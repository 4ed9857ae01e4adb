package import Primitives

/// What a check of the doctor came to.
package struct Finding: Equatable, Sendable {
    package enum Verdict: String, CaseIterable, Sendable {
        case ok
        /// It works, and something may go wrong.
        case warn
        /// It does not work, or what it promises does not hold.
        case fail
    }

    package var check: String
    package var verdict: Verdict
    package var measured: String
    /// What to do; empty when all is well.
    package var advice: String

    package init(_ check: String, _ verdict: Verdict, _ measured: String, _ advice: String = "") {
        (self.check, self.verdict, self.measured, self.advice) = (check, verdict, measured, advice)
    }

    package var value: Value {
        .object([
            "check": .string(check), "verdict": .string(verdict.rawValue), "measured": .string(measured),
            "advice": advice.isEmpty ? nil : .string(advice),
        ])
    }
}

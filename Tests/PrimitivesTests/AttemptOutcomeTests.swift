import Testing

@testable import Primitives

/// What a workflow sees of an attempt that did not succeed (AttemptOutcome.swift).
struct AttemptOutcomeTests {
    @Test func `an error is a value with type, message, and status when there is one`() {
        let failed = TaskError(type: "exit_code", message: "it ended with 3", status: 3)
        let expected: Value = ["type": "exit_code", "message": "it ended with 3", "status": 3]
        #expect(failed.value == expected)
        let timedOut = TaskError(type: "timeout", message: "after 30s")
        #expect(timedOut.value.map?.members.map(\.key) == ["type", "message"])
    }

    @Test func `outcomes compare by what they hold`() {
        let error = TaskError(type: "timeout", message: "after 30s")
        #expect(AttemptOutcome.failed(error) != AttemptOutcome.timedOut(error))
        #expect(AttemptOutcome.succeeded(["a": 1, "b": 2]) == AttemptOutcome.succeeded(["b": 2, "a": 1.0]))
        #expect(AttemptOutcome.lost != AttemptOutcome.neverStarted)
    }
}

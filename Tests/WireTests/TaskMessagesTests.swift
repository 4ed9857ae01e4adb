import Primitives
import Testing

@testable import Wire

/// What a coordinator and a worker tell each other of an attempt (TaskMessages.swift).
struct TaskMessagesTests {
    @Test func `assignments and reports compare by all they hold`() {
        let assignment = TaskAssignment(
            run: RunID(high: 1, low: 2), task: "a", namespace: .default, kind: "http", attempt: 1,
            fence: Fence(term: Term(2), assignment: 7), key: "k", input: ["x": 1], timeout: .seconds(30), journalsStart: true, trace: nil)
        var again = assignment
        #expect(again == assignment)
        again.attempt = 2
        #expect(again != assignment)
        let report = TaskReport(
            run: assignment.run, task: "a", attempt: 1, fence: assignment.fence, outcome: .succeeded(["y": 2]), startedAt: .zero,
            endedAt: ClusterTime(milliseconds: 5))
        var lost = report
        lost.outcome = .lost
        #expect(lost != report)
    }
}

import Testing

@testable import distric_bench

/// What was lost, and what is there twice, as somebody sees it who has only the answers and the list of runs.
struct RunLedgerTests {
    private func ledger(_ acknowledged: [String], _ runs: [(run: String, message: String, state: String)]) -> RunLedger {
        var ledger = RunLedger()
        ledger.acknowledge(acknowledged)
        for item in runs { ledger.note(run: item.run, message: item.message, state: item.state, endedAt: 1) }
        return ledger
    }

    @Test func `what has one run that succeeded is neither lost nor twice`() {
        let ledger = ledger(["a", "b"], [("r1", "a", "succeeded"), ("r2", "b", "succeeded")])
        #expect((ledger.acknowledgedCount, ledger.lost, ledger.twice, ledger.unsuccessful) == (2, 0, 0, 0))
    }

    @Test func `an acknowledged message without a run is lost; one that was not acknowledged is not`() {
        let ledger = ledger(["a", "b", "c"], [("r1", "a", "succeeded"), ("r9", "never answered", "succeeded")])
        #expect(ledger.lost == 2)
        #expect(ledger.twice == 0)
    }

    @Test func `two runs of a message are twice, and so is one run that ended twice`() {
        #expect(ledger(["a"], [("r1", "a", "succeeded"), ("r2", "a", "failed")]).twice == 1)
        #expect(ledger(["a"], [("r1", "a", "succeeded"), ("r1", "a", "succeeded")]).twice == 1)
        // It may well be there twice though nobody was told so.
        #expect(ledger([], [("r1", "a", "succeeded"), ("r2", "a", "succeeded")]).twice == 1)
    }

    @Test func `a run that ended otherwise, or has not ended, did not succeed`() {
        let ledger = ledger(["a", "b", "c"], [("r1", "a", "failed"), ("r2", "b", "running"), ("r3", "c", "succeeded")])
        #expect(ledger.unsuccessful == 2)
        #expect(ledger.lost == 0)
    }

    @Test func `the longest pause counts from the start and to the end`() {
        var ledger = RunLedger()
        for time in [90, 130, 110, 400, 405] { ledger.note(run: "\(time)", message: "\(time)", state: "succeeded", endedAt: time) }
        ledger.note(run: "open", message: "open", state: "running", endedAt: nil)
        #expect(ledger.longestPause(from: 100, to: 420) == 270)
        #expect(ledger.longestPause(from: 100, to: 1000) == 595)
        #expect(ledger.longestPause(from: 420, to: 500) == 80)
    }
}

import Primitives
import Testing

@testable import Operator

/// What `distric chaos` prints (ChaosCommands.swift).
struct ChaosTextTests {
    private static let answer: Value = [
        "node": "c-1", "faults": 3,
        "links": [
            ["to": "c-2", "cut": true, "delay": "50ms", "loss": 0], ["to": "c-3", "cut": false, "delay": "50ms", "loss": 0.2],
            ["to": "c-4", "cut": false, "delay": "0s", "loss": 1],
        ],
        "lost": 12, "disk": ["stall": "250ms", "every": "5s", "stalls": 4, "stalling": 1, "failures": 0],
    ]

    private func how(_ disk: Value) -> String? { ChaosText.rows(["node": "c-1", "disk": disk]).first?["how"]?.string }

    @Test func `each fault is a row`() {
        let rows = ChaosText.rows(Self.answer)
        #expect(rows.map { $0["what"]?.string } == ["link to c-2", "link to c-3", "link to c-4", "disk"])
        #expect(
            rows.map { $0["how"]?.string } == [
                "cut", "50ms slower, 0.2 of it is lost", "1.0 of it is lost", "one sync every 5s stalls for 250ms",
            ])
        #expect(rows.allSatisfy { $0["node"] == "c-1" })
    }

    @Test func `a disk is said as it was told`() {
        #expect(how(["stall": "3s", "once": true]) == "the next sync stalls for 3s")
        #expect(how(["stall": "3s", "every": "0s"]) == "every sync stalls for 3s")
        #expect(how(["fail": true]) == "every sync fails")
        #expect(how(["stalls": 4, "failures": 1]) == nil)
        #expect(ChaosText.rows(.null).isEmpty)
    }

    @Test func `what the faults did is said in one line`() {
        #expect(ChaosText.did(Self.answer) == "lost on links 12, stalled syncs 4, stalling now 1")
        #expect(ChaosText.did(["disk": ["failures": 1, "note": "restart the node"]]) == "failed syncs 1, restart the node")
        #expect(ChaosText.did(["lost": 0, "disk": ["stalls": 0, "stalling": 0, "failures": 0]]) == "")
    }
}

import Primitives
import Testing

@testable import Offline

/// What may fail next, as nodes tell it (Doctor/ClusterVerdicts.swift).
struct ClusterVerdictsTests {
    private func quorum(_ have: Int, _ need: Int, _ of: Int) -> Finding {
        ClusterVerdicts.quorum(["quorum": ["have": Value(have), "need": Value(need), "of": Value(of)]])
    }

    @Test func `the margin is what answers beyond what is needed`() {
        #expect(quorum(3, 2, 3) == Finding("quorum", .ok, "3 coordinators vote, 3 answer, 2 are needed: 1 may fail next without harm"))
        #expect(quorum(5, 3, 5).measured.hasSuffix("2 may fail next without harm"))
        #expect(quorum(4, 3, 5).verdict == .warn && quorum(4, 3, 5).measured.hasSuffix("1 may fail next without harm"))
        #expect(quorum(2, 2, 3).verdict == .warn && quorum(2, 2, 3).measured.hasSuffix("none may fail now"))
        #expect(quorum(1, 2, 3).verdict == .fail && quorum(1, 2, 3).advice.contains("nothing is accepted"))
        #expect(
            quorum(1, 1, 1).verdict == .warn && quorum(1, 1, 1).measured == "1 coordinator votes, 1 answers, 1 is needed: it may not fail")
        #expect(ClusterVerdicts.quorum([:]).verdict == .fail)
    }

    @Test func `without a leader nothing goes on`() {
        #expect(ClusterVerdicts.leader(["leader": "c-2", "term": 7]) == Finding("leader", .ok, "c-2 leads term 7"))
        #expect(ClusterVerdicts.leader(["leader": .null, "term": 7]).verdict == .fail)
    }

    private func worker(_ id: String, _ state: String = "alive", zone: String? = nil) -> Value {
        .object(["id": .string(id), "role": "worker", "state": .string(state), "labels": zone.map { .list([.string("zone=\($0)")]) }])
    }

    @Test func `workers are counted, together and by label`() {
        let coordinator: Value = ["id": "c-1", "role": "coordinator", "state": "alive"]
        #expect(ClusterVerdicts.workers([coordinator]).map(\.verdict) == [.fail])
        #expect(ClusterVerdicts.workers([worker("w-1", "dead")]).map(\.verdict) == [.fail])
        #expect(ClusterVerdicts.workers([worker("w-1")]).first?.measured == "1 of 1 worker answers: w-1 may not fail")
        let whole = ClusterVerdicts.workers([coordinator, worker("w-1", zone: "north"), worker("w-2", zone: "north")])
        #expect(whole == [Finding("workers", .ok, "2 of 2 workers answer: 1 may fail, one after the other")])
        let lone = ClusterVerdicts.workers([worker("w-1", zone: "north"), worker("w-2", zone: "north"), worker("w-3", zone: "south")])
        #expect(lone.map(\.verdict) == [.ok, .warn] && lone[1].measured == "w-3 alone has zone=south")
        #expect(ClusterVerdicts.workers([worker("w-1"), worker("w-2"), worker("w-3", "suspect")])[0].verdict == .warn)
        // One that coordinates too works as well.
        #expect(ClusterVerdicts.workers([["id": "n", "role": "coordinator,worker", "state": "alive"]])[0].verdict == .warn)
    }

    @Test func `a worker that takes nothing new is no worker to fall back on`() {
        func worker(_ id: String, _ standing: Value) -> Value {
            ["id": .string(id), "role": "worker", "state": "alive", "standing": standing, "labels": ["zone=north"]]
        }
        let none = ClusterVerdicts.workers([worker("w-1", "cordoned"), worker("w-2", "drained")])
        #expect(none.map(\.verdict) == [.fail] && none[0].measured == "2 of 2 workers answer, 2 of them take nothing new")
        #expect(none[0].advice.contains("nodes uncordon"))
        let one = ClusterVerdicts.workers([worker("w-1", "cordoned"), worker("w-2", "full")])
        #expect(one.map(\.verdict) == [.warn])
        #expect(one[0].measured == "2 of 2 workers answer, 1 of them takes nothing new: w-2 may not fail")
        let two = ClusterVerdicts.workers([worker("w-1", "overdue"), worker("w-2", "available"), worker("w-3", .null)])
        #expect(two.map(\.verdict) == [.ok] && two[0].measured.hasSuffix(": 1 may fail, one after the other"))
    }

    @Test func `labels may be a map`() {
        let workers: [Value] = [
            ["id": "w-1", "role": "worker", "state": "alive", "labels": ["zone": "a"]],
            ["id": "w-2", "role": "worker", "state": "alive", "labels": ["zone": "b"]],
        ]
        #expect(ClusterVerdicts.workers(workers).map(\.measured).suffix(2) == ["w-1 alone has zone=a", "w-2 alone has zone=b"])
    }

    @Test func `several versions are an upgrade that is not finished`() {
        func node(_ id: String, _ version: String, _ level: Int) -> Value {
            ["id": .string(id), "version": .string(version), "featureLevel": Value(level)]
        }
        #expect(ClusterVerdicts.versions([node("c-1", "0.1.0", 3), node("c-2", "0.1.0", 3)]) == Finding("versions", .ok, "0.1.0"))
        let mixed = ClusterVerdicts.versions([node("c-1", "0.1.0", 3), node("c-2", "0.2.0", 4), node("c-3", "0.1.0", 3)])
        #expect(mixed.verdict == .warn && mixed.measured == "0.1.0 on c-1, c-3; 0.2.0 on c-2")
        #expect(ClusterVerdicts.versions([]).verdict == .ok)
    }

    @Test func `a node is as well as its worst part`() {
        func parts(_ status: String) -> Value {
            ["components": [["name": "raft", "status": "up"], ["name": "storage", "status": .string(status), "reason": "slow"]]]
        }
        func asked(_ health: Value?) -> ClusterVerdicts.Asked {
            .init(node: "c-1", url: "http://h:1", health: health, trouble: "connection refused")
        }
        #expect(ClusterVerdicts.node(asked(parts("up"))).map(\.verdict) == [.ok])
        #expect(ClusterVerdicts.node(asked(parts("degraded"))).map(\.verdict) == [.warn])
        let down = ClusterVerdicts.node(asked(parts("down")))
        #expect(down.map(\.verdict) == [.fail] && down[0].measured == "storage: slow")
        let gone = ClusterVerdicts.node(asked(nil))
        #expect(gone.map(\.verdict) == [.fail] && gone[0].measured == "http://h:1 does not answer: connection refused")
    }

    @Test(arguments: [
        (100, 0, Finding.Verdict.ok), (300, 100, .ok), (-400, 0, .warn), (400, 100, .warn), (11_000, 0, .fail), (-11_000, 0, .fail),
    ])
    func `a clock is judged beyond what the way leaves open`(milliseconds: Int, give: Int, verdict: Finding.Verdict) {
        let found = ClusterVerdicts.clock("c-2", .milliseconds(milliseconds), give: .milliseconds(give))
        #expect(found.verdict == verdict, "\(found)")
    }

    @Test func `a certificate that ends soon is told of each node`() {
        var asked = ClusterVerdicts.Asked(node: "c-1", url: "u", health: ["components": []])
        asked.certificateDays = 400
        #expect(ClusterVerdicts.node(asked).count == 1)
        asked.certificateDays = 3
        #expect(ClusterVerdicts.node(asked).last?.measured == "the certificate of c-1 expires in 3 days")
    }
}

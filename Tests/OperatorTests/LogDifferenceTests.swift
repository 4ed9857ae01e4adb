import Primitives
import Synchronization
import Testing
import Text

@testable import Operator

/// Where two logs part, as `distric raft log diff` finds it.
struct LogDifferenceTests {
    /// Answers as the sample's nodes do, and counts.
    private final class Asked: Sendable {
        private let count = Mutex(0)
        var number: Int { count.withLock { $0 } }
        func add() { count.withLock { $0 += 1 } }
    }

    private func find(_ one: String, _ other: String, from: UInt64 = 1) async throws -> (verdict: LogDifference.Verdict, asked: Int) {
        let asked = Asked()
        let difference = LogDifference(one, other) { node, from, limit in
            asked.add()
            return SampleLog.part(node, from, limit)
        }
        let ends = (try await difference.ends(of: one), try await difference.ends(of: other))
        return (try await difference.find(ends.0, ends.1, from: from), asked.number)
    }

    @Test func `of logs that are the same as far as both go one look at the last entry is enough`() async throws {
        let (verdict, asked) = try await find("c-1", "c-2")
        #expect(verdict == .same(from: 118_002, through: 120_331))
        #expect(asked == 4)
    }

    @Test func `the first entry that differs is found by halves`() async throws {
        let (verdict, asked) = try await find("c-1", "c-4")
        guard case .parts(let index, let ours, let theirs) = verdict else {
            Issue.record("\(verdict)")
            return
        }
        #expect(index == 120_320)
        #expect(ours["term"] == 7 && theirs["term"] == 6)
        // 2,324 entries: twelve halves, two nodes each, and the ends.
        #expect(asked <= 2 + 4 + 24 + 2)
    }

    @Test func `nothing before the index that is named is looked at`() async throws {
        let (verdict, _) = try await find("c-1", "c-3", from: 120_000)
        #expect(verdict == .same(from: 120_000, through: 120_122))
        let (beyond, _) = try await find("c-1", "c-3", from: 120_200)
        #expect(beyond == .nothingInCommon)
    }

    /// The hash is over what a snapshot stands for too, and there it may not be known.
    @Test func `where the hashes never agree each entry is looked at for itself`() async throws {
        let difference = LogDifference("c-1", "c-2") { node, from, limit in
            let answer = SampleLog.part(node, from, limit)
            guard node == "c-2" else { return answer }
            let items = (answer["items"]?.list ?? []).map { item -> Value in
                guard case .map(var fields) = item else { return item }
                fields["chain"] = .string("0" + (fields["chain"]?.string ?? ""))
                if fields["index"] == 119_500 { fields["checksum"] = "00000000" }
                return .map(fields)
            }
            return ["items": .list(items), "firstIndex": 118_002, "lastIndex": 120_331]
        }
        let ends = LogDifference.Ends(first: 118_002, last: 120_331)
        guard case .parts(let index, _, _) = try await difference.find(ends, ends) else {
            Issue.record("no difference was found")
            return
        }
        #expect(index == 119_500)
        let verdict = try await difference.find(ends, .init(first: 118_002, last: 119_499))
        #expect(verdict == .same(from: 118_002, through: 119_499))
    }

    @Test func `an answer that is about something else is no verdict`() async {
        let difference = LogDifference("c-1", "c-2") { _, _, _ in
            ["items": [["index": 7, "chain": "aa"]], "firstIndex": 1, "lastIndex": 9]
        }
        let ends = LogDifference.Ends(first: 1, last: 9)
        await #expect(throws: CommandFailure.self) { _ = try await difference.find(ends, ends) }
        let silent = LogDifference("c-1", "c-2") { _, _, _ in [:] }
        await #expect(throws: CommandFailure.self) { _ = try await silent.ends(of: "c-1") }
    }
}

/// A node that waits for a cluster, as `distric status` tells of it.
struct WaitingTextTests {
    private static let waiting: Value = [
        "node": "c-2", "text": "waiting for 3 coordinators, know 2: c-1, c-2", "expects": 3, "missing": 1,
        "known": [
            ["id": "c-1", "address": "127.0.0.1:9001", "isHere": false, "expects": 3],
            ["id": "c-2", "address": "127.0.0.1:9002", "isHere": true, "expects": 3],
        ], "seeds": ["127.0.0.1:9001", "127.0.0.1:9003"], "silent": ["127.0.0.1:9003"],
        "next": "start 1 more with the same --bootstrap-expect 3",
    ]

    private func answer(_ status: Int, _ value: Value) -> NodeClient.Answer {
        NodeClient.Answer(url: "http://x", status: status, bytes: JSONWriter.bytes(value))
    }

    @Test func `for how many it waits, who is known, who is missing and what to type`() {
        let lines = WaitingText.facts(Self.waiting).split(separator: "\n").map(String.init)
        #expect(
            lines == [
                "node      c-2, without a cluster", "state     waiting for 3 coordinators, know 2: c-1, c-2",
                "expects   3 coordinators, 2 are known, 1 missing", "known     c-1 at 127.0.0.1:9001",
                "          c-2 at 127.0.0.1:9002, this node", "silent    127.0.0.1:9003: nobody has answered there",
                "next      start 1 more with the same --bootstrap-expect 3",
            ])
    }

    @Test func `only that problem is taken for it`() {
        let problem: Value = ["code": "no_cluster", "waiting": Self.waiting]
        #expect(WaitingText.waiting(answer(503, problem)) == Self.waiting)
        #expect(WaitingText.waiting(answer(200, problem)) == nil)
        #expect(WaitingText.waiting(answer(503, ["code": "no_leader"])) == nil)
    }
}

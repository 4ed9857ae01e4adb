import Foundation
import Primitives
import Testing
import Text

/// What ended while a node was away, or before it came: it has it from the others, once it knows the rest by a snapshot.
struct ClusterHistoryTests {
    @Test func `a node that comes by snapshot is sent what ended before, and says until then that it lacks it`() async throws {
        let cluster = try await RunningCluster.started(["--set", "raft.snapshot_bytes=1MiB"])
        let leader = try await cluster.leader()
        let late = cluster.others(leader)[0]
        #expect(leader.submit("early")?.status == 202)
        #expect(try await cluster.agree())
        late.crash()
        let last = try #require(leader.status["lastIndex"]?.int)
        let missed = (0..<30).map { "missed-\($0)" }
        for id in missed { #expect(leader.submit(id)?.status == 202) }
        let run = try #require(leader.submit("held", "held")?.value["runs"]?.list?.first?.string)
        #expect(leader.ask("POST", "/api/v1/runs/\(run):cancel")?.status == 200)
        try await leader.outgrow(last)

        try late.start()
        #expect(try await holds { late.hasEvent("history.gap") }, "\(late.events)")
        let paths = missed.map { "messages/\($0)" } + ["runs/\(run)"]
        var codes: Set<String> = []
        let isThere = try await holds(60) {
            var all = true
            for path in paths {
                guard let answer = late.ask("GET", "/api/v1/\(path)") else { return false }
                guard answer.status != 200 else { continue }
                codes.insert(answer.value["code"]?.string ?? "\(answer.status)")
                all = false
            }
            return all
        }
        #expect(isThere, "\(late.events)")
        #expect(codes.isSubset(of: ["history_incomplete"]), "\(codes)")
        #expect(try await holds { late.hasEvent("history.filled") }, "\(late.events)")
        #expect(late.read("/api/v1/runs/\(run)")["state"] == "cancelled")
        #expect(late.ask("GET", "/api/v1/messages/never")?.status == 404)
        #expect(late.isReady)
        let metrics = late.ask("GET", "/metrics")?.body ?? ""
        #expect(metrics.contains("\ndistric_history_gap_entries 0\n"))
        _ = try await cluster.leader()
        try await check(late, leader)

        // And it has it for good, and can send it on to one that comes with nothing.
        late.crash()
        try late.start()
        _ = try await cluster.leader()
        #expect(try await cluster.agree())
        try await check(late, leader)
        try await cluster.lead(late)
        let new = cluster.newcomer("c-9")
        try new.start()
        #expect(try await holds(60) { new.hasEvent("history.filled") }, "\(new.events)\n\(new.logText.suffix(3000))")
        #expect(try await holds { cluster.members.allSatisfy { $0.voters.count == 4 } })
        _ = try await cluster.leader()
        try await check(new, late)
    }

    /// Both list the same messages and the same runs, newest first.
    private func check(_ member: ClusterMember, _ other: ClusterMember) async throws {
        let (own, others) = (try member.messages().map(\.id), try other.messages().map(\.id))
        #expect(own == others, "\(member.id): \(own.count) of \(others.count)")
        let path = "/api/v1/runs?state=cancelled&consistency=linearizable"
        #expect(member.read(path).items == other.read(path).items && !member.read(path).items.isEmpty)
    }
}

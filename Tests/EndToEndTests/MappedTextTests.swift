import Foundation
import Primitives
import Testing

/// What a worker's start has mapped of its program, once it is over.
struct MappedTextTests {
    /// Kibibytes of files that are in a process's memory.
    private func mapped(_ member: ClusterMember) -> Int {
        let status = (try? String(contentsOfFile: "/proc/\(member.process.processIdentifier)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("RssFile:") }
        return line.flatMap { Int($0.split(separator: " ").dropLast().last ?? "") } ?? 0
    }

    @Test func `a worker gives back the code that only its start needed, and works on`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: cluster.members.filter { $0 !== workers[0] })
        let started = mapped(workers[0])
        try #require(started > 0)
        #expect(try await holds { mapped(workers[0]) < started * 3 / 4 }, "\(started) KiB, then \(mapped(workers[0])) KiB")
        try #require(leader.submit("after", "once", "0")?.status == 202)
        let lines = { (try? String(contentsOfFile: "\(cluster.folder.path)/after", encoding: .utf8)) ?? "" }
        #expect(try await holds { lines() == "1\n" }, "\(lines())")
    }
}

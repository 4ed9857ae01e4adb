import Foundation
import Primitives
import Testing

/// Folders that are started as what they were not.
struct FolderRoleTests {
    @Test func `a worker's folder makes no voter when its role is left out`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(1)
        let (leader, worker) = (try await cluster.leader(of: cluster.members.filter { $0 !== workers[0] }), workers[0])
        let own = worker.arguments
        worker.crash()
        for arguments in [[], ["--join", cluster.seeds], ["--role", "coordinator", "--join", cluster.seeds]] {
            worker.arguments = arguments
            try worker.start()
            #expect(try await worker.ended() == 78, "\(arguments): \(worker.logText)")
            #expect(worker.lastWords.contains("is the folder of a worker"), "\(worker.lastWords)")
            #expect(worker.lastWords.contains("--role worker and --join"), "\(worker.lastWords)")
        }
        #expect(leader.members == ["c-1", "c-2", "c-3"])
        worker.arguments = own
        try worker.start()
        #expect(try await holds { worker.isReady }, "\(worker.logText)")
    }

    @Test func `a coordinator's folder makes no worker`() async throws {
        let cluster = try await RunningCluster.started()
        let leader = try await cluster.leader()
        let other = cluster.others(leader)[0]
        let own = other.arguments
        other.crash()
        other.arguments = ["--role", "worker", "--join", cluster.seeds]
        try other.start()
        #expect(try await other.ended() == 78, "\(other.logText)")
        #expect(other.lastWords.contains("is the folder of a coordinator"), "\(other.lastWords)")
        // Also when its log is gone: what it promised with it counts.
        try FileManager.default.removeItem(atPath: other.data + "/raft")
        try other.start()
        #expect(try await other.ended() == 78, "\(other.logText)")
        #expect(other.lastWords.split(separator: "\n").count { $0.contains("is the folder of a coordinator") } == 2, "\(other.lastWords)")
        other.arguments = own
        try other.start()
        #expect(try await holds { other.isReady && other.hasEvent("raft.trusted") }, "\(other.logText)")
    }
}

import Foundation
import Primitives
import Testing
import Text

/// `distric cluster upgrade`: what it prints, and how it ends.
struct UpgradeCommandTests {
    private func upgrade(_ words: String..., url: String) throws -> Finished {
        try run(Built.distric, ["cluster", "upgrade"] + words + ["--connect", url])
    }

    // MARK: A node

    @Test func `a new cluster is at the newest level, and there is nothing to finalize`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        // Its first entry says so, a moment after it leads.
        let value = try await eventually {
            let status = try upgrade("status", "-o", "json", url: node.url)
            #expect(status.code == 0, "\(status.err)")
            return try JSONScanner.parse(status.out)
        } until: {
            $0["state"] == "finalized"
        }
        let level = try #require(value["featureLevel"]?.int)
        #expect(level >= 3)
        #expect(value["state"] == "finalized")
        #expect(value["target"]?.int == level)
        let item = try #require(value["items"]?.list?.first)
        #expect(item["id"] == "n1" && item["role"] == "voter" && item["ready"] == true)
        #expect(item["featureLevel"]?.int == level)
        let table = try upgrade(url: node.url)
        #expect(table.out.hasPrefix("feature level \(level); nothing is left to finalize\n\nNODE"), "\(table.out)")
        let finalized = try upgrade("finalize", url: node.url)
        #expect(finalized.code == 0, "\(finalized.err)")
        #expect(finalized.err.contains("the cluster is at feature level \(level) already"))
        #expect(node.stop() == 0)
        // It is in the log, and what reads the log says so.
        let log = try run(Built.distric, ["raft", "log", "dump", folder.path + "/data"])
        #expect(log.out.contains("feature-level"), "\(log.out)")
        let again = try RunningNode(data: folder.path + "/data", smallNode)
        #expect(try JSONScanner.parse(try upgrade("-o", "json", url: again.url).out)["featureLevel"]?.int == level)
    }

    // MARK: Nodes of different age

    private static let waiting = #"""
        {"featureLevel": 2, "target": 3, "state": "waiting",
         "reason": "feature level 3 needs every voter to know it: c-2 has 2; start these with the newer distric, or remove them",
         "items": [{"id": "c-1", "role": "voter", "connected": true, "featureLevel": 3, "software": "distric 0.2.0", "ready": true},
                   {"id": "c-2", "role": "voter", "connected": true, "featureLevel": 2, "software": "distric 0.1.0", "ready": false},
                   {"id": "c-3", "role": "voter", "connected": false, "featureLevel": null, "software": "", "ready": false}]}
        """#

    @Test func `who stands in the way is in the first line and in the rows`() throws {
        let node = try FalseNode { _ in FalseNode.http(Self.waiting) }
        let table = try upgrade("status", url: node.url)
        #expect(table.code == 0, "\(table.err)")
        let lines = table.out.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(
            lines.first
                == "feature level 2; feature level 3 needs every voter to know it: c-2 has 2; start these with the newer distric, or remove them"
        )
        #expect(table.out.contains(#/\nc-2 +voter +2 +true +false +distric 0\.1\.0/#), "\(table.out)")
        #expect(table.out.contains(#/\nc-3 +voter +\S* +false +false/#), "\(table.out)")
    }

    @Test func `when all are ready the command that goes on is named`() throws {
        let ready = Self.waiting.replacing(#""state": "waiting""#, with: #""state": "ready""#)
        let node = try FalseNode { _ in FalseNode.http(ready) }
        let table = try upgrade("status", url: node.url)
        #expect(
            table.out.hasPrefix("feature level 2; every voter knows 3: 'distric cluster upgrade finalize' raises it\n"), "\(table.out)")
    }

    @Test func `a level that was raised is told, and a refusal ends with 1 and its reason`() throws {
        let raised = try FalseNode { _ in FalseNode.http(#"{"featureLevel": 3, "before": 2}"#) }
        let finished = try upgrade("finalize", url: raised.url)
        #expect(finished.code == 0 && finished.err == "feature level 3, was 2\n", "\(finished.err)")
        let refusing = try FalseNode { _ in
            FalseNode.http(
                #"{"type": "urn:distric:problem:feature_level", "code": "feature_level", "title": "No", "status": 409, "detail": "c-2 has 2"}"#,
                type: "application/problem+json", status: "409 Conflict")
        }
        let refused = try upgrade("finalize", url: refusing.url)
        #expect(refused.code == 1, "\(refused.err)")
        #expect(refused.err.contains("c-2 has 2"), "\(refused.err)")
    }
}

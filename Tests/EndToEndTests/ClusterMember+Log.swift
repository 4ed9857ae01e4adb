import Primitives
import Testing
import Text

extension ClusterMember {
    /// Writes to this one, which leads, until its log begins after an entry.
    func outgrow(_ index: Int64) async throws {
        let pad = Value.string(String(repeating: "x", count: 8000))
        for round in 0..<40 {
            let big = (0..<100).map { number -> Value in ["id": .string("big-\(round)-\(number)"), "type": "kept", "data": pad] }
            #expect(submit(lines: big).allSatisfy { $0["status"] == 202 })
            // Entries of one message each: a tail of the log is counted in entries, too.
            let stream = MessageStream(to: [self], senders: 4, type: "kept", prefix: "small-\(round)-")
            #expect(try await stream.goesOn(by: 500))
            _ = await stream.finish()
            let snapshot = try distric("raft", "snapshot", "-o", "json")
            #expect(snapshot.code == 0, "\(snapshot.err)")
            let asked = try #require(try JSONScanner.parse(snapshot.out)["appliedIndex"]?.int)
            #expect(try await holds { status["snapshotIndex"]?.int ?? 0 >= asked })
            if status["firstIndex"]?.int ?? 0 > index + 1 { return }
        }
        Issue.record("the log still begins at \(status["firstIndex"] ?? .null): snapshots let go of nothing")
    }
}

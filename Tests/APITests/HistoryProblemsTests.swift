import Coordinator
import HTTPTypes
import Primitives
import Raft
import Testing
import Text

@testable import API

/// What is answered of runs and messages that may lie in a part of the history that is not here yet (HistoryProblems.swift).
struct HistoryProblemsTests {
    private static let paths = [
        "runs/018f3b1e-7c2a-7000-8000-0123456789ab", "tasks/018f3b1e-7c2a-7000-8000-0123456789ab.a", "messages/m-1", "messages/m-1/why",
    ]

    @Test func `what is not found is not there, where nothing is missing`() async throws {
        try await withDoor(FalseConsensus(try .of("c-1", leader: "c-2"))) { door in
            for path in Self.paths {
                let answer = try await door.ask(.get, "/api/v1/\(path)")
                #expect(answer.status == 404 && answer.code == "not_found", "\(path): \(answer.text)")
            }
        }
    }

    @Test func `what is not found may be among what is fetched, and it is told who has it`() async throws {
        try await withDoor(FalseConsensus(try .of("c-1", leader: "c-2"))) { door in
            try door.info.coordinator.history.noteGap(after: LogIndex(12), through: LogIndex(400))
            for path in Self.paths {
                let answer = try await door.ask(.get, "/api/v1/\(path)")
                #expect(answer.status == 503 && answer.code == "history_incomplete", "\(path): \(answer.text)")
                #expect(answer.headers[.retryAfter] == "1")
                #expect(answer.detail.contains("after entry 12 and up to 400"), "\(answer.detail)")
                #expect(answer.detail.contains("consistency=leader ('c-2' leads)"), "\(answer.detail)")
                #expect(answer.value["leader"] == "c-2")
            }
            let list = try await door.ask(.get, "/api/v1/runs")
            #expect(list.status == 200, "what is here is told")
        }
    }

    @Test func `a leader that lacks something sends nobody to itself`() async throws {
        let consensus = FalseConsensus(try .of("c-1", leader: "c-1"))
        consensus.set { $0.isLeading = true }
        try await withDoor(consensus) { door in
            try door.info.coordinator.history.noteGap(after: LogIndex(12), through: LogIndex(400))
            let answer = try await door.ask(.get, "/api/v1/\(Self.paths[0])")
            #expect(answer.code == "history_incomplete" && answer.value["leader"] == nil)
            #expect(answer.detail.contains("ask another node, or try again later"), "\(answer.detail)")
        }
    }
}

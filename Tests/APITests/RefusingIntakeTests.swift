import Coordinator
import HTTPTypes
import Observability
import Primitives
import Testing

@testable import API

/// An intake that takes no messages for a while (Intake.refusing): a disk that is nearly full, above all.
struct RefusingIntakeTests {
    private static let why = "the disk under /data has 9.0 % free; free some space there"
    private static let message = #"{"type": "order"}"#

    @Test func `messages are refused with the reason, alone and in batches, and counted`() async throws {
        try await withDoor(FalseConsensus(try .of("c-1", leader: "c-1"))) { door in
            let coordinator = door.info.coordinator
            coordinator.intake.refusing = { Self.why }
            let alone = try await door.ask(.post, "/api/v1/messages", body: Self.message)
            let batch = try await door.ask(
                .post, "/api/v1/messages", headers: [.contentType: "application/x-ndjson"], body: Self.message + "\n" + Self.message)
            for answer in [alone, batch] {
                #expect(answer.status == 503)
                #expect(answer.code == "busy")
                #expect(answer.detail == Self.why)
                #expect(answer.headers[.retryAfter] == "1")
            }
            #expect(coordinator.metrics.received.count == 3)
            #expect(coordinator.metrics.refused.count == 3)
            #expect(coordinator.intake.recentUnmatched.isEmpty)
        }
    }

    @Test func `messages are taken again when there is no reason any more, and all else goes on meanwhile`() async throws {
        try await withDoor(FalseConsensus(try .of("c-1", leader: "c-1"))) { door in
            let intake = door.info.coordinator.intake
            intake.refusing = { Self.why }
            #expect(try await door.ask(.get, "/api/v1/runs").status == 200)
            #expect(try await door.ask(.post, "/api/v1/runs/01a2092c-69fd-7f07-a9a5-69ccb6bb9ea5:cancel").status == 404)
            intake.refusing = { nil }
            let taken = try await door.ask(.post, "/api/v1/messages", body: Self.message)
            #expect(taken.status == 200, "\(taken.text)")
            #expect(intake.recentUnmatched.count == 1)
        }
    }
}

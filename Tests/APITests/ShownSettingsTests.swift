import HTTPTypes
import Observability
import Primitives
import Testing
import Text

@testable import API

/// What a setting keeps secret, the front door keeps too.
struct ShownSettingsTests {
    private static let rows: Value = [
        ["key": "node.data", "value": "/var/lib/distric", "origin": "file"],
        ["key": "workflows.env", "value": ["TOKEN": "hunter2-and-more"], "origin": "file"],
        ["key": "tracing.otlp_headers", "value": ["authorization": "Basic c2VjcmV0OnNlY3JldA=="], "origin": "file"],
        ["key": "tracing.otlp_url", "value": "https://me:pass-word-1@collector:4318/v1/traces", "origin": "file"],
    ]
    private static let secrets = ["hunter2", "c2VjcmV0", "pass-word-1"]

    private func withShown(_ body: (Door) async throws -> Void) async throws {
        try await withDoor(FalseConsensus(try .of("c-1", leader: "c-1"))) { door in
            door.info.settings.show(Self.rows)
            try await body(door)
        }
    }

    @Test func `settings are listed without what is secret in them`() async throws {
        try await withShown { door in
            let answer = try await door.ask(.get, "/api/v1/config")
            #expect(answer.status == 200)
            for secret in Self.secrets { #expect(!answer.text.contains(secret), "\(answer.text)") }
            let rows = answer.value.list ?? []
            #expect(rows.map { $0["key"] } == Self.rows.list?.map { $0["key"] })
            #expect(rows.first?["value"] == "/var/lib/distric" && rows.allSatisfy { $0["origin"] == "file" })
            #expect(rows.dropFirst().first?["value"] == ["TOKEN": .string(Redaction.mark)])
        }
    }

    @Test func `settings that came with the start are no different`() {
        let text = JSONWriter.text(ShownSettings(Self.rows).value)
        for secret in Self.secrets { #expect(!text.contains(secret), "\(text)") }
    }

    @Test func `an answer that is to be handed on says no secret, one that was replaced neither`() async throws {
        try await withShown { door in
            door.info.settings.show([["key": "workflows.env", "value": ["TOKEN": "the-next-one"]]])
            door.info.telemetry.events.emit(
                "task.failed", subject: "t", severity: .error, "it wrote hunter2-and-more, then the-next-one, then Bearer abcdef0123456789")
            let plain = try await door.ask(.get, "/api/v1/events")
            #expect(plain.text.contains("it wrote hunter2-and-more"), "whoever looks sees what the task wrote")
            let answer = try await door.ask(.get, "/api/v1/events?redacted=true")
            #expect(answer.status == 200 && answer.headers[.contentLength] == String(answer.text.utf8.count))
            #expect(answer.text.contains("it wrote (redacted), then (redacted), then (redacted)"), "\(answer.text)")
            #expect(try await door.ask(.get, "/api/v1/events?redacted=false").text.contains("hunter2"))
        }
    }

    @Test func `what is no JSON is redacted too, and not packed`() async throws {
        try await withShown { door in
            door.info.telemetry.metrics.counter("distric_false_total", "of hunter2-and-more").increment()
            let plain = try await door.ask(.get, "/metrics")
            #expect(plain.text.contains("of hunter2-and-more"))
            let answer = try await door.ask(.get, "/metrics?redacted=true", headers: [.acceptEncoding: "gzip"])
            #expect(answer.headers[.contentEncoding] == nil)
            #expect(answer.text.contains("of (redacted)") && !answer.text.contains("hunter2"))
        }
    }

    @Test(arguments: [
        "/api/v1/events?redacted=perhaps", "/api/v1/events?redacted=true&follow=true", "/api/v1/logs?redacted=true&watch=true",
    ])
    func `what cannot be redacted is refused`(path: String) async throws {
        try await withShown { door in
            let answer = try await door.ask(.get, path)
            #expect(answer.status == 400 && answer.detail.contains("redacted"), "\(answer.text)")
        }
    }
}

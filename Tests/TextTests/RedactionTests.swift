import Primitives
import Testing
import Text

/// No secret is told by a node, and none leaves a machine in a bundle.
struct RedactionTests {
    private static let rows: Value = [
        ["key": "node.data", "value": "/var/lib/distric"],
        ["key": "workflows.env", "value": ["TOKEN": "hunter2-and-more", "SHORT": "abc"]],
        ["key": "tracing.otlp_headers", "value": ["authorization": "Basic c2VjcmV0OnNlY3JldA=="]],
        ["key": "tracing.otlp_url", "value": "https://me:pass-word-1@collector:4318/v1/traces?api=query-secret"],
        ["key": "rpc.tls_key", "value": "/etc/distric/node-key.pem"], ["key": "some.api_key", "value": "topsecret99"],
    ]

    @Test func `values of settings that hold secrets are taken out, and the others stay`() {
        var redaction = Redaction()
        let text = JSONWriter.text(redaction.settings(Self.rows))
        for secret in ["hunter2", "c2VjcmV0", "pass-word-1", "query-secret", "topsecret99"] { #expect(!text.contains(secret), "\(text)") }
        #expect(text.contains("TOKEN") && text.contains("/var/lib/distric") && text.contains("/etc/distric/node-key.pem"), "\(text)")
        #expect(text.contains("collector:4318/v1/traces"), "\(text)")
    }

    @Test func `a secret is taken out wherever else it stands`() {
        var redaction = Redaction()
        _ = redaction.settings(Self.rows)
        let line = "task wrote hunter2-and-more twice: hunter2-and-more, and pass-word-1"
        #expect(redaction.text(line) == "task wrote (redacted) twice: (redacted), and (redacted)")
        // Too short to be told from a word.
        #expect(redaction.text("abc") == "abc")
    }

    @Test func `what a node has redacted stays as it is`() {
        var node = Redaction()
        let told = node.settings(Self.rows)
        var bundle = Redaction()
        #expect(bundle.settings(told) == told)
        #expect(bundle.text("a (redacted) b") == "a (redacted) b")
    }

    @Test func `what looks like a secret is taken out`() {
        let redaction = Redaction()
        #expect(redaction.text("key dk_live_0a1b2c3d4e5f used") == "key (redacted) used")
        #expect(redaction.text("Authorization: Bearer abcdef0123456789") == "Authorization: (redacted)")
        #expect(redaction.text("a dk_ b, handk_0123456789, Bearer x") == "a dk_ b, handk_0123456789, Bearer x")
        let nested: Value = ["a": [["password": "hidden1", "passwordLength": 7]], "cookie": "", "b": "plain"]
        #expect(redaction.value(nested) == ["a": [["password": "(redacted)", "passwordLength": 7]], "cookie": "", "b": "plain"])
    }

    @Test func `bytes that are no text go through as they are`() {
        let redaction = Redaction()
        let bytes: [UInt8] = [0xFF, 0x00, 0x64, 0x6B, 0x5F, 0xFE]
        #expect(redaction.bytes(bytes) == bytes)
        #expect(redaction.bytes([]) == [])
    }
}

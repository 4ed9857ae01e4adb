import NIOCore
import Primitives
import Testing

@testable import Wire

/// How calls fail: the words and numbers are a promise (CallError.swift).
struct CallErrorTests {
    @Test func `the numbers and names of the codes are these for ever`() {
        let codes = CallError.Code.allCases.map { "\($0.rawValue) \($0.name)" }
        let expected = [
            "1 internal", "2 unimplemented", "3 invalid", "4 too_large", "5 deadline_exceeded", "6 cancelled", "7 busy", "8 unavailable",
            "9 not_leader", "10 not_found", "11 denied", "12 unsupported_version", "13 wrong_cluster", "14 too_many_connections",
            "15 protocol_violation", "16 draining",
        ]
        #expect(codes == expected)
    }

    @Test func `names are words in lower case, each of its own`() {
        let names = CallError.Code.allCases.map(\.name)
        #expect(Set(names).count == names.count)
        for name in names {
            #expect(name.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F }, "\(name)")
            #expect(!name.hasPrefix("_") && !name.hasSuffix("_"), "\(name)")
        }
    }

    @Test func `every code reads back, and one of a later version is internal`() throws {
        for code in CallError.Code.allCases {
            let read = try ErrorReply.decode(ByteBuffer(bytes: Samples.encoded(ErrorReply(code, "x"))))
            #expect(read.code == code)
            #expect(read.isRetryable == code.isRetryable)
        }
        var payload = Samples.encoded(ErrorReply(.busy, "later", isRetryable: true))
        // The code is the first field: tag, type and length, then two bytes.
        payload[7] = 0xFF
        payload[8] = 0xFE
        let later = try ErrorReply.decode(ByteBuffer(bytes: payload))
        #expect(later.code == .internal)
        #expect(later.message == "later")
        #expect(later.isRetryable)
    }

    @Test func `an error is the same on the other side`() throws {
        let error = CallError(
            .notLeader, "node-1 leads", isRetryable: true, retryAfter: .milliseconds(250), leader: try NodeID("node-1"),
            leaderAddress: "node-1.example.org:7401")
        let reply = try ErrorReply.decode(ByteBuffer(bytes: Samples.encoded(error.reply)))
        #expect(CallError(reply) == error)
        let bare = CallError(.denied, "no")
        #expect(CallError(bare.reply) == bare)
        #expect(bare.description == "denied: no")
    }

    @Test func `that a call may have been done is told on`() {
        let lost = CallError(.unavailable, "it went away", isUncertain: true)
        #expect(CallError(lost.reply).isUncertain)
    }

    @Test func `a wait that no frame can say is the longest that one can`() {
        let long = CallError(.busy, "much later", retryAfter: .seconds(100_000_000))
        #expect(long.reply.retryAfterMilliseconds == UInt32.max)
        let past = CallError(.busy, "now", retryAfter: .seconds(-1))
        #expect(past.reply.retryAfterMilliseconds == 0)
    }
}

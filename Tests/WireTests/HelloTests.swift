import NIOCore
import Primitives
import Testing

@testable import Wire

/// What a hello has come to hold, and those that were said before it did (Messages/Calls.swift).
struct HelloTests {
    /// The sample of the first 1.0, before a hello told where its node is.
    private let earlier = bytes(
        hex: """
            4449535401004f01000400000000009e0102030405060708000005dcaeb5bd73
            000102000000020100000202000000020103000308000000066e6f64652d3100
            040900000010018f000000007000800000000000000100050a0000001e080000
            00020000000b636f6f7264696e61746f7200000006776f726b657200060a0000
            001008000000010000000773747265616d730007020000000200040008080000
            000d6469737472696320312e302e30000904000000080000000000000007
            """)

    private func read(_ bytes: [UInt8]) throws -> Frame {
        var decoder = FrameDecoder()
        decoder.append(ByteBuffer(bytes: bytes))
        let next = try decoder.next()
        return try #require(next)
    }

    @Test func `a hello of before is read, knows nothing of where its node is, and is written as it was`() throws {
        let frame = try read(earlier)
        let hello = try Hello.decode(frame.payload)
        #expect(hello.node?.text == "node-1")
        #expect(hello.epoch == 7)
        #expect(hello.address == nil)
        #expect(hello.http == nil)
        #expect(hello.folder == nil)
        #expect(hello.expects == nil)
        var again = ByteBuffer()
        hello.encode(frame.header, nil, into: &again)
        #expect(Array(again.readableBytesView) == earlier)
    }

    @Test func `a hello says where its node is, of which folder, and for how many it waits`() throws {
        var hello = Hello()
        hello.address = "[::1]:9000"
        hello.http = "https://node-1:8443"
        hello.folder = UUIDv7(high: 3, low: 4)
        hello.expects = 5
        let frame = try read(Array(hello.frame().readableBytesView))
        let found = try Hello.decode(frame.payload)
        #expect(found == hello)
    }

    @Test func `places that a terminal would act on, or that are long, are refused`() throws {
        let handshake = Handshake(own: Hello())
        for field in [\Hello.address, \Hello.http] {
            for text in ["\u{1B}[31mred", "two\nlines", "\u{202E}drow", String(repeating: "x", count: 301)] {
                var hello = Hello()
                hello[keyPath: field] = text
                let error = #expect(throws: CallError.self) { try handshake.accept(hello) }
                #expect(error?.code == .protocolViolation, "\(text.debugDescription)")
            }
            var plain = Hello()
            plain[keyPath: field] = String(repeating: "x", count: 253) + ":65535"
            let peer = try handshake.accept(plain)
            #expect(peer.hello == plain)
        }
    }
}

import Primitives
import Testing

@testable import Wire

/// The first frames of a connection (Handshake.swift).
struct HandshakeTests {
    private let ours = UUIDv7(high: 1, low: 1)
    private let others = UUIDv7(high: 2, low: 2)

    private func hello(_ lowest: (UInt8, UInt8), _ highest: (UInt8, UInt8), cluster: UUIDv7? = nil, node: String? = nil) throws -> Hello {
        var hello = Hello()
        hello.lowest = WireVersion(major: lowest.0, minor: lowest.1)
        hello.highest = WireVersion(major: highest.0, minor: highest.1)
        hello.cluster = cluster
        if let node { hello.node = try NodeID(node) }
        return hello
    }

    private func failure(_ own: Hello, _ other: Hello) -> CallError.Code? {
        do throws(CallError) {
            _ = try Handshake(own: own).accept(other)
            return nil
        } catch {
            return error.code
        }
    }

    /// Both sides come to the same version.
    private func agreed(_ one: Hello, _ other: Hello) throws -> WireVersion {
        let there = try Handshake(own: one).accept(other)
        let back = try Handshake(own: other).accept(one)
        #expect(there.version == back.version)
        #expect(there.hello == other)
        return there.version
    }

    @Test func `versions that overlap agree on the highest that both speak`() throws {
        let same = try agreed(hello((1, 0), (1, 0)), hello((1, 0), (1, 0)))
        #expect(same == WireVersion(major: 1, minor: 0))
        let higher = try agreed(hello((1, 0), (1, 0)), hello((1, 0), (1, 9)))
        #expect(higher == WireVersion(major: 1, minor: 0))
        let middle = try agreed(hello((1, 0), (1, 5)), hello((1, 3), (1, 9)))
        #expect(middle == WireVersion(major: 1, minor: 5))
        let edge = try agreed(hello((1, 0), (1, 3)), hello((1, 3), (1, 9)))
        #expect(edge == WireVersion(major: 1, minor: 3))
        let bridge = try agreed(hello((1, 0), (1, 2)), hello((1, 1), (2, 4)))
        #expect(bridge == WireVersion(major: 1, minor: 2))
    }

    @Test func `versions that do not overlap are refused by both`() throws {
        let apart = [
            (try hello((1, 0), (1, 0)), try hello((2, 0), (2, 0))), (try hello((1, 0), (1, 2)), try hello((1, 3), (1, 9))),
            (try hello((1, 0), (1, 2)), try hello((0, 0), (0, 9))),
        ]
        for (one, other) in apart {
            let there = failure(one, other)
            let back = failure(other, one)
            #expect(there == .unsupportedVersion)
            #expect(back == .unsupportedVersion)
        }
    }

    @Test func `versions of which the lowest is above the highest are none`() throws {
        let own = try hello((1, 0), (1, 9))
        for other in [try hello((1, 2), (1, 1)), try hello((2, 0), (1, 9))] {
            let code = failure(own, other)
            #expect(code == .protocolViolation)
        }
    }

    @Test func `a node of another cluster is refused`() throws {
        let own = try hello((1, 0), (1, 0), cluster: ours, node: "a")
        let other = try hello((1, 0), (1, 0), cluster: others, node: "b")
        let there = failure(own, other)
        let back = failure(other, own)
        #expect(there == .wrongCluster)
        #expect(back == .wrongCluster)
    }

    @Test func `a node of another epoch of its cluster is refused, whichever is the older one`() throws {
        var own = try hello((1, 0), (1, 0), cluster: ours, node: "a")
        var other = try hello((1, 0), (1, 0), cluster: ours, node: "b")
        (own.clusterEpoch, other.clusterEpoch) = (1, 2)
        for (one, two) in [(own, other), (other, own)] {
            let error = #expect(throws: CallError.self) { try Handshake(own: one).accept(two) }
            #expect(error?.code == .denied)
            #expect(error?.message.contains("the node of the older epoch has to begin with an empty folder: 'distric node") == true)
        }
        other.clusterEpoch = 1
        #expect(try Handshake(own: own).accept(other).node?.text == "b")
        // A program that asks is of no epoch.
        (other.clusterEpoch, other.node) = (2, nil)
        _ = try Handshake(own: own).accept(other)
    }

    @Test func `nodes of one cluster know each other`() throws {
        let own = try hello((1, 0), (1, 0), cluster: ours, node: "a")
        let other = try hello((1, 0), (1, 0), cluster: ours, node: "b")
        let peer = try Handshake(own: own).accept(other)
        #expect(peer.node?.text == "b")
    }

    @Test func `a client that is no node, and a node that has joined none, may talk to any cluster`() throws {
        let own = try hello((1, 0), (1, 0), cluster: ours, node: "a")
        let client = try hello((1, 0), (1, 0))
        let joining = try hello((1, 0), (1, 0), node: "c")
        let peer = try Handshake(own: own).accept(client)
        #expect(peer.node == nil)
        let back = try Handshake(own: client).accept(own)
        #expect(back.node?.text == "a")
        let joiner = try Handshake(own: own).accept(joining)
        #expect(joiner.node?.text == "c")
    }

    @Test func `texts that a terminal would act on, or that are long, are refused`() throws {
        let handshake = Handshake(own: Hello())
        let texts = ["\u{1B}[31mred", "two\nlines", "\u{7}", "\u{202E}drow", String(repeating: "x", count: 129)]
        for text in texts {
            for field in [\Hello.software, nil] {
                var hello = Hello()
                if let field { hello[keyPath: field] = text } else { hello.capabilities = [text] }
                let error = #expect(throws: CallError.self) { try handshake.accept(hello) }
                #expect(error?.code == .protocolViolation, "\(text.debugDescription)")
            }
        }
        var plain = Hello()
        plain.software = "distric 1.0 (größer)"
        _ = try handshake.accept(plain)
    }

    @Test func `what both can is agreed on`() throws {
        var (own, other) = (Hello(), Hello())
        own.capabilities = ["streams", "sealed", "groups"]
        other.capabilities = ["groups", "other", "streams"]
        #expect(try Handshake(own: own).accept(other).capabilities == ["streams", "groups"])
    }

    @Test func `versions sort, and say what they are`() {
        #expect(WireVersion(major: 1, minor: 9) < WireVersion(major: 2, minor: 0))
        #expect(WireVersion(major: 1, minor: 2) < WireVersion(major: 1, minor: 10))
        #expect(WireVersion(major: 1, minor: 10).description == "1.10")
        #expect(WireVersion(major: 1, minor: 2).number == 0x0102)
        #expect(WireVersion.current == WireVersion(major: 1, minor: 0))
    }
}

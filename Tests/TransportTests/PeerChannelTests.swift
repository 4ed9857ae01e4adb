import NIOCore
import Primitives
import Testing
import Wire

@testable import Transport

/// Links to other coordinators that keep themselves up (PeerChannel.swift, PeerLink.swift).
@Suite(.timeLimit(.minutes(2)))
struct PeerChannelTests {
    // MARK: Delivering

    @Test(arguments: [false, true])
    func `frames arrive in order, many at once`(isLocal: Bool) async throws {
        let folder = try TemporaryFolder()
        try await withPeers { stage in
            let (_, address) =
                isLocal ? try await stage.serve(.unix(path: folder.path + "/rpc.sock")) : try await stage.serve()
            let told = try await stage.opened(to: address)
            #expect(told.opened.all.map { $0.node?.text } == [Stage.serverNode])
            for turn in 0..<20 as Range<UInt64> {
                let taken = try await told.send(turn * 50...turn * 50 + 49)
                #expect(taken == 50)
            }
            let areThere = await eventually { stage.came.all.count == 1000 }
            #expect(areThere)
            #expect(stage.came.all == Array(0..<1000))
            #expect(stage.contexts.all.allSatisfy { $0.node?.text == Stage.clientNode && !$0.isProved })
            #expect(stage.count("dropped") == 0)
            try await told.close()
        }
    }

    @Test func `what is sent before it is open is dropped and counted`() async throws {
        try await withPeers { stage in
            let (_, address) = try await stage.serve()
            let told = try stage.channel(to: address)
            let early = try await told.send(1...3)
            #expect(early == 0)
            #expect(stage.count("dropped") == 3)
            try await told.start()
            let isOpen = await told.isOpen()
            #expect(isOpen)
            let later = try await told.send(4...4)
            #expect(later == 1)
            let isThere = await eventually { stage.came.all == [4] }
            #expect(isThere)
            try await told.close()
            let after = try await told.send(5...5)
            #expect(after == 0)
            let isGone = await eventually { stage.gone.all.map(\.text) == [Stage.clientNode] }
            #expect(isGone)
            // Its own end is not told to who ended it.
            #expect(told.closed.all.isEmpty)
            #expect(told.opened.all.count == 1)
        }
    }

    @Test func `frames that come back are handed on, and what is about the connection is not`() async throws {
        let server = try RawServer()
        try await withPeers { stage in
            let (told, peer) = try await stage.welcomed(by: server)
            await peer.send(TimeoutNow().frame(flags: .oneWay))
            let isThere = await eventually { told.received.all.map(\.header.type) == [.timeoutNow] }
            #expect(isThere)
            await peer.send(ErrorReply(.draining, "this node is about to stop").frame(flags: [.response, .error]))
            let isOver = await eventually { told.closed.all.first?.error.code == .draining }
            #expect(isOver)
            #expect(told.closed.all.first?.wasOpen == true)
            #expect(told.received.all.count == 1)
            try await told.close()
        }
    }

    // MARK: Connecting

    @Test func `it comes up again when the server went away and came back`() async throws {
        try await withPeers { stage in
            let (first, address) = try await stage.serve()
            let told = try await stage.opened(to: address)
            await first.drain(grace: .zero)
            // It was lost, and then there was nobody.
            let isLost = await eventually { told.closed.all.count >= 3 }
            #expect(isLost)
            let ends = told.closed.all
            #expect(ends.prefix(3).map(\.wasOpen) == [true, false, false])
            #expect(ends[1].error.message.contains("connection refused"))
            #expect(ends[1].error.code == .unavailable)
            let taken = try await told.send(1...1)
            #expect(taken == 0)
            _ = try await stage.serve(address)
            let isBack = await told.isOpen(times: 2)
            #expect(isBack)
            try await told.send(2...2)
            let isThere = await eventually { stage.came.all == [2] }
            #expect(isThere)
            #expect(stage.count("opened") == 2)
            #expect(stage.count("connect_failures") >= 2)
            try await told.close()
        }
    }

    @Test func `another node than the expected one is refused, and the right one is taken where it is`() async throws {
        try await withPeers { stage in
            let (_, wrong) = try await stage.serve(as: "other")
            let (_, right) = try await stage.serve()
            let told = try stage.channel(to: wrong)
            try await told.start()
            let isRefused = await eventually { told.closed.all.count >= 2 }
            #expect(isRefused)
            for end in told.closed.all {
                #expect(!end.wasOpen)
                #expect(end.error.code == .denied)
                let isNamed = end.error.message.contains("node 'other', not '\(Stage.serverNode)'")
                #expect(isNamed, "\(end.error.message)")
            }
            #expect(told.opened.all.isEmpty)
            try await told.onLoop { $0.setAddress(right) }
            let isOpen = await told.isOpen()
            #expect(isOpen)
            try await told.send(1...1)
            let isThere = await eventually { stage.came.all == [1] }
            #expect(isThere)
            // The same one again changes nothing, another one everything.
            try await told.onLoop { $0.setAddress(right) }
            let (_, next) = try await stage.serve()
            let before = told.closed.all.count
            try await told.onLoop { $0.setAddress(next) }
            let isNext = await told.isOpen(times: 2)
            #expect(isNext)
            #expect(told.closed.all.count == before + 1)
            #expect(told.closed.all.last?.wasOpen == true)
            #expect(told.opened.all.count == 2)
            try await told.close()
        }
    }

    @Test func `a server that takes connections and says nothing is tried again`() async throws {
        let server = try RawServer()
        try await withPeers { stage in
            let told = try stage.channel(to: server.address)
            try await told.start()
            let silent = try await server.next()
            let isGivenUp = await eventually { !told.closed.all.isEmpty }
            #expect(isGivenUp)
            #expect(told.closed.all.first?.wasOpen == false)
            #expect(told.closed.all.first?.error.message.contains("did not say hello") == true)
            let isClosed = await silent.isClosed()
            #expect(isClosed)
            let again = try await server.next()
            try await again.welcome(hello(Stage.serverNode))
            let isOpen = await told.isOpen()
            #expect(isOpen)
            try await told.close()
        }
    }

    // MARK: Bounds

    @Test func `a full buffer refuses and counts, and takes more once the other side has read`() async throws {
        let server = try RawServer()
        var settings = PeerChannel.Settings()
        // Who does not read answers no pings either.
        settings.keepAlive = .seconds(600)
        try await withPeers { stage in
            let (told, peer) = try await stage.welcomed(by: server, bufferLimit: 256 << 10, settings)
            // What the kernel takes comes first, far less than a gigabyte: it is full when it refuses many times in a row.
            var (taken, refused, inARow) = ([UInt64](), 0, 0)
            for round in 0..<10_000 as Range<UInt64> where inARow < 50 {
                if try await told.send(round...round, bytes: 100_000) == 1 {
                    taken.append(round)
                    inARow = 0
                } else {
                    refused += 1
                    inARow += 1
                }
            }
            #expect(inARow == 50)
            #expect(stage.count("dropped") == refused)
            for round in taken {
                let frame = await peer.frame()
                let found = try AppendEntries.decode(try #require(frame).payload)
                #expect(found.round == round)
            }
            let isFree = await eventually { (try? await told.send(77_777...77_777)) == 1 }
            #expect(isFree)
            let frame = await peer.frame()
            let last = try AppendEntries.decode(try #require(frame).payload)
            #expect(last.round == 77_777)
            #expect(told.closed.all.isEmpty)
            try await told.close()
        }
    }

    @Test func `what a slow link holds back counts as what waits`() async throws {
        try await withPeers { stage in
            let told = try await stage.opened(bufferLimit: 10_000)
            stage.faults.set(LinkFault(delay: .seconds(3600)), to: try stage.server)
            let first = try await told.send(1...1, bytes: 20_000)
            let second = try await told.send(2...2)
            #expect(first == 1)
            #expect(second == 0)
            #expect(stage.count("dropped") == 1)
            try await told.close()
        }
    }

    // MARK: Faults of the link

    @Test func `a cut link loses in silence, and goes on when it is whole`() async throws {
        try await withPeers { stage in
            let told = try await stage.opened()
            stage.faults.set(LinkFault(isCut: true), to: try stage.server)
            let lost = try await told.send(1...3)
            #expect(lost == 3)
            #expect(stage.faults.lostCount == 1)
            stage.faults.clear()
            try await told.send(4...4)
            let isThere = await eventually { !stage.came.all.isEmpty }
            #expect(isThere)
            #expect(stage.came.all == [4])
            #expect(told.closed.all.isEmpty)
            #expect(stage.gone.all.isEmpty)
            #expect(stage.count("dropped") == 0)
            try await told.close()
        }
    }

    @Test func `a link that is cut for long is given up here, and there nothing is known of it`() async throws {
        try await withPeers { stage in
            var settings = PeerChannel.Settings()
            settings.connectTimeout = .milliseconds(100)
            settings.keepAlive = .milliseconds(100)
            settings.pingTimeout = .milliseconds(500)
            let told = try await stage.opened(settings)
            stage.faults.set(LinkFault(isCut: true), to: try stage.server)
            // It is given up, and hellos are swallowed like all else.
            let isGivenUp = await eventually { told.closed.all.count >= 3 }
            #expect(isGivenUp)
            #expect(told.closed.all.prefix(3).map(\.wasOpen) == [true, false, false])
            #expect(told.closed.all.first?.error.message.contains("does not answer") == true)
            #expect(stage.gone.all.isEmpty)
            stage.faults.clear()
            let isBack = await told.isOpen(times: 2)
            #expect(isBack)
            let isGone = await eventually { stage.gone.all.first?.text == Stage.clientNode }
            #expect(isGone)
            let isThere = await eventually {
                _ = try? await told.send(9...9)
                return stage.came.all.contains(9)
            }
            #expect(isThere)
            try await told.close()
        }
    }

    @Test func `a slow link keeps the order, also when it grows quicker`() async throws {
        try await withPeers { stage in
            let told = try await stage.opened()
            let server = try stage.server
            for (number, delay) in [300, 50, 100, 0].enumerated() {
                stage.faults.set(delay > 0 ? LinkFault(delay: .milliseconds(delay)) : nil, to: server)
                let first = UInt64(number) * 20
                for round in first..<first + 20 { try await told.send(round...round) }
            }
            let areThere = await eventually { stage.came.all.count == 80 }
            #expect(areThere)
            #expect(stage.came.all == Array(0..<80))
            try await told.close()
        }
    }

    // MARK: Silence

    @Test func `a peer that is silent is asked, and closed when it does not answer`() async throws {
        let server = try RawServer()
        var settings = PeerChannel.Settings()
        settings.keepAlive = .milliseconds(100)
        settings.pingTimeout = .milliseconds(100)
        try await withPeers { stage in
            let (told, peer) = try await stage.welcomed(by: server, settings)
            let asked = await peer.frame()
            #expect(asked?.header.type == .ping)
            let isOver = await eventually { !told.closed.all.isEmpty }
            #expect(isOver)
            #expect(told.closed.all.first?.wasOpen == true)
            #expect(told.closed.all.first?.error.code == .unavailable)
            #expect(told.closed.all.first?.error.message.contains("does not answer") == true)
            let isClosed = await peer.isClosed()
            #expect(isClosed)
            // Another try is under way.
            _ = try await server.next()
            try await told.close()
        }
    }

    @Test func `a peer that answers pings is kept, whatever it answers`() async throws {
        try await withPeers { stage in
            // Nothing here takes pings.
            let (_, address) = try await stage.serve()
            var settings = PeerChannel.Settings()
            settings.keepAlive = .milliseconds(50)
            settings.pingTimeout = .seconds(20)
            let told = try stage.channel(to: address, settings)
            try await told.start()
            let arePinged = await eventually {
                stage.serverTelemetry.count("distric_rpc_calls_total", ["side": "server", "method": "ping"]) >= 3
            }
            #expect(arePinged)
            #expect(told.opened.all.count == 1)
            #expect(told.closed.all.isEmpty)
            #expect(told.received.all.isEmpty)
            try await told.close()
        }
    }
}

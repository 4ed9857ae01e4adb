import NIOCore
import Observability
import Primitives
import Testing
import Wire

@testable import Transport

/// Answers that come in pieces (RPCStreamWriter.swift, RPCClient.swift, CallWaiter.swift).
@Suite(.timeLimit(.minutes(1)))
struct RPCStreamTests {
    private static func last() -> TaskLog {
        var log = TaskLog()
        log.isLast = true
        return log
    }

    /// Sends pieces of so many bytes for as long as somebody reads, a hundred megabytes at most.
    private func endless(_ pieceBytes: Int, sent: Tally, ended: Tally) -> RPCHandlers {
        var handlers = usualHandlers()
        handlers.stream(TaskLog.self) { _, _, writer async throws(CallError) in
            do throws(CallError) {
                while sent.count < 100 << 20 {
                    try await writer.send([UInt8](repeating: 7, count: pieceBytes))
                    sent.add(pieceBytes)
                }
            } catch {
                if error.code == .cancelled { ended.add() }
                throw error
            }
            return Self.last()
        }
        return handlers
    }

    @Test func `pieces come in order, and the reply after the last`() async throws {
        var handlers = RPCHandlers()
        handlers.stream(TaskLog.self) { log, _, writer async throws(CallError) in
            for number in 0..<300 {
                try await writer.send([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number * 37 % 5000))
            }
            var end = Self.last()
            end.task = log.task
            return end
        }
        try await withStage(handlers) { stage in
            var question = TaskLog()
            question.task = "build"
            let stream = try await stage.client.stream(question, to: stage.address, timeout: .seconds(30))
            var number = 0
            while let piece = try await stream.next() {
                let isRight = piece == [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number * 37 % 5000)
                #expect(isRight, "piece \(number)")
                number += 1
            }
            #expect(number == 300)
            let reply = try await stream.reply()
            #expect(reply.isLast)
            #expect(reply.task == "build")
            let isIdle = await eventually { stage.client.peers.map(\.calls) == [0] }
            #expect(isIdle)
        }
    }

    @Test func `pieces larger than the window come too, one at a time`() async throws {
        var handlers = RPCHandlers()
        handlers.stream(TaskLog.self) { _, _, writer async throws(CallError) in
            for number in 0..<20 {
                try await writer.send([UInt8](repeating: UInt8(number), count: RPCStreamWriter.pieceLimit))
            }
            return Self.last()
        }
        var settings = RPCClient.Settings()
        settings.streamWindow = 1024
        try await withStage(handlers, client: settings) { stage in
            let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(30))
            var sizes: [Int] = []
            while let piece = try await stream.next() { sizes.append(piece.count) }
            #expect(sizes == [Int](repeating: RPCStreamWriter.pieceLimit, count: 20))
            let reply = try await stream.reply()
            #expect(reply.isLast)
        }
    }

    @Test func `who wants only the reply gets it`() async throws {
        var handlers = RPCHandlers()
        handlers.stream(TaskLog.self) { _, _, writer async throws(CallError) in
            for _ in 0..<100 { try await writer.send([UInt8](repeating: 1, count: 10_000)) }
            return Self.last()
        }
        try await withStage(handlers) { stage in
            let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(30))
            let reply = try await stream.reply()
            #expect(reply.isLast)
        }
    }

    @Test func `a piece that is too large is refused before it is sent`() async throws {
        var handlers = RPCHandlers()
        handlers.stream(TaskLog.self) { _, _, writer async throws(CallError) in
            try await writer.send([1])
            try await writer.send([UInt8](repeating: 1, count: RPCStreamWriter.pieceLimit + 1))
            return Self.last()
        }
        try await withStage(handlers) { stage in
            let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(30))
            let piece = try await stream.next()
            #expect(piece == [1])
            let error = await failure { try await stream.next() }
            #expect(error?.code == .tooLarge)
        }
    }

    @Test func `a reply that is too large is an error, and the connection goes on`() async throws {
        var handlers = usualHandlers()
        handlers.stream(TaskLog.self) { _, _, _ in
            var log = TaskLog()
            log.data = [UInt8](repeating: 1, count: 2 << 20)
            return log
        }
        try await withStage(handlers) { stage in
            _ = try await stage.ask("before")
            let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(30))
            let error = await failure { try await stream.reply() }
            #expect(error?.code == .tooLarge)
            _ = try await stage.ask("after")
            let opened = stage.clientTelemetry.count("distric_rpc_connections_opened_total")
            #expect(opened == 1)
        }
    }

    @Test func `an error ends the pieces`() async throws {
        let thrown = CallError(.notFound, "the log is gone", isRetryable: false)
        var handlers = RPCHandlers()
        handlers.stream(TaskLog.self) { _, _, writer async throws(CallError) in
            try await writer.send([1])
            throw thrown
        }
        try await withStage(handlers) { stage in
            let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(30))
            let piece = try await stream.next()
            #expect(piece == [1])
            let error = await failure { try await stream.next() }
            #expect(error == thrown)
            let again = await failure { try await stream.reply() }
            #expect(again == thrown)
        }
    }

    @Test func `a slow reader holds the writer back`() async throws {
        let (window, pieceBytes) = (64 << 10, 16 << 10)
        let (sent, ended) = (Tally(), Tally())
        var settings = RPCClient.Settings()
        settings.streamWindow = window
        try await withStage(endless(pieceBytes, sent: sent, ended: ended), client: settings) { stage in
            let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(60))
            let isFull = await eventually { sent.count >= window }
            #expect(isFull)
            var read = 0
            var isAhead = false
            for _ in 0..<64 where !isAhead {
                isAhead = await eventually(.milliseconds(10)) { sent.count - read > window + pieceBytes }
                read += try await stream.next()?.count ?? 0
            }
            #expect(!isAhead, "\(sent.count) sent, \(read) read")
            #expect(read == 64 * pieceBytes)
        }
        let isEnded = await eventually { ended.count == 1 }
        #expect(isEnded)
    }

    @Test func `who stops reading ends the writer`() async throws {
        let (sent, ended) = (Tally(), Tally())
        try await withStage(endless(1000, sent: sent, ended: ended)) { stage in
            try await readOne(stage)
            let isEnded = await eventually { ended.count == 1 }
            #expect(isEnded)
            let isIdle = await eventually { stage.client.peers.map(\.calls) == [0] }
            #expect(isIdle)
            let answer = try await stage.ask("still there")
            #expect(answer == "still there")
        }
    }

    private func readOne(_ stage: Stage) async throws {
        let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(60))
        let piece = try await stream.next()
        #expect(piece?.count == 1000)
    }

    @Test func `a reader that is cancelled ends the writer`() async throws {
        let (sent, ended, read) = (Tally(), Tally(), Tally())
        try await withStage(endless(1000, sent: sent, ended: ended)) { stage in
            let reading = Task {
                let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(60))
                while try await stream.next() != nil { read.add() }
            }
            let isReading = await eventually { read.count > 10 }
            #expect(isReading)
            reading.cancel()
            let error = await failure { try await reading.value }
            #expect(error?.code == .cancelled)
            let isEnded = await eventually { ended.count == 1 }
            #expect(isEnded)
        }
    }

    @Test func `a stream whose time is over fails, and its writer ends`() async throws {
        let (sent, ended) = (Tally(), Tally())
        var settings = RPCClient.Settings()
        settings.streamWindow = 10_000
        try await withStage(endless(1000, sent: sent, ended: ended), client: settings) { stage in
            let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .milliseconds(300))
            let isEnded = await eventually { ended.count == 1 }
            #expect(isEnded)
            let error = await failure { try await stream.reply() }
            #expect(error?.code == .deadlineExceeded)
        }
    }

    @Test func `a connection that ends takes its streams with it`() async throws {
        let (sent, ended) = (Tally(), Tally())
        try await withStage(endless(1000, sent: sent, ended: ended)) { stage in
            let stream = try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(60))
            _ = try await stream.next()
            stage.client.close()
            let error = await failure { try await stream.reply() }
            #expect(error?.code == .unavailable)
            let isEnded = await eventually { ended.count == 1 }
            #expect(isEnded)
        }
    }

    // MARK: Peers that break the rules

    /// The connection and the id of a stream that a client asked for.
    private func asked(_ server: RawServer) async throws -> (RawPeer, UInt64) {
        let peer = try await server.next()
        try await peer.welcome()
        let frame = await peer.frame()
        let call = try #require(frame)
        #expect(call.header.type == .taskLog)
        let next = await peer.frame()
        let credit = try #require(next)
        #expect(credit.header.type == .credit)
        #expect(credit.header.id == call.header.id)
        let given = try Credit.decode(credit.payload)
        #expect(given.bytes == 1024)
        return (peer, call.header.id)
    }

    private func smallWindow() -> RPCClient.Settings {
        var settings = RPCClient.Settings()
        settings.streamWindow = 1024
        return settings
    }

    @Test func `a peer that sends more than it has credit for is stopped`() async throws {
        let server = try RawServer()
        try await withClient(smallWindow()) { client, _ in
            let asking = Task { try await client.stream(TaskLog(), to: server.address, timeout: .seconds(30)) }
            let (peer, id) = try await asked(server)
            let stream = try await asking.value
            for sequence in 0..<4 as Range<UInt64> {
                await peer.send(
                    StreamChunk(sequence: sequence, data: [UInt8](repeating: 1, count: 600 << 10)).frame(id: id, flags: [.response, .more]))
            }
            let cancel = await peer.frame()
            #expect(cancel?.header.type == .cancel)
            #expect(cancel?.header.id == id)
            let error = await failure { while try await stream.next() != nil {} }
            #expect(error?.code == .protocolViolation)
        }
    }

    @Test func `a peer that leaves a piece out is stopped`() async throws {
        let server = try RawServer()
        try await withClient(smallWindow()) { client, _ in
            let asking = Task { try await client.stream(TaskLog(), to: server.address, timeout: .seconds(30)) }
            let (peer, id) = try await asked(server)
            let stream = try await asking.value
            for sequence in [0, 2] as [UInt64] {
                await peer.send(StreamChunk(sequence: sequence, data: [1]).frame(id: id, flags: [.response, .more]))
            }
            let piece = try await stream.next()
            #expect(piece == [1])
            let error = await failure { try await stream.next() }
            #expect(error?.code == .protocolViolation)
        }
    }

    @Test func `a peer that sends pieces to who asked for none is stopped`() async throws {
        let server = try RawServer()
        try await withClient { client, _ in
            let call = Task { try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(30)) }
            let peer = try await server.next()
            try await peer.welcome()
            let frame = await peer.frame()
            let asked = try #require(frame)
            await peer.send(StreamChunk(sequence: 0, data: [1]).frame(id: asked.header.id, flags: [.response, .more]))
            let error = await failure { try await call.value }
            #expect(error?.code == .protocolViolation)
            #expect(error?.isUncertain == true)
        }
    }

    @Test func `a peer that gives endless credit and does not read fills no memory`() async throws {
        let (sent, ended) = (Tally(), Tally())
        var settings = RPCServer.Settings()
        settings.slow = .milliseconds(500)
        try await withStage(endless(64 << 10, sent: sent, ended: ended), server: settings) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            await peer.send(TaskLog().frame(id: 1))
            await peer.send(Credit(bytes: .max).frame(id: 1, flags: .oneWay))
            let isCut = await eventually { stage.cuts("slow_reader") == 1 }
            #expect(isCut)
            #expect(sent.count < 64 << 20)
            let isEnded = await eventually { ended.count == 1 }
            #expect(isEnded)
            let answer = try await stage.ask("others go on")
            #expect(answer == "others go on")
            peer.shut()
        }
    }
}

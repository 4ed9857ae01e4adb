import NIOCore
import Observability
import Primitives
import Testing
import Wire

@testable import Transport

/// Calls that take too long, are cancelled, fail, or whose other side goes away (RPCClient.swift, ClientConnection.swift, RPCServer.swift).
@Suite(.timeLimit(.minutes(2)))
struct RPCFailureTests {
    // MARK: Time

    @Test func `a call whose time is over fails, and its handler is cancelled`() async throws {
        let (started, cancelled) = (Tally(), Tally())
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            if await untilCancelled() { cancelled.add() }
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let began = ContinuousClock.now
            let error = await failure { try await stage.ask("slow", timeout: .milliseconds(200)) }
            let took = began.duration(to: .now)
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.isUncertain == true)
            #expect(took >= .milliseconds(190))
            #expect(took < .seconds(5))
            let isCancelled = await eventually { cancelled.count == 1 }
            #expect(isCancelled)
            #expect(started.count == 1)
            let isIdle = await eventually { stage.client.peers.map(\.calls) == [0] }
            #expect(isIdle)
        }
    }

    @Test func `a server cancels a call whose time is over, whether or not the caller says so`() async throws {
        let cancelled = Tally()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            if await untilCancelled() { cancelled.add() }
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            var bytes = ByteBuffer()
            ClientQuery(path: "slow").encode(FrameHeader(type: .clientQuery, id: 1, millisecondsLeft: 100), nil, into: &bytes)
            await peer.send(bytes)
            let isCancelled = await eventually { cancelled.count == 1 }
            #expect(isCancelled)
            peer.shut()
        }
    }

    @Test func `a call that cannot make it in time is refused before it begins, until one is let through to see`() async throws {
        let started = Tally()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            if query.path == "slow" { try? await Task.sleep(for: .milliseconds(400)) }
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            _ = try await stage.ask("slow")
            let error = await failure { try await stage.ask("fast", timeout: .milliseconds(50)) }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.message.contains("are left") == true)
            #expect(error?.isUncertain == false)
            #expect(started.count == 1)
            let isLetThrough = await eventually {
                let answer = try? await stage.ask("fast", timeout: .milliseconds(50))
                return answer == "fast"
            }
            #expect(isLetThrough)
            #expect(started.count == 2)
        }
    }

    @Test func `a call that nobody can be reached for fails when its time is over`() async throws {
        let server = try RawServer()
        var settings = RPCClient.Settings()
        settings.connectTimeout = .seconds(30)
        try await withClient(settings) { client, _ in
            let began = ContinuousClock.now
            let error = await failure { try await client.call(TaskAssignment(), to: server.address, timeout: .milliseconds(200)) }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.isUncertain == false)
            #expect(began.duration(to: .now) < .seconds(5))
        }
    }

    @Test func `a peer that falls silent is asked, and given up when it does not answer`() async throws {
        let server = try RawServer()
        var settings = RPCClient.Settings()
        settings.keepAlive = .milliseconds(200)
        settings.pingTimeout = .milliseconds(200)
        try await withClient(settings) { client, telemetry in
            let call = Task { try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(60)) }
            let peer = try await server.next()
            try await peer.welcome()
            let first = await peer.frame()
            #expect(first?.header.type == .taskAssignment)
            let ping = await peer.frame()
            #expect(ping?.header.type == .ping)
            let error = await failure { try await call.value }
            #expect(error?.code == .unavailable)
            #expect(error?.isUncertain == true)
            let cut = telemetry.count("distric_rpc_connections_cut_total", ["side": "client", "reason": "no_answer"])
            #expect(cut == 1)
        }
    }

    @Test func `a peer that answers pings is kept`() async throws {
        let gate = Gate()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            await gate.wait()
            return response(query.path)
        }
        var settings = RPCClient.Settings()
        settings.keepAlive = .milliseconds(100)
        settings.pingTimeout = .milliseconds(900)
        // Nothing here takes pings: that something comes back is enough.
        try await withStage(handlers, client: settings) { stage in
            let call = Task { try await stage.ask("long", timeout: .seconds(60)) }
            let arePinged = await eventually {
                stage.serverTelemetry.count("distric_rpc_calls_total", ["side": "server", "method": "ping"]) >= 2
            }
            #expect(arePinged)
            gate.open()
            let answer = try await call.value
            #expect(answer == "long")
        }
    }

    @Test func `a connection without calls is closed after a while, and opened again when there is one`() async throws {
        var settings = RPCClient.Settings()
        settings.idle = .milliseconds(100)
        try await withStage(client: settings) { stage in
            _ = try await stage.ask("first")
            let isGone = await eventually { stage.server.connectionCount == 0 }
            #expect(isGone)
            let answer = try await stage.ask("second")
            #expect(answer == "second")
        }
    }

    // MARK: Cancellation

    @Test func `who stops waiting has the handler cancelled`() async throws {
        let (started, cancelled) = (Tally(), Tally())
        var handlers = usualHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            if await untilCancelled() { cancelled.add() }
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let call = Task { try await stage.ask("slow", timeout: .seconds(60)) }
            let isStarted = await eventually { started.count == 1 }
            #expect(isStarted)
            call.cancel()
            let error = await failure { try await call.value }
            #expect(error?.code == .cancelled)
            #expect(error?.isUncertain == true)
            let isCancelled = await eventually { cancelled.count == 1 }
            #expect(isCancelled)
            let ack = try await stage.client.call(Ping(sequence: 1, from: .unnamed), to: stage.address)
            #expect(ack.sequence == 1)
        }
    }

    @Test func `a call of a task that is cancelled already is not sent`() async throws {
        let started = Tally()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            _ = try await stage.ask("first")
            let call = Task {
                _ = await untilCancelled()
                return try await stage.ask("late")
            }
            call.cancel()
            let error = await failure { try await call.value }
            #expect(error?.code == .cancelled)
            #expect(error?.isUncertain == false)
            #expect(started.count == 1)
        }
    }

    @Test func `who is cancelled while a connection is made waits no longer`() async throws {
        let server = try RawServer()
        var settings = RPCClient.Settings()
        settings.connectTimeout = .seconds(30)
        try await withClient(settings) { client, _ in
            let call = Task { try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(30)) }
            let peer = try await server.next()
            let began = ContinuousClock.now
            call.cancel()
            let error = await failure { try await call.value }
            #expect(error?.code == .cancelled)
            #expect(began.duration(to: .now) < .seconds(5))
            peer.shut()
        }
    }

    // MARK: Retries

    @Test func `a call that may be repeated is made again until it succeeds`() async throws {
        let tries = Tally()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ async throws(CallError) in
            tries.add()
            guard tries.count > 2 else { throw CallError(.busy, "not now") }
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let answer = try await stage.ask("x")
            #expect(answer == "x")
            #expect(tries.count == 3)
            let retries = stage.clientTelemetry.count("distric_rpc_retries_total")
            #expect(retries == 2)
        }
    }

    @Test func `a call that was not done is made again whatever it is, one that may have been only if that is harmless`() async throws {
        let (assignments, queries) = (Tally(), Tally())
        var handlers = RPCHandlers()
        let error = CallError(.unavailable, "gone", isUncertain: true)
        handlers.task(TaskAssignment.self) { _, context async throws(CallError) in
            assignments.add()
            throw context.idempotencyKey == "certain" ? CallError(.busy, "not now") : error
        }
        handlers.task(ClientQuery.self) { _, _ async throws(CallError) in
            queries.add()
            throw error
        }
        try await withStage(handlers) { stage in
            let certain = await failure {
                try await stage.client.call(
                    TaskAssignment(), to: stage.address, timeout: .seconds(10),
                    attached: FrameExtension(trace: nil, idempotencyKey: "certain"))
            }
            #expect(certain?.code == .busy)
            #expect(assignments.count == RetryBudget().attempts)
            let uncertain = await failure { try await stage.client.call(TaskAssignment(), to: stage.address) }
            #expect(uncertain == error)
            #expect(assignments.count == RetryBudget().attempts + 1)
            let harmless = await failure { try await stage.ask("x") }
            #expect(harmless == error)
            #expect(queries.count == RetryBudget().attempts)
        }
    }

    @Test func `no retry begins that the call's time does not hold`() async throws {
        let tries = Tally()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { _, _ async throws(CallError) in
            tries.add()
            throw CallError(.busy, "in a minute", retryAfter: .seconds(60))
        }
        try await withStage(handlers) { stage in
            let began = ContinuousClock.now
            let error = await failure { try await stage.ask("x", timeout: .seconds(30)) }
            #expect(error?.code == .busy)
            #expect(error?.retryAfter == .seconds(60))
            #expect(tries.count == 1)
            #expect(began.duration(to: .now) < .seconds(5))
        }
    }

    @Test func `when most calls fail, few are made again`() async throws {
        let tries = Tally()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { _, _ async throws(CallError) in
            tries.add()
            throw CallError(.busy, "not now")
        }
        try await withStage(handlers) { stage in
            for _ in 0..<40 { _ = await failure { try await stage.ask("x") } }
            // Ten that a quiet time has saved, and a tenth of one for each call.
            #expect(tries.count >= 40 + 10)
            #expect(tries.count <= 40 + 10 + 4)
        }
    }

    @Test func `a call that may be repeated outlives a connection that is cut`() async throws {
        let server = try RawServer()
        try await withClient { client, _ in
            let call = Task { try await client.call(ClientQuery(path: "x"), to: server.address) }
            let first = try await server.next()
            try await first.welcome()
            let sent = await first.frame()
            #expect(sent?.header.type == .clientQuery)
            #expect(sent?.header.flags.contains(.retry) == false)
            first.shut()
            let second = try await server.next()
            try await second.welcome()
            let frame = await second.frame()
            let again = try #require(frame)
            #expect(again.header.type == .clientQuery)
            #expect(again.header.flags.contains(.retry))
            await second.send(response("x").frame(id: again.header.id, flags: .response))
            let answer = try await call.value
            #expect(text(answer) == "x")
        }
    }

    // MARK: The other side goes away

    @Test func `a call that was sent fails as uncertain when the connection ends, and is not made again`() async throws {
        let server = try RawServer()
        try await withClient { client, telemetry in
            let call = Task { try await client.call(TaskAssignment(), to: server.address) }
            let peer = try await server.next()
            try await peer.welcome()
            let frame = await peer.frame()
            #expect(frame?.header.type == .taskAssignment)
            peer.shut()
            let error = await failure { try await call.value }
            #expect(error?.code == .unavailable)
            #expect(error?.isUncertain == true)
            let retries = telemetry.count("distric_rpc_retries_total")
            #expect(retries == 0)
        }
    }

    @Test func `a call that was sent fails as uncertain when the peer ends the connection with an error`() async throws {
        let server = try RawServer()
        try await withClient { client, telemetry in
            let call = Task { try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(5)) }
            let peer = try await server.next()
            try await peer.welcome()
            let frame = await peer.frame()
            #expect(frame?.header.type == .taskAssignment)
            await peer.send(ErrorReply(.unavailable, "this connection ends").frame(flags: [.response, .error]))
            peer.shut()
            let error = await failure { try await call.value }
            #expect(error?.code == .unavailable)
            #expect(error?.isUncertain == true)
            let retries = telemetry.count("distric_rpc_retries_total")
            #expect(retries == 0)
        }
    }

    @Test func `a call that was not sent fails as certain when the connection ends`() async throws {
        let server = try RawServer()
        try await withClient { client, _ in
            let (first, peer) = try await fill(client, server)
            let second = Task { try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(30)) }
            let areThere = await eventually { client.peers.map(\.calls) == [2] }
            #expect(areThere)
            server.stop()
            peer.shut()
            let sent = await failure { try await first.value }
            #expect(sent?.code == .unavailable)
            #expect(sent?.isUncertain == true)
            let unsent = await failure { try await second.value }
            #expect(unsent?.code == .unavailable)
            #expect(unsent?.isUncertain == false)
        }
    }

    @Test func `time runs for a call that waits behind a peer that does not read`() async throws {
        let server = try RawServer()
        try await withClient { client, _ in
            let (first, peer) = try await fill(client, server)
            let ended = Tally()
            let second = Task {
                let error = await failure { try await client.call(TaskAssignment(), to: server.address, timeout: .milliseconds(300)) }
                ended.add()
                return error
            }
            let isOver = await eventually(.seconds(4)) { ended.count == 1 }
            #expect(isOver)
            server.stop()
            peer.shut()
            let error = await second.value
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.isUncertain == false)
            _ = await failure { try await first.value }
        }
    }

    @Test func `who waits behind a peer that does not read can be cancelled`() async throws {
        let server = try RawServer()
        try await withClient { client, _ in
            let (first, peer) = try await fill(client, server)
            let ended = Tally()
            let second = Task {
                let error = await failure { try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(60)) }
                ended.add()
                return error
            }
            let areThere = await eventually { client.peers.map(\.calls) == [2] }
            #expect(areThere)
            second.cancel()
            let isOver = await eventually(.seconds(4)) { ended.count == 1 }
            #expect(isOver)
            server.stop()
            peer.shut()
            let error = await second.value
            #expect(error?.code == .cancelled)
            _ = await failure { try await first.value }
        }
    }

    /// Has a client send more than the kernel takes, to a peer that does not read.
    private func fill(_ client: RPCClient, _ server: RawServer) async throws -> (Task<ClientResponse, any Error>, RawPeer) {
        let message = ClientSubmit(messages: [[UInt8](repeating: 0x20, count: 15 << 20)])
        let call = Task<ClientResponse, any Error> { try await client.call(message, to: server.address, timeout: .seconds(60)) }
        let peer = try await server.next()
        try await peer.welcome()
        let isSending = await eventually { peer.hasBytes }
        #expect(isSending)
        return (call, peer)
    }

    @Test func `a peer where nobody listens is unavailable, and the call certainly was not done`() async throws {
        let address = try RawServer.closedPort()
        try await withClient { client, telemetry in
            let error = await failure { try await client.call(TaskAssignment(), to: address, timeout: .seconds(5)) }
            #expect(error?.code == .unavailable)
            #expect(error?.isUncertain == false)
            let isNamed = error?.message.contains(address.description) ?? false
            #expect(isNamed)
            let failures = telemetry.count("distric_rpc_connect_failures_total")
            #expect(failures == RetryBudget().attempts)
        }
    }

    @Test func `a name is reached at whichever of its addresses somebody listens`() async throws {
        try await withStage { stage in
            guard case .tcp(_, let port) = stage.address else { return }
            let answer = try await stage.client.call(ClientQuery(path: "x"), to: .tcp(host: "localhost", port: port))
            #expect(text(answer) == "x")
        }
    }

    @Test func `a client that is closed lets nobody wait`() async throws {
        let started = Tally()
        var handlers = RPCHandlers()
        handlers.task(TaskAssignment.self) { _, _ in
            started.add()
            _ = await untilCancelled()
            return TaskStatus()
        }
        try await withStage(handlers) { stage in
            let calls = (0..<3).map { _ in
                Task { try await stage.client.call(TaskAssignment(), to: stage.address, timeout: .seconds(60)) }
            }
            let areStarted = await eventually { started.count == 3 }
            #expect(areStarted)
            stage.client.close()
            for call in calls {
                let error = await failure { try await call.value }
                #expect(error?.code == .unavailable)
                // It had been sent: nobody knows what became of it.
                #expect(error?.isUncertain == true)
            }
            let areGone = await eventually { stage.server.connectionCount == 0 }
            #expect(areGone)
        }
    }

    // MARK: Draining

    @Test func `a server that drains refuses new calls, ends those that run, and closes its connections`() async throws {
        let (gate, started) = (Gate(), Tally())
        var handlers = usualHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            await gate.wait()
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let running = Task { try await stage.ask("running", timeout: .seconds(60)) }
            let isStarted = await eventually { started.count == 1 }
            #expect(isStarted)
            let draining = Task { await stage.server.drain(grace: .seconds(20)) }
            let isRefused = await eventually {
                let error = await failure { try await stage.client.call(Ping(sequence: 1, from: .unnamed), to: stage.address) }
                return error?.code == .draining
            }
            #expect(isRefused)
            let another = await failure { try await stage.ask("another") }
            #expect(another?.code == .draining)
            #expect(another?.isRetryable == true)
            #expect(another?.isUncertain == false)
            gate.open()
            let answer = try await running.value
            #expect(answer == "running")
            await draining.value
            #expect(stage.server.connectionCount == 0)
            #expect(started.count == 1)
            let after = await failure { try await stage.ask("after", timeout: .seconds(2)) }
            #expect(after?.code == .unavailable)
        }
    }

    @Test func `a server that drains waits no longer than it was given`() async throws {
        let (started, cancelled) = (Tally(), Tally())
        var handlers = RPCHandlers()
        handlers.task(TaskAssignment.self) { _, _ in
            started.add()
            if await untilCancelled() { cancelled.add() }
            return TaskStatus()
        }
        try await withStage(handlers) { stage in
            let call = Task { try await stage.client.call(TaskAssignment(), to: stage.address, timeout: .seconds(60)) }
            let isStarted = await eventually { started.count == 1 }
            #expect(isStarted)
            let began = ContinuousClock.now
            await stage.server.drain(grace: .milliseconds(200))
            #expect(began.duration(to: .now) < .seconds(5))
            let error = await failure { try await call.value }
            #expect(error?.code == .unavailable)
            #expect(error?.isUncertain == true)
            let isCancelled = await eventually { cancelled.count == 1 }
            #expect(isCancelled)
        }
    }
}

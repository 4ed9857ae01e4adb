import Glibc
import NIOCore
import Observability
import Primitives
import Testing
import Wire

@testable import Transport

/// Calls, from a client to a server on one event loop (RPCClient.swift, RPCServer.swift).
@Suite(.timeLimit(.minutes(2)))
struct RPCTests {
    // MARK: Answers

    @Test func `a call is answered, at once or by a task`() async throws {
        try await withStage { stage in
            let ack = try await stage.client.call(Ping(sequence: 7, from: .unnamed, padding: [1, 2, 3]), to: stage.address)
            #expect(ack.sequence == 7)
            #expect(ack.padding == [1, 2, 3])
            let answer = try await stage.ask("cluster/status")
            #expect(answer == "cluster/status")
            #expect(stage.server.connectionCount == 1)
            let calls = stage.serverTelemetry.count("distric_rpc_calls_total", ["side": "server", "method": "ping", "code": "ok"])
            #expect(calls == 1)
            let peer = try await stage.client.peer(at: stage.address, timeout: .seconds(5))
            #expect(peer.node?.text == Stage.serverNode)
            #expect(peer.version == .current)
            // The list is made twice a second.
            let isListed = await eventually { stage.server.callers.first?.calls == 2 }
            #expect(isListed)
            #expect(stage.server.callers.map { $0.node?.text ?? "" } == [Stage.clientNode])
        }
    }

    @Test func `thousands of calls share one connection, and each gets its own answer however they come`() async throws {
        var handlers = RPCHandlers()
        let order = Kept<Int>()
        handlers.task(ClientQuery.self) { query, _ in
            let number = Int(query.path) ?? 0
            try? await Task.sleep(for: .milliseconds(number * 7919 % 60))
            order.add(number)
            return response(query.path)
        }
        var settings = RPCClient.Settings()
        settings.connectionsPerPeer = 1
        try await withStage(handlers, client: settings) { stage in
            let right = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<3000 {
                    group.addTask {
                        let answer = try? await stage.ask("\(number)", timeout: .seconds(60))
                        return answer == "\(number)"
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(right == 3000)
            #expect(stage.server.connectionCount == 1)
            let done = order.all
            #expect(done.count == 3000)
            #expect(done != done.sorted())
            #expect(stage.client.peers.map(\.calls) == [0])
        }
    }

    @Test func `a crowded connection gets a second one, and never a third`() async throws {
        let (gate, started) = (Gate(), Tally())
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            await gate.wait()
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let right = Tally()
            let waiting = Task {
                await withTaskGroup(of: Void.self) { group in
                    for number in 0..<2000 {
                        group.addTask { if (try? await stage.ask("\(number)", timeout: .seconds(60))) == "\(number)" { right.add() } }
                    }
                }
            }
            let areThere = await eventually(.seconds(20)) { started.count == 2000 }
            #expect(areThere)
            // The second may have come after the last call; one more asks for it.
            let more = Task { try await stage.ask("more", timeout: .seconds(60)) }
            let isSecond = await eventually { stage.server.connectionCount == 2 }
            #expect(isSecond)
            gate.open()
            await waiting.value
            let last = try await more.value
            #expect(last == "more")
            #expect(right.count == 2000)
            #expect(stage.server.connectionCount == 2)
        }
    }

    @Test func `what nobody answers is unimplemented`() async throws {
        try await withStage { stage in
            let error = await failure { try await stage.client.call(LeaseRenew(), to: stage.address) }
            #expect(error?.code == .unimplemented)
            #expect(error?.isRetryable == false)
            #expect(error?.message.contains("lease_renew") == true)
        }
    }

    @Test func `an error of a handler comes through whole`() async throws {
        let thrown = CallError(
            .notLeader, "b leads", isRetryable: false, retryAfter: .milliseconds(1234), leader: try NodeID("b"),
            leaderAddress: "10.0.0.2:9000", isUncertain: true)
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { _, _ async throws(CallError) in throw thrown }
        handlers.immediate(Ping.self) { _, _ throws(CallError) in throw thrown }
        try await withStage(handlers) { stage in
            let late = await failure { try await stage.ask("a") }
            #expect(late == thrown)
            let atOnce = await failure { try await stage.client.call(Ping(sequence: 1, from: .unnamed), to: stage.address) }
            #expect(atOnce == thrown)
            let counted = stage.serverTelemetry.count("distric_rpc_calls_total", ["side": "server", "code": "not_leader"])
            #expect(counted == 2)
        }
    }

    @Test func `who calls, the trace, session, sequence and key are told to the handler`() async throws {
        let contexts = Kept<RPCContext>()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, context in
            contexts.add(context)
            return response(query.path)
        }
        handlers.immediate(Ping.self) { ping, context in
            contexts.add(context)
            return Ack(sequence: ping.sequence, from: .unnamed)
        }
        let trace = TraceContext(traceHigh: 11, traceLow: 12, span: 13, isSampled: true, state: "a=b")
        let attached = FrameExtension(trace: nil, session: 21, sequence: 22, idempotencyKey: "order-1")
        try await withStage(handlers) { stage in
            try await trace.scope {
                _ = try await stage.client.call(ClientQuery(path: "x"), to: stage.address, timeout: .seconds(5), attached: attached)
                _ = try await stage.client.call(
                    Ping(sequence: 1, from: .unnamed), to: stage.address, timeout: .seconds(5), attached: attached)
            }
            _ = try await stage.client.call(ClientQuery(path: "x"), to: stage.address)
            let all = contexts.all
            try #require(all.count == 3)
            for context in all.prefix(2) {
                #expect(context.peer.node?.text == Stage.clientNode)
                #expect(context.peer.hello.software == "test")
                #expect(context.remote.hasPrefix("127.0.0.1:"))
                #expect(context.session == 21)
                #expect(context.sequence == 22)
                #expect(context.idempotencyKey == "order-1")
                #expect(context.identity == nil)
                #expect(context.trace?.traceID == trace.traceID)
                #expect(context.trace?.isSampled == true)
                #expect(context.trace?.state == "a=b")
                #expect(context.trace?.span != trace.span)
                let left = context.deadline.map { $0.duration(since: stage.clock.now) }
                #expect(left.map { $0 <= .seconds(5) } == true)
            }
            #expect(all[2].trace == nil)
            #expect(all[2].session == nil)
            #expect(all[2].sequence == nil)
            #expect(all[2].idempotencyKey == nil)
        }
    }

    @Test func `a message that is no call goes one way`() async throws {
        let came = Kept<MembershipUpdate>()
        var handlers = usualHandlers()
        handlers.oneWay(MembershipUpdate.self) { update, _ in came.add(update) }
        try await withStage(handlers) { stage in
            var update = MembershipUpdate()
            update.from = try NodeID("a")
            update.news = [MemberNews(node: try NodeID("b"), epoch: 3, incarnation: 4, state: .suspect)]
            let sent = update
            try await stage.client.send(sent, to: stage.address)
            let isThere = await eventually { came.all.count == 1 }
            #expect(isThere)
            #expect(came.all == [sent])
            let isIdle = await eventually { stage.client.peers.map(\.calls) == [0] }
            #expect(isIdle)
        }
    }

    @Test func `a call that goes one way gets no answer and no error`() async throws {
        try await withStage { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            await peer.send(Ping(sequence: 1, from: .unnamed).frame(id: 1, flags: .oneWay))
            await peer.send(ClientQuery(path: "a").frame(id: 2, flags: .oneWay))
            await peer.send(LeaseRenew().frame(id: 3, flags: .oneWay))
            await peer.send(ClientQuery(path: "b").frame(id: 4))
            let frame = await peer.frame()
            #expect(frame?.header.id == 4)
            #expect(frame?.header.type == .clientResponse)
        }
    }

    // MARK: Sizes

    @Test func `a message that is too large is refused before it is sent`() async throws {
        try await withStage { stage in
            let error = await failure { try await stage.ask(String(repeating: "a", count: 70_000)) }
            #expect(error?.code == .tooLarge)
            var update = MembershipUpdate()
            let facts = [String(repeating: "a", count: 70_000)]
            update.news = [MemberNews(node: .unnamed, epoch: 1, incarnation: 1, state: .alive, facts: facts)]
            let large = update
            let sending = await failure { try await stage.client.send(large, to: stage.address) }
            #expect(sending?.code == .tooLarge)
            #expect(stage.server.connectionCount == 0)
        }
    }

    @Test func `an extension that is too large is refused before it is sent`() async throws {
        let attached = FrameExtension(trace: nil, idempotencyKey: String(repeating: "k", count: FrameExtension.limit + 1))
        try await withStage { stage in
            let error = await failure {
                try await stage.client.call(ClientQuery(path: "x"), to: stage.address, timeout: .seconds(5), attached: attached)
            }
            #expect(error?.code == .tooLarge)
            let streaming = await failure {
                try await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(5), attached: attached)
            }
            #expect(streaming?.code == .tooLarge)
        }
    }

    @Test func `an answer that is too large is an error, and the connection goes on`() async throws {
        var handlers = usualHandlers()
        handlers.immediate(Ping.self) { ping, _ in
            Ack(sequence: ping.sequence, from: .unnamed, padding: [UInt8](repeating: 1, count: ping.sequence == 1 ? 20_000 : 1))
        }
        try await withStage(handlers) { stage in
            let error = await failure { try await stage.client.call(Ping(sequence: 1, from: .unnamed), to: stage.address) }
            #expect(error?.code == .tooLarge)
            let ack = try await stage.client.call(Ping(sequence: 2, from: .unnamed), to: stage.address)
            #expect(ack.padding == [1])
            let opened = stage.clientTelemetry.count("distric_rpc_connections_opened_total")
            #expect(opened == 1)
        }
    }

    @Test func `an answer of many megabytes arrives whole`() async throws {
        let body = (0..<(12 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { _, _ in
            var response = ClientResponse()
            response.body = body
            return response
        }
        try await withStage(handlers) { stage in
            let answer = try await stage.client.call(ClientQuery(path: "x"), to: stage.address, timeout: .seconds(60))
            let isSame = answer.body == body
            #expect(isSame)
        }
    }

    // MARK: Bounds

    @Test func `a server takes so many calls of one connection and answers busy to one more`() async throws {
        let (gate, started) = (Gate(), Tally())
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            await gate.wait()
            return response(query.path)
        }
        var settings = RPCServer.Settings()
        settings.callsPerConnection = 2
        try await withStage(handlers, server: settings) { stage in
            let held = (0..<2).map { number in Task { try await stage.ask("\(number)") } }
            let areHeld = await eventually { started.count == 2 }
            #expect(areHeld)
            let error = await failure { try await stage.ask("one more") }
            #expect(error?.code == .busy)
            #expect(error?.isUncertain == false)
            #expect(error?.retryAfter == .milliseconds(50))
            #expect(started.count == 2)
            gate.open()
            for (number, task) in held.enumerated() {
                let answer = try await task.value
                #expect(answer == "\(number)")
            }
            let after = try await stage.ask("after")
            #expect(after == "after")
        }
    }

    @Test func `calls of all connections together have a bound`() async throws {
        let (gate, started) = (Gate(), Tally())
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            await gate.wait()
            return response(query.path)
        }
        var settings = RPCServer.Settings()
        settings.callsAtOnce = 2
        try await withStage(handlers, server: settings) { stage in
            let held = (0..<2).map { number in Task { try await stage.ask("\(number)") } }
            let areHeld = await eventually { started.count == 2 }
            #expect(areHeld)
            let other = try RawPeer(to: stage.address)
            try await other.greet()
            await other.send(ClientQuery(path: "one more").frame(id: 9))
            let refusal = await other.error()
            #expect(refusal?.code == .busy)
            #expect(refusal?.message.contains("on this node") == true)
            gate.open()
            for task in held { _ = try await task.value }
        }
    }

    @Test func `streams that go on, and calls that their handler bounds, take no room from other calls`() async throws {
        let (gate, started) = (Gate(), Tally())
        var handlers = usualHandlers()
        handlers.stream(TaskLog.self) { log, _, _ in
            started.add()
            await gate.wait()
            return log
        }
        handlers.task(TaskResults.self, boundBy: .handler) { call, _ in
            started.add()
            await gate.wait()
            return call
        }
        var settings = RPCServer.Settings()
        (settings.callsAtOnce, settings.streamsAtOnce) = (1, 2)
        try await withStage(handlers, server: settings) { stage in
            let worker = try RawPeer(to: stage.address)
            try await worker.greet()
            for id in 1...2 { await worker.send(TaskLog().frame(id: UInt64(id))) }
            for id in 3...5 { await worker.send(TaskResults().frame(id: UInt64(id))) }
            let areHeld = await eventually { started.count == 5 }
            #expect(areHeld)
            let answer = try await stage.ask("still")
            #expect(answer == "still")
            await worker.send(TaskLog().frame(id: 6))
            let refusal = await worker.error()
            #expect(refusal?.code == .busy)
            #expect(refusal?.message.contains("2 streams") == true)
            gate.open()
            for _ in 1...5 { #expect(await worker.frame()?.header.flags.contains(.error) == false) }
            // What has ended makes room again, a moment after its answer.
            var reply: TaskLog?
            for _ in 0..<500 where reply == nil {
                reply = try? await stage.client.stream(TaskLog(), to: stage.address, timeout: .seconds(5)).reply()
                try await Task.sleep(for: .milliseconds(2))
            }
            #expect(reply != nil)
        }
    }

    @Test func `a client has so many calls open on one connection, and one more is busy`() async throws {
        let (gate, started) = (Gate(), Tally())
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            await gate.wait()
            return response(query.path)
        }
        var settings = RPCClient.Settings()
        settings.callsPerConnection = 2
        settings.connectionsPerPeer = 1
        try await withStage(handlers, client: settings) { stage in
            let held = (0..<2).map { number in Task { try await stage.ask("\(number)") } }
            let areHeld = await eventually { started.count == 2 }
            #expect(areHeld)
            let error = await failure { try await stage.ask("one more", timeout: .seconds(2)) }
            #expect(error?.code == .busy)
            #expect(started.count == 2)
            gate.open()
            for task in held { _ = try await task.value }
        }
    }

    // MARK: The socket in the file system

    @Test func `a Unix socket takes calls of its owner alone`() async throws {
        let folder = try TemporaryFolder()
        let remotes = Kept<String>()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, context in
            remotes.add(context.remote)
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let path = folder.path + "/rpc.sock"
            let address = try await stage.server.listen(.unix(path: path))
            #expect(address == .unix(path: path))
            var facts = stat()
            let code = stat(path, &facts)
            #expect(code == 0)
            #expect(facts.st_mode & 0o777 == 0o600)
            let answer = try await stage.client.call(ClientQuery(path: "here"), to: address)
            #expect(text(answer) == "here")
            let isLocal = remotes.all.allSatisfy { $0.hasPrefix("unix:") }
            #expect(isLocal)
            #expect(remotes.all.count == 1)
        }
    }

    @Test func `a socket that a dead process left behind is replaced`() async throws {
        let folder = try TemporaryFolder()
        let address = PeerAddress.unix(path: folder.path + "/rpc.sock")
        let isLeft = leaveSocket(at: folder.path + "/rpc.sock")
        #expect(isLeft)
        for _ in 0..<2 {
            try await withStage { stage in
                _ = try await stage.server.listen(address)
                let answer = try await stage.client.call(ClientQuery(path: "here"), to: address)
                #expect(text(answer) == "here")
            }
        }
    }

    /// Binds a socket and lets it go without removing its file.
    private func leaveSocket(at path: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { _ = close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(100)) }
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    @Test func `an address that is taken, or that cannot be, says so`() async throws {
        try await withStage { stage in
            for address in [PeerAddress.unix(path: "/nowhere/at/all/rpc.sock"), .tcp(host: "192.0.2.1", port: 1)] {
                do throws(TransportError) {
                    _ = try await stage.server.listen(address)
                    Issue.record("\(address) was taken")
                } catch {
                    let isNamed = error.description.contains(address.description)
                    #expect(isNamed, "\(error)")
                }
            }
        }
    }
}

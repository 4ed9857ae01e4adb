import NIOCore
import Primitives
import Testing
import Wire

@testable import Transport

/// What is done to links on purpose (LinkFaults.swift).
@Suite(.timeLimit(.minutes(1)))
struct LinkFaultsTests {
    private func node(_ name: String) throws -> NodeID { try NodeID(name) }

    // MARK: Values

    @Test func `without faults everything is sent`() throws {
        let faults = LinkFaults(seed: 1)
        let a = try node("a")
        #expect(faults.fate(to: a) == .sent)
        #expect(faults.fate(to: nil) == .sent)
        #expect(faults.all.isEmpty)
        #expect(faults.lostCount == 0)
    }

    @Test func `a link that is cut loses all, and only what goes to its node`() throws {
        let faults = LinkFaults(seed: 1)
        let (a, b) = (try node("a"), try node("b"))
        faults.set(LinkFault(isCut: true), to: a)
        for _ in 0..<10 { #expect(faults.fate(to: a) == .lost) }
        #expect(faults.fate(to: b) == .sent)
        #expect(faults.fate(to: nil) == .sent)
        #expect(faults.lostCount == 10)
        #expect(faults.isCut(to: a))
        #expect(!faults.isCut(to: b))
        faults.set(nil, to: a)
        #expect(!faults.isCut(to: a))
        #expect(faults.fate(to: a) == .sent)
        #expect(faults.lostCount == 10)
    }

    @Test func `what is severed sends nothing to anybody, whatever is said of links later`() throws {
        let faults = LinkFaults(seed: 1)
        let a = try node("a")
        faults.sever()
        #expect(faults.fate(to: a) == .lost && faults.fate(to: nil) == .lost)
        faults.set(LinkFault(delay: .seconds(1)), to: a)
        faults.set(nil, to: a)
        #expect(faults.fate(to: a) == .lost)
        faults.clear()
        #expect(faults.fate(to: a) == .lost && faults.fate(to: nil) == .lost)
    }

    @Test func `a delay is what was set, and loss takes its share first`() throws {
        let faults = LinkFaults(seed: 5)
        let a = try node("a")
        faults.set(LinkFault(delay: .milliseconds(30)), to: a)
        #expect(faults.fate(to: a) == .delayed(.milliseconds(30)))
        faults.set(LinkFault(delay: .milliseconds(30), loss: 0.25), to: a)
        var counts: [String: Int] = [:]
        for _ in 0..<10_000 {
            switch faults.fate(to: a) {
            case .lost: counts["lost", default: 0] += 1
            case .delayed(let delay): counts["\(delay.milliseconds)", default: 0] += 1
            case .sent: counts["sent", default: 0] += 1
            }
        }
        let lost = counts["lost"] ?? 0
        #expect((2300...2700).contains(lost))
        #expect(counts["30"] == 10_000 - lost)
        #expect(faults.lostCount == lost)
    }

    @Test func `all faults are told by node, and cleared at once`() throws {
        let faults = LinkFaults(seed: 1)
        let (a, b) = (try node("a"), try node("b"))
        faults.set(LinkFault(isCut: true), to: b)
        faults.set(LinkFault(delay: .seconds(1)), to: a)
        #expect(faults.all.map { $0.node } == [a, b])
        #expect(faults.all.map { $0.fault } == [LinkFault(delay: .seconds(1)), LinkFault(isCut: true)])
        faults.clear()
        #expect(faults.all.isEmpty)
        #expect(faults.fate(to: b) == .sent)
    }

    // MARK: Calls

    @Test func `calls over a link that is cut time out, and work again when it is whole`() async throws {
        let faults = LinkFaults(seed: 1)
        let server = try node(Stage.serverNode)
        try await withStage(faults: faults) { stage in
            faults.set(LinkFault(isCut: true), to: server)
            let error = await failure { try await stage.ask("x", timeout: .milliseconds(300)) }
            #expect(error?.code == .deadlineExceeded)
            #expect(faults.lostCount > 0)
            faults.clear()
            let answer = try await stage.ask("x")
            #expect(answer == "x")
            let opened = stage.clientTelemetry.count("distric_rpc_connections_opened_total")
            #expect(opened == 1)
        }
    }

    @Test func `calls over a slow link take at least its delay`() async throws {
        let faults = LinkFaults(seed: 1)
        let server = try node(Stage.serverNode)
        try await withStage(faults: faults) { stage in
            _ = try await stage.ask("first")
            faults.set(LinkFault(delay: .milliseconds(200)), to: server)
            let began = ContinuousClock.now
            let answer = try await stage.ask("slow")
            let took = began.duration(to: .now)
            #expect(answer == "slow")
            #expect(took >= .milliseconds(200))
            faults.clear()
        }
    }

    @Test func `the fault of another node's link touches none but it`() async throws {
        let faults = LinkFaults(seed: 1)
        let other = try node("other")
        try await withStage(faults: faults) { stage in
            faults.set(LinkFault(isCut: true), to: other)
            let answer = try await stage.ask("x", timeout: .seconds(5))
            #expect(answer == "x")
            #expect(faults.lostCount == 0)
        }
    }

    @Test func `a server's answers are lost on the way to the node that it cannot reach`() async throws {
        let faults = LinkFaults(seed: 1)
        let client = try node(Stage.clientNode)
        let done = Tally()
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            done.add()
            return response(query.path)
        }
        try await withStage(handlers, serverFaults: faults) { stage in
            _ = try await stage.ask("first")
            faults.set(LinkFault(isCut: true), to: client)
            let error = await failure { try await stage.ask("x", timeout: .milliseconds(300)) }
            #expect(error?.code == .deadlineExceeded)
            #expect(done.count == 2)
            faults.clear()
            let answer = try await stage.ask("x")
            #expect(answer == "x")
        }
    }
}

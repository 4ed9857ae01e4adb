import Observability
import Primitives
import Storage
import Testing
import Transport
import Wire

@testable import Cluster

/// Two processes that have one node's folder, and nodes that were removed (PeerDirectory+Identity.swift; Decisions/RolledBackFolders).
struct PeerDirectoryTwinTests {
    private let temporary: TemporaryFolder
    private let clock = HandClock()

    init() throws { temporary = try TemporaryFolder() }

    /// Of node c-1, to which c-2 is connected that said hello at 127.0.0.1:2.
    private func directory(isConnected: Bool = true) throws -> PeerDirectory {
        let made = try PeerDirectory(
            own: OwnHello(
                try hello("c-1", at: "127.0.0.1:1", epoch: 10) { ($0.folder, $0.cluster) = (folder(1), cluster(1)) }),
            node: try node("c-1"), disk: FileDisk(), path: temporary.path + "/peers", clock: clock)
        made.setConnected { _ in isConnected }
        made.heard(try second(at: 2, epoch: 5))
        return made
    }

    private func second(at port: Int, epoch: UInt64, _ number: UInt64 = 2) throws -> Hello {
        try hello("c-2", at: "127.0.0.1:\(port)", epoch: epoch) { ($0.folder, $0.cluster) = (folder(number), cluster(1)) }
    }

    private func address(_ directory: PeerDirectory) throws -> String? { directory.facts(try node("c-2"))?.address.description }

    // MARK: Copies

    @Test func `of two processes with one folder the connected one keeps its place, whichever was started later`() throws {
        for epoch in [4, 6] as [UInt64] {
            let directory = try directory()
            for _ in 0..<20 {
                clock.advance(by: .seconds(1))
                directory.heard(try second(at: 2, epoch: 5))
                directory.heard(try second(at: 9, epoch: epoch))
                directory.merge([try news("c-2", at: "127.0.0.1:9", epoch: epoch, ["folder=\(folder(2))", "told-ms=0"])])
                #expect(try address(directory) == "127.0.0.1:2")
                #expect(directory.refusal(of: try second(at: 2, epoch: 5)) == nil)
            }
        }
    }

    @Test func `the other one is told where both are, and what to do`() throws {
        let refusal = try #require(try directory().refusal(of: try second(at: 9, epoch: 6)))
        for word in ["'c-2'", "127.0.0.1:2", "127.0.0.1:9", "Stop one of them", "distric node --id NEW-ID --data EMPTY-FOLDER --join"] {
            #expect(refusal.contains(word), "\(refusal)")
        }
    }

    @Test func `one that does not say where it is cannot be told from a copy, and is refused as long as the other one is there`() throws {
        var silent = try second(at: 9, epoch: 6)
        silent.address = nil
        let refusal = try #require(try directory().refusal(of: silent))
        for word in ["'c-2'", "127.0.0.1:2", "an address that it does not say", "Stop one of them"] {
            #expect(refusal.contains(word), "\(refusal)")
        }
        #expect(try directory(isConnected: false).refusal(of: silent) == nil)
        var itself = try second(at: 2, epoch: 5)
        itself.address = nil
        #expect(try directory().refusal(of: itself) == nil)
    }

    @Test func `one that was started again where it was is no copy`() throws {
        let directory = try directory()
        #expect(directory.refusal(of: try second(at: 2, epoch: 6)) == nil)
        directory.heard(try second(at: 2, epoch: 6))
        #expect(directory.facts(try node("c-2"))?.epoch == 6)
    }

    @Test func `nor is one that moved: the process before it has closed its connections, or has fallen silent`() throws {
        let closed = try directory(isConnected: false)
        #expect(closed.refusal(of: try second(at: 9, epoch: 6)) == nil)
        closed.heard(try second(at: 9, epoch: 6))
        #expect(try address(closed) == "127.0.0.1:9")
        let silent = try directory()
        clock.advance(by: PeerDirectory.livesFor)
        #expect(silent.refusal(of: try second(at: 9, epoch: 6)) == nil)
        silent.heard(try second(at: 9, epoch: 6))
        #expect(try address(silent) == "127.0.0.1:9")
    }

    @Test func `a node is told of a copy of its own folder, and takes itself for none`() throws {
        let directory = try directory()
        func own(_ port: Int, _ epoch: UInt64) throws -> String? {
            directory.refusal(of: try hello("c-1", at: "127.0.0.1:\(port)", epoch: epoch) { $0.folder = folder(1) })
        }
        #expect(try own(1, 10) == nil)
        #expect(try own(7, 10) == nil, "it is reached under another address, too")
        #expect(try own(7, 11)?.contains("127.0.0.1:1, and the process at 127.0.0.1:7") == true)
    }

    @Test func `another folder is refused as before, and who says nothing of its folder is not`() throws {
        let directory = try directory()
        directory.keep(members: [try node("c-1"), try node("c-2")])
        #expect(directory.refusal(of: try second(at: 9, epoch: 6, 3))?.contains("distric raft remove c-2") == true)
        #expect(directory.refusal(of: try hello("c-2", at: "127.0.0.1:9", epoch: 6)) == nil)
        #expect(directory.refusal(of: Hello()) == nil)
    }

    // MARK: Who was removed

    private func told(_ members: String, by id: String = "c-2", cluster number: UInt64 = 1) throws -> MemberNews {
        try news(id, at: "127.0.0.1:2", epoch: 5, ["cluster=\(cluster(number))", "folder=\(folder(2))", "members=\(members)", "told-ms=0"])
    }

    @Test func `who is not among the members of a later entry was removed by it`() throws {
        let directory = try directory(isConnected: false)
        #expect(directory.removal(after: .zero) == nil)
        clock.advance(by: .seconds(1))
        directory.merge([try told("17:c-2,c-3")])
        #expect(directory.removal(after: LogIndex(9)) == LogIndex(17))
        #expect(directory.removal(after: LogIndex(17)) == nil, "what is in force here is as new")
        clock.advance(by: .seconds(1))
        directory.merge([try told("25:c-1,c-2,c-3")])
        #expect(directory.removal(after: LogIndex(9)) == nil, "it was taken in again")
    }

    @Test func `what another cluster says, or nobody can read, removes nobody`() throws {
        for (text, number) in [("17:c-2,c-3", 2), ("17", 1), ("x:c-2", 1), ("17:C-2", 1), ("17:", 1), ("", 1)] as [(String, UInt64)] {
            let directory = try directory(isConnected: false)
            clock.advance(by: .seconds(1))
            directory.merge([try told(text, cluster: number)])
            #expect(directory.removal(after: .zero) == nil, "\(text)")
        }
    }

    @Test func `who belongs to the cluster is told as far as it fits, and a hello takes nothing of it away`() throws {
        let directory = try directory()
        func own() -> [String] { directory.news.first?.facts.filter { $0.hasPrefix("members=") } ?? [] }
        #expect(own() == [])
        directory.setConfiguration(LogIndex(17), members: [try node("c-1"), try node("c-2")])
        #expect(own() == ["members=17:c-1,c-2"])
        directory.setConfiguration(LogIndex(18), members: try (0..<100).map { try node("coordinator-\($0)") })
        #expect(own() == [])
        clock.advance(by: .seconds(1))
        directory.merge([try told("17:c-2,c-3")])
        directory.heard(try second(at: 2, epoch: 5))
        #expect(directory.removal(after: .zero) == LogIndex(17))
    }
}

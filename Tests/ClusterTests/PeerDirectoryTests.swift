import Observability
import Primitives
import Storage
import Testing
import Transport
import Wire

@testable import Cluster

/// Who is where, by what nodes say of themselves and of each other (PeerDirectory.swift).
struct PeerDirectoryTests {
    private let temporary: TemporaryFolder
    private let clock = HandClock()

    init() throws { temporary = try TemporaryFolder() }

    /// Of node c-1.
    private func directory(founders: [NodeID] = [], address: String? = "127.0.0.1:1") throws -> PeerDirectory {
        try PeerDirectory(
            own: OwnHello(try hello("c-1", at: address, epoch: 10)), node: try node("c-1"), founders: founders, disk: FileDisk(),
            path: temporary.path + "/peers", clock: clock)
    }

    // MARK: Hearing

    @Test func `a node that says hello is known by what it said`() throws {
        let directory = try directory()
        directory.heard(
            try hello("c-2", at: "127.0.0.1:2", epoch: 7) { hello in
                (hello.http, hello.featureLevel, hello.expects) = ("http://127.0.0.1:8", 3, 5)
                (hello.folder, hello.cluster) = (folder(2), cluster(1))
            })
        var expected = PeerDirectory.Facts(node: try node("c-2"), address: .tcp(host: "127.0.0.1", port: 2))
        (expected.http, expected.roles, expected.featureLevel, expected.software) = ("http://127.0.0.1:8", ["coordinator"], 3, "test")
        (expected.folder, expected.cluster, expected.epoch, expected.expects) = (folder(2), cluster(1), 7, 5)
        expected.heard = clock.now
        #expect(directory.facts(try node("c-2")) == expected)
        #expect(directory.facts(try node("c-3")) == nil)
    }

    @Test func `a hello without an id, or without an address that can be read, says nothing`() throws {
        let directory = try directory()
        directory.heard(try hello("c-2", at: nil))
        directory.heard(try hello("c-2", at: "c-2:port"))
        directory.heard(try hello("c-2", at: "127.0.0.1:2") { $0.node = nil })
        #expect(directory.all.map(\.node) == [try node("c-1")])
    }

    @Test func `all are sorted by id, this node among them as it is now`() throws {
        let own = OwnHello(try hello("c-2", at: nil, epoch: 10))
        let directory = try PeerDirectory(
            own: own, node: try node("c-2"), disk: FileDisk(), path: temporary.path + "/peers", clock: clock)
        directory.heard(try hello("c-3", at: "127.0.0.1:3"))
        directory.heard(try hello("c-1", at: "127.0.0.1:1"))
        directory.heard(try hello("c-10", at: "127.0.0.1:10"))
        #expect(directory.all.map(\.node.text) == ["c-1", "c-10", "c-3"], "without an address nobody can reach it")
        own.change { ($0.address, $0.http) = ("127.0.0.1:2", "http://127.0.0.1:8") }
        #expect(directory.all.map(\.node.text) == ["c-1", "c-10", "c-2", "c-3"])
        let mine = try #require(directory.facts(try node("c-2")))
        #expect(mine.address == .tcp(host: "127.0.0.1", port: 2))
        #expect(mine.http == "http://127.0.0.1:8")
        #expect(mine.isConnected)
        #expect(mine.heard == clock.now)
    }

    @Test func `who is connected is asked when it is wanted`() throws {
        let directory = try directory()
        directory.heard(try hello("c-2", at: "127.0.0.1:2"))
        let second = try node("c-2")
        #expect(directory.facts(second)?.isConnected == false)
        directory.setConnected { $0 == second }
        #expect(directory.facts(second)?.isConnected == true)
        #expect(directory.all.map(\.isConnected) == [true, true])
    }

    // MARK: What is newer

    @Test func `what a later start says takes the place of what was known, and of an earlier one nothing is believed`() throws {
        let directory = try directory()
        let second = try node("c-2")
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 5))
        directory.merge([try news("c-2", at: "127.0.0.1:3", epoch: 4)])
        directory.heard(try hello("c-2", at: "127.0.0.1:4", epoch: 4))
        #expect(directory.facts(second)?.address == .tcp(host: "127.0.0.1", port: 2))
        directory.merge([try news("c-2", at: "127.0.0.1:5", epoch: 6)])
        #expect(directory.facts(second)?.address == .tcp(host: "127.0.0.1", port: 5))
        #expect(directory.facts(second)?.epoch == 6)
        directory.heard(try hello("c-2", at: "127.0.0.1:6", epoch: 7))
        #expect(directory.facts(second)?.address == .tcp(host: "127.0.0.1", port: 6))
    }

    @Test func `a hello leaves what only news say as it was, until the node starts again`() throws {
        let directory = try directory()
        let second = try node("c-2")
        directory.merge([try news("c-2", at: "127.0.0.1:2", epoch: 5, ["joining=yes", "founders=c-1,c-2"])])
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 5))
        #expect(directory.facts(second)?.isJoining == true)
        #expect(directory.facts(second)?.founders == [try node("c-1"), second])
        directory.merge([try news("c-2", at: "127.0.0.1:2", epoch: 5)])
        #expect(directory.facts(second)?.isJoining == false, "it says itself that it has joined")
        directory.merge([try news("c-2", at: "127.0.0.1:2", epoch: 5, ["joining=yes", "founders=c-1,c-2"])])
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 6))
        #expect(directory.facts(second)?.isJoining == false)
        #expect(directory.facts(second)?.founders == [])
    }

    @Test func `a hello of an old connection, which was said before more was known, takes nothing away`() throws {
        let directory = try directory()
        let second = try node("c-2")
        directory.merge([try news("c-2", at: "127.0.0.1:2", epoch: 5, ["http=http://h", "cluster=\(cluster(1))"])])
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 5))
        #expect(directory.facts(second)?.http == "http://h")
        #expect(directory.facts(second)?.cluster == cluster(1))
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 5) { $0.http = "http://i" })
        #expect(directory.facts(second)?.http == "http://i")
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 6))
        #expect(directory.facts(second)?.http == nil, "it has started again, and has no door yet")
    }

    @Test func `of whom nobody has ever heard, it is not said when that was`() throws {
        let directory = try directory()
        for _ in 0..<2 { directory.merge([try news("c-2", at: "127.0.0.1:2")]) }
        #expect(directory.facts(try node("c-2"))?.heard == nil)
        let told = try #require(directory.news.last)
        #expect(told.node == (try node("c-2")))
        #expect(!told.facts.contains { $0.hasPrefix("silent-ms") })
    }

    @Test func `when a node was last heard only goes forward`() throws {
        let directory = try directory()
        let second = try node("c-2")
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 5))
        let first = clock.now
        clock.advance(by: .seconds(10))
        directory.merge([try news("c-2", at: "127.0.0.1:2", epoch: 5, ["silent-ms=60000"])])
        #expect(directory.facts(second)?.heard == first)
        directory.merge([try news("c-2", at: "127.0.0.1:2", epoch: 5, ["silent-ms=4000"])])
        #expect(directory.facts(second)?.heard == first.advanced(by: .seconds(6)))
        directory.merge([try news("c-2", at: "127.0.0.1:2", epoch: 5)])
        #expect(directory.facts(second)?.heard == first.advanced(by: .seconds(6)))
    }

    @Test func `news of this node itself are nothing new`() throws {
        let directory = try directory()
        directory.merge([try news("c-1", at: "127.0.0.1:9", epoch: 99)])
        directory.heard(try hello("c-1", at: "127.0.0.1:9", epoch: 99))
        #expect(directory.all.count == 1)
        #expect(directory.facts(try node("c-1"))?.address == .tcp(host: "127.0.0.1", port: 1))
        #expect(directory.facts(try node("c-1"))?.epoch == 10)
    }

    // MARK: News

    @Test func `what one directory tells, another takes over, with the time of its own clock`() throws {
        let directory = try directory(founders: [try node("c-1"), try node("c-2")])
        directory.heard(
            try hello("c-2", at: "[::1]:2", epoch: 7) { hello in
                (hello.http, hello.featureLevel, hello.expects, hello.folder) = ("http://h/?a=b", 3, 5, folder(2))
                (hello.roles, hello.software, hello.cluster) = (["coordinator", "worker"], "distric 1 = 2", cluster(1))
            })
        directory.merge([try news("c-3", at: "127.0.0.1:3", ["joining=yes"])])
        clock.advance(by: .seconds(3))
        let later = HandClock()
        later.advance(by: .seconds(1000))
        let other = try PeerDirectory(
            own: OwnHello(try hello("c-9", at: "127.0.0.1:9")), node: try node("c-9"), disk: FileDisk(), path: temporary.path + "/other",
            clock: later)
        other.merge(directory.news)
        var second = try #require(directory.facts(try node("c-2")))
        second.heard = later.now.advanced(by: .seconds(-3))
        #expect(other.facts(try node("c-2")) == second)
        var first = try #require(directory.facts(try node("c-1")))
        (first.isConnected, first.heard, first.told) = (false, later.now, later.now)
        #expect(other.facts(try node("c-1")) == first)
        #expect(first.founders == [try node("c-1"), try node("c-2")])
        #expect(other.facts(try node("c-3")) == directory.facts(try node("c-3")))
        #expect(other.facts(try node("c-3"))?.isJoining == true)
    }

    @Test func `news without an address that can be read are passed over, and what cannot be read of others is left out`() throws {
        let directory = try directory()
        directory.merge([
            MemberNews(node: try node("c-2"), epoch: 1, incarnation: 0, state: .alive, facts: ["roles=coordinator"]),
            MemberNews(node: try node("c-3"), epoch: 1, incarnation: 0, state: .alive, facts: ["rpc=nowhere:port"]),
            MemberNews(
                node: try node("c-4"), epoch: 1, incarnation: 0, state: .alive,
                facts: [
                    "", "rpc", "=", "rpc=127.0.0.1:4", "level=70000", "folder=f", "cluster=", "expects=-1", "joining=perhaps",
                    "founders=c-1,C-2,,c-3", "silent-ms=long", "later=what",
                ]),
        ])
        #expect(directory.all.map(\.node.text) == ["c-1", "c-4"])
        var expected = PeerDirectory.Facts(node: try node("c-4"), address: .tcp(host: "127.0.0.1", port: 4))
        expected.epoch = 1
        expected.founders = [try node("c-1"), try node("c-3")]
        #expect(directory.facts(try node("c-4")) == expected)
    }

    @Test func `times of silence that nobody can mean are bounded`() throws {
        let directory = try directory()
        for (place, text) in ["-5", "\(Int64.max)"].enumerated() {
            directory.merge([try news("c-\(place + 2)", at: "127.0.0.1:2", ["silent-ms=\(text)"])])
        }
        #expect(directory.facts(try node("c-2"))?.heard == clock.now)
        #expect(directory.facts(try node("c-3"))?.heard == clock.now.advanced(by: .seconds(-86_400)))
    }

    @Test func `so many nodes are known and no more, and those that are known are still heard`() throws {
        let directory = try directory()
        func many(_ range: Range<Int>, epoch: UInt64) throws -> [MemberNews] {
            try range.map { try news("n-\($0)", at: "127.0.0.1:\($0 % 60_000 + 1)", epoch: epoch) }
        }
        directory.merge(try many(0..<3000, epoch: 1))
        directory.merge(try many(3000..<6000, epoch: 1))
        #expect(directory.all.count == 4096 + 1)
        directory.heard(try hello("n-5999", at: "127.0.0.1:7"))
        #expect(directory.facts(try node("n-5999")) == nil)
        directory.merge(try many(0..<2, epoch: 2))
        #expect(directory.facts(try node("n-1"))?.epoch == 2)
        #expect(directory.all.count == 4096 + 1)
    }

    // MARK: Who belongs to it

    @Test func `in a cluster who waits for one of its own is nobody, until it joins or belongs to it`() throws {
        let own = OwnHello(try hello("c-1", at: "127.0.0.1:1"))
        let directory = try PeerDirectory(
            own: own, node: try node("c-1"), disk: FileDisk(), path: temporary.path + "/peers", clock: clock)
        directory.heard(try hello("c-2", at: "127.0.0.1:2") { $0.cluster = cluster(1) })
        directory.heard(try hello("c-3", at: "127.0.0.1:3") { ($0.folder, $0.expects) = (folder(3), 3) })
        directory.merge([try news("c-4", at: "127.0.0.1:4", ["joining=yes", "silent-ms=0"])])
        #expect(directory.all.map(\.node.text) == ["c-1", "c-2", "c-3", "c-4"])
        own.change { $0.cluster = cluster(1) }
        #expect(directory.all.map(\.node.text) == ["c-1", "c-2", "c-4"])
        directory.keep(members: [try node("c-1"), try node("c-3")])
        #expect(directory.all.map(\.node.text) == ["c-1", "c-2", "c-3", "c-4"])
    }

    @Test func `who came once and went without belonging to it is forgotten, and who belongs to it is not`() throws {
        let directory = try directory()
        for id in ["c-2", "c-3"] { directory.heard(try hello(id, at: "127.0.0.1:2")) }
        let members = [try node("c-1"), try node("c-2")]
        clock.advance(by: .seconds(5))
        directory.keep(members: members)
        #expect(directory.all.map(\.node.text) == ["c-1", "c-2", "c-3"])
        clock.advance(by: .seconds(60))
        directory.keep(members: members)
        #expect(directory.all.map(\.node.text) == ["c-1", "c-2"])
        directory.heard(try hello("c-3", at: "127.0.0.1:2"))
        #expect(directory.all.map(\.node.text) == ["c-1", "c-2", "c-3"])
    }

    @Test func `with whom the cluster began is told until it is not true any more`() throws {
        let founders = [try node("c-1"), try node("c-2")]
        let directory = try directory(founders: founders)
        #expect(directory.facts(try node("c-1"))?.founders == founders)
        #expect(directory.news.first?.facts.contains("founders=c-1,c-2") == true)
        directory.setFounders([])
        #expect(directory.facts(try node("c-1"))?.founders == [])
        #expect(directory.news.first?.facts.contains { $0.hasPrefix("founders=") } == false)
    }

    // MARK: Joining, and changes

    @Test func `a node that wants to join says so itself, until it has`() throws {
        let directory = try directory()
        #expect(directory.facts(try node("c-1"))?.isJoining == false)
        directory.setJoining(true)
        #expect(directory.facts(try node("c-1"))?.isJoining == true)
        #expect(directory.news.first?.facts.contains("joining=yes") == true)
        directory.setJoining(false)
        #expect(directory.news.first?.facts.contains("joining=yes") == false)
    }

    @Test func `who watches is told when somebody is new, moves, or comes with another folder, and else not`() throws {
        let directory = try directory()
        let told = Kept<Void>()
        directory.whenChanged { told.add(()) }
        func changes(_ body: () throws -> Void) rethrows -> Int {
            let before = told.all.count
            try body()
            return told.all.count - before
        }
        #expect(try changes { directory.heard(try hello("c-2", at: "127.0.0.1:2")) } == 1)
        #expect(try changes { directory.heard(try hello("c-2", at: "127.0.0.1:2") { $0.http = "http://h" }) } == 0)
        #expect(try changes { directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 2)) } == 0)
        #expect(try changes { directory.heard(try hello("c-2", at: "127.0.0.1:3", epoch: 2)) } == 1)
        #expect(try changes { directory.heard(try hello("c-2", at: "127.0.0.1:4", epoch: 1)) } == 0)
        #expect(try changes { directory.heard(try hello("c-2", at: "127.0.0.1:3", epoch: 2) { $0.folder = folder(2) }) } == 1)
        // Once for all that come together.
        #expect(try changes { directory.merge([try news("c-3", at: "127.0.0.1:3"), try news("c-4", at: "127.0.0.1:4")]) } == 1)
        #expect(try changes { directory.merge([try news("c-1", at: "127.0.0.1:5", epoch: 99)]) } == 0)
    }
}

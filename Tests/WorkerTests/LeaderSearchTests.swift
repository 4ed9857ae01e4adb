import Testing
import Transport
import Wire

@testable import Worker

/// Whom a worker asks next.
struct LeaderSearchTests {
    private let seeds = (1...3).map { PeerAddress.tcp(host: "127.0.0.1", port: 9000 + $0) }

    @Test func `one coordinator after the other is asked, and then the first again`() {
        var search = LeaderSearch(seeds: seeds)
        let asked = (0..<5).map { _ in search.next() }
        #expect(asked == [seeds[0], seeds[1], seeds[2], seeds[0], seeds[1]])
    }

    @Test func `who is said to lead is asked first, and once`() {
        var search = LeaderSearch(seeds: seeds)
        search.note(CallError(.notLeader, "not me", leaderAddress: "127.0.0.1:9003"))
        let asked = [search.next(), search.next()]
        #expect(asked == [seeds[2], seeds[0]])
    }

    @Test func `an error without a place, or with one that is none, changes nothing`() {
        var search = LeaderSearch(seeds: seeds)
        search.note(CallError(.unavailable, "gone"))
        search.note(CallError(.notLeader, "not me", leaderAddress: "no address at all"))
        let next = search.next()
        #expect(next == seeds[0])
    }

    @Test func `what the last leader said of others is asked after the seeds`() {
        var search = LeaderSearch(seeds: [seeds[0]])
        search.note(coordinators: ["127.0.0.1:9001", "127.0.0.1:9009", "not one"])
        search.note(coordinators: [])
        let asked = (0..<3).map { _ in search.next() }
        #expect(asked == [seeds[0], .tcp(host: "127.0.0.1", port: 9009), seeds[0]])
    }

    @Test func `where the node itself knows the leader nobody else is asked, and without anybody there is nobody`() {
        var search = LeaderSearch(seeds: seeds)
        let known = search.next(known: .tcp(host: "10.0.0.1", port: 1))
        #expect(known == .tcp(host: "10.0.0.1", port: 1))
        var empty = LeaderSearch(seeds: [])
        let nobody = empty.next()
        #expect(nobody == nil)
    }

    @Test func `coordinators that gossip knows to be there are asked before seeds, each once a round`() throws {
        var search = LeaderSearch(seeds: seeds)
        let found = [try PeerAddress("127.0.0.1:9101"), seeds[0]]
        let round = (0..<(seeds.count + 1)).compactMap { _ in search.next(found: found) }
        #expect(round == found + seeds.dropFirst())
        #expect(search.next(known: seeds[0], found: found) == seeds[0])
        var alone = LeaderSearch(seeds: [])
        #expect(alone.next() == nil)
        #expect(alone.next(found: found) == found[0])
    }
}

import Primitives
import Testing
import Transport
import Wire

@testable import Cluster

/// Nodes find each other and begin one cluster, or join one, by calls on loopback (Gathering.swift).
@Suite(.serialized, .timeLimit(.minutes(3)))
struct GatheringTests {
    private func ids(_ ids: String...) throws -> [NodeID] { try ids.map { try node($0) } }

    /// Three that are to begin a cluster together; they know each other's addresses.
    private func three(_ stage: GatheringStage) async throws -> (GatheringNode, GatheringNode, GatheringNode) {
        let nodes = (
            try await stage.add("c-1", expects: 3), try await stage.add("c-2", expects: 3), try await stage.add("c-3", expects: 3)
        )
        try stage.introduce()
        return nodes
    }

    private func says(_ node: GatheringNode, _ text: String) async -> Bool {
        await eventually { node.waitings.all.contains { $0.contains(text) } }
    }

    // MARK: Beginning one

    @Test func `three that wait for each other begin one cluster, of all three, and the lowest id begins it`() async throws {
        try await withGathering { stage in
            _ = try await three(stage)
            let nodes = stage.nodes
            let found = try await withThrowingTaskGroup(of: Founding.self) { group in
                for member in nodes.reversed() { group.addTask { try await member.form(3) } }
                return try await group.reduce(into: [Founding]()) { $0.append($1) }
            }
            #expect(found.count == 3)
            #expect(Set(found.map(\.cluster)) == [cluster(1)])
            let voters = try ids("c-1", "c-2", "c-3")
            for founding in found { #expect(founding.voters == voters) }
            #expect(nodes.map(\.begun.all.count) == [1, 0, 0])
        }
    }

    @Test func `a node says for whom it waits, and for whom to begin`() async throws {
        try await withGathering { stage in
            let second = try await stage.add("c-2", expects: 3)
            let third = try await stage.add("c-3", expects: 3)
            let first = try await stage.add("c-1", expects: 3)
            try second.seat([second.address])
            let forming = Task { try await second.form(3) }
            let isAlone = await says(second, "waiting for 3 coordinators, know 1: c-2")
            #expect(isAlone)
            try third.seat([second.address])
            try first.seat([second.address])
            second.directory.heard(third.own.current)
            let areTwo = await says(second, "waiting for 3 coordinators, know 2: c-2, c-3")
            #expect(areTwo)
            second.directory.heard(first.own.current)
            let isToWait = await says(second, "waiting for 'c-1' to begin the cluster of c-1, c-2, c-3")
            #expect(isToWait)
            #expect(second.begun.all.isEmpty)
            let founding = try await first.form(3)
            let found = try await forming.value
            #expect(found == founding)
        }
    }

    @Test func `nobody begins before all know all: another could begin with some of them`() async throws {
        try await withGathering { stage in
            let (first, _, third) = try await three(stage)
            // It has not heard of the second, whatever it is told.
            let news = third.ownNews()
            third.answers { _, _ in
                var answer = PushPull()
                (answer.from, answer.members) = (third.id, news)
                return answer
            }
            let forming = Task { try await first.form(3) }
            let isWaiting = await says(first, "waiting until all 3 coordinators know each other")
            #expect(isWaiting)
            #expect(first.begun.all.isEmpty)
            try third.seat([])
            let found = try await forming.value
            #expect(found.voters == (try ids("c-1", "c-2", "c-3")))
            #expect(first.begun.all.count == 1)
        }
    }

    @Test func `who waits can be told to stop`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1", expects: 3)
            let forming = Task { try await first.form(3) }
            _ = await says(first, "know 1")
            forming.cancel()
            await #expect(throws: CancellationError.self) { _ = try await forming.value }
        }
    }

    // MARK: What cannot be

    @Test func `who expects another number than the others is told whose, and so are they`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1", expects: 3)
            let second = try await stage.add("c-2", expects: 2)
            try stage.introduce()
            async let other = second.failure(2)
            let own = try #require(try await first.failure(3))
            #expect(
                own
                    == "this node expects 3 coordinators, and 'c-2' at \(second.address) expects 2: give all of them the same --bootstrap-expect"
            )
            let theirs = try #require(try await other)
            #expect(theirs.contains("this node expects 2 coordinators, and 'c-1' at \(first.address) expects 3"))
            #expect(first.begun.all.isEmpty && second.begun.all.isEmpty)
        }
    }

    @Test func `more than are expected begin nothing, and are told who is there`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1", expects: 2)
            for id in ["c-2", "c-3"] { first.directory.heard(try await stage.add(id, expects: 2).own.current) }
            let failure = try #require(try await first.failure(2))
            #expect(failure.contains("3 coordinators wait to begin a cluster of 2: c-1, c-2, c-3"))
            #expect(failure.contains("--join"))
            #expect(first.begun.all.isEmpty)
        }
    }

    @Test func `a member that has lost its folder is refused under its old id`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1")
            try first.belong(to: Founding(cluster: cluster(7), voters: try ids("c-1", "c-2", "c-3")))
            first.directory.heard(try hello("c-2", at: "127.0.0.1:1") { $0.folder = folder(100) })
            first.directory.keep(members: try ids("c-1", "c-2", "c-3"))
            let second = try await stage.add("c-2", expects: 3)
            try second.seat([first.address])
            let failure = try #require(try await second.failure(3))
            #expect(failure.hasPrefix("\(first.address): "))
            #expect(failure.contains("'c-2'"))
            #expect(failure.contains("distric raft remove c-2"))
            #expect(first.directory.facts(second.id)?.folder == folder(100))
        }
    }

    @Test func `two nodes of one id are told apart`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1", expects: 3)
            let other = try await stage.add("c-1", expects: 3)
            try other.seat([first.address])
            let failure = try #require(try await other.failure(3))
            #expect(failure.contains("has the id 'c-1' itself"))
        }
    }

    @Test func `a cluster that was begun without a node is not one that it begins, but one that it may join`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1")
            try first.belong(to: Founding(cluster: cluster(7), voters: try ids("c-1", "c-2", "c-3")))
            let fourth = try await stage.add("c-4", expects: 3)
            try fourth.seat([first.address])
            let failure = try #require(try await fourth.failure(3))
            #expect(failure.contains("'c-1' at \(first.address) belongs to cluster \(cluster(7)), which was begun without this node"))
            #expect(failure.contains("--join"))
        }
    }

    @Test func `a cluster whose members have changed is begun by nobody again, whatever others heard of it before`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1")
            try first.belong(to: Founding(cluster: cluster(7), voters: try ids("c-1", "c-2", "c-3")))
            first.directory.setConfiguration(LogIndex(17), members: try ids("c-1", "c-3"))
            first.directory.merge([
                try news("c-3", at: "127.0.0.1:1", ["cluster=\(cluster(7))", "founders=c-1,c-2,c-3", "silent-ms=0"])
            ])
            #expect(first.directory.news.first { $0.node == first.id }?.facts.contains { $0.hasPrefix("founders=") } == false)
            let second = try await stage.add("c-2", expects: 3)
            try second.seat([first.address])
            let failure = try #require(try await second.failure(3))
            #expect(failure.contains("cluster \(cluster(7)), whose members have changed since it was begun"), "\(failure)")
            #expect(failure.contains("--join alone (no --bootstrap-expect)"), "\(failure)")
            #expect(second.begun.all.isEmpty)
        }
    }

    // MARK: One that is there

    @Test func `who joins takes the cluster that it is told of, and none of its voters`() async throws {
        try await withGathering { stage in
            let fourth = try await stage.add("c-4")
            let first = try await stage.add("c-1")
            try fourth.seat([first.address])
            let joining = Task { try await fourth.form(0) }
            let isWaiting = await says(fourth, "waiting for a node of a cluster to answer at \(first.address)")
            #expect(isWaiting)
            try first.belong(to: Founding(cluster: cluster(7), voters: try ids("c-1", "c-2", "c-3")))
            let found = try await joining.value
            #expect(found == Founding(cluster: cluster(7), voters: []))
            #expect(fourth.begun.all.isEmpty)
        }
    }

    @Test func `a founder that comes late waits to hear with whom the cluster began`() async throws {
        try await withGathering { stage in
            let third = try await stage.add("c-3", expects: 3)
            let fifth = try await stage.add("c-5")
            // It came later itself, and cannot say.
            try fifth.belong(to: Founding(cluster: cluster(7), voters: []))
            try third.seat([fifth.address])
            let forming = Task { try await third.form(3) }
            let isWaiting = await says(third, "waiting to hear with whom cluster \(cluster(7)) began")
            #expect(isWaiting)
            fifth.directory.merge([
                try news("c-1", at: "127.0.0.1:1", ["cluster=\(cluster(7))", "founders=c-1,c-2,c-3", "silent-ms=0"])
            ])
            let found = try await forming.value
            #expect(found == Founding(cluster: cluster(7), voters: try ids("c-1", "c-2", "c-3")))
        }
    }

    // MARK: Exchange

    @Test func `both sides of an exchange know afterwards what either knew`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1")
            let second = try await stage.add("c-2")
            first.directory.merge([try news("c-8", at: "127.0.0.1:8")])
            second.directory.merge([try news("c-9", at: "127.0.0.1:9")])
            var call = PushPull()
            (call.from, call.members) = (first.id, first.directory.news)
            let answer = try second.gathering.answer(call, from: first.own.current)
            #expect(answer.from == second.id)
            first.directory.merge(answer.members)
            let known = try ids("c-1", "c-2", "c-8", "c-9")
            #expect(first.directory.all.map(\.node) == known)
            #expect(second.directory.all.map(\.node) == known)
        }
    }

    @Test func `nobody speaks for another, and who is refused is told nothing and not believed`() async throws {
        try await withGathering { stage in
            let first = try await stage.add("c-1")
            let second = try await stage.add("c-2")
            func refusal(_ from: String, _ hello: Hello) throws -> CallError? {
                var call = PushPull()
                (call.from, call.members) = (try node(from), [try news("c-9", at: "127.0.0.1:9")])
                do throws(CallError) {
                    _ = try first.gathering.answer(call, from: hello)
                    return nil
                } catch {
                    return error
                }
            }
            #expect(try refusal("c-3", second.own.current)?.code == .denied)
            #expect(try refusal("c-2", try hello("c-2", at: "127.0.0.1:2") { $0.node = nil })?.code == .denied)
            #expect(try refusal("c-1", try hello("c-1", at: "127.0.0.1:2"))?.code == .denied)
            first.directory.heard(second.own.current)
            first.directory.keep(members: try ids("c-1", "c-2"))
            #expect(try refusal("c-2", try hello("c-2", at: "127.0.0.1:2") { $0.folder = folder(77) })?.code == .denied)
            #expect(first.directory.all.map(\.node) == (try ids("c-1", "c-2")))
            #expect(try refusal("c-2", second.own.current) == nil)
            #expect(first.directory.all.map(\.node) == (try ids("c-1", "c-2", "c-9")))
        }
    }
}

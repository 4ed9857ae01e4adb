import Primitives
import Testing
import Workflows

@testable import Coordinator

/// The newest items of the history in memory (RecentItems.swift).
struct RecentItemsTests {
    private let limit = HistoryStore.recentLimit

    private func run(_ number: Int) -> HistoryItem {
        .run(
            WorkflowRun(
                id: RunID(high: 1, low: UInt64(number)), namespace: .default, workflow: "flow", definitionVersion: 1, version: nil,
                rule: "a/b", message: Message(id: "m", source: "s", type: "t", data: nil), params: nil, trace: nil, createdAt: .zero,
                deadline: nil, retriesLeft: 0, retryOf: nil, tasks: []))
    }

    private func message(_ id: String, source: String = "s", namespace: Namespace = .default, at seconds: UInt64 = 1) -> HistoryItem {
        .message(
            AcceptedMessage(
                message: Message(id: id, source: source, type: "t", namespace: namespace, data: nil), catalogVersion: 1, matched: [],
                runs: [], acceptedAt: ClusterTime(milliseconds: seconds * 1000)))
    }

    private func numbers(_ items: RecentItems) -> [Int] {
        items.newestFirst.map { item -> Int in
            if case .run(let run) = item { return Int(run.id.low) }
            return -1
        }
    }

    @Test func `nothing is in it before anything came`() {
        let items = RecentItems()
        #expect(items.count == 0)
        #expect(items.newestFirst.isEmpty)
        #expect(!items.isWhole)
    }

    @Test(arguments: [0, 1, 2, 499, 999, 1000, 1001, 2345]) func `it holds the newest, newest first, as many as it may`(more: Int) {
        var items = RecentItems()
        let last = limit + more
        for number in 1...last { items.append(run(number)) }
        #expect(items.count == limit)
        #expect(numbers(items) == Array((last - limit + 1...last).reversed()))
    }

    @Test func `below its limit it holds all`() {
        var items = RecentItems()
        for number in 1...7 { items.append(run(number)) }
        #expect(numbers(items) == [7, 6, 5, 4, 3, 2, 1])
    }

    // MARK: What the disk had

    @Test func `what was read is laid under what came meanwhile, each once`() {
        var items = RecentItems()
        for number in 8...10 { items.append(run(number)) }
        items.fill([9, 8, 7, 6, 5].map(run))
        #expect(numbers(items) == [10, 9, 8, 7, 6, 5])
        #expect(items.isWhole)
        items.append(run(11))
        #expect(numbers(items) == [11, 10, 9, 8, 7, 6, 5])
    }

    @Test func `an empty one is filled with all that was read`() {
        var items = RecentItems()
        items.fill([3, 2, 1].map(run))
        #expect(numbers(items) == [3, 2, 1])
        var none = RecentItems()
        none.fill([])
        #expect(none.isWhole && none.newestFirst.isEmpty)
        none.append(run(1))
        #expect(numbers(none) == [1])
    }

    @Test func `only the first reading counts`() {
        var items = RecentItems()
        items.fill([2, 1].map(run))
        items.append(run(3))
        items.fill([9, 8].map(run))
        #expect(numbers(items) == [3, 2, 1])
    }

    @Test(arguments: [0, 1, 5, 999]) func `filled to its limit it loses the oldest, then goes on as a ring`(came: Int) {
        var items = RecentItems()
        for number in 0..<came { items.append(run(10_000 + number)) }
        items.fill((1...limit).reversed().map(run))
        #expect(items.count == limit)
        let expected = (0..<came).reversed().map { 10_000 + $0 } + Array((came + 1...limit).reversed())
        #expect(numbers(items) == expected)
        for number in 0..<3 { items.append(run(20_000 + number)) }
        #expect(items.count == limit)
        #expect(Array(numbers(items).prefix(3)) == [20_002, 20_001, 20_000])
        #expect(Set(numbers(items)).count == limit)
    }

    @Test func `a ring that is full is not filled further`() {
        var items = RecentItems()
        for number in 1...(limit + 10) { items.append(run(number)) }
        items.fill((1...limit).reversed().map(run))
        #expect(numbers(items) == Array((11...limit + 10).reversed()))
    }

    // MARK: Messages

    @Test func `a message that is both in memory and on disk comes once`() {
        var items = RecentItems()
        items.append(message("m-2", at: 2))
        items.fill([message("m-2", at: 2), message("m-1", at: 1)])
        #expect(items.newestFirst == [message("m-2", at: 2), message("m-1", at: 1)])
    }

    @Test func `messages of one id from two senders, in two namespaces or at two times are two`() throws {
        let others = [message("m", source: "elsewhere"), message("m", namespace: try Namespace("shop")), message("m", at: 900)]
        for other in others {
            var items = RecentItems()
            items.append(other)
            items.fill([message("m")])
            #expect(items.newestFirst == [other, message("m")])
        }
    }
}

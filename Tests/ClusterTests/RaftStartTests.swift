import Observability
import Primitives
import Raft
import Storage
import Synchronization
import Testing

@testable import Cluster

/// One driver by itself: how it comes up, what it tells, and what becomes of a disk that fails (RaftDriver.swift).
@Suite(.serialized, .timeLimit(.minutes(2)))
struct RaftStartTests {
    private let temporary: TemporaryFolder
    private let id: NodeID
    private let telemetry: Telemetry
    private let told = Kept<Told>()

    init() throws {
        temporary = try TemporaryFolder()
        id = try node("c-1")
        telemetry = Telemetry.quiet(node: id)
    }

    private var folder: String { temporary.path + "/raft" }

    /// Without a network: nobody is ever beside it.
    private func driver(_ disk: any Disk = FileDisk()) -> RaftDriver {
        RaftDriver(node: id, folder: folder, disk: disk, settings: RaftStage.settings, telemetry: telemetry)
    }

    private func start(
        _ driver: RaftDriver, voters: [NodeID]? = nil, replay: (LogEntry) -> Void = { _ in },
        accept: (SegmentedLog.Recovery) throws(StorageError) -> Void = { _ in }
    ) throws -> RaftDriver.Started {
        let told = told
        return try driver.start(
            founders: voters ?? [id], restore: { _, _ in }, replay: { entry throws(StorageError) in replay(entry) },
            accept: accept,
            observer: .init(
                committed: { told.add(.committed($0)) }, restored: { told.add(.restored($0.index)) }, role: { told.add(.role($0)) },
                failed: { told.add(.failed($0)) }))
    }

    @Test func `a server that is alone leads when it has started, and what it takes is committed when it is durable`() async throws {
        let driver = driver()
        defer { driver.close() }
        let started = try start(driver)
        let leads = try #require(started.leads)
        #expect(leads.term == Term(1))
        #expect(leads.from == LogIndex(1))
        #expect(started.snapshotIndex == .zero)
        #expect(told.all == [.role(.leads(Term(1), from: LogIndex(1))), .committed(LogIndex(1))])
        #expect(driver.status.isLeader)
        #expect(driver.leader == id)
        #expect(driver.status.elections.map(\.reason) == ["start"])
        #expect(driver.propose([[1], [2]], at: LogIndex(2), term: Term(1)) == .taken)
        let isCommitted = await eventually { driver.status.commitIndex == LogIndex(3) }
        #expect(isCommitted)
        #expect(told.all.last == .committed(LogIndex(3)))
        #expect(try driver.entries(after: LogIndex(1), through: LogIndex(3)).map(\.payload) == [[1], [2]])
        let index = try await driver.readIndex()
        #expect(index == LogIndex(3))
    }

    @Test func `closing makes durable what was taken, and the next start replays all of it in a new term`() throws {
        let first = driver()
        _ = try start(first)
        for number in 2...50 as ClosedRange<UInt64> {
            #expect(first.propose([[UInt8(number)]], at: LogIndex(number), term: Term(1)) == .taken)
        }
        first.close()
        var replayed: [LogEntry] = []
        let second = driver()
        defer { second.close() }
        let started = try start(second) { replayed.append($0) }
        #expect(replayed.map(\.index.number) == Array(1...50))
        #expect(replayed.dropFirst().map(\.payload) == (2...50).map { [UInt8($0)] })
        #expect(started.recovery.entries == 50)
        #expect(started.leads?.term == Term(2))
        #expect(started.leads?.from == LogIndex(51))
    }

    @Test func `one of several leads nobody by itself, and replays nothing of which it does not know whether it is committed`() throws {
        let alone = driver()
        _ = try start(alone)
        _ = alone.propose([[1]], at: LogIndex(2), term: Term(1))
        alone.close()
        var replayed = 0
        let one = driver()
        defer { one.close() }
        let started = try start(one, voters: [id, try node("c-2"), try node("c-3")]) { _ in replayed += 1 }
        #expect(started.leads == nil)
        #expect(replayed == 0)
        #expect(one.status.role == "follower")
        #expect(one.status.lastIndex == LogIndex(2))
        #expect(one.status.commitIndex == .zero)
        #expect(one.leader == nil)
    }

    @Test func `who is to join waits, and votes for nobody`() throws {
        let driver = driver()
        defer { driver.close() }
        let started = try start(driver, voters: [])
        #expect(started.leads == nil)
        #expect(driver.status.voters.isEmpty)
        #expect(driver.status.role == "follower")
        #expect(told.all.isEmpty)
    }

    @Test func `what comes out can be refused before the server begins`() throws {
        let refused = StorageError.gap(path: "history", expected: LogIndex(9), found: .zero)
        let driver = driver()
        let error = storageError { _ = try start(driver, accept: { _ throws(StorageError) in throw refused }) }
        #expect(error == refused)
        #expect(told.all.isEmpty)
        #expect(driver.status == RaftStatus(node: id))
        // And the folder is good for another try.
        let again = self.driver()
        defer { again.close() }
        #expect(try start(again).leads?.term == Term(1))
    }

    @Test func `a log that is gone beside its snapshot is a loss, and no new one`() async throws {
        let first = driver()
        _ = try start(first)
        _ = first.propose([[1]], at: LogIndex(2), term: Term(1))
        let isCommitted = await eventually { first.status.commitIndex == LogIndex(2) }
        #expect(isCommitted)
        var pieces = [[UInt8(7)]].makeIterator()
        #expect(try first.save(index: LogIndex(2), digest: StateDigest(), featureLevel: 1, pieces: { pieces.next() }) == 1)
        first.close()
        for name in try FileDisk().list(folder + "/log") where name.hasSuffix(".log") { try FileDisk().remove(folder + "/log/" + name) }
        let error = storageError { _ = try start(driver()) }
        guard case .gap? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `a disk that fails is told of once, and nothing is committed any more`() async throws {
        let isGone = Atomic(false)
        let disk = HookedDisk { change throws(StorageError) in
            if case .sync = change, isGone.load(ordering: .relaxed) { throw HookedDisk.error }
        }
        let driver = driver(disk)
        defer { driver.close() }
        _ = try start(driver)
        isGone.store(true, ordering: .relaxed)
        #expect(driver.propose([[1]], at: LogIndex(2), term: Term(1)) == .taken)
        let isTold = await eventually { told.all.contains(.failed(HookedDisk.error)) }
        #expect(isTold)
        _ = driver.propose([[2]], at: LogIndex(3), term: Term(1))
        driver.close()
        #expect(told.all.filter { $0 == .failed(HookedDisk.error) }.count == 1)
        #expect(!told.all.contains(.committed(LogIndex(2))))
        #expect(telemetry.health.all.first { $0.name == "storage" }?.status == .down)
        #expect(telemetry.events.latest(100).contains { $0.kind == "storage.failed" })
    }
}

import Observability
import Primitives
import Storage
import Synchronization
import Testing

@testable import Coordinator

/// A disk that fills up, and what is made of it (DiskGuard.swift; issue 6: below 10 % no messages, below 5 % no leading, a ballast for the way back).
struct DiskGuardTests {
    /// A clock that moves when it is told to.
    private final class HandClock: NodeClock {
        private let time = Mutex(Instant(nanoseconds: 0))
        var now: Instant { time.withLock { $0 } }
        let wall = ClusterTime(milliseconds: 1_700_000_000_000)
        func advance(by duration: Duration) { time.withLock { $0 = $0.advanced(by: duration) } }
    }

    private final class Told: Sendable {
        private let levels = Mutex<[DiskGuard.Level]>([])
        var all: [DiskGuard.Level] { levels.withLock { $0 } }
        func add(_ level: DiskGuard.Level) { levels.withLock { $0.append(level) } }
    }

    private static let mebi = 1 << 20
    /// A hundredth of it is ten of the mebibytes that one step takes four of.
    private static let total = 1000 * mebi
    private let disk = MeasuredDisk(totalBytes: DiskGuardTests.total, freeBytes: 500 * DiskGuardTests.mebi)
    private let clock = HandClock()
    private let telemetry: Telemetry
    private let told = Told()

    init() throws { telemetry = Telemetry.quiet(node: try NodeID("c-1"), clock: clock) }

    /// One that does in place what it would leave to a thread.
    private func made(_ settings: DiskGuard.Settings = .init()) -> DiskGuard {
        DiskGuard(
            path: "/data", disk: disk, settings: settings, telemetry: telemetry, changed: { [told] in told.add($0) }, run: { $0() })
    }

    private var none: DiskGuard.Settings {
        var settings = DiskGuard.Settings()
        settings.ballastBytes = 0
        return settings
    }

    private func check(_ watch: DiskGuard, free percents: [Double]) -> [DiskGuard.Level] {
        percents.map { percent in
            disk.setFree(Int(percent * Double(Self.total / 100)))
            watch.check()
            return watch.level
        }
    }

    private var events: [String] { telemetry.events.latest(100).map(\.kind) }
    private var health: HealthRegistry.Component? { telemetry.health.all.first { $0.name == "disk" } }
    private var ballast: Int? { disk.files["/data/ballast"] }

    // MARK: Levels

    @Test func `levels are told once each, and left one point above where they begin`() {
        let watch = made(none)
        let levels = check(watch, free: [50, 9.9, 10.5, 9, 4.9, 5.5, 6, 10.9, 11, 50])
        #expect(levels == [.ok, .low, .low, .low, .critical, .critical, .low, .low, .ok, .ok])
        #expect(told.all == [.low, .critical, .low, .ok])
        #expect(events == ["disk.low", "disk.critical", "disk.low", "disk.ok"])
    }

    @Test func `from plenty to nothing and back skips what lies between`() {
        let watch = made(none)
        #expect(check(watch, free: [0, 50]) == [.critical, .ok])
        #expect(told.all == [.critical, .ok])
    }

    @Test func `messages are refused with the folder, what is free, and what to do`() throws {
        let watch = made(none)
        #expect(check(watch, free: [10]) == [.ok])
        #expect(watch.refusal == nil)
        _ = check(watch, free: [9.99])
        #expect(
            watch.refusal
                == "the disk under /data has 9.9 % free (99 MiB), less than 10 % (disk.low_percent): no new messages are taken, reports and cancels are; free some space there, or lower disk.low_percent"
        )
        _ = check(watch, free: [1])
        let refusal = try #require(watch.refusal)
        #expect(refusal.contains("has 1.0 % free (10 MiB), less than 5 % (disk.critical_percent)"))
        #expect(refusal.contains("leaves leading to others"))
        _ = check(watch, free: [20])
        #expect(watch.refusal == nil)
    }

    @Test func `health is degraded with the reason, never down, and up again`() {
        let watch = made(none)
        _ = check(watch, free: [50])
        #expect(health?.status == .up)
        for percent in [9.0, 2] {
            _ = check(watch, free: [percent])
            #expect(health?.status == .degraded)
            #expect(health?.reason == watch.refusal)
        }
        #expect(telemetry.health.isReady)
        _ = check(watch, free: [50])
        #expect(health?.status == .up)
        #expect(health?.reason == "")
    }

    @Test func `the share that is free is a metric`() {
        let watch = made(none)
        _ = check(watch, free: [25])
        let ratio = telemetry.metrics.gauge("distric_disk_free_ratio", "").number
        #expect(ratio == 0.25)
    }

    @Test func `limits are as they are set`() {
        var settings = none
        settings.limits = .init(lowPercent: 50, criticalPercent: 0)
        let watch = made(settings)
        #expect(check(watch, free: [49, 0, 51]) == [.low, .low, .ok])
        #expect(watch.refusal == nil)
    }

    @Test func `a disk of unknown size is taken for one with room`() {
        let unknown = MeasuredDisk(totalBytes: 0, freeBytes: 0)
        let watch = DiskGuard(
            path: "/data", disk: unknown, settings: .init(), telemetry: telemetry, changed: { [told] in told.add($0) }, run: { $0() })
        clock.advance(by: .seconds(3600))
        watch.check()
        #expect(watch.level == .ok)
        #expect(told.all.isEmpty)
        #expect(unknown.files.isEmpty)
    }

    // MARK: Ballast

    /// Checks second by second until it is all taken.
    private func settle(_ watch: DiskGuard) {
        clock.advance(by: DiskGuard.rest)
        for _ in 0..<20 { watch.check() }
    }

    @Test func `the ballast is taken a minute after the start, in steps, and is a hundredth of the disk at most`() {
        let watch = made()
        for _ in 0..<5 { watch.check() }
        #expect(disk.files.isEmpty)
        clock.advance(by: DiskGuard.rest)
        var taken: [Int] = []
        for _ in 0..<4 {
            watch.check()
            taken.append(disk.files.values.reduce(0, +) / Self.mebi)
        }
        #expect(taken == [4, 8, 10, 10])
        #expect(disk.files == ["/data/ballast": 10 * Self.mebi])
        #expect(disk.syncs == 3)
    }

    @Test func `it is given back when the disk is critical, which is no way to more messages`() {
        let watch = made()
        settle(watch)
        #expect(ballast == 10 * Self.mebi)
        // Without it there would be 5.9 %: enough for the log, and not for more work.
        #expect(check(watch, free: [4.9]) == [.critical])
        #expect(disk.files.isEmpty)
        #expect(disk.freeBytes == 59 * Self.mebi)
        #expect(events == ["disk.critical", "disk.ballast_released"])
        for _ in 0..<100 {
            clock.advance(by: .seconds(60))
            watch.check()
        }
        #expect(watch.level == .critical)
        #expect(disk.files.isEmpty)
        #expect(told.all == [.critical])
    }

    @Test func `it is taken again when there is room for it and some more`() {
        let watch = made()
        settle(watch)
        _ = check(watch, free: [4])
        // One point of what is free is what the ballast wants back.
        #expect(check(watch, free: [11.5]) == [.low])
        settle(watch)
        #expect(disk.files.isEmpty)
        #expect(check(watch, free: [12]) == [.ok])
        settle(watch)
        #expect(ballast == 10 * Self.mebi)
        #expect(watch.level == .ok)
        #expect(disk.freeBytes == 110 * Self.mebi)
        #expect(told.all == [.critical, .low, .ok])
    }

    @Test func `one half taken is counted, and given back as well`() {
        let watch = made()
        clock.advance(by: DiskGuard.rest)
        watch.check()
        #expect(disk.files == ["/data/ballast.tmp": 4 * Self.mebi])
        _ = check(watch, free: [4])
        #expect(disk.files.isEmpty)
        #expect(watch.level == .critical)
    }

    @Test func `none wanted is none, and one from before is removed`() {
        settle(made())
        #expect(ballast == 10 * Self.mebi)
        settle(made(none))
        #expect(disk.files.isEmpty)
    }

    @Test func `a disk that refuses is left alone for a minute`() {
        let watch = made()
        clock.advance(by: DiskGuard.rest)
        disk.setFailure(.io(operation: "write", path: "/data/ballast.tmp", errno: 5))
        watch.check()
        disk.setFailure(nil)
        watch.check()
        #expect(disk.files.isEmpty)
        settle(watch)
        #expect(ballast == 10 * Self.mebi)
        disk.setFailure(.io(operation: "remove", path: "/data/ballast", errno: 5))
        #expect(check(watch, free: [4]) == [.critical])
        disk.setFailure(nil)
        watch.check()
        #expect(ballast == 10 * Self.mebi)
        clock.advance(by: DiskGuard.rest)
        watch.check()
        #expect(disk.files.isEmpty)
    }

    @Test func `a check waits for no write, and looks no further until it is done`() {
        let waiting = Waiting()
        let watch = DiskGuard(
            path: "/data", disk: disk, settings: .init(), telemetry: telemetry, changed: { [told] in told.add($0) },
            run: { waiting.add($0) })
        clock.advance(by: DiskGuard.rest)
        watch.check()
        watch.check()
        #expect(disk.files.isEmpty)
        #expect(waiting.count == 1)
        #expect(check(watch, free: [1]) == [.ok])
        waiting.runAll()
        #expect(disk.files == [:], "the disk is at its low mark by now")
        #expect(check(watch, free: [1]) == [.critical])
    }

    private final class Waiting: Sendable {
        private let jobs = Mutex<[@Sendable () -> Void]>([])
        var count: Int { jobs.withLock { $0.count } }
        func add(_ job: @escaping @Sendable () -> Void) { jobs.withLock { $0.append(job) } }

        func runAll() {
            let all = jobs.withLock { jobs in
                defer { jobs = [] }
                return jobs
            }
            for job in all { job() }
        }
    }

    @Test func `a start on a full disk has the room of the ballast, and one with room keeps it`() throws {
        settle(made())
        try DiskGuard.makeRoom(path: "/data", disk: disk, settings: .init())
        #expect(ballast == 10 * Self.mebi)
        disk.setFree(0)
        try DiskGuard.makeRoom(path: "/data", disk: disk, settings: .init())
        #expect(disk.freeBytes == 10 * Self.mebi)
        try DiskGuard.makeRoom(path: "/data", disk: disk, settings: .init())
        #expect(disk.freeBytes == 10 * Self.mebi)
    }
}

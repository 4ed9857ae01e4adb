package import Observability
import Primitives
package import Storage
import Synchronization

/// Watches the room on the disk under the data folder, so that a disk that fills up stops what is new before it stops the log.
///
/// Below the low mark `refusal` says why the intake takes no messages; reports and cancels, which end work, pass. Below the critical
/// mark the node should not lead (`changed` tells), and the ballast is given back. The ballast counts as taken also while it is not, so
/// that giving it back does not look like room: what it leaves is for the log, and for whoever makes room.
package final class DiskGuard: Sendable {
    package typealias Level = DiskWatermarks.Level

    package struct Settings: Equatable, Sendable {
        /// Shares of the disk below which it is low and critical, in percent; 0 never is.
        package var limits = DiskWatermarks.Limits()
        /// Four log files. At most a hundredth of the disk is taken, so that it never is what fills a small one; 0 takes nothing.
        package var ballastBytes = 64 << 20
        package init() {}
    }

    /// Taken at once, so that the log's own syncs between two checks wait for no more.
    static let stepBytes = 4 << 20
    /// Before the ballast is taken for the first time, and after it could not be: a node that lives shortly, or on a disk that fails, has
    /// better things to write.
    static let rest = Duration.seconds(60)

    private struct State {
        var marks: DiskWatermarks
        var freeBytes: UInt64 = 0
        var totalBytes: UInt64 = 0
        /// Of the ballast; one that an earlier start took may be larger than this one wants.
        var takenBytes: Int
        var isWorking = false
        var takesFrom: Instant
        var givesFrom: Instant
    }

    /// What a check has to do besides telling.
    private enum Work: Equatable {
        case none, giveBack, take
    }

    private let path: String
    private let disk: any Disk
    private let settings: Settings
    private let ballastBytes: Int
    private let telemetry: Telemetry
    private let freeRatio: Gauge
    private let changed: @Sendable (Level) -> Void
    private let run: @Sendable (@escaping @Sendable () -> Void) -> Void
    private let ballast: Mutex<Ballast>
    private let state: Mutex<State>

    /// - Parameters:
    ///   - path: the data folder; the ballast is a file in it.
    ///   - changed: told of every change of the level, by `check`.
    ///   - run: what may wait for the disk is run by it: a thread of its own, unless a test has another.
    package init(
        path: String, disk: any Disk, settings: Settings, telemetry: Telemetry, changed: @escaping @Sendable (Level) -> Void,
        run: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void = { body in _ = NamedThread("ballast", body) }
    ) {
        self.path = path
        self.disk = disk
        self.settings = settings
        self.telemetry = telemetry
        self.changed = changed
        self.run = run
        freeRatio = telemetry.metrics.gauge("distric_disk_free_ratio", "Share of the disk under the data folder that is free, 0 to 1.")
        ballastBytes = Self.ballastBytes(path, disk, settings)
        let own = Self.ballast(path, disk, settings)
        let now = telemetry.clock.now
        state = Mutex(
            State(
                marks: DiskWatermarks(limits: settings.limits), takenBytes: (try? own.takenBytes()) ?? 0,
                takesFrom: now.advanced(by: Self.rest), givesFrom: now))
        ballast = Mutex(own)
    }

    /// A start writes some bytes before anything is watched: on a disk that is full, the ballast makes room for them.
    package static func makeRoom(path: String, disk: any Disk, settings: Settings) throws(StorageError) {
        let (free, total) = disk.space(at: path)
        var marks = DiskWatermarks(limits: settings.limits)
        guard marks.classify(freeBytes: free, totalBytes: total) == .critical else { return }
        try ballast(path, disk, settings).giveBack()
    }

    /// The level as of the last check.
    package var level: Level { state.withLock { $0.marks.level } }

    /// Why no new message is taken; nil while they are.
    package var refusal: String? {
        state.withLock { state in state.marks.level == .ok ? nil : text(state) }
    }

    /// Looks, and tells of what changed. Waits for no write: to be called every second, by one caller.
    package func check() {
        let (free, total) = disk.space(at: path)
        if total > 0 { freeRatio.set(Double(free) / Double(total)) }
        let found = state.withLock { state -> (before: Level, state: State, work: Work)? in
            // What is being taken or given back would be counted twice, or not at all.
            guard !state.isWorking else { return nil }
            let before = state.marks.level
            let missing = UInt64(max(0, ballastBytes - state.takenBytes))
            (state.freeBytes, state.totalBytes) = (free - min(free, missing), total)
            state.marks.classify(freeBytes: state.freeBytes, totalBytes: total)
            let due = dueWork(state)
            state.isWorking = due != .none
            return (before, state, due)
        }
        guard let found else { return }
        tell(found.before, found.state)
        let work = found.work
        if work != .none { run { [self] in perform(work) } }
    }

    // MARK: Telling

    private func tell(_ before: Level, _ state: State) {
        let level = state.marks.level
        let reason = level == .ok ? "" : text(state)
        // Not down: who asks whether the node is ready would send it no reports and no cancels either.
        telemetry.health.set("disk", level == .ok ? .up : .degraded, reason: reason)
        guard level != before else { return }
        let (kind, severity): (String, Event.Severity) =
            switch level {
            case .ok: ("disk.ok", .info)
            case .low: ("disk.low", .warning)
            case .critical: ("disk.critical", .error)
            }
        telemetry.events.emit(
            kind, subject: path, severity: severity, level == .ok ? "\(share(state)): messages are taken again" : reason,
            data: ["freeBytes": Value(state.freeBytes), "totalBytes": Value(state.totalBytes)])
        if level > .ok { telemetry.warn("disk", reason, ["path": path]) }
        changed(level)
    }

    private func text(_ state: State) -> String {
        let limits = settings.limits
        return switch state.marks.level {
        case .ok: share(state)
        case .low:
            "\(share(state)), less than \(limits.lowPercent) % (disk.low_percent): no new messages are taken, reports and cancels are; free some space there, or lower disk.low_percent"
        case .critical:
            "\(share(state)), less than \(limits.criticalPercent) % (disk.critical_percent): no new messages are taken, and this node leaves leading to others; free some space there, or lower disk.critical_percent and disk.low_percent"
        }
    }

    private func share(_ state: State) -> String {
        // Rounded down: a tenth below a limit must not be shown as the limit.
        let tenths = max(1, state.totalBytes).dividingFullWidth(min(state.freeBytes, state.totalBytes).multipliedFullWidth(by: 1000))
            .quotient
        return "the disk under \(path) has \(tenths / 10).\(tenths % 10) % free (\(state.freeBytes >> 20) MiB)"
    }

    // MARK: Ballast

    private func dueWork(_ state: State) -> Work {
        let now = telemetry.clock.now
        switch state.marks.level {
        case .critical: return state.takenBytes > 0 && now >= state.givesFrom ? .giveBack : .none
        case .low: return .none
        case .ok:
            guard state.takenBytes != ballastBytes, state.totalBytes > 0, now >= state.takesFrom else { return .none }
            // As from below: the ballast must not be what brings the disk to its low mark.
            var marks = DiskWatermarks(level: .low, limits: settings.limits)
            return marks.classify(freeBytes: state.freeBytes, totalBytes: state.totalBytes) == .ok ? .take : .none
        }
    }

    private func perform(_ work: Work) {
        let later = telemetry.clock.now.advanced(by: Self.rest)
        do throws(StorageError) {
            let (taken, isRefused) = try done(work)
            state.withLock { state in
                state.isWorking = false
                state.takenBytes = taken
                if isRefused || work == .giveBack { state.takesFrom = later }
            }
            guard work == .giveBack else { return }
            telemetry.events.emit(
                "disk.ballast_released", subject: path, severity: .warning,
                "the ballast \(path)/ballast was given back, so that the log has room to end what runs")
        } catch {
            state.withLock { state in
                state.isWorking = false
                (state.takesFrom, state.givesFrom) = (later, later)
            }
            telemetry.warn(
                "disk", "the ballast can be neither taken nor given back; the next try is in \(Self.rest.text)", ["error": "\(error)"])
        }
    }

    private func done(_ work: Work) throws(StorageError) -> (takenBytes: Int, isRefused: Bool) {
        let outcome: Result<(Int, Bool), StorageError> = ballast.withLock { ballast in
            do throws(StorageError) {
                guard work == .take else {
                    try ballast.giveBack()
                    return .success((0, false))
                }
                let progress = try ballast.take(upTo: Self.stepBytes)
                return .success((try ballast.takenBytes(), progress == .refused))
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    private static func ballastBytes(_ path: String, _ disk: any Disk, _ settings: Settings) -> Int {
        min(settings.ballastBytes, Int(clamping: disk.space(at: path).totalBytes / 100))
    }

    private static func ballast(_ path: String, _ disk: any Disk, _ settings: Settings) -> Ballast {
        Ballast(disk: disk, path: path + "/ballast", bytes: ballastBytes(path, disk, settings), limits: settings.limits)
    }
}

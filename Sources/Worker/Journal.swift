import Cluster
import Observability
import Primitives
package import Storage
import Synchronization
import Text
import Wire

/// What a worker must know after a crash: which attempts began, and how those that ended did, until the coordinator has them in its log.
/// A file of records `{length u32, CRC-32C u32, JSON}`, little-endian, written by one thread by groups.
package final class Journal: Sendable {
    /// One line of the journal.
    enum Entry: Sendable {
        case started(HeldAssignment)
        case finished(TaskReport)
        case forgotten([HeldAssignment])
        /// Records before this one are missing.
        case torn
        /// What was missing has been settled.
        case settled
    }

    private enum Work: Sendable {
        case write(Entry)
        case sync(Entry, CheckedContinuation<Bool, Never>)
    }

    struct Key: Hashable, Sendable {
        var run: RunID
        var task: String
        var fence: Fence
    }

    private let work = Mailbox<Work>(limit: 65_536)
    private let thread = Mutex<NamedThread?>(nil)
    /// What the file held when it was opened.
    let begun: Set<Key>
    let ended: [Key: TaskReport]
    /// False when a part of the file could not be read: then nothing proves that an attempt never began.
    let isWhole: Bool

    /// - Parameter isNew: the worker was never here before. Of any other one a journal that is gone told of attempts.
    package init(disk: any Disk, path: String, isNew: Bool) throws(StorageError) {
        var begun: Set<Key> = []
        var ended: [Key: TaskReport] = [:]
        let bytes = try disk.contents(of: path)
        let found = JournalCodec.entries(in: bytes ?? [])
        var isWhole = isNew || bytes != nil
        for entry in found.entries {
            switch entry {
            case .started(let held): begun.insert(Key(held))
            case .finished(let report): ended[Key(report)] = report
            case .forgotten(let list):
                for held in list {
                    begun.remove(Key(held))
                    ended[Key(held)] = nil
                }
            case .torn: isWhole = false
            case .settled: isWhole = true
            }
        }
        isWhole = isWhole && found.isWhole
        self.isWhole = isWhole
        (self.begun, self.ended) = (begun, ended)
        // Only what is still open goes on: a fresh file, in place of the old one at once.
        var kept: [UInt8] = []
        if !isWhole { JournalCodec.append(.torn, to: &kept) }
        for key in begun.sorted(by: { $0.fence < $1.fence }) {
            JournalCodec.append(.started(HeldAssignment(run: key.run, task: key.task, attempt: 0, fence: key.fence)), to: &kept)
        }
        for report in ended.values.sorted(by: { $0.fence < $1.fence }) { JournalCodec.append(.finished(report), to: &kept) }
        try disk.makeDurableFolder(parentFolder(of: path))
        try disk.replace(path, with: kept)
        let writer = JournalWriter(disk: disk, path: path, file: try disk.open(path, create: true), offset: kept.count, work: work)
        thread.withLock { $0 = NamedThread("worker-journal") { writer.run() } }
    }

    /// Durable when it returns true; false when the disk refused.
    func started(_ held: HeldAssignment) async -> Bool {
        await withCheckedContinuation { continuation in
            if !work.put(.sync(.started(held), continuation)) { continuation.resume(returning: false) }
        }
    }

    func finished(_ report: TaskReport) { work.force(.write(.finished(report))) }
    func settled() { work.force(.write(.settled)) }
    func forgotten(_ list: [HeldAssignment]) { work.force(.write(.forgotten(list))) }

    package func close() {
        work.close()
        thread.withLock { $0 }?.join()
    }

    private final class JournalWriter: @unchecked Sendable {
        /// A file beyond this begins anew with what is still open.
        private static let restartBytes = 4 << 20

        private let disk: any Disk
        private let path: String
        private var file: any DiskFile
        private var offset: Int
        private let work: Mailbox<Work>
        /// The records of attempts that are not forgotten yet.
        private var open: [Key: [UInt8]] = [:]
        private var hasFailed = false

        init(disk: any Disk, path: String, file: any DiskFile, offset: Int, work: Mailbox<Work>) {
            self.disk = disk
            self.path = path
            self.file = file
            self.offset = offset
            self.work = work
        }

        func run() {
            while let batch = work.take(timeout: nil) { write(batch) }
            try? file.sync()
            file.close()
        }

        private func write(_ batch: [Work]) {
            var bytes: [UInt8] = []
            var waiting: [CheckedContinuation<Bool, Never>] = []
            for item in batch {
                switch item {
                case .write(let entry): add(entry, &bytes)
                case .sync(let entry, let continuation):
                    add(entry, &bytes)
                    waiting.append(continuation)
                }
            }
            do throws(StorageError) {
                try file.write(bytes, at: offset)
                offset += bytes.count
                if !waiting.isEmpty { try file.sync() }
                if offset > Self.restartBytes { try restart() }
            } catch {
                hasFailed = true
            }
            for continuation in waiting { continuation.resume(returning: !hasFailed) }
        }

        private func restart() throws(StorageError) {
            let kept = open.sorted { $0.key.fence < $1.key.fence }.flatMap(\.value)
            try disk.replace(path, with: kept)
            file.close()
            file = try disk.open(path, create: false)
            offset = kept.count
        }

        private func add(_ entry: Entry, _ bytes: inout [UInt8]) {
            var own: [UInt8] = []
            JournalCodec.append(entry, to: &own)
            bytes += own
            switch entry {
            case .started(let held): open[Key(held), default: []] += own
            case .finished(let report): open[Key(report), default: []] += own
            case .forgotten(let list): for held in list { open[Key(held)] = nil }
            case .torn, .settled: break
            }
        }
    }
}

extension Journal.Key {
    init(_ held: HeldAssignment) { self.init(run: held.run, task: held.task, fence: held.fence) }
    init(_ assignment: TaskAssignment) { self.init(run: assignment.run, task: assignment.task, fence: assignment.fence) }
    init(_ report: TaskReport) { self.init(run: report.run, task: report.task, fence: report.fence) }
}

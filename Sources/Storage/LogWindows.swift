package import Primitives
import Synchronization

/// Reads a log that another thread writes, a window at a time: the writer is not asked, and waits for nothing. What is read was durable before it was asked for, so
/// that no record is half written.
package final class LogWindows: Sendable {
    /// What was read.
    package struct Window: Equatable, Sendable {
        /// The lowest index that the files have; those before it are compacted.
        package var first: LogIndex
        /// In a row, as many as were wanted, or as fit.
        package var records: [Record] = []
    }

    private struct Known {
        var head: SegmentHead
        var index: SparseIndex
    }

    /// How often it is looked anew when a file goes while it is read.
    private static let tries = 3

    private let disk: any Disk
    private let folder: String
    /// Where some records of each file begin. No record is rewritten, and so it holds for as long as the file has its head.
    private let known = Mutex<[String: Known]>([:])

    /// - Parameter folder: the log's own.
    package init(disk: any Disk, folder: String) { (self.disk, self.folder) = (disk, folder) }

    /// Entries from `start` (or from the first that there is) on.
    ///
    /// - Parameters:
    ///   - last: the last index that is known to be durable.
    ///   - maxBytes: counted as records lie on disk; one record is read whatever it has.
    package func read(from start: LogIndex, count: Int, through last: LogIndex, maxBytes: Int) throws(StorageError) -> Window {
        var failure = StorageError.closed
        for _ in 0..<Self.tries {
            do throws(StorageError) { return try look(start, count, last, maxBytes) } catch {
                // A compaction or an installed snapshot has taken a file away: what there is then is read.
                guard case .io(operation: "open", _, _) = error else { throw error }
                failure = error
            }
        }
        throw failure
    }

    private func look(_ start: LogIndex, _ count: Int, _ last: LogIndex, _ maxBytes: Int) throws(StorageError) -> Window {
        let members = try LogSurvey(disk: disk, folder: folder).members
        guard let oldest = members.first?.head.before.index.next else { return Window(first: last.next) }
        forget(allBut: members)
        var window = Window(first: oldest)
        let start = max(start, oldest)
        guard start <= last, count > 0 else { return window }
        var reading = Reading(next: start, last: last, count: count, maxBytes: maxBytes)
        let place = members.lastIndex { $0.head.before.index < start } ?? 0
        for member in members[place...] where !reading.isDone { try read(member, &reading) }
        window.records = reading.records
        return window
    }

    private struct Reading {
        var next: LogIndex
        let last: LogIndex
        let count: Int
        let maxBytes: Int
        var bytes = 0
        var records: [Record] = []
        var isFull = false

        var isDone: Bool { isFull || records.count >= count || next > last }

        mutating func take(_ record: Record) {
            guard record.entry.index == next else { return }
            bytes += record.endOffsetFromStart
            guard records.isEmpty || bytes <= maxBytes else { return isFull = true }
            records.append(record)
            next = next.next
        }
    }

    private func read(_ member: LogSurvey.Member, _ reading: inout Reading) throws(StorageError) {
        let file = try disk.open(member.path, create: false)
        defer { file.close() }
        var segment = SegmentedLog.Segment(head: member.head, path: member.path, size: try file.size())
        segment.end = segment.size
        segment.index = index(of: member)
        // A later file ends this one.
        let end = min(reading.last, member.limit ?? reading.last)
        var cursor = SegmentCursor(segment, file: file, notAfter: LogIndex(reading.next.number - 1))
        while !reading.isDone, cursor.point.before.index < end {
            let point = cursor.point
            guard let record = try cursor.next() else { break }
            segment.index.note(point.before, at: point.offset)
            reading.take(record)
        }
        let learned = Known(head: member.head, index: segment.index)
        known.withLock { known in
            // Another reader may have come further.
            if known[member.path].map({ $0.head != learned.head || $0.index.points.count < learned.index.points.count }) ?? true {
                known[member.path] = learned
            }
        }
    }

    private func index(of member: LogSurvey.Member) -> SparseIndex {
        known.withLock { known in
            known[member.path].flatMap { $0.head == member.head ? $0.index : nil } ?? SparseIndex(member.head.before)
        }
    }

    private func forget(allBut members: [LogSurvey.Member]) {
        known.withLock { known in
            guard known.count > members.count else { return }
            let paths = members.map(\.path)
            known = known.filter { paths.contains($0.key) }
        }
    }
}

package import Primitives
import Raft
import Storage
import Synchronization

/// A part of one server's log, as it lies on that server's disk.
package struct RaftLogPage: Equatable, Sendable {
    package struct Entry: Equatable, Sendable {
        package var index: LogIndex
        package var term: Term
        /// What can be said of it: `kind`, `bytes`, `text`, and of commands which.
        package var about: Fields
        /// Of its payload, CRC-32C.
        package var checksum: UInt32
        /// Over all entries up to it: where two servers have the same, all before it is the same.
        package var chain: UInt64

        package init(index: LogIndex, term: Term, about: Fields, checksum: UInt32, chain: UInt64) {
            (self.index, self.term, self.about, self.checksum, self.chain) = (index, term, about, checksum, chain)
        }
    }

    /// The lowest index that is kept; those before it are compacted.
    package var first: LogIndex
    /// The highest that is durable here.
    package var last: LogIndex
    package var commit: LogIndex
    /// In a row.
    package var entries: [Entry] = []

    package init(first: LogIndex, last: LogIndex, commit: LogIndex, entries: [Entry] = []) {
        (self.first, self.last, self.commit, self.entries) = (first, last, commit, entries)
    }
}

/// Why a part of the log cannot be shown.
package struct RaftLogProblem: Error, Equatable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Reads a server's own log for people, beside the thread that writes it.
package final class RaftLogReader: Sendable {
    /// Of one answer: beyond it fewer entries are read.
    package static let maxBytes = 32 << 20

    private let driver: RaftDriver
    private let windows: LogWindows

    package init(_ driver: RaftDriver) {
        self.driver = driver
        windows = LogWindows(disk: driver.disk, folder: driver.folder + "/log")
    }

    /// Entries from an index on, or the newest; those that are not durable yet are left out.
    ///
    /// - Parameter start: nil for the newest.
    package func read(from start: LogIndex?, count: Int) throws(RaftLogProblem) -> RaftLogPage {
        let status = driver.status
        let last = status.durableIndex
        let start = start ?? LogIndex(last.number - min(last.number, UInt64(max(0, count))) + 1)
        let window: LogWindows.Window
        do throws(StorageError) {
            window = try windows.read(from: start, count: count, through: last, maxBytes: Self.maxBytes)
        } catch {
            throw RaftLogProblem(
                "the log of '\(status.node)' cannot be read: \(error). 'distric raft log verify DATA' on its machine says more")
        }
        return RaftLogPage(
            first: window.first, last: max(last, LogIndex(window.first.number - 1)), commit: status.commitIndex,
            entries: window.records.map { record in
                let entry = record.entry
                return .init(
                    index: entry.index, term: entry.term, about: EntryText.value(entry, isBrief: true).map ?? Fields(),
                    checksum: checksum(entry.payload), chain: record.chain)
            })
    }
}

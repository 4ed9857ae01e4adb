import Primitives

/// The log's files as names and heads tell: which of them hold the log, up to where, and which cannot be read.
struct LogSurvey {
    /// A file that holds a part of the log.
    struct Member: Equatable {
        var head: SegmentHead
        var path: String
        /// Where the next file begins; nil in the last.
        var limit: LogIndex?
        /// What stands above the limit was dropped by the next file. Files of format 1 drop nothing: the one before must end there.
        var isCut = false

        init(_ head: SegmentHead, _ path: String) {
            self.head = head
            self.path = path
        }
    }

    /// A file whose head does not read back.
    struct Unreadable: Equatable {
        var path: String
        var reason: String
        /// The first index by its name.
        var first: LogIndex?
    }

    /// Oldest first.
    private(set) var members: [Member] = []
    /// Files that hold nothing any more: a later one begins at or before their first entry.
    private(set) var obsolete: [String] = []
    private(set) var unreadable: [Unreadable] = []
    /// The highest generation of any file, in use or set aside; nil when there is none.
    private(set) var generation: UInt32?

    /// Reads every head. Throws for a file of a newer format and for a disk that cannot be read.
    init(disk: any Disk, folder: String) throws(StorageError) {
        var found: [Member] = []
        for name in try disk.list(folder) where name.hasSuffix(SegmentName.suffix) || name.hasSuffix(Self.setAsideSuffix) {
            raise(to: SegmentName(name)?.generation ?? 0)
            guard name.hasSuffix(SegmentName.suffix) else { continue }
            let path = folder + "/" + name
            do throws(StorageError) {
                let head = try Self.head(disk, path)
                raise(to: head.generation)
                found.append(Member(head, path))
            } catch {
                guard case .damaged(_, _, let reason) = error else { throw error }
                unreadable.append(Unreadable(path: path, reason: reason, first: SegmentName(name)?.first))
            }
        }
        order(&found)
    }

    static let setAsideSuffix = SegmentName.suffix + SegmentName.damagedSuffix

    /// Every file that bears a log's name.
    var paths: [String] { members.map(\.path) + obsolete + unreadable.map(\.path) }

    private static func head(_ disk: any Disk, _ path: String) throws(StorageError) -> SegmentHead {
        let file = try disk.open(path, create: false)
        defer { file.close() }
        return try SegmentHead(reading: try file.read(at: 0, count: SegmentedLog.headBytes), path: path)
    }

    private mutating func raise(to number: UInt32) { generation = max(generation ?? 0, number) }

    /// From the newest back: each file bounds the ones before it, and leaves nothing of those that begin where it does or later.
    private mutating func order(_ found: inout [Member]) {
        found.sort { Self.key($0) < Self.key($1) }
        var next: SegmentHead?
        for member in unique(found).reversed() {
            if let next, member.head.before.index >= next.before.index {
                obsolete.append(member.path)
                continue
            }
            var member = member
            member.limit = next?.before.index
            member.isCut = next.map { $0.generation > 0 } ?? false
            members.append(member)
            next = member.head
        }
        members.reverse()
    }

    private static func key(_ member: Member) -> (UInt32, LogIndex, String) {
        (member.head.generation, member.head.before.index, member.path)
    }

    private mutating func unique(_ found: [Member]) -> [Member] {
        var kept: [Member] = []
        for member in found {
            let head = member.head
            if let other = kept.last?.head, other.generation == head.generation,
                head.generation > 0 || other.before.index == head.before.index
            {
                unreadable.append(
                    Unreadable(path: member.path, reason: "another segment has its place in the log", first: head.before.index.next))
            } else {
                kept.append(member)
            }
        }
        return kept
    }
}

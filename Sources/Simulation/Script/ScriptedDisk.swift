import Primitives
import Raft

/// What a scripted server has on its disk, or has given to it to write.
struct ScriptedDisk: Equatable, Sendable {
    /// A snapshot that is coming: so many chunks of it are here.
    struct Incoming: Equatable, Sendable {
        var mark: SnapshotMark
        var chunks: UInt32
    }

    var hardState = HardState(term: Term(0), vote: nil)
    var snapshot: SnapshotMark?
    /// What is before `entries`: compacted.
    var base = LogIndex.zero
    var entries: [LogEntry] = []
    var incoming: Incoming?
    /// Its vote or a part of its log was lost, and nobody has said yet that it may trust itself.
    var isRecovering = false

    var last: LogIndex { entries.last?.index ?? base }

    func entry(at index: LogIndex) -> LogEntry? {
        guard index > base, index <= last else { return nil }
        return entries[Int(index.number - base.number) - 1]
    }

    /// In the order of the group's fields, as `RaftOutput.Write` says. What cannot be done is said, and left.
    mutating func perform(_ write: RaftOutput.Write) -> String? {
        if write.isDistrusted { isRecovering = true }
        if let state = write.hardState { hardState = state }
        if let chunk = write.chunk, let fault = receive(chunk) { return fault }
        if let mark = write.install { install(mark) }
        if let index = write.truncateAfter {
            guard index >= base else { return "truncates after \(index), \(base) is compacted" }
            entries.removeAll { $0.index > index }
        }
        for entry in write.entries {
            guard entry.index == last.next else { return "writes \(entry.index) after \(last)" }
            guard entry.term <= hardState.term else { return "writes an entry of term \(entry.term) in term \(hardState.term)" }
            entries.append(entry)
        }
        if let index = write.compactThrough { compact(through: index) }
        return nil
    }

    private mutating func receive(_ chunk: RaftMessage.SnapshotChunk) -> String? {
        var here = incoming ?? Incoming(mark: chunk.snapshot, chunks: 0)
        if here.mark != chunk.snapshot { here = Incoming(mark: chunk.snapshot, chunks: 0) }
        guard chunk.chunk <= here.chunks else { return "writes chunk \(chunk.chunk) after \(here.chunks) of them" }
        here.chunks = max(here.chunks, chunk.chunk + 1)
        incoming = here
        return nil
    }

    private mutating func install(_ mark: SnapshotMark) {
        (snapshot, base, entries, incoming) = (mark, mark.index, [], nil)
    }

    private mutating func compact(through index: LogIndex) {
        guard index > base else { return }
        entries.removeAll { $0.index <= index }
        base = index
    }

    /// A snapshot may stand for entries that were committed by others and that never reached this disk: then the log begins behind it.
    mutating func settle() {
        guard let mark = snapshot, mark.index > last else { return }
        (base, entries) = (mark.index, [])
    }

    /// The term that it can still tell without its vote.
    var knownTerm: Term { max(entries.last?.term ?? Term(0), snapshot?.term ?? Term(0)) }

    /// Nothing that the snapshot stands for is read when a server starts.
    var restored: [LogEntry] { entries.filter { $0.index > snapshot?.index ?? .zero } }

    func fetch(_ fetch: RaftOutput.Fetch) -> [LogEntry] {
        var (found, bytes): ([LogEntry], Int) = ([], 0)
        for entry in entries where entry.index >= fetch.first && entry.index <= fetch.last {
            bytes += entry.payload.count
            guard found.isEmpty || bytes <= fetch.maxBytes else { break }
            found.append(entry)
        }
        return found.first?.index == fetch.first ? found : []
    }
}

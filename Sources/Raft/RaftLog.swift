package import Primitives

/// What the core knows of the log: the term of every entry that has not been compacted (as runs, for terms never fall), the configurations in it, and the
/// newest entries themselves. Older ones are on the disk alone, and are asked for when a follower needs them.
package struct RaftLog: Equatable, Sendable {
    struct Run: Equatable, Sendable {
        var first: LogIndex
        var term: Term
    }

    struct Change: Equatable, Sendable {
        var index: LogIndex
        var configuration: Configuration
    }

    /// What was compacted, or the empty log: the last entry that a snapshot stands for.
    package private(set) var base: LogIndex
    package private(set) var baseTerm: Term
    package private(set) var lastIndex: LogIndex
    private var runs: [Run] = []
    /// The first is the base's.
    private var changes: [Change]
    /// The newest entries, up to the last.
    private var kept: [LogEntry] = []
    /// Where `kept` begins; what is before was let go.
    private var keptStart = 0
    private var keptBytes = 0

    /// Of keeping an entry: its payload, and what is around it.
    private static func cost(_ entry: LogEntry) -> Int { entry.payload.count + 48 }

    package init(base: LogIndex, term: Term, configuration: Configuration) {
        (self.base, baseTerm, lastIndex) = (base, term, base)
        changes = [Change(index: base, configuration: configuration)]
    }

    package var lastTerm: Term { runs.last?.term ?? baseTerm }
    package var configuration: Configuration { changes[changes.count - 1].configuration }
    /// Where the configuration in force was appended.
    package var configurationIndex: LogIndex { changes[changes.count - 1].index }

    /// The configuration that was in force at an entry.
    package func configuration(at index: LogIndex) -> Configuration {
        (changes.last { $0.index <= index } ?? changes[0]).configuration
    }

    /// Whether a server votes in any configuration that may still be in force for others: the one that is committed, and those after it.
    func hasVoter(_ node: NodeID, sinceCommit commit: LogIndex) -> Bool {
        changes.contains { $0.index > commit && $0.configuration.isVoter(node) }
            || configurationIndex > commit && configuration(at: commit).isVoter(node)
    }

    /// Nil beyond the end, and before the base.
    package func term(at index: LogIndex) -> Term? {
        if index == base { return baseTerm }
        guard index > base, index <= lastIndex else { return nil }
        // Mostly the newest.
        for run in runs.reversed() where run.first <= index { return run.term }
        return baseTerm
    }

    /// The first index of the term that the entry is of.
    func firstIndex(ofTermAt index: LogIndex) -> LogIndex {
        for run in runs.reversed() where run.first <= index { return run.first }
        return base
    }

    /// The last entry of a term, or of the newest one before it; the base when all are later.
    func lastIndex(upTo term: Term) -> LogIndex {
        var end = lastIndex
        for run in runs.reversed() {
            if run.term <= term { return end }
            end = LogIndex(run.first.number - 1)
        }
        return base
    }

    func isUpToDate(_ index: LogIndex, _ term: Term) -> Bool { (term, index) >= (lastTerm, lastIndex) }

    /// Of a recovered log: entries come in order, and need not be kept.
    package mutating func append(_ entry: LogEntry) {
        precondition(entry.index == lastIndex.next, "append \(entry.index) after \(lastIndex)")
        precondition(entry.term >= lastTerm, "append of term \(entry.term) after \(lastTerm)")
        if runs.isEmpty || entry.term > lastTerm { runs.append(Run(first: entry.index, term: entry.term)) }
        lastIndex = entry.index
        kept.append(entry)
        keptBytes += Self.cost(entry)
        guard entry.kind == .configuration else { return }
        guard let configuration = Configuration(payload: entry.payload) else {
            // To go on without it would be to count the wrong majority; the codec and the disk let none through that this program cannot read.
            preconditionFailure("entry \(entry.index) is a configuration that cannot be read")
        }
        changes.append(Change(index: entry.index, configuration: configuration))
    }

    /// Of a log that is read back: as above, and no more is kept than the newest of so many bytes.
    package mutating func restore(_ entry: LogEntry, keeping bytes: Int) {
        append(entry)
        trim(to: bytes, notAfter: lastIndex)
    }

    package mutating func truncate(after index: LogIndex) {
        precondition(index >= base && index < lastIndex, "truncate after \(index) of \(base)...\(lastIndex)")
        while let last = runs.last, last.first > index { runs.removeLast() }
        while changes.count > 1, changes[changes.count - 1].index > index { changes.removeLast() }
        while kept.count > keptStart, let last = kept.last, last.index > index {
            keptBytes -= Self.cost(last)
            kept.removeLast()
        }
        if kept.count == keptStart { (kept, keptStart, keptBytes) = ([], 0, 0) }
        lastIndex = index
    }

    /// Lets go of what a snapshot stands for.
    mutating func compact(through index: LogIndex) {
        guard index > base, let term = term(at: index) else { return }
        let change = changes.last { $0.index <= index } ?? changes[0]
        while runs.count > 1, runs[1].first <= index.next { runs.removeFirst() }
        if let first = runs.first, first.first <= index {
            if index == lastIndex { runs.removeFirst() } else { runs[0].first = index.next }
        }
        changes.removeAll { $0.index <= index }
        // Under its own index, by which a change that is based on it names it.
        changes.insert(change, at: 0)
        (base, baseTerm) = (index, term)
        release(through: index)
    }

    /// A snapshot takes the place of all of it.
    mutating func reset(to mark: SnapshotMark) { self = RaftLog(base: mark.index, term: mark.term, configuration: mark.configuration) }

    // MARK: The entries themselves

    /// The first entry that is kept; after the last when none is.
    package var firstKept: LogIndex { keptStart < kept.count ? kept[keptStart].index : lastIndex.next }

    /// Entries from one on, as long as they have no more bytes than that together, but one at least. Nil when they are on the disk alone.
    package func entries(from first: LogIndex, through last: LogIndex, maxBytes: Int) -> [LogEntry]? {
        guard first <= last else { return [] }
        guard first >= firstKept else { return nil }
        let start = keptStart + Int(first.number - kept[keptStart].index.number)
        var (end, bytes) = (start, 0)
        while end < kept.count, kept[end].index <= last {
            bytes += kept[end].payload.count
            guard end == start || bytes <= maxBytes else { break }
            end += 1
        }
        return Array(kept[start..<end])
    }

    /// Of entries that are kept.
    package func payloadBytes(after index: LogIndex, through end: LogIndex? = nil) -> Int {
        let (begin, end) = (max(index.next, firstKept), end ?? lastIndex)
        guard begin <= end, keptStart < kept.count else { return 0 }
        let start = keptStart + Int(begin.number - kept[keptStart].index.number)
        return kept[start..<min(kept.count, start + Int(end.number - begin.number) + 1)].reduce(0) { $0 + $1.payload.count }
    }

    /// Lets go of the oldest entries while there are more bytes than that, but of none after `index`.
    mutating func trim(to bytes: Int, notAfter index: LogIndex) {
        while keptBytes > bytes, keptStart < kept.count, kept[keptStart].index <= index { dropOldest() }
        tidy()
    }

    private mutating func release(through index: LogIndex) {
        while keptStart < kept.count, kept[keptStart].index <= index { dropOldest() }
        tidy()
    }

    private mutating func dropOldest() {
        keptBytes -= Self.cost(kept[keptStart])
        kept[keptStart].payload = []
        keptStart += 1
    }

    private mutating func tidy() {
        guard keptStart > 64, keptStart * 2 > kept.count else { return }
        kept.removeFirst(keptStart)
        keptStart = 0
    }
}

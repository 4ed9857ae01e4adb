import Observability
package import Primitives
package import Storage
import Synchronization
import Wire

/// What came by snapshot leaves a gap in the history; files of other nodes fill it.
extension HistoryStore {
    /// Oldest first.
    package var gaps: [HistoryGap] { state.withLock { $0.gaps.open } }

    /// Called on any thread when a gap was found; it must hand over and return.
    func whenGap(_ body: @escaping @Sendable () -> Void) { gapWatcher.withLock { $0 = body } }

    // MARK: Beginning and ending

    /// The state came by a snapshot: what entries after one gave, up to that of the snapshot, is not here. Durable when it returns. From here
    /// on files get numbers that leave room for what is missing. A snapshot that was noted before changes nothing.
    ///
    /// - Parameter applied: the last entry that was applied since the node started; what is stored may reach further.
    package func noteGap(after applied: LogIndex, through end: LogIndex) throws(StorageError) {
        var (found, given) = (nil as HistoryGap?, nil as HistoryGap?)
        try sealing { () throws(StorageError) in
            try locked { state throws(StorageError) in
                guard state.gaps.noted < end else { return }
                try flush(&state)
                if state.active.bytes > 0 { try roll(&state) }
                var gaps = state.gaps
                gaps.noted = end
                // Of the last entry that was stored before the node started some may be missing.
                let start = max(applied, LogIndex(max(1, state.lastIndex.number) - 1))
                guard start < end else {
                    try gaps.write(disk, folder)
                    state.gaps = gaps
                    return
                }
                let gap = HistoryGap(after: start, through: end, firstFile: state.active.number, since: telemetry.clock.wall)
                gaps.open.append(gap)
                if gaps.open.count > HistoryGaps.limit { given = gaps.open.removeFirst() }
                try gaps.write(disk, folder)
                (state.gaps, found) = (gaps, gap)
                try move(&state, to: gap.files.upperBound)
            }
        }
        if let given { announceLost(given, "\(HistoryGaps.limit) younger ones wait to be filled") }
        guard let found else { return }
        telemetry.events.emit(
            "history.gap", subject: telemetry.node.text, severity: .warning,
            "the state came by snapshot: what ended after entry \(found.after) and up to entry \(found.through) is not here yet; it is fetched from other nodes"
        )
        gapWatcher.withLock { $0 }?()
    }

    /// The file in use holds nothing: another takes its place.
    private func move(_ state: inout State, to number: UInt64) throws(StorageError) {
        let empty = state.active.number
        let file = try disk.open(Self.path(folder, number, "records"), create: true)
        state.file.close()
        state.file = file
        state.active = Segment(number: number, bytes: 0, newest: .zero)
        try disk.remove(Self.path(folder, empty, "records"))
        try disk.syncFolder(folder)
    }

    /// Nothing more comes of it.
    func closeGap(_ gap: HistoryGap) throws(StorageError) {
        try locked { state throws(StorageError) in
            var gaps = state.gaps
            gaps.open.removeAll { $0 == gap }
            try gaps.write(disk, folder)
            state.gaps = gaps
        }
    }

    func announceLost(_ gap: HistoryGap, _ why: String) {
        telemetry.events.emit(
            "history.lost", subject: telemetry.node.text, severity: .warning,
            "what ended after entry \(gap.after) and up to entry \(gap.through) is not in this node's history, and will not be: \(why)")
    }

    // MARK: Filling

    /// The entry up to which a gap is filled.
    func reached(_ gap: HistoryGap) -> LogIndex {
        state.withLock { state in
            state.sealed.last { gap.files.contains($0.number) }.map { max($0.last, gap.after) } ?? gap.after
        }
    }

    /// The number of the next file that fills a gap; nil when they are used up.
    func nextFile(of gap: HistoryGap) -> UInt64? {
        let last = state.withLock { state in state.sealed.last { gap.files.contains($0.number) }?.number }
        guard let last else { return gap.firstFile }
        return gap.files.contains(last + 1) ? last + 1 : nil
    }

    /// Whether something of a gap would be kept: not when what is younger takes all the room there is.
    func hasRoom(for gap: HistoryGap) -> Bool {
        state.withLock { state in
            let younger = state.sealed.filter { $0.number >= gap.files.upperBound }.reduce(state.active.bytes) { $0 + $1.bytes }
            // A file that has no room would go as soon as it comes.
            return younger < settings.retainedBytes - min(settings.segmentBytes, settings.retainedBytes / 2)
        }
    }

    /// What is older is not kept here.
    var oldestKept: ClusterTime {
        state.withLock { state in
            let now = max(state.active.newest, state.sealed.last?.newest ?? .zero).milliseconds
            return ClusterTime(milliseconds: now - min(now, UInt64(clamping: settings.retainedAge.milliseconds)))
        }
    }

    /// Whether this very record is in a file already.
    func isStored(_ record: HistoryRecord) throws(StorageError) -> Bool {
        for segment in state.withLock({ $0.sealed }) where segment.last >= record.index {
            if let place = try place(of: record.key, in: segment), try read(segment.number, at: place)?.index == record.index {
                return true
            }
            // Those that follow begin later.
            if segment.last > record.index { return false }
        }
        return false
    }

    /// A file that came from another node, and lies where it belongs, is a part of the history.
    func adopt(_ segment: Segment) throws(StorageError) {
        try sealing { () throws(StorageError) in
            // Full files that lie before it are done with first: those that are not stay the last.
            try sealAll()
            state.withLock { state in
                state.sealed.insert(segment, at: state.sealed.firstIndex { $0.number > segment.number } ?? state.sealed.endIndex)
                state.lastIndex = max(state.lastIndex, segment.last)
                // What is newest may be among it.
                (state.recentRuns, state.recentMessages) = (RecentItems(), RecentItems())
                state.adoptions += 1
            }
            try expire()
        }
    }

    // MARK: Sending

    /// What is here of the entries that another node asks for.
    ///
    /// - Parameter applied: up to where the history is written.
    func span(_ call: HistoryRead, applied: LogIndex) throws(StorageError) -> HistorySpan {
        try flush()
        return state.withLock { state in
            // What fills a gap comes in order: what has come so far is here.
            let gap = state.gaps.open.first { $0.through > call.after }
            let gapStart = gap.map { gap in state.sealed.last { gap.files.contains($0.number) }.map { max($0.last, gap.after) } ?? gap.after
            }
            let end = max(call.after, min(call.through, applied, gapStart ?? call.through))
            let all = state.sealed + (state.active.bytes > 0 ? [Segment(active: state.active, last: state.lastIndex)] : [])
            let wanted = end > call.after ? all.filter { $0.last > call.after && $0.newest >= call.notBefore } : []
            return HistorySpan(
                files: files, wanted: wanted.map { ($0.number, $0.bytes) }, oldest: all.first { $0.bytes > 0 }?.number, after: call.after,
                through: end, limit: Int(call.limitBytes), lacks: gapStart.map { $0 <= end && end < call.through } ?? false)
        }
    }
}

extension HistoryStore.Segment {
    /// The file in use, as it is now.
    fileprivate init(active: Self, last: LogIndex) {
        self = active
        self.last = last
    }
}

import Wire

/// What a whole backup holds: gathered from its parts, and decoded once it has come to its end.
package struct BackupContents {
    package private(set) var header: BackupHeader?
    /// Of records of the history.
    package private(set) var historyBytes = 0
    private var stateBytes: [UInt8] = []
    private var stateOffset = 0

    package init() {}

    package mutating func take(_ part: BackupReader.Part, at offset: Int) {
        switch part {
        case .header(let header):
            self.header = header
            stateOffset = offset
        case .state(let bytes): stateBytes += bytes
        case .history(let records): historyBytes += records.count
        }
    }

    /// The state, checked against the digest in it and against the backup's first line.
    package func state() throws(BackupProblem) -> CoordinatorState {
        let state: CoordinatorState
        do throws(WireError) { state = try StateCodec.decode(stateBytes, dedup: DedupWindow()) } catch {
            if case .unsupportedFeatureLevel(let level, let supported) = error {
                throw .newer(found: "feature level \(level)", supported: "feature level \(supported)")
            }
            throw .damaged(offset: stateOffset, reason: "the state in it cannot be read: \(error)")
        }
        guard let header, header.cluster == state.cluster, header.index == state.applied, header.term == state.appliedTerm else {
            throw .damaged(offset: 0, reason: "its first line does not tell of the state in it")
        }
        return state
    }
}

package import Primitives
package import Storage

/// Makes a backup of a state that does not change any more, on a thread of its own, a piece when it is asked for one: who reads slowly
/// makes it
/// slow, and nothing else.
package final class BackupSource: Sendable {
    private typealias Answer = CheckedContinuation<[UInt8]?, any Error>

    package let header: BackupHeader
    private let asked: Mailbox<Answer>
    private let thread: NamedThread

    /// - Parameter history: nil leaves it out; whoever writes it may go on.
    package init(of state: CoordinatorState, history: HistoryFiles?, node: NodeID, time: ClusterTime) {
        let header = BackupHeader(
            cluster: state.cluster, node: node, index: state.applied, term: state.appliedTerm, time: time, featureLevel: state.featureLevel,
            hasHistory: history != nil)
        let asked = Mailbox<Answer>(limit: 1)
        (self.header, self.asked) = (header, asked)
        thread = NamedThread("backup") {
            var pieces = BackupPieces(of: state, history: history, header: header)
            while let waiting = asked.take(timeout: nil) {
                for answer in waiting { answer.resume(with: Result { try pieces.next() }) }
            }
        }
    }

    deinit { asked.close() }

    /// The next piece; nil after the last one, and when another is being waited for.
    package func next() async throws -> [UInt8]? {
        try await withCheckedThrowingContinuation { answer in
            if !asked.put(answer) { answer.resume(returning: nil) }
        }
    }

    /// Ends the thread.
    package func close() { asked.close() }
}

/// The pieces of a backup in their order: each is made when it is asked for.
package struct BackupPieces {
    /// What a part of the state has at most.
    private static let stateBytes = 256 << 10
    /// So much a second at most, as snapshots are written: the node has other things to do.
    private static let bytesPerMillisecond = 64 << 10

    private var writer = BackupWriter()
    private var header: BackupHeader?
    private let state: () -> [UInt8]?
    private var rest: ArraySlice<UInt8> = []
    private let history: HistoryFiles?
    private let end: LogIndex
    private var reader: HistoryFiles.Reader?
    private var isAtHistory = false
    private var isOver = false

    package init(of state: CoordinatorState, history: HistoryFiles?, header: BackupHeader) {
        self.state = StateCodec.pieces(of: state)
        (self.history, self.header, end) = (history, header, state.applied)
    }

    /// Nil after the last one.
    package mutating func next() throws(StorageError) -> [UInt8]? {
        guard !isOver else { return nil }
        if let header {
            self.header = nil
            return writer.header(header)
        }
        if let part = statePart() { return paced(writer.section(.state, part)) }
        if let records = try records() { return paced(writer.section(.history, records)) }
        isOver = true
        return writer.end()
    }

    private mutating func statePart() -> ArraySlice<UInt8>? {
        guard !isAtHistory else { return nil }
        if rest.isEmpty { rest = state()?[...] ?? [] }
        guard !rest.isEmpty else {
            isAtHistory = true
            return nil
        }
        defer { rest = rest.dropFirst(Self.stateBytes) }
        return rest.prefix(Self.stateBytes)
    }

    private mutating func records() throws(StorageError) -> [UInt8]? {
        if reader == nil { reader = try history?.reader(through: end) }
        return try reader?.next()
    }

    private func paced(_ piece: [UInt8]) -> [UInt8] {
        pause(milliseconds: piece.count / Self.bytesPerMillisecond)
        return piece
    }
}

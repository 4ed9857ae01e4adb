package import Primitives

/// Which request of each client was applied last, and with what result, so that one that comes again is answered and not applied (thesis section 6.3). A session is opened by
/// a log entry of its own, whose index is its id: one that was let go is never taken for a new one. Part of the state machine, and so of its snapshots: it is the same
/// on all servers.
package struct SessionTable: Equatable, Sendable {
    package enum Verdict: Equatable, Sendable {
        /// Apply it, and `record` what came of it.
        case fresh
        /// It was applied before, with this result.
        case repeated([UInt8])
        /// Nobody knows any more whether it was applied: the session was let go, or has moved on.
        case expired
    }

    private struct Session: Equatable, Sendable {
        var id: UInt64
        var sequence: UInt64
        var result: [UInt8]
        var touched: LogIndex
    }

    /// The longest unused goes first when there are more.
    package let limit: Int
    /// Sorted by id.
    private var sessions: [Session] = []

    package init(limit: Int = 4_096) {
        precondition(limit > 0, "a limit of \(limit) sessions")
        self.limit = limit
    }

    package var count: Int { sessions.count }

    /// Opens a session by the entry at this index, which is its id.
    package mutating func open(at index: LogIndex) { record(session: index.number, sequence: 0, result: [], at: index) }

    /// - Parameter sequence: 1 is the first of a session; each is one more than the one before.
    package func verdict(session id: UInt64, sequence: UInt64) -> Verdict {
        let place = place(of: id)
        guard place < sessions.count, sessions[place].id == id else { return .expired }
        let session = sessions[place]
        if sequence == session.sequence, sequence > 0 { return .repeated(session.result) }
        return sequence == session.sequence + 1 ? .fresh : .expired
    }

    package mutating func record(session id: UInt64, sequence: UInt64, result: [UInt8], at index: LogIndex) {
        let place = place(of: id)
        let session = Session(id: id, sequence: sequence, result: result, touched: index)
        if place < sessions.count, sessions[place].id == id { return sessions[place] = session }
        sessions.insert(session, at: place)
        guard sessions.count > limit, let oldest = sessions.indices.min(by: { sessions[$0].touched < sessions[$1].touched }) else { return }
        sessions.remove(at: oldest)
    }

    private func place(of id: UInt64) -> Int {
        var (low, high) = (0, sessions.count)
        while low < high {
            let middle = (low + high) / 2
            if sessions[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: In a snapshot

    /// Count u32, then for each id u64, sequence u64, index u64, length u32 and bytes of the result; little-endian.
    package func write(to bytes: inout [UInt8]) {
        func put(_ number: some FixedWidthInteger) { withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) } }
        put(UInt32(sessions.count))
        for session in sessions {
            put(session.id)
            put(session.sequence)
            put(session.touched.number)
            put(UInt32(session.result.count))
            bytes += session.result
        }
    }

    /// Nil when the bytes are not what `write` makes; `offset` is left behind them.
    package init?(_ bytes: [UInt8], at offset: inout Int, limit: Int = 4_096) {
        self.init(limit: limit)
        func get<T: FixedWidthInteger>(_ type: T.Type) -> T? {
            let size = T.bitWidth / 8
            guard bytes.count - offset >= size else { return nil }
            defer { offset += size }
            return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
        }
        guard let count = get(UInt32.self), count <= UInt32(clamping: limit) else { return nil }
        for _ in 0..<count {
            guard let id = get(UInt64.self), let sequence = get(UInt64.self), let touched = get(UInt64.self), let length = get(UInt32.self),
                bytes.count - offset >= Int(length), sessions.last.map({ $0.id < id }) ?? true
            else { return nil }
            sessions.append(
                Session(id: id, sequence: sequence, result: Array(bytes[offset..<offset + Int(length)]), touched: LogIndex(touched)))
            offset += Int(length)
        }
    }
}

import NIOCore
import Synchronization
package import Wire

/// Sends the pieces of a streamed answer, as fast as the caller gives credit for them.
package final class RPCStreamWriter: Sendable {
    /// Bytes of one piece at most.
    package static let pieceLimit = 1 << 20

    /// Bytes that may wait for the connection to have room, beside the piece that goes beyond them.
    private static let waitingLimit = 1 << 20
    private static let creditLimit = 1 << 40

    private struct State {
        var credit = 0
        /// Handed on, and not at the socket yet.
        var waitingBytes = 0
        /// The socket has no room.
        var isHeld = false
        var sequence: UInt64 = 0
        var waiting: CheckedContinuation<Void, Never>?
        var isClosed = false
    }

    private let id: UInt64
    private let post: @Sendable (ByteBuffer, Int) -> Void
    private let state = Mutex(State())

    init(id: UInt64, post: @escaping @Sendable (ByteBuffer, Int) -> Void) {
        self.id = id
        self.post = post
    }

    /// Returns once the piece is handed on; waits while the caller has not read enough of what came before. One task at a time.
    package func send(_ data: [UInt8]) async throws(CallError) {
        guard data.count <= Self.pieceLimit else {
            throw CallError(.tooLarge, "a piece of \(data.count) bytes; at most \(Self.pieceLimit) are sent")
        }
        while true {
            let (sequence, isClosed) = state.withLock { state -> (UInt64?, Bool) in
                guard !state.isClosed else { return (nil, true) }
                guard Self.mayGo(state) else { return (nil, false) }
                // A piece may overdraw what is left, so that small credit does not stop large pieces.
                state.credit -= data.count
                state.waitingBytes += data.count
                defer { state.sequence += 1 }
                return (state.sequence, false)
            }
            guard !isClosed, !Task.isCancelled else { throw CallError(.cancelled, "nobody reads the stream any more") }
            if let sequence {
                return post(StreamChunk(sequence: sequence, data: data).frame(id: id, flags: [.response, .more]), data.count)
            }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let goesOn = state.withLock { state in
                        guard !Self.mayGo(state), !state.isClosed else { return true }
                        state.waiting = continuation
                        return false
                    }
                    if goesOn { continuation.resume() }
                }
            } onCancel: {
                close()
            }
        }
    }

    private static func mayGo(_ state: State) -> Bool {
        state.credit > 0 && !state.isHeld && state.waitingBytes < waitingLimit
    }

    func add(credit: Int) { change { $0.credit = min(Self.creditLimit, $0.credit + credit) } }

    /// So many bytes of pieces went to the socket.
    func passed(_ bytes: Int) { change { $0.waitingBytes -= bytes } }

    /// Whether the socket has no room.
    func hold(_ isHeld: Bool) { change { $0.isHeld = isHeld } }

    private func change(_ body: (inout State) -> Void) {
        let waiting = state.withLock { state in
            body(&state)
            return Self.mayGo(state) ? Self.take(&state) : nil
        }
        waiting?.resume()
    }

    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            return Self.take(&state)
        }
        waiting?.resume()
    }

    private static func take(_ state: inout State) -> CheckedContinuation<Void, Never>? {
        defer { state.waiting = nil }
        return state.waiting
    }
}

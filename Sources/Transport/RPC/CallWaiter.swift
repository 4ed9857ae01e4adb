import NIOCore
import Primitives
import Synchronization
import Wire

/// A call of this process, from its submission to its end. Confined to its connection's event loop once it is submitted; who waits for it
/// is woken exactly once.
final class CallWaiter: @unchecked Sendable {
    let deadline: Instant?
    let flags: FrameFlags
    /// Writes the call's frame with the header that is given.
    let write: (FrameHeader, inout ByteBuffer) -> Void
    let type: MessageType
    /// For pieces that come before the answer.
    let stream: StreamSink?
    var continuation: UnsafeContinuation<Result<Frame, CallError>, Never>?
    /// 0 until it is sent.
    var id: UInt64 = 0
    var isCancelled = false
    private(set) var hasEnded = false

    init(
        _ type: MessageType, deadline: Instant?, flags: FrameFlags, stream: StreamSink? = nil,
        write: @escaping (FrameHeader, inout ByteBuffer) -> Void
    ) {
        self.type = type
        self.deadline = deadline
        self.flags = flags
        self.stream = stream
        self.write = write
    }

    func finish(_ result: Result<Frame, CallError>) {
        hasEnded = true
        stream?.end(result)
        let waiting = continuation
        continuation = nil
        waiting?.resume(returning: result)
    }
}

/// Pieces of a streamed answer on their way from the event loop to who reads them; bounded by the credit that was given.
final class StreamSink: Sendable {
    private struct State {
        var pieces: [[UInt8]] = []
        var first = 0
        var bytes = 0
        var next: UInt64 = 0
        var end: Result<Frame, CallError>?
        var waiting: CheckedContinuation<Void, Never>?
    }

    /// Bytes that may wait here; the largest piece may come on top of them.
    let window: Int
    private let state = Mutex(State())

    init(window: Int) { self.window = window }

    /// False when the other side does what it may not: sends more than it has credit for, or leaves one out.
    func take(_ chunk: StreamChunk) -> Bool {
        let (isRight, waiting) =
            state.withLock { state in
                let most = RPCStreamWriter.pieceLimit
                guard chunk.sequence == state.next, chunk.data.count <= most, state.bytes + chunk.data.count <= window + most else {
                    return (false, nil)
                }
                state.next += 1
                state.bytes += chunk.data.count
                state.pieces.append(chunk.data)
                return (true, Self.take(&state))
            } as (Bool, CheckedContinuation<Void, Never>?)
        waiting?.resume()
        return isRight
    }

    func end(_ result: Result<Frame, CallError>) {
        let waiting = state.withLock { state in
            if state.end == nil { state.end = result }
            return Self.take(&state)
        }
        waiting?.resume()
    }

    private static func take(_ state: inout State) -> CheckedContinuation<Void, Never>? {
        defer { state.waiting = nil }
        return state.waiting
    }

    /// The next piece, or how it ended.
    func next() async -> (piece: [UInt8]?, end: Result<Frame, CallError>?) {
        while true {
            let found: (piece: [UInt8]?, end: Result<Frame, CallError>?) = state.withLock { state in
                guard state.first < state.pieces.count else { return (nil, state.end) }
                let piece = state.pieces[state.first]
                state.pieces[state.first] = []
                state.first += 1
                state.bytes -= piece.count
                if state.first > 64 {
                    state.pieces.removeFirst(state.first)
                    state.first = 0
                }
                return (piece, nil)
            }
            if found.piece != nil || found.end != nil { return found }
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    guard state.first >= state.pieces.count, state.end == nil else { return true }
                    state.waiting = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        }
    }
}

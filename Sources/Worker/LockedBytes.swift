import Synchronization

/// Bytes that several tasks append to; what exceeds the limit is counted and said at the end.
final class LockedBytes: Sendable {
    private let state = Mutex<(bytes: [UInt8], dropped: Int)>(([], 0))

    func append(_ more: some Sequence<UInt8>, limit: Int) {
        state.withLock { state in
            for byte in more {
                if state.bytes.count < limit { state.bytes.append(byte) } else { state.dropped += 1 }
            }
        }
    }

    var bytes: [UInt8] {
        state.withLock { state in
            state.dropped == 0 ? state.bytes : state.bytes + Array("\n[\(state.dropped) further bytes were not kept]\n".utf8)
        }
    }
}

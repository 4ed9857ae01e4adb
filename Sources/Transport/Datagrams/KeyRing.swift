import Crypto
import Foundation
package import NIOCore
import Primitives
import Synchronization

/// The keys that datagrams are sealed with: one writes, all read, so that keys change while nodes that have only the old one still understand
/// and are understood: install the new one everywhere, use it everywhere, remove the old one.
///
/// A sealed datagram is `0xD1`, key id u8, nonce 12 bytes, AES-256-GCM of the frame, tag 16 bytes; the first two bytes are authenticated too.
package final class KeyRing: Sendable {
    /// One key, by a number that all nodes give it.
    package struct Key: Sendable {
        package let id: UInt8
        fileprivate let key: SymmetricKey

        /// - Parameter bytes: 32 of them.
        package init(id: UInt8, bytes: [UInt8]) throws(TransportError) {
            guard bytes.count == 32 else { throw .badKey(reason: "a key has 32 bytes, this one \(bytes.count)") }
            self.id = id
            key = SymmetricKey(data: bytes)
        }
    }

    package static let mark: UInt8 = 0xD1
    /// What sealing adds.
    package static let overhead = 2 + 12 + 16
    package static let keyLimit = 8

    private struct State {
        var keys: [Key]
        var used: UInt8
    }

    private let state: Mutex<State>

    package init(_ first: Key) { state = Mutex(State(keys: [first], used: first.id)) }

    /// From now on what is sealed with it is read.
    package func install(_ key: Key) throws(TransportError) {
        let failure: TransportError? = state.withLock { state in
            if let place = state.keys.firstIndex(where: { $0.id == key.id }) {
                return state.keys[place].key == key.key ? nil : .badKey(reason: "key \(key.id) is another one here")
            }
            guard state.keys.count < Self.keyLimit else { return .badKey(reason: "\(Self.keyLimit) keys are there already: remove one") }
            state.keys.append(key)
            return nil
        }
        if let failure { throw failure }
    }

    /// From now on it is what seals.
    package func use(_ id: UInt8) throws(TransportError) {
        let isThere = state.withLock { state in
            guard state.keys.contains(where: { $0.id == id }) else { return false }
            state.used = id
            return true
        }
        guard isThere else { throw .badKey(reason: "there is no key \(id): install it first") }
    }

    package func remove(_ id: UInt8) throws(TransportError) {
        let failure: TransportError? = state.withLock { state in
            guard state.used != id else { return .badKey(reason: "key \(id) is in use: use another first") }
            state.keys.removeAll { $0.id == id }
            return nil
        }
        if let failure { throw failure }
    }

    package var ids: [UInt8] { state.withLock { $0.keys.map(\.id).sorted() } }
    package var usedID: UInt8 { state.withLock { $0.used } }

    /// Nil when the machine has no nonce to give, which does not happen.
    package func seal(_ frame: ByteBuffer) -> ByteBuffer? {
        let key = state.withLock { state in state.keys.first { $0.id == state.used } }
        guard let key else { return nil }
        let head = [Self.mark, key.id]
        let sealed = frame.withUnsafeReadableBytes { bytes in try? AES.GCM.seal(bytes, using: key.key, authenticating: head) }
        guard let sealed, let combined = sealed.combined else { return nil }
        var buffer = ByteBuffer()
        buffer.reserveCapacity(head.count + combined.count)
        buffer.writeBytes(head)
        buffer.writeBytes(combined)
        return buffer
    }

    /// Nil for what no key of the ring opens.
    package func open(_ datagram: ByteBuffer) -> ByteBuffer? {
        guard datagram.readableBytes > Self.overhead,
            let head = datagram.getBytes(at: datagram.readerIndex, length: 2), head[0] == Self.mark,
            let key = state.withLock({ state in state.keys.first { $0.id == head[1] } })
        else { return nil }
        let plain = datagram.withUnsafeReadableBytes { bytes -> Data? in
            guard let box = try? AES.GCM.SealedBox(combined: UnsafeRawBufferPointer(rebasing: bytes.dropFirst(2))) else { return nil }
            return try? AES.GCM.open(box, using: key.key, authenticating: head)
        }
        return plain.map { ByteBuffer(bytes: $0) }
    }
}

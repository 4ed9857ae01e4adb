import CChecksum
package import NIOCore

/// One frame as it came in.
package struct Frame: Equatable, Sendable {
    package var header: FrameHeader
    /// What stands before the message; nil mostly.
    package var attached: ByteBuffer?
    /// The message's fields.
    package var payload: ByteBuffer

    package init(header: FrameHeader, attached: ByteBuffer?, payload: ByteBuffer) {
        self.header = header
        self.attached = attached
        self.payload = payload
    }

    /// Trace, session and key of the call.
    package func frameExtension() throws(WireError) -> FrameExtension {
        guard let attached else { return FrameExtension() }
        return try FrameExtension.decode(attached)
    }
}

/// Cuts a stream of bytes into frames. It holds at most one unfinished frame and what came with it; a length that may not be is refused before
/// anything is kept for it. After an error nothing that follows can be trusted: the stream is at its end.
package struct FrameDecoder: Sendable {
    /// Payloads beyond it are refused; small until it is known who talks.
    package var payloadLimit: Int
    private var waiting: ByteBuffer?
    private var header: FrameHeader?
    private var failure: WireError?

    package init(payloadLimit: Int = MessageType.largestPayload) { self.payloadLimit = payloadLimit }

    /// Bytes that wait for the rest of their frame.
    package var waitingBytes: Int { waiting?.readableBytes ?? 0 }

    package mutating func append(_ bytes: ByteBuffer) {
        guard failure == nil else { return }
        guard var held = waiting, held.readableBytes > 0 else {
            waiting = bytes
            return
        }
        waiting = nil
        held.discardReadBytes()
        held.writeImmutableBuffer(bytes)
        waiting = held
    }

    /// The next whole frame; nil until more has come.
    package mutating func next() throws(WireError) -> Frame? {
        if let failure { throw failure }
        do throws(WireError) { return try cut() } catch {
            failure = error
            waiting = nil
            throw error
        }
    }

    private mutating func cut() throws(WireError) -> Frame? {
        guard var held = waiting else { return nil }
        guard let header = try head(held) else { return nil }
        let total = FrameHeader.bytes + header.payloadBytes
        guard held.readableBytes >= total else {
            self.header = header
            return nil
        }
        self.header = nil
        // The only other reference must go, or reading on would copy.
        waiting = nil
        let found = Self.checksum(held, total)
        guard found == header.checksum else { throw .checksumMismatch(expected: header.checksum, found: found) }
        held.moveReaderIndex(forwardBy: FrameHeader.bytes)
        let attached = header.extensionBytes == 0 ? nil : held.readSlice(length: header.extensionBytes)
        let length = header.payloadBytes - header.extensionBytes
        guard held.readableBytes > length else { return Frame(header: header, attached: attached, payload: held) }
        guard let payload = held.readSlice(length: length) else { throw .truncated(at: 0) }
        waiting = held
        return Frame(header: header, attached: attached, payload: payload)
    }

    private func head(_ held: ByteBuffer) throws(WireError) -> FrameHeader? {
        if let header { return header }
        guard held.readableBytes >= FrameHeader.bytes else {
            // Who sends no frame is told as soon as that is sure.
            try Self.checkMagic(held)
            return nil
        }
        var (header, failure) = (nil as FrameHeader?, nil as WireError?)
        held.withUnsafeReadableBytes { bytes in
            do throws(WireError) { header = try FrameHeader(bytes, limit: payloadLimit) } catch { failure = error }
        }
        if let failure { throw failure }
        return header
    }

    private static func checkMagic(_ held: ByteBuffer) throws(WireError) {
        guard let magic = held.getInteger(at: held.readerIndex, as: UInt32.self), magic != FrameHeader.magic else { return }
        throw .notAFrame(magic: magic)
    }

    /// Over the frame with the checksum's own four bytes as 0.
    private static func checksum(_ held: ByteBuffer, _ total: Int) -> UInt32 {
        held.withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            var head = base.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt32, UInt32).self)
            head.4 = 0
            let front = withUnsafeBytes(of: head) { distric_crc32c(0, $0.baseAddress, FrameHeader.bytes) }
            return total == FrameHeader.bytes ? front : distric_crc32c(front, base + FrameHeader.bytes, total - FrameHeader.bytes)
        }
    }
}

/// A datagram that is one frame, whole or not at all.
package enum DatagramFrame {
    /// What fits a path of 1,500 bytes with IPv6, UDP and a tunnel around it.
    package static let limit = 1400

    package static func decode(_ datagram: ByteBuffer) throws(WireError) -> Frame {
        var decoder = FrameDecoder(payloadLimit: limit - FrameHeader.bytes)
        decoder.append(datagram)
        guard let frame = try decoder.next() else { throw .truncated(at: datagram.readableBytes) }
        guard decoder.waitingBytes == 0 else { throw .trailingBytes(decoder.waitingBytes) }
        return frame
    }
}

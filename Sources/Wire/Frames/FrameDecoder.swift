import CChecksum
package import NIOCore

/// One frame as it came in.
package struct Frame: Equatable, Sendable {
    package let header: FrameHeader
    /// The message's fields; what stands before them is behind the reader.
    package let payload: ByteBuffer

    @inline(__always)
    package init(header: FrameHeader, payload: ByteBuffer) {
        self.header = header
        self.payload = payload
    }

    /// What stands before the message; nil mostly.
    package var attached: ByteBuffer? {
        guard header.extensionBytes > 0 else { return nil }
        var whole = payload
        whole.moveReaderIndex(to: payload.readerIndex - header.extensionBytes)
        return whole.readSlice(length: header.extensionBytes)
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
    /// nil rather than empty: an empty buffer is one that all share, and counts who holds it.
    private var held: ByteBuffer?
    /// What went wrong, for whoever asks again.
    private var failure: (any Error)?

    package init(payloadLimit: Int = MessageType.largestPayload) { self.payloadLimit = payloadLimit }

    /// Bytes that wait for the rest of their frame.
    package var waitingBytes: Int { held?.readableBytes ?? 0 }

    package mutating func append(_ bytes: ByteBuffer) {
        guard failure == nil else { return }
        guard waitingBytes > 0 else { return held = bytes }
        held?.discardReadBytes()
        held?.writeImmutableBuffer(bytes)
    }

    /// The next whole frame; nil until more has come.
    package mutating func next() throws(WireError) -> Frame? {
        if let failure { throw failure as? WireError ?? .truncated(at: 0) }
        guard waitingBytes > 0 else { return nil }
        var (header, problem) = (nil as FrameHeader?, nil as WireError?)
        held?.withUnsafeReadableBytes { bytes in
            do throws(WireError) { header = try Self.look(bytes, payloadLimit) } catch { problem = error }
        }
        if let problem {
            failure = problem
            held = nil
            throw problem
        }
        guard let header else { return nil }
        return cut(header)
    }

    /// The header of the first frame, when all of it is there and what it says of it holds.
    private static func look(_ bytes: UnsafeRawBufferPointer, _ limit: Int) throws(WireError) -> FrameHeader? {
        guard let base = bytes.baseAddress, bytes.count >= FrameHeader.bytes else {
            // Who sends no frame is told as soon as that is sure.
            guard bytes.count >= 4 else { return nil }
            let magic: UInt32 = bytes.integer(at: 0)
            guard magic == FrameHeader.magic else { throw .notAFrame(magic: magic) }
            return nil
        }
        let header = try FrameHeader(bytes, limit: limit)
        let total = FrameHeader.bytes + header.payloadBytes
        guard bytes.count >= total else { return nil }
        let found = checksum(base, total)
        guard found == header.checksum else { throw .checksumMismatch(expected: header.checksum, found: found) }
        return header
    }

    private mutating func cut(_ header: FrameHeader) -> Frame? {
        guard var rest = held.take() else { return nil }
        rest.moveReaderIndex(forwardBy: FrameHeader.bytes)
        // The last one that is here takes the buffer as it is.
        guard rest.readableBytes > header.payloadBytes, var payload = rest.readSlice(length: header.payloadBytes) else {
            rest.moveReaderIndex(forwardBy: header.extensionBytes)
            return Frame(header: header, payload: rest)
        }
        held = rest
        payload.moveReaderIndex(forwardBy: header.extensionBytes)
        return Frame(header: header, payload: payload)
    }

    /// Over the frame with the checksum's own four bytes as 0.
    private static func checksum(_ base: UnsafeRawPointer, _ total: Int) -> UInt32 {
        var head = base.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt32, UInt32).self)
        head.4 = 0
        let front = withUnsafeBytes(of: head) { distric_crc32c(0, $0.baseAddress, FrameHeader.bytes) }
        return total == FrameHeader.bytes ? front : distric_crc32c(front, base + FrameHeader.bytes, total - FrameHeader.bytes)
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

import CChecksum
package import NIOCore

/// Writes frames.
package enum FrameEncoder {
    /// Reserves the whole frame, has `body` write the payload, and seals it with the checksum.
    ///
    /// - Parameter header: `payloadBytes` is what `body` writes.
    static func frame(_ header: FrameHeader, into buffer: inout ByteBuffer, _ body: (UnsafeMutableRawPointer) -> Void) {
        let total = FrameHeader.bytes + header.payloadBytes
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { space in
            guard let base = space.baseAddress else { return 0 }
            header.write(to: base)
            body(base + FrameHeader.bytes)
            let checksum = distric_crc32c(0, base, total)
            base.storeBytes(of: checksum.bigEndian, toByteOffset: FrameHeader.checksumOffset, as: UInt32.self)
            return total
        }
    }

    /// A frame of bytes that are a message already: what a client passes on, and what tests make.
    package static func frame(_ header: FrameHeader, payload: ByteBuffer, into buffer: inout ByteBuffer) {
        var header = header
        header.payloadBytes = payload.readableBytes
        frame(header, into: &buffer) { payload.write(to: $0) }
    }
}

import CZlib

/// The gzip format (RFC 1952).
package enum Gzip {
    package enum Failure: Error, Equatable {
        /// The bytes are no gzip, or end too early.
        case damaged
        /// Unpacked, they are more than was allowed.
        case tooLarge(limit: Int)
    }

    /// Packs at level 1: text of metrics and spans shrinks about tenfold there, and higher levels cost several times as much for a few percent.
    package static func pack(_ bytes: [UInt8]) -> [UInt8] {
        var stream = z_stream()
        let began = distric_deflate_begin(&stream, 1)
        precondition(began == Z_OK, "zlib refused to begin: \(began)")
        defer { deflateEnd(&stream) }
        let bound = Int(deflateBound(&stream, UInt(bytes.count)))
        return bytes.withUnsafeBufferPointer { input in
            // zlib never writes through `next_in`.
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.avail_in = UInt32(input.count)
            return [UInt8](unsafeUninitializedCapacity: bound) { output, count in
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(bound)
                let ended = deflate(&stream, Z_FINISH)
                precondition(ended == Z_STREAM_END, "zlib stopped within the bound it gave: \(ended)")
                count = Int(stream.total_out)
            }
        }
    }

    /// Unpacks at most `limit` bytes.
    package static func unpack(_ bytes: [UInt8], limit: Int) throws(Failure) -> [UInt8] {
        var stream = z_stream()
        guard distric_inflate_begin(&stream) == Z_OK else { throw .damaged }
        defer { inflateEnd(&stream) }
        var result: Int32 = Z_OK
        let whole = bytes.withUnsafeBufferPointer { input in
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.avail_in = UInt32(input.count)
            var whole: [UInt8] = []
            while result == Z_OK, whole.count <= limit {
                whole += [UInt8](unsafeUninitializedCapacity: 16_384) { output, count in
                    stream.next_out = output.baseAddress
                    stream.avail_out = UInt32(output.count)
                    result = inflate(&stream, Z_NO_FLUSH)
                    count = output.count - Int(stream.avail_out)
                }
            }
            return whole
        }
        guard whole.count <= limit else { throw .tooLarge(limit: limit) }
        guard result == Z_STREAM_END else { throw .damaged }
        return whole
    }
}

import NIOCore
import Wire

/// What libFuzzer calls with each input: bytes as a peer might send them. The first byte says how they are cut into reads; after it comes the
/// stream. Checksums are put right, so that what lies behind them is reached.
///
///     DISTRIC_FUZZER=1 swift build --sanitize fuzzer --product distric-fuzz --scratch-path .build-fuzz
///     .build-fuzz/debug/distric-fuzz -max_total_time=60 -max_len=4096
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzWire(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let step = Int(start[0] % 64) + 1
    let stream = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    decode(stream, step)
    decode(sealed(stream), count)
    return 0
}

/// Everything that comes out is read, shown and written again.
private func decode(_ stream: [UInt8], _ step: Int) {
    var decoder = FrameDecoder()
    var place = 0
    do {
        while place < stream.count {
            let end = min(stream.count, place + step)
            decoder.append(ByteBuffer(bytes: stream[place..<end]))
            place = end
            while let frame = try decoder.next() {
                _ = try? frame.frameExtension()
                guard let kind = WireMessages.all.first(where: { $0.type == frame.header.type }) else { continue }
                _ = try? kind.show(frame.payload)
            }
        }
    } catch {}
    _ = try? MessagePack.read(stream)
    _ = try? DatagramFrame.decode(ByteBuffer(bytes: stream))
}

/// The same bytes as the payload of one whole frame, of the type that the first two of them choose.
private func sealed(_ stream: [UInt8]) -> [UInt8] {
    guard stream.count > 2 else { return stream }
    let kinds = WireMessages.all
    let kind = kinds[Int(stream[0]) % kinds.count]
    let payload = ByteBuffer(bytes: stream[2...])
    guard payload.readableBytes <= kind.type.payloadLimit else { return stream }
    var buffer = ByteBuffer()
    let front = Int(stream[1]) % 32
    FrameEncoder.frame(
        FrameHeader(type: kind.type, id: 7, extensionBytes: min(front, payload.readableBytes)), payload: payload, into: &buffer)
    return Array(buffer.readableBytesView)
}

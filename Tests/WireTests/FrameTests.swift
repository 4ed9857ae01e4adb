import Foundation
import NIOCore
import Primitives
import Testing

@testable import Wire

/// Frames are a header of 32 bytes, big-endian, and a payload (FrameHeader.swift).
struct FrameTests {
    /// Checked against an implementation of CRC-32C (RFC 3720 appendix B.4) that is not this program's.
    private let golden = bytes(
        hex: """
            44495354 0100 100c 0084 0002 00000003 0102030405060708 0a0b0c0d 20dfcab7
            aabbcc
            """)
    private let goldenHeader = FrameHeader(
        type: .propose, flags: [.urgent, .more], id: 0x0102_0304_0506_0708, millisecondsLeft: 0x0A0B_0C0D, extensionBytes: 2)

    private func framed(_ header: FrameHeader, _ payload: [UInt8]) -> [UInt8] {
        var buffer = ByteBuffer()
        FrameEncoder.frame(header, payload: ByteBuffer(bytes: payload), into: &buffer)
        return Array(buffer.readableBytesView)
    }

    /// A header of which nothing follows, with no checksum.
    private func head(
        _ type: MessageType = .propose, version: UInt16 = 0x0100, flags: UInt16 = 0, extensionBytes: UInt16 = 0, payloadBytes: UInt32 = 0
    ) -> [UInt8] {
        var writer = TLVWriter()
        writer.fixed(FrameHeader.magic)
        writer.fixed(version)
        writer.fixed(type.number)
        writer.fixed(flags)
        writer.fixed(extensionBytes)
        writer.fixed(payloadBytes)
        writer.fixed([UInt8](repeating: 0, count: 16))
        let written: [UInt8] = writer.bytes
        return written
    }

    private func failure(_ input: [UInt8], limit: Int = MessageType.largestPayload) -> WireError? {
        var decoder = FrameDecoder(payloadLimit: limit)
        decoder.append(ByteBuffer(bytes: input))
        return failure(&decoder)
    }

    private func failure(_ decoder: inout FrameDecoder) -> WireError? {
        do throws(WireError) {
            _ = try decoder.next()
            return nil
        } catch {
            return error
        }
    }

    private func datagramFailure(_ input: [UInt8]) -> WireError? {
        do throws(WireError) {
            _ = try DatagramFrame.decode(ByteBuffer(bytes: input))
            return nil
        } catch {
            return error
        }
    }

    /// The frames of a stream that comes in pieces.
    private func frames(_ pieces: [[UInt8]]) throws -> [Frame] {
        var decoder = FrameDecoder()
        var found: [Frame] = []
        for piece in pieces {
            decoder.append(ByteBuffer(bytes: piece))
            while let frame = try decoder.next() { found.append(frame) }
        }
        #expect(decoder.waitingBytes == 0)
        return found
    }

    private let stream = Samples.all.flatMap { Array($0.frame.readableBytesView) }

    private func isStream(_ found: [Frame]) -> Bool {
        found.count == Samples.all.count
            && zip(found, Samples.all).allSatisfy { frame, sample in
                frame.header.type == sample.type && frame.header.id == Samples.id
                    && frame.payload == ByteBuffer(bytes: sample.payload)
            }
    }

    // MARK: Layout

    @Test func `the bytes of a frame are these for ever`() throws {
        let written = framed(goldenHeader, [0xAA, 0xBB, 0xCC])
        #expect(written == golden)
        let found = try frames([golden])
        let frame = try #require(found.first)
        var expected = goldenHeader
        expected.payloadBytes = 3
        expected.checksum = 0x20DF_CAB7
        #expect(frame.header == expected)
        #expect(frame.attached == ByteBuffer(bytes: [0xAA, 0xBB]))
        #expect(frame.payload == ByteBuffer(bytes: [0xCC]))
        let empty = framed(FrameHeader(type: MessageType(number: 0x4007), flags: [.oneWay]), [])
        let emptyGolden = bytes(hex: "44495354 0100 4007 0040 0000 00000000 0000000000000000 00000000 4f11f54a")
        #expect(empty == emptyGolden)
        #expect(empty.count == FrameHeader.bytes)
    }

    @Test func `the numbers of the types are these for ever`() {
        let numbers = WireMessages.all.map { hexadecimal(UInt64($0.type.number), digits: 4) }
        let expected = [
            "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "100a", "100b", "100c", "100d", "100e", "100f",
            "1010",
            "2001", "2002", "2003", "2004", "2005", "2006", "3001", "3002", "3003", "3004", "3005", "3006", "3007", "3008", "3009", "300a",
            "4001", "4002", "4003", "4004", "4005", "4006", "4007", "4008", "4009", "400a", "4f01",
        ]
        #expect(numbers == expected)
        #expect(MessageType(number: 0x0A0B).description == "0x0a0b")
        #expect(MessageType.requestVote.description == "request_vote")
    }

    @Test func `the numbers of the flags are these for ever`() {
        let names = FrameFlags.names.map { "\($0.1) \($0.0.rawValue)" }
        #expect(names == ["urgent 4", "retry 8", "response 16", "error 32", "one-way 64", "more 128"])
    }

    @Test func `a message is written after the extension, in one frame`() throws {
        let found = try frames([Array(Credit(bytes: 5).frame(id: 3, flags: [.oneWay], attached: Samples.attached).readableBytesView)])
        let frame = try #require(found.first)
        let attached = try frame.frameExtension()
        let message = try Credit.decode(frame.payload)
        #expect(attached == Samples.attached)
        #expect(message == Credit(bytes: 5))
        #expect(frame.header.id == 3)
        #expect(frame.header.flags == [.oneWay])
        let bare = try frames([Array(Credit(bytes: 5).frame().readableBytesView)])
        let plain = try #require(bare.first)
        let none = try plain.frameExtension()
        #expect(none == FrameExtension())
    }

    // MARK: Streams

    @Test func `frames that come byte by byte are the same`() throws {
        let found = try frames(stream.map { [$0] })
        #expect(isStream(found))
    }

    @Test func `several frames in one buffer come one after the other`() throws {
        let found = try frames([stream])
        #expect(isStream(found))
    }

    @Test func `frames cut anywhere are the same`() throws {
        let seed: UInt64 = 201
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            var (pieces, place) = ([[UInt8]](), 0)
            while place < stream.count {
                let end = min(stream.count, place + Int.random(in: 0...300, using: &generator))
                pieces.append(Array(stream[place..<end]))
                place = end
            }
            let found = try frames(pieces)
            #expect(isStream(found), "seed \(seed)")
        }
    }

    @Test func `frames that were handed out stay as they are when more comes`() throws {
        var decoder = FrameDecoder()
        decoder.append(ByteBuffer(bytes: golden + Array(golden.prefix(10))))
        let next = try decoder.next()
        let first = try #require(next)
        #expect(decoder.waitingBytes == 10)
        decoder.append(ByteBuffer(bytes: Array(golden.dropFirst(10))))
        let second = try decoder.next()
        #expect(second == first)
        #expect(first.payload == ByteBuffer(bytes: [0xCC]))
        let third = try decoder.next()
        #expect(third == nil)
        #expect(decoder.waitingBytes == 0)
    }

    // MARK: Refusals

    @Test func `what is no frame is refused as soon as four bytes are there`() {
        for count in 0..<4 {
            let early = failure(Array("GET / HTTP/1.1".utf8.prefix(count)))
            #expect(early == nil)
        }
        for count in 4...14 {
            let error = failure(Array("GET / HTTP/1.1".utf8.prefix(count)))
            #expect(error == WireError.notAFrame(magic: 0x4745_5420))
        }
        for count in 0..<golden.count {
            let cut = failure(Array(golden.prefix(count)))
            #expect(cut == nil, "\(count) bytes")
        }
    }

    @Test func `another major version is refused, a later minor one is read`() throws {
        for major in UInt8.min...UInt8.max where major != 1 {
            let version = WireVersion(major: major, minor: 0)
            let error = failure(head(version: version.number))
            #expect(error == WireError.unsupportedVersion(version, supported: WireVersion(major: 1, minor: 0)))
        }
        for minor in [UInt8(0), 1, 9, 255] {
            var header = goldenHeader
            header.version = WireVersion(major: 1, minor: minor)
            let found = try frames([framed(header, [1, 2, 3])])
            #expect(found.first?.header.version == header.version)
        }
    }

    @Test func `reserved flags are refused, unknown ones are read`() throws {
        for flags in [UInt16(1), 2, 3, 0x87] {
            let error = failure(head(flags: flags))
            #expect(error == WireError.reservedFlags(flags))
        }
        let found = try frames([framed(FrameHeader(type: .propose, flags: FrameFlags(rawValue: 0xFF00)), [])])
        #expect(found.count == 1)
    }

    @Test func `a payload larger than may be is refused before any of it is kept`() {
        for type in WireMessages.all.map(\.type) {
            let cap = type.payloadLimit
            #expect(cap <= MessageType.largestPayload)
            for length in [UInt32(cap) + 1, UInt32.max] {
                var decoder = FrameDecoder()
                decoder.append(ByteBuffer(bytes: head(type, payloadBytes: length)))
                let error = failure(&decoder)
                #expect(error == WireError.payloadTooLarge(type: type, bytes: Int(length), limit: cap))
                #expect(decoder.waitingBytes <= FrameHeader.bytes)
            }
            let exact = failure(head(type, payloadBytes: UInt32(cap)))
            #expect(exact == nil)
        }
        let unknown = failure(head(MessageType(number: 0x7777), payloadBytes: 65_537))
        #expect(unknown == WireError.payloadTooLarge(type: MessageType(number: 0x7777), bytes: 65_537, limit: 65_536))
        let strict = failure(head(payloadBytes: 11), limit: 10)
        #expect(strict == WireError.payloadTooLarge(type: .propose, bytes: 11, limit: 10))
    }

    @Test func `an extension longer than the payload is refused`() {
        let error = failure(head(extensionBytes: 4, payloadBytes: 3))
        #expect(error == WireError.extensionTooLong(bytes: 4, payload: 3))
        let exact = failure(framed(FrameHeader(type: .propose, extensionBytes: 3), [1, 2, 3]))
        #expect(exact == nil)
    }

    @Test func `a payload that was changed is refused`() {
        var changed = golden
        changed[34] ^= 1
        let error = failure(changed)
        guard case .checksumMismatch(let expected, let found)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(expected == 0x20DF_CAB7)
        #expect(found != expected)
    }

    @Test func `every error of a frame says something of its own`() {
        let errors: [WireError] = [
            .notAFrame(magic: 1), .unsupportedVersion(WireVersion(major: 2, minor: 0), supported: .current), .reservedFlags(3),
            .payloadTooLarge(type: .ping, bytes: 2, limit: 1), .extensionTooLong(bytes: 2, payload: 1),
            .checksumMismatch(expected: 1, found: 2), .trailingBytes(3),
        ]
        #expect(Set(errors.map(\.description)).count == errors.count)
    }

    // MARK: Datagrams

    @Test func `a datagram is one whole frame`() throws {
        let frame = try DatagramFrame.decode(ByteBuffer(bytes: golden))
        #expect(frame.payload == ByteBuffer(bytes: [0xCC]))
        for count in 0..<golden.count {
            let cut = datagramFailure(Array(golden.prefix(count)))
            #expect(cut == WireError.truncated(at: count))
        }
        let more = datagramFailure(golden + [0])
        #expect(more == WireError.trailingBytes(1))
        let twice = datagramFailure(golden + golden)
        #expect(twice == WireError.trailingBytes(golden.count))
        let large = datagramFailure(framed(FrameHeader(type: .propose), [UInt8](repeating: 0, count: DatagramFrame.limit + 1)))
        guard case .payloadTooLarge(let type, let count, _)? = large else {
            Issue.record("\(String(describing: large))")
            return
        }
        #expect(type == .propose)
        #expect(count == DatagramFrame.limit + 1)
    }

    // MARK: Chance

    @Test func `every single flipped bit of a frame is caught`() {
        let seed: UInt64 = 202
        var generator = SeededGenerator(seed: seed)
        let types = WireMessages.all.map(\.type)
        var missed: [String] = []
        for number in 0..<200 {
            let payload = (0..<Int.random(in: 0...24, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let header = FrameHeader(
                type: types[Int.random(in: types.indices, using: &generator)], flags: [.response], id: generator.next(),
                millisecondsLeft: UInt32.random(in: 0...UInt32.max, using: &generator),
                extensionBytes: Int.random(in: 0...payload.count, using: &generator))
            let whole = framed(header, payload)
            for bit in 0..<(whole.count * 8) {
                var flipped = whole
                flipped[bit / 8] ^= 0x80 >> UInt8(bit % 8)
                if let how = escape(flipped) { missed.append("frame \(number), bit \(bit): \(how)") }
            }
        }
        #expect(missed.isEmpty, "seed \(seed): \(missed.prefix(5))")
    }

    /// How a frame with a flipped bit got through; nil when it was caught. A flipped length may make the decoder wait: then what it waits
    /// for is no frame either.
    private func escape(_ flipped: [UInt8]) -> String? {
        let most = 1 << 16
        var decoder = FrameDecoder()
        decoder.append(ByteBuffer(bytes: flipped))
        do throws(WireError) {
            let first = try decoder.next()
            guard first == nil else { return "it was read" }
            let declared = bigEndian(flipped[12..<16], at: 12) as UInt32
            let missing = FrameHeader.bytes + Int(declared) - flipped.count
            guard missing > 0 else { return "it waits for nothing" }
            decoder.append(ByteBuffer(repeating: 0, count: min(missing, most)))
            let second = try decoder.next()
            guard second == nil else { return "it was read when more came" }
            return missing <= most ? "it was not refused when all had come" : nil
        } catch {
            return nil
        }
    }

    @Test func `mutated messages are read or refused, and never trap`() {
        let seed: UInt64 = 203
        let inputs = ProcessInfo.processInfo.environment["DISTRIC_FUZZ"].flatMap { Int($0) } ?? 20_000
        var generator = SeededGenerator(seed: seed)
        let samples = Array(zip(Samples.all, WireMessages.all))
        let attached = Samples.encoded(Samples.attached)
        var read = 0
        var wrong: [String] = []
        for input in 0..<inputs {
            let (sample, kind) = samples[Int.random(in: samples.indices, using: &generator)]
            switch Int.random(in: 0..<8, using: &generator) {
            case 0:
                let mutated = Mutator.mutate(Array(sample.frame.readableBytesView), &generator)
                var decoder = FrameDecoder()
                let cut = Int.random(in: 0...mutated.count, using: &generator)
                for piece in [mutated[..<cut], mutated[cut...]] {
                    decoder.append(ByteBuffer(bytes: piece))
                    while let frame = try? decoder.next() {
                        _ = try? frame.frameExtension()
                        _ = try? sample.read(frame.payload)
                    }
                }
                _ = try? DatagramFrame.decode(ByteBuffer(bytes: mutated))
            case 1:
                let mutated = Mutator.mutate(attached, &generator)
                _ = try? FrameExtension.decode(ByteBuffer(bytes: mutated))
            default:
                let mutated = Mutator.mutate(sample.payload, &generator)
                guard let reading = try? sample.read(ByteBuffer(bytes: mutated)) else { continue }
                read += 1
                // Each element takes its length at least.
                if reading.elements * 4 > mutated.count { wrong.append("input \(input): \(reading.elements) elements of \(sample.name)") }
                let again = try? sample.read(ByteBuffer(bytes: reading.again))
                if again?.again != reading.again { wrong.append("input \(input): \(sample.name) does not read as it was written") }
                _ = try? kind.show(ByteBuffer(bytes: mutated))
            }
        }
        #expect(wrong.isEmpty, "seed \(seed): \(wrong.prefix(5))")
        #expect(read > 0, "seed \(seed)")
    }
}

/// Breaks bytes in the ways that hurt a reader of lengths.
private enum Mutator {
    private static let lengths: [UInt32] = [0, 1, 4, 5, 0x7F, 0xFFFF, 0x00FF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFC, 0xFFFF_FFFF]

    static func mutate(_ input: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var output = input
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !output.isEmpty {
            let place = Int.random(in: output.indices, using: &generator)
            let end = min(output.count, place + Int.random(in: 1...24, using: &generator))
            switch Int.random(in: 0..<8, using: &generator) {
            case 0, 1: output[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 2: output[place] = UInt8.random(in: 0...255, using: &generator)
            case 3: output.insert(UInt8.random(in: 0...12, using: &generator), at: place)
            case 4: output.removeSubrange(place..<end)
            case 5: output.insert(contentsOf: Array(output[place..<end]), at: Int.random(in: output.indices, using: &generator))
            case 6:
                let length = lengths[Int.random(in: lengths.indices, using: &generator)]
                for offset in 0..<4 where place + offset < output.count {
                    output[place + offset] = UInt8(truncatingIfNeeded: length >> UInt32((3 - offset) * 8))
                }
            default: output.removeLast(output.count - place)
            }
        }
        return output
    }
}

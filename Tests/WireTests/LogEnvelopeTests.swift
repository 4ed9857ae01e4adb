import Primitives
import Testing

@testable import Wire

/// The head of every log payload, a promise to every later version (LogEnvelope.swift).
struct LogEnvelopeTests {
    private let envelope = LogEnvelope(
        featureLevel: 3, time: ClusterTime(milliseconds: 0x018f_3b1e_7c2a), namespace: "default", kind: 0x0102)

    private let golden = bytes(hex: "01 0003 0000018f3b1e7c2a 07 64656661756c74 0102")

    private func decoded(_ bytes: ArraySlice<UInt8>) throws(WireError) -> LogEnvelope { try LogEnvelope.head(of: Array(bytes)) }

    @Test func `the golden bytes stay`() throws {
        var writer = TLVWriter()
        envelope.encode(into: &writer)
        let written: [UInt8] = writer.bytes
        #expect(written == golden)
        let read = try decoded(golden[...])
        #expect(read == envelope)
    }

    @Test func `what follows the head are the command's fields`() throws {
        var writer = TLVWriter()
        envelope.encode(into: &writer)
        writer.u8(1, 9)
        let written: [UInt8] = writer.bytes
        let (head, start) = try written.lent { bytes throws(WireError) in try LogEnvelope.decode(bytes) }
        #expect(head == envelope)
        let fields = written[start...]
        #expect(Array(fields) == bytes(hex: "0001 01 00000001 09"))
        var reader = TLVReader(fields)
        let field = try reader.next()
        let value = try #require(field).u8()
        #expect(value == 9)
    }

    @Test func `it reads inside a larger buffer`() throws {
        var buffer: [UInt8] = [0xFF, 0xFF, 0xFF]
        buffer.append(contentsOf: golden)
        let read = try buffer.lent { bytes throws(WireError) in
            try LogEnvelope.decode(UnsafeRawBufferPointer(rebasing: bytes[3...]))
        }
        #expect(read.0 == envelope)
        #expect(read.fields == golden.count)
    }

    @Test func `any envelope reads back`() throws {
        let seed: UInt64 = 9
        var generator = SeededGenerator(seed: seed)
        for length in [0, 1, 63, 255] {
            let original = LogEnvelope(
                featureLevel: UInt16.random(in: 0...UInt16.max, using: &generator), time: ClusterTime(milliseconds: generator.next()),
                namespace: String(repeating: "n", count: length), kind: UInt16.random(in: 0...UInt16.max, using: &generator))
            var writer = TLVWriter()
            original.encode(into: &writer)
            let written: [UInt8] = writer.bytes
            #expect(written.count == 14 + length)
            let read = try decoded(written[...])
            #expect(read == original, "seed \(seed)")
        }
    }

    @Test func `another version is refused`() {
        for version in UInt8.min...UInt8.max where version != LogEnvelope.version {
            var changed = golden
            changed[0] = version
            #expect(throws: WireError.unsupportedEnvelope(version: version)) { try decoded(changed[...]) }
        }
        #expect(throws: WireError.unsupportedEnvelope(version: 2)) { try decoded([2]) }
    }

    @Test func `a head cut anywhere is refused`() {
        for count in 0..<golden.count {
            #expect(throws: WireError.truncated(at: count)) { try decoded(golden[..<count]) }
        }
    }

    @Test func `a namespace that is no text is refused`() {
        var changed = golden
        changed[12] = 0xFF
        #expect(throws: WireError.badText(tag: 0, at: 12)) { try decoded(changed[...]) }
    }

    @Test func `any bytes are read or refused, and never trap`() {
        let seed: UInt64 = 103
        var generator = SeededGenerator(seed: seed)
        var read = 0
        for _ in 0..<20_000 {
            var input = golden
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                input[Int.random(in: input.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            input.removeLast(Int.random(in: 0...4, using: &generator))
            if (try? decoded(input[...])) != nil { read += 1 }
        }
        #expect(read > 0, "seed \(seed)")
    }
}

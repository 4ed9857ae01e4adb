import CChecksum
import Primitives
import Testing

/// CRC-32C (RFC 3720 appendix B.4): the processor's instruction against the tables, whatever the length, the start and the seed.
struct ChecksumTests {
    @Test func `the published vectors hold`() {
        func sum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { distric_crc32c(0, $0.baseAddress, $0.count) } }
        #expect(sum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(sum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(sum(Array(0..<32)) == 0x46DD_794E)
        #expect(sum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(sum([]) == 0)
    }

    @Test func `the instruction gives what the tables give`() {
        var generator = SeededGenerator(seed: 301)
        let bytes = (0..<70_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        // Around each length at which another loop begins: 8, three blocks of 256, three of 4,096, and several of those.
        let edges = [0, 8, 16, 192, 384, 768, 1536, 12_288, 24_576, 12_288 + 768, 65_536]
        let lengths =
            edges.flatMap { edge in (max(0, edge - 9)...(edge + 9)).map { $0 } }
            + (0..<300).map { _ in Int.random(in: 0...69_000, using: &generator) }
        bytes.withUnsafeBytes { raw in
            for length in lengths where length <= 69_000 {
                let (start, seed) = (Int.random(in: 0...900, using: &generator), UInt32.random(in: 0...UInt32.max, using: &generator))
                let place = raw.baseAddress.map { $0 + start }
                let (fast, slow) = (distric_crc32c(seed, place, length), distric_crc32c_table(seed, place, length))
                #expect(fast == slow, "length \(length), start \(start), seed \(seed)")
            }
        }
    }

    @Test func `parts one after the other give the sum of the whole`() {
        var generator = SeededGenerator(seed: 302)
        let bytes = (0..<40_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        bytes.withUnsafeBytes { raw in
            let whole = distric_crc32c(0, raw.baseAddress, raw.count)
            for _ in 0..<50 {
                let cut = Int.random(in: 0...raw.count, using: &generator)
                let first = distric_crc32c(0, raw.baseAddress, cut)
                #expect(distric_crc32c(first, raw.baseAddress.map { $0 + cut }, raw.count - cut) == whole, "cut at \(cut)")
            }
        }
    }
}

import Primitives
import Testing

@testable import Storage

/// The layout of a log entry on disk (Record.swift). Golden bytes were computed by a separate program from that description.
struct RecordTests {
    private func written(_ entry: LogEntry, durable: UInt64 = 0, chain: UInt64 = 0) -> (bytes: [UInt8], chain: UInt64) {
        var bytes: [UInt8] = []
        let next = Record.append(entry, durable: LogIndex(durable), chain: chain, to: &bytes)
        return (bytes, next)
    }

    private func read(_ bytes: [UInt8], at offset: Int = 0) -> Record.Reading {
        bytes.withUnsafeBytes { Record.read($0, at: offset) }
    }

    /// The bytes with one of the head's changed and its checksum made right again.
    private func forged(_ bytes: [UInt8], at place: Int, _ byte: UInt8) -> [UInt8] {
        var forged = bytes
        forged[place] = byte
        var tail: [UInt8] = []
        put(checksum(Array(forged[..<44])), &tail)
        forged.replaceSubrange(44..<48, with: tail)
        return forged
    }

    /// RFC 3720 appendix B.4
    @Test func `CRC-32C of the digits 1 to 9 is E3069283, in one piece or several`() {
        let digits = Array("123456789".utf8)
        #expect(checksum(digits) == 0xE306_9283)
        #expect(checksum(Array(digits[4...]), seed: checksum(Array(digits[..<4]))) == 0xE306_9283)
        #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(checksum([UInt8]()) == 0)
    }

    @Test func `the golden bytes stay`() {
        let first = written(LogEntry(index: LogIndex(1), term: Term(1), kind: .leaderStart, payload: []))
        let firstGolden = bytes(
            hex: """
                00000000 02 01 0000 0100000000000000 0100000000000000 0000000000000000 c0a79650888c45c0 00000000 1c2f71fd
                """)
        #expect(first.bytes == firstGolden)
        let chain: UInt64 = 0xc045_8c88_5096_a7c0
        #expect(first.chain == chain)
        let hello = LogEntry(index: LogIndex(2), term: Term(1), kind: .commands, payload: Array("hello".utf8))
        let second = written(hello, durable: 1, chain: first.chain)
        let secondGolden = bytes(
            hex: """
                05000000 01 01 0000 0100000000000000 0200000000000000 0100000000000000 a699fe825a66c87c 4cbb719a 533530b3
                68656c6c6f 000000
                """)
        #expect(second.bytes == secondGolden)
    }

    @Test(arguments: [0, 1, 7, 8, 9, 1000])
    func `a record reads back, and fills a multiple of 8`(payload: Int) {
        let original = entry(7, term: 3, bytes: payload)
        let (bytes, chain) = written(original, durable: 6, chain: 99)
        #expect(bytes.count == Record.size(payload: payload))
        #expect(bytes.count % 8 == 0)
        let expected = Record(entry: original, durable: LogIndex(6), chain: chain)
        #expect(read(bytes) == Record.Reading.record(expected))
        #expect(expected.endOffsetFromStart == bytes.count)
        let (continues, strays) = (expected.follows(chain: 99), !expected.follows(chain: 98))
        #expect(continues)
        #expect(strays)
    }

    @Test func `zeros are the end, and a torn head is not`() {
        #expect(read([UInt8](repeating: 0, count: 100)) == Record.Reading.end)
        #expect(read([UInt8](repeating: 0, count: 20)) == Record.Reading.end)
        #expect(read([]) == Record.Reading.end)
        let (bytes, _) = written(entry(1))
        #expect(read(bytes, at: bytes.count) == Record.Reading.end)
        #expect(read(Array(bytes[..<20])) == Record.Reading.broken("the file ends inside a record's head"))
    }

    @Test func `a payload cut short is no record`() {
        let (bytes, _) = written(entry(1, bytes: 16))
        for count in 48..<64 {
            #expect(read(Array(bytes[..<count])) == Record.Reading.broken("a record of 16 bytes goes beyond the file"))
        }
    }

    @Test func `every flipped bit of head and payload is seen`() {
        let (bytes, _) = written(entry(5, bytes: 16))
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            let isBroken = if case .broken = read(flipped) { true } else { false }
            #expect(isBroken, "bit \(bit)")
        }
    }

    @Test func `another version, kind or an absurd length is no record, though its checksum is right`() {
        let (bytes, _) = written(entry(5, bytes: 16))
        #expect(read(forged(bytes, at: 5, 2)) == Record.Reading.broken("record version 2"))
        #expect(read(forged(bytes, at: 4, 9)) == Record.Reading.broken("record kind 9"))
        #expect(read(forged(bytes, at: 3, 0x7F)) == Record.Reading.broken("a record of \(0x7F00_0010) bytes goes beyond the file"))
    }

    @Test func `any bytes are read or refused, and never trap`() {
        let seed: UInt64 = 48
        var generator = SeededGenerator(seed: seed)
        let (bytes, _) = written(entry(5, bytes: 24))
        for _ in 0..<20_000 {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                changed[Int.random(in: changed.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            changed.removeLast(Int.random(in: 0...changed.count, using: &generator))
            if case .record(let record) = read(changed), record.entry != entry(5, bytes: 24) {
                Issue.record("seed \(seed): \(changed) reads as \(record)")
            }
        }
    }
}

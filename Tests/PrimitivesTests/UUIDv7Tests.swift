import Testing

@testable import Primitives

/// RFC 9562 section 5.7
struct UUIDv7Tests {
    @Test func `an id reads and writes in its 36 characters`() throws {
        let id = try #require(UUIDv7("018f3b1e-7c2a-7000-8000-0123456789ab"))
        #expect(id == UUIDv7(high: 0x018f_3b1e_7c2a_7000, low: 0x8000_0123_4567_89ab))
        #expect(id.time == ClusterTime(milliseconds: 0x018f_3b1e_7c2a))
        #expect(id.description == "018f3b1e-7c2a-7000-8000-0123456789ab")
        #expect(UUIDv7("018F3B1E-7C2A-7000-8000-0123456789AB") == id)
    }

    @Test(arguments: [
        "", "018f3b1e-7c2a-7000-8000-0123456789a", "018f3b1e-7c2a-7000-8000-0123456789abc", "018f3b1e7c2a70008000-0123456789ab-----",
        "018f3b1e-7c2a-7000-8000_0123456789ab", "g18f3b1e-7c2a-7000-8000-0123456789ab", "{18f3b1e-7c2a-7000-8000-0123456789a}",
        "018f3b1-e7c2a-7000-8000-0123456789ab", "018f3b1e-7c2a-7000-8000-0123456789é", "------------------------------------",
    ])
    func `any other text is none`(text: String) {
        #expect(UUIDv7(text) == nil)
    }

    @Test func `a new id bears its time, version 7 and the RFC's variant, and its text round-trips`() {
        let seed: UInt64 = 9562
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<1000 {
            let time = ClusterTime(milliseconds: UInt64.random(in: 0..<1 << 48, using: &generator))
            let id = UUIDv7(at: time, using: &generator)
            #expect(id.time == time, "seed \(seed)")
            #expect((id.high >> 12) & 0xF == 7, "seed \(seed)")
            #expect((id.low >> 62) == 0b10, "seed \(seed)")
            #expect(UUIDv7(id.description) == id, "seed \(seed)")
        }
    }

    @Test func `ids sort by time, and as their texts do`() {
        let seed: UInt64 = 5
        var generator = SeededGenerator(seed: seed)
        var previous = UUIDv7(high: 0, low: 0)
        for millisecond in 1...500 {
            let id = UUIDv7(at: ClusterTime(milliseconds: UInt64(millisecond) * 7919), using: &generator)
            #expect(previous < id, "seed \(seed)")
            #expect(previous.description < id.description, "seed \(seed)")
            previous = id
        }
        #expect(UUIDv7(high: 1, low: 2) < UUIDv7(high: 1, low: 3))
    }

    @Test func `hexadecimal is lower-case and as wide as asked`() {
        #expect(hexadecimal(255, digits: 4) == "00ff")
        #expect(hexadecimal(0xABCD_EF01_2345_6789) == "abcdef0123456789")
        #expect(hexadecimal(0x1FF, digits: 2) == "ff")
        for (position, character) in "0123456789abcdef".utf8.enumerated() {
            #expect(hexDigit(character) == UInt8(position))
            #expect(hexCharacter(UInt8(position)) == character)
        }
        #expect(hexDigit(UInt8(ascii: "F")) == 15)
        #expect(hexDigit(UInt8(ascii: "g")) == nil)
        #expect(hexDigit(UInt8(ascii: "/")) == nil)
    }
}

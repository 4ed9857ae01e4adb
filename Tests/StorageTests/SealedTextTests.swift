import Testing

@testable import Storage

/// Lines that people can read, under a checksum (SealedText.swift).
struct SealedTextTests {
    private let text = SealedText([("first", "1"), ("second", "two words"), ("third", "")])

    @Test func `lines read back, values with spaces too`() throws {
        let read = try SealedText(reading: text.bytes(seal: "end"), seal: "end", path: "it")
        #expect(read.lines.map(\.name) == ["first", "second", "third"])
        #expect(read.lines.map(\.value) == ["1", "two words", ""])
        #expect(read["second"] == "two words")
        #expect(read["none"] == nil)
    }

    @Test func `a value of several lines stays one line`() throws {
        let broken = SealedText([("a", "one\nb two\r\nthree")])
        let read = try SealedText(reading: broken.bytes(seal: "end"), seal: "end", path: "it")
        #expect(read.lines.map(\.name) == ["a"])
        #expect(read["a"] == "one b two three")
    }

    @Test func `a value that looks like the seal is a value`() throws {
        let sealed = SealedText([("a", "end 00000000"), ("end", "00000000")])
        let read = try SealedText(reading: sealed.bytes(seal: "end"), seal: "end", path: "it")
        #expect(read["a"] == "end 00000000")
        #expect(read["end"] == "00000000")
    }

    @Test func `every flipped bit and every cut is damage`() {
        let whole = text.bytes(seal: "end")
        for bit in 0..<whole.count * 8 {
            var bytes = whole
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            let error = storageError { _ = try SealedText(reading: bytes, seal: "end", path: "it") }
            #expect(error != nil, "bit \(bit)")
        }
        for count in 0..<whole.count - 1 {
            let error = storageError { _ = try SealedText(reading: Array(whole[..<count]), seal: "end", path: "it") }
            #expect(error != nil, "\(count) bytes")
        }
    }
}

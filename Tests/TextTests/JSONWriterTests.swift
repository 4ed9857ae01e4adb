import Primitives
import Testing

@testable import Text

/// RFC 8259 section 7: what is written reads back equal.
struct JSONWriterTests {
    @Test func `values write on one line`() {
        let value: Value = ["a": 1, "b": [true, nil, 2.5, "x"], "c": [], "d": .map(Fields()), "e": .uint(.max), "f": .int(-7)]
        #expect(JSONWriter.text(value) == #"{"a":1,"b":[true,null,2.5,"x"],"c":[],"d":{},"e":18446744073709551615,"f":-7}"#)
    }

    @Test func `quotes, backslashes and control characters are escaped, the rest is not`() {
        let text = "\u{0}\u{8}\u{C}\u{1F}\"\\/\n\r\t\u{7F}é😀\u{2028}"
        #expect(JSONWriter.text(.string(text)) == #""\u0000\u0008\u000c\u001f\"\\/\n\r\t\u007fé😀"# + "\u{2028}\"")
        #expect(JSONWriter.text(["a\"b": 1]) == #"{"a\"b":1}"#)
    }

    @Test func `every single scalar below 256 reads back`() throws {
        for code in UInt8.min...UInt8.max {
            let text = "<" + String(Unicode.Scalar(code)) + ">"
            let value = try JSONScanner.parse(JSONWriter.bytes(.string(text)))
            #expect(value == Value.string(text), "\(code)")
        }
    }

    static let numbers: [(Double, String)] = [
        (0, "0.0"), (-0.0, "-0.0"), (1, "1.0"), (0.1, "0.1"), (-2.5, "-2.5"), (1e21, "1e+21"), (1e-7, "1e-07"), (Double.nan, "null"),
        (Double.infinity, "null"), (-Double.infinity, "null"),
    ]

    @Test(arguments: JSONWriterTests.numbers)
    func `a double writes shortest, and what JSON cannot say as null`(number: Double, expected: String) {
        #expect(JSONWriter.text(.double(number)) == expected)
    }

    @Test func `pretty text has two spaces a level and reads back`() throws {
        let value: Value = ["a": 1, "b": [true, nil], "c": [], "d": .map(Fields()), "e": ["f": "g"]]
        let expected = """
            {
              "a": 1,
              "b": [
                true,
                null
              ],
              "c": [],
              "d": {},
              "e": {
                "f": "g"
              }
            }
            """
        let pretty = JSONWriter.pretty(value)
        #expect(pretty == expected)
        let again = try JSONScanner.parse(pretty)
        #expect(again == value)
    }

    @Test func `any value reads back equal, on one line or pretty`() throws {
        let seed: UInt64 = 20
        var generator = SeededGenerator(seed: seed)
        for round in 0..<2000 {
            let value = randomValue(depth: 4, using: &generator)
            let line = JSONWriter.bytes(value)
            #expect(!line.contains(0x0A), "seed \(seed), round \(round)")
            let fromLine = try JSONScanner.parse(line)
            let fromPretty = try JSONScanner.parse(JSONWriter.pretty(value))
            #expect(fromLine == value, "seed \(seed), round \(round)")
            #expect(fromPretty == value, "seed \(seed), round \(round)")
            #expect(JSONWriter.bytes(fromLine) == line, "seed \(seed), round \(round)")
        }
    }

    @Test func `raw pieces go out as they are`() {
        var writer = JSONWriter(reserving: 16)
        writer.raw("{\"a\":")
        writer.write("b")
        writer.raw([0x7D] as [UInt8])
        #expect(writer.bytes == Array(#"{"a":"b"}"#.utf8))
    }

    private func randomValue(depth: Int, using generator: inout SeededGenerator) -> Value {
        switch Int.random(in: 0..<(depth > 0 ? 10 : 7), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .int(Int64(bitPattern: generator.next()) >> Int64.random(in: 0..<64, using: &generator))
        case 3: return Value(generator.next() as UInt64)
        case 4:
            let number = Double(bitPattern: generator.next())
            return .double(number.isFinite ? number : -0.0)
        case 5: return .double(Double(Int.random(in: -1000...1000, using: &generator)) / 8)
        case 6: return .string(randomText(using: &generator))
        case 7, 8:
            return .list((0..<Int.random(in: 0...4, using: &generator)).map { _ in randomValue(depth: depth - 1, using: &generator) })
        default:
            var fields = Fields()
            for _ in 0..<Int.random(in: 0...16, using: &generator) {
                let key = randomText(using: &generator)
                fields[key] = randomValue(depth: depth - 2, using: &generator)
            }
            return .map(fields)
        }
    }

    private func randomText(using generator: inout SeededGenerator) -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0...8, using: &generator) {
            let ranges: [ClosedRange<UInt32>] = [0x00...0x20, 0x20...0x7F, 0x80...0x3FF, 0x2000...0xFFFF, 0x1_0000...0x10_FFFF]
            let range = ranges[Int.random(in: ranges.indices, using: &generator)]
            if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &generator)) { text.unicodeScalars.append(scalar) }
        }
        return text
    }
}

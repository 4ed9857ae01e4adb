import Primitives
import Testing

@testable import Text

/// RFC 8259, strictly; RFC 7493 section 2.3 for duplicate keys.
struct JSONScannerTests {
    private func failure(_ bytes: [UInt8], maximumDepth: Int = JSONScanner.depthLimit) -> JSONError? {
        do throws(JSONError) {
            _ = try JSONScanner.parse(bytes, maximumDepth: maximumDepth)
            return nil
        } catch {
            return error
        }
    }

    private func failure(_ text: String) -> JSONError? { failure(Array(text.utf8)) }

    @Test func `every kind of value is read`() throws {
        let text = #" { "a" : [ 1 , -2.5e3 , true , false , null , "x" ] , "b" : { } , "c" : [ ] } "# + "\r\n\t"
        let expected: Value = ["a": [1, .double(-2500), true, false, nil, "x"], "b": .map(Fields()), "c": []]
        let value = try JSONScanner.parse(text)
        #expect(value == expected)
        #expect(value.map?.members.map(\.key) == ["a", "b", "c"])
    }

    @Test func `text, bytes, slices, lazy bytes and raw buffers read alike`() throws {
        let text = #"{"k":["é",12]}"#
        let bytes = Array(text.utf8)
        let expected: Value = ["k": ["é", 12]]
        var padded: [UInt8] = [0]
        padded += bytes
        padded.append(0)
        let fromText = try JSONScanner.parse(text)
        let fromBytes = try JSONScanner.parse(bytes)
        let fromSlice = try JSONScanner.parse(padded[1...bytes.count])
        let fromLazy = try JSONScanner.parse(bytes.lazy.map { $0 })
        let fromRaw = try bytes.withUnsafeBytes { raw in try JSONScanner.parse(raw) }
        for value in [fromText, fromBytes, fromSlice, fromLazy, fromRaw] { #expect(value == expected) }
    }

    @Test(arguments: [
        "0", "-0", "1", "-1", "10", "1.0", "0.5", "-0.0", "1e1", "1E+1", "1e-1", "0e0", "123456789012345678901234567890", "1.5e300", "true",
        "false", "null", "\"\"", "[]", "{}", " [] ", "[[]]", "[{}]", #"{"":0}"#, #""\u0000""#, #""\"\\\/\b\f\n\r\t""#, "\"\u{7F}\"",
        "\"\u{2028}\"", "\"\u{10FFFF}\"", "\"\u{FFFF}\"", #"{"a":{"a":{"a":1}}}"#, "\t1\n",
    ])
    func `a valid text is read`(text: String) {
        #expect(failure(text) == nil)
    }

    static let refused: [(String, JSONError)] = [
        ("", JSONError(reason: .empty, offset: 0)),
        (" \n ", JSONError(reason: .empty, offset: 3)),
        ("1 2", JSONError(reason: .trailingBytes, offset: 2)),
        ("truex", JSONError(reason: .trailingBytes, offset: 4)),
        ("[]]", JSONError(reason: .trailingBytes, offset: 2)),
        ("{}//", JSONError(reason: .trailingBytes, offset: 2)),
        ("1\u{0}", JSONError(reason: .trailingBytes, offset: 1)),
        ("1\u{C}", JSONError(reason: .trailingBytes, offset: 1)),
        ("01", JSONError(reason: .badNumber, offset: 0)),
        ("[-01]", JSONError(reason: .badNumber, offset: 1)),
        ("00", JSONError(reason: .badNumber, offset: 0)),
        ("-", JSONError(reason: .badNumber, offset: 0)),
        ("-a", JSONError(reason: .badNumber, offset: 0)),
        ("-.5", JSONError(reason: .badNumber, offset: 0)),
        ("1.", JSONError(reason: .badNumber, offset: 0)),
        ("1.e1", JSONError(reason: .badNumber, offset: 0)),
        ("[1, 2e]", JSONError(reason: .badNumber, offset: 4)),
        ("1e+", JSONError(reason: .badNumber, offset: 0)),
        ("1e400", JSONError(reason: .badNumber, offset: 0)),
        ("-1e400", JSONError(reason: .badNumber, offset: 0)),
        ("1.5.5", JSONError(reason: .trailingBytes, offset: 3)),
        ("0x10", JSONError(reason: .trailingBytes, offset: 1)),
        ("1_000", JSONError(reason: .trailingBytes, offset: 1)),
        ("+1", JSONError(reason: .expected("a value"), offset: 0)),
        (".5", JSONError(reason: .expected("a value"), offset: 0)),
        ("NaN", JSONError(reason: .expected("a value"), offset: 0)),
        ("Infinity", JSONError(reason: .expected("a value"), offset: 0)),
        ("-Infinity", JSONError(reason: .badNumber, offset: 0)),
        ("'a'", JSONError(reason: .expected("a value"), offset: 0)),
        ("\u{FEFF}1", JSONError(reason: .expected("JSON without a byte order mark"), offset: 0)),
        ("\u{A0}1", JSONError(reason: .expected("a value"), offset: 0)),
        ("True", JSONError(reason: .expected("a value"), offset: 0)),
        ("tru", JSONError(reason: .expected("'true'"), offset: 0)),
        ("[falsy]", JSONError(reason: .expected("'false'"), offset: 1)),
        ("nul", JSONError(reason: .expected("'null'"), offset: 0)),
        ("[", JSONError(reason: .expected("a value"), offset: 1)),
        ("[1", JSONError(reason: .expected("',' or ']'"), offset: 2)),
        ("[1 2]", JSONError(reason: .expected("',' or ']'"), offset: 3)),
        ("[1,]", JSONError(reason: .expected("a value"), offset: 3)),
        ("[,1]", JSONError(reason: .expected("a value"), offset: 1)),
        ("]", JSONError(reason: .expected("a value"), offset: 0)),
        ("[}", JSONError(reason: .expected("a value"), offset: 1)),
        ("{", JSONError(reason: .expected("a key in double quotes"), offset: 1)),
        ("{a:1}", JSONError(reason: .expected("a key in double quotes"), offset: 1)),
        ("{1:1}", JSONError(reason: .expected("a key in double quotes"), offset: 1)),
        (#"{"a"}"#, JSONError(reason: .expected("':'"), offset: 4)),
        (#"{"a" 1}"#, JSONError(reason: .expected("':'"), offset: 5)),
        (#"{"a":}"#, JSONError(reason: .expected("a value"), offset: 5)),
        (#"{"a":1"#, JSONError(reason: .expected("',' or '}'"), offset: 6)),
        (#"{"a":1]"#, JSONError(reason: .expected("',' or '}'"), offset: 6)),
        (#"{"a":1,}"#, JSONError(reason: .expected("a key in double quotes"), offset: 7)),
        (#""abc"#, JSONError(reason: .expected("the closing '\"'"), offset: 4)),
        (#""a\n"#, JSONError(reason: .expected("the closing '\"'"), offset: 4)),
        ("\"a\nb\"", JSONError(reason: .controlCharacter(0x0A), offset: 2)),
        ("\"\u{0}\"", JSONError(reason: .controlCharacter(0), offset: 1)),
        ("\"\\n\u{1F}\"", JSONError(reason: .controlCharacter(0x1F), offset: 3)),
        (#""\x""#, JSONError(reason: .badEscape, offset: 1)),
        (#""a\'""#, JSONError(reason: .badEscape, offset: 2)),
        (#""\"#, JSONError(reason: .badEscape, offset: 1)),
        (#""\u12""#, JSONError(reason: .badEscape, offset: 1)),
        (#""\u12G4""#, JSONError(reason: .badEscape, offset: 1)),
        (#""\U0041""#, JSONError(reason: .badEscape, offset: 1)),
        (#""\ud800""#, JSONError(reason: .loneSurrogate, offset: 1)),
        (#""a\udc00""#, JSONError(reason: .loneSurrogate, offset: 2)),
        (#""\ud800\n""#, JSONError(reason: .loneSurrogate, offset: 1)),
        (#""\ud800\u0041""#, JSONError(reason: .loneSurrogate, offset: 1)),
        (#""\ud800\ud800""#, JSONError(reason: .loneSurrogate, offset: 1)),
        (#"{"a":1,"a":2}"#, JSONError(reason: .duplicateKey("a"), offset: 7)),
        (#"{"a":1,"\u0061":2}"#, JSONError(reason: .duplicateKey("a"), offset: 7)),
        (#"[{"b":{"":1, "":2}}]"#, JSONError(reason: .duplicateKey(""), offset: 13)),
    ]

    @Test(arguments: JSONScannerTests.refused)
    func `an invalid text is refused, with the reason and the place`(text: String, expected: JSONError) {
        #expect(failure(text) == expected)
    }

    static let badUTF8: [[UInt8]] = [
        [0xFF], [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE2, 0x82], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
        [0xF0, 0x8F, 0xBF, 0xBF], [0xF5, 0x80, 0x80, 0x80], [0x61, 0xC3],
    ]

    @Test(arguments: JSONScannerTests.badUTF8)
    func `bytes that are not UTF-8 are refused in values and in keys, escaped or not`(bytes: [UInt8]) {
        func among(_ before: String, _ after: String) -> [UInt8] {
            var text = Array(before.utf8)
            text.append(contentsOf: bytes)
            text.append(contentsOf: after.utf8)
            return text
        }
        #expect(failure(among("\"", "\"")) == JSONError(reason: .badUTF8, offset: 1))
        #expect(failure(among("\"\\n", "\"")) == JSONError(reason: .badUTF8, offset: 1))
        #expect(failure(among("{\"", "\":1}")) == JSONError(reason: .badUTF8, offset: 2))
        #expect(failure(bytes)?.reason == JSONError.Reason.expected("a value"))
    }

    static let strings: [(String, String)] = [
        (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9é""#, "éé"), (#""\u0000""#, "\u{0}"),
        (#""\ud83d\ude00""#, "\u{1F600}"),
        (#""\uD834\uDD1E""#, "\u{1D11E}"), (#""\uDBFF\uDFFF""#, "\u{10FFFF}"), (#""e\u0301""#, "e\u{301}"), (#""\u20ac5""#, "€5"),
    ]

    @Test(arguments: JSONScannerTests.strings)
    func `escapes become what they stand for`(text: String, expected: String) throws {
        let value = try JSONScanner.parse(text)
        #expect(value == Value.string(expected))
    }

    private static let numbers: [(String, Value)] = [
        ("9223372036854775807", .int(Int64.max)), ("-9223372036854775808", .int(Int64.min)), ("9223372036854775808", .uint(1 << 63)),
        ("18446744073709551615", .uint(UInt64.max)), ("18446744073709551616", .double(0x1p64)), ("-9223372036854775809", .double(-0x1p63)),
        ("-0", .double(-0.0)), ("0", .int(0)), ("1.0", .double(1)), ("10e0", .double(10)),
        ("9007199254740993", .int(9_007_199_254_740_993)),
    ]

    @Test(arguments: [#"\n"#, #"\""#, #"\\"#, "é", "\u{7F}", " ", "~", "\u{10FFFF}"])
    func `what is not plain is seen wherever it stands in a string`(piece: String) throws {
        let meant = piece.hasPrefix("\\") ? ["n": "\n", "\"": "\"", "\\": "\\"][String(piece.dropFirst())] ?? "" : piece
        for before in 0...18 {
            for after in 0...9 {
                let (start, end) = (String(repeating: "a", count: before), String(repeating: "z", count: after))
                #expect(try JSONScanner.parse("\"\(start)\(piece)\(end)\"") == .string(start + meant + end))
            }
        }
    }

    @Test func `a control character and an end that is missing are seen wherever they stand in a string`() {
        for before in 0...18 {
            for byte in [0, 1, 10, 0x1F] as [UInt8] {
                let text = [0x22] + [UInt8](repeating: 0x61, count: before) + [byte] + [UInt8](repeating: 0x62, count: 9) + [0x22]
                #expect(throws: JSONError(reason: .controlCharacter(byte), offset: before + 1)) { try JSONScanner.parse(text) }
            }
            let open = [0x22] + [UInt8](repeating: 0x61, count: before)
            #expect(throws: JSONError(reason: .expected("the closing '\"'"), offset: before + 1)) { try JSONScanner.parse(open) }
        }
    }

    @Test func `integers stay exact while 64 bits hold them`() throws {
        for (text, expected) in Self.numbers {
            let value = try JSONScanner.parse(text)
            #expect("\(value)" == "\(expected)", "\(text)")
        }
    }

    @Test func `a duplicate among many keys is found, canonical equivalents are not one`() throws {
        let members = (0..<40).map { "\"k\($0)\":\($0)" }
        let text = "{" + members.joined(separator: ",") + ",\"k3\":0}"
        #expect(failure(text) == JSONError(reason: .duplicateKey("k3"), offset: text.utf8.count - 7))
        let unique = try JSONScanner.parse("{" + members.joined(separator: ",") + "}")
        #expect(unique.map?.count == 40)
        let equivalents = try JSONScanner.parse("{\"é\":1,\"e\u{301}\":2}")
        #expect(equivalents.map?.count == 2)
    }

    @Test func `64 levels are read, 65 refused, and a flood of brackets ends in an error`() {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(failure(nested(64)) == nil)
        #expect(failure(nested(65)) == JSONError(reason: .tooDeep(limit: 64), offset: 64))
        let objects = String(repeating: "{\"a\":", count: 65) + "1" + String(repeating: "}", count: 65)
        #expect(failure(objects) == JSONError(reason: .tooDeep(limit: 64), offset: 64 * 5))
        #expect(failure(String(repeating: "[", count: 100_000)) == JSONError(reason: .tooDeep(limit: 64), offset: 64))
        #expect(failure(String(repeating: "{\"a\":", count: 100_000))?.reason == JSONError.Reason.tooDeep(limit: 64))
        #expect(failure(Array("[[1]]".utf8), maximumDepth: 1) == JSONError(reason: .tooDeep(limit: 1), offset: 1))
    }

    @Test func `a document with any bytes changed is read or refused, and never traps`() throws {
        let document = #"{"id":"a\u00e9\ud83d\ude00","n":[0,-1.5e+3,18446744073709551615,true,false,null],"o":{"é":{},"x\n":[[]]}}"#
        let bytes = Array(document.utf8)
        let seed: UInt64 = 8259
        var generator = SeededGenerator(seed: seed)
        let telling: [UInt8] = Array("{}[]\",:\\u0-+.eE1tfn \u{0}".utf8) + [0x80, 0xC3, 0xED, 0xFF]
        var (read, refused) = (0, 0)
        for _ in 0..<20_000 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                guard mutated.count > 1 else { continue }
                let place = Int.random(in: 0..<mutated.count, using: &generator)
                let byte = telling[Int.random(in: telling.indices, using: &generator)]
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: mutated[place] = byte
                case 1: mutated[place] = UInt8.random(in: 0...255, using: &generator)
                case 2: mutated.remove(at: place)
                case 3: mutated.insert(byte, at: place)
                default: mutated.removeLast(Int.random(in: 1..<mutated.count, using: &generator))
                }
            }
            guard let value = try? JSONScanner.parse(mutated) else {
                refused += 1
                continue
            }
            read += 1
            let again = try? JSONScanner.parse(JSONWriter.bytes(value))
            if again != value { Issue.record("seed \(seed): \(mutated) does not survive writing") }
        }
        #expect(read > 0, "seed \(seed)")
        #expect(refused > 0, "seed \(seed)")
    }

    @Test func `an error says what is wrong and at which byte`() {
        #expect(failure("[1,]")?.description == "expected a value at byte 3")
        #expect(failure("\"\u{1}\"")?.description == "control character 0x01 in a string; write it as \\u0001 at byte 1")
        #expect(failure(#"{"a":1,"a":2}"#)?.description == "duplicate key \"a\" at byte 7")
        let reasons: [JSONError.Reason] = [.badEscape, .badUTF8, .badNumber, .loneSurrogate, .tooDeep(limit: 3), .trailingBytes, .empty]
        #expect(Set(reasons.map { JSONError(reason: $0, offset: 0).description }).count == reasons.count)
    }
}

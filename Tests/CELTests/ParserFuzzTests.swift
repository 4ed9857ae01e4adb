import CEL
import Primitives
import Testing

/// Bad input never traps (CONTRIBUTING.md, "Style").
struct ParserFuzzTests {
    private static let pieces = [
        "a", "b", "data", "nope", ".", "[", "]", "(", ")", "!", "-", "&&", "||", "==", "!=", "<", "<=", ">", ">=", "'x'", "\"y\"",
        "'''z'''",
        "r'\\'", "'", "\"", "\\", "\\x4", "\\u00e9", "1", "0", "0x", "0xF", "9223372036854775808", "18446744073709551615u", "1.5", ".5",
        "1e",
        "1e9", "u", "in", "true", "false", "null", "?", ":", "{", "}", "+", "*", "/", "//", "%", ",", "\n", " ", "é", "\u{0}", "😀", "_",
    ]

    private let names = ["a", "b", "data"]
    private let scope: Value = ["a": 1, "b": [true, "x", nil, 2.5], "data": ["a": ["b": 5], "x": false, "y": []]]

    private func isRead(_ text: String) -> Bool {
        guard let expression = try? Expression(text, names: names) else { return false }
        _ = expression.paths
        if case .map(let fields) = scope { _ = try? expression.evaluate(in: Names(values: fields)) }
        return true
    }

    @Test func `random tokens are read or refused, and never trap`() {
        let seed: UInt64 = 2018
        var generator = SeededGenerator(seed: seed)
        var read = 0
        for _ in 0..<10_000 {
            var text = ""
            for _ in 0..<Int.random(in: 0...14, using: &generator) {
                text += Self.pieces[Int.random(in: Self.pieces.indices, using: &generator)]
                if Bool.random(using: &generator) { text += " " }
            }
            if isRead(text) { read += 1 }
        }
        #expect(read > 50, "seed \(seed)")
    }

    @Test func `random bytes are read or refused, and never trap`() {
        let seed: UInt64 = 2019
        var generator = SeededGenerator(seed: seed)
        var refused = 0
        for _ in 0..<5000 {
            let count = Int.random(in: 0...40, using: &generator)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            if !isRead(String(decoding: bytes, as: UTF8.self)) { refused += 1 }
        }
        #expect(refused > 4000, "seed \(seed)")
    }

    @Test func `an expression with any bytes changed is read or refused, and never traps`() {
        let seed: UInt64 = 2020
        var generator = SeededGenerator(seed: seed)
        let whole = Array(#"!(data.a["b"] >= 4.5e0) && b[1] == 'x' || a != -0x7F && r'\d' < "é\n" || 18u > data.a.b"#.utf8)
        #expect(isRead(String(decoding: whole, as: UTF8.self)))
        var read = 0
        for _ in 0..<5000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: bytes.indices, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: place)
                default: bytes.insert(bytes[Int.random(in: bytes.indices, using: &generator)], at: place)
                }
            }
            if isRead(String(decoding: bytes, as: UTF8.self)) { read += 1 }
        }
        #expect(read > 0, "seed \(seed)")
    }
}

import Testing

@testable import Primitives

/// Lengths of time as definitions and flags write them; ISO 8601 durations without years and months.
struct DurationTextTests {
    static let forms: [(String, Int64)] = [
        ("250ms", 250_000_000), ("30s", 30_000_000_000), ("1h30m", 5_400_000_000_000), ("2d", 172_800_000_000_000),
        ("1d2h3m4s5ms6us7ns", 93_784_005_006_007), ("1.5h", 5_400_000_000_000), ("0.5s", 500_000_000), ("5us", 5000), ("5ns", 5), ("0s", 0),
        ("30m1h", 5_400_000_000_000), ("90s", 90_000_000_000), ("10", 10_000_000_000), ("0.5", 500_000_000), ("0", 0),
        ("PT1M30S", 90_000_000_000), ("P1DT2H", 93_600_000_000_000), ("P1W", 604_800_000_000_000), ("P2D", 172_800_000_000_000),
        ("PT0.25S", 250_000_000), ("P1W1DT1H1M1S", 694_861_000_000_000), ("PT36H", 129_600_000_000_000),
        ("36600d", 3_162_240_000_000_000_000),
    ]

    @Test(arguments: DurationTextTests.forms)
    func `every form is read`(text: String, nanoseconds: Int64) {
        #expect(Duration(text: text) == Duration.nanoseconds(nanoseconds))
    }

    @Test(arguments: [
        "", " ", "s", "ms", "-5s", "+5s", "5 s", "1h 30m", "5x", "5S", "5Ms", "1h30", "30s10", "1..5s", "1.2.3", "1e3s", "0x10s", "∞",
        "NaN",
        "inf", "５s", "5µs", "36601d", "1234567890123456789s", "9999999999999999999999", "10,5s",
        "P", "PT", "P1DT", "P1", "PT1", "P1H", "PT1D", "PT1W", "P1M", "P1Y", "PT1MT1S", "P-1D", "p1d", "PT1m", "P 1D", "PTS", "TP1D",
        "PT1H30",
    ])
    func `anything else is refused`(text: String) {
        #expect(Duration(text: text) == nil)
    }

    static let shortest: [(Int64, String)] = [
        (0, "0s"), (-1, "0s"), (250_000_000, "250ms"), (5_400_000_000_000, "1h30m"), (90_000_000_000, "1m30s"),
        (172_800_000_000_000, "2d"), (1_500_000_000, "1s500ms"), (1_001_001, "1ms1us1ns"), (93_784_005_006_007, "1d2h3m4s5ms6us7ns"),
    ]

    @Test(arguments: DurationTextTests.shortest)
    func `a duration writes as its parts that are not zero`(nanoseconds: Int64, expected: String) {
        #expect(Duration.nanoseconds(nanoseconds).text == expected)
    }

    @Test func `what is written reads back as the same duration`() {
        let seed: UInt64 = 8601
        var generator = SeededGenerator(seed: seed)
        for round in 0..<5000 {
            let fine = Duration.nanoseconds(Int64.random(in: 0...432_000_000_000_000 >> Int64(round % 40), using: &generator))
            let long = Duration.seconds(Int64.random(in: 0...100 * 366 * 86_400, using: &generator))
            #expect(Duration(text: fine.text) == fine, "seed \(seed), \(fine.text)")
            #expect(Duration(text: long.text) == long, "seed \(seed), \(long.text)")
        }
    }

    @Test func `no text traps`() {
        let seed: UInt64 = 17
        var generator = SeededGenerator(seed: seed)
        let alphabet = Array("0123456789.PTWDHMSdhmsnu- ")
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...12, using: &generator)
            let text = String((0..<count).map { _ in alphabet[Int.random(in: alphabet.indices, using: &generator)] })
            if let duration = Duration(text: text), duration < Duration.zero { Issue.record("seed \(seed): '\(text)' is negative") }
        }
    }
}

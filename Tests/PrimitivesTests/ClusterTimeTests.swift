import Testing

@testable import Primitives

/// RFC 3339 and the proleptic Gregorian calendar.
struct ClusterTimeTests {
    static let written: [(String, UInt64)] = [
        ("1970-01-01T00:00:00.000Z", 0),
        ("2026-11-23T14:32:07.012Z", 1_795_444_327_012),
        ("2000-02-29T00:00:00.000Z", 951_782_400_000),
        ("2024-02-29T12:00:00.000Z", 1_709_208_000_000),
        ("2024-12-31T00:00:00.000Z", 1_735_603_200_000),
        ("1999-12-31T23:59:59.000Z", 946_684_799_000),
        ("2100-03-01T00:00:00.000Z", 4_107_542_400_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ]

    @Test(arguments: ClusterTimeTests.written)
    func `a time reads and writes as RFC 3339`(text: String, milliseconds: UInt64) {
        #expect(ClusterTime(milliseconds: milliseconds).rfc3339 == text)
        #expect(ClusterTime(rfc3339: text)?.milliseconds == milliseconds)
    }

    static let otherForms: [(String, UInt64)] = [
        ("2026-11-23T14:32:07Z", 1_795_444_327_000),
        ("2026-11-23t14:32:07z", 1_795_444_327_000),
        ("2026-11-23 14:32:07Z", 1_795_444_327_000),
        ("2026-11-23T14:32:07.5+01:00", 1_795_440_727_500),
        ("2026-11-23T14:32:07.5-00:00", 1_795_444_327_500),
        ("2026-11-23T04:02:07.5-10:30", 1_795_444_327_500),
        ("2026-11-23T14:32:07.01Z", 1_795_444_327_010),
        ("2026-11-23T14:32:07.0129999999999999999999999Z", 1_795_444_327_012),
        ("1969-12-31T23:30:00-01:00", 1_800_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ]

    @Test(arguments: ClusterTimeTests.otherForms)
    func `offsets, fractions, leap seconds and lower case are read`(text: String, milliseconds: UInt64) {
        #expect(ClusterTime(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "2026-11-23", "2026-11-23T14:32:07", "2026-11-23T14:32Z", "2026-11-23T14:32:07.Z", "2026-11-23T14:32:07,5Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
        "2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T23:60:00Z",
        "2026-11-23T23:59:61Z", "2026-11-23T14:32:07+24:00", "2026-11-23T14:32:07+01:60", "2026-11-23T14:32:07+0100",
        "2026-11-23T14:32:07+1:00", "2026-11-23T14:32:07Zx", "2026-11-23T14:32:07ZZ", "2026-11-23_14:32:07Z", "26-11-23T14:32:07Z",
        " 2026-11-23T14:32:07Z", "２026-11-23T14:32:07Z", "1970-01-01T00:30:00+01:00", "1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z",
    ])
    func `what is no RFC 3339 time, or lies before 1970, is refused`(text: String) {
        #expect(ClusterTime(rfc3339: text) == nil)
    }

    @Test func `every time up to the year 9999 reads back as it was written`() {
        let seed: UInt64 = 3339
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<5000 {
            let time = ClusterTime(milliseconds: UInt64.random(in: 0...253_402_300_799_999, using: &generator))
            #expect(ClusterTime(rfc3339: time.rfc3339) == time, "seed \(seed), \(time.milliseconds)")
        }
    }

    @Test func `each day of 400 years follows the one before it`() {
        var previous = ""
        for day in 0..<UInt64(146_097) {
            let text = ClusterTime(milliseconds: day * 86_400_000).rfc3339
            if text.utf8.count != 24 || text <= previous { Issue.record("day \(day): \(text) after \(previous)") }
            previous = text
        }
        #expect(previous == "2369-12-31T00:00:00.000Z")
    }

    @Test func `time moves by durations and stays within its bounds`() {
        let time = ClusterTime(milliseconds: 10_000)
        #expect(time.advanced(by: .milliseconds(5)).milliseconds == 10_005)
        #expect(time.advanced(by: .seconds(-11)) == .zero)
        #expect(ClusterTime(milliseconds: .max).advanced(by: .seconds(1)).milliseconds == UInt64(Int64.max))
        #expect(time.duration(since: ClusterTime(milliseconds: 12_500)) == .milliseconds(-2500))
        #expect(ClusterTime.zero < time)
    }

    @Test func `instants move by durations`() {
        let start = Instant(nanoseconds: 7)
        let later = start.advanced(by: .microseconds(3))
        #expect(later == Instant(nanoseconds: 3007))
        #expect(later.duration(since: start) == .microseconds(3))
        #expect(start < later)
    }

    @Test func `durations count in whole units and clamp`() {
        #expect(Duration.milliseconds(-1500).nanoseconds == -1_500_000_000)
        #expect(Duration.microseconds(1999).milliseconds == 1)
        #expect(Duration.microseconds(-1999).milliseconds == -1)
        #expect(Duration.milliseconds(250).seconds == 0.25)
        #expect(Duration.seconds(Int64.max).nanoseconds == Int64.max)
        #expect(Duration.seconds(Int64.min).nanoseconds == Int64.min)
        #expect(Duration.seconds(Int64.max).milliseconds == Int64.max)
        #expect(Duration.seconds(Int64.min).milliseconds == Int64.min)
    }
}

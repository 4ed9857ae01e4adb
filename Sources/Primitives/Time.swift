/// Monotonic nanoseconds since an arbitrary start: elections, timeouts and latencies; never written to disk.
package struct Instant: Hashable, Sendable, Comparable {
    package var nanoseconds: Int64
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package func advanced(by duration: Duration) -> Instant { Instant(nanoseconds: nanoseconds + duration.nanoseconds) }
    package func duration(since earlier: Instant) -> Duration { .nanoseconds(nanoseconds - earlier.nanoseconds) }
    package static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
}

/// Milliseconds since 1970 as the leader's log states them; never falls from one entry to the next. Every replicated
/// deadline (timers, leases, deduplication) is one.
package struct ClusterTime: Hashable, Sendable, Comparable {
    package var milliseconds: UInt64
    package init(milliseconds: UInt64) { self.milliseconds = milliseconds }
    package static let zero = ClusterTime(milliseconds: 0)

    package func advanced(by duration: Duration) -> ClusterTime {
        let sum = Int64(clamping: milliseconds).addingReportingOverflow(duration.milliseconds)
        return ClusterTime(milliseconds: sum.overflow ? UInt64(Int64.max) : UInt64(max(0, sum.partialValue)))
    }
    package func duration(since earlier: ClusterTime) -> Duration {
        .milliseconds(Int64(clamping: milliseconds) - Int64(clamping: earlier.milliseconds))
    }
    package static func < (left: ClusterTime, right: ClusterTime) -> Bool { left.milliseconds < right.milliseconds }
}

/// Where a node reads its clocks; the simulator brings its own.
package protocol NodeClock: Sendable {
    /// CLOCK_BOOTTIME: never falls, runs on while the machine sleeps.
    var now: Instant { get }
    /// Wall clock, milliseconds since 1970; may jump.
    var wall: ClusterTime { get }
    /// The wall clock in nanoseconds since 1970, as fine as the machine has it.
    var wallNanoseconds: UInt64 { get }
    /// To some milliseconds, and several times cheaper: only for lengths between two of its own.
    var coarseNow: Instant { get }
}

extension NodeClock {
    package var coarseNow: Instant { now }
    package var wallNanoseconds: UInt64 { wall.milliseconds &* 1_000_000 }
}

extension Duration {
    /// Whole nanoseconds, clamped to what Int64 holds (292 years).
    package var nanoseconds: Int64 {
        // One division: `components` makes four.
        Int64(clamping: attoseconds / 1_000_000_000)
    }

    /// Whole milliseconds, truncated toward zero.
    package var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        return product + attoseconds / 1_000_000_000_000_000
    }

    /// Seconds with their fraction.
    package var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}

extension ClusterTime {
    /// RFC 3339 in UTC with milliseconds: `2026-11-23T14:32:07.012Z`.
    package var rfc3339: String {
        guard milliseconds < Self.year10000 else { return longRFC3339 }
        return String(unsafeUninitializedCapacity: 24) { buffer in
            if let base = buffer.baseAddress { writeRFC3339(to: base) }
            return 24
        }
    }

    private static let year10000: UInt64 = 253_402_300_800_000

    /// The 24 bytes of `rfc3339`, for years of four digits; of later ones the last four.
    package func writeRFC3339(to bytes: UnsafeMutablePointer<UInt8>) {
        func put(_ number: Int, _ digits: Int, at place: Int, then mark: StaticString) {
            var rest = number
            for digit in stride(from: place + digits - 1, through: place, by: -1) {
                bytes[digit] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
                rest /= 10
            }
            bytes[place + digits] = mark.utf8Start.pointee
        }
        let rest = Int(milliseconds % 86_400_000)
        let (year, month, day) = civil(daysSince1970: Int64(milliseconds / 86_400_000))
        put(year, 4, at: 0, then: "-")
        put(month, 2, at: 5, then: "-")
        put(day, 2, at: 8, then: "T")
        put(rest / 3_600_000, 2, at: 11, then: ":")
        put(rest / 60_000 % 60, 2, at: 14, then: ":")
        put(rest / 1000 % 60, 2, at: 17, then: ".")
        put(rest % 1000, 3, at: 20, then: "Z")
    }

    private var longRFC3339: String {
        let days = Int64(milliseconds / 86_400_000)
        let rest = Int(milliseconds % 86_400_000)
        let (year, month, day) = civil(daysSince1970: days)
        let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
        let time = "\(padded(rest / 3_600_000, 2)):\(padded(rest / 60_000 % 60, 2)):\(padded(rest / 1000 % 60, 2))"
        return "\(date)T\(time).\(padded(rest % 1000, 3))Z"
    }

    /// Reads RFC 3339 (`2026-11-23T14:32:07.5+01:00`); nil when the text is not one, or lies before 1970.
    package init?(rfc3339 text: String) {
        var text = text
        guard let time = text.withUTF8({ Self.read($0) }) else { return nil }
        self = time
    }

    private static func read(_ bytes: UnsafeBufferPointer<UInt8>) -> ClusterTime? {
        var reader = DigitReader(bytes)
        guard let year = reader.digits(4), reader.skip("-"), let month = reader.digits(2), reader.skip("-"), let day = reader.digits(2),
            reader.skip("T") || reader.skip("t") || reader.skip(" "),
            let hour = reader.digits(2), reader.skip(":"), let minute = reader.digits(2), reader.skip(":"), let second = reader.digits(2),
            (1...12).contains(month), (1...daysIn(month: month, year: year)).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        guard let fraction = reader.fractionMilliseconds(), let offset = reader.offsetMinutes(), reader.isAtEnd else { return nil }
        let days = daysSince1970(year: year, month: month, day: day)
        let total = days * 86_400_000 + Int64((hour * 60 + minute - offset) * 60_000 + second * 1000 + fraction)
        return total < 0 ? nil : ClusterTime(milliseconds: UInt64(total))
    }
}

private struct DigitReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func digits(_ count: Int) -> Int? {
        guard position + count <= bytes.count else { return nil }
        var number = 0
        for byte in bytes[position..<position + count] {
            guard (48...57).contains(byte) else { return nil }
            number = number * 10 + Int(byte - 48)
        }
        position += count
        return number
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func fractionMilliseconds() -> Int? {
        guard skip(".") else { return 0 }
        var number = 0
        var seen = 0
        while let digit = digits(1) {
            if seen < 3 { number = number * 10 + digit }
            seen += 1
        }
        guard seen > 0 else { return nil }
        for _ in seen..<max(seen, 3) { number *= 10 }
        return number
    }

    mutating func offsetMinutes() -> Int? {
        if skip("Z") || skip("z") { return 0 }
        let sign = skip("+") ? 1 : skip("-") ? -1 : 0
        guard sign != 0, let hours = digits(2), skip(":"), let minutes = digits(2), hours < 24, minutes < 60 else { return nil }
        return sign * (hours * 60 + minutes)
    }
}

private func padded(_ number: Int, _ width: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
}

private func isLeap(_ year: Int) -> Bool { (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 }

private func daysIn(month: Int, year: Int) -> Int {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
}

/// The proleptic Gregorian calendar in eras of 400 years, each beginning on 1 March.
private func daysSince1970(year: Int, month: Int, day: Int) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return Int64(era * 146_097 + dayOfEra - 719_468)
}

private func civil(daysSince1970 days: Int64) -> (year: Int, month: Int, day: Int) {
    let shifted = Int(days) + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthShifted = (5 * dayOfYear + 2) / 153
    let month = monthShifted < 10 ? monthShifted + 3 : monthShifted - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthShifted + 2) / 5 + 1)
}

import ArgumentParser
import Primitives

/// Lengths of time as flags have them. A bare number is seconds to a definition, and milliseconds to many who type one: here it is asked
/// which of them is meant. Zero is the same in both.
package enum DurationFlag {
    /// - Parameters:
    ///   - flag: as it is typed.
    ///   - allowsNone: zero will do.
    ///   - atMost: nil where nothing is too long.
    ///   - example: some that would do, for the message.
    package static func read(
        _ text: String, of flag: String, allowsNone: Bool = false, atMost: Duration? = nil, example: String
    ) throws -> Duration {
        let shown = PlainText.oneLine(String(text.prefix(40)))
        let duration = Duration(text: text)
        // Every unit ends in a letter.
        if let duration, duration > .zero, let last = text.utf8.last, last <= UInt8(ascii: "9") {
            throw ValidationError("\(flag) '\(shown)' has no unit: say \(shown)ms or \(shown)s")
        }
        guard let duration, duration > .zero || allowsNone, atMost.map({ duration <= $0 }) ?? true else {
            let bound = atMost.map { " up to \($0.text)" } ?? ""
            throw ValidationError("\(flag) '\(shown)' is no duration\(bound); write \(example)")
        }
        return duration
    }
}

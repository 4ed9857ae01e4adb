import Cells
import Primitives
import Text

/// A line of text whose pieces have roles.
package struct Line: Equatable, Sendable {
    package struct Piece: Equatable, Sendable {
        package var text: String
        package var role: Role
    }

    package var pieces: [Piece]

    package init(_ pieces: [Piece] = []) { self.pieces = pieces }
    package init(_ text: String, _ role: Role = .text) { pieces = [Piece(text: text, role: role)] }

    package static func + (left: Line, right: Line) -> Line { Line(left.pieces + right.pieces) }
    package var text: String { pieces.map(\.text).joined() }
    package var width: Int { pieces.reduce(0) { $0 + CharacterWidth.of($1.text) } }

    /// A name and what it is.
    static func fact(_ name: String, _ value: String, _ role: Role = .text, indent: Int = 12) -> Line {
        let space = String(repeating: " ", count: max(1, indent - name.count))
        return Line(name + space, .dim) + Line(value, role)
    }

    static func state(_ word: String, _ theme: Theme, _ level: GlyphLevel) -> Line {
        let look = StateLook(word: word)
        return Line("\(theme.glyph(look, level)) \(word)", look.role)
    }
}

/// Values as people read them.
enum Words {
    static func plain(_ value: Value?) -> String { value.map(Column.plain) ?? "-" }

    /// One line, without control characters.
    static func oneLine(_ text: String, limit: Int = 2000) -> String { PlainText.oneLine(text, limit: limit) }

    static func time(_ value: Value?) -> ClusterTime? { value?.string.flatMap { ClusterTime(rfc3339: $0) } }

    /// `14:32:07`, in UTC as everything that the node says.
    static func clock(_ value: Value?) -> String {
        guard let text = value?.string, text.utf8.count >= 19 else { return "-" }
        return String(text.dropFirst(11).prefix(8))
    }

    /// How long ago: `4s`, `15s`, `12m`, `3h`, `5d`. From ten seconds on in steps of five: a screen full of ages must not change every second.
    static func age(_ value: Value?, now: ClusterTime) -> String {
        guard let time = time(value) else { return "-" }
        let seconds = max(0, now.duration(since: time).milliseconds / 1000)
        return short(seconds < 10 || seconds >= 60 ? seconds : seconds / 5 * 5)
    }

    static func short(_ seconds: Int64) -> String {
        switch seconds {
        case ..<60: "\(seconds)s"
        case ..<3600: "\(seconds / 60)m"
        case ..<86_400: "\(seconds / 3600)h"
        default: "\(seconds / 86_400)d"
        }
    }

    static func milliseconds(_ value: Value?) -> String {
        guard let number = value?.number, (-1e15...1e15).contains(number) else { return "-" }
        switch number {
        case ..<10 where number != number.rounded(): return "\(tenth(number, 100))ms"
        case ..<1000: return "\(Int(number.rounded()))ms"
        case ..<60_000: return "\(tenth(number / 1000, 10))s"
        default: return short(Int64(number / 1000))
        }
    }

    private static func tenth(_ number: Double, _ scale: Double) -> String {
        let text = "\((number * scale).rounded() / scale)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// `1.2k`, `3.4M`.
    static func count(_ value: Value?) -> String {
        guard let number = value?.number else { return "-" }
        return count(number)
    }

    static func count(_ number: Double) -> String {
        switch abs(number) {
        case ..<10 where number != number.rounded(): tenth(number, 100)
        case ..<1000: tenth(number, 10)
        case ..<1_000_000: tenth(number / 1000, 10) + "k"
        case ..<1_000_000_000: tenth(number / 1_000_000, 10) + "M"
        default: tenth(number / 1_000_000_000, 10) + "G"
        }
    }

    /// The end of an id, which tells ids of one second apart.
    static func shortID(_ text: String) -> String { text.utf8.count == 36 ? "…" + text.suffix(9) : text }

    /// A task's id with a short run.
    static func shortTask(_ text: String) -> String {
        guard let dot = text.firstIndex(of: "."), text[..<dot].utf8.count == 36 else { return text }
        return shortID(String(text[..<dot])) + text[dot...]
    }

    static func numbers(_ value: Value?) -> [Double] { (value?.list ?? []).map { $0.number ?? 0 } }

    /// Pretty JSON, coloured.
    static func json(_ value: Value, limit: Int = 400) -> [Line] {
        JSONWriter.pretty(value).split(separator: "\n", omittingEmptySubsequences: false).prefix(limit).map { jsonLine(String($0)) }
    }

    private static func jsonLine(_ text: String) -> Line {
        let indent = text.prefix { $0 == " " }
        let rest = text.dropFirst(indent.count)
        guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else {
            return Line(String(indent)) + scalar(String(rest))
        }
        let after = rest.index(after: end)
        guard after < rest.endIndex, rest[after] == ":" else { return Line(String(indent)) + scalar(String(rest)) }
        return Line(String(indent)) + Line(String(rest[...end]), .jsonKey) + Line(":") + scalar(String(rest[rest.index(after: after)...]))
    }

    private static func scalar(_ text: String) -> Line {
        let bare = text.drop { $0 == " " }
        let role: Role =
            bare.first == "\""
            ? .jsonString
            : bare.first.map { $0.isNumber || $0 == "-" } == true
                ? .jsonNumber
                : ["t", "f", "n"].contains(bare.first) ? .jsonLiteral : .text
        return Line(oneLine(text), role)
    }

    /// Text cut into lines of `width`, broken at spaces where that is possible.
    static func wrapped(_ text: String, width: Int) -> [String] {
        guard width > 4 else { return [text] }
        var lines: [String] = []
        for paragraph in text.split(separator: "\n", omittingEmptySubsequences: false) {
            var line = ""
            for word in oneLine(String(paragraph), limit: 20_000).split(separator: " ", omittingEmptySubsequences: false) {
                if !line.isEmpty, CharacterWidth.of(line) + 1 + CharacterWidth.of(word) > width {
                    lines.append(line)
                    line = ""
                }
                var rest = (line.isEmpty ? "" : line + " ") + word
                while CharacterWidth.of(rest) > width {
                    var (piece, used) = ("", 0)
                    for character in rest {
                        let columns = CharacterWidth.of(String(character))
                        if used + columns > width, !piece.isEmpty { break }
                        piece.append(character)
                        used += columns
                    }
                    lines.append(piece)
                    rest = String(rest.dropFirst(piece.count))
                }
                line = rest
            }
            lines.append(line)
        }
        return lines
    }
}

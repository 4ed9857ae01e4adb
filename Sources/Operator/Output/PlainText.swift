/// Words that others wrote - tasks, messages, nodes - made fit for a terminal: they must not move its cursor, name its window or turn its text round.
package enum PlainText {
    private enum Kind { case shown, blank, line, tab, dropped }

    private static func kind(_ scalar: Unicode.Scalar) -> Kind {
        switch scalar.value {
        case 0x09: .tab
        case 0x0A, 0x2028, 0x2029: .line
        // Bidirectional controls: what they turn round reads as something else than it is.
        case 0x061C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: .dropped
        case ..<0x20, 0x7F..<0xA0: .blank
        default: .shown
        }
    }

    /// One line: whatever is not shown becomes a space.
    package static func oneLine(_ text: String, limit: Int = .max) -> String {
        made(text, limit) { out, kind in if kind != .dropped { out.append(" ") } }
    }

    /// As many lines as before, and tabs as they are.
    package static func lines(_ text: String) -> String {
        made(text, .max) { out, kind in
            switch kind {
            case .line: out.append("\n")
            case .tab: out.append("\t")
            case .blank, .shown: out.append(" ")
            case .dropped: break
            }
        }
    }

    private static func made(_ text: String, _ limit: Int, _ other: (inout String.UnicodeScalarView, Kind) -> Void) -> String {
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(limit) {
            let kind = kind(scalar)
            if kind == .shown { out.append(scalar) } else { other(&out, kind) }
        }
        return String(out)
    }
}

/// The same table of keys for the manual: distric-console(1) holds this text between two marks, and a test compares them.
extension HelpText {
    /// A section for each group; for each action its keys, what it does, and its name for `keys.toml`. In mdoc, with no blank line.
    package static func mdoc(_ keymap: Keymap) -> String {
        var lines: [String] = []
        for group in groups {
            lines += [".Ss \(escaped(group.title))", ".Bl -tag -width \"esc, backspaceXX\" -compact"]
            for action in group.actions {
                lines += [".It \(tag(keymap, action))", escaped(action.help), ".Pq Va \(escaped(action.rawValue))"]
            }
            lines.append(".El")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Keys as the help view spells them, with commas between.
    private static func tag(_ keymap: Keymap, _ action: KeyAction) -> String {
        guard !keymap.keys(for: action).isEmpty else { return "Em none" }
        return "Ic " + keys(keymap, action).split(separator: " ").map { argument(String($0)) }.joined(separator: " , ")
    }

    /// One word of a macro's line: mdoc takes lone punctuation for a delimiter, and `-` for a hyphen.
    private static func argument(_ text: String) -> String {
        let shown = plain(text).replacing("-", with: "\\-").replacing("\"", with: "\\(dq")
        return text.count == 1 && ".,:;()[]?!|'".contains(text) ? "\\&\(shown)" : shown
    }

    /// A line of its own, which is no macro whatever it begins with.
    private static func escaped(_ text: String) -> String {
        text.hasPrefix(".") || text.hasPrefix("'") ? "\\&\(plain(text))" : plain(text)
    }

    /// No backslash starts a sequence, and ASCII stays ASCII.
    private static func plain(_ text: String) -> String {
        let sequences: [Character: String] = ["\\": "\\e", "~": "\\(ti", "^": "\\(ha", "`": "\\(ga"]
        return text.map { sequences[$0] ?? String($0) }.joined()
    }
}

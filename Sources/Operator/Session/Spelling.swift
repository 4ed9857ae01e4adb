package import ArgumentParser
import Primitives

/// Finds a command word that does not exist before the parser complains in general terms.
///
/// A word that was probably meant is named only where typing it changes nothing: what removes, hands over, restores or deletes is never
/// put into somebody's mouth.
package enum Spelling {
    /// Commands that only look, or begin something of their own.
    private static let harmless: Set<String> = [
        "status", "health", "nodes", "peers", "gossip", "connections", "list", "show", "why", "stats", "watch", "logs", "tail", "events",
        "top", "validate", "verify", "inspect", "dump", "decode", "ping", "version", "completion", "simulate", "check-history", "console",
        "demo", "shell", "node", "doctor", "debug", "bundle",
    ]

    package static func problem(_ arguments: [String], in root: any ParsableCommand.Type) -> String? {
        var command = root
        var path = ["distric"]
        for word in arguments.first == "help" ? arguments.dropFirst() : arguments[...] {
            let children = command.configuration.subcommands
            guard !children.isEmpty, !word.hasPrefix("-"), word != "help" else { return nil }
            let names = children.map { name(of: $0) }
            guard let place = names.firstIndex(of: word) else {
                if path.count > 1, let standing = command.configuration.defaultSubcommand, takes(word, standing) { return nil }
                let before = path.joined(separator: " ")
                let meant = meant(word, children, names).map { "; did you mean '\(before) \($0)'?" } ?? ""
                return
                    "no command '\(path.dropFirst().map { $0 + " " }.joined())\(word)'\(meant)\n\(before) has: \(names.joined(separator: ", "))"
            }
            command = children[place]
            path.append(word)
        }
        return nil
    }

    /// Whether it is a word for what runs when no command is named.
    private static func takes(_ word: String, _ command: any ParsableCommand.Type) -> Bool { (try? command.parse([word])) != nil }

    /// The nearest of all, and nothing else in its place.
    private static func meant(_ word: String, _ children: [any ParsableCommand.Type], _ names: [String]) -> String? {
        guard let nearest = suggestion(for: word, among: names), let place = names.firstIndex(of: nearest) else { return nil }
        // A group by itself changes nothing.
        let isGroup = !children[place].configuration.subcommands.isEmpty
        return isGroup || harmless.contains(nearest) ? nearest : nil
    }

    private static func name(of command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? String(describing: command).lowercased()
    }
}

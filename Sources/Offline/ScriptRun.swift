package import Primitives
import Simulation

/// Text that drives a small cluster of Raft cores by hand, run and compared with what it says.
package struct ScriptRun: Sendable {
    /// Every verb, a line each.
    package static let help = RaftScript.help

    /// A block that printed something else than stands below it.
    package struct Difference: Equatable, Sendable {
        /// Where its commands begin; the first line is 1.
        package var line: Int
        package var command: String
        package var expected: String
        package var actual: String

        /// Both in one, as diff(1) shows them: what stands there with a minus, what was printed with a plus.
        package var lines: [String] {
            let (left, right) = (Self.lines(expected), Self.lines(actual))
            let changes = right.difference(from: left)
            let (gone, new) = (Set(changes.removals.map(Self.place)), Set(changes.insertions.map(Self.place)))
            var (lines, here, there): ([String], Int, Int) = ([], 0, 0)
            while here < left.count || there < right.count {
                if here < left.count, gone.contains(here) {
                    lines.append("-" + left[here])
                    here += 1
                } else if there < right.count, new.contains(there) {
                    lines.append("+" + right[there])
                    there += 1
                } else {
                    lines.append(" " + right[there])
                    (here, there) = (here + 1, there + 1)
                }
            }
            return lines
        }

        private static func lines(_ text: String) -> [String] {
            text.isEmpty ? [] : text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        }

        private static func place(_ change: CollectionDifference<String>.Change) -> Int {
            switch change {
            case .remove(let offset, _, _), .insert(let offset, _, _): offset
            }
        }

        /// For programs.
        package var value: Value {
            ["line": Value(line), "command": .string(command), "expected": .string(expected), "actual": .string(actual)]
        }
    }

    private let text: String

    package init(_ text: String) { self.text = text }

    /// How many blocks there are, and which of them went another way.
    package func differences() -> (blocks: Int, differences: [Difference]) {
        let results = RaftScript.run(text)
        let differences = results.filter { !$0.isAsExpected }.map {
            Difference(line: $0.line, command: $0.command, expected: $0.expected, actual: $0.actual)
        }
        return (results.count, differences)
    }

    /// The text with what its blocks print now.
    package var rendered: String { RaftScript.rendered(text) }
}

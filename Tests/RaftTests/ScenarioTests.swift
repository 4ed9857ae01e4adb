import Foundation
import Simulation
import Testing

/// Bugs that others shipped (design 6), and figures of the paper, as text that can be read and run: `RaftScript.help` tells the verbs.
///
/// `DISTRIC_WRITE_SCENARIOS=1` writes what the core does now into the files: look at the difference before it is kept.
struct ScenarioTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Scenarios")
    static let isWriting = ProcessInfo.processInfo.environment["DISTRIC_WRITE_SCENARIOS"] == "1"

    static let names: [String] = {
        let found = try? FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false))
        return (found ?? []).filter { $0.hasSuffix(".txt") }.sorted()
    }()

    @Test func `there is a scenario for each of the bugs that others shipped`() {
        for number in 1...14 {
            let prefix = (number < 10 ? "0" : "") + "\(number)-"
            #expect(Self.names.contains { $0.hasPrefix(prefix) }, "Scenarios/\(prefix)*.txt")
        }
    }

    @Test(arguments: names)
    func `a scenario goes as it is written`(name: String) throws {
        let file = Self.folder.appending(path: name)
        let text = try String(contentsOf: file, encoding: .utf8)
        if Self.isWriting {
            try RaftScript.rendered(text).write(to: file, atomically: true, encoding: .utf8)
            return
        }
        for result in RaftScript.run(text) where !result.isAsExpected {
            Issue.record("Scenarios/\(name):\(result.line)\n\(result.command)\n----\n\(difference(result))")
        }
    }

    @Test(arguments: names)
    func `a scenario goes the same way every time`(name: String) throws {
        let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
        let (first, second) = (RaftScript.run(text), RaftScript.run(text))
        #expect(first == second)
    }

    @Test(arguments: names)
    func `a scenario has no error in it`(name: String) throws {
        let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
        for result in RaftScript.run(text) where result.actual.contains("error: ") {
            Issue.record("Scenarios/\(name):\(result.line)\n\(result.actual)")
        }
    }

    /// Both texts in one, as `diff` shows them: what was expected with a minus, what was printed with a plus.
    private func difference(_ result: RaftScript.Result) -> String {
        let expected = result.expected.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let printed = result.actual.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let changes = printed.difference(from: expected)
        let missing = Set(changes.removals.map(\.offset))
        let new = Set(changes.insertions.map(\.offset))
        var (lines, left, right): ([String], Int, Int) = ([], 0, 0)
        while left < expected.count || right < printed.count {
            if missing.contains(left) {
                lines.append("- " + expected[left])
                left += 1
            } else if new.contains(right) {
                lines.append("+ " + printed[right])
                right += 1
            } else {
                lines.append("  " + printed[right])
                (left, right) = (left + 1, right + 1)
            }
        }
        return lines.joined(separator: "\n")
    }
}

extension CollectionDifference.Change {
    fileprivate var offset: Int {
        switch self {
        case .insert(let offset, _, _), .remove(let offset, _, _): offset
        }
    }
}

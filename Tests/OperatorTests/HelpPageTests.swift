import Definitions
import Foundation
import Testing

@testable import Operator

/// Man/distric-console.1 against the table that the help view is made of.
struct HelpPageTests {
    private static let marks = (begin: ".\\\" keys begin\n", end: ".\\\" keys end\n")

    private func manual() throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "Man/distric-console.1"), encoding: .utf8)
    }

    @Test func `the keys of the page are those of the program`() throws {
        let text = try manual()
        let begin = try #require(text.range(of: Self.marks.begin))
        let end = try #require(text.range(of: Self.marks.end, range: begin.upperBound..<text.endIndex))
        #expect(String(text[begin.upperBound..<end.lowerBound]) == HelpText.mdoc(.standard))
    }

    @Test func `it has a section for each group and an entry for each action, in order`() {
        let lines = HelpText.mdoc(.standard).split(separator: "\n").map(String.init)
        #expect(lines.filter { $0.hasPrefix(".Ss ") } == HelpText.groups.map { ".Ss \($0.title)" })
        #expect(lines.filter { $0.hasPrefix(".Pq Va ") } == HelpText.actions.map { ".Pq Va \($0.rawValue)" })
        #expect(lines.filter { $0.hasPrefix(".It ") }.count == KeyAction.allCases.count)
        #expect(lines.filter { $0.hasPrefix(".Bl ") }.count == lines.filter { $0 == ".El" }.count)
    }

    @Test func `punctuation is a key and no delimiter`() {
        let text = HelpText.mdoc(.standard)
        for line in [".It Ic \\&:", ".It Ic \\&[", ".It Ic \\&]", ".It Ic \\&? , f1", ".It Ic \\-", ".It Ic /", ".It Ic esc , backspace"] {
            #expect(text.contains("\n\(line)\n"), "\(line)")
        }
        #expect(text.contains("\n.It Ic pgup , c\\-b\n"))
        #expect(text.contains("\nfilter: text, /regex/, !not, \\(tifuzzy, column>5\n"))
    }

    @Test func `other keys give another text`() throws {
        let file = "[keys]\nretry = '\\'\nquit = ['.', '~']\nsave = '\"'\nsource = 'r'\n"
        let keymap = try Keymap(toml: Array(file.utf8), file: "keys.toml")
        let text = HelpText.mdoc(keymap)
        #expect(text.contains("\n.It Ic \\e\nstart the run again"))
        #expect(text.contains("\n.It Ic \\&. , \\(ti\non a top view"))
        #expect(text.contains("\n.It Ic \\(dq\nsave the view"))
        #expect(text.contains("\n.It Ic r\ngo to the message"))
    }

    @Test func `an action without a key says so`() throws {
        let keymap = try Keymap(toml: Array("[keys]\nsave = []\n".utf8), file: "keys.toml")
        #expect(HelpText.mdoc(keymap).contains("\n.It Em none\nsave the view"))
    }
}

import Foundation
import Primitives
import Testing
import Text

/// Man/distric.toml.5 against the program.
struct SettingsManualTests {
    private func manual() throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "Man/distric.toml.5"), encoding: .utf8)
    }

    /// In a folder without a file: defaults alone.
    private func settings(_ words: [String] = [], in folder: TemporaryFolder) throws -> [Value] {
        let shown = try distric(["config", "show", "--origin", "-o", "json"] + words, in: folder.path)
        try #require(shown.code == 0, "\(shown.err)")
        return try #require(try JSONScanner.parse(shown.out).list)
    }

    private func entry(_ setting: Value) throws -> String {
        let value = try #require(setting["value"])
        let words = value.list?.compactMap(\.string) ?? (value.map == nil ? [value.string ?? JSONWriter.text(value)] : [])
        let text = words.joined(separator: ",")
        return ".It Va \(try #require(setting["key"]?.string)) Pq \(text.isEmpty ? "empty" : text)"
    }

    @Test func `it has every setting with its default, and no other`() throws {
        let wanted = try settings(in: try TemporaryFolder()).map { try entry($0) }
        #expect(try manual().split(separator: "\n").map(String.init).filter { $0.hasPrefix(".It Va ") }.sorted() == wanted.sorted())
    }

    @Test func `its example can be meant`() throws {
        let text = try manual()
        let start = try #require(text.range(of: ".Bd -literal -offset indent\n"))
        let end = try #require(text.range(of: "\n.Ed", range: start.upperBound..<text.endIndex))
        let folder = try TemporaryFolder()
        try Data(text[start.upperBound..<end.lowerBound].utf8).write(to: URL(filePath: folder.path + "/example.toml"))
        let given = try settings(["--config", "example.toml"], in: folder).filter { $0["origin"]?.string == "file example.toml" }
        #expect(given.contains { $0["key"]?.string == "cluster.bootstrap_expect" && $0["value"]?.int == 3 }, "\(given)")
    }
}

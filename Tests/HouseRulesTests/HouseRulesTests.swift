import Foundation
import Testing

/// The rules of CONTRIBUTING.md, read off the sources.
struct HouseRulesTests {
    struct SourceFile {
        let room: String
        let path: String
        let lines: [String]
    }

    let files: [SourceFile]
    let root: URL

    init() throws {
        root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let sources = root.appending(path: "Sources")
        let paths = try FileManager.default.subpathsOfDirectory(atPath: sources.path(percentEncoded: false))
        files = try paths.filter { $0.hasSuffix(".swift") }.sorted().map { path in
            let text = try String(contentsOf: sources.appending(path: path), encoding: .utf8)
            return SourceFile(room: String(path.prefix { $0 != "/" }), path: path, lines: text.components(separatedBy: "\n"))
        }
    }

    @Test func `every import is one that the room may have`() {
        #expect(files.count > 20)
        for file in files {
            guard let allowed = allowedImports[file.room] else {
                Issue.record("room \(file.room) is not in the table: \(file.path)")
                continue
            }
            for module in file.lines.compactMap(importedModule) where !allowed.contains(module) {
                Issue.record("\(file.path) imports \(module), which \(file.room) may not")
            }
        }
    }

    @Test func `quiet rooms touch no clock, thread, lock or chance of their own`() {
        let banned = ["Date()", "ContinuousClock", "SuspendingClock", "Mutex<", " Task {", "Task.sleep", ".random()", "print(", "UUID()"]
        for file in files where quietRooms.contains(file.room) {
            for (number, line) in file.lines.enumerated() where !isComment(line) {
                for word in banned where line.contains(word) { Issue.record("\(file.path):\(number + 1) uses \(word)") }
            }
        }
    }

    @Test func `paths of files are not percent-encoded`() {
        for file in files {
            for (number, line) in file.lines.enumerated() where line.contains(".path" + "()") {
                Issue.record("\(file.path):\(number + 1) makes a path that breaks with a space in it: path(percentEncoded: false)")
            }
        }
    }

    @Test func `no type bears a name that says nothing, or its module's`() {
        let declaration = /\b(?:struct|class|enum|actor|protocol)\s+([A-Z][A-Za-z0-9]*)/
        for file in files {
            for (number, line) in file.lines.enumerated() where !isComment(line) {
                guard let name = line.firstMatch(of: declaration)?.1 else { continue }
                let vague = ["Manager", "Helper", "Util", "Utils", "Common"].contains { name.hasSuffix($0) }
                if vague || String(name) == file.room { Issue.record("\(file.path):\(number + 1) names a type \(name)") }
            }
        }
    }

    @Test func `package types and protocols say what they are`() {
        let declaration = /^package (?:final |indirect )*(?:struct|class|enum|actor|protocol)\s+([A-Z][A-Za-z0-9]*)/
        for file in files {
            for (number, line) in file.lines.enumerated() {
                guard let match = line.firstMatch(of: declaration) else { continue }
                var above = number - 1
                while above >= 0, file.lines[above].hasPrefix("@") { above -= 1 }
                if above < 0 || !file.lines[above].hasPrefix("///") {
                    Issue.record("\(file.path):\(number + 1) \(match.1) has no doc comment")
                }
            }
        }
    }

    @Test func `nothing is public outside the facade`() {
        for file in files where file.room != "DistriC" {
            for (number, line) in file.lines.enumerated() where isPublic(line) { Issue.record("\(file.path):\(number + 1) is public") }
        }
    }

    @Test func `no file grew past what one idea needs`() {
        for file in files where file.lines.count > 500 { Issue.record("\(file.path) has \(file.lines.count) lines") }
    }

    @Test func `the top level holds what the house lists and nothing else`() throws {
        let expected: Set = [
            "Package.swift", "Sources", "Tests", "Themes", "Man", "README.md", "LICENSE", "CONTRIBUTING.md", "Package.resolved", "demo",
        ]
        let found = try FileManager.default.contentsOfDirectory(atPath: root.path(percentEncoded: false)).filter { !$0.hasPrefix(".") }
        #expect(Set(found).subtracting(expected).isEmpty)
    }

    private func importedModule(_ line: String) -> String? {
        guard line.utf8.count < 100, line.contains("import ") else { return nil }
        return line.firstMatch(
            of: /^(?:@\w+(?:\(\w+\))?\s+)?(?:package |public |internal |private )?import (?:struct |class |func |enum )?(\w+)/
        )
        .map { String($0.1) }
    }

    private func isPublic(_ line: String) -> Bool {
        let words = line.split(separator: " ", maxSplits: 2)
        guard let first = words.first, first == "public" || first == "open", words.count > 1 else { return false }
        return words[1] != "="
    }

    private func isComment(_ line: String) -> Bool { line.trimmingPrefix(while: \.isWhitespace).hasPrefix("//") }
}

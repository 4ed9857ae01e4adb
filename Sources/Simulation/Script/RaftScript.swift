/// Text that drives a small cluster of Raft cores by hand, after the style of cockroachdb/datadriven: blocks of commands, `----`, and what they
/// print.
///
///     # a comment
///     cluster n1 n2 n3
///     campaign n1
///     stabilize
///     ----
///     n1 is pre-candidate in term 0 (start)
///     ...
///
/// One cluster lives from the first block to the last. What a text says wrongly is printed as an error in its place, and ends its block; the
/// blocks after it still run. Same text, same output.
package struct RaftScript: Sendable {
    /// What one block was to print, and what it printed.
    package struct Result: Equatable, Sendable {
        /// Where the block begins; the first line is 1.
        package var line: Int
        /// Its commands, a line each.
        package var command: String
        package var expected: String
        package var actual: String

        package var isAsExpected: Bool { expected == actual }
    }

    struct Command: Equatable, Sendable {
        var line: Int
        var text: String
    }

    struct Block: Equatable, Sendable {
        var commands: [Command]
        var expected: [String]
        /// Nil when all is well with the block itself.
        var fault: String?
    }

    enum Part: Equatable, Sendable {
        /// Comments and empty lines, as they are.
        case text(String)
        case block(Block)
    }

    package static func run(_ text: String) -> [Result] {
        var commands = ScriptCommands()
        return parts(of: text).compactMap { part in
            guard case .block(let block) = part else { return nil }
            return run(block, &commands)
        }
    }

    /// The text with what its blocks print now in the place of what they should.
    package static func rendered(_ text: String) -> String {
        var commands = ScriptCommands()
        var lines: [String] = []
        for part in parts(of: text) {
            switch part {
            case .text(let line): lines.append(line)
            case .block(let block):
                let result = run(block, &commands)
                lines += block.commands.map(\.text)
                lines += ["----", result.actual]
            }
        }
        return lines.isEmpty ? "" : lines.joined(separator: "\n") + "\n"
    }

    private static func run(_ block: Block, _ commands: inout ScriptCommands) -> Result {
        var printed: [String] = []
        commands.beginBlock()
        do throws(ScriptError) {
            if let fault = block.fault { throw ScriptError(fault) }
            for command in block.commands {
                do throws(ScriptError) {
                    printed += try commands.run(command.text)
                } catch {
                    throw ScriptError("line \(command.line): \(error.reason)")
                }
            }
        } catch {
            printed += commands.cluster.takeLines() + ["error: \(error.reason)"]
        }
        return Result(
            line: block.commands.first?.line ?? 0, command: block.commands.map(\.text).joined(separator: "\n"),
            expected: block.expected.joined(separator: "\n"), actual: printed.isEmpty ? "ok" : printed.joined(separator: "\n"))
    }

    // MARK: Reading

    static func parts(of text: String) -> [Part] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        var parts: [Part] = []
        var place = 0
        while place < lines.count {
            if isSilent(lines[place]) {
                parts.append(.text(lines[place]))
                place += 1
            } else {
                parts.append(.block(block(of: lines, at: &place)))
            }
        }
        return parts
    }

    /// From its first command to the line before the empty one that ends it.
    private static func block(of lines: [String], at place: inout Int) -> Block {
        var block = Block(commands: [], expected: [], fault: nil)
        let first = place + 1
        while place < lines.count, lines[place] != separator {
            guard !lines[place].allSatisfy(\.isWhitespace) else { break }
            if !isSilent(lines[place]) { block.commands.append(Command(line: place + 1, text: lines[place])) }
            place += 1
        }
        guard place < lines.count, lines[place] == separator else {
            block.fault = "line \(first): the block has no '----' before its end"
            return block
        }
        if block.commands.isEmpty { block.fault = "line \(first): the block has no command before its '----'" }
        place += 1
        while place < lines.count, !lines[place].isEmpty {
            block.expected.append(lines[place])
            place += 1
        }
        return block
    }

    private static let separator = "----"

    private static func isSilent(_ line: String) -> Bool {
        guard let first = line.first(where: { !$0.isWhitespace }) else { return true }
        return first == "#"
    }
}

/// What is wrong with a command of a script.
struct ScriptError: Error, Equatable, Sendable {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

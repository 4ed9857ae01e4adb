package import Definitions
import Foundation
package import Primitives

/// What can be answered without a node; the door brings it, since this room may not import rules and workflows.
package protocol LocalTools: Sendable {
    /// Everything wrong with definitions by themselves.
    func validate(_ documents: [SourceDocument], namespace: Namespace) -> [Diagnostic]
}

/// Where a command reads and writes, and what it knows of its surroundings. One for the process, or one for each line of a shell.
package struct Session: Sendable {
    package var environment: [String: String]
    package var tools: any LocalTools
    /// Data goes here ...
    package var out: @Sendable (String) -> Void
    /// ... and words for people here.
    package var note: @Sendable (String) -> Void
    /// Whether notes go to a terminal, where a line can be rewritten.
    package var notesAreInteractive: Bool
    package var width: Int

    @TaskLocal package static var current = Session(
        environment: ProcessInfo.processInfo.environment, tools: NoTools(), out: { print($0, terminator: "") },
        note: { FileHandle.standardError.write(Data($0.utf8)) }, notesAreInteractive: isatty(2) == 1, width: 120)

    package init(
        environment: [String: String], tools: any LocalTools, out: @escaping @Sendable (String) -> Void,
        note: @escaping @Sendable (String) -> Void,
        notesAreInteractive: Bool, width: Int
    ) {
        self.environment = environment
        self.tools = tools
        self.out = out
        self.note = note
        self.notesAreInteractive = notesAreInteractive
        self.width = width
    }
}

private struct NoTools: LocalTools {
    func validate(_ documents: [SourceDocument], namespace: Namespace) -> [Diagnostic] { [] }
}

/// A failure with its exit code and the words for it.
package struct CommandFailure: Error, Equatable {
    /// The exit codes of every command, after sysexits(3).
    package enum Code: Int32, Sendable {
        case failed = 1
        case usage = 64
        case badData = 65
        case unavailable = 69
        case `internal` = 70
        case cannotWrite = 73
        case temporary = 75
        case protocolError = 76
        case denied = 77
        case badConfiguration = 78
        case interrupted = 130
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

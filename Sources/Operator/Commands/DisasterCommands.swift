package import ArgumentParser
import Foundation
import Glibc
import Primitives

/// Looks at a backup while it comes: the door brings it, since this room does not know what one looks like.
package protocol BackupCheck {
    mutating func take(_ bytes: [UInt8]) throws(CommandFailure)
    /// No more bytes come. What it was, in words.
    mutating func finish() throws(CommandFailure) -> String
}

/// `distric backup create`.
package struct BackupCreation: ParsableArguments {
    @Argument(help: "The file; - is standard output.", completion: .file()) package var file: String
    @Flag(name: .long, help: "Also what has ended: accepted messages and ended runs, as far as the node keeps them.") package var history =
        false
    @Flag(name: .long, help: "Replace a file of that name.") package var force = false
    @OptionGroup package var common: CommonOptions

    package init() {}

    package func validate() throws {
        guard !file.isEmpty else { throw ValidationError("the file's name is empty") }
        guard common.consistency != .leader else {
            throw ValidationError(
                "a backup is of the node that is asked: name the leader by --connect, or ask for --consistency linearizable")
        }
    }

    /// - Parameter check: sees every byte before the file gets its name.
    package func run(_ check: some BackupCheck) async throws {
        var check = check
        let client = try common.client
        // Finds one that answers.
        _ = try await client.get("/api/v1/raft/status")
        var query: [(String, String)] = history ? [("history", "true")] : []
        if let consistency = common.consistency { query.append(("consistency", consistency.rawValue)) }
        let stream = ByteStream(url: client.url, path: "/api/v1/backup", query: query)
        let target = try Target(file, force)
        var progress = Progress()
        defer { progress.clear() }
        try await stream.pieces { bytes in
            try check.take(bytes)
            try target.write(bytes)
            progress.show(adding: bytes.count)
        }
        let words = try check.finish()
        try target.keep()
        progress.clear()
        Session.current.note("\(words), \(Progress.text(progress.bytes))\(file == "-" ? "" : ": \(file)")\n")
    }

    private enum Target {
        case file(NewFile)
        case output

        init(_ file: String, _ force: Bool) throws(CommandFailure) {
            guard file == "-" else {
                self = .file(try NewFile(file, replaces: force))
                return
            }
            guard Session.current.readsInput, Session.current.url == nil else {
                throw CommandFailure(.usage, "'-' is standard output, which shows the console or the shell here; name a file")
            }
            guard isatty(1) != 1 else {
                throw CommandFailure(.usage, "a backup is nothing to read; name a file, or send it on: distric backup create - > FILE")
            }
            self = .output
        }

        func write(_ bytes: [UInt8]) throws(CommandFailure) {
            switch self {
            case .file(let file): try file.write(bytes)
            case .output: try NewFile.write(bytes, to: 1, named: "standard output")
            }
        }

        func keep() throws(CommandFailure) { if case .file(let file) = self { try file.keep() } }
    }

    /// What has come, on a terminal, at most ten times a second.
    private struct Progress {
        private(set) var bytes = 0
        private let began = Date()
        private var lastShown = Date(timeIntervalSince1970: 0)

        mutating func show(adding count: Int) {
            bytes += count
            guard Session.current.notesAreInteractive, Date().timeIntervalSince(lastShown) > 0.1 else { return }
            lastShown = Date()
            let perSecond = Int(Double(bytes) / max(0.1, Date().timeIntervalSince(began)))
            Session.current.note("\r\(Self.text(bytes))  \(Self.text(perSecond))/s\u{1B}[K")
        }

        func clear() { if Session.current.notesAreInteractive, bytes > 0 { Session.current.note("\r\u{1B}[K") } }

        static func text(_ bytes: Int) -> String {
            guard bytes >= 10_000 else { return "\(bytes) B" }
            let (number, unit) = bytes < 10 << 20 ? (Double(bytes) / 1024, "KiB") : (Double(bytes) / Double(1 << 20), "MiB")
            return "\((number * 10).rounded() / 10) \(unit)"
        }
    }
}

/// `distric cluster resume`.
package struct ClusterResume: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let the timers of a restored cluster go.",
        discussion: """
            A cluster that a backup was restored into fires no timer: no wait ends, no deadline passes, no retry begins. Look first at what is open
            and whether the old cluster is really gone; what it did meanwhile, this one does again.

              distric runs list
              distric cluster resume
            """)
    @OptionGroup var common: CommonOptions
    package init() {}

    @concurrent
    package func run() async throws {
        let answer = try await common.client.post("/api/v1/cluster:resume", body: [:])
        guard common.output == .table || common.output == .wide else { return common.print(answer) }
        Session.current.out(answer["resumed"]?.bool == true ? "timers go again\n" : "timers were not held\n")
    }
}

import ArgumentParser
import Primitives

/// What a node may be given when it starts: definitions, then messages, through its own API like anybody else's.
package enum Seeding {
    package static func load(url: String, apply paths: [String], submit file: String?) async throws {
        var common = CommonOptions()
        common.connect = url
        common.timeout = "60s"
        common.output = .table
        common.namespace = nil
        common.consistency = nil
        if !paths.isEmpty {
            var files = DefinitionFiles()
            files.files = paths
            try await untilThereIsALeader { try await DefinitionActions.apply(files, common, path: "rules") }
        }
        guard let file else { return }
        let lines = try MessageLines.read(file)
        var submission = Submission(
            total: lines.count, file: file, patience: .batch(common.patience), around: .real(try common.client, namespace: nil))
        try await submission.run(lines, rate: 0)
        Session.current.out(submission.sentence + "\n")
    }

    /// A cluster that begins has none for a moment.
    private static func untilThereIsALeader(_ body: () async throws -> Void) async throws {
        let end = ContinuousClock.now + .seconds(60)
        while true {
            do { return try await body() } catch let failure as CommandFailure {
                guard failure.code == .temporary, ContinuousClock.now < end else { throw failure }
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}

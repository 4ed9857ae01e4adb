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
            try await DefinitionActions.apply(files, common, path: "rules")
        }
        guard let file else { return }
        let lines = try MessageLines.read(file)
        var submission = Submission(client: try common.client, namespace: nil, total: lines.count, file: file)
        try await submission.run(lines, rate: 0)
        Session.current.out(submission.sentence + "\n")
    }
}

import Foundation
import Operator
import Primitives
import Testing
import Text

/// `distric doctor` and `distric debug bundle` as they are run.
@Suite(.timeLimit(.minutes(2)))
struct DoctorTests {
    private let apart: [String: String]
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        // Nodes of other tests are none of ours.
        apart = ["XDG_RUNTIME_DIR": folder.path + "/run", "HOME": folder.path, "XDG_STATE_HOME": folder.path + "/state"]
    }

    private func findings(_ arguments: String...) throws -> (code: Int32, byCheck: [String: [Value]], err: String) {
        let done = try run(Built.distric, ["doctor", "-o", "json"] + arguments, in: folder.path, environment: apart)
        let list = try JSONScanner.parse(done.out).list ?? []
        return (done.code, Dictionary(grouping: list) { $0["check"]?.string ?? "" }, done.err)
    }

    @Test func `a folder that is well is, and a node that runs on it`() throws {
        let data = folder.path + "/data"
        let node = try RunningNode(data: data)
        let told = try findings("--data", data, "--connect", node.url)
        #expect(told.byCheck["folder"]?.first?["measured"]?.string == "\(data) is in use by process \(node.process.processIdentifier)")
        #expect(told.byCheck["fsync"]?.first?["measured"]?.string?.contains("synced appends in \(data)") == true)
        #expect(told.byCheck["leader"]?.first?["verdict"]?.string == "ok")
        #expect(told.byCheck["quorum"]?.first?["measured"]?.string == "1 coordinator votes, 1 answers, 1 is needed: it may not fail")
        #expect(told.byCheck["node n1"]?.count == 1 && told.byCheck["versions"]?.first?["verdict"]?.string == "ok")
        #expect(told.err.contains("checks, "))
    }

    @Test func `a folder that cannot be, settings that are wrong and a node that is not there fail, with what to do`() throws {
        let file = folder.path + "/file"
        try Data().write(to: URL(filePath: file))
        let bad = try findings("--data", file, "--offline")
        #expect(bad.code == 1)
        #expect(
            bad.byCheck["folder"]?.first?["verdict"]?.string == "fail"
                && bad.byCheck["folder"]?.first?["advice"]?.string?.contains("--data") == true)

        let config = folder.path + "/distric.toml"
        try Data("[disk]\nlow_percnt = 3\n".utf8).write(to: URL(filePath: config))
        let wrong = try findings("--config", config, "--data", folder.path, "--offline")
        #expect(wrong.code == 1)
        #expect(wrong.byCheck["settings"]?.first?["measured"]?.string?.contains("did you mean 'disk.low_percent'?") == true)
        #expect(wrong.byCheck["fsync"] != nil)

        let gone = try findings("--data", folder.path, "--connect", "127.0.0.1:1")
        #expect(gone.code == 1 && gone.byCheck["cluster"]?.first?["verdict"]?.string == "fail")
        // Where nobody has named a node, none is missed.
        #expect(try run(Built.distric, ["doctor", "--offline", "--connect", "x"], environment: apart).code == 64)
    }

    @Test func `a bundle holds what the node says of itself, and no secret`() throws {
        let settings = folder.path + "/node.toml"
        try Data(
            "[workflows]\nenv = {TOKEN = \"swordfish-4711\"}\n[tracing]\notlp_headers = {authorization = \"Bearer open-sesame-42\"}\notlp_url = \"http://me:hush-hush-1@127.0.0.1:1/v1/traces\"\n[log]\nlevels = {http = \"debug\"}\n"
                .utf8
        ).write(to: URL(filePath: settings))
        let node = try RunningNode(data: folder.path + "/data", ["--config", settings])
        // It stands in the log too.
        _ = try raw(node.url, "GET", "/api/v1/runs/swordfish-4711")
        #expect(try raw(node.url, "GET", "/api/v1/logs").body.contains("swordfish-4711"))
        let place = folder.path + "/bundle"
        let done = try run(Built.distric, ["debug", "bundle", "--output", place, "--connect", node.url], environment: apart)
        #expect(done.code == 0 && done.out == place + "\n", "\(done.err)")

        let manifest = try JSONScanner.parse([UInt8](try Data(contentsOf: URL(filePath: place + "/manifest.json"))))
        let names = (manifest["files"]?.list ?? []).compactMap { $0["name"]?.string }
        for name in ["config", "status", "raft", "events", "logs", "health"] {
            #expect(names.contains("nodes/n1/\(name).json"), "\(names)")
        }
        #expect(names.contains("nodes/n1/metrics.txt") && names.contains("doctor.json"))
        for file in manifest["files"]?.list ?? [] {
            let bytes = try Data(contentsOf: URL(filePath: place + "/" + (file["name"]?.string ?? "")))
            #expect(file["bytes"]?.int == Int64(bytes.count))
            let text = String(decoding: bytes, as: UTF8.self)
            for secret in ["swordfish", "open-sesame", "hush-hush"] { #expect(!text.contains(secret), "\(file)") }
        }
        if let sum = Built.tool("sha256sum") {
            let first = try #require(manifest["files"]?.list?.first)
            let said = try run(sum, [place + "/" + (first["name"]?.string ?? "")])
            #expect(said.out.hasPrefix(first["sha256"]?.string ?? "?"))
        }

        let again = try run(Built.distric, ["debug", "bundle", "--output", place, "--connect", node.url], environment: apart)
        #expect(again.code == 73 && again.err.contains("is there already"), "\(again.err)")
        let archive = folder.path + "/b.tar.gz"
        #expect(try run(Built.distric, ["debug", "bundle", "--output", archive, "--connect", node.url], environment: apart).code == 0)
        if let tar = Built.tool("tar") {
            let listed = try run(tar, ["tzf", archive])
            #expect(
                listed.code == 0 && listed.out.contains("b/manifest.json\n") && listed.out.contains("b/nodes/n1/logs.json\n"), "\(listed)")
        }
        let none = try run(
            Built.distric, ["debug", "bundle", "--output", folder.path + "/c", "--connect", "127.0.0.1:1"], environment: apart)
        #expect(none.code == 69 && !FileManager.default.fileExists(atPath: folder.path + "/c"))
    }
}

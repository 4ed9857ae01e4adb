import Foundation
import Primitives
import Testing
import Text

/// Commands that need no node: what they take, and how they end.
struct OfflineCommandTests {
    private static let well = [
        #"{"process":0,"type":"invoke","f":"write","key":"a","value":1,"time":10}"#,
        #"{"process":0,"type":"ok","f":"write","key":"a","value":1,"time":20}"#,
        #"{"process":1,"type":"invoke","f":"read","key":"a","value":null,"time":30}"#,
    ]

    private func checked(_ last: String, _ options: String...) throws -> Finished {
        try run(Built.distric, ["simulate", "check-history", "-"] + options, input: (Self.well + [last]).joined(separator: "\n"))
    }

    @Test func `a history ends with 0 when it is linearizable, 1 when it is not, and 65 where it is none`() throws {
        let good = try checked(#"{"process":1,"type":"ok","f":"read","key":"a","value":1,"time":40}"#)
        #expect(good.code == 0 && good.out == "linearizable: 1 key, 2 operations in all\n", "\(good.out)\(good.err)")
        let stale = #"{"process":1,"type":"ok","f":"read","key":"a","value":null,"time":40}"#
        let bad = try checked(stale)
        #expect(bad.code == 1 && bad.out.contains(#"the smallest is "a""#), "\(bad.out)\(bad.err)")
        let object = try checked(stale, "-o", "json")
        #expect(object.code == 1)
        #expect(try JSONScanner.parse(object.out).at("smallest", "key") == "a")
        let broken = try checked("{\"process\":1,")
        #expect(broken.code == 65 && broken.err.hasPrefix("distric: -: line 4: not JSON"), "\(broken.err)")
        #expect(try run(Built.distric, ["simulate", "check-history", "/nowhere"]).code == 65)
    }

    @Test func `a folder is no backup, and the command says what to give`() throws {
        let folder = try TemporaryFolder()
        for words in [
            ["backup", "verify", folder.path], ["backup", "restore", folder.path, "--data", folder.path + "/new", "--id", "c-1"],
        ] {
            let finished = try run(Built.distric, words)
            #expect(finished.code == 64)
            #expect(finished.err == "distric: \(folder.path) is a folder: name the file that 'distric backup create' wrote\n")
        }
    }

    @Test func `a node of its own needs no recovery, and says of which epoch it is before it is raised again`() throws {
        let folder = try TemporaryFolder()
        let data = folder.path + "/data"
        let node = try RunningNode(data: data, smallNode)
        node.crash()
        let asked = try run(Built.distric, ["cluster", "recover", "--data", data])
        #expect(asked.code == 75)
        #expect(asked.err.contains("is a cluster of its own already, of epoch 1: it needs no recovery"), "\(asked.err)")
        #expect(asked.err.contains("distric node --id ") && asked.err.hasSuffix(" --yes\n"))
        let alone = try run(Built.distric, ["cluster", "recover", "--data", data, "--yes"])
        #expect(alone.code == 75 && alone.err.contains(" --from "), "\(alone.err)")
        let again = try run(Built.distric, ["cluster", "recover", "--data", data])
        #expect(again.err.contains(", of epoch 1: it needs no recovery"), "\(again.err)")
        let from = try #require(alone.err.split(separator: " --from ").last?.split(separator: " ").first.map(String.init))
        #expect(try run(Built.distric, ["cluster", "recover", "--data", data, "--from", from, "--yes"]).code == 0)
        let raised = try run(Built.distric, ["cluster", "recover", "--data", data])
        #expect(raised.code == 75 && raised.err.contains(", which 'cluster recover' began at "), "\(raised.err)")
        let verdict = try run(Built.distric, ["raft", "log", "verify", data])
        #expect(verdict.code == 0 && verdict.out.hasPrefix("clean: "), "\(verdict.out)\(verdict.err)")
    }

    @Test(arguments: ["..", ".", "c-", "-c", ".c"]) func `what is no node id is refused wherever one is taken`(id: String) throws {
        let folder = try TemporaryFolder()
        let rule = "node id '\(id)' is not valid: 1 to 63 bytes of a-z, 0-9, '.' and '-', with a letter or a digit first and last"
        let lines: [([String], Int32)] = [
            (["node", "--data", folder.path + "/data", "--set", "node.id=\(id)"], 78), (["raft", "add", "--", id], 64),
            (["raft", "transfer", "--to=\(id)"], 64), (["cluster", "recover", "--data", folder.path, "--from=\(id)"], 64),
            (["backup", "restore", "b", "--data", "d", "--id=\(id)"], 64), (["certs", "issue", "--node=\(id)"], 64),
        ]
        for (words, code) in lines {
            let finished = try run(Built.distric, words, in: folder.path)
            #expect(finished.code == code && finished.err.contains(rule), "\(words): \(finished.code) \(finished.err)")
        }
    }
}

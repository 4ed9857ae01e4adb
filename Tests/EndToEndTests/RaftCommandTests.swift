import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// `distric raft log`: what is said of a folder on disk, and that nothing in it is changed.
struct RaftLogCommandTests {
    private let folder: TemporaryFolder
    private let data: String

    init() throws {
        folder = try TemporaryFolder()
        data = folder.path + "/data"
    }

    private func log(_ words: String...) throws -> Finished { try run(Built.distric, ["raft", "log"] + words, in: folder.path) }

    /// What a short life of a node leaves.
    private func lived() async throws {
        let node = try RunningNode(data: data, smallNode)
        try await node.apply(pair("brief", script("exit 0")))
        for _ in 0..<5 { _ = try await node.ended(try await node.submit("brief")) }
        #expect(node.stop() == 0)
    }

    private struct Contents: Equatable {
        var mode: mode_t
        var seconds: Int
        var nanoseconds: Int
        var bytes: Data
    }

    /// Every file below a folder with its bytes and the time of its last change.
    private func contents(of path: String) throws -> [String: Contents] {
        var found: [String: Contents] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            var info = stat()
            #expect(lstat("\(path)/\(name)", &info) == 0)
            let isFile = info.st_mode & S_IFMT == S_IFREG
            let bytes = isFile ? try Data(contentsOf: URL(filePath: "\(path)/\(name)")) : Data()
            found[name] = Contents(mode: info.st_mode, seconds: info.st_mtim.tv_sec, nanoseconds: info.st_mtim.tv_nsec, bytes: bytes)
        }
        return found
    }

    /// Runs the three commands, for programs and for people, and looks whether a byte of the folder is another then.
    private func looked(_ path: String) throws -> (inspect: Value, verify: Finished, dump: Finished) {
        let before = try contents(of: path)
        let inspected = try log("inspect", path, "--json")
        #expect(inspected.code == 0, "\(inspected.err)")
        let (verified, dumped) = (try log("verify", path), try log("dump", path))
        for words in [["inspect"], ["verify", "--json"], ["dump", "--json"], ["dump", "--from", "2", "--to", "3"]] {
            _ = try run(Built.distric, ["raft", "log"] + words + [path], in: folder.path)
        }
        #expect(try contents(of: path) == before)
        return (try JSONScanner.parse(inspected.out), verified, dumped)
    }

    /// Where the one file of a short log ends, and its path below the data folder.
    private func file(_ inspected: Value) throws -> (path: String, used: Int) {
        let file = try #require(inspected["files"]?.list?.first { $0["standing"] == "log" })
        return ("raft/log/" + (try #require(file["file"]?.string)), Int(try #require(file["used"]?.int)))
    }

    /// Copies the folder and changes bytes of a file in the copy.
    private func copy(_ name: String, of path: String, at offset: Int, _ bytes: [UInt8]) throws -> String {
        let target = "\(folder.path)/\(name)"
        try FileManager.default.copyItem(atPath: data, toPath: target)
        let handle = try #require(FileHandle(forUpdatingAtPath: "\(target)/\(path)"))
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: bytes)
        try handle.close()
        return target
    }

    // MARK: Whole

    @Test func `a whole folder is clean, and each of its files and entries is told`() async throws {
        try await lived()
        let (inspected, verified, dumped) = try looked(data)
        #expect(inspected.at("identity", "node")?.string == "n1")
        #expect(inspected["runs"] == nil)
        #expect(inspected.at("vote", "state")?.string == "intact" && inspected.at("vote", "vote")?.string == "n1")
        #expect(inspected.at("log", "state")?.string == "clean")
        #expect(inspected["problems"]?.list?.isEmpty == true)
        let file = try #require(inspected["files"]?.list?.first)
        let last = try #require(file["last"]?.int)
        #expect(file["first"]?.int == 1 && last > 5 && file["entries"]?.int == last)
        #expect(verified.code == 0, "\(verified.out)\(verified.err)")
        #expect(verified.out.hasPrefix("clean: \(last) entries, to index \(last) of term 1"), "\(verified.out)")
        #expect(verified.err.isEmpty, "\(verified.err)")
        #expect(dumped.code == 0, "\(dumped.err)")
        let lines = dumped.out.split(separator: "\n")
        #expect(lines.count == Int(last))
        #expect(lines.first?.contains("leader-start") == true, "\(dumped.out)")
        #expect(lines.contains { $0.contains("activate") } && lines.contains { $0.contains("submit default") }, "\(dumped.out)")
        let table = try log("inspect", data)
        #expect(table.out.contains("\nnode        n1 of cluster "), "\(table.out)")
        #expect(table.out.contains("\nFILE "), "\(table.out)")
        // The folder raft in it is the same.
        #expect(try log("verify", data + "/raft").out == verified.out)
        #expect(try log("verify", data + "/raft/").out == verified.out)
        #expect(try run(Built.distric, ["raft", "log", "verify", "."], in: data).code == 0)
    }

    @Test func `a part of the log comes as objects`() async throws {
        try await lived()
        let part = try log("dump", data, "--from", "2", "--to", "4", "--json")
        #expect(part.code == 0, "\(part.err)")
        let entries = try part.out.split(separator: "\n").map { try JSONScanner.parse($0.utf8) }
        #expect(entries.compactMap { $0["index"]?.int } == [2, 3, 4])
        #expect(entries.allSatisfy { $0["term"]?.int == 1 && $0["kind"] == "commands" && ($0["bytes"]?.int ?? 0) > 0 })
        let kinds = entries.compactMap { $0["commands"]?.list?.first?["kind"]?.string }
        #expect(kinds.starts(with: ["feature-level", "activate"]), "\(part.out)")
        #expect(entries.allSatisfy { $0["time"]?.string?.hasSuffix("Z") == true && $0["featureLevel"]?.int != nil })
        let beyond = try log("dump", data, "--from", "100000")
        #expect(beyond.code == 0 && beyond.out.isEmpty)
        #expect(beyond.err.contains("no such entry"), "\(beyond.err)")
    }

    @Test func `a node that runs is told, and does not mind`() async throws {
        let node = try RunningNode(data: data, smallNode)
        try await node.apply(pair("brief", script("exit 0")))
        _ = try await node.ended(try await node.submit("brief"))
        let verified = try log("verify", data)
        #expect(verified.code == 0, "\(verified.out)\(verified.err)")
        #expect(verified.err.contains("the node runs (process \(node.process.processIdentifier))"), "\(verified.err)")
        let inspected = try log("inspect", data + "/raft", "--json")
        #expect(try JSONScanner.parse(inspected.out)["runs"]?.string == "process \(node.process.processIdentifier)", "\(inspected.out)")
        #expect(try log("dump", data).code == 0)
        _ = try await node.ended(try await node.submit("brief"))
        #expect(node.stop() == 0)
    }

    @Test func `a log that was compacted goes on from its snapshot`() async throws {
        let node = try RunningNode(data: data, smallNode + ["--set", "raft.snapshot_bytes=1MiB"])
        try await node.apply(pair("brief", script("exit 0")))
        let filling = Value.string(String(repeating: "x", count: 50_000))
        for _ in 0..<60 { _ = try await node.submit("brief", filling) }
        _ = try await eventually {
            let status = try await node.client.get("/api/v1/cluster/status")
            return status.at("runs", "open") ?? .null
        } until: {
            $0.int == 0
        }
        let snapshots = "\(data)/raft/snapshots"
        _ = try await eventually {
            .bool((try? FileManager.default.contentsOfDirectory(atPath: snapshots))?.contains { $0.hasSuffix(".manifest") } == true)
        } until: {
            $0.bool == true
        }
        #expect(node.stop() == 0)
        let (inspected, verified, dumped) = try looked(data)
        #expect(verified.code == 0, "\(verified.out)\(verified.err)")
        let index = try #require(inspected["snapshots"]?.list?.first?["index"]?.int, "\(inspected)")
        #expect(verified.out.contains("after a whole snapshot of \(index)"), "\(verified.out)")
        #expect(dumped.code == 0, "\(dumped.err)")
        // A byte of the snapshot, which only reading it shows.
        let name = try #require(inspected["snapshots"]?.list?.first?["file"]?.string).replacing(".manifest", with: ".state")
        let state = try Data(contentsOf: URL(filePath: "\(snapshots)/\(name)"))
        let middle = state.count / 2
        let damaged = try copy("damaged", of: "raft/snapshots/\(name)", at: middle, [state[middle] ^ 1])
        let judged = try looked(damaged).verify
        #expect(judged.code == 2, "\(judged.out)")
        #expect(judged.out.contains("\(name): byte 0: checksum differs from its manifest's"), "\(judged.out)")
    }

    // MARK: Not whole

    @Test func `a flipped byte in the middle is damage with its place, and the node refuses too`() async throws {
        try await lived()
        let (path, _) = try file(try looked(data).inspect)
        // The third record, behind a head of 64 bytes, an entry of a leader, which is a record's head alone, and one that raises the feature level step by step.
        let (begins, flipped) = (64 + 48 + 144, 64 + 48 + 144 + 48 + 100)
        let byte = try Data(contentsOf: URL(filePath: "\(data)/\(path)"))[flipped]
        let damaged = try copy("damaged", of: path, at: flipped, [byte ^ 0x10])
        let (inspected, verified, dumped) = try looked(damaged)
        #expect(verified.code == 2, "\(verified.out)\(verified.err)")
        let place = try #require(try JSONScanner.parse(try log("verify", damaged, "--json").out)["problems"]?.list?.first)
        let offset = try #require(place["offset"]?.int)
        #expect(Int(offset) == begins)
        #expect(place["path"]?.string?.hasSuffix(path) == true)
        #expect(verified.out.hasPrefix("damaged: ") && verified.out.contains("\(path): byte \(offset): "), "\(verified.out)")
        #expect(verified.err.contains("nothing was changed"), "\(verified.err)")
        #expect(inspected.at("log", "state")?.string == "damaged")
        #expect(dumped.code == 65)
        #expect(dumped.err.contains("byte \(offset): "), "\(dumped.err)")
        #expect(dumped.out.split(separator: "\n").first?.contains("leader-start") == true)
        let refused = try refusal(damaged)
        #expect(refused.code == 65)
        #expect(refused.err.contains("is damaged at byte \(offset)"), "\(refused.err)")
    }

    @Test func `a torn tail is only said, and the node starts on it`() async throws {
        try await lived()
        let (path, used) = try file(try looked(data).inspect)
        // The beginning of a record, as power that goes leaves it.
        let head = try Data(contentsOf: URL(filePath: "\(data)/\(path)"))[64..<84]
        let torn = try copy("torn", of: path, at: used, [UInt8](head))
        let (inspected, verified, dumped) = try looked(torn)
        #expect(verified.code == 1, "\(verified.out)\(verified.err)")
        #expect(verified.out.hasPrefix("torn: ") && verified.out.contains("\(path) from byte \(used) on"), "\(verified.out)")
        #expect(verified.err.isEmpty, "\(verified.err)")
        #expect(inspected.at("log", "state")?.string == "torn")
        #expect(dumped.code == 0, "\(dumped.err)")
        #expect(dumped.out == (try log("dump", data).out))
        #expect(try RunningNode(data: torn, smallNode).stop() == 0)
        #expect(try log("verify", torn).code == 0)
    }

    @Test func `a vote that is lost is damage`() async throws {
        try await lived()
        let overwritten = try copy("overwritten", of: "raft/vote", at: 0, [UInt8](repeating: 0xFF, count: 4352))
        let missing = try copy("missing", of: "raft/vote", at: 0, [])
        try FileManager.default.removeItem(atPath: missing + "/raft/vote")
        for path in [overwritten, missing] {
            let (inspected, verified, _) = try looked(path)
            #expect(verified.code == 2, "\(verified.out)")
            #expect(verified.out.contains("raft/vote: "), "\(verified.out)")
            #expect(inspected.at("vote", "state")?.string == "lost")
            #expect(try log("inspect", path).out.contains("\nvote        lost: "))
        }
    }

    @Test func `what holds no log exits 65 and says what to name`() throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/empty", withIntermediateDirectories: true)
        try Data("text".utf8).write(to: URL(filePath: folder.path + "/file"))
        for command in ["inspect", "verify", "dump"] {
            for path in ["empty", "file", "nowhere"] {
                let finished = try log(command, path)
                #expect(finished.code == 65, "\(command) \(path): \(finished.err)")
                #expect(finished.err.contains("distric: \(path)"), "\(finished.err)")
                #expect(finished.out.isEmpty)
            }
        }
        #expect(try log("verify", "empty").err.contains("name a node's data folder"))
        for words in [
            ["verify"], ["verify", ""], ["dump", "x", "--from", "0"], ["dump", "x", "--from", "5", "--to", "4"],
            ["dump", "x", "--to", "y"],
        ] {
            let finished = try run(Built.distric, ["raft", "log"] + words, in: folder.path)
            #expect(finished.code == 64, "\(words): \(finished.err)")
            #expect(finished.out.isEmpty)
        }
    }
}

/// `distric raft script`, and `distric raft` itself.
struct RaftScriptCommandTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func script(_ words: String...) throws -> Finished { try run(Built.distric, ["raft", "script"] + words, in: folder.path) }

    private func put(_ text: String, _ name: String) throws {
        try text.write(toFile: "\(folder.path)/\(name)", atomically: false, encoding: .utf8)
    }

    private func text(_ name: String) throws -> String { try String(contentsOfFile: "\(folder.path)/\(name)", encoding: .utf8) }

    /// A block whose output is still to be written.
    private static let unwritten = "# Raft section 5.2\n\ncluster n1 n2 n3\ncampaign n1\nstabilize\nstate n1\n----\n"

    @Test func `a script is written, goes as it stands, and differs when it does not`() throws {
        try put(Self.unwritten, "one.txt")
        let written = try script("one.txt", "--update")
        #expect(written.code == 0, "\(written.err)")
        #expect(written.out == "one.txt: 1 of 1 blocks written anew\n")
        let whole = try text("one.txt")
        #expect(whole.hasPrefix(Self.unwritten) && whole.contains("n1 leader term=1"), "\(whole)")
        let same = try script("one.txt")
        #expect(same.code == 0, "\(same.err)")
        #expect(same.out == "one.txt: 1 blocks as they stand\n" && same.err.isEmpty)
        try put(whole.replacing("n1 leader term=1", with: "n1 leader term=7"), "other.txt")
        let differs = try script("one.txt", "other.txt")
        #expect(differs.code == 1)
        #expect(differs.out.contains("other.txt:3:\ncluster n1 n2 n3\n"), "\(differs.out)")
        #expect(differs.out.contains("\n-n1 leader term=7") && differs.out.contains("\n+n1 leader term=1"), "\(differs.out)")
        #expect(differs.err == "distric: 1 of 2 blocks print something else; --update writes what they print now\n")
        #expect(try script("other.txt", "--update").code == 0)
        #expect(try text("other.txt") == whole)
    }

    @Test func `for programs there is an object a file`() throws {
        try put(Self.unwritten, "one.txt")
        let finished = try script("one.txt", "--json")
        #expect(finished.code == 1)
        let value = try JSONScanner.parse(finished.out)
        #expect(value["file"] == "one.txt" && value["blocks"]?.int == 1 && value["updated"]?.bool == false)
        let difference = try #require(value["differences"]?.list?.first)
        #expect(difference["line"]?.int == 3 && difference["expected"] == "")
        #expect(difference["actual"]?.string?.contains("n1 leader term=1") == true)
        #expect(try text("one.txt") == Self.unwritten)
    }

    @Test func `a word that is none fails in its place, and the blocks after it run`() throws {
        try put("bogus n1\n----\nok\n\ncluster n1\n----\nok\n", "bad.txt")
        let finished = try script("bad.txt")
        #expect(finished.code == 1)
        #expect(finished.out.contains("+error: line 1: unknown verb 'bogus'"), "\(finished.out)")
        #expect(finished.err.contains("1 of 2 blocks"), "\(finished.err)")
    }

    @Test func `what cannot be read exits 65`() throws {
        try Data([0xFF, 0xFE]).write(to: URL(filePath: folder.path + "/bytes"))
        for name in ["nowhere.txt", "bytes", "."] {
            let finished = try script(name)
            #expect(finished.code == 65, "\(name): \(finished.err)")
            #expect(finished.err.contains(name), "\(finished.err)")
            #expect(finished.out.isEmpty)
        }
        #expect(try script().code == 64)
        #expect(try script("").code == 64)
    }

    private static let commands = [
        ["raft"], ["raft", "status"], ["raft", "log"], ["raft", "log", "verify"], ["raft", "log", "inspect"], ["raft", "log", "dump"],
        ["raft", "script"],
    ]

    @Test(arguments: commands)
    func `every command has help`(_ words: [String]) throws {
        let finished = try run(Built.distric, words + ["--help"])
        #expect(finished.code == 0 && finished.err.isEmpty)
        #expect(finished.out.contains("USAGE: distric \(words.joined(separator: " "))"))
        if words.last == "script" { #expect(finished.out.contains("stabilize [MAX]") && finished.out.contains("restart N")) }
    }

    @Test func `raft without a word asks a node, as it always did`() throws {
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        for words in [["raft"], ["raft", "status"]] {
            let finished = try run(Built.distric, words + ["-o", "json", "--connect", node.url])
            #expect(finished.code == 0, "\(finished.err)")
            #expect(try JSONScanner.parse(finished.out)["role"]?.string == "leader", "\(finished.out)")
        }
    }
}

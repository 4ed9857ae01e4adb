import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// Runs `distric` to its end.
func distric(_ words: [String], input: String = "", in folder: String? = nil, environment: [String: String] = [:]) throws -> Finished {
    try run(Built.distric, words, input: input, in: folder, environment: environment)
}

/// Starts a node that ought to refuse: what it said, and its exit code; 137 when it got ready all the same and was ended.
func refusal(_ data: String, _ arguments: [String] = []) throws -> Finished {
    let words = ["node", "--data", data, "--rpc", "none"] + (arguments.contains("--http") ? [] : ["--http", "127.0.0.1:0"]) + arguments
    let watch = """
        log=$1; shift; "$@" 2> "$log" & node=$!
        while kill -0 $node 2> /dev/null; do if grep -q '"message":"ready"' "$log" 2> /dev/null; then kill -9 $node; fi; sleep 0.02; done
        wait $node; code=$?; cat "$log" >&2; exit $code
        """
    let log = FileManager.default.temporaryDirectory.appending(path: "distric-refusal-\(UUID().uuidString)").path(percentEncoded: false)
    defer { try? FileManager.default.removeItem(atPath: log) }
    return try run("/bin/sh", ["-c", watch, "sh", log, Built.distric] + words, in: "/tmp")
}

/// The shell's side: words, exit codes, help, settings. No test here needs a node that runs, unless it says so.
struct CommandLineTests {
    private static let leaves: [[String]] = [
        ["node"], ["init"], ["status"], ["health"], ["nodes"], ["raft"], ["messages", "submit"], ["messages", "list"],
        ["messages", "show"],
        ["rules", "apply"], ["rules", "list"], ["rules", "show"], ["rules", "validate"], ["rules", "delete"], ["workflows", "apply"],
        ["workflows", "list"], ["workflows", "show"], ["workflows", "validate"], ["workflows", "delete"], ["runs", "list"],
        ["runs", "show"],
        ["runs", "watch"], ["runs", "cancel"], ["tasks", "list"], ["tasks", "show"], ["tasks", "logs"], ["tasks", "resolve"], ["events"],
        ["traces", "list"], ["traces", "show"], ["metrics"], ["config", "show"], ["completion"], ["version"],
    ]

    @Test(arguments: leaves) func `help of every command goes to stdout with 0`(_ words: [String]) throws {
        let finished = try distric(words + ["--help"])
        #expect(finished.code == 0)
        #expect(finished.err.isEmpty)
        #expect(finished.out.contains("USAGE: distric \(words.joined(separator: " "))"))
    }

    @Test func `help and --help show the first steps`() throws {
        for words in [["help"], ["--help"]] {
            let finished = try distric(words)
            #expect(finished.code == 0)
            #expect(finished.out.contains("distric init demo"), "\(words)")
            #expect(finished.err.isEmpty)
        }
    }

    @Test func `the version is one word, however it is asked for`() throws {
        let flag = try distric(["--version"])
        let command = try distric(["version"])
        #expect(flag.code == 0 && command.code == 0)
        #expect(command.out == "distric \(flag.out)")
    }

    private static let misspelt: [(words: [String], meant: String)] = [
        (["nod"], "did you mean 'distric node'?"), (["mesages", "submit"], "did you mean 'distric messages'?"),
        (["runs", "lst"], "did you mean 'distric runs list'?"),
        (["rules", "aply", "x"], "distric rules has: stats, apply, list, show, validate, delete"),
        (["runs", "list", "--stat", "x"], "Did you mean '--state'?"), (["node", "--slot", "3"], "Did you mean '--slots'?"),
    ]

    @Test(arguments: 0..<misspelt.count) func `a misspelt word is answered by what was meant`(_ place: Int) throws {
        let (words, meant) = Self.misspelt[place]
        let finished = try distric(words)
        #expect(finished.code == 64)
        #expect(finished.err.contains(meant), "\(finished.err)")
        #expect(finished.out.isEmpty)
    }

    @Test func `help for a command that does not exist is a usage error`() throws {
        let finished = try distric(["help", "nod"])
        #expect(finished.code == 64)
        #expect(finished.err.contains("did you mean"))
    }

    private static let misuses: [[String]] = [
        ["node", "--bogus"], ["node", "--http"], ["node", "--set", "nope"], ["messages", "submit"], ["messages", "show"],
        ["rules", "apply"],
        ["runs", "list", "--limit", "0"], ["runs", "list", "--limit", "1001"], ["runs", "list", "--timeout", "banana"],
        ["runs", "list", "-n", "A B"],
        ["runs", "list", "-o", "xml"], ["runs", "list", "--connect", "ht!tp://x"], ["completion", "tcsh"], ["version", "extra"], ["init"],
        ["tasks", "resolve", "a.b", "--as", "maybe"], ["tasks", "resolve", "a.b", "--as", "succeeded", "--result", "{"],
        ["tasks", "resolve", "a.b"], ["events", "--after", "-1"], ["runs", "list", "--connect", "ftp://127.0.0.1:1"],
    ]

    @Test(arguments: misuses) func `misuse exits 64 with words on stderr only`(_ words: [String]) throws {
        let finished = try distric(words)
        #expect(finished.code == 64, "\(finished.err)")
        #expect(finished.out.isEmpty)
        #expect(!finished.err.isEmpty)
    }

    @Test(arguments: [["messages", "show", ""], ["runs", "show", ""], ["rules", "show", ""], ["rules", "delete", ""], ["init", ""]])
    func `an empty name is misuse, not everything`(_ words: [String]) throws {
        let folder = try TemporaryFolder()
        let finished = try distric(
            words + (words[0] == "init" ? [] : ["--connect", "http://127.0.0.1:1", "--timeout", "1s"]), in: folder.path)
        #expect(finished.code == 64, "\(finished.err)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func `no node at all is said at once, with the remedy`() throws {
        let began = ContinuousClock.now
        let finished = try distric(["status", "--connect", "127.0.0.1:1"])
        #expect(finished.code == 69)
        #expect(finished.err.contains("http://127.0.0.1:1 cannot be reached"), "\(finished.err)")
        #expect(finished.err.contains("distric node"), "\(finished.err)")
        #expect(ContinuousClock.now - began < .seconds(3))
    }

    @Test func `the node's URL comes from the environment when no flag gives it`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        #expect(try distric(["status"], environment: ["DISTRIC_URL": node.url]).code == 0)
        let flag = try distric(["status", "--connect", node.url], environment: ["DISTRIC_URL": "http://127.0.0.1:1"])
        #expect(flag.code == 0, "\(flag.err)")
    }

    @Test func `a reader that goes away is no error, a full disk is one`() throws {
        let head = try run("/bin/bash", ["-o", "pipefail", "-c", "\"$0\" config show -o wide | head -1", Built.distric])
        #expect(head.code == 0)
        #expect(head.out.hasPrefix("KEY"))
        let full = try run("/bin/sh", ["-c", "\"$0\" config show > /dev/full", Built.distric])
        #expect(full.code == 73)
        #expect(!full.err.isEmpty)
    }

    // MARK: init

    @Test func `init writes what validates, and never over what is there`() throws {
        let folder = try TemporaryFolder()
        let demo = folder.path + "/demo"
        let first = try distric(["init", demo])
        #expect(first.code == 0)
        #expect(first.out == "8 files written into \(demo); \(demo)/README.md says what to do with them\n")
        let checked = try distric(["rules", "validate", demo + "/rules", demo + "/workflows"])
        #expect(checked.code == 0, "\(checked.err)")
        #expect(checked.out.hasPrefix("5 definitions valid"))
        let settings = try distric(["config", "show", "--origin"], in: demo)
        #expect(settings.code == 0, "\(settings.err)")
        #expect(settings.out.contains("file distric.toml"))
        try FileManager.default.removeItem(atPath: demo + "/README.md")
        let again = try distric(["init", demo])
        #expect(again.code == 73)
        #expect(again.err.contains("exists already; nothing was written"))
        #expect(!FileManager.default.fileExists(atPath: demo + "/README.md"))
        #expect(try distric(["init", "/proc/nowhere"]).code == 73)
    }

    // MARK: Settings

    private func slots(_ finished: Finished) throws -> (value: Int64?, origin: String?) {
        #expect(finished.code == 0, "\(finished.err)")
        let entry = try JSONScanner.parse(finished.out).list?.first { $0["key"]?.string == "worker.slots" }
        return (entry?["value"]?.int, entry?["origin"]?.string)
    }

    @Test func `flags win over the environment, that over the file, that over the default`() throws {
        let folder = try TemporaryFolder()
        let show = ["config", "show", "--origin", "-o", "json"]
        #expect(try slots(try distric(show, in: folder.path)) == (8, "default"))
        try "[worker]\nslots = 2\n".write(toFile: folder.path + "/distric.toml", atomically: true, encoding: .utf8)
        #expect(try slots(try distric(show, in: folder.path)) == (2, "file distric.toml"))
        let environment = ["DISTRIC_WORKER_SLOTS": "3"]
        #expect(try slots(try distric(show, in: folder.path, environment: environment)) == (3, "environment DISTRIC_WORKER_SLOTS"))
        #expect(try slots(try distric(show + ["--slots", "4"], in: folder.path, environment: environment)) == (4, "flag --slots"))
        let set = try distric(show + ["--slots", "4", "--set", "worker.slots=5"], in: folder.path, environment: environment)
        #expect(try slots(set) == (5, "flag --set"))
        try "[worker]\nslots = 6\n".write(toFile: folder.path + "/other.toml", atomically: true, encoding: .utf8)
        #expect(try slots(try distric(show + ["--config", "other.toml"], in: folder.path)) == (6, "file other.toml"))
        #expect(try slots(try distric(show, in: folder.path, environment: ["DISTRIC_CONFIG": "other.toml"])) == (6, "file other.toml"))
    }

    @Test func `config show comes in every format`() throws {
        let json = try #require(try JSONScanner.parse(try distric(["config", "show", "-o", "json"]).out).list)
        #expect(json.count > 15)
        #expect(json.allSatisfy { $0["environment"]?.string?.hasPrefix("DISTRIC_") == true && $0["help"]?.string?.isEmpty == false })
        #expect(try distric(["config", "show", "-o", "jsonl"]).out.split(separator: "\n").count == json.count)
        #expect(
            try distric(["config", "show", "-o", "name"]).out.split(separator: "\n").map(String.init)
                == json.compactMap { $0["key"]?.string })
        #expect(try distric(["config", "show", "-o", "csv"]).out.hasPrefix("KEY,VALUE,ENVIRONMENT,MEANING\n"))
        #expect(try distric(["config", "show", "-o", "csv"]).out.contains("\nnode.role,\"coordinator,worker\",DISTRIC_NODE_ROLE,"))
        #expect(try distric(["config", "show", "-o", "tsv"]).out.hasPrefix("KEY\tVALUE\tENVIRONMENT\tMEANING\n"))
        #expect(try distric(["config", "show", "-o", "yaml"]).out.hasPrefix("- key: node.id\n"))
        #expect(try distric(["config", "show"]).out.hasPrefix("KEY "))
        #expect(try distric(["config", "show", "-o", "wide"]).out.contains("DISTRIC_WORKER_SLOTS"))
    }

    private static let badFiles: [(text: String, says: String)] = [
        ("[worker]\nslot = 3\n", "'worker.slot' is no setting; did you mean 'worker.slots'?"),
        ("[wrker]\nslots = 3\n", "'wrker.slots' is no setting; did you mean 'worker.slots'?"), ("slots = 3\n", "'slots' is no setting"),
        ("[worker]\nslots = \"3\"\n", "worker.slots = \"3\" (file t.toml): expected a whole number from 1 to 10000"),
        ("[worker]\nallow_exec = \"x\"\n", "worker.allow_exec = \"x\" (file t.toml): expected a list of text"),
        ("[worker\n", "t.toml:1:8: not TOML"), ("[worker]\nslots = 1\nslots = 2\n", "t.toml:3:9: not TOML"),
        ("[worker]\nslots = 99999999999999999999\n", "t.toml:2:29: not TOML"),
        ("[node]\nid = 5\n", "node.id = 5 (file t.toml): expected text"),
        ("[log]\nlevel = \"loud\"\n", "expected one of trace, debug, info"), ("[dedup]\nage = 1.5\n", "expected a duration such as 30s"),
        ("[intake]\npayload_bytes = \"1TiB\"\n", "expected bytes such as 64KiB, from 1024 to 262144"),
    ]

    @Test(arguments: 0..<badFiles.count) func `a settings file that cannot be meant exits 78 and says which key`(_ place: Int) throws {
        let folder = try TemporaryFolder()
        try Self.badFiles[place].text.write(toFile: folder.path + "/t.toml", atomically: true, encoding: .utf8)
        let finished = try distric(["config", "show", "--config", "t.toml"], in: folder.path)
        #expect(finished.code == 78)
        #expect(finished.err.contains(Self.badFiles[place].says), "\(finished.err)")
        #expect(finished.out.isEmpty)
    }

    @Test func `settings in the environment are checked, unknown ones too`() throws {
        let unknown = try distric(["config", "show"], environment: ["DISTRIC_WORKER_SLOT": "1"])
        #expect(unknown.code == 78)
        #expect(unknown.err == "distric: environment variable DISTRIC_WORKER_SLOT is no setting; did you mean DISTRIC_WORKER_SLOTS?\n")
        let bad = try distric(["config", "show"], environment: ["DISTRIC_WORKER_SLOTS": "x"])
        #expect(bad.code == 78)
        #expect(bad.err.contains("(environment DISTRIC_WORKER_SLOTS)"))
        let missing = try distric(["config", "show", "--config", "/nowhere.toml"])
        #expect(missing.code == 78)
        #expect(missing.err.contains("/nowhere.toml"))
    }

    private static let badFlags: [[String]] = [
        ["--id", "BAD ID"], ["--role", "potato"], ["--role", ""], ["--slots", "0"], ["--slots", "x"], ["--log-level", "loud"],
        ["--http", "nonsense"],
        ["--http", "127.0.0.1:99999"], ["--http", "0.0.0.0:0"], ["--http", ":0"], ["--http", "127.evil.example:0"], ["--set", "a.b=1"],
        ["--set", "worker.grace=-5s"], ["--set", "intake.payload_bytes=-5KiB"],
    ]

    @Test(arguments: badFlags) func `a node with settings that cannot be meant exits 78 and touches nothing`(_ flags: [String]) throws {
        let folder = try TemporaryFolder()
        let finished = try refusal(folder.path + "/data", flags)
        #expect(finished.code == 78, "\(finished.err)")
        #expect(finished.err.contains("distric: "))
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/data/raft"))
    }

    // MARK: Completion

    @Test func `completion scripts are scripts of their shells`() throws {
        let folder = try TemporaryFolder()
        for shell in ["bash", "zsh", "fish"] {
            let finished = try distric(["completion", shell])
            #expect(finished.code == 0)
            #expect(finished.out.contains("allow-exec"), "\(shell)")
            guard let tool = Built.tool(shell) else { continue }
            let file = folder.path + "/distric.\(shell)"
            try finished.out.write(toFile: file, atomically: true, encoding: .utf8)
            let parsed = try run(tool, [shell == "fish" ? "--no-execute" : "-n", file])
            #expect(parsed.code == 0, "\(shell): \(parsed.err)")
        }
    }

    @Test func `bash completes commands and flags`() throws {
        let folder = try TemporaryFolder()
        let file = folder.path + "/distric.bash"
        try distric(["completion", "bash"]).out.write(toFile: file, atomically: true, encoding: .utf8)
        func words(_ typed: [String]) throws -> Set<String> {
            let list = typed.map { "'\($0)'" }.joined(separator: " ")
            let ask =
                "source \(file); COMP_WORDS=(\(list)); COMP_CWORD=\(typed.count - 1); COMP_LINE=\"${COMP_WORDS[*]}\"; "
                + "COMP_POINT=${#COMP_LINE}; ask=\"$(complete -p distric | sed 's/.*-F \\([^ ]*\\).*/\\1/')\"; "
                + "$ask distric '\(typed.last ?? "")' '\(typed.dropLast().last ?? "")'; printf '%s\\n' \"${COMPREPLY[@]}\""
            let path = URL(filePath: Built.distric).deletingLastPathComponent().path(percentEncoded: false)
            let finished = try run("/bin/bash", ["-c", ask], environment: ["PATH": "\(path):/usr/bin:/bin"])
            return Set(finished.out.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) })
        }
        #expect(try words(["distric", "wo"]).contains("workflows"))
        #expect(try words(["distric", "runs", ""]).isSuperset(of: ["list", "show", "watch", "cancel"]))
    }

    // MARK: The data folder and the port

    @Test func `a port in use and a folder in use exit 69 and say what to do`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let port = try #require(node.url.split(separator: ":").last)
        let second = try refusal(folder.path + "/other", ["--http", "127.0.0.1:\(port)"])
        #expect(second.code == 69)
        #expect(second.err.contains("127.0.0.1:\(port) is in use by another program; stop it, or choose another --http address"))
        let third = try refusal(folder.path + "/data")
        #expect(third.code == 69)
        #expect(
            third.err.contains(
                "is in use by another process (process \(node.process.processIdentifier)); stop it, or choose another --data"))
        #expect(try await node.client.get("/health/live")["status"]?.string == "up")
    }

    @Test func `a folder that cannot be written exits 73`() throws {
        let folder = try TemporaryFolder()
        try "".write(toFile: folder.path + "/file", atomically: true, encoding: .utf8)
        for path in [folder.path + "/file", folder.path + "/file/data", "/proc/distric"] {
            let finished = try refusal(path)
            #expect(finished.code == 73, "\(finished.err)")
            #expect(finished.err.contains(path))
        }
    }

    private static let identities: [(edit: (String, String), code: Int32, says: String)] = [
        (("node n1", "node n2"), 78, "belongs to node 'n2', not 'n1'; start with --id n2, or choose another --data"),
        (("distric-format 1", "distric-format 2"), 78, "start it with the newer distric that wrote it"),
        (("feature-level ", "feature-level 9"), 78, "start it with the newer distric that wrote it"),
        (("distric-format", "format"), 65, "/identity is damaged"), (("cluster ", "cluster x"), 65, "/identity is damaged"),
    ]

    @Test func `another node's folder and a newer format exit 78, a damaged identity 65; none is changed`() throws {
        let folder = try TemporaryFolder()
        let data = folder.path + "/data"
        #expect(try RunningNode(data: data, smallNode).stop() == 0)
        let file = data + "/identity"
        let intact = try String(contentsOfFile: file, encoding: .utf8)
        for (edit, code, says) in Self.identities {
            let edited = intact.replacingOccurrences(of: edit.0, with: edit.1)
            try edited.write(toFile: file, atomically: false, encoding: .utf8)
            let finished = try refusal(data, ["--id", "n1"])
            #expect(finished.code == code, "\(edit): \(finished.err)")
            #expect(finished.err.contains(says), "\(edit): \(finished.err)")
            #expect(try String(contentsOfFile: file, encoding: .utf8) == edited)
        }
        try FileManager.default.removeItem(atPath: file)
        let missing = try refusal(data, ["--id", "n1"])
        #expect(missing.code == 65)
        #expect(missing.err.contains("it is missing, though the folder holds a log"))
        try intact.write(toFile: file, atomically: false, encoding: .utf8)
        #expect(try RunningNode(data: data, smallNode).stop() == 0)
    }
}

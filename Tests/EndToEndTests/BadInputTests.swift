import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// Hostile and clumsy input over HTTP, in files, in programs and on the disk: refused with place and remedy, and nothing is lost.
struct BadInputTests {
    private func started(_ folder: TemporaryFolder, _ arguments: [String] = []) throws -> RunningNode {
        try RunningNode(data: folder.path + "/data", smallNode + arguments)
    }

    private func isWell(_ node: RunningNode) throws {
        #expect(try raw(node.url, "GET", "/health/ready").status == 200)
        #expect(node.process.isRunning)
    }

    // MARK: Requests

    private static let badMessages: [(body: String, status: Int, code: String)] = [
        ("", 400, "invalid_json"), ("{\"a\":", 400, "invalid_json"), ("{\"a\":1,\"a\":2}", 400, "invalid_json"),
        ("{} {}", 400, "invalid_json"),
        ("[1,]", 400, "invalid_json"), ("01", 400, "invalid_json"), ("\"\\ud800\"", 400, "invalid_json"), ("nul", 400, "invalid_json"),
        (String(repeating: "[", count: 10_000), 400, "invalid_json"), (String(repeating: "{\"a\":", count: 10_000), 400, "invalid_json"),
        ("{\"type\":7,\"data\":1}", 400, "invalid_message"), ("{\"id\":\"\",\"data\":1}", 400, "invalid_message"),
        ("{\"time\":\"yesterday\",\"data\":1}", 400, "invalid_message"), ("{\"namespace\":\"A/B\",\"data\":1}", 400, "invalid_message"),
        ("{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}", 400, "invalid_message"),
        ("{\"specversion\":\"1.0\",\"source\":\"s\",\"type\":\"t\"}", 400, "invalid_message"),
        ("\"" + String(repeating: "a", count: 65_536) + "\"", 413, "payload_too_large"),
    ]

    @Test func `a bad message is a problem with a stable code`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        for (body, status, code) in Self.badMessages {
            let answer = try raw(node.url, "POST", "/api/v1/messages", body: body)
            #expect(answer.status == status, "\(body.prefix(60)): \(answer.body)")
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(answer.value["code"]?.string == code, "\(body.prefix(60))")
            #expect(answer.value["type"]?.string == "urn:distric:problem:\(code)")
            #expect(answer.value["status"]?.int == Int64(status))
            #expect(answer.value["detail"]?.string?.isEmpty == false)
        }
        let bytes = try RawConnection(node.url)
        try bytes.send("POST", "/api/v1/messages", body: Array("{\"data\":\"".utf8) + [0xFF, 0xFE] + Array("\"}".utf8))
        #expect(try bytes.answer().value["detail"]?.string?.contains("not UTF-8") == true)
        try isWell(node)
    }

    @Test func `bodies beyond the limit are refused with and without a length`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let big = [UInt8](repeating: UInt8(ascii: "a"), count: 300_000)
        for headers in [[], ["Transfer-Encoding: chunked"]] {
            let connection = try RawConnection(node.url)
            try connection.send("POST", "/api/v1/messages", headers, body: big)
            let answer = try connection.answer()
            #expect(answer.status == 413)
            #expect(answer.value["code"]?.string == "payload_too_large")
            #expect(answer.value.at("limits", "bytes")?.int == 65_536)
        }
        // A length alone is enough: nothing of the ten megabytes is read.
        let announced = try RawConnection(node.url)
        try announced.send("POST", "/api/v1/messages", ["Content-Length: 10000000"])
        #expect(try announced.answer().status == 413)
        try isWell(node)
    }

    @Test func `deep nesting is refused in definitions too`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let deep = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
        for path in ["/api/v1/rules", "/api/v1/workflows", "/api/v1/rules:validate"] {
            let answer = try raw(node.url, "POST", path, body: deep)
            #expect(answer.status == 400)
            #expect(answer.value["detail"]?.string?.contains("nested deeper than 64 levels") == true)
        }
        try isWell(node)
    }

    @Test func `a batch has one status a line, in order, and bad lines hold up no other`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(pair("line", script("echo ran >> \(folder.path)/effects")))
        let large = "\"" + String(repeating: "a", count: 70_000) + "\""
        let lines = [
            "{\"type\":\"line\",\"id\":\"b-1\",\"data\":1}", "not json", "", "{\"type\":\"line\",\"id\":\"b-1\",\"data\":1}", large,
            "{\"type\":\"else\",\"data\":1}",
            "{\"type\":\"line\",\"id\":\"b-2\",\"data\":1}", "{\"type\":5,\"data\":1}",
        ]
        let text = lines.joined(separator: "\n") + "\n"
        let answer = try raw(node.url, "POST", "/api/v1/messages", ["Content-Type: application/x-ndjson"], body: text)
        #expect(answer.status == 200)
        #expect(answer.value.items.map { $0["status"]?.int } == [202, 400, 202, 413, 200, 202, 400])
        #expect(answer.value.items.map { $0["duplicate"]?.bool } == [false, nil, true, nil, false, false, nil])
        #expect(answer.value.items[0]["runs"] == answer.value.items[2]["runs"])
        for item in [answer.value.items[0], answer.value.items[5]] {
            #expect(try await node.ended(try #require(item["runs"]?.list?.first?.string))["state"]?.string == "succeeded")
        }
        #expect(try String(contentsOfFile: folder.path + "/effects", encoding: .utf8) == "ran\nran\n")
        // The command names the lines of the file, empty ones counted.
        let command = try node.distric("messages", "submit", "-", input: text)
        #expect(command.code == 65)
        #expect(command.err.contains("-:2: not JSON"), "\(command.err)")
        #expect(command.err.contains("-:5: the message has 70002 bytes"), "\(command.err)")
        #expect(command.err.contains("-:8: 'type' must be text"), "\(command.err)")
        #expect(command.err.hasSuffix("distric: 3 of 7 messages were not accepted\n"), "\(command.err)")
        #expect(command.out.hasPrefix("0 accepted (0 runs), 1 unmatched, 3 duplicate, 3 refused in "), "\(command.out)")
        let empty = try raw(node.url, "POST", "/api/v1/messages", ["Content-Type: application/x-ndjson"], body: "\n \n")
        #expect(empty.status == 400)
        let many = String(repeating: "{}\n", count: 1001)
        #expect(try raw(node.url, "POST", "/api/v1/messages", ["Content-Type: application/x-ndjson"], body: many).status == 413)
    }

    @Test func `files that hold no message exit 65, files that are not there 1`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        for text in ["", "\n\n \n", "[]"] {
            let finished = try node.distric("messages", "submit", "-", input: text)
            #expect(finished.code == 65)
            #expect(finished.err == "distric: -: no message in it\n")
        }
        #expect(try node.distric("messages", "submit", "/nowhere").code == 1)
        #expect(try node.distric("rules", "apply", "/nowhere").code == 1)
    }

    private static let notFound: [(method: String, path: String, status: Int)] = [
        ("GET", "/", 404), ("GET", "/api/v1/nope", 404), ("GET", "/api/v1/runs/x", 400), ("GET", "/api/v1/messages/a%2Fb", 404),
        ("GET", "/api/v1/messages/%ff", 400), ("GET", "/api/v1/messages/%zz", 400), ("GET", "/api/v1/rules/%2e%2e", 404),
        ("GET", "/api/v1/runs/00000000-0000-0000-0000-000000000000", 404), ("GET", "/api/v1/tasks/x", 400),
        ("GET", "/api/v1/tasks/a.b", 400),
        ("GET", "/api/v1/runs?limit=0", 400), ("GET", "/api/v1/runs?limit=99999999999999999999", 400),
        ("GET", "/api/v1/runs?state=runing", 400),
        ("GET", "/api/v1/runs?cursor=zzz", 400), ("GET", "/api/v1/runs?cursor=18446744073709551615-9223372036854775807", 200),
        ("GET", "/api/v1/runs?namespace=A%20B", 400), ("GET", "/api/v1/traces/%00", 404), ("DELETE", "/api/v1/rules/nope", 404),
        ("GET", "/api/v1/events?after=-1", 400), ("POST", "/api/v1/runs/00000000-0000-0000-0000-000000000000:cancel", 404),
        ("POST", "/api/v1/rules", 400), ("POST", "/api/v1/workflows:validate", 400),
        ("POST", "/api/v1/runs/00000000-0000-0000-0000-000000000000:retry", 404), ("POST", "/api/v1/runs/%ff:retry", 400),
        ("GET", "/api/v1/messages/a%2Fb/why", 404), ("GET", "/api/v1/messages/%zz/why", 400), ("GET", "/api/v1/tasks/x/why", 400),
        ("GET", "/api/v1/runs?window=-1:5", 400), ("GET", "/api/v1/runs?filter=%ff&sort=%00", 400),
        ("GET", "/api/v1/logs?level=loud", 400), ("GET", "/api/v1/metrics/recent?points=-1", 400),
        ("GET", "/api/v1/traces/%00?watch=true", 404),
    ]

    @Test func `wrong ids, paths, limits and cursors are problems, and never a crash`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        for (method, path, status) in Self.notFound {
            let answer = try raw(node.url, method, path)
            #expect(answer.status == status, "\(method) \(path): \(answer.body)")
            if status >= 400 { #expect(answer.headers["content-type"] == "application/problem+json", "\(method) \(path)") }
        }
        try isWell(node)
    }

    @Test(arguments: ["PUT", "PATCH", "DELETE", "OPTIONS"]) func `a wrong method on a known path is 405`(_ method: String) throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let answer = try raw(node.url, method, "/api/v1/messages")
        #expect(answer.status == 405)
        #expect(answer.headers["allow"]?.contains("POST") == true)
    }

    @Test func `pages of other origins are refused, also under a name that they made point here`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let own = String(node.url.dropFirst("http://".count))
        let body = "{\"data\":1}"
        #expect(try raw(node.url, "POST", "/api/v1/messages", ["Host: \(own)", "Origin: http://\(own)"], body: body).status == 200)
        let foreign = try raw(node.url, "POST", "/api/v1/messages", ["Host: \(own)", "Origin: http://evil.example"], body: body)
        #expect(foreign.status == 403)
        #expect(foreign.value["code"]?.string == "foreign_origin")
        // DNS rebinding: to the browser, evil.example is this machine.
        let rebound = try raw(
            node.url, "POST", "/api/v1/messages", ["Host: evil.example:80", "Origin: http://evil.example:80"], body: body)
        #expect(rebound.status == 403 || rebound.status == 421)
    }

    @Test func `what is not understood is refused, not taken for something else`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let event = "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"s\",\"type\":\"t\"}"
        let batch = try raw(node.url, "POST", "/api/v1/messages", ["Content-Type: application/cloudevents-batch+json"], body: "[\(event)]")
        #expect(batch.status == 415 || batch.value.items.count == 1, "\(batch.body)")
        let binary = try raw(
            node.url, "POST", "/api/v1/messages",
            ["ce-specversion: 1.0", "ce-id: e-2", "ce-source: s", "ce-type: t", "Content-Type: application/json"], body: "{}")
        #expect(binary.status == 415 || binary.value["messageId"]?.string == "e-2", "\(binary.body)")
        let packed = try raw(node.url, "POST", "/api/v1/messages", ["Content-Encoding: gzip"], body: "{\"data\":1}")
        #expect(packed.status == 415 || packed.status == 400, "\(packed.body)")
    }

    // MARK: Definitions

    private static func rules(_ rest: String) -> String { "apiVersion: distric/v1\nkind: RuleSet\nmetadata: {name: x}\n\(rest)" }
    private static func workflow(_ rest: String) -> String {
        "apiVersion: distric/v1\nkind: Workflow\nmetadata: {name: x}\ntasks:\n\(rest)"
    }

    private static let badDefinitions: [(text: String, says: String)] = [
        ("", "t.yaml: no definition in the file"), ("# nothing\n", "t.yaml: no definition in the file"),
        ("hello\n", "t.yaml:1:1: expected "),
        ("a:\n\tb: 1\n", "t.yaml:2:1: not YAML"), ("{\"kind\": }", "t.yaml:1:10: not JSON"),
        ("a: &a [*a]\n", "not YAML: found undefined alias"),
        ("x: &x {a: 1}\ny: {<<: *x}\n", "t.yaml:2:5: merge keys are not part of YAML 1.2"),
        ("metadata: {name: x}\nmetadata: {name: y}\n", "t.yaml:1:1: duplicate key 'metadata'"),
        (rules("rules:\n  - id: a\n    whn: {all: []}\n"), "t.yaml:6:5: unknown key 'whn'; did you mean 'when'?"),
        (
            rules("rules:\n  - {id: a, when: {field: type, operator: equal, value: 1}}\n"),
            "unknown operator 'equal'; did you mean 'equals'?"
        ),
        (
            rules("rules:\n  - {id: a, otherwise: true}\n  - {id: a, otherwise: true}\n"),
            "t.yaml:6:6: rule id 'a' is used twice in this set"
        ),
        (
            workflow(
                "  a: {use: wait@1, with: {duration: 1s}, depends_on: [b]}\n  b: {use: wait@1, with: {duration: 1s}, depends_on: [a]}\n"),
            "t.yaml:5:42: tasks wait for each other: a -> b -> a"
        ), (workflow("  a: {use: wait@1, with: {duration: 1s}, depends_on: [a]}\n"), "tasks wait for each other: a -> a"),
        (workflow("  a: {use: wait@1, with: {duration: 1s}, depends_on: [aa]}\n"), "depends on 'aa', which is no task of this workflow"),
        (workflow("  a: {use: exek@1, with: {command: [x]}}\n"), "t.yaml:5:7: no task kind 'exek@1'; did you mean 'exec@1'?"),
        (workflow("  a: {use: magic, with: {}}\n"), "no task kind 'magic'; known: exec@1, http@1, transform@1, wait@1"),
        (workflow("  a: {use: wait@1, with: {duration: -1s}}\n"), "expected a duration such as 30s"),
        (workflow("  a: {use: transform@1, with: {value: \"${{ tasks.b.output }}\"}}\n"), "tasks.b is no task of this workflow"),
        (workflow("  a: {use: transform@1, with: {value: \"${{ \(String(repeating: "(", count: 5000)) }}\"}}\n"), "t.yaml:5:"),
    ]

    @Test(arguments: 0..<badDefinitions.count) func `a bad definition exits 65 with file, line and column`(_ place: Int) throws {
        let folder = try TemporaryFolder()
        let (text, says) = Self.badDefinitions[place]
        try text.write(toFile: folder.path + "/t.yaml", atomically: true, encoding: .utf8)
        let finished = try distric(["rules", "validate", "t.yaml"], in: folder.path)
        #expect(finished.code == 65)
        #expect(finished.err.contains(says), "\(finished.err)")
        #expect(finished.out.isEmpty)
    }

    @Test func `aliases and nesting of YAML are bounded`() throws {
        let folder = try TemporaryFolder()
        var bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
        for (name, before) in zip("bcdefghi", "abcdefgh") {
            bomb += "\(name): &\(name) [\((0..<9).map { _ in "*\(before)" }.joined(separator: ", "))]\n"
        }
        let deep = [10_000, 100].flatMap { count in
            [
                String(repeating: "[", count: count), "a: " + String(repeating: "[", count: count) + String(repeating: "]", count: count),
                String(repeating: "- ", count: count) + "x",
            ]
        }
        for text in [bomb] + deep {
            try text.write(toFile: folder.path + "/t.yaml", atomically: true, encoding: .utf8)
            let finished = try distric(["rules", "validate", "t.yaml"], in: folder.path)
            #expect(finished.code == 65, "\(text.prefix(30))")
            #expect(finished.err.hasPrefix("distric: t.yaml:1:"), "\(text.prefix(30)): \(finished.err)")
        }
    }

    @Test func `bytes that are not UTF-8 are named by their place`() throws {
        let folder = try TemporaryFolder()
        for (bytes, place) in [([0x61, 0x3A, 0x20, 0xFF], "1:4"), ([0xFF, 0xFE], "1:1"), ([0x61, 0x0A, 0xC3, 0xA9, 0xC3, 0x28], "2:2")]
            as [([UInt8], String)]
        {
            try Data(bytes).write(to: URL(filePath: folder.path + "/t.yaml"))
            let finished = try distric(["rules", "validate", "t.yaml"], in: folder.path)
            #expect(finished.code == 65)
            #expect(finished.err == "distric: t.yaml:\(place): bytes that are not UTF-8\n")
        }
    }

    @Test func `apply refuses what validate refuses, and changes nothing`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(pair("order", ["use": "transform@1", "with": ["value": 1]]))
        let text = Self.rules("rules:\n  - id: a\n    when: {all: []}\n    actions: [{workflow: ordr}]\n")
        try text.write(toFile: folder.path + "/t.yaml", atomically: true, encoding: .utf8)
        // By itself the file is fine: the workflow may be on the node.
        #expect(try distric(["rules", "validate", "t.yaml"], in: folder.path).code == 0)
        for words in [["validate"], ["apply"]] {
            let finished = try distric(["rules"] + words + ["t.yaml", "--connect", node.url], in: folder.path)
            #expect(finished.code == 65)
            #expect(
                finished.err.contains(
                    "t.yaml:7:16: rule 'x/a' starts workflow 'ordr', which is not defined in namespace 'default'; did you mean 'order'?"))
        }
        let bad: Value = ["kind": "RuleSet"]
        let good = pair("other", script("true"))
        let mixed = try await node.client.send("POST", "/api/v1/rules", body: JSONWriter.bytes(.list(good + [bad])))
        #expect(mixed.status == 422)
        #expect(mixed.value["errors"]?.list?.allSatisfy { $0["definition"]?.int == 2 } == true)
        #expect(try await node.client.get("/api/v1/cluster/status")["catalogVersion"]?.int == 1)
        #expect(try node.distric("workflows", "list", "-o", "name").out == "order\n")
    }

    @Test func `a workflow of far too many tasks is refused at once`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let tasks = (0..<10_000).map { Fields.Member("t\($0)", ["use": "wait@1", "with": ["duration": "1s"]]) }
        let body: Value = ["apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "big"], "tasks": .map(Fields(tasks))]
        let began = ContinuousClock.now
        let answer = try raw(node.url, "POST", "/api/v1/workflows:validate", body: JSONWriter.text(body))
        #expect(answer.status == 422)
        #expect(answer.value["errors"]?.list?.first?["detail"]?.string == "10000 tasks; at most 1000")
        #expect(ContinuousClock.now - began < .seconds(3))
    }

    // MARK: Programs

    private func error(_ task: Value, _ name: String, _ node: RunningNode) async throws -> (state: String, type: String, message: String) {
        let run = try await node.outcome(of: task, name)
        let error = run.firstTask["error"] ?? .null
        return (run.firstTask["state"]?.string ?? "", error["type"]?.string ?? "", error["message"]?.string ?? "")
    }

    @Test func `a program that is not allowed, not there or fails says so in its run`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let file = folder.path + "/script"
        try "#!/bin/sh\ntrue\n".write(toFile: file, atomically: true, encoding: .utf8)
        chmod(file, 0o755)
        let denied = try await error(["use": "exec@1", "with": ["command": [.string(file)]]], "denied", node)
        #expect(denied.type == "not_allowed")
        #expect(denied.message.hasSuffix("start it with --allow-exec '\(file)'"), "\(denied.message)")
        #expect(try await error(["use": "exec@1", "with": ["command": ["no-such-program"]]], "missing", node).type == "not_found")
        let failed = try await error(script("echo broken >&2; exit 3"), "failing", node)
        #expect(failed == ("failed", "exit_code", "exit code 3: broken"))
        let killed = try await error(script("kill -9 $$"), "killed", node)
        #expect(killed == ("failed", "signal", "ended by signal 9"))
        try isWell(node)
    }

    @Test func `programs that hang, ignore TERM or leave children are ended with all that is theirs`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let hangs = try await error(script("echo $$ >> \(folder.path)/pids; exec sleep 60", attempt: "300ms"), "hangs", node)
        #expect(hangs == ("timed_out", "timeout", "attempt 1 took longer than 300 ms") || hangs.type == "timeout", "\(hangs)")
        let stubborn = try await error(
            script("trap '' TERM; echo $$ >> \(folder.path)/pids; while :; do sleep 0.1; done", attempt: "300ms"), "stubborn", node)
        #expect(stubborn.type == "timeout")
        let parent = try await node.outcome(of: script("sleep 60 & echo $! >> \(folder.path)/pids; echo done"), "parent")
        #expect(parent["state"]?.string == "succeeded")
        #expect(parent.firstTask["output"]?.string == "done")
        let pids = try String(contentsOfFile: folder.path + "/pids", encoding: .utf8).split(separator: "\n").compactMap { pid_t($0) }
        #expect(pids.count == 3)
        for pid in pids {
            let isGone = try await eventually(3) {
                .bool(kill(pid, 0) != 0 || Self.isZombie(pid))
            } until: {
                $0 == true
            }
            #expect(isGone == true, "\(pid) is still there")
        }
    }

    private static func isZombie(_ pid: pid_t) -> Bool {
        (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8))?.contains(") Z ") ?? true
    }

    @Test func `output is bounded, and the last JSON of it counts`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let flood = try await error(script("head -c 5000000 /dev/zero"), "flood", node)
        #expect(flood.type == "payload_too_large")
        let aside = try await node.outcome(of: script("head -c 5000000 /dev/zero >&2; echo noise; echo '{\"ok\": 1}'"), "aside")
        #expect(aside.firstTask["output"] == ["ok": 1])
        let text = try await node.outcome(of: script("printf 'a\\377b'"), "bytes")
        #expect(text.firstTask["output"]?.string == "a\u{FFFD}b")
        let deep = try await node.outcome(of: script("head -c 10000 /dev/zero | tr '\\\\0' '['"), "deep")
        #expect(deep.firstTask["output"]?.string?.count == 10_000)
        try isWell(node)
    }

    @Test func `a program sees only what its task gives it`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let run = try await node.outcome(of: ["use": "exec@1", "with": ["command": ["env"], "env": ["GIVEN": "yes"]]], "bare")
        let names = Set(
            (run.firstTask["output"]?.string ?? "").split(separator: "\n").compactMap { $0.split(separator: "=").first.map(String.init) })
        let own: Set = [
            "DISTRIC_RUN", "DISTRIC_TASK", "DISTRIC_ATTEMPT", "DISTRIC_LEASE", "DISTRIC_KEY", "DISTRIC_FENCE", "PATH", "TRACEPARENT",
            "GIVEN",
        ]
        #expect(names == own)
    }

    // MARK: http@1

    private func request(_ url: String) -> Value { ["use": "http@1", "with": ["url": .string(url)], "timeout": ["attempt": "5s"]] }

    @Test func `internal addresses are refused in every spelling`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let urls = [
            node.url, "http://localhost:1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
            "http://0/",
            "http://169.254.169.254/", "http://10.0.0.1/", "http://user@127.0.0.1/",
        ]
        for (number, url) in urls.enumerated() {
            let refused = try await error(request(url), "inner-\(number)", node)
            #expect(refused.type == "not_allowed", "\(url): \(refused)")
        }
        #expect(try await error(request("file:///etc/passwd"), "scheme", node).type == "invalid_input")
    }

    @Test func `a refused connection is said at once`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder, ["--allow-http", "127.0.0.1:1"])
        let run = try await node.outcome(of: request("http://127.0.0.1:1/"), "refused")
        #expect(run.firstTask["state"]?.string == "failed")
        #expect(run.firstTask.at("error", "type")?.string == "connection")
        #expect(run.firstTask.at("error", "message")?.string?.contains("refused") == true)
        #expect(run["durationMs"]?.int ?? 60_000 < 2000)
    }

    @Test func `an answer beyond the limit is refused`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder, ["--allow-http", "127.0.0.1", "--set", "intake.payload_bytes=2KiB"])
        #expect(try await error(request("\(node.url)/metrics"), "large", node).type == "payload_too_large")
        let found = try await node.outcome(of: request("\(node.url)/health/live"), "small")
        #expect(found.firstTask["output"] == ["status": 200, "body": ["status": "up", "node": "n1"]])
        let missing = try await error(request("\(node.url)/nope"), "nope", node)
        #expect(missing.type == "http_status")
    }

    // MARK: Damaged folders

    /// A folder with 200 ended runs, of a node that was killed.
    private func filled(_ folder: TemporaryFolder) async throws -> String {
        let data = folder.path + "/data"
        let node = try started(folder)
        try await node.apply(pair("fill", ["use": "transform@1", "with": ["value": 1]]))
        for batch in 0..<10 {
            let lines = (0..<20).map { "{\"id\":\"f-\(batch)-\($0)\",\"type\":\"fill\",\"data\":1}\n" }.joined()
            #expect(try node.distric("messages", "submit", "-", input: lines).code == 0)
        }
        let status = try await eventually {
            try await node.client.get("/api/v1/cluster/status")
        } until: {
            $0.at("runs", "ended")?.int == 200
        }
        #expect(status.at("runs", "ended")?.int == 200)
        node.crash()
        return data
    }

    private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
    private func write(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(filePath: path)) }

    private func log(_ data: String) throws -> String {
        let names = try FileManager.default.contentsOfDirectory(atPath: data + "/raft/log").filter { $0.hasSuffix(".log") }
        return data + "/raft/log/" + (try #require(names.max()))
    }

    private func used(_ bytes: [UInt8]) -> Int { (bytes.lastIndex { $0 != 0 } ?? 0) + 1 }

    @Test func `a flipped byte in the middle of the log exits 65 and changes nothing`() async throws {
        let folder = try TemporaryFolder()
        let data = try await filled(folder)
        let path = try log(data)
        let intact = try bytes(path)
        var flipped = intact
        flipped[used(intact) / 2] ^= 0x40
        try write(flipped, path)
        let finished = try refusal(data)
        #expect(finished.code == 65)
        #expect(finished.err.contains("\(path) is damaged at byte "), "\(finished.err)")
        #expect(finished.err.contains("distric backup restore FILE"))
        #expect(try bytes(path) == flipped)
        try write(intact, path)
        let node = try started(folder)
        #expect(try await node.client.get("/api/v1/cluster/status").at("messages", "accepted")?.int == 200)
    }

    @Test func `garbage after the last record is cut and said, and nothing is lost`() async throws {
        let folder = try TemporaryFolder()
        let data = try await filled(folder)
        let path = try log(data)
        var changed = try bytes(path)
        let end = (used(changed) + 7) / 8 * 8
        for place in end..<(end + 200) { changed[place] = UInt8(truncatingIfNeeded: place &* 37 | 1) }
        try write(changed, path)
        let node = try started(folder)
        #expect(try await node.client.get("/api/v1/cluster/status").at("messages", "accepted")?.int == 200)
        #expect(try await node.client.get("/api/v1/events").items.contains { $0["kind"]?.string == "raft.log_cut" })
    }

    @Test func `a log that is shorter than what the history has seen exits 65`() async throws {
        let folder = try TemporaryFolder()
        let data = try await filled(folder)
        let path = try log(data)
        try write(Array(try bytes(path).prefix(used(try bytes(path)) / 2 / 8 * 8)), path)
        let finished = try refusal(data)
        #expect(finished.code == 65, "\(finished.err)")
    }

    @Test func `a flipped byte in the middle of the history loses what it hits, says so, and nothing behind it`() async throws {
        let folder = try TemporaryFolder()
        let data = try await filled(folder)
        let path = data + "/history/000000000001.records"
        var changed = try bytes(path)
        changed[changed.count / 4] ^= 0x40
        try write(changed, path)
        let node = try started(folder)
        let runs = try await node.client.get("/api/v1/runs", [("limit", "1000")]).items
        let messages = try await node.client.get("/api/v1/messages", [("limit", "1000")]).items
        #expect(runs.count + messages.count >= 399, "\(runs.count) runs, \(messages.count) messages of 200")
        #expect(Set(runs.compactMap { $0["id"]?.string }).count == runs.count)
        #expect(try bytes(path).count >= changed.count)
        let events = try await node.client.get("/api/v1/events").items
        #expect(events.contains { $0["severity"]?.string == "error" && $0["text"]?.string?.contains("history") == true })
        let parts = try await node.client.get("/health/ready")["components"]?.list ?? []
        #expect(parts.contains { $0["status"]?.string == "degraded" && $0["reason"]?.string?.contains("history") == true })
    }

    @Test func `a lost vote is damage`() async throws {
        let folder = try TemporaryFolder()
        let data = try await filled(folder)
        let vote = try bytes(data + "/raft/vote")
        try write((0..<vote.count).map { UInt8(truncatingIfNeeded: $0 &* 91 &+ 7) }, data + "/raft/vote")
        #expect(try refusal(data).code == 65)
        try FileManager.default.removeItem(atPath: data + "/raft/vote")
        #expect(try refusal(data).code == 65)
    }

    @Test func `a damaged journal does not make a task that must not be repeated run again`() async throws {
        let folder = try TemporaryFolder()
        let data = folder.path + "/data"
        var node = try started(folder)
        var task = script("echo ran >> \(folder.path)/effects; exec sleep 30", attempt: "60s")
        task = .object(["use": task["use"], "with": task["with"], "timeout": task["timeout"], "on_lost": "hold"])
        try await node.apply(pair("fragile", task))
        let id = try await node.submit("fragile")
        _ = try await eventually {
            .bool(access(folder.path + "/effects", F_OK) == 0)
        } until: {
            $0 == true
        }
        node.crash()
        var journal = try bytes(data + "/worker/journal")
        #expect(journal.count > 20)
        journal[20] ^= 0x40
        try write(journal, data + "/worker/journal")
        // Either it refuses to start, or the task is held.
        do {
            node = try started(folder)
        } catch let error as RunningNode.DidNotStart {
            #expect(error.description.contains("is damaged"), "\(error)")
            return
        }
        let held = try await eventually(2) {
            try await node.client.get("/api/v1/runs/\(id)")
        } until: {
            $0["state"]?.string == "held"
        }
        #expect(held["state"]?.string == "held")
        #expect(try String(contentsOfFile: folder.path + "/effects", encoding: .utf8) == "ran\n")
    }

    @Test func `a snapshot that is cut, or has lost the log after it, exits 65`() async throws {
        let folder = try TemporaryFolder()
        let data = folder.path + "/data"
        let node = try started(folder, ["--set", "raft.snapshot_bytes=1MiB"])
        try await node.apply(pair("fill", ["use": "transform@1", "with": ["value": 1]]))
        let pad = String(repeating: "x", count: 8000)
        let lines = (0..<90).map { "{\"id\":\"s-\($0)\",\"type\":\"fill\",\"data\":\"\(pad)\"}\n" }.joined()
        #expect(try node.distric("messages", "submit", "-", input: lines).code == 0)
        func manifests() -> [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: data + "/raft/snapshots")) ?? []).filter { $0.hasSuffix(".manifest") }
        }
        _ = try await eventually {
            Value(manifests().count)
        } until: {
            ($0.int ?? 0) > 0
        }
        node.crash()
        let aside = folder.path + "/log"
        try FileManager.default.moveItem(atPath: data + "/raft/log", toPath: aside)
        try FileManager.default.createDirectory(atPath: data + "/raft/log", withIntermediateDirectories: false)
        let without = try refusal(data)
        #expect(without.code == 65, "\(without.err)")
        try FileManager.default.removeItem(atPath: data + "/raft/log")
        try FileManager.default.moveItem(atPath: aside, toPath: data + "/raft/log")
        for name in manifests() {
            let state = data + "/raft/snapshots/" + name.replacingOccurrences(of: ".manifest", with: ".state")
            let whole = try bytes(state)
            try write(Array(whole.prefix(whole.count / 2)), state)
        }
        let finished = try refusal(data)
        #expect(finished.code == 65, "\(finished.err)")
        #expect(finished.err.contains("/raft/snapshots/"))
    }
}

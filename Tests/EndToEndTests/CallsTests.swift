import Foundation
import Glibc
import Primitives
import Testing
import Text
import Wire

/// Calls over the binary protocol: `distric ping`, `distric wire decode`, a client in Python that was written from distric-protocol(7)
/// alone, the node's door for them, and the manual's tables.
struct CallsTests {
    private static let tests = URL(filePath: #filePath).deletingLastPathComponent()

    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private var data: String { folder.path + "/data" }

    private func started() throws -> RunningNode { try RunningNode(data: data, smallNode + ["--rpc", "127.0.0.1:0"]) }

    /// Where the node takes calls, as its log says.
    private func callAddress(_ node: RunningNode) throws -> String {
        let lines = node.logText.split(separator: "\n").compactMap { try? JSONScanner.parse($0.utf8) }
        let line = lines.first { $0["message"]?.string == "calls" }
        return try #require(line?["address"]?.string, "\(node.logText)")
    }

    /// Runs the client in Python; nil where there is no Python.
    private func client(_ words: [String], input: String = "") throws -> Finished? {
        guard let python = Built.tool("python3") else { return nil }
        let program = Self.tests.appending(path: "Clients/calls.py").path(percentEncoded: false)
        return try run(python, ["-B", program] + words, input: input)
    }

    /// One JSON value a line.
    private func rows(_ text: String) throws -> [Value] { try text.split(separator: "\n").map { try JSONScanner.parse($0.utf8) } }

    // MARK: ping

    @Test func `ping prints each answer and a summary`() throws {
        let node = try started()
        let address = try callAddress(node)
        let finished = try distric(["ping", address, "-c", "3", "-i", "10ms"])
        #expect(finished.code == 0, "\(finished.err)")
        #expect(finished.err.isEmpty, "\(finished.err)")
        let lines = finished.out.split(separator: "\n")
        #expect(lines.first?.hasPrefix("PING \(address) (node n1, distric ") == true, "\(finished.out)")
        #expect(lines.first?.contains("protocol 1.0") == true, "\(finished.out)")
        #expect(lines.filter { $0.hasPrefix("56 bytes: seq=") && $0.hasSuffix(" ms") }.count == 3, "\(finished.out)")
        #expect(finished.out.contains("\n--- \(address) n1 ---\n3 sent, 3 answered, 0% lost\nmin/avg/p50/p99/max = "), "\(finished.out)")
        let objects = try distric(["ping", address, "-c", "2", "-i", "10ms", "-s", "0", "-o", "jsonl"])
        #expect(objects.code == 0, "\(objects.err)")
        let answers = try rows(objects.out)
        #expect(answers.compactMap { $0["sequence"]?.int } == [1, 2], "\(objects.out)")
        #expect(answers.dropLast().allSatisfy { ($0["ms"]?.number ?? -1) > 0 }, "\(objects.out)")
        #expect(answers.last?["sent"]?.int == 2 && answers.last?["answered"]?.int == 2, "\(objects.out)")
        #expect((answers.last?["p99Ms"]?.number ?? -1) > 0, "\(objects.out)")
        // Of two the middle one is the lesser (nearest rank).
        #expect(answers.last?["p50Ms"]?.number == answers.last?["minMs"]?.number, "\(objects.out)")
        #expect((answers.last?["meanMs"]?.number ?? -1) >= (answers.last?["minMs"]?.number ?? 0), "\(objects.out)")
        #expect(node.process.isRunning)
    }

    @Test func `the socket in the data folder answers, even where calls have no port`() throws {
        let node = try RunningNode(data: data, smallNode)
        #expect(!node.logText.contains("\"message\":\"calls\""))
        let finished = try distric(["ping", "unix:\(data)/rpc.sock", "-c", "2", "-i", "0"])
        #expect(finished.code == 0, "\(finished.err)")
        #expect(finished.out.contains("2 sent, 2 answered, 0% lost"), "\(finished.out)")
        let quiet = try distric(["ping", "unix:\(data)/rpc.sock", "-c", "1", "-q"])
        #expect(quiet.code == 0, "\(quiet.err)")
        #expect(!quiet.out.contains("seq="), "\(quiet.out)")
        var info = stat()
        let found = stat(data + "/rpc.sock", &info)
        #expect(found == 0)
        #expect(info.st_mode & 0o777 == 0o600)
        #expect(node.stop() == 0)
    }

    @Test func `a ping of the HTTP port says that it is one`() throws {
        let node = try started()
        let finished = try distric(["ping", String(node.url.dropFirst("http://".count)), "-c", "1"])
        #expect(finished.code == 69, "\(finished.err)")
        #expect(finished.out.isEmpty, "\(finished.out)")
        #expect(finished.err.contains("is it the address of the HTTP API? Calls have their own, rpc.address"), "\(finished.err)")
        #expect(try raw(node.url, "GET", "/health/ready").status == 200)
    }

    @Test func `a ping of a closed port, and of a socket that is not there, exits 69 at once`() throws {
        for address in ["127.0.0.1:1", "unix:\(data)/rpc.sock"] {
            let began = ContinuousClock.now
            let finished = try distric(["ping", address, "-c", "3"])
            #expect(finished.code == 69, "\(finished.err)")
            #expect(finished.err.contains(address), "\(finished.err)")
            #expect(finished.out.isEmpty, "\(finished.out)")
            #expect(ContinuousClock.now - began < .seconds(10))
        }
    }

    // MARK: A client in another language

    @Test func `a client that was written from the manual pings, submits and asks`() async throws {
        let node = try started()
        let address = try callAddress(node)
        guard let pinged = try client([address, "ping", "2"]) else { return }
        #expect(pinged.code == 0, "\(pinged.err)")
        #expect(pinged.out.hasPrefix("1: n1 in ") && pinged.out.contains("\n2: n1 in "), "\(pinged.out)")
        try await node.apply(pair("asked", script("exit 0")))
        let first = "{\"id\":\"m1\",\"source\":\"tests\",\"type\":\"asked\",\"data\":1}\n"
        let input = first + "{\"id\":\"m2\",\"source\":\"tests\",\"type\":\"unheard\",\"data\":2}\n{\"data\":\n"
        let submitted = try #require(try client([address, "submit"], input: input))
        #expect(submitted.code == 0, "\(submitted.err)")
        let results = try rows(submitted.out)
        try #require(results.count == 3, "\(submitted.out)")
        #expect(results.compactMap { $0["status"]?.int } == [202, 200, 400], "\(submitted.out)")
        #expect(results.compactMap { $0["runs"]?.list?.count } == [1, 0, 0], "\(submitted.out)")
        #expect(results[0]["message_id"]?.string == "m1")
        #expect(results[0]["matched"]?.list?.compactMap(\.string) == ["asked/start"])
        #expect(results[0]["catalog_version"]?.int == 1)
        #expect(results[2]["code"]?.string == "invalid_json")
        #expect(results[2]["detail"]?.string?.isEmpty == false)
        let id = try #require(results[0]["runs"]?.list?.first?.string)
        #expect(try await node.ended(id)["state"]?.string == "succeeded")
        // The same message again counts once, by whichever way it comes.
        let again = try #require(try client(["unix:\(data)/rpc.sock", "submit"], input: first))
        let repeated = try #require(try rows(again.out).first, "\(again.err)")
        #expect(repeated["is_duplicate"]?.bool == true, "\(again.out)")
        #expect(repeated["runs"]?.list?.first?.string == id, "\(again.out)")
        #expect(node.process.isRunning)
    }

    @Test func `a question has the answer that the HTTP API has`() throws {
        let node = try started()
        let address = try callAddress(node)
        guard let asked = try client([address, "query", "cluster/status"]) else { return }
        #expect(asked.code == 0, "\(asked.err)")
        let cluster = try #require(try JSONScanner.parse(asked.out)["clusterId"]?.string, "\(asked.out)")
        #expect(try raw(node.url, "GET", "/api/v1/cluster/status").value["clusterId"]?.string == cluster)
        let missing = try #require(try client([address, "query", "runs/01890000-0000-7000-8000-000000000000"]))
        #expect(missing.code == 1)
        #expect(missing.out.isEmpty)
        #expect(missing.err.hasPrefix("not_found: "), "\(missing.err)")
    }

    // MARK: wire decode

    @Test func `what a client received is shown frame by frame and field by field`() throws {
        let node = try started()
        let address = try callAddress(node)
        let file = folder.path + "/raw.bin"
        guard let pinged = try client(["--raw", file, address, "ping", "2"]) else { return }
        #expect(pinged.code == 0, "\(pinged.err)")
        let bytes = try Data(contentsOf: URL(filePath: file))
        let shown = try distric(["wire", "decode", file])
        #expect(shown.code == 0, "\(shown.err)")
        let heads = shown.out.split(separator: "\n").filter { !$0.hasPrefix(" ") }
        #expect(heads.count == 3, "\(shown.out)")
        #expect(heads.first?.hasPrefix("0: hello (0x") == true, "\(shown.out)")
        #expect(heads.dropFirst().allSatisfy { $0.contains(": ack (0x2002) id ") && $0.contains("[response]") }, "\(shown.out)")
        let lines = try distric(["wire", "decode", file, "-o", "jsonl"])
        let frames = try rows(lines.out)
        #expect(frames.compactMap { $0["type"]?.string } == ["hello", "ack", "ack"], "\(lines.out)\(lines.err)")
        #expect(frames.compactMap { $0["bytes"]?.int }.reduce(0, +) == Int64(bytes.count))
        let sequence = frames.last?["fields"]?.list?.first { $0["name"]?.string == "sequence" }
        #expect(sequence?["value"]?.string == "2", "\(lines.out)")
        let digits = bytes.map { hexadecimal(UInt64($0), digits: 2) }.joined(separator: " ")
        #expect(try distric(["wire", "decode", "--hex", "-"], input: digits).out == shown.out)
        // Other answers by their names.
        let others: [(words: [String], name: String)] = [
            (["submit"], "client_response"), (["query", "cluster/status"], "client_response"), (["query", "runs/none"], "error"),
        ]
        for (words, name) in others {
            _ = try client(["--raw", file, address] + words, input: "{\"data\":1}\n")
            let decoded = try rows(try distric(["wire", "decode", file, "-o", "jsonl"]).out)
            #expect(decoded.compactMap { $0["type"]?.string } == ["hello", name], "\(words)")
        }
        #expect(node.process.isRunning)
    }

    @Test func `what is cut or no stream of frames exits 65 with the byte`() throws {
        let good = try manualExample()
        let garbage = Array("this is no frame at all, and long enough to be one".utf8)
        var spoilt = good
        spoilt[spoilt.count - 1] ^= 1
        let cut = Array(good.dropLast())
        let cases: [(bytes: [UInt8], problem: String, frames: Int)] = [
            (good + cut, "byte 75: the stream ends 74 bytes into a frame", 1),
            (Array(good.prefix(10)), "byte 0: the stream ends 10 bytes into a frame", 0),
            (garbage, "byte 0: no frame: it begins with 0x74686973", 0),
            (good + good + garbage, "byte 150: no frame", 2),
            (good + spoilt, "byte 75: checksum 0x", 1),
        ]
        let file = folder.path + "/stream.bin"
        for (bytes, problem, frames) in cases {
            try Data(bytes).write(to: URL(filePath: file))
            let finished = try distric(["wire", "decode", file, "-o", "jsonl"])
            #expect(finished.code == 65, "\(problem)")
            #expect(finished.err.contains(problem), "\(problem): \(finished.err)")
            let shown = try rows(finished.out)
            #expect(shown.count == frames, "\(problem): \(finished.out)")
            #expect(shown.allSatisfy { $0["type"]?.string == "hello" }, "\(problem): \(finished.out)")
        }
        #expect(try distric(["wire", "decode", folder.path + "/none"]).code == 65)
        #expect(try distric(["wire", "decode", "--hex", "-"], input: "44 49 5").code == 65)
        #expect(try distric(["wire", "decode", "--hex", "-"], input: "nothing").code == 65)
    }

    @Test func `text of a peer stays on the line of its field`() throws {
        var reply = ErrorReply()
        reply.message = "x\n999: hello (0x4f01) id 0 71 bytes version 1.0\u{1B}[2J"
        var frames = FrameBatch()
        frames.append(oneWay: reply)
        let path = folder.path + "/evil.bin"
        try Data(frames.take()).write(to: URL(filePath: path))
        let finished = try distric(["wire", "decode", path])
        #expect(finished.code == 0, "\(finished.err)")
        let lines = finished.out.split(separator: "\n")
        #expect(lines.allSatisfy { $0.hasPrefix("0: ") || $0.hasPrefix("    ") } && !finished.out.contains("\u{1B}"), "\(finished.out)")
        let folder = try distric(["wire", "decode", self.folder.path])
        #expect(folder.code == 65 && folder.err.contains("is a folder"), "\(folder.err)")
        let none = try distric(["wire", "decode", path + "-none"])
        #expect(none.code == 65 && none.err.contains("No such file"), "\(none.err)")
    }

    // MARK: The door

    @Test(arguments: ["0.0.0.0:0", "[::]:0"]) func `beyond loopback calls need certificates`(_ address: String) throws {
        let finished = try refusal(data, ["--rpc", address])
        #expect(finished.code == 78, "\(finished.err)")
        for remedy in ["rpc.address = '\(address)'", "rpc.tls_certificate", "'distric certs'", "listen on 127.0.0.1", "--insecure"] {
            #expect(finished.err.contains(remedy), "\(finished.err)")
        }
    }

    @Test func `a port for calls that is in use exits 69 and says what to do`() throws {
        let node = try started()
        let address = try callAddress(node)
        let finished = try refusal(folder.path + "/other", ["--rpc", address])
        #expect(finished.code == 69, "\(finished.err)")
        #expect(
            finished.err.contains("\(address) is in use by another program; stop it, or choose another --rpc address"), "\(finished.err)")
        #expect(try distric(["ping", address, "-c", "1"]).code == 0)
        #expect(node.process.isRunning)
    }

    // MARK: The manual

    /// A message as the manual has it.
    private struct Table: Equatable {
        var number: UInt16
        var rows: [String]
    }

    /// `RequestVote` is `request_vote` in the program.
    private func snakeCase(_ name: Substring) -> String {
        name.map { $0.isUppercase ? "_" + $0.lowercased() : String($0) }.joined().trimmingCharacters(in: CharacterSet(charactersIn: "_"))
    }

    private func manual() throws -> String {
        let root = Self.tests.deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "Man/distric-protocol.7"), encoding: .utf8)
    }

    /// The bytes of the hello in the section EXAMPLE.
    private func manualExample() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var isExample = false
        for line in try manual().split(separator: "\n") {
            if line.hasPrefix(".Sh ") { isExample = line == ".Sh EXAMPLE" }
            guard isExample, let found = line.prefixMatch(of: /(?:[0-9a-f]{2} {1,2})+/) else { continue }
            bytes += found.output.split(separator: " ").compactMap { UInt8($0, radix: 16) }
        }
        try #require(bytes.count == 75, "\(bytes)")
        return bytes
    }

    private func manualTables() throws -> [String: Table] {
        var tables: [String: Table] = [:]
        var current: String?
        for line in try manual().split(separator: "\n") {
            if let found = line.wholeMatch(of: /\.Ss (\w+) \(0x([0-9A-F]{4})\)/) {
                let name = snakeCase(found.output.1)
                #expect(tables[name] == nil, "\(name) is there twice")
                let number = try #require(UInt16(found.output.2, radix: 16))
                tables[name] = Table(number: number, rows: [])
                current = name
            } else if line.hasPrefix(".Ss ") || line.hasPrefix(".Sh ") || line == ".El" {
                current = nil
            } else if let current, line.hasPrefix(".It ") {
                let cells = line.dropFirst(4).components(separatedBy: " Ta")
                tables[current]?.rows.append(cells.map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "|"))
            }
        }
        return tables
    }

    @Test func `the manual's tables are the program's messages, field by field`() throws {
        let tables = try manualTables()
        #expect(Set(tables.keys) == Set(WireMessages.all.map(\.name)))
        for kind in WireMessages.all {
            let rows = kind.fields.sorted { $0.tag < $1.tag }.map { "\($0.tag)|\($0.name)|\($0.type)|\($0.isRequired ? "yes" : "")" }
            #expect(tables[kind.name] == Table(number: kind.type.number, rows: rows), "\(kind.name)")
        }
    }
}

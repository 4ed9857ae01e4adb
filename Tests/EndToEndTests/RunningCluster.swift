import Foundation
import Glibc
import Primitives
import Synchronization
import Testing
import Text

/// A coordinator that is a process of its own, on ports that stay its own: it can be killed, stopped, woken and started again.
final class ClusterMember {
    let id: String
    let url: String
    /// Where it takes calls.
    let rpc: String
    let data: String
    /// All but who it is and where, of its next start.
    var arguments: [String]
    private(set) var process = Process()
    private var log: String { data + ".log" }

    init(_ id: String, data: String, http: Int, rpc: Int, _ arguments: [String]) {
        (self.id, self.data, self.arguments) = (id, data, arguments)
        (url, self.rpc) = ("http://127.0.0.1:\(http)", "127.0.0.1:\(rpc)")
    }

    deinit { crash() }

    /// Its log goes on where it was.
    func start() throws {
        if !FileManager.default.fileExists(atPath: log) { try Data().write(to: URL(filePath: log)) }
        let output = try FileHandle(forWritingTo: URL(filePath: log))
        defer { try? output.close() }
        try output.seekToEnd()
        process = Process()
        process.executableURL = URL(filePath: Built.distric)
        let place = ["--http", String(url.dropFirst("http://".count)), "--rpc", rpc]
        process.arguments = ["node", "--id", id, "--data", data] + place + arguments
        process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("DISTRIC_") }
            .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        process.currentDirectoryURL = FileManager.default.temporaryDirectory
        process.standardInput = FileHandle.nullDevice
        (process.standardOutput, process.standardError) = (output, output)
        try process.run()
    }

    var isRunning: Bool { process.isRunning }

    // MARK: Ending

    /// Nothing happens to one that has ended: its number may be another's by now.
    func send(_ signal: Int32) { if process.isRunning { kill(process.processIdentifier, signal) } }

    /// kill -9, and waits until it is gone; one that is stopped too.
    func crash() {
        guard process.isRunning else { return }
        send(SIGKILL)
        process.waitUntilExit()
    }

    /// SIGTERM, and waits until it is gone; its exit code.
    func stop() -> Int32 {
        process.terminate()
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Its exit code once it has ended by itself; nil when it does not.
    func ended() async throws -> Int32? {
        let isOver = try await holds { !process.isRunning }
        guard isOver else { return nil }
        return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    }

    func wipe() throws { try FileManager.default.removeItem(atPath: data) }

    // MARK: Asking

    var logText: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
    /// What it said to people, as it ended.
    var lastWords: String { logText.split(separator: "\n").filter { !$0.hasPrefix("{") }.joined(separator: "\n") }

    /// Nil while it does not answer.
    func ask(_ method: String, _ path: String, _ body: Value? = nil) -> RawAnswer? {
        try? raw(url, method, path, body: body.map { JSONWriter.text($0) } ?? "")
    }

    /// What it answers, whatever that is; null while it says nothing.
    func read(_ path: String) -> Value { ask("GET", path)?.value ?? .null }

    var status: Value { read("/api/v1/raft/status") }
    var role: String? { status["role"]?.string }
    var isReady: Bool { ask("GET", "/health/ready")?.status == 200 }
    /// What is down, with the reason.
    var health: String {
        let parts = read("/health/ready")["components"]?.list ?? []
        return parts.filter { $0["status"] == "down" }.map { "\($0["name"]?.string ?? ""): \($0["reason"]?.string ?? "")" }
            .joined(separator: "; ")
    }
    var voters: [String] { status["voters"]?.list?.compactMap(\.string) ?? [] }
    var members: [String] { voters + (status["learners"]?.list?.compactMap(\.string) ?? []) }
    var events: [Value] { read("/api/v1/events?limit=1000").items }
    func hasEvent(_ kind: String, _ words: String = "") -> Bool {
        events.contains { $0["kind"]?.string == kind && (words.isEmpty || $0["text"]?.string?.contains(words) == true) }
    }

    /// Index up to which the log is applied.
    var applied: Int64 { status["appliedIndex"]?.int ?? -1 }

    func submit(_ id: String, _ type: String = "kept", _ data: Value = 1) -> RawAnswer? {
        ask("POST", "/api/v1/messages", ["id": .string(id), "type": .string(type), "data": data])
    }

    /// Many at once, an object a line; one result each.
    func submit(lines: [Value]) -> [Value] {
        let text = lines.map { JSONWriter.text($0) + "\n" }.joined()
        return (try? raw(url, "POST", "/api/v1/messages", ["Content-Type: application/x-ndjson"], body: text))?.value.items ?? []
    }

    /// Every message that it knows of, with the ids of its runs, as fresh as can be; the newest first.
    func messages() throws -> [(id: String, runs: [String])] {
        var found: [(id: String, runs: [String])] = []
        var cursor: String?
        repeat {
            let page = try #require(
                ask("GET", "/api/v1/messages?limit=500&consistency=linearizable" + (cursor.map { "&cursor=\($0)" } ?? "")))
            try #require(page.status == 200, "\(id): \(page.body)")
            found += page.value.items.map { ($0["id"]?.string ?? "", $0["runs"]?.list?.compactMap(\.string) ?? []) }
            cursor = page.value["next"]?.string
        } while cursor != nil
        return found
    }

    /// A command against this node.
    func distric(_ words: String..., input: String = "") throws -> Finished {
        try run(Built.distric, words + ["--connect", url], input: input)
    }
}

/// Coordinators that begin a cluster together, on loopback.
final class RunningCluster {
    struct NoLeader: Error, CustomStringConvertible { let description: String }

    private static let small = ["--allow-chaos", "--set", "raft.segment_bytes=1MiB", "--set", "disk.ballast_bytes=0"]
    private static let portsGiven = Mutex<Set<Int>>([])

    let folder: TemporaryFolder
    /// For `--join`: where those that begin it take calls.
    let seeds: String
    private(set) var members: [ClusterMember]
    private let arguments: [String]

    /// Begins nothing yet.
    init(of count: Int = 3, _ arguments: [String] = []) throws {
        folder = try TemporaryFolder()
        self.arguments = Self.small + arguments
        let ports = (0..<count).map { _ in (http: Self.freePort(), rpc: Self.freePort()) }
        seeds = ports.map { "127.0.0.1:\($0.rpc)" }.joined(separator: ",")
        let own = ["--bootstrap-expect", "\(count)", "--join", seeds] + self.arguments
        members = []
        for (place, port) in ports.enumerated() {
            let id = "c-\(place + 1)"
            members.append(ClusterMember(id, data: "\(folder.path)/\(id)", http: port.http, rpc: port.rpc, own))
        }
    }

    /// Three of which one leads, and knows what messages mean.
    static func started(_ arguments: [String] = []) async throws -> RunningCluster {
        let cluster = try RunningCluster(arguments)
        for member in cluster.members { try member.start() }
        let leader = try await cluster.leader()
        try #require(leader.ask("POST", "/api/v1/workflows", kept)?.status == 200)
        return cluster
    }

    /// Messages of type `kept` are kept, and start nothing; those of type `held` start a run that is open for an hour, for which no worker is needed.
    static let kept: Value = .list(
        pair("held", ["use": "wait@1", "with": ["duration": "1h"]]) + [
            [
                "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "kept"],
                "rules": [["id": "keep", "when": ["field": "type", "operator": "equals", "value": "kept"], "actions": []]],
            ]
        ])

    /// Below what the system gives to connections by itself: a node that is started again finds its port free.
    static func freePort() -> Int {
        while true {
            let port = Int.random(in: 10_000..<32_000)
            if portsGiven.withLock({ $0.insert(port).inserted }), isFree(port) { return port }
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// One more, which is not started yet.
    ///
    /// - Parameter join: `--join` and what else says how it finds the others; alone it joins those that are there.
    func newcomer(_ id: String, _ join: [String]? = nil) -> ClusterMember {
        let made = ClusterMember(
            id, data: "\(folder.path)/\(id)-\(members.count)", http: Self.freePort(), rpc: Self.freePort(),
            (join ?? ["--join", seeds]) + arguments)
        members.append(made)
        return made
    }

    func others(_ member: ClusterMember) -> [ClusterMember] { members.filter { $0 !== member } }

    // MARK: Who leads

    /// The one that all of them follow, once there is one.
    func leader(of wanted: [ClusterMember]? = nil) async throws -> ClusterMember {
        let wanted = wanted ?? members
        var found: ClusterMember?
        guard
            try await holds(
                30,
                {
                    let states = wanted.map(\.status)
                    guard let place = states.firstIndex(where: { $0["role"]?.string == "leader" }) else { return false }
                    found = wanted[place]
                    return states.allSatisfy { $0["leader"]?.string == wanted[place].id && $0["term"] == states[place]["term"] }
                        && wanted[place].ask("GET", "/api/v1/runs?limit=1&consistency=linearizable")?.status == 200
                }), let found
        else {
            let states = wanted.map { "\($0.id): \(JSONWriter.text($0.status))\n\($0.logText.suffix(2000))" }
            throw NoLeader(description: states.joined(separator: "\n"))
        }
        return found
    }

    /// Hands leadership to this one, and waits until all know.
    func lead(_ member: ClusterMember) async throws {
        let finished = try member.distric("raft", "transfer", "--to", member.id)
        try #require(finished.code == 0, "\(finished.err)")
        #expect(try await leader() === member)
    }

    /// Whether all of them have applied what one of them has now.
    func agree(_ wanted: [ClusterMember]? = nil) async throws -> Bool {
        let wanted = wanted ?? members
        return try await holds { Set(wanted.map(\.applied)).count == 1 && wanted[0].applied > 0 }
    }

    // MARK: Links

    /// What goes between this one and the others is lost, both ways; its clients reach it.
    func cut(_ member: ClusterMember) throws {
        for (from, to) in [(member, others(member))] + others(member).map({ ($0, [member]) }) {
            let links = to.map { peer -> Value in ["to": .string(peer.id), "cut": true] }
            try #require(from.ask("POST", "/api/v1/chaos/links", ["links": .list(links)])?.status == 200)
        }
    }

    func heal() throws { for member in members { try #require(member.ask("DELETE", "/api/v1/chaos/links")?.status == 200) } }
}

/// Whether something comes true in a time that is long for every machine.
func holds(_ seconds: Double = 20, _ condition: () async throws -> Bool) async throws -> Bool {
    try await eventually(seconds, { .bool(try await condition()) }, until: { $0 == true }) == true
}

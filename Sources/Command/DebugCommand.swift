import ArgumentParser
import Crypto
import DistriC
import Foundation
import Offline
import Operator
import Primitives
import Text

/// `distric debug`.
struct DebugCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug", abstract: "What somebody who looks into a problem wants to have.", subcommands: [Bundle.self])

    struct Bundle: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Gather what every node says of itself into one file to hand on, without secrets.",
            discussion: """
                Of each node that answers: status, Raft, health, settings, metrics, and the events and log lines of the last minutes; what
                'distric doctor' says; and a manifest with the hash of each file and the nodes that did not answer. Values of settings that hold
                secrets, and what looks like one, are taken out wherever they stand; look through it all the same before it goes to others: messages
                may have said in the log what is nobody's business. Only its owner may read it, and nothing is overwritten.

                  distric debug bundle
                  distric debug bundle --connect prod-1:8080 --since 1h --output /tmp/incident.tar.gz
                """)
        @Option(name: .long, help: "FILE.tar.gz, FILE.tgz or a folder (default: distric-debug-TIME.tar.gz here).") var output: String?
        @Option(name: .long, help: "Events and log lines not older than this: 15m, 1h.") var since = "15m"
        @Option(
            name: .long,
            help:
                "URL of a node, or several with commas (default: $DISTRIC_URL, then a node that runs on this machine, then http://127.0.0.1:8080)."
        ) var connect: String?

        func validate() throws { _ = try DurationFlag.read(since, of: "--since", atMost: .seconds(7 * 86_400), example: "15m or 1h") }

        @concurrent
        func run() async throws {
            let now = SystemTime.now
            let path = output ?? "distric-debug-\(Self.stamp(now)).tar.gz"
            var files: BundleFiles
            do throws(BundleFiles.Failure) { files = try BundleFiles(path) } catch { throw CommandFailure(.cannotWrite, error.description) }
            let age = try DurationFlag.read(since, of: "--since", atMost: .seconds(7 * 86_400), example: "15m or 1h")
            var gathering = BundleGathering(
                url: RunningNodes.url(asked: connect), since: now.milliseconds - UInt64(clamping: age.milliseconds))
            try await gathering.gather()
            let doctor =
                DoctorSettings(config: nil, data: nil).findings + (await ClusterExamination(url: gathering.urls, isNamed: true).findings())
            gathering.add("doctor.json", .list(doctor.map(\.value)))
            for file in gathering.cleaned { files.add(file.name, file.bytes) }
            files.add("manifest.json", JSONWriter.bytes(manifest(files, gathering, now)) + [0x0A])
            do throws(BundleFiles.Failure) { try files.write(seconds: Int(now.milliseconds / 1000)) } catch {
                throw CommandFailure(.cannotWrite, error.description)
            }
            Session.current.out("\(path)\n")
            let reached = gathering.nodes.count { $0.trouble == nil }
            Session.current.note("\(files.files.count) files of \(reached) node\(reached == 1 ? "" : "s")\n")
            for node in gathering.nodes { if let trouble = node.trouble { Session.current.note("not reached: \(node.id): \(trouble)\n") } }
        }

        private func manifest(_ files: BundleFiles, _ gathering: BundleGathering, _ now: ClusterTime) -> Value {
            .object([
                "createdAt": .string(now.rfc3339), "program": .string("distric \(Node.version)"), "since": .string(since),
                "nodes": .list(
                    gathering.nodes.map { node in
                        .object([
                            "id": .string(node.id), "url": .string(node.url), "reached": .bool(node.trouble == nil),
                            "trouble": node.trouble.map(Value.string),
                        ])
                    }),
                "files": .list(
                    files.files.map { file in
                        let hash = SHA256.hash(data: file.bytes).map { hexadecimal(UInt64($0), digits: 2) }.joined()
                        return ["name": .string(file.name), "bytes": Value(file.bytes.count), "sha256": .string(hash)]
                    }),
            ])
        }

        /// As a file's name has it.
        private static func stamp(_ now: ClusterTime) -> String { String(now.rfc3339.prefix(19)).filter { $0 != ":" } }
    }
}

/// The wall clock, for what bears a date.
private enum SystemTime {
    static var now: ClusterTime { ClusterTime(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000))) }
}

/// Asks every node for what it says of itself.
struct BundleGathering {
    struct Asked: Sendable {
        var id: String
        var url: String
        /// Why there is nothing of it.
        var trouble: String?
    }

    private struct Found: Sendable {
        var asked: Asked
        var config = Value.null
        var files: [(name: String, bytes: [UInt8])] = []
    }

    private static let patience = Duration.seconds(5)
    private static let lines = "1000"
    /// A node tells nobody what its secrets are: it takes them out itself. One of an older version takes no notice.
    private static let redacted: [(String, String?)] = [("redacted", "true")]

    private let url: String
    /// Milliseconds since 1970.
    private let since: UInt64
    private var redaction = Redaction()
    private var files: [(name: String, bytes: [UInt8])] = []
    private(set) var nodes: [Asked] = []

    init(url: String, since: UInt64) { (self.url, self.since) = (url, since) }

    /// Of those that answered, with commas between.
    var urls: String {
        let reached = nodes.filter { $0.trouble == nil }.map(\.url)
        return reached.isEmpty ? url : reached.joined(separator: ",")
    }

    mutating func add(_ name: String, _ value: Value) { files.append((name, JSONWriter.bytes(redaction.value(value)) + [0x0A])) }

    /// All that was gathered; what the settings of one node call a secret stands in no file of another.
    var cleaned: [(name: String, bytes: [UInt8])] { files.map { ($0.name, redaction.bytes($0.bytes)) } }

    mutating func gather() async throws {
        let client = NodeClient(url: url, timeout: Self.patience)
        let status = try await client.get("/api/v1/cluster/status", Self.redacted)
        let rows = (try? await client.get("/api/v1/nodes", Self.redacted))?["items"]?.list ?? status["members"]?.list ?? []
        let since = since
        let found = await withTaskGroup(of: (Int, Found).self) { group in
            for (place, row) in rows.enumerated() {
                let id = row["id"]?.string ?? "node-\(place + 1)"
                // One that is alone and takes no calls has told nobody where it is.
                guard let url = row["http"]?.string ?? (id == status["node"]?.string ? url : nil) else {
                    group.addTask { (place, Found(asked: Asked(id: id, url: "", trouble: "it has not said where its HTTP address is"))) }
                    continue
                }
                let isWorker = row["role"]?.string == "worker"
                group.addTask { (place, await Self.ask(id, url, isWorker, since)) }
            }
            var all: [(Int, Found)] = []
            for await one in group { all.append(one) }
            return all.sorted { $0.0 < $1.0 }.map(\.1)
        }
        // Before anything is written down, all that is secret is known.
        for one in found {
            nodes.append(one.asked)
            guard one.config != .null else { continue }
            files.append(("nodes/\(Self.safe(one.asked.id))/config.json", JSONWriter.bytes(redaction.settings(one.config)) + [0x0A]))
        }
        for one in found {
            for file in one.files { files.append(("nodes/\(Self.safe(one.asked.id))/\(file.name)", clean(file.name, file.bytes))) }
        }
        add("cluster-status.json", status)
        add("cluster-nodes.json", .list(rows))
    }

    private func clean(_ name: String, _ bytes: [UInt8]) -> [UInt8] {
        guard name.hasSuffix(".json"), let value = try? JSONScanner.parse(bytes, maximumDepth: 512) else { return redaction.bytes(bytes) }
        return JSONWriter.bytes(redaction.value(value)) + [0x0A]
    }

    private static func ask(_ id: String, _ url: String, _ isWorker: Bool, _ since: UInt64) async -> Found {
        let client = NodeClient(url: url, timeout: patience)
        var found = Found(asked: Asked(id: id, url: url))
        do {
            found.files.append(("health.json", try await client.send("GET", "/health/ready", redacted).bytes))
            found.files.append(("metrics.txt", try client.checked(try await client.send("GET", "/metrics", redacted)).bytes))
        } catch {
            found.asked.trouble = (error as? CommandFailure)?.message ?? "\(error)"
            return found
        }
        // What a worker alone has.
        guard !isWorker else { return found }
        for (name, path) in [
            ("status.json", "/api/v1/cluster/status"), ("raft.json", "/api/v1/raft/status"), ("peers.json", "/api/v1/raft/peers"),
            ("nodes.json", "/api/v1/cluster/nodes"), ("connections.json", "/api/v1/rpc/connections"),
            ("gossip.json", "/api/v1/gossip"), ("gossip-members.json", "/api/v1/gossip/members"),
        ] { if let answer = try? await client.send("GET", path, redacted) { found.files.append((name, answer.bytes)) } }
        found.config = (try? await client.get("/api/v1/config")) ?? .null
        for (name, path) in [("events.json", "/api/v1/events"), ("logs.json", "/api/v1/logs")] {
            guard let answer = try? await client.get(path, [("limit", lines)] + redacted) else { continue }
            let kept = (answer["items"]?.list ?? []).filter { line in
                line["time"]?.string.flatMap { ClusterTime(rfc3339: $0) }.map { $0.milliseconds >= since } ?? true
            }
            found.files.append((name, JSONWriter.bytes(.list(kept)) + [0x0A]))
        }
        return found
    }

    /// A node's id as a folder's name, whatever the node says it is.
    private static func safe(_ id: String) -> String {
        let kept = String(
            id.unicodeScalars.map {
                $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "-_.".unicodeScalars.contains($0))
                    ? Character($0) : "_"
            }.prefix(63))
        return kept.isEmpty || kept.allSatisfy { $0 == "." } ? "node" : kept
    }
}

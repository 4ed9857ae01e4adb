import ArgumentParser
import DistriC
import Foundation
import Offline
import Operator
import Primitives
import Text

/// `distric doctor`.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check this machine for a node, and a cluster for what may fail next.",
        discussion: """
            Each check has a verdict (ok, warn, fail), what was measured, and what to do. Without a node this machine alone is checked; with one that
            runs here, or that --connect names, the cluster too. The exit code is 1 when something fails.

              distric doctor
              distric doctor --data /var/lib/distric --config /etc/distric.toml
              distric doctor --connect prod-1:8080 -o json
            """)
    @Option(name: .long, help: "Data folder of the node (default: that of the settings).") var data: String?
    @Option(name: .long, help: "Settings file (default: $DISTRIC_CONFIG, then ./distric.toml when there is one).") var config: String?
    @Option(name: .long, help: "URL of a node, or several with commas, of the cluster to check.") var connect: String?
    @Flag(name: .long, help: "Ask no node.") var offline = false
    @Option(name: [.customShort("o"), .long], help: "table, wide, json, jsonl, yaml, csv, tsv or name.") var output: OutputFormat = .table

    func validate() throws {
        if offline, connect != nil { throw ValidationError("--offline asks no node: leave it out, or --connect") }
    }

    @concurrent
    func run() async throws {
        let findings = await examination()
        let columns = [
            Column("CHECK", "check"), Column("VERDICT", "verdict"), Column("MEASURED", "measured"),
            Column("WHAT TO DO", "advice", wide: true),
        ]
        let rendering = Rendering(format: output, width: 0)
        Session.current.out(rendering.rows(findings.map(\.value), columns, name: "check"))
        let failed = findings.count { $0.verdict == .fail }
        if output == .table {
            for finding in findings where !finding.advice.isEmpty {
                Session.current.out("\n\(finding.verdict.rawValue): \(finding.check): \(finding.measured)\n  \(finding.advice)\n")
            }
        }
        let warned = findings.count { $0.verdict == .warn }
        Session.current.note("\(findings.count) checks, \(warned) warn, \(failed) fail\n")
        if failed > 0 { throw DoctorFailed() }
    }

    private func examination() async -> [Finding] {
        var findings = DoctorSettings(config: config, data: data).findings
        guard !offline else { return findings }
        let isNamed = connect != nil || Session.current.url != nil || !(Session.current.environment["DISTRIC_URL"] ?? "").isEmpty
        findings += await ClusterExamination(url: RunningNodes.url(asked: connect), isNamed: isNamed).findings()
        return findings
    }
}

/// It has been said already what fails.
struct DoctorFailed: Error {}

/// Settings as a node would take them, and what this machine is for a node with them.
struct DoctorSettings {
    let config: String?
    let data: String?

    var findings: [Finding] {
        let environment = ProcessInfo.processInfo.environment
        let named = config ?? environment["DISTRIC_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let file = named ?? (FileManager.default.fileExists(atPath: "distric.toml") ? "distric.toml" : nil)
        let flags = data.map { [(key: "node.data", flag: "--data", text: $0)] } ?? []
        var found: [Finding] = []
        var settings: Settings?
        do throws(DistriCError) {
            let read = try Settings(file: file, environment: environment, flags: flags)
            settings = read
            let set = Settings.all.count { read.isSet($0.key) }
            found.append(Finding("settings", .ok, "\(file ?? "no file"), \(set) set, the others as they are by default"))
        } catch {
            found.append(
                Finding("settings", .fail, error.message, "a node does not start with them; 'distric config show --origin' lists all"))
        }
        // What else there is to say is said of a node with the folder alone.
        guard let settings = settings ?? (try? Settings(file: nil, environment: [:], flags: flags)) else { return found }
        let wanted = LocalProbe.Wanted(
            folder: Node.dataPath(settings), httpAddress: settings.text("http.address"), rpcAddress: settings.text("rpc.address"),
            lowPercent: settings.whole("disk.low_percent"), criticalPercent: settings.whole("disk.critical_percent"),
            connections: settings.whole("rpc.connections"),
            certificates: (settings.text("rpc.tls_certificate"), settings.text("rpc.tls_key"), settings.text("rpc.tls_authority")))
        return found + LocalProbe(wanted).findings()
    }
}

/// Asks one node of a cluster for all, and then each by itself.
struct ClusterExamination {
    private static let patience = Duration.seconds(3)

    let url: String
    /// Somebody has said that there is a node.
    let isNamed: Bool

    func findings() async -> [Finding] {
        let client = NodeClient(url: url, timeout: Self.patience)
        let status: Value
        do { status = try await Self.status(client) } catch {
            let reason = (error as? CommandFailure)?.message ?? "\(error)"
            guard isNamed else { return [Finding("cluster", .ok, "no node was asked: none runs here; --connect names one")] }
            return [Finding("cluster", .fail, reason, "name a node that answers (--connect), or start one")]
        }
        let nodes =
            (try? await client.get("/api/v1/nodes"))?["items"]?.list ?? status["members"]?.list ?? []
        var found = [ClusterVerdicts.leader(status), ClusterVerdicts.quorum(status)]
        found += ClusterVerdicts.workers(nodes)
        found.append(ClusterVerdicts.versions(nodes))
        let asked = await withTaskGroup(of: (Int, ClusterVerdicts.Asked).self) { group in
            for (place, row) in nodes.enumerated() {
                // One that is lost has been counted.
                guard row["state"]?.string != "lost" else { continue }
                // One that is alone and takes no calls has told nobody where it is.
                guard let id = row["id"]?.string, let url = row["http"]?.string ?? (id == status["node"]?.string ? url : nil) else {
                    continue
                }
                group.addTask { (place, await ask(id, url, row["address"]?.string)) }
            }
            var all: [(Int, ClusterVerdicts.Asked)] = []
            for await one in group { all.append(one) }
            return all.sorted { $0.0 < $1.0 }.map(\.1)
        }
        return found + asked.flatMap(ClusterVerdicts.node)
    }

    /// The leader's, where there is one: only it knows who has gone silent; else what the node itself knows.
    private static func status(_ client: NodeClient) async throws -> Value {
        if let status = try? await client.get("/api/v1/cluster/status", [("consistency", "leader")]) { return status }
        return try await client.get("/api/v1/cluster/status")
    }

    private func ask(_ id: String, _ url: String, _ address: String?) async -> ClusterVerdicts.Asked {
        var asked = ClusterVerdicts.Asked(node: id, url: url)
        let client = NodeClient(url: url, timeout: Self.patience)
        do {
            // A node that is not ready answers 503, with its parts.
            let answer = try await client.send("GET", "/health/ready")
            asked.health = answer.json
            if asked.health == nil { asked.trouble = "its answer is no JSON" }
        } catch {
            asked.trouble = (error as? CommandFailure)?.message ?? "\(error)"
            return asked
        }
        asked.offset = await offset(address)
        asked.certificateDays = await certificateDays(client)
        return asked
    }

    /// By calls, which bear the node's time; nil where they need certificates.
    private func offset(_ address: String?) async -> (by: Duration, give: Duration)? {
        guard let address, let probe = try? CallProbe(address, certificates: nil, software: "distric doctor \(Node.version)") else {
            return nil
        }
        defer { probe.close() }
        guard let answer = try? await probe.ping(1, bytes: 0, timeout: Self.patience), let offset = answer.offset else { return nil }
        return (offset, answer.took)
    }

    private func certificateDays(_ client: NodeClient) async -> Int? {
        guard let answer = try? client.checked(try await client.send("GET", "/metrics")) else { return nil }
        let line = String(decoding: answer.bytes, as: UTF8.self).split(separator: "\n").first {
            $0.hasPrefix("distric_rpc_certificate_not_after_seconds")
        }
        guard let number = line?.split(separator: " ").last.flatMap({ Double($0) }), number.isFinite else { return nil }
        return Int((number - Date().timeIntervalSince1970) / 86_400)
    }
}

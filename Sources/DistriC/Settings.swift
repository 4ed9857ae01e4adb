import Definitions
import Foundation
package import Primitives
import Text

/// One setting of a node: its key in `distric.toml`, and with `DISTRIC_` and upper case its name in the environment.
package struct Setting: Sendable {
    package enum Kind: Sendable {
        case text
        case list
        case flag
        case whole(ClosedRange<Int>)
        /// `64KiB`, `16MiB`, or bytes.
        case bytes(ClosedRange<Int>)
        case duration
        case choice([String])
        /// Names with text values.
        case table
    }

    package let key: String
    package let kind: Kind
    /// As a file would write it.
    package let standard: Value
    package let help: String

    package var environmentName: String { "DISTRIC_" + key.uppercased().replacingOccurrences(of: ".", with: "_") }
}

/// Where a value came from; later ones win.
package enum SettingOrigin: Equatable, Sendable, CustomStringConvertible {
    case standard
    case file(String)
    case environment(String)
    case flag(String)

    package var description: String {
        switch self {
        case .standard: "default"
        case .file(let path): "file \(path)"
        case .environment(let name): "environment \(name)"
        case .flag(let name): "flag \(name)"
        }
    }
}

/// Every setting with its value and where that came from: flags over environment over file over default.
package struct Settings: Sendable {
    package static let all: [Setting] = [
        Setting(key: "node.id", kind: .text, standard: "", help: "name of the node; empty: the host's, kept in the data folder"),
        Setting(key: "node.role", kind: .list, standard: ["coordinator", "worker"], help: "what the node does"),
        Setting(key: "node.data", kind: .text, standard: "", help: "data folder; empty: $XDG_STATE_HOME/distric/node"),
        Setting(key: "http.address", kind: .text, standard: "127.0.0.1:8080", help: "host:port of the HTTP API; port 0 takes a free one"),
        Setting(key: "http.insecure", kind: .flag, standard: false, help: "listen beyond loopback without TLS and keys"),
        Setting(
            key: "health.address", kind: .text, standard: "",
            help: "host:port for /health alone, which nothing stuck can silence; empty: only DATA/health.sock"),
        Setting(
            key: "rpc.address", kind: .text, standard: "127.0.0.1:9000",
            help: "host:port for calls over the binary protocol; port 0 takes a free one, none takes none; DATA/rpc.sock is always there"),
        Setting(
            key: "rpc.advertise", kind: .text, standard: "",
            help: "host:port under which other nodes reach rpc.address; empty: rpc.address itself"),
        Setting(
            key: "gossip.address", kind: .text, standard: "127.0.0.1:7946",
            help:
                "host:port (UDP) for gossip, none for none; left out: the host of rpc.address, and port 7946, or a free one where that is taken"
        ),
        Setting(
            key: "gossip.advertise", kind: .text, standard: "",
            help: "host:port under which other nodes reach gossip.address; empty: gossip.address itself, or the host of rpc.advertise"),
        Setting(
            key: "gossip.key_file", kind: .text, standard: "",
            help: "file of the keys that gossip is sealed with, a number and 64 hexadecimal digits a line, the first in use; empty: none"),
        Setting(
            key: "http.advertise", kind: .text, standard: "",
            help: "URL under which other nodes and clients reach http.address; empty: http.address itself"),
        Setting(
            key: "cluster.bootstrap_expect", kind: .whole(0...9), standard: 0,
            help:
                "coordinators with empty folders that begin a cluster together, the same on each; 0: one, or none where cluster.join says whom to join"
        ),
        Setting(
            key: "cluster.join", kind: .list, standard: [],
            help: "host:port for calls of nodes of the cluster, port 9000 if left out; with cluster.bootstrap_expect the same list for all"),
        Setting(key: "chaos.allow", kind: .flag, standard: false, help: "let /api/v1/chaos disturb this node's links and disk, for tests"),
        Setting(
            key: "disk.low_percent", kind: .whole(0...100), standard: 10, help: "free share of the disk below which messages are refused"),
        Setting(
            key: "disk.critical_percent", kind: .whole(0...100), standard: 5,
            help: "free share of the disk below which this node does not lead"),
        Setting(
            key: "disk.ballast_bytes", kind: .bytes(0...(1 << 40)), standard: "64MiB",
            help: "room that is taken now and given back when the disk is full, for the way out"),
        Setting(key: "rpc.tls_certificate", kind: .text, standard: "", help: "PEM file: this node's certificate for calls (distric certs)"),
        Setting(key: "rpc.tls_key", kind: .text, standard: "", help: "PEM file: its key"),
        Setting(key: "rpc.tls_authority", kind: .text, standard: "", help: "PEM file: who signs the certificates of all nodes and clients"),
        Setting(key: "rpc.connections", kind: .whole(1...1_000_000), standard: 16_000, help: "connections for calls at once"),
        Setting(
            key: "rpc.calls_at_once", kind: .whole(1...1_000_000), standard: 384,
            help: "calls of all connections that are worked on at once; one more is answered busy"),
        Setting(
            key: "rpc.connects_per_second", kind: .whole(1...1_000_000), standard: 200,
            help: "connects that one address may make each second, on average; five times as many at once"),
        Setting(key: "worker.slots", kind: .whole(1...10_000), standard: 8, help: "exec and http tasks at once"),
        Setting(
            key: "worker.labels", kind: .table, standard: .map(Fields()), help: "what tasks may ask of a worker: zone = \"north\""),
        Setting(
            key: "worker.lease", kind: .duration, standard: "10s",
            help: "for how long a worker in another process is believed in without a word of it; the leader's counts"),
        Setting(key: "worker.allow_exec", kind: .list, standard: [], help: "programs that exec@1 may start: patterns on real paths"),
        Setting(key: "worker.allow_http", kind: .list, standard: [], help: "internal hosts (host or host:port) that http@1 may reach"),
        Setting(
            key: "worker.exec_path", kind: .text, standard: "/usr/local/bin:/usr/bin:/bin",
            help: "where programs are looked up; PATH of tasks"),
        Setting(key: "worker.grace", kind: .duration, standard: "5s", help: "between TERM and KILL; also how long a stop waits for tasks"),
        Setting(
            key: "intake.payload_bytes", kind: .bytes(1024...(256 << 10)), standard: "64KiB",
            help: "messages, inputs and outputs up to this"),
        Setting(
            key: "intake.max_open_runs", kind: .whole(1...10_000_000), standard: 100_000,
            help: "open runs beyond which messages are refused"),
        Setting(
            key: "intake.max_waiting", kind: .whole(1...1_000_000), standard: 16_384,
            help: "messages that may be taken at once, and are not answered yet; one more is refused"),
        Setting(
            key: "intake.max_waiting_bytes", kind: .bytes((1 << 20)...(1 << 36)), standard: "64MiB", help: "bytes of those messages"),
        Setting(
            key: "intake.max_delay", kind: .duration, standard: "50ms",
            help: "what messages may wait beyond the quickest, where more come than are done"),
        Setting(
            key: "intake.events", kind: .flag, standard: true,
            help: "offer the node's events to the rules, as messages with source distric and type distric.KIND"),
        Setting(
            key: "intake.events_per_second", kind: .whole(1...100_000), standard: 20,
            help: "events that may become messages each second, on average; ten times as many at once"),
        Setting(key: "dedup.age", kind: .duration, standard: "10m", help: "how long a message's id is remembered"),
        Setting(key: "dedup.keys", kind: .whole(1000...10_000_000), standard: 1_000_000, help: "how many ids are remembered"),
        Setting(key: "raft.segment_bytes", kind: .bytes((1 << 20)...(1 << 30)), standard: "16MiB", help: "size of one log file"),
        Setting(
            key: "raft.snapshot_bytes", kind: .bytes((1 << 20)...(1 << 40)), standard: "64MiB", help: "log growth that calls for a snapshot"
        ),
        Setting(
            key: "history.bytes", kind: .bytes((32 << 20)...(1 << 50)), standard: "2GiB", help: "ended runs and messages kept, by size"),
        Setting(key: "history.age", kind: .duration, standard: "7d", help: "ended runs and messages kept, by age"),
        Setting(
            key: "log.level", kind: .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]), standard: "info",
            help: "least level that is logged"),
        Setting(
            key: "log.levels", kind: .table, standard: .map(Fields()), help: "levels of labels, and those under them: raft = \"debug\""),
        Setting(
            key: "log.mode", kind: .choice(["async", "sync"]), standard: "async",
            help: "who writes: a thread of its own (what it cannot keep up with drops the oldest, counted), or whoever logs"),
        Setting(key: "log.file", kind: .text, standard: "", help: "file for log lines; empty: stderr"),
        Setting(
            key: "log.rotate_bytes", kind: .bytes(4096...1 << 40), standard: "64MiB", help: "size from which log.file is put aside"),
        Setting(key: "log.rotate_age", kind: .duration, standard: "1d", help: "age from which log.file is put aside"),
        Setting(key: "log.keep", kind: .whole(0...1000), standard: 7, help: "log files put aside that are kept"),
        Setting(key: "tracing.traces_per_second", kind: .whole(0...1_000_000), standard: 100, help: "new traces recorded each second"),
        Setting(key: "tracing.ratio", kind: .text, standard: "1", help: "share of new traces that is recorded, 0 to 1"),
        Setting(key: "tracing.keep_errors", kind: .flag, standard: true, help: "keep what fails of traces that are not recorded"),
        Setting(
            key: "tracing.keep_slow", kind: .duration, standard: "1s",
            help: "keep what takes so long of traces that are not recorded; 0 keeps none"),
        Setting(
            key: "tracing.otlp_url", kind: .text, standard: "",
            help: "collector of spans (OTLP/HTTP): http://host:4318/v1/traces; empty: none"),
        Setting(key: "tracing.otlp_encoding", kind: .choice(["protobuf", "json"]), standard: "protobuf", help: "how spans are sent"),
        Setting(key: "tracing.otlp_headers", kind: .table, standard: .map(Fields()), help: "headers for the collector"),
        Setting(key: "tracing.otlp_interval", kind: .duration, standard: "5s", help: "how often spans are sent"),
        Setting(
            key: "tracing.otlp_queue", kind: .whole(1...1_000_000), standard: 8192,
            help: "spans that may wait to be sent; more are dropped, counted"),
        Setting(
            key: "placement.strategy", kind: .choice(["least-loaded", "round-robin", "two-random-choices"]), standard: "least-loaded",
            help: "which of several workers gets a task; the leader's counts, and SIGHUP reads it again"),
        Setting(
            key: "placement.ageing", kind: .duration, standard: "10s",
            help: "waiting so long counts as much as one priority; the leader's counts, and SIGHUP reads it again"),
        Setting(
            key: "placement.weights", kind: .table, standard: .map(Fields()),
            help: "shares of namespaces, 1 to 1000, others have 1: shop = \"3\"; the leader's counts, and SIGHUP reads it again"),
        Setting(key: "workflows.env", kind: .table, standard: .map(Fields()), help: "values for env.<NAME> in workflows"),
    ]

    package struct Entry: Sendable {
        package var value: Value
        package var origin: SettingOrigin
    }

    package private(set) var entries: [String: Entry]
    private let sources: Sources

    /// Where it all was read.
    private struct Sources: Sendable {
        var file: String?
        var environment: [String: String]
        var flags: [(key: String, flag: String, text: String)]
    }

    /// - Parameters:
    ///   - file: `distric.toml`; a path that was asked for must exist.
    ///   - flags: values from the command line by key.
    package init(file: String?, environment: [String: String], flags: [(key: String, flag: String, text: String)]) throws(DistriCError) {
        entries = Dictionary(uniqueKeysWithValues: Self.all.map { ($0.key, Entry(value: $0.standard, origin: .standard)) })
        sources = Sources(file: file, environment: environment, flags: flags)
        if let file { try read(file) }
        try read(environment)
        for item in flags { try set(item.key, text: item.text, origin: .flag(item.flag)) }
    }

    /// The same places read again: the file may have changed.
    package func again() throws(DistriCError) -> Settings {
        try Settings(file: sources.file, environment: sources.environment, flags: sources.flags)
    }

    /// With some values of others.
    func taking(_ keys: [String], from other: Settings) -> Settings {
        var merged = self
        for key in keys { merged.entries[key] = other.entries[key] }
        return merged
    }

    private mutating func read(_ file: String) throws(DistriCError) {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw DistriCError(.badConfiguration, "cannot read the settings file \(file)")
        }
        let value: Value
        do throws(Diagnostic) { value = try TOMLReader.read([UInt8](data), file: file) } catch {
            throw DistriCError(.badConfiguration, error.description)
        }
        for section in value.map?.members ?? [] {
            guard let members = section.value.map?.members else { throw unknown(section.key, origin: file) }
            for member in members {
                let key = "\(section.key).\(member.key)"
                guard let setting = Self.all.first(where: { $0.key == key }) else { throw unknown(key, origin: file) }
                try set(setting, member.value, origin: .file(file))
            }
        }
    }

    private mutating func read(_ environment: [String: String]) throws(DistriCError) {
        for setting in Self.all {
            if let text = environment[setting.environmentName] {
                try set(setting.key, text: text, origin: .environment(setting.environmentName))
            }
        }
        let tools: Set = [
            "DISTRIC_URL", "DISTRIC_CONFIG", "DISTRIC_CI", "DISTRIC_CONTEXT", "DISTRIC_SEEDS", "DISTRIC_THEME", "DISTRIC_WRITE_SCREENS",
        ]
        for name in environment.keys.sorted() where name.hasPrefix("DISTRIC_") && !tools.contains(name) {
            guard !Self.all.contains(where: { $0.environmentName == name }) else { continue }
            let meant = suggestion(for: name, among: Self.all.map(\.environmentName)).map { "; did you mean \($0)?" } ?? ""
            throw DistriCError(.badConfiguration, "environment variable \(name) is no setting\(meant)")
        }
    }

    private func unknown(_ key: String, origin: String) -> DistriCError {
        let meant =
            suggestion(for: key, among: Self.all.map(\.key)).map { "; did you mean '\($0)'?" } ?? "; 'distric config show' lists all"
        return DistriCError(.badConfiguration, "\(origin): '\(key)' is no setting\(meant)")
    }

    private mutating func set(_ key: String, text: String, origin: SettingOrigin) throws(DistriCError) {
        guard let setting = Self.all.first(where: { $0.key == key }) else { throw unknown(key, origin: "\(origin)") }
        switch setting.kind {
        case .list:
            try set(setting, .list(text.split(separator: ",").map { .string($0.trimmingCharacters(in: .whitespaces)) }), origin: origin)
        case .flag:
            guard let flag = ["true": true, "1": true, "yes": true, "false": false, "0": false, "no": false][text.lowercased()] else {
                throw bad(setting, text, "true or false", origin)
            }
            try set(setting, .bool(flag), origin: origin)
        case .whole: try set(setting, Int64(text).map(Value.int) ?? .string(text), origin: origin)
        case .table: try set(setting, try table(setting, text, origin), origin: origin)
        case .text, .bytes, .duration, .choice: try set(setting, .string(text), origin: origin)
        }
    }

    private func table(_ setting: Setting, _ text: String, _ origin: SettingOrigin) throws(DistriCError) -> Value {
        var fields = Fields()
        for pair in text.split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { throw bad(setting, text, "NAME=value,...", origin) }
            fields[String(parts[0])] = .string(String(parts[1]))
        }
        return .map(fields)
    }

    private mutating func set(_ setting: Setting, _ value: Value, origin: SettingOrigin) throws(DistriCError) {
        guard let problem = Self.problem(setting.kind, value) else {
            entries[setting.key] = Entry(value: value, origin: origin)
            return
        }
        throw bad(setting, JSONWriter.text(value), problem, origin)
    }

    private func bad(_ setting: Setting, _ text: String, _ expected: String, _ origin: SettingOrigin) -> DistriCError {
        DistriCError(.badConfiguration, "\(setting.key) = \(text) (\(origin)): expected \(expected)")
    }

    /// What was expected instead; nil when the value fits.
    private static func problem(_ kind: Setting.Kind, _ value: Value) -> String? {
        switch kind {
        case .text: value.string == nil ? "text" : nil
        case .list: value.list?.allSatisfy { $0.string != nil } == true ? nil : "a list of text"
        case .flag: value.bool == nil ? "true or false" : nil
        case .whole(let range):
            value.int.map { range.contains(Int($0)) } == true ? nil : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .bytes(let range):
            bytes(value).map { range.contains($0) } == true ? nil : "bytes such as 64KiB, from \(range.lowerBound) to \(range.upperBound)"
        case .duration: duration(value) == nil ? "a duration such as 30s" : nil
        case .choice(let words): value.string.map { words.contains($0) } == true ? nil : "one of \(words.joined(separator: ", "))"
        case .table: value.map?.members.allSatisfy { $0.value.string != nil } == true ? nil : "names with text values"
        }
    }

    private static func bytes(_ value: Value) -> Int? {
        if let number = value.int { return Int(number) }
        guard let text = value.string else { return nil }
        for (unit, size) in [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)] where text.hasSuffix(unit) {
            return Int(text.dropLast(3).trimmingCharacters(in: .whitespaces)).flatMap { $0 > 0 && $0 < 1 << 20 ? $0 << size : nil }
        }
        return Int(text)
    }

    private static func duration(_ value: Value) -> Duration? {
        (value.string ?? value.int.map { String($0) }).flatMap { Duration(text: $0) }
    }

    // MARK: Typed values, after `init` has checked them

    private func value(_ key: String) -> Value { entries[key]?.value ?? .null }

    /// Whether somebody has said anything of it.
    package func isSet(_ key: String) -> Bool {
        guard let entry = entries[key] else { return false }
        if case .standard = entry.origin { return false }
        return true
    }

    package func text(_ key: String) -> String { value(key).string ?? "" }
    package func list(_ key: String) -> [String] { value(key).list?.compactMap(\.string) ?? [] }
    package func flag(_ key: String) -> Bool { value(key).bool ?? false }
    package func whole(_ key: String) -> Int { Int(value(key).int ?? 0) }
    package func bytes(_ key: String) -> Int { Self.bytes(value(key)) ?? 0 }
    package func duration(_ key: String) -> Duration { Self.duration(value(key)) ?? .zero }
    package func table(_ key: String) -> [String: String] {
        Dictionary((value(key).map?.members ?? []).map { ($0.key, $0.value.string ?? "") }, uniquingKeysWith: { $1 })
    }

    /// As `config show` and the API list them.
    package var listing: [Value] {
        Self.all.map { setting in
            let entry = entries[setting.key]
            return .object([
                "key": .string(setting.key), "value": entry?.value, "origin": entry.map { .string($0.origin.description) },
                "environment": .string(setting.environmentName), "help": .string(setting.help),
            ])
        }
    }
}

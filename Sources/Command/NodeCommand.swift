import ArgumentParser
import DistriC
import Foundation
import Operator

/// What `node` and `config` take: flags over environment over file over default.
struct SettingOptions: ParsableArguments {
    @Option(name: .long, help: "Settings file (default: $DISTRIC_CONFIG, then ./distric.toml when there is one).") var config: String?
    @Option(name: .long, help: "Name of the node.") var id: String?
    @Option(name: .long, help: "coordinator, worker or both, separated by a comma.") var role: String?
    @Option(name: .long, help: "Data folder.") var data: String?
    @Option(name: .long, help: "host:port of the HTTP API; port 0 takes a free one.") var http: String?
    @Option(name: .long, help: "host:port for calls over the binary protocol; port 0 takes a free one, none takes none.") var rpc: String?
    @Option(
        name: .long,
        help: "host:port (UDP) for gossip; port 0 takes a free one, none takes no part. Left out: 7946, or a free one where it is taken.")
    var gossip: String?
    @Option(
        name: .customLong("bootstrap-expect"),
        help: "Begin a cluster with so many coordinators, all of them started with the same number and the same --join.") var expect:
        String?
    @Option(
        name: .long,
        help: "host:port for calls of nodes of the cluster, separated by commas: all that begin one, or any of one that is there.")
    var join: String?
    @Flag(name: .customLong("allow-chaos"), help: "Let links and disk of this node be disturbed on purpose ('distric chaos').")
    var allowChaos =
        false
    @Option(name: .long, help: "exec and http tasks at once.") var slots: String?
    @Option(name: .customLong("allow-exec"), help: "Programs that exec@1 may start: patterns on real paths, separated by commas.")
    var allowExec: String?
    @Option(name: .customLong("allow-http"), help: "Internal hosts that http@1 may reach: host or host:port, separated by commas.")
    var allowHTTP: String?
    @Option(name: .customLong("log-level"), help: "trace, debug, info, notice, warning, error or critical.") var logLevel: String?
    @Flag(name: .long, help: "Listen beyond loopback without TLS and keys.") var insecure = false
    @Option(name: .customLong("set"), help: "Any setting, as KEY=VALUE.") var set: [String] = []

    func settings() throws -> Settings {
        let environment = ProcessInfo.processInfo.environment
        let named = environment["DISTRIC_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let file =
            config ?? named ?? (FileManager.default.fileExists(atPath: "distric.toml") ? "distric.toml" : nil)
        var flags: [(key: String, flag: String, text: String)] = []
        for (key, flag, text) in [
            ("node.id", "--id", id), ("node.role", "--role", role), ("node.data", "--data", data), ("http.address", "--http", http),
            ("rpc.address", "--rpc", rpc), ("gossip.address", "--gossip", gossip),
            ("cluster.bootstrap_expect", "--bootstrap-expect", expect), ("cluster.join", "--join", join),
            ("chaos.allow", "--allow-chaos", allowChaos ? "true" : nil),
            ("worker.slots", "--slots", slots), ("worker.allow_exec", "--allow-exec", allowExec),
            ("worker.allow_http", "--allow-http", allowHTTP),
            ("log.level", "--log-level", logLevel), ("http.insecure", "--insecure", insecure ? "true" : nil),
        ] { if let text { flags.append((key, flag, text)) } }
        for item in set {
            let parts = item.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { throw CommandFailure(.usage, "--set '\(item)': write KEY=VALUE") }
            flags.append((String(parts[0]), "--set", String(parts[1])))
        }
        return try Settings(file: file, environment: environment, flags: flags)
    }
}

/// `distric node`.
struct NodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Run a node in the foreground until SIGTERM or Ctrl-C.",
        discussion: """
            Logs go to stderr, one JSON object a line; the URL is in the line "ready". Tasks run with the rights of this user.

              distric node
              distric node --data /var/lib/distric --http 127.0.0.1:9090 --allow-exec '/usr/bin/*,/opt/jobs/*'

            Three coordinators on one machine, each in a terminal of its own (N is 1, 2 and 3):

              distric node --id c-N --data /tmp/c-N --http 127.0.0.1:808N --rpc 127.0.0.1:900N \\
                --bootstrap-expect 3 --join 127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003
            """)
    @OptionGroup var options: SettingOptions
    @Option(name: .long, help: "Definitions (files or folders) to put into force once the node is ready; repeatable.") var apply: [String] =
        []
    @Option(name: .long, help: "Messages to submit after that.") var submit: String?

    @concurrent
    func run() async throws {
        let settings = try options.settings()
        guard !WorkerNode.isMeant(by: settings) else { return try await work(settings) }
        let node: Node
        do {
            node = try await Node.open(settings: settings, guardProgram: OwnProgram.path, stopsOnSignals: true)
        } catch is CancellationError {
            // Told to stop while it waited for others.
            return
        }
        node.installLibraryTelemetry()
        let (urls, ready) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingOldest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { ready.finish() }
                try await node.run { url in ready.yield(url) }
            }
            group.addTask {
                for await url in urls where !apply.isEmpty || submit != nil {
                    try await Seeding.load(url: url, apply: apply, submit: submit)
                }
            }
            // The first that fails ends the others.
            while try await group.next() != nil {}
        }
    }

    /// A worker and nothing else: definitions and messages are a coordinator's.
    private func work(_ settings: Settings) async throws {
        guard apply.isEmpty, submit == nil else {
            throw CommandFailure(.usage, "--apply and --submit need a coordinator, and node.role is worker: leave them out")
        }
        let node: WorkerNode
        do {
            node = try await WorkerNode.open(settings: settings, guardProgram: OwnProgram.path, stopsOnSignals: true)
        } catch is CancellationError {
            return
        }
        let giving = Task { await MappedText.giveBackOnceStarted() }
        defer { giving.cancel() }
        try await node.run()
    }
}

/// `distric config`.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "config", abstract: "Settings of a node.", subcommands: [Show.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show every setting as 'distric node' with the same flags, environment and file would take it.")
        @OptionGroup var options: SettingOptions
        @Flag(name: .long, help: "Say where each value came from.") var origin = false
        @Option(name: [.customShort("o"), .long], help: "table, wide, json, jsonl, yaml, csv, tsv or name.") var output: OutputFormat =
            .table

        @concurrent
        func run() async throws {
            var columns = [Column("KEY", "key"), Column("VALUE", "value")]
            if origin { columns.append(Column("ORIGIN", "origin")) }
            columns += [Column("ENVIRONMENT", "environment", wide: true), Column("MEANING", "help", wide: true)]
            Session.current.out(Rendering(format: output).rows(try options.settings().listing, columns, name: "key"))
        }
    }
}

/// `distric version`.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")
    func run() { Session.current.out("distric \(Node.version)\n") }
}

/// `distric completion`.
struct CompletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completion", abstract: "Print a completion script for a shell.",
        discussion: """
              distric completion bash > /etc/bash_completion.d/distric
              distric completion zsh > "${fpath[1]}/_distric"
              distric completion fish > ~/.config/fish/completions/distric.fish
            """)
    enum Shell: String, CaseIterable, ExpressibleByArgument { case bash, zsh, fish }
    @Argument(help: "bash, zsh or fish.") var shell: Shell

    func run() throws {
        let known: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        Session.current.out(Distric.completionScript(for: known) + "\n")
    }
}

import DistriC
import Foundation
import Glibc
import Operator
import Synchronization
import Worker

/// A node inside this process: what a console without `--connect` looks at.
final class EmbeddedNode: Sendable {
    let url: String
    private let node: Node
    private let serving: Task<Void, any Error>
    private let temporary: String?
    private let isStopping = Atomic<Bool>(false)

    /// Starts a node on a free port of loopback and waits until it answers.
    ///
    /// - Parameters:
    ///   - data: its folder; nil for a temporary one that goes away with it.
    ///   - takesSignals: SIGTERM and SIGINT end it and the program: where there is no screen that would take them.
    static func start(data: String?, temporary: Bool, takesSignals: Bool) async throws -> EmbeddedNode {
        var path: String?
        if temporary, data == nil {
            let made = FileManager.default.temporaryDirectory.appending(path: "distric-\(getpid())-\(UInt32.random(in: 0...UInt32.max))")
                .path(percentEncoded: false)
            path = made
        }
        var flags: [(key: String, flag: String, text: String)] = [
            ("http.address", "the console", "127.0.0.1:0"), ("rpc.address", "the console", "127.0.0.1:0"),
            ("gossip.address", "the console", "127.0.0.1:0"),
        ]
        if let folder = data ?? path { flags.append(("node.data", "the console", folder)) }
        let environment = ProcessInfo.processInfo.environment
        if environment["DISTRIC_WORKER_ALLOW_EXEC"] == nil {
            flags.append(("worker.allow_exec", "the console", "/usr/bin/sort,/usr/bin/wc"))
        }
        let settings = try Settings(file: nil, environment: environment, flags: flags)
        let folder = Node.dataPath(settings)
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let log = try openLog(folder + ".log")
        let node = try Node(settings: settings, guardProgram: OwnProgram.path, logDescriptor: log)
        let (urls, ready) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingOldest(1))
        let serving = Task {
            defer { ready.finish() }
            if takesSignals { try await node.run { ready.yield($0) } } else { try await node.run(signals: []) { ready.yield($0) } }
        }
        for await url in urls {
            RunningNodes.announce(url)
            let embedded = EmbeddedNode(url: url, node: node, serving: serving, temporary: path)
            if takesSignals { embedded.exitWithNode() }
            return embedded
        }
        try await serving.value
        throw CommandFailure(.unavailable, "the embedded node ended before it was ready; \(folder).log says more")
    }

    /// Log lines go beside the data; more than 16 MiB from before are dropped.
    private static func openLog(_ path: String) throws -> Int32 {
        let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (size > 16 << 20 ? O_TRUNC : 0), 0o600)
        guard descriptor >= 0 else {
            throw CommandFailure(.cannotWrite, "cannot write the log \(path): \(String(cString: strerror(errno)))")
        }
        return descriptor
    }

    private init(url: String, node: Node, serving: Task<Void, any Error>, temporary: String?) {
        self.url = url
        self.node = node
        self.serving = serving
        self.temporary = temporary
    }

    /// A signal has ended the node: nothing of it stays, and the program ends.
    private func exitWithNode() {
        Task {
            var code = CommandFailure.Code.interrupted
            var reason: String?
            do { try await serving.value } catch { (code, reason) = (.unavailable, "\(error)") }
            guard isStopping.exchange(true, ordering: .relaxed) == false else { return }
            if let reason { Session.current.note("distric: the node has ended: \(reason)\n") }
            RunningNodes.withdraw()
            removeFiles()
            exit(code.rawValue)
        }
    }

    private func removeFiles() {
        guard let temporary else { return }
        try? FileManager.default.removeItem(atPath: temporary)
        try? FileManager.default.removeItem(atPath: temporary + ".log")
    }

    /// As SIGTERM would: tasks that run get their grace.
    func stop() async {
        isStopping.store(true, ordering: .relaxed)
        RunningNodes.withdraw()
        await node.shutDown()
        // Whoever left the console is not kept waiting for a connection that lingers: all that was acknowledged is on disk.
        let (serving, done) = (serving, AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1)))
        Task {
            _ = try? await serving.value
            done.continuation.finish()
        }
        Task {
            try? await Task.sleep(for: .seconds(8))
            done.continuation.finish()
        }
        for await _ in done.stream {}
        removeFiles()
    }
}

/// The path of this program.
enum OwnProgram {
    static var path: String? { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") }
}

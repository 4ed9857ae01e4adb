import ArgumentParser
import DistriC
import Foundation
import Operator
import Primitives
import Text

/// `distric demo`.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "A node with example rules and workflows, fed with messages, in the console.",
        discussion: """
            Everything lies in a temporary folder that goes away with it, unless --keep names one. Other terminals find the node by themselves:
            while a demo runs, 'distric status' asks it.

              distric demo
              distric demo --rate 200 --seed 7 --keep /tmp/demo
            """)
    @Option(name: .long, help: "Messages a second (0 to 5000).") var rate: Int = 50
    @Option(name: .long, help: "Seed of the messages: the same seed sends the same.") var seed: UInt64 = 7
    @Option(name: .long, help: "Keep the data in this folder.") var keep: String?
    @OptionGroup var options: ConsoleOptions

    func validate() throws { guard (0...5000).contains(rate) else { throw ValidationError("--rate must be 0 to 5000") } }

    @concurrent
    func run() async throws {
        if let keep {
            do { try FileManager.default.createDirectory(atPath: keep, withIntermediateDirectories: true) } catch {
                throw CommandFailure(.cannotWrite, "cannot make \(keep): \(error.localizedDescription)")
            }
        }
        let node = try await EmbeddedNode.start(
            data: keep.map { $0 + "/node" }, temporary: keep == nil, examples: true, takesSignals: !options.wantsScreen)
        do {
            try await prepare(node.url)
            let feeding = Task.detached { [rate, seed] in await DemoFeed(url: node.url, rate: rate, seed: seed).run() }
            defer { feeding.cancel() }
            // Something to see from the first frame on.
            if options.once || options.snapshot != nil { try await Task.sleep(for: .seconds(3)) }
            try await ConsoleRunning(options: options, url: node.url, context: "demo", hasTour: true).run()
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    /// Puts the examples into force, through the API like anybody else's.
    private func prepare(_ url: String) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "distric-demo-\(getpid())")
        defer { try? FileManager.default.removeItem(at: folder) }
        for file in Examples.files + Examples.demoFiles where file.path.hasSuffix(".yaml") {
            let place = folder.appending(path: file.path)
            try FileManager.default.createDirectory(at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(file.text.utf8).write(to: place)
        }
        var session = Session.current
        session.out = { _ in }
        session.url = url
        try await Session.$current.withValue(session) {
            try await Seeding.load(
                url: url,
                apply: [
                    folder.appending(path: "rules").path(percentEncoded: false),
                    folder.appending(path: "workflows").path(percentEncoded: false),
                ], submit: nil)
        }
    }
}

/// Sends example messages at a steady rate until it is cancelled.
struct DemoFeed: Sendable {
    let url: String
    let rate: Int
    let seed: UInt64

    func run() async {
        guard rate > 0 else { return }
        let client = NodeClient(url: url, timeout: .seconds(10))
        var messages = ExampleMessages(seed: seed)
        let start = Date()
        let name = String(Int(start.timeIntervalSince1970), radix: 36)
        var sent = 0
        while !Task.isCancelled {
            let due = Int(Date().timeIntervalSince(start) * Double(rate)) + 1
            // After a pause (a laptop's lid, a stopped process) the feed goes on at its rate, without making up for it.
            if due - sent > rate * 2 { sent = due - rate }
            var lines: [UInt8] = []
            for _ in 0..<min(500, max(0, due - sent)) {
                sent += 1
                guard case .map(var fields) = messages.message(sent) else { continue }
                fields["id"] = .string("demo-\(name)-\(sent)")
                lines += JSONWriter.bytes(.map(fields)) + [0x0A]
            }
            if !lines.isEmpty { _ = try? await client.send("POST", "/api/v1/messages", body: lines, type: "application/x-ndjson") }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }
}

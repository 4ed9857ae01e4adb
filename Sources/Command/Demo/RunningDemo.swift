import DistriC
import Foundation
import Glibc
import Operator
import Primitives

/// A demo that runs: its cluster, what is sent to it, and what becomes of that.
struct RunningDemo: Sendable {
    private let cluster: DemoCluster
    private let temporary: String?
    private let work: [Task<Void, Never>]
    private let watch: DemoWatch
    private let feeding: Task<Void, Never>
    let tally: DemoTally

    /// Of its coordinators, with commas between.
    var url: String { cluster.urls.joined(separator: ",") }

    /// Returns when it leads, has the examples in force, and is being fed.
    static func start(coordinators: Int, workers: Int, keep: String?, rate: Int, seed: UInt64) async throws -> RunningDemo {
        // One of another process that had this number, and was killed, may still be there.
        let made = FileManager.default.temporaryDirectory.appending(path: "distric-\(getpid())-\(UInt32.random(in: 0...UInt32.max))")
        let folder = keep ?? made.path(percentEncoded: false)
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw CommandFailure(.cannotWrite, "cannot make \(folder): \(error.localizedDescription)")
        }
        do {
            let plan = try DemoPlan(
                coordinators: coordinators, workers: workers, folder: folder, guardProgram: OwnProgram.path,
                environment: ProcessInfo.processInfo.environment)
            let cluster = try DemoCluster(plan)
            try await cluster.start()
            do {
                try await prepare(cluster.urls.joined(separator: ","))
            } catch {
                await cluster.stop()
                throw error
            }
            return RunningDemo(cluster, temporary: keep == nil ? folder : nil, rate: rate, seed: seed)
        } catch {
            if keep == nil { try? FileManager.default.removeItem(atPath: folder) }
            throw error
        }
    }

    private init(_ cluster: DemoCluster, temporary: String?, rate: Int, seed: UInt64) {
        let (tally, urls) = (DemoTally(), cluster.urls)
        (self.cluster, self.temporary, self.tally) = (cluster, temporary, tally)
        cluster.tells { tally.value }
        let watch = DemoWatch(urls: urls, tally: tally)
        self.watch = watch
        feeding = Task.detached { await DemoFeed(urls: urls, rate: rate, seed: seed, tally: tally).run() }
        work = [Task.detached { await watch.run() }]
        RunningNodes.announce(urls.joined(separator: ","))
    }

    /// Puts the examples into force, through the API like anybody else's.
    private static func prepare(_ url: String) async throws {
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

    /// Sends no more, and waits until what was acknowledged has ended.
    func settle() async {
        feeding.cancel()
        await feeding.value
        await watch.settle(within: .seconds(30))
    }

    func stop() async {
        RunningNodes.withdraw()
        feeding.cancel()
        for task in work { task.cancel() }
        await cluster.stop()
        if let temporary { try? FileManager.default.removeItem(atPath: temporary) }
    }

    /// Where there is no screen that would take the signal.
    func endProgram(when flag: InterruptFlag) async {
        while !flag.isSet, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(100)) }
        guard flag.isSet else { return }
        await stop()
        exit(CommandFailure.Code.interrupted.rawValue)
    }

    // MARK: What there is to tell

    /// A line for each member.
    var members: String {
        Rendering(format: .table).rows(cluster.value["members"]?.list ?? [], DemoText.columns)
    }

    var summary: String { DemoText.sentence(tally.value) }
}

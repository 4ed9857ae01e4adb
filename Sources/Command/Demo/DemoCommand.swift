import ArgumentParser
import DistriC
import Foundation
import Glibc
import Operator
import Primitives

/// `distric demo`.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "A cluster with example rules and workflows, fed with messages, in the console.",
        discussion: """
            All members run in this process, each with its own ports and its own folder; the folders go away with it, unless --keep names one. Other
            terminals find the demo by themselves: while it runs, 'distric status' asks it.

              distric demo
              distric demo --coordinators 3 --workers 4
              distric demo --rate 200 --seed 7 --keep /tmp/demo
              distric demo --coordinators 3 --workers 2 --headless --for 30s

            Every acknowledged message is followed until its runs have ended. In the console K kills the leader and R brings it back; from another
            terminal, or at the console's colon:

              distric demo kill leader
              distric demo restart
              distric demo status
            """, subcommands: DemoCommands.all)
    @Option(name: .long, help: "Coordinators: 1, 3 or 5.") var coordinators: Int = 1
    @Option(name: .long, help: "Workers that are nothing else, 0 to 16; without any, one coordinator does the work itself.") var workers:
        Int?
    @Option(name: .long, help: "Messages a second (0 to 5000).") var rate: Int = 50
    @Option(name: .long, help: "Seed of the messages: the same seed sends the same.") var seed: UInt64 = 7
    @Option(name: .long, help: "Keep the data in this folder.") var keep: String?
    @Flag(name: .long, help: "No console: print where the members are, and at the end what became of the messages.") var headless = false
    @Option(name: .customLong("for"), help: "With --headless: end after so long, as 30s (default: when it is interrupted).") var length:
        String?
    @OptionGroup var options: ConsoleOptions

    func validate() throws {
        guard (0...5000).contains(rate) else { throw ValidationError("--rate must be 0 to 5000") }
        guard DemoPlan.coordinatorChoices.contains(coordinators) else {
            throw ValidationError("--coordinators must be 1, 3 or 5: an even number bears no more losses than the odd one below it")
        }
        if let workers, !DemoPlan.workerChoices.contains(workers) { throw ValidationError("--workers must be 0 to 16") }
        if coordinators > 1, workers == 0 {
            throw ValidationError(
                "--workers 0 goes with one coordinator, which then does the work itself: with \(coordinators), say --workers 1 to 16")
        }
        guard let length else { return }
        guard headless else { throw ValidationError("--for goes with --headless; in the console q ends the demo") }
        guard let duration = Duration(text: length), duration >= .seconds(1) else {
            throw ValidationError("--for '\(length)': write a duration of at least 1s, as 30s or 5m")
        }
    }

    @concurrent
    func run() async throws {
        let demo = try await RunningDemo.start(
            coordinators: coordinators, workers: workers ?? (coordinators > 1 ? 4 : 0), keep: keep, rate: rate, seed: seed)
        if headless { return try await runHeadless(demo) }
        let flag = options.wantsScreen ? nil : InterruptFlag([SIGINT, SIGTERM])
        let ending = flag.map { flag in Task.detached { await demo.endProgram(when: flag) } }
        defer { ending?.cancel() }
        do {
            // Something to see from the first frame on.
            if options.once || options.snapshot != nil { try await Task.sleep(for: .seconds(3)) }
            var running = ConsoleRunning(options: options, url: demo.url, context: "demo", hasTour: true)
            running.isDemo = coordinators > 1
            try await running.run()
        } catch {
            await demo.stop()
            throw error
        }
        await demo.stop()
    }

    private func runHeadless(_ demo: RunningDemo) async throws {
        let flag = InterruptFlag([SIGINT, SIGTERM])
        let session = Session.current
        session.out(demo.members)
        session.note("'distric demo kill leader' in another terminal kills whoever leads; 'distric demo status' tells\n")
        _ = await flag.sleep(length.flatMap { Duration(text: $0) } ?? .seconds(365 * 86_400))
        await demo.settle()
        session.out(demo.summary + "\n")
        let lost = demo.tally.lostCount
        await demo.stop()
        if lost > 0 {
            throw CommandFailure(.failed, "\(lost) runs of acknowledged messages are not there any more: that is a defect of DistriC")
        }
    }
}

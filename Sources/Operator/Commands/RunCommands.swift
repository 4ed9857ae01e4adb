package import ArgumentParser
import Foundation
import Primitives
import Text

/// `distric runs`.
package struct Runs: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "Runs of workflows, open and ended.",
        subcommands: [List.self, Show.self, Watch.self, Cancel.self, Retry.self])

    package init() {}

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List runs: open ones first, then ended ones, newest first.",
            discussion: "  distric runs list --state failed,held\n  distric runs list --workflow order-fulfilment -o json")
        @OptionGroup var common: CommonOptions
        @OptionGroup var list: ListOptions
        @OptionGroup var filter: FilterOptions
        @Option(name: .long, help: "Only these states: running, held, succeeded, failed, timed_out, cancelled.") var state: String?
        @Option(name: .long, help: "Only runs of this workflow.") var workflow: String?

        @concurrent
        func run() async throws {
            let query = try filter.query(list) + [common.space, ("state", state), ("workflow", workflow)]
            let answer = try await common.client.get("/api/v1/runs", query)
            common.print(
                answer["items"]?.list ?? [],
                [
                    Column("ID", "id"), Column("WORKFLOW", "workflow"), Column("STATE", "state"), Column("TASKS") { RunText.tasks($0) },
                    Column("CREATED", "createdAt"), Column("MS", "durationMs"), Column("RULE", "rule", wide: true),
                    Column("MESSAGE", "messageId", wide: true), Column("ERROR", "error", "message"),
                ], empty: filter.filter == nil ? "no run\(state.map { " in state \($0)" } ?? " yet")" : "nothing matches")
            list.note(answer)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one run with its tasks.")
        @Argument(help: "The run's id.") var id: String
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let run = try await common.client.get("/api/v1/runs/\(NodeClient.escaped(id))")
            if common.output == .table || common.output == .wide {
                Session.current.out(RunText.page(run, common.rendering))
            } else {
                common.print(run)
            }
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Follow a run until it ends: a line for each change. Exits 0 when it succeeded, 1 when it did not.")
        @Argument(help: "The run's id.") var id: String
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            var seen: [String: String] = [:]
            while true {
                let run = try await common.client.get("/api/v1/runs/\(NodeClient.escaped(id))")
                report(run, &seen)
                let state = run["state"]?.string ?? ""
                if !["running", "held"].contains(state) {
                    guard state == "succeeded" else {
                        throw CommandFailure(.failed, "run \(id) \(state): \(run.at("error", "message")?.string ?? "")")
                    }
                    return
                }
                try await Task.sleep(for: .milliseconds(200))
            }
        }

        private func report(_ run: Value, _ seen: inout [String: String]) {
            for task in run.at("tasks", "items")?.list ?? [] {
                let (name, state) = (task["task"]?.string ?? "", task["state"]?.string ?? "")
                let key = "\(state) \(Column.plain(task["attempt"] ?? .null))"
                guard seen[name] != key, state != "pending" else { continue }
                seen[name] = key
                say("\(name)", state, task)
            }
            let state = run["state"]?.string ?? ""
            guard seen["\u{0}"] != state else { return }
            seen["\u{0}"] = state
            say("run", state, run)
        }

        private func say(_ name: String, _ state: String, _ value: Value) {
            guard common.output == .table || common.output == .wide else { return Session.current.out(JSONWriter.text(value) + "\n") }
            let attempt = (value["attempt"]?.int ?? 0) > 1 ? " (attempt \(value["attempt"]?.int ?? 0))" : ""
            let error = value.at("error", "message")?.string.map { ": \($0)" } ?? ""
            Session.current.out(PlainText.oneLine("\(name) \(state)\(attempt)\(error)") + "\n")
        }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start a run again that has ended: a new run of the workflow as it is now, with the same message.",
            discussion: "  distric runs retry 01a2092c-69fd-7f07-a9a5-69ccb6bb9ea5")
        @Argument(help: "The run's id.") var id: String
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            let answer = try await common.client.post("/api/v1/runs/\(NodeClient.escaped(id)):retry", body: [:])
            guard common.output == .table || common.output == .wide else { return common.print(answer) }
            Session.current.out("run \(Column.plain(answer["run"] ?? .null)) started in place of \(id)\n")
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Cancel an open run; attempts that run are ended.")
        @Argument(help: "The run's id.") var id: String
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            _ = try await common.client.post("/api/v1/runs/\(NodeClient.escaped(id)):cancel", body: [:])
            Session.current.out("run \(id) cancelled\n")
        }
    }
}

/// Runs in words.
enum RunText {
    static func tasks(_ run: Value) -> String {
        let done = run.at("tasks", "byState", "succeeded")?.int ?? 0
        return "\(done)/\(run.at("tasks", "total")?.int ?? 0)"
    }

    static let taskColumns = [
        Column("TASK", "task"), Column("KIND", "kind"), Column("STATE", "state"), Column("ATTEMPT", "attempt"), Column("WORKER", "worker"),
        Column("STARTED", "startedAt", wide: true), Column("ENDED", "endedAt", wide: true),
        Column("BLOCKED", "blocked", "reason", wide: true),
        Column("RESULT") { task in
            task.at("error", "message")?.string.flatMap { task["state"]?.string == "succeeded" ? nil : $0 }
                ?? Column.plain(task["output"] ?? .null)
        },
    ]

    static func page(_ run: Value, _ rendering: Rendering) -> String {
        var facts = Fields()
        for key in ["id", "workflow", "version", "state", "rule", "messageId", "createdAt", "endedAt", "durationMs", "traceId"] {
            if let value = run[key], value != .null { facts[key] = value }
        }
        if let error = run.at("error", "message") { facts["error"] = error }
        if let output = run["output"], output != .null { facts["output"] = output }
        return rendering.one(.map(facts)) + "\n" + rendering.rows(run.at("tasks", "items")?.list ?? [], taskColumns)
    }
}

/// `distric tasks`.
package struct Tasks: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "tasks", abstract: "Tasks of runs, their attempts and logs.",
        subcommands: [List.self, Show.self, Why.self, Logs.self, Resolve.self])

    package init() {}

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List tasks, those of open runs first.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var list: ListOptions
        @OptionGroup var filter: FilterOptions
        @Option(
            name: .long,
            help: "Only these states: pending, queued, leased, waiting, succeeded, failed, timed_out, cancelled, skipped, unknown.")
        var state: String?
        @Option(name: .long, help: "Only tasks of this workflow.") var workflow: String?

        @concurrent
        func run() async throws {
            let answer = try await common.client.get(
                "/api/v1/tasks", try filter.query(list) + [common.space, ("status", state), ("workflow", workflow)])
            let columns = [Column("ID", "id"), Column("WORKFLOW", "workflow")] + RunText.taskColumns.dropFirst()
            common.print(
                answer["items"]?.list ?? [], columns,
                empty: filter.filter == nil ? "no task\(state.map { " in state \($0)" } ?? " yet")" : "nothing matches")
            list.note(answer)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one task.")
        @Argument(help: "RUN.TASK, as lists show it.") var id: String
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws { common.print(try await common.client.get("/api/v1/tasks/\(NodeClient.escaped(id))")) }
    }

    struct Why: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Why a task waits, runs or failed, and what is behind it.", discussion: "  distric tasks why RUN.TASK")
        @Argument(help: "RUN.TASK, as lists show it.") var id: String
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws { common.print(try await common.client.get("/api/v1/tasks/\(NodeClient.escaped(id))/why")) }
    }

    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print what an attempt wrote.")
        @Argument(help: "RUN.TASK, as lists show it.") var id: String
        @Option(name: .long, help: "Which attempt (default: the last).") var attempt: Int?
        @OptionGroup var common: CommonOptions

        func validate() throws { if let attempt, attempt < 1 { throw ValidationError("--attempt counts from 1") } }

        @concurrent
        func run() async throws {
            let client = try common.client
            var number = attempt
            if number == nil { number = Int(try await client.get("/api/v1/tasks/\(NodeClient.escaped(id))")["attempt"]?.int ?? 1) }
            let answer = try client.checked(
                try await client.send("GET", "/api/v1/tasks/\(NodeClient.escaped(id))/attempts/\(max(1, number ?? 1))/log"))
            Session.current.out(String(decoding: answer.bytes, as: UTF8.self))
        }
    }

    struct Resolve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what became of a task in state unknown.",
            discussion: """
                A worker was lost in the middle of the attempt, and the task is not safe to repeat by itself. Find out what happened, then:

                  distric tasks resolve RUN.TASK --as succeeded --result '{"charged": true}'
                  distric tasks resolve RUN.TASK --as failed --reason "the card was not charged"
                  distric tasks resolve RUN.TASK --as retry
                """)
        enum Verdict: String, CaseIterable, ExpressibleByArgument { case succeeded, failed, retry }
        @Argument(help: "RUN.TASK, as lists show it.") var id: String
        @Option(name: .customLong("as"), help: "succeeded, failed or retry.") var verdict: Verdict
        @Option(name: .long, help: "The task's output as JSON, with --as succeeded.") var result: String?
        @Option(name: .long, help: "Why, with --as failed.") var reason: String?
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws {
            var output: Value?
            if let result {
                do { output = try JSONScanner.parse(result) } catch { throw CommandFailure(.usage, "--result is not JSON: \(error)") }
            }
            let body = Value.object(["as": .string(verdict.rawValue), "output": output, "reason": reason.map(Value.string)])
            _ = try await common.client.post("/api/v1/tasks/\(NodeClient.escaped(id)):resolve", body: body)
            Session.current.out("task \(id) resolved as \(verdict.rawValue)\n")
        }
    }
}

import Foundation
import Glibc
import Primitives
import Testing

/// The process between a worker and the program of a task (`Guard.swift`): the program's end is its own, and neither the end of its worker nor the time that is
/// given is outlived by anything of the group.
struct GuardTests {
    private func guarded(_ options: [String], _ words: [String], input: String = "") throws -> Finished {
        try run(Built.distric, ["--exec-guard"] + options + ["--"] + words, input: input)
    }

    /// Of the processes that were begun for a run.
    private func processes(of run: String) -> [Int32] {
        let wanted = "DISTRIC_RUN=\(run)"
        return ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap(Int32.init).filter { process in
            guard let environment = FileManager.default.contents(atPath: "/proc/\(process)/environ") else { return false }
            return environment.split(separator: 0).contains { String(decoding: $0, as: UTF8.self) == wanted }
        }
    }

    private var boot: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    // MARK: By itself

    @Test func `it ends as the program does, which has its input, its output and its limits`() throws {
        let whole = try guarded(["files=64"], ["/bin/sh", "-c", "cat; ulimit -n; ulimit -c; echo bad >&2; exit 7"], input: "in\n")
        #expect((whole.code, whole.out, whole.err) == (7, "in\n64\n0\n", "bad\n"))
        #expect(try guarded([], ["/bin/true"]).code == 0)
        for signal in [SIGTERM, SIGKILL, SIGHUP, SIGXCPU] {
            #expect(try guarded([], ["/bin/sh", "-c", "kill -\(signal) $$"]).code == 128 + signal)
        }
        #expect(try guarded(["memory=50000000"], ["/bin/sh", "-c", "ulimit -v"]).out == "48828\n")
        #expect(try guarded(["cpu=1"], ["/bin/sh", "-c", "while :; do :; done"]).code == 128 + SIGKILL)
    }

    @Test func `what it cannot do it says, and starts nothing`() throws {
        let missing = try guarded([], ["/no/such/program"])
        #expect((missing.code, missing.err) == (127, "exec-guard: cannot start /no/such/program: No such file or directory\n"))
        #expect(try guarded([], ["/etc/passwd"]).err.hasSuffix("Permission denied\n"))
        for option in ["files", "files=", "files=-1", "files=99999999999999999999", "ends=18446744073709551615", "other=1", ""] {
            let refused = try guarded([option], ["/bin/echo", "begun"])
            #expect(refused.code == 64 && refused.out.isEmpty && refused.err.hasPrefix("exec-guard: "), "\(option)")
        }
        let nothing = try run(Built.distric, ["--exec-guard", "files=3"])
        #expect((nothing.code, nothing.err) == (64, "exec-guard: no program after '--'\n"))
    }

    @Test func `what takes too long is asked to end, and then ended with all that it began`() throws {
        let polite = try guarded(
            ["ends=\(boot + 200)", "grace=20000"], ["/bin/sh", "-c", "trap 'echo asked; exit 3' TERM; sleep 30 & wait"])
        #expect((polite.code, polite.out) == (3, "asked\n"))
        let began = boot
        let stubborn = try guarded(
            ["ends=\(boot + 200)", "grace=300"], ["/bin/sh", "-c", "trap '' TERM; sleep 50 & echo $!; while :; do wait; done"])
        #expect(stubborn.code == 128 + SIGKILL)
        #expect(boot - began >= 500)
        let child = try #require(Int32(stubborn.out.trimmingCharacters(in: .whitespacesAndNewlines)))
        let isGone = {
            kill(child, 0) != 0 || (try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8))?.contains(") Z ") ?? true
        }
        #expect(isGone())
    }

    @Test func `a guard whose worker has ended before it could look starts nothing that lives on`() throws {
        let late = try guarded(["worker=1", "grace=100"], ["/bin/sh", "-c", "trap '' TERM; sleep 50"])
        #expect(late.code == 128 + SIGKILL)
    }

    @Test func `a guard that is killed takes the program with it`() throws {
        let script = """
            "$0" --exec-guard files=64 -- /bin/sleep 61.5 & sleep 0.5; child=$(pgrep -P $!); kill -9 $!; wait $! 2>/dev/null
            for try in 1 2 3 4 5 6 7 8 9 10; do kill -0 $child 2>/dev/null || { echo gone; exit; }; sleep 0.2; done
            """
        #expect(try run("/bin/sh", ["-c", script, Built.distric]).out == "gone\n")
    }

    // MARK: Under a worker

    @Test func `kill -9 of a worker: nothing of what it ran is left`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: cluster.members.filter { $0.id.hasPrefix("c-") })
        try #require(leader.submit("long", "once", .string("77"))?.status == 202)
        let first = leader.read("/api/v1/messages/long")["runs"]?.list?.first
        let run = try #require(first.flatMap { $0.string ?? $0["id"]?.string })
        // The guard, the shell, and what the shell waits for.
        #expect(try await holds { processes(of: run).count == 3 }, "\(processes(of: run))")
        workers[0].crash()
        #expect(try await holds { processes(of: run).isEmpty }, "\(processes(of: run))")
    }
}

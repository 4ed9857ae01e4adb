import Foundation
import Primitives
import Testing
import Text

/// Health at a door of its own (HealthDoor.swift), and what turns it degraded by itself. Calls of the C library are held up by a library that is
/// loaded before it.
struct HealthDoorTests {
    /// Holds up what has a file by its name in the folder `STALL`.
    private static let stalling = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/epoll.h>
        #include <sys/prctl.h>
        #include <unistd.h>
        static void hold(const char *name) {
            char path[512];
            const char *folder = getenv("STALL");
            if (!folder) return;
            snprintf(path, sizeof path, "%s/%s", folder, name);
            while (access(path, F_OK) == 0) usleep(10000);
        }
        int fdatasync(int descriptor) {
            int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
            hold("disk");
            return next(descriptor);
        }
        ssize_t write(int descriptor, const void *bytes, size_t count) {
            ssize_t (*next)(int, const void *, size_t) = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
            if (descriptor == 2) hold("log");
            return next(descriptor, bytes, count);
        }
        int epoll_wait(int descriptor, struct epoll_event *events, int most, int timeout) {
            int (*next)(int, struct epoll_event *, int, int) = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
            char name[17] = "";
            prctl(PR_GET_NAME, name);
            if (strncmp(name, "NIO-SGLTN", 9) == 0) hold("loops");
            return next(descriptor, events, most, timeout);
        }
        """

    private func started(_ folder: TemporaryFolder, stalling: Bool = false, _ arguments: [String] = []) throws -> RunningNode? {
        guard stalling else { return try RunningNode(data: folder.path + "/data", smallNode + arguments) }
        guard let clang = Built.tool("clang") else { return nil }
        try Data(Self.stalling.utf8).write(to: URL(filePath: folder.path + "/stall.c"))
        let built = try run(clang, ["-shared", "-fPIC", "-o", folder.path + "/stall.so", folder.path + "/stall.c", "-ldl"])
        try #require(built.code == 0, "\(built.err)")
        return try RunningNode(
            data: folder.path + "/data", smallNode + arguments,
            environment: ["LD_PRELOAD": folder.path + "/stall.so", "STALL": folder.path])
    }

    /// By the socket in the data folder.
    private func asked(_ folder: TemporaryFolder, _ path: String, _ more: [String] = []) throws -> (status: Int, value: Value) {
        let place = folder.path + "/data/health.sock"
        let found = try run(
            "/usr/bin/env",
            ["curl", "-sS", "-m", "5", "-w", "\n%{http_code}", "--unix-socket", place] + more + ["http://node\(path)"])
        let parts = found.out.split(separator: "\n", omittingEmptySubsequences: false)
        let status = parts.last.flatMap { Int($0) } ?? 0
        return (status, (try? JSONScanner.parse(parts.dropLast().joined(separator: "\n").utf8)) ?? .null)
    }

    private func reason(_ value: Value, _ component: String) -> String? {
        value["components"]?.list?.first { $0["name"]?.string == component && $0["status"] == "degraded" }?["reason"]?.string
    }

    @Test func `the socket says what the front door says, and nothing else`() throws {
        let folder = try TemporaryFolder()
        let node = try #require(try started(folder))
        #expect(try asked(folder, "/health/live").value == ["status": "up", "node": "n1"])
        let ready = try asked(folder, "/health/ready")
        #expect(ready.status == 200)
        let names = Set((ready.value["components"]?.list ?? []).compactMap { $0["name"]?.string })
        #expect(names.isSuperset(of: ["loops", "planner", "raft-log", "disk", "http", "log", "queues"]))
        #expect(try raw(node.url, "GET", "/health/ready").value["components"]?.list?.count == names.count)
        #expect(try asked(folder, "/health/ready?x=1", ["-I"]).status == 200)
        #expect(try asked(folder, "/metrics").status == 404)
        #expect(try asked(folder, "/health/live", ["-X", "POST", "-d", String(repeating: "x", count: 100_000)]).status == 405)
        let rights = try FileManager.default.attributesOfItem(atPath: folder.path + "/data/health.sock")[.posixPermissions] as? Int
        #expect(rights == 0o600)
        #expect(node.stop() == 0)
    }

    @Test func `an address of its own, garbage and idle connections at it`() async throws {
        let folder = try TemporaryFolder()
        let node = try #require(try started(folder, ["--set", "health.address=127.0.0.1:0"]))
        let line = try #require(node.logText.split(separator: "\n").first { $0.contains("\"message\":\"health\"") })
        let url = try #require(try JSONScanner.parse(line.utf8)["url"]?.string)
        let port = String(url.dropLast("/health/ready".count))
        #expect(try raw(port, "GET", "/health/ready").status == 200)
        // More than may be open at once; those that are too many are closed, and the rest after five seconds.
        let idle = try (0..<100).map { _ in try RawConnection(port) }
        #expect(idle.count == 100)
        let open = try raw(node.url, "GET", "/health/live")
        #expect(open.status == 200)
        let answer = try await eventually {
            (try? raw(port, "GET", "/health/live"))?.value ?? .null
        } until: {
            $0 != .null
        }
        #expect(answer["status"] == "up")
        for garbage in ["%%%% no HTTP \u{1B}[2J", "GET /health/live HTTP/9.9", "GET " + String(repeating: "x", count: 200_000)] {
            let connection = try RawConnection(port)
            try? connection.send(garbage, "/")
        }
        #expect(try raw(port, "GET", "/health/live").status == 200)
        let taken = try run(
            Built.distric,
            [
                "node", "--data", folder.path + "/other", "--http", "127.0.0.1:0", "--rpc", "none", "--set",
                "health.address=\(port.dropFirst("http://".count))",
            ])
        #expect(taken.code == 69, "\(taken.err)")
        #expect(taken.err.contains("health"))
        for bad in ["nowhere", "127.0.0.1:99999", "0.0.0.0:8081"] {
            #expect(
                try run(Built.distric, ["node", "--data", folder.path + "/bad", "--set", "health.address=\(bad)"]).code == 78, "\(bad)")
        }
        #expect(node.stop() == 0)
    }

    /// Health as the socket tells it, once the component is degraded, or is not any more.
    private func health(_ folder: TemporaryFolder, _ component: String, isDegraded: Bool) async throws -> Value {
        try await eventually {
            try asked(folder, "/health/ready").value
        } until: {
            $0 != .null && (reason($0, component) != nil) == isDegraded
        }
    }

    private func hold(_ name: String, _ folder: TemporaryFolder) throws { try Data().write(to: URL(filePath: folder.path + "/" + name)) }
    private func release(_ name: String, _ folder: TemporaryFolder) throws {
        try FileManager.default.removeItem(atPath: folder.path + "/" + name)
    }

    @Test(arguments: ["async", "sync"])
    func `stuck event loops do not silence health, and it says so, though the log is stuck too`(mode: String) async throws {
        let folder = try TemporaryFolder()
        guard let node = try started(folder, stalling: true, ["--set", "log.mode=\(mode)"]) else { return }
        try hold("log", folder)
        try hold("loops", folder)
        let stuck = try await health(folder, "loops", isDegraded: true)
        #expect(reason(stuck, "loops")?.contains("event loop") == true, "\(stuck)")
        // The watch has come to its log line by now.
        try await Task.sleep(for: .seconds(1))
        #expect(try asked(folder, "/health/live").status == 200)
        #expect(try asked(folder, "/health/ready").status == 200)
        try release("log", folder)
        try release("loops", folder)
        let well = try await health(folder, "loops", isDegraded: false)
        #expect(well != .null && reason(well, "loops") == nil, "\(well)")
        let events = try raw(node.url, "GET", "/api/v1/events").value["items"]?.list ?? []
        let kinds = Set(events.compactMap { $0["kind"]?.string })
        #expect(kinds.isSuperset(of: ["node.stalled", "node.recovered"]))
        #expect(node.stop() == 0)
        #expect(node.logText.contains("\"message\":\"stalled\""))
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/data/health.sock"))
    }

    @Test func `a disk that stalls under the log is told while it does`() async throws {
        let folder = try TemporaryFolder()
        guard let node = try started(folder, stalling: true) else { return }
        try hold("disk", folder)
        let connection = try RawConnection(node.url)
        let definitions = JSONWriter.bytes(.list(pair("stalled", script("exit 0"))))
        try connection.send("POST", "/api/v1/workflows", ["Content-Type: application/json"], body: definitions)
        let stuck = try await health(folder, "raft-log", isDegraded: true)
        #expect(reason(stuck, "raft-log")?.contains("the disk under the log has not answered for") == true, "\(stuck)")
        try release("disk", folder)
        let well = try await health(folder, "raft-log", isDegraded: false)
        #expect(well != .null && reason(well, "raft-log") == nil, "\(well)")
        #expect(node.stop() == 0)
    }
}

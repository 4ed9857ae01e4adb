import Foundation
import Primitives
import Testing

@testable import Offline

/// What measures of a machine mean for a node (Doctor/LocalVerdicts.swift).
struct LocalVerdictsTests {
    private func syncs(_ milliseconds: [Int], isVolatile: Bool = false) -> Finding {
        LocalVerdicts.syncs(.init(times: milliseconds.map { .milliseconds($0) }, folder: "/data", isVolatile: isVolatile))
    }

    @Test func `a disk is judged by its slowest syncs`() {
        #expect(syncs([Int](repeating: 1, count: 200)).verdict == .ok)
        #expect(syncs([Int](repeating: 1, count: 200)).measured == "p50 1.0 ms, p99 1.0 ms of 200 synced appends in /data")
        // One in a hundred is the 99th percentile; one in two hundred is chance.
        #expect(syncs([Int](repeating: 1, count: 199) + [900]).verdict == .ok)
        #expect(syncs([Int](repeating: 1, count: 97) + [60, 60, 60]).verdict == .warn)
        let hopeless = syncs([Int](repeating: 1, count: 97) + [900, 900, 900])
        #expect(hopeless.verdict == .fail && hopeless.advice.contains("another disk"))
    }

    @Test func `memory is no disk`() {
        let found = syncs([0, 0, 0], isVolatile: true)
        #expect(found.verdict == .warn && found.measured.hasSuffix("which lies in memory") && found.advice.contains("--data"))
    }

    @Test(arguments: [(UInt64(50), Finding.Verdict.ok), (10, .ok), (9, .warn), (5, .warn), (4, .fail), (0, .fail)])
    func `free room is measured by the watermarks of the settings`(percent: UInt64, verdict: Finding.Verdict) {
        let found = LocalVerdicts.space(freeBytes: percent << 20, totalBytes: 100 << 20, low: 10, critical: 5, folder: "/data")
        #expect(found.verdict == verdict, "\(found)")
        #expect(found.measured.hasPrefix("\(percent) % free"))
        #expect((verdict == .ok) == found.advice.isEmpty)
    }

    @Test func `a disk that says nothing of its room is not called well`() {
        #expect(LocalVerdicts.space(freeBytes: 0, totalBytes: 0, low: 10, critical: 5, folder: "/data").verdict == .warn)
    }

    @Test(arguments: [(UInt64(100_000), Finding.Verdict.ok), (17_024, .ok), (17_023, .warn), (1024, .warn), (511, .fail), (.max, .ok)])
    func `open files are enough for the connections that may come`(limit: UInt64, verdict: Finding.Verdict) {
        #expect(LocalVerdicts.descriptors(limit: limit, connections: 16_000).verdict == verdict)
    }

    @Test func `clocks`() {
        #expect(LocalVerdicts.clock(offset: .microseconds(300), isSynchronised: true, complaint: nil).verdict == .ok)
        #expect(LocalVerdicts.clock(offset: .zero, isSynchronised: false, complaint: nil).verdict == .warn)
        let off = LocalVerdicts.clock(offset: .seconds(2), isSynchronised: true, complaint: "it is 2000 ms off")
        #expect(off.verdict == .warn && off.measured == "it is 2000 ms off")
    }

    @Test(arguments: [(400, Finding.Verdict.ok), (14, .ok), (13, .warn), (0, .warn), (-1, .fail)])
    func `a certificate is looked at two weeks before it ends`(days: Int, verdict: Finding.Verdict) {
        let found = LocalVerdicts.certificate("node.pem", expiresInDays: days, problem: nil)
        #expect(found.verdict == verdict)
        #expect((verdict == .ok) == found.advice.isEmpty)
    }

    @Test func `a certificate that cannot be read fails, and none is well on loopback`() {
        #expect(LocalVerdicts.certificate("node.pem", expiresInDays: nil, problem: "node.pem: no such file").verdict == .fail)
        #expect(LocalVerdicts.certificate("", expiresInDays: nil, problem: nil).verdict == .ok)
    }

    @Test func `a port in use is well when the node of the folder has it`() {
        #expect(LocalVerdicts.port("http.address", "127.0.0.1:8080", .free).verdict == .ok)
        #expect(LocalVerdicts.port("http.address", "127.0.0.1:8080", .ofThisNode).verdict == .ok)
        #expect(LocalVerdicts.port("http.address", "127.0.0.1:8080", .taken).verdict == .fail)
        #expect(LocalVerdicts.port("http.address", "10.9.9.9:8080", .impossible("no such address")).verdict == .fail)
    }

    @Test func `limits of the kernel name the line that raises them`() {
        let found = LocalVerdicts.kernel("net.core.somaxconn", 128, atLeast: 4096, "a node asks for more")
        #expect(found.verdict == .warn && found.advice == "a node asks for more: sysctl -w net.core.somaxconn=4096")
        #expect(LocalVerdicts.kernel("net.core.somaxconn", 4096, atLeast: 4096, "").verdict == .ok)
        #expect(LocalVerdicts.kernel("net.core.somaxconn", nil, atLeast: 4096, "").verdict == .ok)
    }

    // MARK: The probe

    private func wanted(_ folder: String) -> LocalProbe.Wanted {
        .init(
            folder: folder, httpAddress: "127.0.0.1:0", rpcAddress: "none", lowPercent: 0, criticalPercent: 0, connections: 100,
            certificates: ("", "", ""))
    }

    @Test func `a folder is measured, and nothing is left in it`() throws {
        let folder = try TemporaryFolder()
        let findings = LocalProbe(wanted(folder.path)).findings()
        let sync = try #require(findings.first { $0.check == "fsync" })
        #expect(sync.measured.contains("synced appends in \(folder.path)"))
        #expect(findings.first { $0.check == "folder" }?.verdict == .ok)
        #expect(findings.contains { $0.check == "disk" } && findings.contains { $0.check == "descriptors" })
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func `a folder that is not there yet is measured where it would be made`() throws {
        let folder = try TemporaryFolder()
        let findings = LocalProbe(wanted(folder.path + "/a/b")).findings()
        #expect(findings.first?.verdict == .ok && findings.first?.measured.hasSuffix("it can be made in \(folder.path)") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func `a file is no folder, and then nothing is measured in it`() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/file"
        try Data().write(to: URL(filePath: path))
        let findings = LocalProbe(wanted(path)).findings()
        #expect(findings.first == Finding("folder", .fail, "\(path) is no folder", "move it away, or name another folder (--data)"))
        #expect(!findings.contains { $0.check == "fsync" || $0.check == "disk" })
    }
}

import Cluster
import Coordinator
import Foundation
import Observability
import Primitives
import Raft
import Storage
import Testing

@testable import Offline

/// A folder is judged as the node judges that starts on it (LogInspection.swift, StartChecks.swift).
struct LogVerdictTests {
    private let temporary: TemporaryFolder
    private let terms = Array(repeating: UInt64(1), count: 10)

    init() throws { temporary = try TemporaryFolder() }

    private var path: String { temporary.path + "/c-1" }

    /// Looks, and sees that nothing changed.
    private func verdict(_ folder: String? = nil) throws -> LogInspection.Verdict {
        let before = try temporary.contents()
        defer { #expect((try? temporary.contents()) == before) }
        return try LogInspection(folder ?? path).verified()
    }

    /// What a node says that starts on a copy of it; nil when it starts.
    private func refusal() throws -> StorageError? {
        let copy = temporary.path + "/copy"
        try? FileManager.default.removeItem(atPath: copy)
        try FileManager.default.copyItem(atPath: path, toPath: copy)
        defer { try? FileManager.default.removeItem(atPath: copy) }
        do throws(StorageError) {
            let folder = try DataFolder.open(
                copy, node: nil, fallback: .unnamed, featureLevel: CommandCodec.featureLevel, disk: FileDisk(),
                newCluster: { CoordinatorFolder.cluster })
            try CoordinatorNode(folder: folder, disk: FileDisk(), settings: .init(), telemetry: .quiet(node: .unnamed), seed: 1).stop()
            return nil
        } catch {
            return error
        }
    }

    private func newer() -> LogInspection.Problem? {
        do throws(LogInspection.Problem) { _ = try LogInspection(path).verified() } catch { return error }
        return nil
    }

    @Test func `a whole folder is clean, with a history that goes as far as the log`() throws {
        _ = try CoordinatorFolder(path, terms: terms, history: 10, voters: ["c-1"], appliable: true)
        let found = try verdict()
        #expect(found.state == .clean, "\(found.lines)")
        #expect(try refusal() == nil)
    }

    @Test func `a log that ends before its history lost its end, as the node says too`() throws {
        _ = try CoordinatorFolder(path, terms: Array(terms.prefix(6)), voters: ["c-1"], appliable: true)
        try Samples.writeHistory(path + "/history", through: 9)
        let found = try verdict()
        #expect(found.state == .damaged)
        #expect(found.lines.count == 1 && found.lines[0].contains("/raft/log: the log should reach or go on at index 9"), "\(found.lines)")
        guard case .gap(_, let expected, let last)? = try refusal() else {
            Issue.record("the node starts")
            return
        }
        #expect(expected == LogIndex(9) && last == LogIndex(6))
        #expect(found.lines[0].contains("at index \(expected),") && found.lines[0].hasSuffix("at \(last)"))
    }

    @Test func `a folder raft by itself has no history to be compared with`() throws {
        _ = try CoordinatorFolder(path, terms: Array(terms.prefix(6)), voters: ["c-1"])
        try Samples.writeHistory(path + "/history", through: 9)
        try FileManager.default.moveItem(atPath: path + "/raft", toPath: temporary.path + "/raft-of-c-1")
        #expect(try verdict(temporary.path + "/raft-of-c-1").state == .clean)
    }

    @Test func `an identity of a newer level is refused as the node refuses it`() throws {
        let folder = try CoordinatorFolder(path, terms: terms, voters: ["c-1"])
        let level = CommandCodec.featureLevel + 1
        try DataFolder.write(.init(node: folder.node, cluster: CoordinatorFolder.cluster, featureLevel: level), at: path, disk: FileDisk())
        let found = newer()
        #expect(found?.kind == .newer && found?.description.contains("has feature level \(level)") == true, "\(String(describing: found))")
        #expect(try refusal()?.description.replacing("/copy/", with: "/c-1/") == found?.description)
    }

    @Test func `a snapshot of a newer level is refused as the node refuses it`() throws {
        _ = try CoordinatorFolder(path, terms: terms, voters: ["c-1"])
        let store = SnapshotStore(disk: FileDisk(), folder: path + "/raft/snapshots")
        var pieces = [[UInt8](repeating: 1, count: 100)]
        let level = CommandCodec.featureLevel + 1
        _ = try store.write(
            .init(position: .init(index: LogIndex(4), term: Term(1), chain: 0), digest: StateDigest(), featureLevel: level)
        ) { pieces.popLast() }
        let found = newer()
        #expect(found?.kind == .newer && found?.description.contains("has feature level \(level)") == true, "\(String(describing: found))")
        #expect(try refusal()?.description.replacing("/copy/", with: "/c-1/") == found?.description)
    }

    @Test func `an identity that is damaged is damage, with its place`() throws {
        _ = try CoordinatorFolder(path, terms: terms, voters: ["c-1"])
        try FileDisk().replace(path + "/identity", with: Array("distric-format 1\nnode ..\n".utf8))
        let found = try verdict()
        #expect(found.state == .damaged && found.lines.first?.contains("/identity: byte 0: its lines") == true, "\(found.lines)")
        #expect(try refusal() != nil)
    }

    @Test func `a cluster that was founded needs to know with whom`() throws {
        let folder = try CoordinatorFolder(path, terms: terms)
        try DataFolder.write(
            .init(node: folder.node, cluster: CoordinatorFolder.cluster, featureLevel: CommandCodec.featureLevel, isFounded: true),
            at: path,
            disk: FileDisk())
        let found = try verdict()
        #expect(found.state == .damaged && found.lines.first?.contains("/founding: byte 0: it is missing") == true, "\(found.lines)")
        try Founding(cluster: CoordinatorFolder.cluster, voters: []).write(path, disk: FileDisk())
        #expect(try verdict().state == .clean)
    }

    @Test func `a vote of an older term than the log's was lost, as the node says too`() throws {
        _ = try CoordinatorFolder(path, terms: [1, 1, 2, 2], voters: ["c-1"], appliable: true)
        try FileDisk().remove(path + "/raft/vote")
        let (file, _) = try HardStateFile.open(disk: FileDisk(), path: path + "/raft/vote", hasLog: false, hasEntries: false)
        try file.persist(HardState(term: Term(1), vote: nil))
        file.close()
        let found = try verdict()
        #expect(found.state == .damaged)
        #expect(found.lines.contains { $0.contains("it is of term 1, and the log has entries of term 2") }, "\(found.lines)")
        #expect(try refusal()?.description.contains("it is of term 1, and the log has entries of term 2") == true)
    }
}

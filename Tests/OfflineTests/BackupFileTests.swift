import Coordinator
import Foundation
import Primitives
import Storage
import Testing

@testable import Offline

/// A backup in a file, looked at without a node (BackupFile.swift).
struct BackupFileTests {
    private let temporary: TemporaryFolder
    private var path: String { temporary.path + "/monday.backup" }

    init() throws { temporary = try TemporaryFolder() }

    private func bytes() throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
    private func put(_ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(filePath: path)) }
    private func refusal() -> DisasterProblem? { problem { _ = try BackupFile(path).verified() } }

    @Test func `what is in it is told`() throws {
        let state = try Samples.state(runs: 3)
        try Samples.writeHistory(temporary.path + "/history", through: 2)
        try Samples.writeBackup(path, of: state, history: temporary.path + "/history")
        let verdict = try BackupFile(path).verified()
        #expect(verdict.cluster == CoordinatorFolder.cluster && verdict.node.text == "c-2" && verdict.time == Samples.wall)
        #expect(verdict.index == state.applied && verdict.term == Term(3) && verdict.catalogVersion == 1)
        #expect(verdict.openRuns == 3 && verdict.definitions == 2)
        #expect((verdict.historyBytes ?? 0) > 100)
        #expect(verdict.bytes == (try bytes().count))
        #expect(verdict.value["openRuns"] == 3 && verdict.value["cluster"]?.string == CoordinatorFolder.cluster.description)
    }

    @Test func `one without a history says so`() throws {
        try Samples.writeBackup(path, of: try Samples.state(runs: 1))
        let verdict = try BackupFile(path).verified()
        #expect(verdict.historyBytes == nil && verdict.value["historyBytes"] == .null)
    }

    @Test func `no byte of it can be another`() throws {
        try Samples.writeBackup(path, of: try Samples.state(runs: 0))
        let whole = try bytes()
        for place in whole.indices {
            var changed = whole
            changed[place] ^= 1
            try put(changed)
            #expect(refusal() != nil, "byte \(place)")
        }
        try put(whole)
        #expect(refusal() == nil)
    }

    @Test func `it is damaged wherever it is cut, and the place is told`() throws {
        try Samples.writeBackup(path, of: try Samples.state(runs: 0))
        let whole = try bytes()
        for length in whole.indices {
            try put(Array(whole.prefix(length)))
            let found = refusal()
            #expect(found?.kind == .damaged, "\(length) bytes")
            #expect(found?.description.contains("cut off at byte \(length)") == true, "\(String(describing: found))")
        }
    }

    @Test func `one of a newer distric is refused as such`() throws {
        let text = "distric-backup 2 shape=round"
        let crc = hexadecimal(UInt64(checksum(Array(text.utf8))), digits: 8)
        try put(Array("\(text) crc32c=\(crc)\n".utf8))
        #expect(refusal()?.kind == .newer)
        #expect(refusal()?.description.contains("format 2") == true)
    }

    @Test func `a file that is not there is named`() throws {
        #expect(refusal()?.description.hasPrefix(path) == true)
    }

    @Test func `a folder is none, and it is said what to give`() throws {
        try FileDisk().makeFolder(path)
        #expect(refusal()?.kind == .usage)
        #expect(refusal()?.description == "\(path) is a folder: name the file that 'distric backup create' wrote")
        _ = try CoordinatorFolder(path, terms: [1, 1])
        #expect(refusal()?.description.hasSuffix("; a node's data folder is looked at by 'distric raft log verify \(path)'") == true)
    }

    @Test func `one that comes is looked at while it comes`() throws {
        try Samples.writeBackup(path, of: try Samples.state(runs: 2))
        let whole = try bytes()
        var watch = BackupWatch(source: "http://127.0.0.1:1")
        for start in stride(from: 0, to: whole.count, by: 100) { try watch.take(Array(whole[start..<min(start + 100, whole.count)])) }
        let words = try watch.finish()
        #expect(words == "a backup of cluster \(CoordinatorFolder.cluster) at index \(try BackupFile(path).verified().index) by node c-2")
        var short = BackupWatch(source: "http://127.0.0.1:1")
        try short.take(Array(whole.dropLast()))
        #expect(problem { _ = try short.finish() }?.description.hasPrefix("http://127.0.0.1:1: cut off") == true)
        var wrong = BackupWatch(source: "http://127.0.0.1:1")
        #expect(problem { try wrong.take(Array("{\"detail\": \"no\"}\n".utf8)) }?.kind == .damaged)
    }
}

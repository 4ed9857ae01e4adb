import Foundation
import Primitives
import Testing

@testable import Storage

/// How often a cluster was begun again, in the folder's identity (DataFolder.swift), and who may work on a folder (FolderClaim.swift).
struct ClusterEpochTests {
    private let temporary: TemporaryFolder
    private let cluster = UUIDv7(high: 0x018f_3b1e_7c2a_7000, low: 1)
    private var path: String { temporary.path + "/node" }

    init() throws {
        temporary = try TemporaryFolder()
        try FileDisk().makeFolder(path)
    }

    private func identity(epoch: UInt64) throws -> DataFolder.Identity {
        DataFolder.Identity(node: try NodeID("a"), cluster: cluster, featureLevel: 1, epoch: epoch)
    }

    private func read() throws -> DataFolder.Identity? { try DataFolder.readIdentity(at: path, featureLevel: 1, disk: FileDisk()) }

    private func open() throws -> DataFolder {
        try DataFolder.open(
            path, node: nil, fallback: try NodeID("b"), featureLevel: 1, disk: FileDisk(), newCluster: { UUIDv7(high: 9, low: 9) })
    }

    @Test func `a folder that says nothing of it is of the first epoch`() throws {
        let text = "distric-format 1\nfeature-level 1\nnode a\ncluster 018f3b1e-7c2a-7000-0000-000000000001\n"
        try writeFile(path + "/identity", Array(text.utf8))
        let found = try read()
        #expect(found == (try identity(epoch: 1)))
        #expect(try open().identity.epoch == 1)
        try DataFolder.write(try identity(epoch: 1), at: path, disk: FileDisk())
        let bytes = try readFile(path + "/identity")
        #expect(String(decoding: bytes, as: UTF8.self) == text)
    }

    @Test func `a later epoch is written in a line of its own, and read by everybody`() throws {
        try DataFolder.write(try identity(epoch: 7), at: path, disk: FileDisk())
        let bytes = try readFile(path + "/identity")
        let expected = "distric-format 1\nfeature-level 1\nnode a\ncluster 018f3b1e-7c2a-7000-0000-000000000001\nepoch 7\n"
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
        let found = try read()
        #expect(found == (try identity(epoch: 7)))
        #expect(try open().identity == (try identity(epoch: 7)))
    }

    @Test(arguments: ["0", "-1", "x", "1.5", "18446744073709551616"])
    func `an epoch that is none is damage`(text: String) throws {
        let lines = "distric-format 1\nfeature-level 1\nnode a\ncluster 018f3b1e-7c2a-7000-0000-000000000001\nepoch \(text)\n"
        try writeFile(path + "/identity", Array(lines.utf8))
        let error = storageError { _ = try read() }
        guard case .damaged(let file, 0, _)? = error else {
            Issue.record("\(String(describing: error)) is no damage")
            return
        }
        #expect(file == path + "/identity")
    }

    @Test func `a folder of nobody has no identity`() throws {
        let found = try read()
        #expect(found == nil)
    }

    @Test func `who works on a folder keeps nodes out, and is kept out by them`() throws {
        var claim: FolderClaim? = try FolderClaim(path)
        let holder = "process \(ProcessInfo.processInfo.processIdentifier)"
        #expect(storageError { _ = try open() } == StorageError.locked(path: path, holder: holder))
        #expect(storageError { _ = try FolderClaim(path) } == StorageError.locked(path: path, holder: holder))
        let claimed = claim?.path
        #expect(claimed == path)
        claim = nil
        let folder = try open()
        #expect(storageError { _ = try FolderClaim(path) } == StorageError.locked(path: path, holder: holder))
        #expect(folder.path == path)
    }
}

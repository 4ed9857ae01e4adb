import Foundation
import Primitives
import Testing

@testable import Storage

/// Who a folder belongs to, and that only one process uses it (DataFolder.swift).
struct DataFolderTests {
    private let temporary: TemporaryFolder
    private let cluster = UUIDv7(high: 0x018f_3b1e_7c2a_7000, low: 1)
    private var path: String { temporary.path + "/data/node" }
    private var identityFile: String { path + "/identity" }

    init() throws { temporary = try TemporaryFolder() }

    private func open(_ node: String?, featureLevel: UInt16 = 1, cluster: UUIDv7? = nil) throws -> DataFolder {
        let id = try node.map { try NodeID($0) }
        let fallback = try NodeID("fallback")
        return try DataFolder.open(
            path, node: id, fallback: fallback, featureLevel: featureLevel, disk: FileDisk(), newCluster: { cluster ?? self.cluster })
    }

    /// Opens and lets go.
    private func identity(_ node: String?, featureLevel: UInt16 = 1, cluster: UUIDv7? = nil) throws -> DataFolder.Identity {
        try open(node, featureLevel: featureLevel, cluster: cluster).identity
    }

    private func writeIdentity(_ text: String) throws {
        try FileDisk().makeFolder(path)
        try writeFile(identityFile, Array(text.utf8))
    }

    @Test func `an empty folder becomes the node's, and says so in these bytes`() throws {
        let made = try identity("a")
        let expectedIdentity = DataFolder.Identity(node: try NodeID("a"), cluster: cluster, featureLevel: 1)
        #expect(made == expectedIdentity)
        let file = try readFile(identityFile)
        let expected = "distric-format 1\nfeature-level 1\nnode a\ncluster 018f3b1e-7c2a-7000-0000-000000000001\n"
        #expect(String(decoding: file, as: UTF8.self) == expected)
    }

    @Test func `a folder keeps its node and cluster`() throws {
        let made = try identity("a")
        let again = try identity("a", cluster: UUIDv7(high: 9, low: 9))
        let unnamed = try identity(nil, cluster: UUIDv7(high: 9, low: 9))
        #expect(again == made)
        #expect(unnamed == made)
    }

    @Test func `without a name an empty folder takes the fallback`() throws {
        let made = try identity(nil)
        #expect(made.node.text == "fallback")
    }

    @Test func `a second use is refused by naming the holder, until the first lets go`() throws {
        var first: DataFolder? = try open("a")
        let error = storageError { _ = try open("a") }
        let holder = "process \(ProcessInfo.processInfo.processIdentifier)"
        #expect(error == StorageError.locked(path: path, holder: holder))
        let held = first?.path
        #expect(held == path)
        first = nil
        let again = storageError { _ = try open("a") }
        #expect(again == nil)
    }

    @Test func `another node's folder is refused, and is free again`() throws {
        _ = try identity("a")
        let error = storageError { _ = try identity("b") }
        #expect(error == StorageError.otherNode(path: path, found: "a", expected: "b"))
        let again = try identity("a")
        #expect(again.node.text == "a")
    }

    @Test func `a folder that a newer program wrote is refused untouched`() throws {
        let rest = "feature-level 1\nnode a\ncluster 018f3b1e-7c2a-7000-0000-000000000001\n"
        for format in ["2", "99", "x", "1.5"] {
            try writeIdentity("distric-format \(format)\n" + rest)
            let error = storageError { _ = try identity("a") }
            #expect(error == StorageError.newerFormat(path: identityFile, found: "format \(format)", supported: 1))
            let file = try readFile(identityFile)
            #expect(String(decoding: file, as: UTF8.self) == "distric-format \(format)\n" + rest)
        }
    }

    @Test func `a higher feature level is refused, a lower one kept`() throws {
        _ = try identity("a", featureLevel: 4)
        let error = storageError { _ = try identity("a", featureLevel: 3) }
        #expect(error == StorageError.newerFormat(path: identityFile, found: "feature level 4", supported: 3))
        let later = try identity("a", featureLevel: 7)
        #expect(later.featureLevel == 4)
    }

    @Test(arguments: [
        "hello\n", "node a\n", "distric-format\n", "distric-format 1\n", "distric-format 1\nfeature-level 1\nnode a\n",
        "distric-format 1\nfeature-level -1\nnode a\ncluster 018f3b1e-7c2a-7000-0000-000000000001\n",
        "distric-format 1\nfeature-level 1\nnode A\ncluster 018f3b1e-7c2a-7000-0000-000000000001\n",
        "distric-format 1\nfeature-level 1\nnode a\ncluster 018f3b1e\n", "\u{0}\u{0}\u{0}\u{0}",
    ])
    func `an identity that cannot be read is damage, and stays as it is`(text: String) throws {
        try writeIdentity(text)
        let error = storageError { _ = try identity("a") }
        guard case .damaged(let damaged, let offset, _)? = error else {
            Issue.record("\(String(describing: error)) is no damage")
            return
        }
        #expect(damaged == identityFile)
        #expect(offset == 0)
        let file = try readFile(identityFile)
        #expect(String(decoding: file, as: UTF8.self) == text)
    }
}

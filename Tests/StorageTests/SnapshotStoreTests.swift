import Primitives
import Testing

@testable import Storage

/// A snapshot is its bytes and the manifest that is written last (SnapshotStore.swift).
struct SnapshotStoreTests {
    private let temporary: TemporaryFolder
    private let store: SnapshotStore
    private var folder: String { temporary.path + "/snapshots" }
    private let stem = "00000000000000000007-00000000000000000002"

    init() throws {
        temporary = try TemporaryFolder()
        store = SnapshotStore(disk: FileDisk(), folder: temporary.path + "/snapshots")
    }

    private func manifest(index: UInt64 = 7, term: UInt64 = 2) -> SnapshotStore.Manifest {
        SnapshotStore.Manifest(
            position: SegmentedLog.Position(index: LogIndex(index), term: Term(term), chain: 0xAB),
            digest: StateDigest(high: 1, low: .max), featureLevel: 1)
    }

    @discardableResult
    private func write(_ manifest: SnapshotStore.Manifest, _ pieces: [[UInt8]]) throws -> SnapshotStore.Manifest {
        var rest = pieces[...]
        return try store.write(manifest) { rest.popFirst() }
    }

    private func newestError() -> StorageError? { storageError { _ = try store.newest() } }

    /// The path that an error calls damaged.
    private func damagedPath(_ error: StorageError?) -> String? {
        if case .damaged(let path, _, _)? = error { path } else { nil }
    }

    @Test func `without snapshots there is no newest, folder or not`() throws {
        let none = try store.newest()
        #expect(none?.0 == nil)
        try FileDisk().makeFolder(folder)
        let still = try store.newest()
        #expect(still?.0 == nil)
    }

    @Test func `a snapshot reads back with its manifest`() throws {
        let written = try write(manifest(), [[1, 2], [], [3]])
        #expect(written.bytes == 3)
        #expect(written.crc == checksum([1, 2, 3]))
        let newest = try store.newest()
        #expect(newest?.0 == written)
        #expect(newest?.1 == [1, 2, 3])
        let names = try FileDisk().list(folder)
        #expect(names == [stem + ".manifest", stem + ".state"])
    }

    @Test func `the lines of a manifest stay`() throws {
        try write(manifest(), [Array("123456789".utf8)])
        let text = String(decoding: try readFile(folder + "/" + stem + ".manifest"), as: UTF8.self)
        let expected = """
            distric-snapshot 1
            index 7
            term 2
            chain 00000000000000ab
            digest 0000000000000001ffffffffffffffff
            feature-level 1
            bytes 9
            crc32c e3069283

            """
        let seal = hexadecimal(UInt64(checksum(Array(expected.utf8))), digits: 8)
        let whole = expected + "manifest-crc32c \(seal)\n"
        #expect(text == whole)
    }

    @Test func `configuration and origin are lines of their own where they say something, and absent in what was written before`() throws {
        var full = manifest()
        full.configuration = "voters=a,b,c learners="
        full.isInstalled = true
        let written = try write(full, [Array("123456789".utf8)])
        let path = folder + "/" + stem + ".manifest"
        let text = String(decoding: try readFile(path), as: UTF8.self)
        let end = "crc32c e3069283\nconfiguration voters=a,b,c learners=\ninstalled yes\nmanifest-crc32c 253e36b8\n"
        #expect(text.hasSuffix(end))
        let newest = try store.newestManifest()
        #expect(newest == written)
        for (value, expected) in [("no", false), (nil, false), ("yes", true)] as [(String?, Bool)] {
            var lines = written.lines.filter { !["configuration", "installed"].contains($0.0) }
            if let value { lines.append(("installed", value)) }
            try writeFile(path, SealedText(lines).bytes(seal: SnapshotStore.Manifest.seal))
            let read = try store.newestManifest()
            #expect(read?.isInstalled == expected)
            #expect(read?.configuration.isEmpty == true)
        }
        try writeFile(path, SealedText(written.lines + [("installed", "maybe")]).bytes(seal: SnapshotStore.Manifest.seal))
        #expect(damagedPath(newestError()) == path)
    }

    @Test func `parts of the bytes are read alone, up to the end`() throws {
        let written = try write(manifest(), [[0, 1, 2, 3, 4], [5, 6]])
        let parts: [(offset: Int, count: Int, expected: [UInt8])] = [
            (0, 3, [0, 1, 2]), (3, 3, [3, 4, 5]), (6, 3, [6]), (0, 99, [0, 1, 2, 3, 4, 5, 6]), (7, 1, []), (-1, 3, []), (2, 0, []),
        ]
        for (offset, count, expected) in parts {
            let read = try store.read(written, offset: offset, count: count)
            #expect(read == expected, "\(count) from \(offset)")
        }
        try writeFile(folder + "/" + stem + ".state", [0, 1, 2])
        let error = storageError { _ = try store.read(written, offset: 2, count: 4) }
        let reason = "it ends before the 7 bytes of its manifest"
        #expect(error == StorageError.damaged(path: folder + "/" + stem + ".state", offset: 3, reason: reason))
    }

    @Test func `a snapshot that is held is there to be sent until it is let go`() throws {
        let old = try write(manifest(index: 7), [[7, 7]])
        store.hold(old.position)
        store.hold(old.position)
        try write(manifest(index: 9), [[9]])
        try store.release(old.position)
        let held = try store.read(old, offset: 0, count: 2)
        #expect(held == [7, 7])
        let newest = try store.newestManifest()
        #expect(newest?.position.index == LogIndex(9))
        try store.release(old.position)
        let error = storageError { _ = try store.read(old, offset: 0, count: 2) }
        #expect(error == StorageError.io(operation: "open", path: folder + "/" + stem + ".state", errno: 2))
        let names = try FileDisk().list(folder)
        #expect(names.count == 2)
    }

    /// A local snapshot that took long must not remove the one that was installed meanwhile.
    @Test func `an older snapshot that is finished later removes nothing newer, whole or on its way`() throws {
        let newer = try write(manifest(index: 90), [[9]])
        var coming = manifest(index: 99)
        coming.bytes = 3
        let incoming = try store.receive(begin: coming, syncBytes: 0)
        try incoming.receive(chunk: 0, offset: 0, [1, 2])
        try write(manifest(index: 7), [[7]])
        let newest = try store.newest()
        #expect(newest?.0 == newer)
        let stem = "00000000000000000099-00000000000000000002"
        let names = try FileDisk().list(folder).filter { $0.hasPrefix(stem) }
        #expect(names == [stem + ".partial", stem + ".progress"])
        incoming.close()
    }

    @Test func `the same snapshot again is the one that is there, whatever chain the writer knew`() throws {
        let first = try write(manifest(), [[1, 2, 3]])
        var again = manifest()
        again.position.chain = 0
        let second = try write(again, [[4]])
        #expect(second == first)
        let newest = try store.newest()
        #expect(newest?.1 == [1, 2, 3])
    }

    @Test func `an empty state is a snapshot too`() throws {
        let written = try write(manifest(), [])
        let newest = try store.newest()
        #expect(newest?.0 == written)
        #expect(newest?.1.isEmpty == true)
    }

    @Test func `a new snapshot removes the ones before it and what else lies there`() throws {
        try write(manifest(index: 7), [[1]])
        try writeFile(folder + "/left.tmp", [1])
        try writeFile(folder + "/00000000000000000003-00000000000000000001.state", [1])
        let written = try write(manifest(index: 19, term: 3), [[2]])
        let newest = try store.newest()
        #expect(newest?.0 == written)
        #expect(newest?.1 == [2])
        let names = try FileDisk().list(folder)
        let stem = "00000000000000000019-00000000000000000003"
        #expect(names == [stem + ".manifest", stem + ".state"])
    }

    @Test func `of two manifests the one with the higher index is the newest`() throws {
        try write(manifest(index: 9), [[9]])
        let nine = "00000000000000000009-00000000000000000002"
        let kept = [try readFile(folder + "/" + nine + ".manifest"), try readFile(folder + "/" + nine + ".state")]
        let written = try write(manifest(index: 10), [[10]])
        try writeFile(folder + "/" + nine + ".manifest", kept[0])
        try writeFile(folder + "/" + nine + ".state", kept[1])
        let newest = try store.newest()
        #expect(newest?.0 == written)
    }

    @Test func `a state without a manifest does not exist`() throws {
        try write(manifest(), [[1, 2, 3]])
        try FileDisk().remove(folder + "/" + stem + ".manifest")
        let newest = try store.newest()
        #expect(newest?.0 == nil)
    }

    @Test func `a manifest whose state is missing or of another length is damage`() throws {
        try write(manifest(), [[1, 2, 3]])
        let path = folder + "/" + stem + ".state"
        try writeFile(path, [1, 2])
        #expect(newestError() == StorageError.damaged(path: path, offset: 2, reason: "2 bytes where its manifest says 3"))
        try writeFile(path, [1, 2, 3, 4])
        #expect(newestError() == StorageError.damaged(path: path, offset: 3, reason: "4 bytes where its manifest says 3"))
        try FileDisk().remove(path)
        #expect(newestError() == StorageError.damaged(path: path, offset: 0, reason: "the file is missing"))
    }

    @Test(arguments: [".state", ".manifest"])
    func `every flipped bit is damage`(suffix: String) throws {
        try write(manifest(), [[0, 1, 2, 3], [0xFF]])
        let path = folder + "/" + stem + suffix
        let whole = try readFile(path)
        for bit in 0..<whole.count * 8 {
            var flipped = whole
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            try writeFile(path, flipped)
            #expect(damagedPath(newestError()) == path, "bit \(bit)")
        }
        try writeFile(path, whole)
        #expect(newestError() == nil)
    }

    @Test func `a manifest cut anywhere is damage`() throws {
        try write(manifest(), [[1, 2, 3]])
        let path = folder + "/" + stem + ".manifest"
        let whole = try readFile(path)
        for count in 0..<whole.count - 1 {
            try writeFile(path, Array(whole[..<count]))
            #expect(damagedPath(newestError()) == path, "\(count) bytes")
        }
    }

    @Test func `a newer format is refused by name`() throws {
        try write(manifest(), [[1]])
        let path = folder + "/" + stem + ".manifest"
        let text = String(decoding: try readFile(path), as: UTF8.self)
        var lines = text.split(separator: "\n").dropLast().map(String.init)
        lines[0] = "distric-snapshot 2"
        let body = lines.joined(separator: "\n") + "\n"
        let seal = hexadecimal(UInt64(checksum(Array(body.utf8))), digits: 8)
        try writeFile(path, Array((body + "manifest-crc32c \(seal)\n").utf8))
        #expect(newestError() == StorageError.newerFormat(path: path, found: "format 2", supported: 1))
    }
}

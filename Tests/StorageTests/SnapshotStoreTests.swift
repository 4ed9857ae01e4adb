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

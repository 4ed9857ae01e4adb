import Primitives
import Testing

@testable import Storage

/// The disk of a node that dies in a process that lives on.
struct SeverableDiskTests {
    private func refuses(_ body: () throws(StorageError) -> Void) -> Bool {
        do throws(StorageError) { try body() } catch {
            if case .io(_, _, let code) = error { return code == 5 }
        }
        return false
    }

    @Test func `what was written before stays, and nothing comes after it`() throws {
        let folder = try TemporaryFolder()
        let disk = SeverableDisk(FileDisk())
        let path = folder.path + "/log"
        let file = try disk.open(path, create: true)
        try file.write([1, 2, 3], at: 0)
        try file.sync()
        disk.sever()
        #expect(refuses { () throws(StorageError) in try file.write([4], at: 3) })
        #expect(refuses { () throws(StorageError) in try file.sync() })
        #expect(refuses { () throws(StorageError) in try file.truncate(to: 0) })
        #expect(refuses { () throws(StorageError) in try disk.remove(path) })
        #expect(refuses { () throws(StorageError) in try disk.rename(path, to: path + ".new") })
        #expect(refuses { () throws(StorageError) in try disk.makeFolder(folder.path + "/more") })
        #expect(refuses { () throws(StorageError) in try disk.syncFolder(folder.path) })
        #expect(refuses { () throws(StorageError) in _ = try disk.open(folder.path + "/other", create: true) })
        #expect(try disk.contents(of: path) == [1, 2, 3])
        #expect(try FileDisk().list(folder.path) == ["log"])
    }

    @Test func `a folder that is let go can be had by another, though the first holder is still there`() throws {
        let folder = try TemporaryFolder()
        let node = try NodeID("c-1")
        func open() throws(StorageError) -> DataFolder {
            try DataFolder.open(folder.path, node: node, fallback: node, featureLevel: 1, disk: FileDisk()) { UUIDv7(high: 1, low: 1) }
        }
        let first = try open()
        #expect(throws: StorageError.self) { try open() }
        first.release()
        let second = try open()
        #expect(second.identity == first.identity)
    }
}

import Primitives
import Testing

@testable import Storage

/// What the rooms above are promised of a file system (Disk.swift).
struct FileDiskTests {
    private let temporary: TemporaryFolder
    private let disk = FileDisk()

    init() throws { temporary = try TemporaryFolder() }

    private func path(_ name: String) -> String { temporary.path + "/" + name }

    @Test func `a file reads what was written, and no more than it has`() throws {
        let file = try disk.open(path("f"), create: true)
        defer { file.close() }
        try file.write([1, 2, 3, 4], at: 0)
        try file.write([9], at: 6)
        try file.sync()
        let size = try file.size()
        #expect(size == 7)
        let whole = try file.read(at: 0, count: 100)
        #expect(whole == [1, 2, 3, 4, 0, 0, 9])
        let part = try file.read(at: 2, count: 2)
        #expect(part == [3, 4])
        let beyond = try file.read(at: 7, count: 5)
        #expect(beyond.isEmpty)
        try file.truncate(to: 2)
        let cut = try file.read(at: 0, count: 100)
        #expect(cut == [1, 2])
    }

    @Test func `a missing file is nil to read whole, and an error to open`() throws {
        let missing = try disk.contents(of: path("none"))
        #expect(missing == nil)
        let error = storageError { _ = try disk.open(path("none"), create: false) }
        #expect(error == StorageError.io(operation: "open", path: path("none"), errno: 2))
        #expect(!disk.exists(path("none")))
    }

    @Test func `a folder lists by bytes, and a missing one is empty`() throws {
        for name in ["b", "a.log", "B", "a", "_"] { try writeFile(path(name), [1]) }
        let names = try disk.list(temporary.path)
        #expect(names == ["B", "_", "a", "a.log", "b"])
        let none = try disk.list(path("none"))
        #expect(none.isEmpty)
    }

    @Test func `folders are made with the ones above them, again without harm`() throws {
        try disk.makeFolder(path("a/b/c"))
        try disk.makeFolder(path("a/b/c"))
        #expect(disk.exists(path("a/b/c")))
    }

    @Test func `a replaced file holds the new bytes, and nothing stays beside it`() throws {
        try disk.replace(path("f"), with: [1, 2, 3])
        try disk.replace(path("f"), with: [4])
        let content = try readFile(path("f"))
        #expect(content == [4])
        let names = try disk.list(temporary.path)
        #expect(names == ["f"])
    }

    @Test func `a removed file is gone, and removing it again is no error`() throws {
        try writeFile(path("f"), [1])
        try disk.rename(path("f"), to: path("g"))
        #expect(disk.exists(path("g")))
        try disk.remove(path("g"))
        try disk.remove(path("g"))
        try disk.syncFolder(temporary.path)
        #expect(!disk.exists(path("g")))
        let error = storageError { try disk.rename(path("f"), to: path("g")) }
        #expect(error == StorageError.io(operation: "rename", path: path("f"), errno: 2))
    }

    @Test func `space is told, and none for a path that is not there`() {
        let space = disk.space(at: temporary.path)
        #expect(space.totalBytes > 0)
        #expect(space.freeBytes <= space.totalBytes)
        let none = disk.space(at: path("none"))
        #expect(none.totalBytes == 0)
    }

    @Test func `the folder above a path is known`() {
        #expect(parentFolder(of: "/a/b") == "/a")
        #expect(parentFolder(of: "/a") == "/")
        #expect(parentFolder(of: "a") == ".")
        #expect(parentFolder(of: "a/b") == "a")
    }

    @Test func `every error tells its path`() {
        let errors: [StorageError] = [
            .io(operation: "write", path: "/data/x", errno: 5), .full(path: "/data/x"), .locked(path: "/data/x", holder: "process 7"),
            .otherNode(path: "/data/x", found: "a", expected: "b"), .otherCluster(path: "/data/x", found: "a", expected: "b"),
            .newerFormat(path: "/data/x", found: "2", supported: 1), .damaged(path: "/data/x", offset: 9, reason: "r"),
            .gap(path: "/data/x", expected: .zero, found: .zero),
        ]
        for error in errors { #expect(error.description.contains("/data/x")) }
        #expect(Set(errors.map(\.description)).count == errors.count)
        #expect(StorageError.locked(path: "/d", holder: "").description.contains("another process;"))
    }
}

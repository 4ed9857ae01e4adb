import Primitives
import Storage
import Synchronization
import Testing

@testable import Cluster

/// With whom a cluster began, and which folder is which: durable before anybody hears of it (Founding.swift).
struct FoundingTests {
    private let temporary: TemporaryFolder
    private var data: String { temporary.path + "/data" }
    private var file: String { data + "/founding" }
    private let id = "018f3b1e-7c2a-7000-8000-0123456789ab"

    init() throws { temporary = try TemporaryFolder() }

    private func write(_ text: String, to name: String = "founding") throws {
        try FileDisk().makeFolder(data)
        try FileDisk().replace(data + "/" + name, with: Array(text.utf8))
    }

    // MARK: Founding

    @Test func `what was written is read, with its voters in order`() throws {
        #expect(try Founding.read(data, disk: FileDisk()) == nil)
        let founding = Founding(cluster: cluster(1), voters: [try node("c-3"), try node("c-10"), try node("c-1")])
        #expect(founding.voters.map(\.text) == ["c-1", "c-10", "c-3"])
        try founding.write(data, disk: FileDisk())
        #expect(try Founding.read(data, disk: FileDisk()) == founding)
        let other = Founding(cluster: cluster(2), voters: [try node("c-1")])
        try other.write(data, disk: FileDisk())
        #expect(try Founding.read(data, disk: FileDisk()) == other)
    }

    @Test func `a node that came later has no founders`() throws {
        let founding = Founding(cluster: cluster(1), voters: [])
        try founding.write(data, disk: FileDisk())
        #expect(try Founding.read(data, disk: FileDisk()) == founding)
    }

    @Test func `lines that a later program adds are passed over`() throws {
        try write("format 2\ncluster \(id)\nvoters c-1,c-2\nmore\n")
        let found = try #require(try Founding.read(data, disk: FileDisk()))
        #expect(found.cluster.description == id)
        #expect(found.voters.map(\.text) == ["c-1", "c-2"])
    }

    @Test(arguments: [
        "", "\n\n", "cluster 018f3b1e-7c2a-7000-8000-0123456789ab\n", "voters c-1,c-2\n", "cluster c-1\nvoters c-1\n",
        "cluster 018f3b1e-7c2a-7000-8000-0123456789ab\nvoters c-1,C-2\n", "cluster 018f3b1e-7c2a-7000-8000-0123456789a\nvoters c-1\n",
    ])
    func `what cannot be read is damage, and no cluster of its own`(_ text: String) throws {
        try write(text)
        let found = storageError { _ = try Founding.read(data, disk: FileDisk()) }
        guard case .damaged(let path, _, let reason)? = found else {
            Issue.record("\(String(describing: found)) of \(text)")
            return
        }
        #expect(path == file)
        #expect(!reason.isEmpty)
    }

    @Test func `it is on disk before its name is, and its name before anything else happens`() throws {
        let changes = Mutex<[HookedDisk.Change]>([])
        let disk = HookedDisk { change throws(StorageError) in changes.withLock { $0.append(change) } }
        try Founding(cluster: cluster(1), voters: [try node("c-1")]).write(data, disk: disk)
        let made = changes.withLock { $0 }
        #expect(made.first == .makeFolder(data))
        #expect(made.dropFirst().first == .syncFolder(temporary.path), "the folder's own name is lost with the power until then")
        #expect(
            Array(made.suffix(4)) == [.write(file + ".tmp"), .sync(file + ".tmp"), .rename(file + ".tmp", to: file), .syncFolder(data)])
    }

    @Test func `whenever the node falls while it writes, the one before or the new one is there`() throws {
        let (old, new) = (Founding(cluster: cluster(1), voters: [try node("c-1")]), Founding(cluster: cluster(2), voters: []))
        try old.write(data, disk: FileDisk())
        var falls = 0
        for point in 0..<100 {
            let left = Atomic<Int>(point)
            let disk = HookedDisk { change throws(StorageError) in
                if left.subtract(1, ordering: .relaxed).newValue < 0 { throw HookedDisk.error }
            }
            let error = storageError { try new.write(data, disk: disk) }
            let found = try Founding.read(data, disk: FileDisk())
            guard error != nil else {
                #expect(found == new)
                falls = point
                break
            }
            #expect(error == HookedDisk.error)
            #expect(found == old || found == new, "after \(point) changes")
        }
        #expect(falls >= 4)
    }

    // MARK: Folders

    @Test func `a folder gets its id once`() throws {
        let made = Mutex<UInt64>(0)
        func make() -> UUIDv7 {
            made.withLock { made in
                made += 1
                return folder(made)
            }
        }
        #expect(try FolderID.of(data, disk: FileDisk(), make: make) == folder(1))
        #expect(try FolderID.of(data, disk: FileDisk(), make: make) == folder(1))
        #expect(made.withLock { $0 } == 1)
        #expect(try FolderID.of(temporary.path + "/other", disk: FileDisk(), make: make) == folder(2))
    }

    @Test func `a folder's id is durable when it is told`() throws {
        let changes = Mutex<[HookedDisk.Change]>([])
        let disk = HookedDisk { change throws(StorageError) in changes.withLock { $0.append(change) } }
        _ = try FolderID.of(data, disk: disk) { folder(1) }
        let path = data + "/folder"
        let made = changes.withLock { $0 }
        #expect(Array(made.prefix(2)) == [.makeFolder(data), .syncFolder(temporary.path)])
        #expect(
            Array(made.suffix(4)) == [.write(path + ".tmp"), .sync(path + ".tmp"), .rename(path + ".tmp", to: path), .syncFolder(data)])
        let before = made.count
        _ = try FolderID.of(data, disk: disk) { folder(2) }
        #expect(changes.withLock { $0.count } == before, "what is there is not written again")
    }

    @Test(arguments: ["", "\n", "c-1\n", "018f3b1e-7c2a-7000-8000-0123456789a\n"])
    func `a folder whose id cannot be read does not get another one`(_ text: String) throws {
        try write(text, to: "folder")
        let found = storageError { _ = try FolderID.of(data, disk: FileDisk()) { folder(1) } }
        guard case .damaged(let path, _, _)? = found else {
            Issue.record("\(String(describing: found)) of '\(text)'")
            return
        }
        #expect(path == data + "/folder")
        let bytes = try FileDisk().contents(of: path)
        #expect(bytes == Array(text.utf8), "and stays as it is")
    }
}

import Observability
import Primitives
import Storage
import Synchronization
import Testing
import Transport
import Wire

@testable import Cluster

/// Which data folder is behind a node's id, and what of it all is kept on disk (PeerDirectory.swift).
struct PeerDirectoryFileTests {
    private let temporary: TemporaryFolder
    private var path: String { temporary.path + "/peers" }

    init() throws { temporary = try TemporaryFolder() }

    /// Of node c-1.
    private func directory(disk: any Disk = FileDisk()) throws -> PeerDirectory {
        try PeerDirectory(
            own: OwnHello(try hello("c-1", at: "127.0.0.1:1") { $0.folder = folder(1) }), node: try node("c-1"), disk: disk, path: path,
            clock: HandClock())
    }

    private func text() throws -> String {
        let bytes = try FileDisk().contents(of: path)
        return String(decoding: try #require(bytes), as: UTF8.self)
    }

    private func write(_ text: String) throws { try FileDisk().replace(path, with: Array(text.utf8)) }

    private func members(_ ids: String...) throws -> [NodeID] { try ids.map { try node($0) } }

    // MARK: Folders

    @Test func `whoever comes with another folder under a member's id is refused, is told what to do, and is not noted`() throws {
        let directory = try directory()
        let second = try node("c-2")
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 1) { $0.folder = folder(2) })
        #expect(directory.refusal(of: second, folder: folder(9)) == nil, "it belongs to nobody yet")
        directory.keep(members: try members("c-1", "c-2"))
        let refusal = try #require(directory.refusal(of: second, folder: folder(9)))
        #expect(refusal.contains("'c-2'"))
        #expect(refusal.contains("distric raft remove c-2"))
        #expect(refusal.contains("--join"))
        #expect(directory.refusal(of: second, folder: folder(2)) == nil)
        #expect(directory.refusal(of: second, folder: nil) == nil, "an older program says nothing of its folder")
        directory.heard(try hello("c-2", at: "127.0.0.1:9", epoch: 9) { $0.folder = folder(9) })
        directory.merge([try news("c-2", at: "127.0.0.1:9", epoch: 9, ["folder=\(folder(9))"])])
        #expect(directory.facts(second)?.address == .tcp(host: "127.0.0.1", port: 2))
        #expect(directory.facts(second)?.folder == folder(2))
    }

    @Test func `this node's own id is taken, whatever the folder`() throws {
        let directory = try directory()
        let refusal = try #require(directory.refusal(of: try node("c-1"), folder: folder(7)))
        #expect(refusal.contains("'c-1'"))
        #expect(refusal.contains("--id"))
    }

    @Test func `the folder with which a member came first stays its own`() throws {
        let directory = try directory()
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 1) { $0.folder = folder(2) })
        directory.keep(members: try members("c-1", "c-2"))
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 2))
        directory.keep(members: try members("c-1", "c-2"))
        #expect(directory.refusal(of: try node("c-2"), folder: folder(9)) != nil)
        #expect(directory.refusal(of: try node("c-2"), folder: folder(2)) == nil)
    }

    @Test func `who is no member any more may come with another folder`() throws {
        let directory = try directory()
        let second = try node("c-2")
        directory.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 1) { $0.folder = folder(2) })
        directory.keep(members: try members("c-1", "c-2", "c-3"))
        directory.keep(members: try members("c-1", "c-3"))
        #expect(directory.refusal(of: second, folder: folder(9)) == nil)
        directory.heard(try hello("c-2", at: "127.0.0.1:9", epoch: 9) { $0.folder = folder(9) })
        #expect(directory.facts(second)?.folder == folder(9))
        directory.keep(members: try members("c-1", "c-2"))
        #expect(directory.refusal(of: second, folder: folder(2)) != nil)
    }

    // MARK: On disk

    @Test func `where coordinators were and which folder is theirs is found again`() throws {
        let before = try directory()
        before.heard(try hello("c-3", at: "[::1]:3", epoch: 5))
        before.heard(
            try hello("c-2", at: "127.0.0.1:2", epoch: 5) { ($0.folder, $0.http, $0.cluster) = (folder(2), "http://h", cluster(1)) })
        before.heard(try hello("w-1", at: "127.0.0.1:4", epoch: 5) { $0.roles = ["worker"] })
        before.keep(members: try members("c-1", "c-2", "c-3"))
        try before.save()
        #expect(try text() == "c-2 127.0.0.1:2 \(folder(2)) member\nc-3 [::1]:3 - member\n")
        let after = try directory()
        #expect(after.all.map(\.node.text) == ["c-1", "c-2", "c-3"])
        var expected = PeerDirectory.Facts(node: try node("c-2"), address: .tcp(host: "127.0.0.1", port: 2))
        (expected.folder, expected.roles) = (folder(2), ["coordinator"])
        #expect(after.facts(try node("c-2")) == expected)
        #expect(after.facts(try node("c-3"))?.address == .tcp(host: "::1", port: 3))
        #expect(after.recordedMembers == (try members("c-2", "c-3")))
        #expect(after.refusal(of: try node("c-2"), folder: folder(9)) != nil)
        #expect(after.refusal(of: try node("c-3"), folder: folder(9)) == nil)
        // Whatever the node says itself is newer.
        after.heard(try hello("c-2", at: "127.0.0.1:5", epoch: 1) { $0.folder = folder(2) })
        #expect(after.facts(try node("c-2"))?.address == .tcp(host: "127.0.0.1", port: 5))
    }

    @Test func `a folder that was kept is written, whoever came since`() throws {
        let before = try directory()
        before.heard(try hello("c-2", at: "127.0.0.1:2", epoch: 1) { $0.folder = folder(2) })
        before.keep(members: try members("c-1", "c-2"))
        before.heard(try hello("c-2", at: "127.0.0.1:3", epoch: 2))
        try before.save()
        #expect(try text() == "c-2 127.0.0.1:3 \(folder(2)) member\n")
    }

    @Test func `nothing is written where nothing has changed`() throws {
        let changes = Mutex<[HookedDisk.Change]>([])
        let directory = try directory(disk: HookedDisk { change throws(StorageError) in changes.withLock { $0.append(change) } })
        func wrote(_ body: () throws -> Void) throws -> Bool {
            changes.withLock { $0 = [] }
            try body()
            try directory.save()
            return changes.withLock { !$0.isEmpty }
        }
        #expect(try !wrote {})
        #expect(try wrote { directory.heard(try hello("c-2", at: "127.0.0.1:2") { $0.folder = folder(2) }) })
        #expect(try !wrote {})
        #expect(try !wrote { directory.heard(try hello("c-2", at: "127.0.0.1:2") { ($0.folder, $0.http) = (folder(2), "http://h") }) })
        #expect(try wrote { directory.keep(members: try members("c-1", "c-2")) })
        #expect(try !wrote { directory.keep(members: try members("c-1", "c-2")) })
        #expect(try wrote { directory.keep(members: try members("c-1")) })
    }

    @Test func `a line that cannot be read is passed over, and the others count`() throws {
        try write(
            """
            c-2 127.0.0.1:2 \(folder(2))
            C-3 127.0.0.1:3 -

            c-4
            c-5 127.0.0.1
            c-6 nowhere:port -
            c-7 127.0.0.1:7 no-folder
            c-8 127.0.0.1:8 - and what a later program adds

            """)
        let directory = try directory()
        #expect(directory.all.map(\.node.text) == ["c-1", "c-2", "c-7", "c-8"])
        #expect(directory.facts(try node("c-2"))?.folder == folder(2))
        #expect(directory.facts(try node("c-7"))?.folder == nil)
        try FileDisk().replace(path, with: [0xFF, 0xFE, 0x0A, 0x20, 0x0A])
        #expect(try self.directory().all.map(\.node.text) == ["c-1"])
    }

    @Test func `who belonged to the cluster is told from who was only seen`() throws {
        let before = try directory()
        for number in 2...4 { before.heard(try hello("c-\(number)", at: "127.0.0.1:\(number)") { $0.folder = folder(UInt64(number)) }) }
        before.keep(members: try members("c-1", "c-2", "c-3"))
        try before.save()
        #expect(try directory().recordedMembers == (try members("c-2", "c-3")))
        // One went: that alone is worth writing down.
        before.keep(members: try members("c-1", "c-2"))
        try before.save()
        #expect(try directory().recordedMembers == (try members("c-2")))
        // A program that did not tell them apart.
        try write("c-2 127.0.0.1:2 \(folder(2))\n")
        #expect(try directory().recordedMembers.isEmpty)
    }

    @Test func `a disk that cannot be read or written is told of`() throws {
        let isGone = Atomic(false)
        let disk = HookedDisk { change throws(StorageError) in
            if isGone.load(ordering: .relaxed) { throw HookedDisk.error }
        }
        let directory = try directory(disk: disk)
        directory.heard(try hello("c-2", at: "127.0.0.1:2"))
        isGone.store(true, ordering: .relaxed)
        #expect(storageError { try directory.save() } == HookedDisk.error)
        try FileDisk().makeFolder(path)
        #expect(storageError { _ = try self.directory() } != nil)
    }
}

import Primitives
import Synchronization
import Testing

@testable import Storage

/// A damaged snapshot is kept as it was found, under another name (SnapshotStore+Damage.swift).
struct SetAsideTests {
    private let temporary: TemporaryFolder
    private let store: SnapshotStore
    private var folder: String { temporary.path + "/snapshots" }
    private let stem = "00000000000000000007-00000000000000000002"

    init() throws {
        temporary = try TemporaryFolder()
        store = SnapshotStore(disk: FileDisk(), folder: temporary.path + "/snapshots")
    }

    private func write(_ index: UInt64 = 7, _ bytes: [UInt8] = [1, 2, 3], configuration: String = "") throws {
        var pieces = [bytes].makeIterator()
        let position = SegmentedLog.Position(index: LogIndex(index), term: Term(2), chain: 1)
        _ = try store.write(.init(position: position, digest: StateDigest(), featureLevel: 1, configuration: configuration)) {
            pieces.next()
        }
    }

    @Test func `it is no snapshot any more, and all of it is there`() throws {
        try write()
        try FileDisk().replace(folder + "/\(stem).state", with: [9])
        let renamed = try store.setAsideNewest()
        #expect(renamed == [folder + "/\(stem).state.damaged", folder + "/\(stem).manifest.damaged"])
        #expect(try store.newest()?.0 == nil)
        #expect(try FileDisk().contents(of: renamed[0]) == [9])
        #expect(try store.setAsideNewest() == [])
    }

    @Test func `the one before it, where that is still there, is the newest then`() throws {
        try write(5)
        store.hold(.init(index: LogIndex(5), term: Term(2), chain: 1))
        try write(7)
        _ = try store.setAsideNewest()
        #expect(try store.newest()?.0.position.index == LogIndex(5))
    }

    @Test func `neither a newer snapshot nor another damage of the same one removes it`() throws {
        for byte in [9, 8] as [UInt8] {
            try write()
            try FileDisk().replace(folder + "/\(stem).state", with: [byte])
            _ = try store.setAsideNewest()
        }
        try write(20)
        let names = try FileDisk().list(folder).filter { $0.hasSuffix(".damaged") }
        #expect(names == ["manifest.2", "manifest", "state.2", "state"].map { "\(stem).\($0).damaged" })
        #expect(try FileDisk().contents(of: folder + "/\(stem).state.damaged") == [9])
        #expect(try FileDisk().contents(of: folder + "/\(stem).state.2.damaged") == [8])
    }

    /// A manifest that is gone before its state is would make the state one that a crash left, which is removed.
    @Test func `whenever it is broken off, it goes on at the next start`() throws {
        for step in 0..<3 {
            try write()
            try FileDisk().replace(folder + "/\(stem).state", with: [UInt8(step)])
            let renames = Atomic(0)
            let disk = HookedDisk { change throws(StorageError) in
                guard case .rename = change, renames.add(1, ordering: .relaxed).oldValue == step else { return }
                throw FaultyDisk.error
            }
            _ = try? SnapshotStore(disk: disk, folder: folder).setAsideNewest()
            _ = try store.setAsideNewest()
            #expect(try store.newest()?.0 == nil)
            let kept = try FileDisk().list(folder).filter { $0.contains(".state.") }
            #expect(kept.count == step + 1, "\(kept)")
        }
    }

    @Test func `what it said is known without its state`() throws {
        #expect(store.newestClaim() == nil)
        try write(configuration: "voters=a,b outgoing= learners= target=")
        try FileDisk().remove(folder + "/\(stem).state")
        #expect(store.newestClaim()?.configuration == "voters=a,b outgoing= learners= target=")
        try FileDisk().replace(folder + "/\(stem).manifest", with: [1])
        #expect(store.newestClaim() == nil)
    }
}

/// What was committed when a server wrote that down (CommitMark.swift).
struct CommitMarkTests {
    private let temporary: TemporaryFolder

    init() throws { temporary = try TemporaryFolder() }

    @Test func `it is read as it was written last`() throws {
        #expect(CommitMark.read(temporary.path, disk: FileDisk()) == nil)
        for index in [7, 1_000_000] as [UInt64] {
            let mark = CommitMark(index: LogIndex(index), term: Term(3))
            try mark.write(temporary.path, disk: FileDisk())
            #expect(CommitMark.read(temporary.path, disk: FileDisk()) == mark)
        }
        #expect(try FileDisk().list(temporary.path) == ["committed"])
    }

    @Test func `a damaged one is none`() throws {
        try CommitMark(index: LogIndex(7), term: Term(3)).write(temporary.path, disk: FileDisk())
        let path = temporary.path + "/committed"
        let bytes = try #require(try FileDisk().contents(of: path))
        for place in bytes.indices.dropLast() {
            var changed = bytes
            changed[place] ^= 0x01
            try FileDisk().replace(path, with: changed)
            #expect(CommitMark.read(temporary.path, disk: FileDisk()) == nil, "byte \(place)")
            try FileDisk().replace(path, with: Array(bytes[..<place]))
            #expect(CommitMark.read(temporary.path, disk: FileDisk()) == nil, "\(place) bytes")
        }
    }
}

struct WayBackTests {
    /// An older copy, or another node's folder, is how acknowledged data is lost.
    @Test func `damage is answered with commands to type, and none of them puts back a copy`() {
        let path = "/data/raft/log"
        for error in [
            StorageError.damaged(path: path, offset: 1, reason: "torn"), .gap(path: path, expected: LogIndex(7), found: LogIndex(3)),
        ] {
            let text = error.description
            for command in ["distric raft remove ID", "distric node --id NEW-ID --data EMPTY-FOLDER --join", "distric backup restore FILE"]
            {
                #expect(text.contains(command), "\(text)")
            }
            #expect(text.contains("Never put back an older copy"))
            #expect(!text.contains("restore the folder from"))
        }
    }
}

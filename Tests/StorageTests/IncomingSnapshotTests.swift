import Primitives
import Testing

@testable import Storage

/// A snapshot comes from a leader in chunks, and a transfer that was cut goes on where it was (Raft section 7; IncomingSnapshot.swift).
struct IncomingSnapshotTests {
    private let temporary: TemporaryFolder
    private let store: SnapshotStore
    private var folder: String { temporary.path + "/snapshots" }
    private let state = (0..<10_500).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    private static let chunkBytes = 1000

    init() throws {
        temporary = try TemporaryFolder()
        store = SnapshotStore(disk: FileDisk(), folder: temporary.path + "/snapshots")
    }

    private func manifest(index: UInt64 = 70, crc: UInt32? = nil, configuration: String = "voters a,b,c") -> SnapshotStore.Manifest {
        SnapshotStore.Manifest(
            position: .init(index: LogIndex(index), term: Term(2), chain: 0xAB), digest: StateDigest(high: 1, low: 2), featureLevel: 1,
            bytes: state.count, crc: crc ?? checksum(state), configuration: configuration)
    }

    private func chunk(_ number: UInt32) -> [UInt8] { Array(state.dropFirst(Int(number) * Self.chunkBytes).prefix(Self.chunkBytes)) }

    /// Receives up to `count` chunks from the one that is wanted.
    private func feed(_ incoming: IncomingSnapshot, _ count: Int = .max) throws {
        var left = count
        while !incoming.isComplete, left > 0 {
            let number = incoming.nextChunk
            try incoming.receive(chunk: number, offset: Int(number) * Self.chunkBytes, chunk(number))
            left -= 1
        }
    }

    private func expectWhole(_ store: SnapshotStore, _ comment: Comment) throws {
        let newest = try store.newest()
        #expect(newest?.1 == state, comment)
        #expect(newest?.0.isInstalled == true, comment)
        #expect(newest?.0.configuration == "voters a,b,c", comment)
        #expect(newest?.0.position == manifest().position, comment)
    }

    @Test func `a transfer that is cut after any chunk goes on with the next`() throws {
        for cut in 0...11 {
            let store = SnapshotStore(disk: FileDisk(), folder: folder + "-\(cut)")
            let first = try store.receive(begin: manifest(), syncBytes: 0)
            try feed(first, cut)
            first.close()
            let none = try store.newest()
            #expect(none?.0 == nil, "cut after \(cut)")
            let number = try store.resumeNumber(for: manifest())
            #expect(number == UInt32(cut))
            let second = try store.receive(begin: manifest(), syncBytes: 0)
            #expect(second.nextChunk == UInt32(cut))
            #expect(second.bytes == min(cut * Self.chunkBytes, state.count))
            try feed(second)
            let installed = try second.finishReceiving()
            #expect(installed.isInstalled)
            try expectWhole(store, "cut after \(cut)")
            let names = try FileDisk().list(folder + "-\(cut)")
            #expect(names == ["00000000000000000070-00000000000000000002.manifest", "00000000000000000070-00000000000000000002.state"])
        }
    }

    @Test func `a crash at any change of the disk loses no chunk that was durable, and shows no half of a snapshot`() throws {
        var durable: UInt32 = 0
        try Crash.atEveryChange(
            prepare: { _ in durable = 0 },
            act: { disk, folder in
                durable = 0
                let incoming = try SnapshotStore(disk: disk, folder: folder).receive(begin: manifest(), syncBytes: 0)
                defer { incoming.close() }
                while !incoming.isComplete {
                    try feed(incoming, 1)
                    durable = incoming.nextChunk
                }
                _ = try incoming.finishReceiving()
            },
            check: { crash in
                let store = SnapshotStore(disk: FileDisk(), folder: crash.folder)
                if let newest = try store.newest() {
                    #expect(newest.1 == state, "at change \(crash.point)")
                } else {
                    #expect(!crash.isOver)
                }
                let incoming = try store.receive(begin: manifest(), syncBytes: 0)
                #expect(incoming.isComplete || incoming.nextChunk >= durable, "at change \(crash.point)")
                try feed(incoming)
                _ = try incoming.finishReceiving()
                try expectWhole(store, "at change \(crash.point)")
            })
    }

    @Test func `only so much comes again as was not made durable`() throws {
        let first = try store.receive(begin: manifest(), syncBytes: 3000)
        try feed(first, 5)
        first.close()
        let number = try store.resumeNumber(for: manifest())
        #expect(number == 3)
        let second = try store.receive(begin: manifest(), syncBytes: 3000)
        #expect(second.bytes == 3000)
        try feed(second)
        _ = try second.finishReceiving()
        try expectWhole(store, "after the cut")
    }

    @Test func `a chunk twice, too early or from elsewhere changes nothing`() throws {
        let incoming = try store.receive(begin: manifest())
        try feed(incoming, 3)
        for (number, offset) in [(UInt32(2), 2000), (0, 0), (4, 4000), (3, 2000), (3, 4000), (9, 3000)] {
            let wanted = try incoming.receive(chunk: number, offset: offset, chunk(number))
            #expect(wanted == 3)
            #expect(incoming.bytes == 3000)
        }
        try feed(incoming)
        let wanted = try incoming.receive(chunk: 11, offset: state.count, [1])
        #expect(wanted == 11)
        _ = try incoming.finishReceiving()
        try expectWhole(store, "with strange chunks")
    }

    @Test func `more bytes than the manifest tells, or fewer, are damage`() throws {
        let incoming = try store.receive(begin: manifest())
        let partial = folder + "/00000000000000000070-00000000000000000002.partial"
        let more = storageError { try incoming.receive(chunk: 0, offset: 0, [UInt8](repeating: 1, count: state.count + 1)) }
        let reason = "a chunk of 10501 bytes goes beyond the manifest's 10500"
        #expect(more == StorageError.damaged(path: partial, offset: 0, reason: reason))
        try feed(incoming, 2)
        let fewer = storageError { _ = try incoming.finishReceiving() }
        #expect(fewer == StorageError.damaged(path: partial, offset: 2000, reason: "2000 of 10500 bytes have come"))
        let none = try store.newest()
        #expect(none?.0 == nil)
    }

    @Test func `bytes that are not what the manifest says are dropped, and come again`() throws {
        let wrong = try store.receive(begin: manifest(), syncBytes: 0)
        try wrong.receive(chunk: 0, offset: 0, [UInt8](repeating: 7, count: Self.chunkBytes))
        try feed(wrong)
        let error = storageError { _ = try wrong.finishReceiving() }
        let partial = folder + "/00000000000000000070-00000000000000000002.partial"
        #expect(error == StorageError.damaged(path: partial, offset: 0, reason: "checksum differs from its manifest's"))
        let names = try FileDisk().list(folder)
        #expect(names.isEmpty)
        let number = try store.resumeNumber(for: manifest())
        #expect(number == 0)
        let right = try store.receive(begin: manifest())
        try feed(right)
        _ = try right.finishReceiving()
        try expectWhole(store, "the second time")
    }

    @Test func `what came of another snapshot is removed, and never taken for this one`() throws {
        for other in [manifest(index: 60), manifest(index: 90), manifest(crc: 1), manifest(configuration: "voters a")] {
            let place = folder + "-\(other.position.index)-\(other.crc)-\(other.configuration.utf8.count)"
            let store = SnapshotStore(disk: FileDisk(), folder: place)
            let stale = try store.receive(begin: other, syncBytes: 0)
            try feed(stale, 4)
            stale.close()
            let number = try store.resumeNumber(for: manifest())
            #expect(number == 0)
            let incoming = try store.receive(begin: manifest(), syncBytes: 0)
            #expect(incoming.nextChunk == 0)
            let names = try FileDisk().list(place)
            #expect(names == ["00000000000000000070-00000000000000000002.partial"])
            try feed(incoming)
            _ = try incoming.finishReceiving()
            try expectWhole(store, "after another")
        }
    }

    @Test(arguments: [".progress", ".partial"])
    func `a transfer whose files are damaged begins anew or is found out at its end`(suffix: String) throws {
        let first = try store.receive(begin: manifest(), syncBytes: 0)
        try feed(first, 6)
        first.close()
        let path = folder + "/00000000000000000070-00000000000000000002" + suffix
        let whole = try readFile(path)
        let changed: [[UInt8]] = [[], Array(whole[..<(whole.count / 2)]), [UInt8](repeating: 0, count: whole.count)]
        for bytes in changed {
            try writeFile(path, bytes)
            let incoming = try store.receive(begin: manifest(), syncBytes: 0)
            try feed(incoming)
            if let error = storageError({ _ = try incoming.finishReceiving() }) {
                guard case .damaged = error else {
                    Issue.record("\(error)")
                    continue
                }
                let again = try store.receive(begin: manifest(), syncBytes: 0)
                #expect(again.nextChunk == 0)
                try feed(again)
                _ = try again.finishReceiving()
            }
            try expectWhole(store, "\(bytes.count) bytes in \(suffix)")
            for name in try FileDisk().list(folder) { try FileDisk().remove(folder + "/" + name) }
            let next = try store.receive(begin: manifest(), syncBytes: 0)
            try feed(next, 6)
            next.close()
        }
    }

    @Test func `a snapshot that is here already needs nothing and is not touched`() throws {
        let first = try store.receive(begin: manifest())
        try feed(first)
        _ = try first.finishReceiving()
        let files = try contents(folder)
        let again = try store.receive(begin: manifest())
        #expect(again.isComplete)
        let known = try again.finishReceiving()
        #expect(known.crc == checksum(state))
        let after = try contents(folder)
        #expect(after == files)
    }

    @Test func `an empty state can be received`() throws {
        var empty = manifest()
        (empty.bytes, empty.crc) = (0, 0)
        let incoming = try store.receive(begin: empty)
        #expect(incoming.isComplete)
        _ = try incoming.finishReceiving()
        let newest = try store.newest()
        #expect(newest?.1.isEmpty == true)
    }

    @Test func `a manifest that cannot be written is refused, not trapped on`() {
        var strange = [manifest(configuration: "a\nindex 9"), manifest(configuration: "a\r"), manifest(index: .max), manifest()]
        strange[3].bytes = -1
        for manifest in strange {
            let error = storageError { _ = try store.receive(begin: manifest) }
            guard case .damaged? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
    }
}

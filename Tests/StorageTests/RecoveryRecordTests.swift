import Primitives
import Testing

@testable import Storage

/// What was made of a folder, in the folder (RecoveryRecord.swift).
struct RecoveryRecordTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path }

    init() throws { temporary = try TemporaryFolder() }

    private func record(_ loss: RecoveryRecord.Loss = .entries(3)) throws -> RecoveryRecord {
        RecoveryRecord(
            node: try NodeID("c-1"), cluster: UUIDv7(high: 0x018f_3b1e_7c2a_7000, low: 1), epochBefore: 1, epoch: 2,
            at: ClusterTime(milliseconds: 1_700_000_000_123), lastIndex: LogIndex(17), lastTerm: Term(4), term: Term(1005),
            configurationBefore: "voters=c-1,c-2,c-3 outgoing= learners= target=", loss: loss)
    }

    @Test func `a folder that never was recovered has none`() throws {
        let found = try RecoveryRecord.read(folder, disk: FileDisk())
        #expect(found == nil)
    }

    @Test(arguments: [RecoveryRecord.Loss.none, .entries(1), .entries(.max), .uncounted])
    func `it reads back as it was written`(loss: RecoveryRecord.Loss) throws {
        for isFinished in [false, true] {
            var record = try record(loss)
            record.isFinished = isFinished
            try record.write(to: folder, disk: FileDisk())
            let found = try RecoveryRecord.read(folder, disk: FileDisk())
            #expect(found == record)
        }
    }

    @Test func `people can read it`() throws {
        try record().write(to: folder, disk: FileDisk())
        let text = String(decoding: try readFile(folder + "/recovered"), as: UTF8.self)
        #expect(text.hasPrefix("distric-recovered 1\nstate unfinished\nat 2023-11-14T22:13:20.123Z\nnode c-1\n"), "\(text)")
        #expect(text.contains("\nepoch-before 1\nepoch 2\nlast-index 17\nlast-term 4\nterm 1005\nlost-entries 3\n"), "\(text)")
    }

    @Test func `no damage passes`() throws {
        try record().write(to: folder, disk: FileDisk())
        let whole = try readFile(folder + "/recovered")
        for place in whole.indices {
            var bytes = whole
            bytes[place] ^= 1
            try writeFile(folder + "/recovered", bytes)
            #expect(storageError { _ = try RecoveryRecord.read(folder, disk: FileDisk()) } != nil, "byte \(place)")
        }
        // The newline at its end is not missed.
        for length in whole.indices.dropLast() {
            try writeFile(folder + "/recovered", Array(whole.prefix(length)))
            #expect(storageError { _ = try RecoveryRecord.read(folder, disk: FileDisk()) } != nil, "\(length) bytes")
        }
    }

    @Test func `one of a newer program is refused`() throws {
        let text = SealedText([("distric-recovered", "2"), ("state", "finished")]).bytes(seal: "recovered-crc32c")
        try writeFile(folder + "/recovered", text)
        let error = storageError { _ = try RecoveryRecord.read(folder, disk: FileDisk()) }
        #expect(error == StorageError.newerFormat(path: folder + "/recovered", found: "format 2", supported: 1))
    }
}

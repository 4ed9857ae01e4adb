import Primitives

@testable import Storage

/// Entries 1 to 60 of 200 bytes, each durable before the next was written, 16 in each of three files and 12 in a fourth: written once,
/// then copied.
enum SampleLog {
    static let entries = StorageTests.entries(1...60, bytes: 200)
    static let recordBytes = Record.size(payload: 200)
    /// The first index of each file.
    static let firsts: [UInt64] = [1, 17, 33, 49]

    private static let files = Result { () throws -> [String: [UInt8]] in
        let temporary = try TemporaryFolder()
        defer { withExtendedLifetime(temporary) {} }
        let folder = temporary.path + "/log"
        try writeLog(folder, groups: entries.map { [$0] })
        try withLog(folder) { log in try log.mark() }
        return try contents(folder)
    }

    /// - Parameter isMarked: the mark beside the files says that all 60 are on disk.
    static func write(to folder: String, isMarked: Bool = false) throws {
        let files = try files.get()
        try FileDisk().makeFolder(folder)
        for name in files.keys.sorted() where name != "durable" || isMarked { try writeFile(folder + "/" + name, files[name] ?? []) }
    }

    static func prefix(_ count: Int) -> [LogEntry] { Array(entries.prefix(count)) }
}

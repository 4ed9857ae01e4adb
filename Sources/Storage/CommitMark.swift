package import Primitives

/// An entry of which a server knew that it was committed, beside its log in the file `committed`: so that a server that starts without the others can
/// show what it had applied.
///
/// It is a hint, and written without a sync: what a power cut leaves of it does not bear its checksum, and an older one is as true. Whoever reads it must
/// find the entry in the log under the same term: then all before it is the same, too (Raft section 5.3, log matching).
package struct CommitMark: Equatable, Sendable {
    private static let seal = "committed-crc32c"

    package var index: LogIndex
    package var term: Term

    package init(index: LogIndex, term: Term) { (self.index, self.term) = (index, term) }

    private static func file(_ folder: String) -> String { folder + "/committed" }

    /// Nil when there is none, or none that can be read.
    package static func read(_ folder: String, disk: any Disk) -> CommitMark? {
        let file = file(folder)
        guard let bytes = try? disk.contents(of: file), let text = try? SealedText(reading: bytes, seal: seal, path: file),
            let index = text["index"].flatMap({ UInt64($0) }), let term = text["term"].flatMap({ UInt64($0) })
        else { return nil }
        return CommitMark(index: LogIndex(index), term: Term(term))
    }

    package func write(_ folder: String, disk: any Disk) throws(StorageError) {
        let (path, bytes) = (Self.file(folder), SealedText([("index", "\(index)"), ("term", "\(term)")]).bytes(seal: Self.seal))
        let file = try disk.open(path + ".tmp", create: true)
        defer { file.close() }
        try file.truncate(to: 0)
        try file.write(bytes, at: 0)
        try disk.rename(path + ".tmp", to: path)
    }
}

package import Primitives
package import Storage

/// The files of a history as they lie on disk, looked at beside whoever writes them: for backups, and for folders whose node does not run.
package struct HistoryFiles: Sendable {
    let disk: any Disk
    let folder: String

    package init(disk: any Disk, folder: String) {
        self.disk = disk
        self.folder = folder
    }

    func path(_ number: UInt64, _ ending: String) -> String {
        let digits = String(number)
        return "\(folder)/\(String(repeating: "0", count: 12 - digits.utf8.count))\(digits).\(ending)"
    }

    /// Of the files, oldest first.
    func numbers() throws(StorageError) -> [UInt64] {
        try disk.list(folder).filter { $0.hasSuffix(".records") && $0.utf8.count == 20 }.compactMap { UInt64($0.dropLast(8)) }.sorted()
    }

    /// The highest log index of which something is stored and can be read; zero when nothing is.
    package func lastIndex() throws(StorageError) -> LogIndex {
        for number in try numbers().reversed() {
            if let found = try sealedIndex(number) { return found }
            let found = try scannedIndex(number)
            if found > .zero { return found }
        }
        return .zero
    }

    private func sealedIndex(_ number: UInt64) throws(StorageError) -> LogIndex? {
        guard disk.exists(path(number, "index")) else { return nil }
        let file = try disk.open(path(number, "index"), create: false)
        defer { file.close() }
        return try HistoryIndex.trailer(of: file)?.lastIndex
    }

    private func scannedIndex(_ number: UInt64) throws(StorageError) -> LogIndex {
        let bytes = try disk.contents(of: path(number, "records")) ?? []
        return bytes.withUnsafeBytes { raw in
            HistoryIndex.offsets(in: bytes).offsets.reduce(.zero) { max($0, HistoryRecord.read(raw, at: $1)?.index ?? .zero) }
        }
    }

    // MARK: Reading

    /// Hands out the records that entries up to one index gave, oldest first, holding one file at a time.
    package struct Reader: Sendable {
        private static let pieceBytes = 256 << 10

        private let files: HistoryFiles
        private let end: LogIndex
        private var numbers: ArraySlice<UInt64>
        private var bytes: [UInt8] = []
        private var offsets: ArraySlice<Int> = []

        fileprivate init(_ files: HistoryFiles, through end: LogIndex) throws(StorageError) {
            self.files = files
            self.end = end
            numbers = try files.numbers()[...]
        }

        /// Whole records, about 256 KiB of them or one that is larger; nil at the end.
        package mutating func next() throws(StorageError) -> [UInt8]? {
            while true {
                let piece = pieceOfFile()
                guard piece.isEmpty else { return piece }
                guard let number = numbers.popFirst() else { return nil }
                // One that has gone meanwhile was too old to be kept.
                bytes = try files.disk.contents(of: files.path(number, "records")) ?? []
                offsets = HistoryIndex.offsets(in: bytes).offsets[...]
            }
        }

        private mutating func pieceOfFile() -> [UInt8] {
            var piece: [UInt8] = []
            while piece.count < Self.pieceBytes, let offset = offsets.popFirst() {
                guard let record = bytes.withUnsafeBytes({ HistoryRecord.read($0, at: offset) }), record.index <= end else { continue }
                piece += bytes[offset..<offset + HistoryRecord.headBytes + record.payload.count]
            }
            return piece
        }
    }

    package func reader(through end: LogIndex) throws(StorageError) -> Reader { try Reader(self, through: end) }

    // MARK: Cutting

    /// Drops what entries after one index gave: a log that does not reach them any more brings others in their place. The files as they
    /// were
    /// stay beside, as `.records.lost`.
    ///
    /// - Returns: how many records that were.
    package func drop(after end: LogIndex) throws(StorageError) -> Int {
        var dropped = 0
        for number in try numbers() {
            let records = path(number, "records")
            let bytes = try disk.contents(of: records) ?? []
            var kept: [UInt8] = []
            var count = 0
            for offset in HistoryIndex.offsets(in: bytes).offsets {
                guard let record = bytes.withUnsafeBytes({ HistoryRecord.read($0, at: offset) }) else { continue }
                if record.index > end {
                    count += 1
                } else {
                    kept += bytes[offset..<offset + HistoryRecord.headBytes + record.payload.count]
                }
            }
            guard count > 0 else { continue }
            dropped += count
            if !disk.exists(records + ".lost") { try disk.replace(records + ".lost", with: bytes) }
            // An index of what is no longer so must not outlive it; opening makes one again.
            try disk.remove(path(number, "index"))
            try disk.syncFolder(folder)
            try disk.replace(records, with: kept)
        }
        return dropped
    }
}

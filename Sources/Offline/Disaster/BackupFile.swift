import Coordinator
package import Primitives
package import Storage

/// A backup in a file, read from its beginning to its end, a piece at a time.
package struct BackupFile: Sendable {
    private static let pieceBytes = 1 << 20

    package let path: String
    private let disk: any Disk

    package init(_ path: String, disk: any Disk = ReadOnlyDisk()) {
        self.path = path
        self.disk = disk
    }

    /// What a whole one holds.
    package struct Verdict: Equatable, Sendable {
        package var cluster: UUIDv7
        /// Who made it.
        package var node: NodeID
        package var index: LogIndex
        package var term: Term
        package var time: ClusterTime
        package var featureLevel: UInt16
        package var bytes: Int
        package var openRuns: Int
        package var definitions: Int
        package var catalogVersion: UInt64
        /// Of records of the history; nil when it was left out.
        package var historyBytes: Int?

        /// For programs.
        package var value: Value {
            [
                "cluster": .string(cluster.description), "node": .string(node.text), "index": Value(index.number),
                "term": Value(term.number),
                "time": .string(time.rfc3339), "featureLevel": Value(Int(featureLevel)), "openRuns": Value(openRuns),
                "definitions": Value(definitions), "catalogVersion": Value(catalogVersion),
                "historyBytes": historyBytes.map { Value($0) } ?? .null, "bytes": Value(bytes),
            ]
        }
    }

    /// Reads all of it, checks every checksum, and decodes the state.
    package func verified() throws(DisasterProblem) -> Verdict { try whole().verdict }

    /// The same, and the state.
    func whole() throws(DisasterProblem) -> (verdict: Verdict, state: CoordinatorState) {
        var contents = BackupContents()
        let bytes = try read { part, offset throws(BackupProblem) in contents.take(part, at: offset) }
        let state: CoordinatorState
        do throws(BackupProblem) { state = try contents.state() } catch { throw DisasterProblem(error, in: path) }
        guard let header = contents.header else { throw DisasterProblem(BackupProblem.cut(offset: 0), in: path) }
        let verdict = Verdict(
            cluster: header.cluster, node: header.node, index: header.index, term: header.term, time: header.time,
            featureLevel: header.featureLevel, bytes: bytes, openRuns: state.runs.count, definitions: state.definitions.count,
            catalogVersion: state.catalogVersion, historyBytes: header.hasHistory ? contents.historyBytes : nil)
        return (verdict, state)
    }

    /// Nothing but a folder has something in itself.
    private var isFolder: Bool { disk.exists(path + "/.") }

    /// What cannot be read is no backup; nothing was to be written.
    private func unreadable(_ error: StorageError) -> DisasterProblem { DisasterProblem(.damaged, error.description) }

    /// Hands on its parts, each with the offset behind it; the last one may come before it is known that the whole is well.
    ///
    /// - Returns: how many bytes it has.
    func read(_ visit: (BackupReader.Part, Int) throws(BackupProblem) -> Void) throws(DisasterProblem) -> Int {
        guard disk.exists(path) else { throw DisasterProblem(.damaged, "\(path): there is no such file, or it may not be read") }
        guard !isFolder else {
            let node = disk.exists(path + "/identity") ? "; a node's data folder is looked at by 'distric raft log verify \(path)'" : ""
            throw DisasterProblem(.usage, "\(path) is a folder: name the file that 'distric backup create' wrote\(node)")
        }
        let file: any DiskFile
        do throws(StorageError) { file = try disk.open(path, create: false) } catch { throw unreadable(error) }
        defer { file.close() }
        var (reader, offset, failure) = (BackupReader(), 0, StorageError?.none)
        do throws(BackupProblem) {
            while true {
                let piece: [UInt8]
                do throws(StorageError) { piece = try file.read(at: offset, count: Self.pieceBytes) } catch {
                    failure = error
                    throw .storage(error)
                }
                guard !piece.isEmpty else { break }
                try reader.take(piece) { part throws(BackupProblem) in try visit(part, offset) }
                offset += piece.count
            }
            try reader.finish()
        } catch {
            throw failure.map(unreadable) ?? DisasterProblem(error, in: path)
        }
        return offset
    }
}

/// Looks at a backup while it comes, so that what is kept is known to be whole.
package struct BackupWatch: Sendable {
    private var reader = BackupReader()
    private var header: BackupHeader?
    private let source: String

    /// - Parameter source: where it comes from, for messages.
    package init(source: String) { self.source = source }

    package mutating func take(_ bytes: [UInt8]) throws(DisasterProblem) {
        var found: BackupHeader?
        do throws(BackupProblem) {
            try reader.take(bytes) { part throws(BackupProblem) in if case .header(let header) = part { found = header } }
        } catch {
            throw DisasterProblem(error, in: source)
        }
        header = header ?? found
    }

    /// No more bytes come: what it was, in words.
    package func finish() throws(DisasterProblem) -> String {
        do throws(BackupProblem) { try reader.finish() } catch { throw DisasterProblem(error, in: source) }
        guard let header else { throw DisasterProblem(BackupProblem.cut(offset: 0), in: source) }
        return "a backup of cluster \(header.cluster) at index \(header.index) by node \(header.node)"
    }
}

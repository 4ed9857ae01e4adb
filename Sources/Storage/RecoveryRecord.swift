package import Primitives

/// What `distric cluster recover` made of a data folder, in the file `recovered` there: written before it changes anything, and once more
/// when all is done.
package struct RecoveryRecord: Equatable, Sendable {
    /// What was lost of what had been acknowledged.
    package enum Loss: Equatable, Sendable {
        /// Nothing, as far as the folders that were given can tell.
        case none
        case entries(UInt64)
        /// How much, nothing is left to tell.
        case uncounted
    }

    package var isFinished = false
    package var node: NodeID
    package var cluster: UUIDv7
    package var epochBefore: UInt64
    package var epoch: UInt64
    package var at: ClusterTime
    /// Where the log ended.
    package var lastIndex: LogIndex
    package var lastTerm: Term
    /// Of the entry that makes the node its own cluster: above every term that the folders knew.
    package var term: Term
    /// Who belonged to the cluster before, in one line whose form is the caller's.
    package var configurationBefore: String
    package var loss: Loss

    package init(
        node: NodeID, cluster: UUIDv7, epochBefore: UInt64, epoch: UInt64, at: ClusterTime, lastIndex: LogIndex, lastTerm: Term, term: Term,
        configurationBefore: String, loss: Loss
    ) {
        (self.node, self.cluster, self.epochBefore, self.epoch, self.at) = (node, cluster, epochBefore, epoch, at)
        (self.lastIndex, self.lastTerm, self.term) = (lastIndex, lastTerm, term)
        (self.configurationBefore, self.loss) = (configurationBefore, loss)
    }
}

extension RecoveryRecord {
    private static let format = 1
    private static let seal = "recovered-crc32c"

    private static func file(_ folder: String) -> String { folder + "/recovered" }

    /// Nil when the folder never was recovered.
    package static func read(_ folder: String, disk: any Disk) throws(StorageError) -> RecoveryRecord? {
        let file = file(folder)
        guard let bytes = try disk.contents(of: file) else { return nil }
        let text = try SealedText(reading: bytes, seal: seal, path: file)
        guard let format = text["distric-recovered"].flatMap({ Int($0) }), format <= Self.format else {
            throw .newerFormat(path: file, found: "format \(text["distric-recovered"] ?? "?")", supported: Self.format)
        }
        func number(_ name: String) -> UInt64? { text[name].flatMap { UInt64($0) } }
        guard let state = text["state"], let node = text["node"].flatMap({ try? NodeID($0) }),
            let cluster = text["cluster"].flatMap({ UUIDv7($0) }), let before = number("epoch-before"), let epoch = number("epoch"),
            let time = text["at"].flatMap({ ClusterTime(rfc3339: $0) }), let index = number("last-index"), let last = number("last-term"),
            let term = number("term"), let configuration = text["configuration-before"],
            let loss = text["lost-entries"].flatMap({ Loss($0) })
        else { throw .damaged(path: file, offset: 0, reason: "its lines cannot be read") }
        var record = RecoveryRecord(
            node: node, cluster: cluster, epochBefore: before, epoch: epoch, at: time, lastIndex: LogIndex(index), lastTerm: Term(last),
            term: Term(term), configurationBefore: configuration, loss: loss)
        record.isFinished = state == "finished"
        return record
    }

    /// Durable when it returns.
    package func write(to folder: String, disk: any Disk) throws(StorageError) {
        let lines: [(String, String)] = [
            ("distric-recovered", "\(Self.format)"), ("state", isFinished ? "finished" : "unfinished"), ("at", at.rfc3339),
            ("node", "\(node)"), ("cluster", "\(cluster)"), ("epoch-before", "\(epochBefore)"), ("epoch", "\(epoch)"),
            ("last-index", "\(lastIndex)"), ("last-term", "\(lastTerm)"), ("term", "\(term)"), ("lost-entries", loss.text),
            ("configuration-before", configurationBefore),
        ]
        try disk.replace(Self.file(folder), with: SealedText(lines).bytes(seal: Self.seal))
    }
}

extension RecoveryRecord.Loss {
    fileprivate var text: String {
        switch self {
        case .none: "0"
        case .entries(let count): "\(count)"
        case .uncounted: "unknown"
        }
    }

    fileprivate init?(_ text: String) {
        if text == "unknown" {
            self = .uncounted
        } else {
            guard let count = UInt64(text) else { return nil }
            self = count == 0 ? .none : .entries(count)
        }
    }
}

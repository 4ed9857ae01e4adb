package import Primitives
package import Storage

/// With whom a cluster began. On disk before anything else of it, so that a node that falls goes on with the same.
package struct Founding: Equatable, Sendable {
    package var cluster: UUIDv7
    /// The voters of its first configuration; nobody where this node came later.
    package var voters: [NodeID]
    /// Of the cluster, as it was found.
    package var epoch: UInt64

    package init(cluster: UUIDv7, voters: [NodeID], epoch: UInt64 = 1) {
        (self.cluster, self.voters, self.epoch) = (cluster, voters.sorted(), epoch)
    }

    private static func file(_ folder: String) -> String { folder + "/founding" }

    package static func read(_ folder: String, disk: any Disk) throws(StorageError) -> Founding? {
        guard let bytes = try disk.contents(of: file(folder)) else { return nil }
        var lines: [String: String] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1)
            guard let name = words.first else { continue }
            lines[String(name)] = words.count == 2 ? String(words[1]) : ""
        }
        guard let cluster = lines["cluster"].flatMap({ UUIDv7($0) }), let names = lines["voters"] else {
            throw .damaged(path: file(folder), offset: 0, reason: "its lines cluster and voters cannot be read")
        }
        var voters: [NodeID] = []
        for name in names.split(separator: ",") {
            guard let node = try? NodeID(String(name)) else {
                throw .damaged(path: file(folder), offset: 0, reason: "'\(name)' is no node id")
            }
            voters.append(node)
        }
        guard let epoch = UInt64(lines["epoch"] ?? "1"), epoch > 0 else {
            throw .damaged(path: file(folder), offset: 0, reason: "its line epoch cannot be read")
        }
        return Founding(cluster: cluster, voters: voters, epoch: epoch)
    }

    /// Durable when it returns.
    package func write(_ folder: String, disk: any Disk) throws(StorageError) {
        try disk.makeDurableFolder(folder)
        let text = "cluster \(cluster)\nvoters \(voters.map(\.text).joined(separator: ","))\nepoch \(epoch)\n"
        try disk.replace(Self.file(folder), with: Array(text.utf8))
    }
}

/// The id of a data folder: of two folders under one node id only one can be the node's.
package enum FolderID {
    /// Made when there is none yet; durable when it returns.
    package static func of(_ folder: String, disk: any Disk, make: () -> UUIDv7) throws(StorageError) -> UUIDv7 {
        let path = folder + "/folder"
        if let bytes = try disk.contents(of: path) {
            guard let known = UUIDv7(String(decoding: bytes, as: UTF8.self).trimmingLine) else {
                throw .damaged(path: path, offset: 0, reason: "it holds no folder id")
            }
            return known
        }
        try disk.makeDurableFolder(folder)
        let made = make()
        try disk.replace(path, with: Array("\(made)\n".utf8))
        return made
    }

    private static let begun = "begun"

    /// Whether the folder has had a log. It says so under its id, so that who takes that away is not known under it any more.
    package static func hasBegun(_ folder: String, disk: any Disk) throws(StorageError) -> Bool {
        guard let bytes = try disk.contents(of: folder + "/folder") else { return false }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").dropFirst().contains { $0 == begun }
    }

    /// From here on a folder without a log is one that has lost it. Durable when it returns, and before the server says anything to others.
    package static func begin(_ folder: String, disk: any Disk) throws(StorageError) {
        let path = folder + "/folder"
        guard let bytes = try disk.contents(of: path), !(try hasBegun(folder, disk: disk)) else { return }
        try disk.replace(path, with: Array(String(decoding: bytes, as: UTF8.self).trimmingLine.utf8) + Array("\n\(begun)\n".utf8))
    }
}

extension String {
    fileprivate var trimmingLine: String { String(prefix { $0 != "\n" }) }
}

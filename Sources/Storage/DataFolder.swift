import Glibc
package import Primitives

/// A node's folder: who it belongs to, and that only one process uses it.
///
///     LOCK        held (flock) while a process uses the folder; names it
///     identity    format, node and cluster, and the feature level that wrote it
///     raft/       vote, log/, snapshots/
///     history/    ended runs and accepted messages
///     worker/     journal, logs of attempts
package final class DataFolder: Sendable {
    package static let format = 1

    /// Who a folder belongs to.
    package struct Identity: Equatable, Sendable {
        package var node: NodeID
        package var cluster: UUIDv7
        package var featureLevel: UInt16
        /// Rises when the cluster is begun again from what was left of it (`distric cluster recover`): who is of an older one is not of it
        /// any more.
        package var epoch: UInt64
        /// It began with others, or came later: with whom says a file of its own, without which it must not begin.
        package var isFounded: Bool

        package init(node: NodeID, cluster: UUIDv7, featureLevel: UInt16, epoch: UInt64 = 1, isFounded: Bool = false) {
            self.isFounded = isFounded
            self.node = node
            self.cluster = cluster
            self.featureLevel = featureLevel
            self.epoch = epoch
        }
    }

    package let path: String
    package let identity: Identity
    private let lockDescriptor: Int32

    private init(path: String, identity: Identity, lockDescriptor: Int32) {
        self.path = path
        self.identity = identity
        self.lockDescriptor = lockDescriptor
    }

    deinit { close(lockDescriptor) }

    /// Lets others have the folder, though something may still hold this object: of a node that was made to die in a process that lives on.
    package func release() { flock(lockDescriptor, LOCK_UN) }

    /// Locks the folder, and reads whose it is; an empty one becomes `node`'s. Fails before anything else is touched when another process
    /// holds it, it belongs to another node, or a newer program wrote it.
    /// - Parameters:
    ///   - node: nil takes the id that the folder has, or `fallback` for an empty one.
    ///   - founded: the cluster that an empty one is to belong to; nil begins one of its own.
    package static func open(
        _ path: String, node: NodeID?, fallback: NodeID, featureLevel: UInt16, disk: any Disk,
        founded: (cluster: UUIDv7, epoch: UInt64)? = nil,
        newCluster: () -> UUIDv7
    ) throws(StorageError) -> DataFolder {
        try disk.makeDurableFolder(path)
        let lock = try takeLock(path + "/LOCK")
        do throws(StorageError) {
            let identity = try identity(
                path, node: node, fallback: fallback, featureLevel: featureLevel, disk: disk, founded: founded, newCluster: newCluster)
            return DataFolder(path: path, identity: identity, lockDescriptor: lock)
        } catch {
            close(lock)
            throw error
        }
    }

    static func takeLock(_ path: String) throws(StorageError) -> Int32 {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .io(operation: "open", path: path, errno: errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            var holder = [UInt8](repeating: 0, count: 64)
            let count = pread(descriptor, &holder, holder.count, 0)
            close(descriptor)
            let text = String(decoding: holder.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").first.map(String.init) ?? ""
            throw .locked(path: parentFolder(of: path), holder: text)
        }
        let text = Array("process \(getpid())\n".utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
            defer { close(descriptor) }
            throw errno == ENOSPC ? .full(path: path) : .io(operation: "write", path: path, errno: errno)
        }
        return descriptor
    }

    private static func identity(
        _ path: String, node: NodeID?, fallback: NodeID, featureLevel: UInt16, disk: any Disk, founded: (cluster: UUIDv7, epoch: UInt64)?,
        newCluster: () -> UUIDv7
    ) throws(StorageError) -> Identity {
        let file = path + "/identity"
        guard let bytes = try disk.contents(of: file) else {
            guard !disk.exists(path + "/raft") else {
                throw .damaged(path: file, offset: 0, reason: "it is missing, though the folder holds a log")
            }
            let identity = Identity(
                node: node ?? fallback, cluster: founded?.cluster ?? newCluster(), featureLevel: featureLevel, epoch: founded?.epoch ?? 1,
                isFounded: founded != nil)
            try disk.replace(file, with: Array(text(of: identity).utf8))
            return identity
        }
        let identity = try parse(bytes, file: file, featureLevel: featureLevel)
        if let node, node != identity.node { throw .otherNode(path: path, found: identity.node.text, expected: node.text) }
        return identity
    }

    static func text(of identity: Identity) -> String {
        let text = "distric-format \(format)\nfeature-level \(identity.featureLevel)\nnode \(identity.node)\ncluster \(identity.cluster)\n"
        return text + (identity.epoch == 1 ? "" : "epoch \(identity.epoch)\n") + (identity.isFounded ? "founded yes\n" : "")
    }

    static func parse(_ bytes: [UInt8], file: String, featureLevel: UInt16) throws(StorageError) -> Identity {
        var lines: [String: String] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1)
            if words.count == 2 { lines[String(words[0])] = String(words[1]) }
        }
        guard let written = lines["distric-format"] else {
            throw .damaged(path: file, offset: 0, reason: "it has no line 'distric-format'")
        }
        guard let number = Int(written), number <= format else {
            throw .newerFormat(path: file, found: "format \(written)", supported: format)
        }
        guard let level = lines["feature-level"].flatMap({ UInt16($0) }), let cluster = lines["cluster"].flatMap({ UUIDv7($0) }),
            let node = lines["node"].flatMap({ try? NodeID($0) }), let epoch = UInt64(lines["epoch"] ?? "1"), epoch > 0
        else { throw .damaged(path: file, offset: 0, reason: "its lines feature-level, node, cluster and epoch cannot be read") }
        guard level <= featureLevel else {
            throw .newerFormat(path: file, found: "feature level \(level)", supported: Int(featureLevel))
        }
        return Identity(node: node, cluster: cluster, featureLevel: level, epoch: epoch, isFounded: lines["founded"] == "yes")
    }
}

import Glibc

/// A folder's LOCK, held by a program that works on it while no node may; let go with the last reference.
package final class FolderClaim: Sendable {
    package let path: String
    private let descriptor: Int32

    /// Throws `.locked` while another process, or another claim of this one, has it.
    package init(_ path: String) throws(StorageError) {
        descriptor = try DataFolder.takeLock(path + "/LOCK")
        self.path = path
    }

    deinit { close(descriptor) }
}

extension DataFolder {
    /// Whose a folder is, as opening it would read; nil when it is nobody's yet.
    package static func readIdentity(at path: String, featureLevel: UInt16, disk: any Disk) throws(StorageError) -> Identity? {
        let file = path + "/identity"
        guard let bytes = try disk.contents(of: file) else { return nil }
        return try parse(bytes, file: file, featureLevel: featureLevel)
    }

    /// Says whose a folder is from now on; durable when it returns, and a crash leaves the old word or the new one.
    package static func write(_ identity: Identity, at path: String, disk: any Disk) throws(StorageError) {
        try disk.replace(path + "/identity", with: Array(text(of: identity).utf8))
    }
}

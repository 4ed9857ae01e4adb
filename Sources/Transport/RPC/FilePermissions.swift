import Glibc

/// Who may open a socket in the file system.
enum FilePermissions {
    static func ownerOnly(_ path: String) { chmod(path, 0o600) }
}

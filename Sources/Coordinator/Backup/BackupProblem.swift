package import Storage

/// Why a backup cannot be read or used.
package enum BackupProblem: Error, Equatable, CustomStringConvertible {
    /// Not the bytes that were written; where they begin to differ, or the part of the backup does that they are in.
    case damaged(offset: Int, reason: String)
    /// It ends there, and something should follow.
    case cut(offset: Int)
    /// A newer program wrote it.
    case newer(found: String, supported: String)
    case storage(StorageError)

    package var description: String {
        switch self {
        case .damaged(let offset, let reason): "damaged at byte \(offset): \(reason)"
        case .cut(let offset): "cut off at byte \(offset): it does not come to its end"
        case .newer(let found, let supported):
            "it has \(found), and this program reads up to \(supported): use the newer distric that wrote it"
        case .storage(let error): error.description
        }
    }
}

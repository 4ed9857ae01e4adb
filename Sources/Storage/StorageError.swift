package import Primitives

/// Why the disk could not be trusted or used.
package enum StorageError: Error, Equatable, CustomStringConvertible {
    case io(operation: String, path: String, errno: Int32)
    case full(path: String)
    case locked(path: String, holder: String)
    case otherNode(path: String, found: String, expected: String)
    case otherCluster(path: String, found: String, expected: String)
    case newerFormat(path: String, found: String, supported: Int)
    /// Bytes that were acknowledged once and do not read back.
    case damaged(path: String, offset: Int, reason: String)
    case gap(path: String, expected: LogIndex, found: LogIndex)
    /// An entry whose bytes are whole but which this program cannot apply.
    case unreadable(index: LogIndex, reason: String)
    /// Files of two data folders lie in one.
    case mixed(reason: String)
    case closed

    package var description: String {
        switch self {
        case .io(let operation, let path, let code): "cannot \(operation) \(path): \(errorText(code))"
        case .full(let path):
            "no space left on the device that holds \(path); free some space and start again, nothing acknowledged is lost"
        case .locked(let path, let holder):
            "\(path) is in use by another process\(holder.isEmpty ? "" : " (\(holder))"); stop it, or choose another --data"
        case .otherNode(let path, let found, let expected):
            "\(path) belongs to node '\(found)', not '\(expected)'; start with --id \(found), or choose another --data"
        case .otherCluster(let path, let found, let expected): "\(path) belongs to cluster \(found), not \(expected)"
        case .newerFormat(let path, let found, let supported):
            "\(path) has \(found); this program reads up to \(supported): start it with the newer distric that wrote it"
        case .damaged(let path, let offset, let reason):
            "\(path) is damaged at byte \(offset): \(reason); acknowledged data may be lost, so nothing was changed. \(Self.wayBack)"
        case .gap(let path, let expected, let found):
            "\(path): the log should reach or go on at index \(expected), but what is there ends or begins at \(found); acknowledged entries are missing, so nothing was changed. \(Self.wayBack)"
        case .unreadable(let index, let reason): "log entry \(index) cannot be applied by this program, which stops before it: \(reason)"
        case .mixed(let reason): reason
        case .closed: "the log is closed"
        }
    }
}

extension StorageError {
    /// What is left to do with a folder that cannot be trusted. An older copy of it, or another node's, would take back what this one has promised to the others: that
    /// is how acknowledged data is lost.
    package static let wayBack =
        "If this node is one of several, remove it and let a new one take its place: 'distric raft remove ID' on one of the others, then 'distric node --id NEW-ID --data EMPTY-FOLDER --join HOST:PORT'. If it is alone, 'distric backup restore FILE --data EMPTY-FOLDER --id ID'. Never put back an older copy of the folder, nor another node's"

    /// The file or folder that it is about.
    var path: String? {
        switch self {
        case .io(_, let path, _), .full(let path), .locked(let path, _), .otherNode(let path, _, _), .otherCluster(let path, _, _),
            .newerFormat(let path, _, _), .damaged(let path, _, _), .gap(let path, _, _):
            path
        case .unreadable, .mixed, .closed: nil
        }
    }
}

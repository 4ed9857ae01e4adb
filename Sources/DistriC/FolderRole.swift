import Cluster
import Storage

/// What a data folder was used for: a start that leaves out an option must not make a voter of a worker, nor take a voter away.
enum FolderRole {
    /// Throws when a folder that has a cluster is not of the role that the node is to have.
    static func check(_ path: String, isWorker: Bool, disk: any Disk) throws(DistriCError) {
        guard disk.exists(path + "/identity") else { return }
        // A folder that has lost its log says still that it had one.
        let hasBegun = try Node.storage { () throws(StorageError) in try FolderID.hasBegun(path, disk: disk) }
        let hadLog = hasBegun || disk.exists(path + "/raft")
        if isWorker, hadLog {
            throw DistriCError(
                .badConfiguration,
                "\(path) is the folder of a coordinator, whose vote its cluster counts: start it without --role worker; a worker needs a folder of its own (--data) and another id (--id)"
            )
        }
        // A coordinator makes its log before anything that a worker has too.
        if !isWorker, !hadLog, disk.exists(path + "/worker") {
            throw DistriCError(
                .badConfiguration,
                "\(path) is the folder of a worker, and this start would make a voter of it: start it with --role worker and --join; a new coordinator needs an empty folder (--data), another id (--id) and --join"
            )
        }
    }
}

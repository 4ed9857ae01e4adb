/// A file in a data folder that holds timers back: of a cluster that a backup was restored into none fires before an operator has looked at
/// it
/// and said so (`distric cluster resume`).
package enum TimersHold {
    private static func file(_ folder: String) -> String { folder + "/timers-held" }

    package static func isSet(_ folder: String, disk: any Disk = FileDisk()) -> Bool { disk.exists(file(folder)) }

    /// Durable when it returns.
    ///
    /// - Parameter reason: for people who find the file.
    package static func set(_ folder: String, reason: String, disk: any Disk = FileDisk()) throws(StorageError) {
        try disk.replace(file(folder), with: Array((reason + "\n").utf8))
    }

    /// Durable when it returns; that none is there is no error.
    package static func clear(_ folder: String, disk: any Disk = FileDisk()) throws(StorageError) {
        guard isSet(folder, disk: disk) else { return }
        try disk.remove(file(folder))
        try disk.syncFolder(folder)
    }
}

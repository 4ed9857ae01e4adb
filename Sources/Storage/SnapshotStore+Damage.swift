extension SnapshotStore {
    /// Ends the name of a file that is kept as it was found, and is nobody's any more.
    static let damagedSuffix = ".damaged"

    /// What the newest manifest says, whether or not its state is there; nil when there is none that reads back.
    package func newestClaim() -> Manifest? {
        guard let name = try? disk.list(folder).last(where: { $0.hasSuffix(".manifest") }) else { return nil }
        let path = folder + "/" + name
        return try? Manifest(reading: disk.contents(of: path) ?? [], path: path)
    }

    /// Renames the newest snapshot, whose bytes or manifest do not read back, so that it is one no longer; nothing is deleted, then or later.
    ///
    /// - Returns: the files under their new names; none when there is no snapshot.
    package func setAsideNewest() throws(StorageError) -> [String] {
        guard let name = try disk.list(folder).last(where: { $0.hasSuffix(".manifest") }) else { return [] }
        let stem = folder + "/" + name.dropLast(".manifest".count)
        var renamed: [String] = []
        // The state first: one that has lost its manifest would be taken for what a crash left of a snapshot, and be removed.
        for path in [stem + ".state", stem + ".manifest"] where disk.exists(path) {
            let free = freeName(for: path)
            try disk.rename(path, to: free)
            renamed.append(free)
        }
        try disk.syncFolder(folder)
        return renamed
    }

    /// The same snapshot can come again, and be damaged again.
    private func freeName(for path: String) -> String {
        var (name, number) = (path + Self.damagedSuffix, 1)
        while disk.exists(name) {
            number += 1
            name = "\(path).\(number)\(Self.damagedSuffix)"
        }
        return name
    }
}

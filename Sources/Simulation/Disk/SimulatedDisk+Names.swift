import Primitives
import Storage

// What becomes of names: of files and folders that are made, renamed and removed.
extension SimulatedDisk {
    func cutNames(using generator: inout SeededGenerator) {
        let changes = contents.changes
        contents.changes = []
        let survival = Survival(of: changes.count, using: &generator)
        for (place, change) in changes.enumerated() {
            if survival.keeps(place, using: &generator) { settle(change) } else { counters[.lostName] += 1 }
        }
        contents.names = contents.durable
        removeOrphans()
        contents.durable = contents.names
    }

    func forgetDropped() {
        guard !dropped.isEmpty else { return }
        for path in dropped { contents.names[path] = contents.durable[path] }
        dropped = []
        removeOrphans()
        contents.changes = contents.changes.filter { change in change.names.allSatisfy { isFolder(parentFolder(of: $0.path)) } }
    }

    /// What lies in a folder that is gone is gone; a folder sorts before what lies in it.
    private func removeOrphans() {
        let names = contents.names
        contents.names = [:]
        for path in names.keys.sorted() where isFolder(parentFolder(of: path)) { contents.names[path] = names[path] }
    }

    func change(_ names: [(path: String, entry: Entry?)]) {
        for (path, entry) in names {
            if let old = contents.names.removeValue(forKey: path)?.file { unlink(old) }
            if let file = entry?.file { link(file) }
            contents.names[path] = entry
        }
        contents.changes.append(NameChange(names: names))
    }

    func settle(_ change: NameChange) {
        for (path, entry) in change.names { contents.durable[path] = entry }
    }

    /// Takes out the changes that wait in a folder, and the earlier ones of the same names.
    func takeChanges(of folder: String) -> [NameChange] {
        var (taken, left, paths): ([NameChange], [NameChange], [String]) = ([], [], [])
        for change in contents.changes.reversed() {
            if change.touches(folder) || change.names.contains(where: { paths.contains($0.path) }) {
                taken.append(change)
                paths.append(contentsOf: change.names.map(\.path))
            } else {
                left.append(change)
            }
        }
        contents.changes = left.reversed()
        return taken.reversed()
    }
}

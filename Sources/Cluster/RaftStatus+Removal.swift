import Primitives
import Raft

extension RaftDriver {
    /// By the configuration that is in force here, or by what the others have said since: who was down when it was removed has nobody to send it the entry.
    func removal(_ core: borrowing RaftCore) -> LogIndex? {
        guard !core.configuration.isEmpty else { return nil }
        let index = core.log.configurationIndex
        if let newer = network?.directory.removal(after: index) { return newer }
        return core.configuration.isMember(node) ? nil : index
    }
}

extension RaftStatus {
    /// That this node was removed, and what to do about it; nil while it was not.
    package var removal: String? {
        removedAt.map { index in
            "'\(node)' was removed from the cluster at index \(index): stop it. To take it in again as it is, 'distric raft add \(node)' on one of the others; or start it with an empty folder: 'distric node --id \(node) --data EMPTY-FOLDER --join HOST:PORT'"
        }
    }
}

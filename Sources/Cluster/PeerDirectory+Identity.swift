package import Primitives
import Synchronization
import Transport
package import Wire

// Whether a node is the one whose id it bears: by its data folder, and by the process that has it (Decisions/FormingAndJoining, RolledBackFolders).
extension PeerDirectory {
    /// Whoever was heard so lately lives: the others are asked once a second.
    static let livesFor = Duration.seconds(3)

    /// Why a node is not the one that has this id; nil when it is, or nothing is known against it.
    package func refusal(of node: NodeID, folder: UUIDv7?) -> String? {
        // Itself, under another name of its address.
        if node == self.node, let folder, folder == own.current.folder { return nil }
        guard node != self.node else { return "this node has the id '\(node)' itself: give the other one an id of its own (--id)" }
        guard let folder, let known = state.withLock({ $0.folders[node] }), known != folder else { return nil }
        return
            "node id '\(node)' belongs to a data folder that is not this one: what it promised was there. Remove it first ('distric raft remove \(node)' on a node of the cluster; the others forget the folder some seconds after that), or start this one under a new id (--id) with --join"
    }

    /// As above, and whether it is the only process with that folder: of two that run at once, the one that is connected keeps its place.
    package func refusal(of hello: Hello) -> String? {
        guard let node = hello.node else { return nil }
        if let refusal = refusal(of: node, folder: hello.folder) { return refusal }
        guard let folder = hello.folder else { return nil }
        // One that does not say where it is cannot be told from a copy of who is there.
        let address = hello.address
        guard node != self.node else {
            let mine = own.current
            guard hello.epoch != mine.epoch, let place = mine.address, place != address else { return nil }
            return Self.twice(node, at: place, and: address)
        }
        let (known, isConnected) = state.withLock { state -> (Facts?, Bool) in
            guard let known = state.facts[node], known.folder == folder, known.epoch != hello.epoch else { return (nil, false) }
            return (known, state.isConnected(node))
        }
        guard let known, isConnected, lives(known), known.address.description != address else { return nil }
        return Self.twice(node, at: known.address.description, and: address)
    }

    private static func twice(_ node: NodeID, at place: String, and other: String?) -> String {
        "node '\(node)' runs at \(place), and the process at \(other ?? "an address that it does not say") has the same data folder, or a copy of it: two of one id would break what each of them promises. Stop one of them. Whoever has the copy deletes it, and starts as a new node with an empty folder: 'distric node --id NEW-ID --data EMPTY-FOLDER --join \(place)'"
    }

    /// Whether a process with this folder is there just now: then another one with it, elsewhere, is a copy, whichever was started later. One that ends closes its
    /// connections, and one whose machine is gone falls silent: whoever takes its place elsewhere waits no longer than that.
    func lives(_ facts: Facts) -> Bool { facts.heard.map { clock.now.duration(since: $0) < Self.livesFor } ?? false }

    /// Whether news are of a second process that has the folder of one that is there. Under the lock.
    func isCopy(_ item: Facts, of old: Facts, in state: State) -> Bool {
        item.epoch != old.epoch && item.address != old.address && item.folder == old.folder && item.folder != nil && lives(old)
            && state.isConnected(item.node)
    }

    // MARK: Who belongs to the cluster

    /// Members as they were when the directory was written down last, this node among them where it was one; empty in what older programs wrote.
    package var recordedMembers: [NodeID] { recorded }

    /// What this node knows to be committed of who belongs to the cluster, which it tells to others: a node that was removed while it was down hears of it that way alone.
    package func setConfiguration(_ index: LogIndex, members: [NodeID]) { configuration.withLock { $0 = (index, members) } }

    /// Since which entry this node does not belong to the cluster any more, as far as others have said; nil while it does.
    ///
    /// - Parameter own: the entry whose configuration is in force here: what is older has been put right since.
    package func removal(after own: LogIndex) -> LogIndex? {
        let cluster = self.own.current.cluster
        let newest = state.withLock { state in
            state.facts.values.filter { $0.cluster == cluster && $0.cluster != nil && $0.configurationIndex > own && !$0.members.isEmpty }
                .max { $0.configurationIndex < $1.configurationIndex }
        }
        guard let newest, !newest.members.contains(node) else { return nil }
        return newest.configurationIndex
    }

    /// `17:c-1,c-2`; nil when it is none, or more than a fact can hold.
    static func configurationFact(_ index: LogIndex, _ members: [NodeID]) -> String? {
        let text = "\(index):" + members.map(\.text).joined(separator: ",")
        return index > .zero && !members.isEmpty && text.utf8.count <= factBytes ? text : nil
    }

    static func readConfiguration(_ fact: String?) -> (LogIndex, [NodeID]) {
        let halves = (fact ?? "").split(separator: ":", maxSplits: 1)
        guard halves.count == 2, let index = UInt64(halves[0]) else { return (.zero, []) }
        let names = halves[1].split(separator: ",")
        let members = names.compactMap { try? NodeID(String($0)) }
        return members.count == names.count ? (LogIndex(index), members) : (.zero, [])
    }
}

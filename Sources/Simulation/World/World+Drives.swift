import Cluster
import Primitives
import Raft
import Storage

// Faults F5 (a disk that refuses) and F10 (a disk that is another one): what stands between the second and the cluster is the id of the folder, which every hello bears, and
// the folder's own word of whose it is (Decisions/FormingAndJoining).
extension World {
    // MARK: Disks that refuse

    func spoilDisk(_ server: SimulatedServer) {
        guard server.isUp else { return }
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: server.disk.faults.strike(.shortWrite)
        case 1: server.disk.faults.strike(.writeError)
        case 2:
            server.disk.faults.strike(.readError)
            // Who runs reads little: it is read when it starts.
            crash(server, .kill)
            schedule(.restart(server.number, boot: server.boot), after: exponential(300_000_000))
        case 3: server.disk.isReadOnly = true
        default: server.disk.capacityBytes = 0
        }
        schedule(.mend(server.number), after: exponential(2_000_000_000))
    }

    /// Somebody makes room, and mounts it anew.
    func mend(_ server: SimulatedServer) {
        server.disk.isReadOnly = false
        server.disk.capacityBytes = 1 << 40
    }

    // MARK: Whose folder it is

    /// Whether members take somebody by its hello for the one they know.
    func knows(_ number: Int, by hello: UUIDv7?) -> Bool { hello == folders[number] }

    /// What a node does before all else: looks whose the folder is, makes an empty one its own, and reads its id.
    func claim(_ server: SimulatedServer) throws(StorageError) {
        let path = SimulatedServer.dataFolder
        if let identity = try DataFolder.readIdentity(at: path, featureLevel: server.level, disk: server.disk) {
            guard identity.node == server.id else {
                throw .otherNode(path: path, found: identity.node.text, expected: server.id.text)
            }
        } else {
            try server.disk.makeDurableFolder(path)
            try write(level: 1, server)
        }
        var made = madeFolders
        server.folder = try FolderID.of(path, disk: server.disk) {
            made += 1
            return UUIDv7(high: 1, low: made)
        }
        madeFolders = made
        // Who comes for the first time is put on record.
        folders[server.number] = folders[server.number] ?? server.folder
        server.isDenied = server.folder != folders[server.number]
    }

    func write(level: UInt16, _ server: SimulatedServer) throws(StorageError) {
        try DataFolder.write(
            .init(node: server.id, cluster: UUIDv7(high: 1, low: 0), featureLevel: level), at: SimulatedServer.dataFolder, disk: server.disk
        )
    }

    // MARK: A new disk

    func wipe(_ server: SimulatedServer) {
        guard mayDamage(server), newestConfiguration.isVoter(server.id) else { return }
        coverage.saw(.wiped)
        if server.isUp { crash(server, .kill) }
        replaceDisk(of: server)
        schedule(.restart(server.number, boot: server.boot), after: exponential(500_000_000))
        schedule(.readmit(server.number), after: 1_000_000_000)
    }

    func replaceDisk(of server: SimulatedServer) {
        server.disk.wipe()
        // What was about to go wrong went with the old one.
        server.disk.faults = .none
        mend(server)
        lose(server)
        // Nobody tells it with whom the cluster began.
        server.isSecondFolder = true
        server.isRecovering = false
        server.isUnsound = true
        server.log = RaftLog(base: .zero, term: Term(0), configuration: Configuration())
        (server.durable, server.durableState) = (.zero, HardState(term: Term(0), vote: nil))
    }

    /// What the refusal tells the operator to do: take the id out of the cluster first, then let the new folder come.
    func readmit(_ server: SimulatedServer) {
        guard violation == nil, server.isUnsound else { return }
        // Before the leader has let go of what it knew of the one that left, or after that.
        schedule(.readmit(server.number), after: 100_000_000 + exponential(800_000_000))
        guard server.isUp, server.isDenied, let leader = leading, let core = leader.core, !core.configuration.isChanging,
            core.log.configurationIndex <= core.commitIndex
        else { return }
        let (voters, learners) = (core.configuration.voters, core.configuration.learners)
        attempts += 1
        if core.configuration.isMember(server.id) {
            let others = voters.filter { $0 != server.id }
            return handle(.change(id: attempts, voters: others, learners: learners.filter { $0 != server.id }, basedOn: nil), at: leader)
        }
        guard checks.committedIndex >= core.log.configurationIndex else { return }
        putOnRecord(server)
        handle(.change(id: attempts, voters: voters + [server.id], learners: learners, basedOn: nil), at: leader)
    }

    /// From here on members know its id by this folder.
    func putOnRecord(_ server: SimulatedServer) {
        coverage.saw(.readmitted)
        folders[server.number] = server.folder
        (server.isDenied, server.isUnsound, server.lost) = (false, false, nil)
    }

    // MARK: Somebody else's disk

    func swapDisks(_ one: SimulatedServer, _ other: SimulatedServer) {
        guard one !== other, mayDamage(one), mayDamage(other) else { return }
        coverage.saw(.swapped)
        for server in [one, other] where server.isUp { crash(server, .kill) }
        one.disk.swap(with: other.disk)
        (one.swappedWith, other.swappedWith) = (other.number, one.number)
        for server in [one, other] { schedule(.restart(server.number, boot: server.boot), after: exponential(200_000_000)) }
        schedule(.swapBack(one.number), after: exponential(1_000_000_000))
    }

    func swapBack(_ one: SimulatedServer) {
        guard let number = one.swappedWith else { return }
        let other = servers[number]
        for server in [one, other] where server.isUp { crash(server, .kill) }
        one.disk.swap(with: other.disk)
        (one.swappedWith, other.swappedWith) = (nil, nil)
        for server in [one, other] { schedule(.restart(server.number, boot: server.boot), after: exponential(200_000_000)) }
    }

    // MARK: An old image

    func takeImage(_ server: SimulatedServer) {
        guard server.isUp, mayDamage(server) else { return }
        schedule(
            .rollBack(server.number, server.disk.image(), folder: server.folder, end: server.durable), after: exponential(2_000_000_000))
    }

    /// Puts an image back while a leader of this term knows that the server had more: it can be found out, by its own log and the leader's word. Nothing could tell if that leader
    /// fell first (Decisions/RolledBackFolders): so nothing else goes wrong meanwhile.
    func rollBack(_ server: SimulatedServer, _ image: DiskImage, of folder: UUIDv7?, _ end: LogIndex) {
        guard areFaultsOn, plan.settings.preVote, server.isUp, server.folder == folder, mayDamage(server), let leader = leading,
            leader !== server, !leader.isPaused, leader.doom == nil, server.log.base <= end, server.running?.core.leader == leader.id,
            let peer = leader.running?.core.progress.first(where: { $0.id == server.id }), peer.matchIndex > end, isCalm
        else { return }
        coverage.saw(.rolledBack)
        quietUntil = now + 2_000_000_000
        crash(server, .kill)
        server.disk.restore(image)
        lose(server)
        (server.isRecovering, server.isUnsound) = (false, true)
        schedule(.restart(server.number, boot: server.boot), after: 1_000_000)
    }

    /// Everybody who is up hears everybody.
    private var isCalm: Bool {
        let up = servers.filter { $0.isUp && !$0.isPaused }
        return up.allSatisfy { from in
            up.allSatisfy { to in
                from === to
                    || network.isOpen(from.number, to.number) && now >= network[from.number, to.number].connection.silentUntil
                        && network[from.number, to.number].connection.trouble == nil
            }
        }
    }

    /// It found out that it has less than it said.
    func foundOut(_ server: SimulatedServer) {
        coverage.saw(.foundOut)
        server.isRecovering = true
    }

    /// One that has all of it again, by whatever way, is as good as before.
    func lookWhetherSound(_ server: SimulatedServer) {
        guard server.isUnsound, !server.isDenied, !server.isRecovering, let lost = server.lost, server.durable >= lost.durable else {
            return
        }
        server.isUnsound = false
    }
}

import Observability
package import Primitives
package import Storage
import Synchronization
package import Transport
package import Wire

/// Who is where: what the nodes of a cluster have said of themselves, by their hellos and through each other. Where coordinators were last is kept on disk, so that a
/// node that starts finds the others without being told again, and with it which data folder is behind a node's id.
package final class PeerDirectory: Sendable {
    /// What is known of one node.
    package struct Facts: Equatable, Sendable {
        package var node: NodeID
        package var address: PeerAddress
        package var http: String?
        package var roles: [String] = []
        package var featureLevel: UInt16 = 0
        package var software = ""
        package var isConnected = false
        /// Of its data folder: another one under the same id is another node.
        package var folder: UUIDv7?
        package var cluster: UUIDv7?
        package var clusterEpoch: UInt64?
        /// Of its process: the higher one says what is newer.
        package var epoch: UInt64 = 0
        /// It waits for so many coordinators to begin a cluster with.
        package var expects: UInt16?
        /// It wants to belong to the cluster, and does not yet.
        package var isJoining = false
        /// With whom its cluster began.
        package var founders: [NodeID] = []
        /// Whom it knows to belong to the cluster, by which entry.
        package var configurationIndex = LogIndex.zero
        package var members: [NodeID] = []
        /// When it was last heard itself, or somebody said that it had just been.
        package var heard: Instant?
        /// When it said all of this itself: a rumour that is older is none.
        var told: Instant?

        package init(node: NodeID, address: PeerAddress) { (self.node, self.address) = (node, address) }
    }

    struct State {
        var facts: [NodeID: Facts] = [:]
        /// Folders of those who belong or belonged to the cluster, as they were when they came.
        var folders: [NodeID: UUIDv7] = [:]
        /// Who belongs to the cluster, as it was said last.
        var members: [NodeID] = []
        /// As which process each was seen in a configuration: what it said before of wanting to belong is over.
        var belonged: [NodeID: UInt64] = [:]
        var isDirty = false
        var isConnected: @Sendable (NodeID) -> Bool = { _ in false }
        var watchers: [@Sendable () -> Void] = []
    }

    /// Nodes that are known at once: beyond it new ones are not noted.
    private static let limit = 4096
    static let factBytes = 300
    private static let forgottenAfter = Duration.seconds(10)

    package let own: OwnHello
    package let node: NodeID
    private let disk: any Disk
    private let path: String
    let clock: any NodeClock
    let state = Mutex(State())
    let configuration = Mutex<(index: LogIndex, members: [NodeID])>((.zero, []))
    let recorded: [NodeID]
    private let isJoining = Atomic(false)
    private let foundersOfOwn: Mutex<[NodeID]>

    /// - Parameters:
    ///   - path: the file in which it is kept.
    ///   - founders: with whom this node's cluster began; nobody where it came later, or has none.
    package init(own: OwnHello, node: NodeID, founders: [NodeID] = [], disk: any Disk, path: String, clock: any NodeClock)
        throws(StorageError)
    {
        (self.own, self.node, self.disk, self.path, self.clock) = (own, node, disk, path, clock)
        foundersOfOwn = Mutex(founders)
        var found = State()
        var recorded: [NodeID] = []
        let bytes = try disk.contents(of: path) ?? []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            // One that cannot be read is heard again from the node itself.
            guard words.count >= 3, let known = try? NodeID(String(words[0])), let address = try? PeerAddress(String(words[1])) else {
                continue
            }
            var facts = Facts(node: known, address: address)
            facts.folder = UUIDv7(String(words[2]))
            facts.roles = ["coordinator"]
            found.facts[known] = facts
            found.folders[known] = facts.folder
            if words.dropFirst(3).contains("member") { recorded.append(known) }
        }
        self.recorded = recorded
        state.withLock { $0 = found }
    }

    // MARK: Asking

    /// Everybody, sorted by id, this node among them.
    package var all: [Facts] {
        let hasCluster = own.current.cluster != nil
        let (facts, isConnected) = state.withLock { state in
            // Who waits for a cluster of its own is nobody of this one.
            let known = state.facts.values.filter { !hasCluster || $0.cluster != nil || $0.isJoining || state.folders[$0.node] != nil }
            return (known, state.isConnected)
        }
        var all = facts.filter { $0.node != node }.map { facts in
            var facts = facts
            facts.isConnected = isConnected(facts.node)
            return facts
        }
        if let mine { all.append(mine) }
        return all.sorted { $0.node < $1.node }
    }

    package func facts(_ node: NodeID) -> Facts? {
        guard node != self.node else { return mine }
        return state.withLock { state in
            var facts = state.facts[node]
            facts?.isConnected = state.isConnected(node)
            return facts
        }
    }

    private var mine: Facts? {
        let hello = own.current
        guard let address = hello.address.flatMap({ try? PeerAddress($0) }) else { return nil }
        var facts = Self.facts(of: hello, node, address)
        facts.isConnected = true
        facts.isJoining = isJoining.load(ordering: .relaxed)
        (facts.configurationIndex, facts.members) = configuration.withLock { $0 }
        // Whoever has seen the members change has seen a folder forgotten: it must not say in one breath that one with nothing may begin this cluster.
        facts.founders = facts.configurationIndex > .zero ? [] : foundersOfOwn.withLock { $0 }
        facts.heard = clock.now
        facts.told = facts.heard
        return facts
    }

    // MARK: Hearing

    /// A node says who it is.
    package func heard(_ hello: Hello) {
        guard let node = hello.node, node != self.node, let address = hello.address.flatMap({ try? PeerAddress($0) }) else { return }
        var facts = Self.facts(of: hello, node, address)
        facts.heard = clock.now
        note([facts], direct: true)
    }

    private static func facts(of hello: Hello, _ node: NodeID, _ address: PeerAddress) -> Facts {
        var facts = Facts(node: node, address: address)
        (facts.http, facts.roles, facts.featureLevel, facts.software) = (hello.http, hello.roles, hello.featureLevel, hello.software)
        (facts.folder, facts.cluster, facts.epoch, facts.expects) = (hello.folder, hello.cluster, hello.epoch ?? 0, hello.expects)
        facts.clusterEpoch = hello.clusterEpoch
        return facts
    }

    private func note(_ news: [Facts], direct: Bool) {
        let now = clock.now
        let watchers = state.withLock { state -> [@Sendable () -> Void] in
            var hasChanged = false
            for var item in news where item.node != node {
                let old = state.facts[item.node]
                guard old != nil || state.facts.count < Self.limit else { continue }
                // Whoever has been silent for so long was forgotten, and is not to come back by a rumour.
                if old == nil, !direct, !state.members.isEmpty, !state.members.contains(item.node),
                    item.heard.map({ now.duration(since: $0) >= Self.forgottenAfter }) ?? false
                {
                    continue
                }
                // Another folder under an id that belongs to somebody is nobody.
                if let known = state.folders[item.node], let folder = item.folder, known != folder { continue }
                if let old {
                    guard !isCopy(item, of: old, in: state) else { continue }
                    // One that was started earlier, and speaks when the later one does no more, is the one that there is.
                    let isGone = old.heard.map { now.duration(since: $0) >= Self.forgottenAfter } ?? true
                    guard item.epoch >= old.epoch || direct && isGone else { continue }
                    if !direct, item.epoch == old.epoch, let known = old.told, item.told.map({ $0 <= known }) ?? true {
                        state.facts[item.node]?.heard = [item.heard, old.heard].compactMap(\.self).max()
                        continue
                    }
                    if direct, item.epoch == old.epoch {
                        // A hello says nothing of these, and one of an old connection may have been said before more was known.
                        (item.isJoining, item.founders, item.told) = (old.isJoining, old.founders, old.told)
                        (item.configurationIndex, item.members) = (old.configurationIndex, old.members)
                        item.http = item.http ?? old.http
                        item.cluster = item.cluster ?? old.cluster
                    }
                    item.heard = [item.heard, old.heard].compactMap(\.self).max()
                }
                if old?.address != item.address || old?.folder != item.folder { (hasChanged, state.isDirty) = (true, true) }
                state.facts[item.node] = item
            }
            return hasChanged ? state.watchers : []
        }
        for watcher in watchers { watcher() }
    }

    /// Which nodes may not come with another folder from here on, and whose are forgotten: those of the configuration in force.
    package func keep(members: [NodeID]) {
        let now = clock.now
        state.withLock { state in
            if state.members != members { (state.members, state.isDirty) = (members, true) }
            state.belonged = state.belonged.filter { state.facts[$0.key] != nil }
            // Who came once and went again without belonging to it.
            state.facts = state.facts.filter { node, facts in
                members.contains(node) || facts.heard.map { now.duration(since: $0) < Self.forgottenAfter } ?? false
            }
            for member in members {
                guard state.folders[member] == nil, let folder = state.facts[member]?.folder else { continue }
                state.folders[member] = folder
                state.isDirty = true
            }
            for gone in state.folders.keys.sorted() where !members.contains(gone) {
                state.folders[gone] = nil
                state.isDirty = true
            }
        }
    }

    /// Who is in the configuration, from the moment that it is in the log.
    func note(members: [NodeID]) {
        state.withLock { state in
            for member in members {
                guard let epoch = state.facts[member]?.epoch else { continue }
                state.belonged[member] = epoch
                state.facts[member]?.isJoining = false
            }
        }
    }

    /// Whether a node still wants to belong, and not merely did before it was let in.
    func wantsToJoin(_ facts: Facts) -> Bool { facts.isJoining && state.withLock { $0.belonged[facts.node] != facts.epoch } }

    /// With whom the cluster began is told as long as nobody has come or gone since: whoever comes back with nothing begins nothing any more.
    package func setFounders(_ founders: [NodeID]) { foundersOfOwn.withLock { $0 = founders } }
    package func setJoining(_ flag: Bool) { isJoining.store(flag, ordering: .relaxed) }

    /// Called, on any thread, when addresses change; it must hand over and return.
    package func whenChanged(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.watchers.append(body) } }
    func setConnected(_ body: @escaping @Sendable (NodeID) -> Bool) { state.withLock { $0.isConnected = body } }

    // MARK: Telling

    /// All that is known, for another node.
    package var news: [MemberNews] {
        let now = clock.now
        return all.map { facts in
            var words = [
                "rpc=\(facts.address)", "roles=" + facts.roles.joined(separator: ","), "level=\(facts.featureLevel)",
                "software=\(facts.software)",
            ]
            if let http = facts.http { words.append("http=\(http)") }
            if let folder = facts.folder { words.append("folder=\(folder)") }
            if let cluster = facts.cluster { words.append("cluster=\(cluster)") }
            if let epoch = facts.clusterEpoch { words.append("cluster-epoch=\(epoch)") }
            if let told = facts.told { words.append("told-ms=\(max(0, now.duration(since: told).milliseconds))") }
            if let expects = facts.expects { words.append("expects=\(expects)") }
            if facts.isJoining { words.append("joining=yes") }
            if let fact = Self.configurationFact(facts.configurationIndex, facts.members) { words.append("members=\(fact)") }
            if !facts.founders.isEmpty { words.append("founders=" + facts.founders.map(\.text).joined(separator: ",")) }
            if let heard = facts.heard { words.append("silent-ms=\(max(0, now.duration(since: heard).milliseconds))") }
            return MemberNews(node: facts.node, epoch: facts.epoch, incarnation: 0, state: .alive, facts: words)
        }
    }

    /// What another node knows. News of this node itself are nothing new.
    package func merge(_ news: [MemberNews]) {
        let now = clock.now
        note(
            news.prefix(Self.limit).compactMap { item in
                var words: [String: String] = [:]
                for fact in item.facts {
                    let halves = fact.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    // What a hello may not say is not believed of others either.
                    guard halves.count == 2, Handshake.isPlain(String(halves[1]), within: Self.factBytes) else { continue }
                    words[String(halves[0])] = String(halves[1])
                }
                guard let address = words["rpc"].flatMap({ try? PeerAddress($0) }) else { return nil }
                var facts = Facts(node: item.node, address: address)
                facts.http = words["http"]
                facts.roles = (words["roles"] ?? "").split(separator: ",").map(String.init)
                facts.featureLevel = words["level"].flatMap { UInt16($0) } ?? 0
                facts.software = words["software"] ?? ""
                facts.folder = words["folder"].flatMap { UUIDv7($0) }
                facts.cluster = words["cluster"].flatMap { UUIDv7($0) }
                facts.clusterEpoch = words["cluster-epoch"].flatMap { UInt64($0) }
                facts.told = Self.instant(words["told-ms"], now)
                facts.expects = words["expects"].flatMap { UInt16($0) }
                facts.isJoining = words["joining"] == "yes"
                facts.founders = (words["founders"] ?? "").split(separator: ",").compactMap { try? NodeID(String($0)) }
                (facts.configurationIndex, facts.members) = Self.readConfiguration(words["members"])
                facts.epoch = item.epoch
                facts.heard = Self.instant(words["silent-ms"], now)
                return facts
            }, direct: false)
    }

    private static func instant(_ milliseconds: String?, _ now: Instant) -> Instant? {
        milliseconds.flatMap { Int64($0) }.map { Instant(nanoseconds: now.nanoseconds - min(max(0, $0), 86_400_000) * 1_000_000) }
    }

    // MARK: On disk

    /// Writes down what changed. Where others were is a hint: that it cannot be kept is no reason to stop.
    package func save() throws(StorageError) {
        let lines = state.withLock { state -> [String]? in
            guard state.isDirty else { return nil }
            state.isDirty = false
            return state.facts.values.filter { $0.roles.contains("coordinator") }.sorted { $0.node < $1.node }.map { facts in
                "\(facts.node) \(facts.address) \((state.folders[facts.node] ?? facts.folder)?.description ?? "-")"
                    + (state.members.contains(facts.node) ? " member" : "")
            }
        }
        guard let lines else { return }
        do throws(StorageError) { try disk.replace(path, with: Array(lines.map { $0 + "\n" }.joined().utf8)) } catch {
            state.withLock { $0.isDirty = true }
            throw error
        }
    }
}

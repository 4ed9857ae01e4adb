package import Observability
package import Primitives
import Raft
import Storage
import Synchronization
package import Transport
package import Wire

/// How nodes find each other: each tells those it knows all that it knows, and is told the same (`PushPull`). Before a node has a cluster it waits in this way for
/// those with whom it begins one, or for one to join; afterwards it keeps the directory true.
package final class Gathering: Sendable {
    package struct Failure: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    struct State {
        /// What each node last said it knows of nodes that wait as this one does.
        var views: [NodeID: [NodeID]] = [:]
        var refusal: String?
        /// How often somebody had a cluster, and did not say with whom it began.
        var unfounded = 0
        /// Who does not listen to this node, until it does or is not heard again.
        var refusals: [PeerAddress: Refusal] = [:]
        /// What was said last of being refused, or removed.
        var standing: String?
        /// What was written down last of what is committed.
        var kept: CommitMark?
    }

    private static let triesUnfounded = 20
    private static let viewsKept = 256

    private static let pauseWaiting: Duration = .milliseconds(150)
    private static let pauseRunning: Duration = .seconds(1)
    private static let hurriedTurns = 20
    private static let timeout: Duration = .milliseconds(800)
    /// Whoever was heard so lately is there.
    private static let freshFor: Duration = .seconds(5)

    package let directory: PeerDirectory
    private let client: RPCClient
    let seeds: [PeerAddress]
    let telemetry: Telemetry
    let state = Mutex(State())
    private let exchanges: Counter
    private let failures: Counter
    private let postponed: Counter

    package init(directory: PeerDirectory, client: RPCClient, seeds: [PeerAddress], telemetry: Telemetry) {
        (self.directory, self.client, self.seeds, self.telemetry) = (directory, client, seeds, telemetry)
        exchanges = telemetry.metrics.counter(
            "distric_gathering_exchanges_total", "Times that this node and another told each other all they know.")
        failures = telemetry.metrics.counter("distric_gathering_failures_total", "Nodes that could not be asked what they know.")
        postponed = telemetry.metrics.counter("distric_gathering_postponed_total", "Times that a newcomer could not be let in yet.")
    }

    // MARK: Exchange

    /// Another node tells what it knows.
    package func answer(_ call: PushPull, from hello: Hello) throws(CallError) -> PushPull {
        guard let caller = hello.node, caller == call.from else {
            throw CallError(.denied, "'\(call.from)' is not who says hello (\(hello.node?.text ?? "no node"))")
        }
        if let refusal = directory.refusal(of: hello) { throw CallError(.denied, refusal) }
        take(call, hello)
        return message
    }

    private var message: PushPull {
        var message = PushPull()
        (message.from, message.members) = (directory.node, directory.news)
        return message
    }

    private func take(_ other: PushPull, _ hello: Hello?) {
        directory.merge(other.members)
        if let hello { directory.heard(hello) }
        // Its own view, as it was when it said so: of nodes that wait for a cluster, itself among them.
        let waiting = other.members.filter { member in
            member.facts.contains { $0.hasPrefix("expects=") } && !member.facts.contains { $0.hasPrefix("cluster=") }
        }
        state.withLock { state in
            guard state.views[other.from] != nil || state.views.count < Self.viewsKept else { return }
            state.views[other.from] = waiting.map(\.node).sorted()
        }
    }

    /// Asks everybody who can be asked, once.
    private func exchange(with addresses: [PeerAddress]) async {
        await withTaskGroup(of: Void.self) { group in
            for address in addresses {
                group.addTask { [self] in
                    do throws(CallError) {
                        let answer = try await client.call(message, to: address, timeout: Self.timeout)
                        take(answer, nil)
                        exchanges.increment()
                        state.withLock { $0.refusals[address] = nil }
                    } catch {
                        failures.increment()
                        guard error.code == .denied || error.code == .wrongCluster else { return }
                        let text = error.message.hasPrefix("\(address)") ? error.message : "\(address): \(error.message)"
                        state.withLock { state in
                            state.refusal = text
                            state.refusals[address] = Refusal(text: text, isStrangers: error.code == .wrongCluster, at: telemetry.clock.now)
                        }
                    }
                }
            }
        }
    }

    private var addresses: [PeerAddress] {
        let own = directory.own.current.address
        var all = seeds
        for facts in directory.all where facts.node != directory.node && facts.roles.contains("coordinator") { all.append(facts.address) }
        var unique: [PeerAddress] = []
        for address in all where address.description != own && !unique.contains(address) { unique.append(address) }
        return unique
    }

    // MARK: Before there is a cluster

    /// Waits until it is known to which cluster this node belongs: one that it begins with others, or one that it joins.
    ///
    /// - Parameters:
    ///   - expects: coordinators with which a cluster is begun; 0 joins one that is there.
    ///   - waiting: told of what it waits for.
    package func form(expects: Int, newCluster: () -> UUIDv7, waiting: (String) -> Void) async throws -> Founding {
        while true {
            try Task.checkCancellation()
            await exchange(with: addresses)
            if let refusal = state.withLock({ $0.refusal }) { throw Failure(description: refusal) }
            if let found = try step(expects, newCluster, waiting) { return found }
            try await Task.sleep(for: Self.pauseWaiting)
        }
    }

    private func step(_ expects: Int, _ newCluster: () -> UUIDv7, _ waiting: (String) -> Void) throws(Failure) -> Founding? {
        let others = directory.all.filter { $0.node != directory.node }
        if let member = others.first(where: { $0.cluster != nil }), let cluster = member.cluster {
            let epoch = others.compactMap { $0.cluster == cluster ? $0.clusterEpoch : nil }.max() ?? 1
            if expects == 0 { return Founding(cluster: cluster, voters: [], epoch: epoch) }
            // Of others it may have been told what they said before that.
            if let changed = others.first(where: { $0.cluster == cluster && $0.configurationIndex > .zero }) {
                throw Failure(
                    description:
                        "'\(changed.node)' at \(changed.address) belongs to cluster \(cluster), whose members have changed since it was begun: start this node with --join alone (no --bootstrap-expect) to join it"
                )
            }
            guard let founder = others.first(where: { $0.cluster == cluster && $0.founders.contains(directory.node) }) else {
                let known = others.contains { $0.cluster == cluster && !$0.founders.isEmpty }
                let tries = state.withLock { state in
                    state.unfounded += 1
                    return state.unfounded
                }
                guard known || tries > Self.triesUnfounded else {
                    return wait("waiting to hear with whom cluster \(cluster) began", waiting)
                }
                throw Failure(
                    description:
                        "'\(member.node)' at \(member.address) belongs to cluster \(cluster), which was begun without this node: start it with --join alone (no --bootstrap-expect) to join that one"
                )
            }
            return Founding(cluster: cluster, voters: founder.founders, epoch: epoch)
        }
        guard expects > 0 else {
            let asked = seeds.map(\.description).joined(separator: ", ")
            return wait("waiting for a node of a cluster to answer at \(asked)", waiting)
        }
        let peers = others.filter { $0.expects != nil }
        if let other = peers.first(where: { $0.expects != UInt16(clamping: expects) }), let theirs = other.expects {
            throw Failure(
                description:
                    "this node expects \(expects) coordinators, and '\(other.node)' at \(other.address) expects \(theirs): give all of them the same --bootstrap-expect"
            )
        }
        let all = (peers.map(\.node) + [directory.node]).sorted()
        guard all.count <= expects else {
            throw Failure(
                description:
                    "\(all.count) coordinators wait to begin a cluster of \(expects): \(all.map(\.text).joined(separator: ", ")); start those that are too many with --join alone, later"
            )
        }
        guard all.count == expects else {
            return wait("waiting for \(expects) coordinators, know \(all.count): \(all.map(\.text).joined(separator: ", "))", waiting)
        }
        // All of them know all of them: so nobody can begin another one with some of them.
        let views = state.withLock { $0.views }
        guard peers.allSatisfy({ views[$0.node] == all }) else {
            return wait("waiting until all \(expects) coordinators know each other", waiting)
        }
        guard all.first == directory.node else {
            return wait("waiting for '\(all[0])' to begin the cluster of \(all.map(\.text).joined(separator: ", "))", waiting)
        }
        return Founding(cluster: newCluster(), voters: all)
    }

    private func wait(_ text: String, _ waiting: (String) -> Void) -> Founding? {
        waiting(text)
        return nil
    }

    // MARK: Afterwards

    /// Keeps the directory true, brings newcomers into the configuration where this node leads, and remembers on disk who is where. Until it is cancelled.
    package func run(_ driver: RaftDriver) async {
        var turns = 0
        while !Task.isCancelled {
            await turn(driver)
            turns += 1
            // Where a node has just started there is much to tell.
            try? await Task.sleep(for: turns < Self.hurriedTurns ? Self.pauseWaiting : Self.pauseRunning)
        }
    }

    private func turn(_ driver: RaftDriver) async {
        let before = driver.status
        directory.setJoining((before.voters + before.learners).isEmpty)
        if before.configurationIndex > .zero || before.snapshotIndex > .zero { directory.setFounders([]) }
        await exchange(with: addresses)
        let status = driver.status
        let members = status.voters + status.outgoing + status.learners
        // What is only in force may still be taken back.
        if status.configurationIndex <= status.commitIndex { directory.setConfiguration(status.configurationIndex, members: members) }
        // One that has lost its log may know of fewer than there are.
        if members.contains(directory.node), !status.isRecovering { directory.keep(members: members) }
        tellStanding(status)
        if status.isLeader { await admit(driver, status, members) }
        do throws(StorageError) {
            try directory.save()
            try keepCommit(driver)
        } catch {
            telemetry.warn("gathering", "where the others are, or what is committed, could not be written down: \(error)")
        }
    }

    /// So that this node can answer from what it has when it starts without the others.
    private func keepCommit(_ driver: RaftDriver) throws(StorageError) {
        guard let mark = driver.commitMark, mark != state.withLock({ $0.kept }) else { return }
        try driver.keep(mark)
        state.withLock { $0.kept = mark }
    }

    /// Whoever wants to belong to the cluster becomes a voter once it has caught up (Raft section 6).
    private func admit(_ driver: RaftDriver, _ status: RaftStatus, _ members: [NodeID]) async {
        let now = telemetry.clock.now
        let newcomer = directory.all.first { facts in
            directory.wantsToJoin(facts) && !members.contains(facts.node) && facts.roles.contains("coordinator")
                && facts.heard.map { now.duration(since: $0) < Self.freshFor } ?? false
        }
        guard let newcomer else { return }
        do throws(RaftRefusal) {
            // Whoever is on the way already, and still there, goes on being so.
            let coming = status.target.filter { node in
                !status.voters.contains(node)
                    && (directory.facts(node)?.heard.map { now.duration(since: $0) < Self.freshFor } ?? false)
            }
            _ = try await driver.change(
                voters: status.voters + coming + [newcomer.node], learners: status.learners.filter { !status.target.contains($0) },
                basedOn: status.configurationIndex)
            telemetry.events.emit(
                "cluster.joining", subject: newcomer.node.text,
                "'\(newcomer.node)' at \(newcomer.address) joins: a learner now, a voter once it has caught up")
        } catch {
            // One change at a time: it is tried again with the next turn.
            postponed.increment()
        }
    }
}

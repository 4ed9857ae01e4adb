import API
import Cluster
import Coordinator
import Foundation
import Logging
import NIOCore
import NIOPosix
import Observability
import Primitives
import SWIM
import ServiceLifecycle
import Storage
import Transport
import UnixSignals
import Wire

/// Where and under which keys a node gossips, checked before it touches anything.
struct GossipPlan: Sendable {
    static let standardPort = 7946

    var host: String
    var port: Int
    /// Whether somebody chose the port: one that nobody chose may be another.
    var isChosen: Bool
    /// Under which other nodes reach it, where that is another host, or another port.
    var advertised: (host: String, port: Int?)?
    var keyFile: String?
    /// Nil where nothing is sealed.
    var ring: KeyRing?

    /// Nil where the node takes no calls, without which it could join nobody, or is told not to gossip.
    init?(_ settings: Settings, rpc: PeerAddress?, rpcAdvertised: PeerAddress?) throws(DistriCError) {
        let text = settings.text("gossip.address")
        guard case .tcp(let rpcHost, _)? = rpc, text != "none" else { return nil }
        if settings.isSet("gossip.address") {
            (host, port) = try Self.read("gossip.address", text)
            isChosen = true
        } else {
            // Whoever takes calls from other machines takes their datagrams too.
            (host, port, isChosen) = (rpcHost, Self.standardPort, false)
        }
        let given = settings.text("gossip.advertise")
        if !given.isEmpty {
            let (host, port) = try Self.read("gossip.advertise", given)
            advertised = (host, port == 0 ? nil : port)
        } else if Self.isWildcard(host), case .tcp(let named, _)? = rpcAdvertised {
            advertised = (named, nil)
        }
        guard !Self.isWildcard(host) || advertised != nil || settings.flag("http.insecure") else {
            throw DistriCError(
                .badConfiguration,
                "gossip.address = '\(host):\(port)' says of no machine: set gossip.advertise to the host:port under which other nodes reach it"
            )
        }
        let path = settings.text("gossip.key_file")
        if !path.isEmpty { (keyFile, ring) = (path, try Self.ring(path)) }
        guard HTTPServer.isLoopback(host) || ring != nil || settings.flag("http.insecure") else {
            throw DistriCError(
                .badConfiguration,
                "gossip on \(host):\(port) (gossip.address) is reachable from other machines, and has no key: set gossip.key_file to a file with the line '1 KEY' on all nodes (KEY is 64 hexadecimal digits: openssl rand -hex 32), listen on 127.0.0.1, or start with --insecure if the network is yours alone"
            )
        }
    }

    private static func isWildcard(_ host: String) -> Bool { host == "0.0.0.0" || host == "::" }

    private static func read(_ key: String, _ text: String) throws(DistriCError) -> (String, Int) {
        guard text.contains(":"), case .tcp(let host, let port)? = try? PeerAddress(text) else {
            throw DistriCError(.badConfiguration, "\(key) = '\(text)': expected host:port")
        }
        return (host, port)
    }

    /// What others are told, by the port that the node got.
    func place(_ bound: Int) -> String? {
        advertised.map { PeerAddress.tcp(host: $0.host, port: $0.port ?? bound).description }
    }

    // MARK: Keys

    /// `ID KEY` a line, the key in 64 hexadecimal digits; what follows a '#' is a comment. The first is the one that seals.
    static func keys(_ path: String) throws(DistriCError) -> [KeyRing.Key] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw DistriCError(.badConfiguration, "gossip.key_file: cannot read \(path)")
        }
        var keys: [KeyRing.Key] = []
        for (number, line) in String(decoding: data, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            guard !words.isEmpty else { continue }
            // A key is a secret: it is never shown, also when it is a wrong one.
            guard words.count == 2, let id = UInt8(words[0]), let bytes = Self.bytes(words[1]),
                let key = try? KeyRing.Key(id: id, bytes: bytes)
            else {
                throw DistriCError(
                    .badConfiguration,
                    "\(path):\(number + 1): expected a number from 0 to 255 and a key of 64 hexadecimal digits (openssl rand -hex 32)")
            }
            guard !keys.contains(where: { $0.id == id }) else {
                throw DistriCError(.badConfiguration, "\(path):\(number + 1): key \(id) is there twice: give each a number of its own")
            }
            keys.append(key)
        }
        guard !keys.isEmpty, keys.count <= KeyRing.keyLimit else {
            throw DistriCError(.badConfiguration, "\(path): holds \(keys.count) keys; 1 to \(KeyRing.keyLimit) are taken")
        }
        return keys
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count == 64, text.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
        let digits = Array(text)
        let bytes = stride(from: 0, to: 64, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
        return bytes.count == 32 && digits.allSatisfy(\.isHexDigit) ? bytes : nil
    }

    private static func ring(_ path: String) throws(DistriCError) -> KeyRing {
        let keys = try Self.keys(path)
        let ring = KeyRing(keys[0])
        do throws(TransportError) { for key in keys.dropFirst() { try ring.install(key) } } catch {
            throw DistriCError(.badConfiguration, "\(path): \(error)")
        }
        return ring
    }

    /// Takes the keys that are in the file now: new ones are read with first, then the first one seals, then those go that are not there any more.
    func reload() throws(DistriCError) {
        guard let keyFile, let ring else { return }
        let keys = try Self.keys(keyFile)
        do throws(TransportError) {
            for key in keys { try ring.install(key) }
            try ring.use(keys[0].id)
            for id in ring.ids where !keys.contains(where: { $0.id == id }) { try ring.remove(id) }
        } catch {
            throw DistriCError(.badConfiguration, "\(keyFile): \(error)")
        }
    }
}

// MARK: Taking part

extension NodeNetwork {
    /// Begins to gossip, once it is known where this node takes calls.
    func startGossip(_ settings: Settings, telemetry: Telemetry) async throws(DistriCError) {
        guard let gossip, let plan = gossipPlan, let rpc = hello.current.address else { return }
        let own = metadata(settings, rpc)
        let bound: String
        do throws(GossipDriver.Failure) {
            bound = try await start(gossip, plan, own, telemetry)
        } catch {
            switch error {
            case .metadata(let error): throw DistriCError(.badConfiguration, "gossip: \(error)")
            case .transport(let error):
                let isTaken = error.description.contains("EADDRINUSE") || error.description.contains("errno: 98")
                throw DistriCError(
                    .unavailable,
                    isTaken
                        ? "\(plan.host):\(plan.port)/udp is in use by another program; stop it, or choose another --gossip address (port 0 takes a free one)"
                        : error.description)
            }
        }
        telemetry.logger("node").info("gossip", metadata: ["address": "\(bound)", "sealed": "\(plan.ring != nil)"])
    }

    /// The usual port where it is free; one that nobody chose is another where it is not.
    private func start(_ gossip: GossipDriver, _ plan: GossipPlan, _ own: MemberMetadata, _ telemetry: Telemetry)
        async throws(GossipDriver.Failure) -> String
    {
        let seed = UInt64.random(in: 0...UInt64.max)
        do throws(GossipDriver.Failure) {
            return try await gossip.start(host: plan.host, port: plan.port, place: { plan.place($0) }, own, seed: seed)
        } catch {
            guard case .transport = error, !plan.isChosen else { throw error }
            return try await gossip.start(host: plan.host, port: 0, place: { plan.place($0) }, own, seed: seed)
        }
    }

    private func metadata(_ settings: Settings, _ rpc: String) -> MemberMetadata {
        let hello = hello.current
        var own = MemberMetadata(gossip: "", rpc: rpc)
        (own.http, own.roles, own.software, own.featureLevel) = (hello.http, hello.roles, hello.software, hello.featureLevel)
        (own.lowestProtocol, own.highestProtocol) = (hello.lowest.number, hello.highest.number)
        guard hello.roles.contains("worker") else { return own }
        own.slots = UInt32(clamping: settings.whole("worker.slots"))
        own.labels = settings.table("worker.labels").sorted { $0.key < $1.key }.map { .init(name: $0.key, value: $0.value) }
        return own
    }

    /// Coordinators that gossip knows to be there, where they take calls.
    var coordinatorsByGossip: @Sendable () -> (calls: [PeerAddress], urls: [String]) {
        let view = gossip?.view
        return {
            let found = view?.current.coordinators ?? []
            return (found.compactMap { try? PeerAddress($0.metadata.rpc) }, found.compactMap(\.metadata.http))
        }
    }
}

/// Gossips for as long as the node serves.
struct GossipService: Service {
    let network: NodeNetwork
    let telemetry: Telemetry
    /// Whether SIGHUP reads the keys again.
    let takesSignals: Bool

    @concurrent
    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await gossip() }
                if takesSignals, network.gossipPlan?.ring != nil {
                    group.addTask { for await _ in await UnixSignalsSequence(trapping: .sighup) { reload() } }
                }
                group.addTask { try? await gracefulShutdown() }
                await group.waitForAll()
            }
        }
    }

    private func gossip() async {
        let (directory, named) = (network.directory, network.seeds.map(\.description))
        await network.gossip?.run {
            // Those with whom the group is kept are asked too: they may be on the other side of what gossip does not reach.
            named + directory.all.filter { $0.node != directory.node }.map(\.address.description).filter { !named.contains($0) }
        }
    }

    private func reload() {
        do throws(DistriCError) {
            try network.gossipPlan?.reload()
            telemetry.events.emit("gossip.keys_reloaded", subject: telemetry.node.text, "the keys of gossip were read again")
        } catch {
            telemetry.events.emit(
                "gossip.keys_refused", subject: telemetry.node.text, severity: .error, "the keys of gossip stay as they were: \(error)")
        }
    }
}

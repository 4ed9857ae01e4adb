import Foundation
import Glibc
import Primitives

/// How many members a demo has, and where each lives.
package struct DemoPlan: Sendable {
    package static let coordinatorChoices = [1, 3, 5]
    package static let workerChoices = 0...16

    struct Place: Sendable {
        var id: String
        var isCoordinator: Bool
        var folder: String
        var http: Int
        var rpc: Int
    }

    let places: [Place]
    /// Each member's settings that are not its place.
    private let surroundings: [String: String]
    private let guardProgram: String?
    package let folder: String

    /// Chooses free ports of loopback.
    ///
    /// - Parameters:
    ///   - folder: each member has one of its own in it. One that an earlier demo has left must have had as many coordinators.
    ///   - guardProgram: a `distric` binary, through which `exec@1` tasks are started under limits.
    package init(coordinators: Int, workers: Int, folder: String, guardProgram: String?, environment: [String: String]) throws(DistriCError)
    {
        try Self.checkEarlier(folder, coordinators)
        self.folder = folder
        self.guardProgram = guardProgram
        surroundings = environment
        let ids = (1...coordinators).map { "c-\($0)" } + (0..<workers).map { "w-\($0 + 1)" }
        let ports = try Self.freePorts(ids.count * 2)
        places = ids.enumerated().map { number, id in
            Place(
                id: id, isCoordinator: number < coordinators, folder: folder + "/" + id, http: ports[number * 2], rpc: ports[number * 2 + 1]
            )
        }
    }

    private var coordinators: [Place] { places.filter(\.isCoordinator) }
    /// One coordinator without workers does the work itself.
    private var isAlone: Bool { places.count == 1 }

    func settings(of place: Place) throws(DistriCError) -> Settings {
        let seeds = coordinators.map { "127.0.0.1:\($0.rpc)" }.joined(separator: ",")
        var values = [
            "node.id": place.id, "node.data": place.folder, "http.address": "127.0.0.1:\(place.http)",
            "rpc.address": "127.0.0.1:\(place.rpc)",
            "node.role": isAlone ? "coordinator,worker" : place.isCoordinator ? "coordinator" : "worker",
            // Links and disks may be broken, and severing needs what that needs.
            "chaos.allow": "true",
            // Short, so that it is seen how the work of a worker that died goes to others.
            "worker.lease": "3s",
            // A disk that fills up stops a demo, which loses nothing by that.
            "disk.ballast_bytes": "0", "raft.segment_bytes": "4MiB",
        ]
        if surroundings["DISTRIC_WORKER_ALLOW_EXEC"] == nil || !isAlone { values["worker.allow_exec"] = "/usr/bin/sort,/usr/bin/wc" }
        if !place.isCoordinator {
            (values["worker.slots"], values["worker.labels"]) = (
                "4", "zone=\(Int(place.id.dropFirst(2)).map { $0 % 2 == 1 } == true ? "north" : "south")"
            )
        }
        if coordinators.count > 1 || !place.isCoordinator { values["cluster.join"] = seeds }
        if coordinators.count > 1, place.isCoordinator { values["cluster.bootstrap_expect"] = String(coordinators.count) }
        let flags = values.sorted { $0.key < $1.key }.map { (key: $0.key, flag: "the demo", text: $0.value) }
        return try Settings(file: nil, environment: surroundings, flags: flags)
    }

    func open(_ place: Place, log: Int32, demo: any DemoControlling) async throws -> any Mortal {
        let settings = try settings(of: place)
        guard !WorkerNode.isMeant(by: settings) else {
            return try await WorkerNode.open(settings: settings, guardProgram: guardProgram, logDescriptor: log, isMortal: true)
        }
        return try await Node.open(settings: settings, guardProgram: guardProgram, logDescriptor: log, demo: demo)
    }

    // MARK: Folders and ports

    /// Who was founded with two others waits for them for ever.
    private static func checkEarlier(_ folder: String, _ coordinators: Int) throws(DistriCError) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let earlier = names.filter { $0.hasPrefix("c-") && Int($0.dropFirst(2)) != nil }.count
        guard earlier > 0, earlier != coordinators else { return }
        throw DistriCError(
            .badConfiguration,
            "\(folder) holds a demo with \(earlier) coordinator\(earlier == 1 ? "" : "s"), and this one has \(coordinators): say --coordinators \(earlier), or keep this one elsewhere"
        )
    }

    /// All are taken before one is given back, so that no two are the same.
    private static func freePorts(_ count: Int) throws(DistriCError) -> [Int] {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        return try (0..<count).map { _ throws(DistriCError) in
            let found = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard found >= 0 else { throw noPort() }
            sockets.append(found)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(found, $0, length) == 0 && getsockname(found, $0, &length) == 0
                }
            }
            guard isBound else { throw noPort() }
            return Int(UInt16(bigEndian: address.sin_port))
        }
    }

    private static func noPort() -> DistriCError {
        DistriCError(
            .unavailable, "no free port on 127.0.0.1: \(String(cString: strerror(errno))); is the limit of open files (ulimit -n) too low?")
    }
}

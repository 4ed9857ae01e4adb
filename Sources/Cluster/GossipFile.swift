import Primitives
import Storage

/// What a node keeps of gossip for its next start: the epoch that it used, so that the next is above it, and where others were.
struct GossipFile: Equatable, Sendable {
    /// More are not needed to find the rest.
    static let peerLimit = 64

    var epoch: UInt64 = 0
    /// `host:port` for calls.
    var peers: [String] = []

    /// Nothing where there is no file. A line that cannot be read is left out: all of it is heard again.
    static func read(_ path: String, disk: any Disk) throws(StorageError) -> GossipFile {
        var found = GossipFile()
        let bytes = try disk.contents(of: path) ?? []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2 else { continue }
            switch words[0] {
            case "epoch": found.epoch = UInt64(words[1]) ?? found.epoch
            case "peer" where found.peers.count < peerLimit: found.peers.append(String(words[1]))
            default: continue
            }
        }
        return found
    }

    func write(_ path: String, disk: any Disk) throws(StorageError) {
        let lines = ["epoch \(epoch)"] + peers.prefix(Self.peerLimit).map { "peer \($0)" }
        try disk.replace(path, with: Array(lines.map { $0 + "\n" }.joined().utf8))
    }
}

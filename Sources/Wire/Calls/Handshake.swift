package import Primitives

/// What two sides agreed on.
package struct Peer: Equatable, Sendable {
    package var hello: Hello
    /// The highest version that both speak.
    package var version: WireVersion
    /// What both can beyond the version, in the order in which this side names it.
    package var capabilities: [String] = []

    package var node: NodeID? { hello.node }
}

/// The first frames of a connection: each says who it is, and what the other says must fit.
package struct Handshake: Equatable, Sendable {
    /// How long the other may take to say it.
    package static let limit: Duration = .seconds(5)

    private static let textBytes = 128
    /// Of an address or a URL: the longest host name has 253.
    private static let placeBytes = 300

    package let own: Hello

    package init(own: Hello) { self.own = own }

    /// Whether a text may be shown to people and written to logs.
    package static func isPlain(_ text: String, within bytes: Int) -> Bool {
        guard text.utf8.count <= bytes else { return false }
        return text.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
            default: true
            }
        }
    }

    /// Whether they can talk. A client that is no node may talk to any cluster; nodes only to their own.
    package func accept(_ other: Hello) throws(CallError) -> Peer {
        // It is shown to people and written to logs.
        let words = [other.software] + other.roles + other.capabilities
        let places = [other.address, other.http].compactMap(\.self)
        guard words.count <= 64, words.allSatisfy({ Self.isPlain($0, within: Self.textBytes) }),
            places.allSatisfy({ Self.isPlain($0, within: Self.placeBytes) })
        else {
            throw CallError(.protocolViolation, "a hello with texts that are long, or hold characters that nobody sees")
        }
        guard other.lowest <= other.highest else {
            throw CallError(.protocolViolation, "versions \(other.lowest) to \(other.highest) are none")
        }
        guard other.lowest.major <= own.highest.major, own.lowest.major <= other.highest.major, other.lowest <= own.highest,
            own.lowest <= other.highest
        else {
            throw CallError(
                .unsupportedVersion,
                "the other speaks \(other.lowest) to \(other.highest), this program \(own.lowest) to \(own.highest): run one that is nearer"
            )
        }
        if let ours = own.cluster, let theirs = other.cluster, ours != theirs {
            throw CallError(.wrongCluster, "cluster \(theirs) talks to cluster \(ours): the address is another cluster's")
        }
        if let ours = own.clusterEpoch, let theirs = other.clusterEpoch, ours != theirs, own.node != nil, other.node != nil {
            // Who is behind is told by the numbers, whichever of them says it.
            throw CallError(
                .denied,
                "epoch \(theirs) of the cluster talks to epoch \(ours): it was recovered from what was left of it, and the node of the older epoch has to begin with an empty folder: 'distric node --id ID --data EMPTY-FOLDER --join HOST:PORT', with a node of the later epoch to join"
            )
        }
        let theirs = Set(other.capabilities)
        return Peer(
            hello: other, version: min(own.highest, other.highest), capabilities: own.capabilities.filter { theirs.contains($0) })
    }
}

/// What a member says of itself that changes slowly: where it is, what it does, what it can do. Load is none of it: that travels on lease renewals.
package struct MemberMetadata: Equatable, Sendable {
    package struct Label: Equatable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) { (self.name, self.value) = (name, value) }
    }

    /// Bytes of one, as `estimatedBytes` counts them: a rumour that bears it fits a datagram together with the ping that it rides on.
    package static let limit = 600
    /// Bytes of an address: a host name has 253 at most, a port 5.
    package static let addressBytes = 260

    /// The incarnation that it was said in: of two of the same process the one with the higher version is newer.
    package var version = Incarnation.zero
    /// `host:port` where it takes datagrams.
    package var gossip: String
    /// `host:port` where it takes calls.
    package var rpc: String
    /// URL of its HTTP API, where it has one.
    package var http: String?
    package var roles: [String] = []
    package var labels: [Label] = []
    /// Tasks that it takes at once.
    package var slots: UInt32 = 0
    /// The protocol's versions that it speaks.
    package var lowestProtocol: UInt16 = 0
    package var highestProtocol: UInt16 = 0
    package var featureLevel: UInt16 = 0
    package var software = ""

    package init(gossip: String, rpc: String) { (self.gossip, self.rpc) = (gossip, rpc) }

    /// Throws what is wrong with it. Texts are printable ASCII, for they are shown to people and written to logs.
    package func check() throws(SWIMError) {
        for address in [gossip, rpc] + (http.map { [$0] } ?? []) where address.isEmpty || address.utf8.count > Self.addressBytes {
            throw .badAddress(bytes: address.utf8.count, limit: Self.addressBytes)
        }
        guard estimatedBytes <= Self.limit else { throw .metadataTooLarge(bytes: estimatedBytes, limit: Self.limit) }
        try Self.checkText("address", [gossip, rpc, http ?? ""])
        try Self.checkText("role", roles)
        try Self.checkText("label", labels.map(\.name) + labels.map(\.value))
        try Self.checkText("software", [software])
    }

    private static func checkText(_ what: String, _ texts: [String]) throws(SWIMError) {
        for text in texts where !text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { throw .unprintable(what) }
    }

    /// Whether it says something else, whenever it was said.
    func differs(from other: MemberMetadata) -> Bool {
        var same = other
        same.version = version
        return self != same
    }
}

/// Why a node's own metadata is not taken.
package enum SWIMError: Error, Equatable, Sendable, CustomStringConvertible {
    case metadataTooLarge(bytes: Int, limit: Int)
    case badAddress(bytes: Int, limit: Int)
    case unprintable(String)
    case epochTooHigh(UInt64)

    package var description: String {
        switch self {
        case .metadataTooLarge(let bytes, let limit):
            "the node's addresses, roles and labels take \(bytes) bytes where \(limit) fit: give it fewer or shorter labels"
        case .badAddress(let bytes, let limit): "an address of \(bytes) bytes is none: host:port takes 1 to \(limit)"
        case .unprintable(let what): "a node's \(what) holds characters other than printable ASCII: write it without them"
        case .epochTooHigh(let epoch): "the node's epoch \(epoch) is above \(MemberIdentity.highestEpoch): set the machine's clock"
        }
    }
}

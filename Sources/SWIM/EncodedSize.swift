import Primitives

// What messages take at most in the fields of the wire: 7 bytes in front of each field, 5 more for a list, 4 for each of its items, numbers of 8 bytes.
// A codec that spends no more keeps every datagram within its limit; it is asked to trap in its tests where it does not.
private let head = 7
private let listHead = head + 5
private let itemHead = 4
private let number = head + 8

private func field(_ text: String) -> Int { head + text.utf8.count }

extension MemberIdentity {
    package var estimatedBytes: Int { field(node.text) + number }
}

extension MemberMetadata {
    package var estimatedBytes: Int {
        var bytes = number + field(gossip) + field(rpc) + (http.map(field) ?? 0) + field(software)
        // Slots, two versions, a level.
        bytes += head + 4 + 3 * (head + 2)
        if !roles.isEmpty { bytes += listHead }
        for role in roles { bytes += itemHead + role.utf8.count }
        if !labels.isEmpty { bytes += listHead }
        for label in labels { bytes += itemHead + label.name.utf8.count + 1 + label.value.utf8.count }
        return bytes
    }
}

extension Rumour {
    package var estimatedBytes: Int {
        Self.estimatedBytes(identity, accuser: accuser, metadata: metadata)
    }

    static func estimatedBytes(_ identity: MemberIdentity, accuser: NodeID?, metadata: MemberMetadata?) -> Int {
        let state = head + 1
        return itemHead + identity.estimatedBytes + number + state + (accuser.map { field($0.text) } ?? 0)
            + (metadata.map { head + $0.estimatedBytes } ?? 0)
    }
}

extension SWIMMessage {
    /// The message without its frame and its seal, which the settings call the envelope.
    package var estimatedBytes: Int {
        var bytes = from.estimatedBytes
        switch self {
        case .ping(let message): bytes += 3 * number + message.target.estimatedBytes
        case .ack: bytes += 2 * number + head + 1
        case .pingReq(let message): bytes += number + message.target.estimatedBytes + field(message.address)
        case .nack: bytes += number
        case .membershipUpdate: break
        case .pushPull: bytes += head + 1
        }
        return news.reduce(bytes + listHead) { $0 + $1.estimatedBytes }
    }
}

import Primitives

/// The number by which a frame says what its payload is.
package struct MessageType: Hashable, Sendable, CustomStringConvertible {
    package var number: UInt16
    package init(number: UInt16) { self.number = number }

    /// What any frame may carry at most.
    package static let largestPayload = 16 << 20

    // Consensus
    package static let requestVote = MessageType(number: 0x1001)
    package static let requestVoteReply = MessageType(number: 0x1002)
    package static let appendEntries = MessageType(number: 0x1003)
    package static let appendEntriesReply = MessageType(number: 0x1004)
    package static let installSnapshot = MessageType(number: 0x1005)
    package static let installSnapshotReply = MessageType(number: 0x1006)
    package static let preVote = MessageType(number: 0x1007)
    package static let preVoteReply = MessageType(number: 0x1008)
    package static let timeoutNow = MessageType(number: 0x1009)
    package static let readIndex = MessageType(number: 0x100A)
    package static let readIndexReply = MessageType(number: 0x100B)
    package static let propose = MessageType(number: 0x100C)
    package static let proposeReply = MessageType(number: 0x100D)
    package static let changeMembers = MessageType(number: 0x100E)
    package static let historyRead = MessageType(number: 0x100F)
    package static let historyReadReply = MessageType(number: 0x1010)
    // Membership
    package static let ping = MessageType(number: 0x2001)
    package static let ack = MessageType(number: 0x2002)
    package static let pingRequest = MessageType(number: 0x2003)
    package static let membershipUpdate = MessageType(number: 0x2004)
    package static let nack = MessageType(number: 0x2005)
    package static let pushPull = MessageType(number: 0x2006)
    // Tasks
    package static let taskAssignment = MessageType(number: 0x3001)
    package static let taskResult = MessageType(number: 0x3002)
    package static let taskStatus = MessageType(number: 0x3003)
    package static let taskCancel = MessageType(number: 0x3004)
    package static let taskLog = MessageType(number: 0x3005)
    package static let leaseRenew = MessageType(number: 0x3006)
    package static let refusal = MessageType(number: 0x3007)
    package static let workerAttach = MessageType(number: 0x3008)
    package static let leaseTerms = MessageType(number: 0x3009)
    package static let taskResults = MessageType(number: 0x300A)
    // Clients, and calls themselves
    package static let clientSubmit = MessageType(number: 0x4001)
    package static let clientResponse = MessageType(number: 0x4002)
    package static let clientQuery = MessageType(number: 0x4003)
    package static let error = MessageType(number: 0x4004)
    package static let cancel = MessageType(number: 0x4005)
    package static let streamChunk = MessageType(number: 0x4006)
    package static let credit = MessageType(number: 0x4007)
    package static let forward = MessageType(number: 0x4008)
    package static let forwardMessages = MessageType(number: 0x4009)
    package static let forwardMessagesReply = MessageType(number: 0x400A)
    package static let hello = MessageType(number: 0x4F01)

    /// Payloads beyond it are refused before a byte of them is kept.
    package var payloadLimit: Int {
        switch self {
        case .appendEntries, .installSnapshot, .propose, .proposeReply, .pushPull, .clientSubmit, .clientResponse, .forward, .streamChunk,
            .leaseTerms, .taskResults, .forwardMessages, .forwardMessagesReply:
            Self.largestPayload
        case .taskAssignment, .taskResult, .taskLog, .leaseRenew, .workerAttach: 1 << 20
        case .hello, .ping, .ack: 16 << 10
        default: 64 << 10
        }
    }

    /// Its name in metrics, spans and `distric wire decode`; `0x1234` for one that this program does not know.
    package var description: String {
        WireMessages.all.first { $0.type == self }.map { $0.name } ?? "0x" + hexadecimal(UInt64(number), digits: 4)
    }
}

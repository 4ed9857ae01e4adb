package import Primitives

/// How a call can fail.
package struct CallError: Error, Equatable, CustomStringConvertible {
    /// Stable words; their numbers are what frames bear.
    package enum Code: UInt16, FieldValue, CaseIterable, Sendable {
        case `internal` = 1
        /// No handler for this message type.
        case unimplemented
        /// The message cannot be read or makes no sense.
        case invalid
        case tooLarge
        /// The time that the caller gave is over, or will be before an answer can be there.
        case deadlineExceeded
        case cancelled
        /// More than is taken at once: later.
        case busy
        /// The other side cannot be reached, or went away before it answered.
        case unavailable
        case notLeader
        case notFound
        case denied
        /// The other major version of the protocol.
        case unsupportedVersion
        case wrongCluster
        case tooManyConnections
        /// What came is no frame of this protocol, or breaks its rules.
        case protocolViolation
        /// The node is about to stop: go to another.
        case draining

        package var name: String {
            var text = ""
            for character in "\(self)" {
                if character.isUppercase { text += "_" }
                text += character.lowercased()
            }
            return text
        }

        /// Whether the same call, made again, may fare better.
        package var isRetryable: Bool {
            switch self {
            case .busy, .unavailable, .notLeader, .tooManyConnections, .draining: true
            case .internal, .unimplemented, .invalid, .tooLarge, .deadlineExceeded, .cancelled, .notFound, .denied, .unsupportedVersion,
                .wrongCluster, .protocolViolation:
                false
            }
        }

        package static var fieldType: TLVType { .u16 }
        package var fieldBytes: Int { 2 }
        package func write(to bytes: UnsafeMutableRawPointer) -> Int { rawValue.write(to: bytes) }
        package init(_ source: FieldSource) throws(WireError) {
            // A code of a later version is an error all the same.
            self = Self(rawValue: try source.integer(as: UInt16.self)) ?? .internal
        }
        package var fieldText: String { name }
    }

    package var code: Code
    package var message: String
    package var isRetryable: Bool
    package var retryAfter: Duration?
    package var leader: NodeID?
    package var leaderAddress: String?
    /// Whether the call may have been done all the same: it was sent, and nothing definite came back.
    package var isUncertain: Bool

    package init(
        _ code: Code, _ message: String, isRetryable: Bool? = nil, retryAfter: Duration? = nil, leader: NodeID? = nil,
        leaderAddress: String? = nil, isUncertain: Bool = false
    ) {
        self.code = code
        self.message = message
        self.isRetryable = isRetryable ?? code.isRetryable
        self.retryAfter = retryAfter
        self.leader = leader
        self.leaderAddress = leaderAddress
        self.isUncertain = isUncertain
    }

    /// As the other side said it.
    package init(_ reply: ErrorReply) {
        self.init(
            reply.code, reply.message, isRetryable: reply.isRetryable,
            retryAfter: reply.retryAfterMilliseconds.map { .milliseconds(Int64($0)) }, leader: reply.leader,
            leaderAddress: reply.leaderAddress, isUncertain: reply.isUncertain)
    }

    package var reply: ErrorReply {
        ErrorReply(
            code, message, isRetryable: isRetryable, retryAfter: retryAfter, leader: leader, leaderAddress: leaderAddress,
            isUncertain: isUncertain)
    }

    package var description: String { "\(code.name): \(message)" }
}

import Storage

/// What the facade throws: a stable code and a sentence that says what to do.
public struct DistriCError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kind of failure; its number is the exit code of `distric`.
    public enum Code: Int32, Sendable {
        /// Damaged data, or input that cannot be read.
        case badData = 65
        /// A port or a folder is in use.
        case unavailable = 69
        /// A defect of DistriC.
        case `internal` = 70
        /// The folder is not writable, or the disk is full.
        case cannotWrite = 73
        /// Settings that cannot be used, another node's folder, or a newer format.
        case badConfiguration = 78
    }

    /// The kind of failure.
    public let code: Code
    /// What happened and what to do.
    public let message: String

    /// An error of a kind.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}

extension DistriCError {
    init(_ error: StorageError) {
        let code: Code =
            switch error {
            case .io, .full: .cannotWrite
            case .locked: .unavailable
            case .otherNode, .otherCluster, .newerFormat: .badConfiguration
            case .damaged, .gap, .mixed: .badData
            case .unreadable: .badConfiguration
            case .closed: .internal
            }
        self.init(code, error.description)
    }
}

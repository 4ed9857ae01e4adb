import Coordinator
import Storage

/// Why a folder or a backup cannot be worked on, and what to do.
package struct DisasterProblem: Error, Equatable, CustomStringConvertible {
    package enum Kind: Sendable {
        /// What was asked for makes no sense with what is there.
        case usage
        /// Nothing is changed until it is said that this is meant.
        case refused
        case damaged
        /// Another process has the folder.
        case locked
        case cannotWrite
        /// A newer program wrote it.
        case newer
    }

    package let kind: Kind
    package let description: String

    init(_ kind: Kind, _ description: String) { (self.kind, self.description) = (kind, description) }

    init(_ error: StorageError) {
        kind =
            switch error {
            case .locked: .locked
            case .newerFormat, .unreadable: .newer
            case .io, .full: .cannotWrite
            case .otherNode, .otherCluster: .refused
            case .damaged, .gap, .mixed, .closed: .damaged
            }
        description = error.description
    }

    init(_ problem: BackupProblem, in file: String) {
        switch problem {
        case .damaged, .cut: self.init(.damaged, "\(file): \(problem)")
        case .newer: self.init(.newer, "\(file): \(problem)")
        case .storage(let error): self.init(error)
        }
    }

    /// Says a storage error as this room's own.
    static func telling<T>(_ body: () throws(StorageError) -> T) throws(DisasterProblem) -> T {
        do throws(StorageError) { return try body() } catch { throw DisasterProblem(error) }
    }
}

package import Transport
package import Wire

/// Whom a worker asks next: who is said to lead, else one coordinator after the other.
package struct LeaderSearch: Equatable, Sendable {
    /// Addresses that are kept at once.
    private static let limit = 64

    private let seeds: [PeerAddress]
    /// What the last leader said of who else there is.
    private var told: [PeerAddress] = []
    private var hint: PeerAddress?
    private var turn = 0

    package init(seeds: [PeerAddress]) { self.seeds = seeds }

    /// - Parameters:
    ///   - known: where this node itself knows the leader to be.
    ///   - found: coordinators that gossip knows to be there.
    package mutating func next(known: PeerAddress? = nil, found: [PeerAddress] = []) -> PeerAddress? {
        if let known { return known }
        if let hint {
            self.hint = nil
            return hint
        }
        // Those of gossip first: they are there.
        var all = found
        for address in seeds + told where !all.contains(address) { all.append(address) }
        guard !all.isEmpty else { return nil }
        defer { turn += 1 }
        return all[turn % all.count]
    }

    /// Somebody who does not lead may know who does.
    package mutating func note(_ error: CallError) { hint = error.leaderAddress.flatMap { try? PeerAddress($0) } ?? hint }

    package mutating func note(coordinators: [String]) {
        guard !coordinators.isEmpty else { return }
        told = coordinators.prefix(Self.limit).compactMap { try? PeerAddress($0) }
    }
}

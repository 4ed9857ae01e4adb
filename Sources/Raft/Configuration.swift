package import Primitives

/// Who belongs to a cluster, as one log entry states it (Raft section 6; thesis chapter 4). It is in force from the moment it is appended.
///
/// While `outgoing` is not empty the configuration is joint: elections and commitment need a majority of `voters` and one of `outgoing`.
/// `target` is where a change is going while the servers that are to vote still catch up as learners.
package struct Configuration: Equatable, Sendable {
    /// Sorted, without repetition, as are the others.
    package private(set) var voters: [NodeID]
    package private(set) var outgoing: [NodeID]
    /// They get the log, and neither vote nor count.
    package private(set) var learners: [NodeID]
    package private(set) var target: [NodeID]

    package init(voters: [NodeID] = [], outgoing: [NodeID] = [], learners: [NodeID] = [], target: [NodeID] = []) {
        self.voters = Self.sorted(voters)
        self.outgoing = Self.sorted(outgoing)
        // Who votes in one half and is to learn after the change is both.
        self.learners = Self.sorted(learners)
        self.target = Self.sorted(target)
    }

    private static func sorted(_ nodes: [NodeID]) -> [NodeID] {
        // As they are written.
        if zip(nodes, nodes.dropFirst()).allSatisfy(<) { return nodes }
        var unique: [NodeID] = []
        for node in nodes.sorted() where unique.last != node { unique.append(node) }
        return unique
    }

    package var isJoint: Bool { !outgoing.isEmpty }
    package var isEmpty: Bool { voters.isEmpty && learners.isEmpty }
    /// Whether a change is under way.
    package var isChanging: Bool { isJoint || !target.isEmpty }

    /// Everybody who gets the log, sorted.
    package var members: [NodeID] { Self.sorted(voters + outgoing + learners) }

    package func isVoter(_ node: NodeID) -> Bool { voters.contains(node) || outgoing.contains(node) }
    package func isMember(_ node: NodeID) -> Bool { isVoter(node) || learners.contains(node) }

    /// Whether those for whom `holds` is true are a majority of every half.
    package func hasQuorum(where holds: (NodeID) -> Bool) -> Bool {
        func isMajority(_ half: [NodeID]) -> Bool {
            var count = 0
            for node in half where holds(node) { count += 1 }
            return count > half.count / 2
        }
        return isMajority(voters) && (!isJoint || isMajority(outgoing))
    }

    /// Whether so many have refused that no majority is left.
    package func cannotWin(without refused: (NodeID) -> Bool) -> Bool { !hasQuorum { !refused($0) } }

    /// The highest number that a majority of every half has reached; zero without voters.
    package func agreed(_ number: (NodeID) -> UInt64) -> UInt64 {
        func agreed(_ half: [NodeID]) -> UInt64 {
            guard !half.isEmpty else { return 0 }
            var numbers: [UInt64] = []
            numbers.reserveCapacity(half.count)
            for node in half {
                // Few: put in place, highest first.
                let own = number(node)
                var place = numbers.count
                numbers.append(own)
                while place > 0, numbers[place - 1] < own {
                    numbers[place] = numbers[place - 1]
                    place -= 1
                }
                numbers[place] = own
            }
            return numbers[half.count / 2]
        }
        return isJoint ? min(agreed(voters), agreed(outgoing)) : agreed(voters)
    }
}

/// How a configuration is spelled in a log entry and in a snapshot's manifest: one line, `voters=a,b outgoing= learners=c target=`.
extension Configuration: CustomStringConvertible {
    package var description: String {
        zip(Self.names, [voters, outgoing, learners, target]).map { name, nodes in
            name + "=" + nodes.map(\.text).joined(separator: ",")
        }.joined(separator: " ")
    }

    /// Nil when the text is not one, or names no voter while it names anybody else.
    package init?(_ text: String) { self.init(payload: Array(text.utf8)) }

    package var payload: [UInt8] { Array(description.utf8) }

    /// By bytes: a server that starts reads every one that its log has.
    package init?(payload: [UInt8]) {
        var lists: [[NodeID]?] = Array(repeating: nil, count: Self.names.count)
        for part in payload.split(separator: UInt8(ascii: " ")) {
            // A later program may know more lists; a server that does not must not go on without them.
            guard let mark = part.firstIndex(of: UInt8(ascii: "=")),
                let list = Self.names.firstIndex(where: { part[..<mark].elementsEqual($0.utf8) }), lists[list] == nil
            else { return nil }
            var nodes: [NodeID] = []
            for name in part[(mark + 1)...].split(separator: UInt8(ascii: ",")) {
                guard let node = try? NodeID(String(decoding: name, as: UTF8.self)) else { return nil }
                nodes.append(node)
            }
            lists[list] = nodes
        }
        guard let voters = lists[0], let outgoing = lists[1], let learners = lists[2], let target = lists[3] else { return nil }
        self.init(voters: voters, outgoing: outgoing, learners: learners, target: target)
        guard !self.voters.isEmpty || members.isEmpty && target.isEmpty else { return nil }
    }

    private static let names = ["voters", "outgoing", "learners", "target"]
}

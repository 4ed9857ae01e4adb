package import Primitives
package import Transport

/// For what a node waits that has no cluster yet: who is known, who is missing, and what is to be done about it.
package struct ClusterWait: Equatable, Sendable {
    package struct Known: Equatable, Sendable {
        package var node: NodeID
        package var address: String
        /// What it expects itself; nil when it waits for nothing.
        package var expects: UInt16?
        package var isHere: Bool

        package init(node: NodeID, address: String, expects: UInt16?, isHere: Bool) {
            (self.node, self.address, self.expects, self.isHere) = (node, address, expects, isHere)
        }
    }

    package var node: NodeID
    /// Coordinators with which a cluster is begun; 0 waits for one that is there.
    package var expects: Int
    /// As the gathering says it.
    package var text: String
    /// Sorted by id, this node among them.
    package var known: [Known]
    /// The addresses that were to be asked.
    package var seeds: [String]

    package init(node: NodeID, expects: Int, text: String, known: [Known], seeds: [String]) {
        (self.node, self.expects, self.text, self.known, self.seeds) = (node, expects, text, known, seeds)
    }

    package init(_ directory: PeerDirectory, expects: Int, seeds: [PeerAddress], text: String) {
        let known = directory.all.filter { $0.roles.contains("coordinator") }.map {
            Known(node: $0.node, address: $0.address.description, expects: $0.expects, isHere: $0.node == directory.node)
        }
        self.init(node: directory.node, expects: expects, text: text, known: known, seeds: seeds.map(\.description))
    }

    /// How many are still to come.
    package var missing: Int { max(0, expects - known.count) }

    /// Addresses that were to be asked and under which nobody is known.
    package var silent: [String] { seeds.filter { seed in !known.contains { $0.address == seed } } }

    /// What whoever operates them types next.
    package var next: String {
        guard expects > 0 else {
            return
                "start a node of the cluster at one of these addresses, or name one that runs (--join HOST:PORT); to begin a cluster with others give all of them --bootstrap-expect N, and to begin one of this node alone leave --join out"
        }
        guard missing > 0 else { return "nothing: the cluster begins once all \(expects) of them know each other" }
        let join = seeds.isEmpty ? "HOST:PORT,..." : seeds.joined(separator: ",")
        return
            "start \(missing) more with the same --bootstrap-expect \(expects) and the same list (distric node --id ID --bootstrap-expect \(expects) --join \(join)), and see that their addresses for calls are reached from here"
    }

    /// One sentence of all that.
    package var detail: String {
        let names = known.map { "\($0.node) at \($0.address)\($0.isHere ? " (this node)" : "")" }.joined(separator: ", ")
        var parts = [text]
        if expects > 0 { parts.append("known: \(names.isEmpty ? "nobody" : names)") }
        if missing > 0 || expects == 0, !silent.isEmpty { parts.append("nobody has answered at \(silent.joined(separator: ", "))") }
        parts.append("next: \(next)")
        return parts.joined(separator: "; ")
    }

    /// As the API shows it.
    package var value: Value {
        .object([
            "node": .string(node.text), "text": .string(text), "expects": Value(expects), "missing": Value(missing),
            "known": .list(
                known.map { item in
                    .object([
                        "id": .string(item.node.text), "address": .string(item.address), "isHere": .bool(item.isHere),
                        "expects": item.expects.map { Value(UInt64($0)) },
                    ])
                }), "seeds": .list(seeds.map { .string($0) }), "silent": .list(silent.map { .string($0) }), "next": .string(next),
        ])
    }
}

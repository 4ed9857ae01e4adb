package import Primitives
import Synchronization

/// What is done to what goes to one node: for tests, and for chaos that an operator asks for.
package struct LinkFault: Equatable, Sendable {
    package var delay: Duration
    /// Share of what is sent that gets lost, 0 to 1.
    package var loss: Double
    /// Nothing arrives; what comes back still does.
    package var isCut: Bool

    package init(delay: Duration = .zero, loss: Double = 0, isCut: Bool = false) {
        self.delay = delay
        self.loss = loss
        self.isCut = isCut
    }
}

/// The faults of this node's outgoing links, one way each. Costs one load of an atomic while there are none.
package final class LinkFaults: Sendable {
    /// What becomes of one thing that is sent.
    package enum Fate: Equatable, Sendable {
        case sent
        case delayed(Duration)
        case lost
    }

    private struct State {
        var links: [NodeID: LinkFault] = [:]
        var generator: SeededGenerator
    }

    private let state: Mutex<State>
    private let isActive = Atomic(false)
    private let isSevered = Atomic(false)
    private let lost = Atomic<Int>(0)

    package init(seed: UInt64) { state = Mutex(State(generator: SeededGenerator(seed: seed))) }

    /// Nil takes the fault away.
    package func set(_ fault: LinkFault?, to node: NodeID) {
        state.withLock { state in
            state.links[node] = fault
            isActive.store(!state.links.isEmpty || isSevered.load(ordering: .acquiring), ordering: .releasing)
        }
    }

    package func clear() {
        state.withLock { state in
            state.links = [:]
            isActive.store(isSevered.load(ordering: .acquiring), ordering: .releasing)
        }
    }

    /// Nothing is sent to anybody any more, for good: the node has died.
    package func sever() {
        isSevered.store(true, ordering: .releasing)
        isActive.store(true, ordering: .releasing)
    }

    package var all: [(node: NodeID, fault: LinkFault)] {
        state.withLock { $0.links.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 } }
    }

    /// How much was lost by them.
    package var lostCount: Int { lost.load(ordering: .relaxed) }

    /// Whether nothing arrives there.
    package func isCut(to node: NodeID) -> Bool {
        guard isActive.load(ordering: .acquiring) else { return false }
        return state.withLock { $0.links[node]?.isCut ?? false }
    }

    package func fate(to node: NodeID?) -> Fate {
        guard isActive.load(ordering: .acquiring) else { return .sent }
        if isSevered.load(ordering: .acquiring) { return .lost }
        guard let node else { return .sent }
        let fate: Fate = state.withLock { state in
            guard let fault = state.links[node] else { return .sent }
            if fault.isCut || fault.loss > 0 && Double.random(in: 0..<1, using: &state.generator) < fault.loss { return .lost }
            return fault.delay > .zero ? .delayed(fault.delay) : .sent
        }
        if fate == .lost { lost.add(1, ordering: .relaxed) }
        return fate
    }
}

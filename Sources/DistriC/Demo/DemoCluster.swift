package import API
import Observability
package import Primitives
import Synchronization

typealias DemoControlling = API.DemoControl

/// A cluster in one process, whose members can be killed, begun again, and held, while somebody watches what becomes of the work.
package final class DemoCluster: DemoControl, Sendable {
    /// Between the answer and what was asked for: it may be the end of the one who answers.
    private static let breath = Duration.milliseconds(50)

    private let plan: DemoPlan
    private let members: [DemoMember]
    private let tally = Mutex<@Sendable () -> Value>({ .null })

    package init(_ plan: DemoPlan) throws(DistriCError) {
        self.plan = plan
        let clock = SystemClock()
        members = try plan.places.map { place throws(DistriCError) in try DemoMember(place, now: { clock.wall }) }
    }

    /// Returns when the front door of every member answers.
    package func start() async throws {
        for member in members { _ = member.move(from: [.killed], to: .starting) }
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for member in members { group.addTask { [self] in try await member.start(plan, self) } }
                // The first that fails ends the others.
                while try await group.next() != nil {}
            }
        } catch {
            await stop()
            throw error
        }
    }

    /// As SIGTERM would end each; nothing of what was acknowledged waits for it.
    package func stop() async {
        await withTaskGroup(of: Void.self) { group in
            for member in members { group.addTask { await member.stop() } }
        }
    }

    /// Of the coordinators: any of them can be asked.
    package var urls: [String] { members.filter(\.place.isCoordinator).map(\.url) }
    package var isAlone: Bool { members.count == 1 }

    /// What there is to tell of the messages that somebody sends to it.
    package func tells(_ tally: @escaping @Sendable () -> Value) { self.tally.withLock { $0 = tally } }

    // MARK: DemoControl

    package var value: Value {
        let rows = members.map(\.value)
        let leader = rows.first { $0["leads"]?.bool == true }?["id"]
        return .object(["leader": leader ?? .null, "members": .list(rows), "messages": tally.withLock { $0 }()])
    }

    package func begin(_ act: DemoAct, _ name: String) throws(DemoRefusal) -> Value {
        let member = try find(name)
        switch act {
        case .kill: try beginKilling(member)
        case .restart: try beginAgain(member)
        case .pause: try pause(member)
        case .resume: try resume(member)
        }
        return member.value
    }

    private func find(_ name: String) throws(DemoRefusal) -> DemoMember {
        if name == "leader" {
            guard let leader = members.first(where: { $0.state == .running && $0.node?.isLeading == true }) else {
                throw .refused(
                    "no coordinator leads now: try again in a second, or bring those back that are down ('distric demo restart')")
            }
            return leader
        }
        guard let member = members.first(where: { sameBytes($0.id, name) }) else { throw .unknown(name, members: members.map(\.id)) }
        return member
    }

    /// Who is asked must be left: a demo of which nobody answers could not be told to go on.
    private func check(lastOf member: DemoMember) throws(DemoRefusal) {
        guard member.place.isCoordinator else { return }
        let others = members.filter { $0.place.isCoordinator && $0 !== member && ($0.state == .running || $0.state == .paused) }
        guard others.isEmpty else { return }
        throw .refused(
            members.filter(\.place.isCoordinator).count == 1
                ? "\(member.id) is the only coordinator, and nobody would be left to ask: 'distric demo restart \(member.id)' kills it and brings it back, and a demo with --coordinators 3 goes on without one"
                : "\(member.id) is the last coordinator that answers, and nobody would be left to ask: bring another one back first ('distric demo restart'); 'distric demo restart \(member.id)' kills it and brings it back"
        )
    }

    private func beginKilling(_ member: DemoMember) throws(DemoRefusal) {
        try check(lastOf: member)
        try step(member, from: [.running, .paused], to: .dying, "killed")
        let led = member.node?.isLeading == true
        Task.detached { [self] in
            try? await Task.sleep(for: Self.breath)
            await member.kill()
            tell("demo.killed", member, "\(member.id) was killed\(led ? ", and led" : "")")
        }
    }

    private func beginAgain(_ member: DemoMember) throws(DemoRefusal) {
        if member.move(from: [.killed, .failed("")], to: .starting) == nil { return restart(member) }
        try step(member, from: [.running, .paused], to: .dying, "begun again")
        Task.detached { [self] in
            try? await Task.sleep(for: Self.breath)
            await member.kill()
            tell("demo.killed", member, "\(member.id) was killed, to be begun again")
            if member.move(from: [.killed], to: .starting) == nil { restart(member) }
        }
    }

    private func restart(_ member: DemoMember) {
        Task.detached { [self] in
            do {
                try await member.start(plan, self)
                tell("demo.restarted", member, "\(member.id) was begun again")
            } catch { tell("demo.failed", member, "\(member.id) could not be begun again: \(error)") }
        }
    }

    private func pause(_ member: DemoMember) throws(DemoRefusal) {
        try step(member, from: [.running], to: .paused, "held")
        member.node?.hold()
        tell("demo.paused", member, "\(member.id) stands still")
    }

    private func resume(_ member: DemoMember) throws(DemoRefusal) {
        try step(member, from: [.paused], to: .running, "let go")
        member.node?.goOn()
        tell("demo.resumed", member, "\(member.id) goes on")
    }

    private func step(_ member: DemoMember, from states: [DemoMember.State], to next: DemoMember.State, _ done: String) throws(DemoRefusal)
    {
        guard let state = member.move(from: states, to: next) else { return }
        let instead =
            switch state {
            case .starting, .dying: "wait a second"
            case .killed, .failed: "'distric demo restart \(member.id)' brings it back"
            case .paused: "'distric demo resume \(member.id)' lets it go on"
            case .running: "it runs"
            }
        throw .refused("\(member.id) is \(state.word), and cannot be \(done) now: \(instead)")
    }

    /// Whoever is looked at says it.
    private func tell(_ kind: String, _ member: DemoMember, _ text: String) {
        for other in members where other.state == .running || other === member { other.node?.tell(kind, member.id, text) }
    }
}

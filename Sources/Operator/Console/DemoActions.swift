import Primitives

/// What a person does to the members of a demo.
extension ConsoleState {
    /// The selected member, where members are listed; elsewhere whoever leads is killed, and all that are down are begun again.
    mutating func steerDemo(_ action: KeyAction) -> [ConsoleEffect] {
        if let refusal = refusesChange(action == .kill ? "killing a member" : "beginning a member again") {
            return refuse(refusal, isProblem: true)
        }
        let member = memberHere
        if action == .kill {
            let command = ["demo", "kill", member ?? "leader"]
            return confirm("kill \(member ?? "the leader")?", [DangerTier.of(command).effect], [command])
        }
        let command = ["demo", "restart"] + (member.map { [$0] } ?? [])
        return confirm("restart \(member ?? "all that are down")?", [DangerTier.of(command).effect], [command])
    }

    private var memberHere: String? {
        switch place.view {
        case .raft, .nodes, .gossip: selectedRow?["id"]?.string
        case .node: place.subject
        default: nil
        }
    }

    /// What became of the messages of the demo, for the rule above the tour; empty while that is not known.
    var demoSentence: String {
        guard settings.isDemo, let demo = feeds[Views.demoFeed]?.value, let messages = demo["messages"] else { return "" }
        let down = (demo["members"]?.list ?? []).filter { ["killed", "paused", "failed"].contains($0["state"]?.string) }
            .map { "\($0["id"]?.string ?? "") \($0["state"]?.string ?? "")" }
        let counts = ["lost", "open", "accepted"].map { "\($0) \(messages[$0]?.int ?? 0)" }.joined(separator: "  ")
        // What is lost matters most, and stays where there is no room for all.
        return ([counts] + down).joined(separator: "  ")
    }
}

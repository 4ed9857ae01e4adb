/// How much a command asks for before it runs, whether it came of a key or was typed.
enum DangerTier: Sendable {
    case mild
    /// Asked for; `No` has the focus.
    case moderate
    /// The name must be typed.
    case severe

    private static let deletion: (DangerTier, String) = (
        .severe, "No message will start it any more; open runs go on with what they began with. A new catalog version results."
    )
    private static let application: (DangerTier, String) = (
        .moderate, "It comes into force at once, as a new catalog version; open runs go on with what they began with."
    )

    private static let known: [String: (tier: DangerTier, effect: String)] = [
        "rules delete": deletion, "workflows delete": deletion, "rules apply": application, "workflows apply": application,
        "runs cancel": (.moderate, "Attempts that run are ended, and no further task of the run begins."),
        "runs retry": (.moderate, "A new run begins with the same message; this one stays as it is."),
        "tasks resolve": (.moderate, "The run goes on as if the attempt had ended so. It cannot be taken back."),
        "raft remove": (.severe, "It leaves the Raft group; its node goes on, out of service."),
        "raft add": (.moderate, "It gets the whole log, and counts for the quorum once it votes."),
        "raft promote": (.moderate, "It votes from then on, and counts for the quorum."),
        "raft transfer": (.moderate, "Another voter leads from then on. Writes wait while it changes."),
        "nodes cordon": (.moderate, "It keeps what it runs and gets nothing new, also after a restart, until it is uncordoned."),
        "nodes drain": (
            .moderate, "It gets nothing new; after the deadline what may be done again is given to other workers. A leader hands over."
        ),
        "cluster freeze": (.moderate, "In the whole cluster no message is taken, or no task is given out, until it is thawed."),
        "cluster join": (.moderate, "It gets the whole log, and counts for the quorum once it votes."),
        "cluster leave": (.severe, "It is emptied, hands over what it leads, and leaves the Raft group; its node goes on, out of service."),
        "demo kill": (
            .moderate,
            "It ends as in a crash. Another coordinator leads within some seconds, and the work of a worker goes to others: nothing that was acknowledged is lost."
        ),
        "demo restart": (.moderate, "What is down is begun again on its folder; one that runs is killed first."),
        "demo pause": (.moderate, "It stands still and answers nobody until it is resumed; whoever leads is replaced by another."),
        "chaos link": (.moderate, "What the node sends there is lost or late until it is healed."),
        "chaos disk": (.moderate, "A sync that fails stops the node's log until it is started again."),
        "cluster resume": (.moderate, "Waits end, deadlines pass and retries begin; what the old cluster did meanwhile may be done again."),
        "cluster recover": (.severe, "The folder becomes a cluster of its own; what only the others have is lost."),
        "raft snapshot": (.moderate, "The node that is asked writes its state to disk and lets go of the log that this stands for."),
    ]
    /// These ask by themselves where nobody has asked before.
    private static let asking: Set = ["raft remove", "cluster leave"]

    /// What a command asks for, and what it does to whatever it is about.
    ///
    /// - Parameter command: its words as in a shell, without `distric`.
    static func of(_ command: [String]) -> (tier: DangerTier, effect: String) {
        guard !command.contains("--help"), !command.contains("-h") else { return (.mild, "") }
        return known[name(command)] ?? (.mild, "")
    }

    /// The command as it runs after it was asked for here.
    static func answered(_ command: [String]) -> [String] {
        asking.contains(name(command)) && !command.contains("--yes") ? command + ["--yes"] : command
    }

    private static func name(_ command: [String]) -> String { command.filter { !$0.hasPrefix("-") }.prefix(2).joined(separator: " ") }
}
